//! A [`Scaling`] as a page for a browser.

use super::table::{NOTES, law, rows, title};
use crate::report::scaling::svg::{escaped, svg};
use crate::report::scaling::{Curve, Scaling};

/// Style of the page around the plot.
const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:15px/1.5 sans-serif;max-width:60rem;margin:auto;padding:1rem}
svg{width:100%;height:auto}div{overflow-x:auto}table{border-collapse:collapse;white-space:nowrap}
td,th{padding:.15rem .6rem;text-align:right}td:first-child,th:first-child{text-align:left}
tr+tr{border-top:1px solid #8884}p{color:#888}h2{font-size:1.1rem}";

/// One self-contained page with the plot and the tables.
pub fn html(scaling: &Scaling) -> String {
    let sections: String = scaling.curves.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>Bits per byte against parameters</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Bits per byte against parameters</h1>\n{}{sections}<p>{}</p>\n</body>\n</html>\n",
        svg(&scaling.curves),
        NOTES.map(escaped).join("<br>\n"),
    )
}

/// The table of one curve in HTML.
fn section(curve: &Curve) -> String {
    let table = rows(curve);
    let row = |cells: &[String], tag: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let body: String = table.rows().iter().map(|cells| row(cells, "td")).collect();
    format!(
        "<h2>{}</h2>\n<div><table>\n{}{body}</table></div>\n<p>{}</p>\n",
        escaped(&title(curve)),
        row(table.head(), "th"),
        escaped(&law(curve)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::curve::tests::scaling;

    #[test]
    fn a_page_escapes_names_and_loads_nothing() {
        let page = html(&scaling());
        assert!(
            page.contains("&lt;b&gt;&amp;") && !page.contains("<b>"),
            "{page}"
        );
        let addresses = page.matches("http").count();
        assert_eq!(
            addresses,
            page.matches("http://www.w3.org/2000/svg").count()
        );
        assert!(!page.contains("<script") && !page.contains("src="));
    }
}
