//! The modules of the library and the binary in one tree, and what their paths mean.

use crate::rust::{Named, Outline, outline};
use std::collections::BTreeMap;

/// The way to a module from the root of its crate. The roots of both crates are the empty path:
/// they have no modules of the same name.
pub(crate) type Module = Vec<String>;

#[derive(Debug)]
pub(crate) struct Tree {
    /// Files in order of their names, tests left out.
    pub files: Vec<File>,
    modules: BTreeMap<Module, usize>,
}

#[derive(Debug)]
pub(crate) struct File {
    /// From the root of the repository: `src/codec/plan.rs`.
    pub path: String,
    module: Module,
    outline: Outline,
}

/// A use of one file by another.
#[derive(Debug)]
pub(crate) struct Use<'a> {
    pub line: usize,
    /// The path as it is written.
    pub written: String,
    /// The path from the root of the crate.
    pub absolute: Vec<String>,
    /// The file that it leads to.
    pub file: &'a File,
    /// `pub use`.
    pub is_export: bool,
}

impl Tree {
    /// A tree of files, each with its path and text.
    pub(crate) fn new(files: impl IntoIterator<Item = (String, String)>) -> Tree {
        let mut files: Vec<File> = files
            .into_iter()
            .map(|(path, text)| File {
                module: module_of(&path),
                outline: outline(&text),
                path,
            })
            .collect();
        let tests: Vec<Module> = files.iter().flat_map(File::test_modules).collect();
        files.retain(|file| !tests.contains(&file.module));
        // Both roots are the empty path, under which lib.rs is found: nothing uses main.rs.
        let mut modules = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            modules.entry(file.module.clone()).or_insert(index);
        }
        Tree { files, modules }
    }

    /// What `file` uses of this tree.
    pub(crate) fn uses(&self, file: &File) -> Vec<Use<'_>> {
        let uses = file.outline.named.iter().filter_map(|named| {
            let absolute = self.absolute(file, named)?;
            Some(Use {
                line: named.line,
                written: named.segments.join("::"),
                file: self.find(&absolute, 8),
                absolute,
                is_export: named.is_export,
            })
        });
        uses.collect()
    }

    /// The path from the root of the crate; `None` if the path leads out of this tree.
    fn absolute(&self, file: &File, named: &Named) -> Option<Vec<String>> {
        let mut segments = named.segments.as_slice();
        let mut module = [file.module.as_slice(), &named.inside].concat();
        let first = segments.first()?.as_str();
        match first {
            "crate" | "llmzip" => module.clear(),
            "self" | "super" => {}
            _ => {
                module.push(first.to_owned());
                self.modules.get(&module)?;
            }
        }
        segments = &segments[1..];
        if first == "super" {
            module.pop();
            while segments.first().is_some_and(|segment| segment == "super") {
                module.pop();
                segments = &segments[1..];
            }
        }
        Some([module.as_slice(), segments].concat())
    }

    /// The file in which a path from the root of the crate ends: the one that has the item, where a
    /// module on the way has it from elsewhere. `limit` bounds the number of such steps.
    fn find(&self, absolute: &[String], limit: usize) -> &File {
        let depth = (0..=absolute.len())
            .rev()
            .find(|&depth| self.modules.contains_key(&absolute[..depth]))
            .expect("the root is a module");
        let file = &self.files[self.modules[&absolute[..depth]]];
        let (Some(name), true) = (absolute.get(depth), limit > 0) else {
            return file;
        };
        let is_source = |named: &&Named| named.bound.as_ref() == Some(name);
        let source = file.outline.named.iter().find(is_source);
        match source.and_then(|named| self.absolute(file, named)) {
            Some(elsewhere) => self.find(&elsewhere, limit - 1),
            None => file,
        }
    }
}

impl File {
    fn test_modules(&self) -> impl Iterator<Item = Module> {
        let names = self.outline.test_modules.iter();
        names.map(|name| [self.module.as_slice(), std::slice::from_ref(name)].concat())
    }
}

fn module_of(path: &str) -> Module {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Module = inside.split('/').map(str::to_owned).collect();
    if ["mod", "lib", "main"].contains(&module.last().unwrap().as_str()) {
        module.pop();
    }
    module
}
