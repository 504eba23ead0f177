//! An [`Explanation`] as a page: a fixed document that draws the JSON it carries and loads nothing.

use super::json::value;
use crate::report::Provenance;
use crate::report::explain::Explanation;
use crate::report::markup::escaped;

const TEMPLATE: &str = include_str!("page.html");

/// One self-contained page for a browser.
pub fn html(explanation: &Explanation, made: &Provenance) -> String {
    // Inside a script element, `<` might end the element or begin a comment.
    let data = value(explanation, made).to_string().replace('<', "\\u003c");
    let title = escaped(&explanation.name);
    let (before, rest) = TEMPLATE.split_once("{{title}}").unwrap_or((TEMPLATE, ""));
    let (between, after) = rest.split_once("{{data}}").unwrap_or((rest, ""));
    [before, &title, between, &data, after].concat()
}
