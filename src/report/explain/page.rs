//! The page: a fixed document that draws the JSON it carries. It loads nothing.

use super::{Explanation, render};
use crate::report::numbers::one_line;

const TEMPLATE: &str = include_str!("page.html");

/// The page of one file, ready to be opened.
pub(super) fn page(explanation: &Explanation) -> String {
    // Within a script, `<` could only end it or begin a comment.
    let data = render::value(explanation)
        .to_string()
        .replace('<', "\\u003c");
    let title = one_line(&explanation.name)
        .replace('&', "&amp;")
        .replace('<', "&lt;");
    let (before, rest) = TEMPLATE.split_once("{{title}}").unwrap_or((TEMPLATE, ""));
    let (between, after) = rest.split_once("{{data}}").unwrap_or((rest, ""));
    [before, &title, between, &data, after].concat()
}
