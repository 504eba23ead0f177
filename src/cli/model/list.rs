//! `model list`: the models that can be used.

use llmzip::packed::Description;
use llmzip::report::numbers::parameters;
use llmzip::store::{Installed, Store, StoreError, embedded, hex};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::level;
use crate::cli::print;

/// A listed model, and what its header says.
type Listed<'a> = (&'a Installed, Result<Description, StoreError>);

pub(super) fn run(store: &Store, json: bool) -> Result<(), Failure> {
    let installed = store.list()?;
    let models: Vec<Listed> = installed
        .iter()
        .map(|model| (model, store.describe(model)))
        .collect();
    match json {
        true => print::result(&to_json(&models)?),
        false => print::result(&to_table(&models)),
    }
}

/// One model in JSON.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    blake3: String,
    built_in: bool,
    level: Option<u8>,
    parameters: Option<u64>,
    tokens: Option<usize>,
    window: Option<usize>,
    bytes: Option<u64>,
    error: Option<String>,
}

fn to_json(models: &[Listed]) -> Result<String, Failure> {
    let lines: Vec<Line> = models
        .iter()
        .map(|(installed, opened)| {
            let config = opened.as_ref().ok().map(|model| &model.config);
            Line {
                name: &installed.name,
                blake3: hex(&installed.identity),
                built_in: installed.built_in,
                level: level::of_model(&installed.name),
                parameters: config.map(|config| config.parameters),
                tokens: config.map(|config| config.vocab),
                window: config.map(|config| config.window),
                bytes: opened.as_ref().ok().map(|model| model.size),
                error: opened.as_ref().err().map(StoreError::to_string),
            }
        })
        .collect();
    let text = serde_json::to_string_pretty(&lines);
    let text = text.map_err(|error| Failure::Message(error.to_string()))?;
    Ok(text + "\n")
}

fn to_table(models: &[Listed]) -> String {
    let names = models.iter().map(|(installed, _)| installed.name.len());
    let width = names.max().unwrap_or(0).max(4);
    let mut text = format!(
        "{:width$}  level  {:>10}  {:>7}  {:>11}  blake3\n",
        "name", "parameters", "tokens", "bytes"
    );
    for (installed, opened) in models {
        text += &match opened {
            Ok(model) => row(width, installed, model),
            Err(error) => format!("{:width$}  {error}\n", installed.name),
        };
    }
    text
}

fn row(width: usize, installed: &Installed, model: &Description) -> String {
    let level = level::of_model(&installed.name).map(|number| format!("-{number}"));
    let is_default = installed.name == embedded::default().name;
    let note = match (installed.built_in, is_default) {
        (true, true) => "  built in, the default",
        (true, false) => "  built in",
        (false, _) => "",
    };
    format!(
        "{:width$}  {:>5}  {:>10}  {:>7}  {:>11}  {}{note}\n",
        installed.name,
        level.unwrap_or_default(),
        parameters(model.config.parameters),
        model.config.vocab,
        model.size,
        hex(&installed.identity[..8]),
    )
}
