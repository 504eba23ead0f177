//! A [`Scaling`] as text: tables, JSON, CSV, SVG and a page for a browser.

mod csv;
mod json;
mod page;
mod table;

use super::Scaling;
use crate::report::Provenance;

pub use csv::csv;
pub use json::{SCHEMA_VERSION, json};
pub use page::html;
pub use table::{markdown, table};

/// The plot alone, as SVG.
pub fn svg(scaling: &Scaling, made: &Provenance) -> String {
    super::svg::svg(scaling, made)
}
