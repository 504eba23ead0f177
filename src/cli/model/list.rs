//! `model list`: the models that can be used.

use llmzip::packed::Description;
use llmzip::report::numbers::parameters;
use llmzip::store::{Installed, Origin, Store, StoreError, embedded, hex};
use serde::Serialize;

use crate::cli::advice;
use crate::cli::failure::Failure;
use crate::cli::level;
use crate::cli::print;

/// A model that has a name.
struct Listed {
    name: String,
    /// Which model it is, if the store says so.
    installed: Option<Installed>,
    /// What its header says.
    description: Result<Description, StoreError>,
}

impl Listed {
    fn new(store: &Store, name: String) -> Listed {
        let (installed, description) = match store.installed(&name) {
            Ok(installed) => {
                let description = store.describe(&installed);
                (Some(installed), description)
            }
            Err(error) => (None, Err(error)),
        };
        Listed {
            name,
            installed,
            description,
        }
    }

    fn identity(&self) -> Option<&[u8; 32]> {
        self.installed.as_ref().map(|installed| &installed.identity)
    }

    fn is_built_in(&self) -> bool {
        let installed = self.installed.as_ref();
        installed.is_some_and(|installed| installed.built_in)
    }
}

pub(super) fn run(store: &Store, json: bool) -> Result<(), Failure> {
    let names = store.names()?.into_iter();
    let models: Vec<Listed> = names.map(|name| Listed::new(store, name)).collect();
    match json {
        true => print::json(&lines(store, &models)),
        false => print::result(&to_table(&models)),
    }
}

/// One model in JSON.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    blake3: Option<String>,
    built_in: bool,
    level: Option<u8>,
    parameters: Option<u64>,
    tokens: Option<usize>,
    window: Option<usize>,
    bytes: Option<u64>,
    /// Where it was fetched from.
    origin: Option<Origin>,
    error: Option<String>,
}

fn lines<'a>(store: &Store, models: &'a [Listed]) -> Vec<Line<'a>> {
    models
        .iter()
        .map(|model| {
            let description = model.description.as_ref().ok();
            let config = description.map(|description| &description.config);
            Line {
                name: &model.name,
                blake3: model.identity().map(|identity| hex(identity)),
                built_in: model.is_built_in(),
                level: level::of_model(&model.name),
                parameters: config.map(|config| config.parameters),
                tokens: config.map(|config| config.vocab),
                window: config.map(|config| config.window),
                bytes: description.map(|description| description.size),
                origin: model.identity().and_then(|identity| store.origin(identity)),
                error: model.description.as_ref().err().map(StoreError::to_string),
            }
        })
        .collect()
}

fn to_table(models: &[Listed]) -> String {
    let names = models.iter().map(|model| model.name.len());
    let width = names.max().unwrap_or(0).max(4);
    let mut text = format!(
        "{:width$}  level  {:>10}  {:>7}  {:>11}  blake3\n",
        "name", "parameters", "tokens", "bytes"
    );
    for model in models {
        text += &match &model.description {
            Ok(description) => row(width, model, description),
            Err(error) => format!("{:width$}  {}\n", model.name, advice::store(error)),
        };
    }
    text
}

fn row(width: usize, model: &Listed, description: &Description) -> String {
    let level = level::of_model(&model.name).map(|number| format!("-{number}"));
    let is_default = model.name == embedded::default().name;
    let note = match (model.is_built_in(), is_default) {
        (true, true) => "  built in, the default",
        (true, false) => "  built in",
        (false, _) => "",
    };
    let identity = model.identity().map(|identity| hex(&identity[..8]));
    format!(
        "{:width$}  {:>5}  {:>10}  {:>7}  {:>11}  {}{note}\n",
        model.name,
        level.unwrap_or_default(),
        parameters(description.config.parameters),
        description.config.vocab,
        description.size,
        identity.unwrap_or_default(),
    )
}
