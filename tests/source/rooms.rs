//! The table of rooms, and uses that go up in it.

use crate::tree::Tree;

/// The rooms from top to bottom.
pub(crate) struct Table {
    rooms: Vec<Room>,
}

struct Room {
    /// The line of the document.
    line: usize,
    /// `src/codec/`, `src/numerics.rs`.
    paths: Vec<String>,
}

impl Table {
    /// The rows of `document` whose first cell has paths in `src`. A row is a room, which may have
    /// several paths.
    pub(crate) fn new(document: &str) -> Table {
        let rooms = document.lines().enumerate().filter_map(|(index, line)| {
            let cell = line.strip_prefix('|')?.split('|').next()?;
            let quoted = cell.split('`').skip(1).step_by(2);
            let paths: Vec<String> = quoted
                .filter(|path| path.starts_with("src/"))
                .map(str::to_owned)
                .collect();
            (!paths.is_empty()).then_some(Room {
                line: index + 1,
                paths,
            })
        });
        Table {
            rooms: rooms.collect(),
        }
    }

    /// All paths of the table.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.rooms
            .iter()
            .flat_map(|room| room.paths.clone())
            .collect()
    }

    /// The number of the room that a file is in, counted from the top; `None` if the table lacks
    /// it.
    pub(crate) fn room(&self, file: &str) -> Option<usize> {
        let is_in = |path: &String| file == path || path.ends_with('/') && file.starts_with(path);
        self.rooms
            .iter()
            .position(|room| room.paths.iter().any(is_in))
    }

    /// The room in which a path from the root of the crate begins: what the root itself shows
    /// belongs to the room of lib.rs, wherever it is defined.
    fn room_of(&self, absolute: &[String]) -> Option<usize> {
        let named = absolute.first().and_then(|name| {
            self.room(&format!("src/{name}/"))
                .or_else(|| self.room(&format!("src/{name}.rs")))
        });
        named.or_else(|| self.room("src/lib.rs"))
    }
}

/// Every use of a room above the user's own, in words.
pub(crate) fn upward_uses(table: &Table, tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in &tree.files {
        let Some(own) = table.room(&file.path) else {
            continue;
        };
        for used in tree.uses(file) {
            let Some(other) = table.room_of(&used.absolute).filter(|&other| other < own) else {
                continue;
            };
            let (own, other) = (&table.rooms[own], &table.rooms[other]);
            wrong.push(format!(
                "{}:{} uses {}, but docs/ARCHITECTURE.md has {} (line {}) above {} (line {})",
                file.path,
                used.line,
                used.written,
                other.paths[0],
                other.line,
                own.paths[0],
                own.line
            ));
        }
    }
    wrong
}

#[test]
fn a_use_of_a_room_above_is_found() {
    let table = Table::new(
        "| folder | for |\n|---|---|\n| `src/main.rs` | |\n| `src/frame/`, `src/lib.rs` | |\n\
         | `src/codec/` | |\n| `src/low.rs` | |\n",
    );
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let tree = Tree::new([
        file("src/lib.rs", "mod codec; mod frame; pub use codec::Times;"),
        file("src/frame/mod.rs", "use crate::codec::Times;"),
        file("src/codec/mod.rs", "pub mod plan;\nuse super::frame::F;"),
        file(
            "src/codec/plan.rs",
            "use super::super::low::L;\nfn f() -> crate::Times {}",
        ),
        file("src/low.rs", "use crate::codec::plan::P;"),
    ]);
    let wanted = [
        "src/codec/mod.rs:2 uses super::frame::F, but docs/ARCHITECTURE.md has src/frame/ (line 4) \
         above src/codec/ (line 5)",
        "src/codec/plan.rs:2 uses crate::Times, but docs/ARCHITECTURE.md has src/frame/ (line 4) \
         above src/codec/ (line 5)",
        "src/low.rs:1 uses crate::codec::plan::P, but docs/ARCHITECTURE.md has src/codec/ (line 5) \
         above src/low.rs (line 6)",
    ];
    assert_eq!(upward_uses(&table, &tree), wanted);
}
