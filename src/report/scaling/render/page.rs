//! A [`Scaling`] as a page for a browser.

use super::table::{NOTES, law, rows, title};
use crate::report::markup::escaped;
use crate::report::scaling::svg::svg;
use crate::report::scaling::{Curve, Scaling};
use crate::report::{Provenance, page};

/// One self-contained page with the plot and the tables.
pub fn html(scaling: &Scaling, made: &Provenance) -> String {
    let sections: String = scaling.curves.iter().map(section).collect();
    let body = format!(
        "<figure>\n{}</figure>\n{sections}<p>{}</p>\n",
        svg(&scaling.curves, made),
        NOTES.map(escaped).join("<br>\n"),
    );
    page::page("Bits per byte against parameters", &body, made)
}

/// The table of one curve.
fn section(curve: &Curve) -> String {
    format!(
        "<h2>{}</h2>\n{}<p>{}</p>\n",
        escaped(&title(curve)),
        page::table(&rows(curve)),
        escaped(&law(curve)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::provenance::tests::provenance;
    use crate::report::scaling::curve::tests::scaling;

    #[test]
    fn a_page_escapes_names_and_loads_nothing() {
        let page = html(&scaling(), &provenance());
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
