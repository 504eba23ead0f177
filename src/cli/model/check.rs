//! `model check`: compares the exact engine with a plain f32 forward pass, and with candle's model.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use llmzip::check::{Agreement, Subject};
use llmzip::import;
use llmzip::store::{self, EXTENSION, Store};

use super::add;
use crate::cli::failure::Failure;
use crate::cli::meant::{CheckJob, Input};
use crate::cli::{devices, output, print, text};

pub(super) fn run(store: &Store, job: &CheckJob) -> Result<(), Failure> {
    let inputs = [job.file.clone(), job.model.clone().into()].map(Input::File);
    output::refuse_stdout(&inputs)?;
    let file = text::path(&job.file);
    let mut bytes =
        fs::read(&job.file).map_err(|error| about(&file, &format!("cannot open: {error}")))?;
    bytes.truncate(job.max_bytes);
    if bytes.is_empty() {
        return Err(about(&file, &"there is nothing to predict"));
    }
    let (mut subject, weights) = subject(store, &job.model)?;
    let failed = |error| about(&job.model, &error);
    let cut = subject.cut(&bytes).map_err(failed)?;
    print::result(&format!(
        "{file}: {} bytes, {} tokens, {} escaped bytes (not counted); \
         f32 over the {weights} weights\n",
        bytes.len(),
        cut.tokens.len(),
        cut.escapes
    ))?;
    let exact = subject.exact(&cut.tokens).map_err(failed)?;
    let float = subject.float(&cut.tokens).map_err(failed)?;
    let predicted = bytes.len() - cut.escapes;
    print_rows(predicted, &[("f32", &float), ("exact engine", &exact)])?;
    if let Some(device) = &job.device {
        let (name, runtime) = devices::engine(device, subject.packed(), store)
            .map_err(|failure| failure.about(&job.model))?;
        let agreement = subject.compare(&*runtime, &cut.tokens).map_err(failed)?;
        print_agreement(&name, &agreement)?;
    }
    match job.candle {
        true => first_window(&mut subject, &cut.tokens, &exact, &float)
            .map_err(|failure| failure.about(&job.model)),
        false => Ok(()),
    }
}

/// Compares the tokens of the first window once more, with candle's model as a third.
#[cfg(feature = "reference")]
fn first_window(
    subject: &mut Subject,
    tokens: &[u32],
    exact: &[f64],
    float: &[f64],
) -> Result<(), Failure> {
    let candle = subject
        .candle(tokens)
        .map_err(|error| Failure::Message(error.to_string()))?;
    let count = candle.len();
    let table = subject.packed().tokens();
    let rows = tokens[..count].iter();
    let bytes: usize = rows.map(|&row| table.bytes(row).len()).sum();
    print::result(&format!("first window, {count} tokens, {bytes} bytes:\n"))?;
    print_rows(
        bytes,
        &[
            ("candle f32", &candle),
            ("f32", &float[..count]),
            ("exact engine", &exact[..count]),
        ],
    )
}

#[cfg(not(feature = "reference"))]
fn first_window(_: &mut Subject, _: &[u32], _: &[f64], _: &[f64]) -> Result<(), Failure> {
    Ok(())
}

/// Prints whether a device agrees with the CPU, and how fast both are; a difference is a failure.
fn print_agreement(name: &str, agreement: &Agreement) -> Result<(), Failure> {
    let Agreement { many, single } = agreement;
    for (how, one) in [
        ("many tokens at a time", many),
        ("one token at a time", single),
    ] {
        if let Some(token) = one.first_difference {
            return Err(Failure::Message(format!(
                "{name} differs from the CPU after token {token} of {} ({how})",
                one.tokens
            )));
        }
        let speed = |time: Duration| one.tokens as f64 / time.as_secs_f64();
        print::result(&text::printable_lines(&format!(
            "  {how}: {} tokens, the same bits; CPU {:.1} tokens/s, {name} {:.1} tokens/s\n",
            one.tokens,
            speed(one.cpu),
            speed(one.other)
        )))?;
    }
    Ok(())
}

/// Prints a row for each model, given by its name and the bits it needs for each token. The last
/// column compares it with the first model.
fn print_rows(bytes: usize, models: &[(&str, &[f64])]) -> Result<(), Failure> {
    let sum = |bits: &[f64]| -> f64 { bits.iter().sum() };
    let first = models.first().map_or(0.0, |(_, bits)| sum(bits));
    for (name, bits) in models {
        let (tokens, bpb) = (bits.len(), sum(bits) / bytes as f64);
        let change = (sum(bits) / first - 1.0) * 100.0;
        print::result(&format!(
            "  {name:<14} {tokens:>9} tokens  {bpb:.4} bits per byte  {change:+.2} %\n"
        ))?;
    }
    Ok(())
}

/// The installed model of this name, or the unpacked model at this path; and whose weights f32
/// uses.
fn subject(store: &Store, wanted: &str) -> Result<(Subject, &'static str), Failure> {
    let path = Path::new(wanted);
    let is_name = store.names()?.iter().any(|name| name == wanted);
    let is_packed = path.extension().is_some_and(|end| end == EXTENSION)
        || !is_name && add::is_packed(&[path.to_path_buf()]);
    if !is_packed && !is_name && path.exists() {
        let source = import::open(path).map_err(|error| about(wanted, &error))?;
        let subject = Subject::from_source(source).map_err(|error| about(wanted, &error))?;
        return Ok((subject, "original"));
    }
    let found = match is_packed && !store::is_path(wanted) {
        true => store.find(&format!("./{wanted}"))?,
        false => store.find(wanted)?,
    };
    let subject = Subject::from_packed(found.model);
    Ok((subject, "packed"))
}

fn about(what: impl fmt::Display, error: &dyn fmt::Display) -> Failure {
    Failure::Message(format!("{what}: {error}"))
}
