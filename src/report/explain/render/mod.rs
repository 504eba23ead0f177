//! An [`Explanation`](super::Explanation) as text: tables, JSON, CSV and a page for a browser.

mod csv;
mod json;
mod page;
mod table;

pub use csv::csv;
pub use json::{SCHEMA_VERSION, json};
pub use page::html;
pub use table::{markdown, table};
