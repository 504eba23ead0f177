//! A [`Scaling`] as a page for a browser.

use super::table::{NOTES, laws, pays, rows, title};
use crate::report::markup::escaped;
use crate::report::scaling::svg::svg;
use crate::report::scaling::{Curve, Scaling};
use crate::report::{Provenance, page};

/// One self-contained page with the plot and the tables.
pub fn html(scaling: &Scaling, made: &Provenance) -> String {
    let curves = scaling.curves.iter();
    let sections: String = curves.map(|curve| section(scaling, curve)).collect();
    let body = format!(
        "<figure>\n{}</figure>\n{sections}<p>{}</p>\n",
        svg(scaling, made),
        NOTES.map(escaped).join("</p>\n<p>"),
    );
    page::page("Bits per byte against parameters", &body, made)
}

/// The tables of one curve.
fn section(scaling: &Scaling, curve: &Curve) -> String {
    let laws = laws(scaling, curve);
    let laws = laws.iter().map(|law| format!("<p>{}</p>\n", escaped(law)));
    format!(
        "<h2>{}</h2>\n{}{}{}",
        escaped(&title(curve)),
        page::table(&rows(curve)),
        laws.collect::<String>(),
        pays(curve).map_or_else(String::new, |rows| page::table(&rows)),
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
