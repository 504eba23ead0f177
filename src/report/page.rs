//! The frame of a page for a browser, and its tables.
//!
//! A page is one document that loads nothing. It follows the reader's light or dark scheme, wide
//! tables scroll within themselves, and print is black on white.

use super::Provenance;
use super::markup::escaped;
use super::table::Table;

const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#fff;--ink:#1c1c1c;--soft:#595959;--rule:#ccc}
@media(prefers-color-scheme:dark){:root{--paper:#151515;--ink:#ddd;--soft:#a6a6a6;--rule:#444}}
body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:62rem;\
margin:auto;padding:1rem}
h1{font-size:1.3rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.8rem 0 .4rem;\
overflow-wrap:anywhere}
p{max-width:46rem}code{overflow-wrap:anywhere}figure{margin:0;max-width:40rem}svg{width:100%;height:auto}
.wide{overflow-x:auto}.soft,#provenance,caption{color:var(--soft)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap}
td,th{padding:.2rem .7rem .2rem 0;text-align:right;font-weight:normal}th{color:var(--soft)}
td:first-child,th:first-child{text-align:left}tr+tr{border-top:1px solid var(--rule)}
@media print{:root{--paper:#fff;--ink:#000;--soft:#333;--rule:#999}\
body{font-size:9pt;max-width:none;padding:0}.wide{overflow:visible}table{font-size:7.5pt}\
td,th{padding-right:.4rem}figure,table,h2+*{break-inside:avoid}h2{break-after:avoid}}";

/// A whole page around `body`, which is HTML. It ends with `made`.
pub(super) fn page(title: &str, body: &str, made: &Provenance) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n{body}{}</body>\n</html>\n",
        made.html()
    )
}

/// A table that scrolls where the window is narrower. The keyboard scrolls it too.
pub(super) fn table(table: &Table) -> String {
    let row = |cells: &[String], tag: &str, scope: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}{scope}>{}</{tag}>", escaped(cell.trim())));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let body = table.rows().iter().map(|cells| row(cells, "td", ""));
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table>\n<thead>\n{}</thead>\n<tbody>\n{}</tbody>\n\
         </table></div>\n",
        row(table.head(), "th", " scope=\"col\""),
        body.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::provenance::tests::provenance;

    #[test]
    fn a_page_escapes_names_and_loads_nothing() {
        let mut rows = Table::new(&["<a>", "b"]);
        rows.push(vec!["&\n".to_owned(), " 1 ".to_owned()]);
        let page = page("<t>", &table(&rows), &provenance());
        assert!(page.contains("<h1>&lt;t&gt;</h1>"), "{page}");
        assert!(page.contains("<td>&amp;</td><td>1</td>"), "{page}");
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("src="));
    }
}
