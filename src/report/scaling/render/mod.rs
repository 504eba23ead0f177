//! A [`Scaling`] as text: tables, JSON, SVG and a page for a browser.

mod json;
mod page;
mod table;

use super::Scaling;

pub use json::{SCHEMA_VERSION, json};
pub use page::html;
pub use table::table;

/// The plot alone, as SVG.
pub fn svg(scaling: &Scaling) -> String {
    super::svg::svg(&scaling.curves)
}
