//! Circles of files that use each other. `pub use` alone makes none: a module shows what its files
//! have, and they may use what it has itself.

use crate::rooms::Table;
use crate::tree::Tree;
use std::collections::{BTreeMap, VecDeque};

/// The line and the written path by which one file uses another.
type Edges<'a> = BTreeMap<&'a str, BTreeMap<&'a str, String>>;

/// The shortest circle through each file that is in one, each circle once, in words.
pub(crate) fn circles(table: &Table, tree: &Tree) -> Vec<String> {
    let edges = edges(table, tree);
    let mut found: Vec<Vec<&str>> = Vec::new();
    for &file in edges.keys() {
        let Some(circle) = shortest_circle(&edges, file) else {
            continue;
        };
        let is_same = |other: &Vec<&str>| {
            other.len() == circle.len() && other.iter().all(|file| circle.contains(file))
        };
        if !found.iter().any(is_same) {
            found.push(circle);
        }
    }
    found
        .iter()
        .map(|circle| describe(&edges, circle))
        .collect()
}

/// Who uses whom within one room.
fn edges<'a>(table: &Table, tree: &'a Tree) -> Edges<'a> {
    let mut edges = Edges::new();
    for file in &tree.files {
        for used in tree.uses(file) {
            let same_room = table.room(&file.path) == table.room(&used.file.path);
            if used.file.path != file.path && same_room && !used.is_export {
                edges
                    .entry(file.path.as_str())
                    .or_default()
                    .entry(used.file.path.as_str())
                    .or_insert_with(|| {
                        format!("{}:{} uses {}", file.path, used.line, used.written)
                    });
            }
        }
    }
    edges
}

/// The files of a shortest way from `start` back to `start`, found breadth first.
fn shortest_circle<'a>(edges: &Edges<'a>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = Vec::new();
    while let Some(way) = ways.pop_front() {
        for &next in edges
            .get(way[way.len() - 1])
            .into_iter()
            .flat_map(BTreeMap::keys)
        {
            if next == start {
                return Some(way);
            }
            if !seen.contains(&next) {
                seen.push(next);
                ways.push_back([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

fn describe(edges: &Edges, circle: &[&str]) -> String {
    let nexts = circle.iter().cycle().skip(1);
    let lines = circle.iter().zip(nexts).map(|(file, next)| {
        let written = &edges[file][next];
        format!("  {written} of {next}\n")
    });
    "a circle:\n".to_owned() + &lines.collect::<String>()
}

#[test]
fn a_circle_is_found_through_what_a_module_shows() {
    let table = Table::new("| `src/codec/` |\n| `src/lib.rs` |\n");
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let tree = |plan: &str| {
        Tree::new([
            file("src/lib.rs", "mod codec;"),
            file("src/codec/mod.rs", "pub use plan::Plan; pub struct Unit;"),
            file("src/codec/plan.rs", plan),
            file("src/codec/coder.rs", "use super::Unit;\nuse super::Plan;"),
        ])
    };
    assert_eq!(circles(&table, &tree("use super::Unit;")), [""; 0]);
    let wanted = "a circle:\n  src/codec/coder.rs:2 uses super::Plan of src/codec/plan.rs\n  \
                  src/codec/plan.rs:1 uses crate::codec::coder::C of src/codec/coder.rs\n";
    let circular = tree("use crate::codec::coder::C;");
    assert_eq!(circles(&table, &circular), [wanted]);
}
