//! An [`Explanation`](super::Explanation) as text: tables, JSON and a page for a browser.

mod json;
mod page;
mod table;

pub use json::{SCHEMA_VERSION, json};
pub use page::html;
pub use table::table;
