//! `model list --available`: the models that have short names, and what to expect of them.

use llmzip::check::Speed;
use llmzip::report::numbers::{parameters, size};
use llmzip::store::catalogue::{CATALOGUE, Entry, Measured};
use llmzip::store::{Store, hex};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::print;

/// Bytes of text that a token stands for, roughly. English prose has 4.5, source code 3.5.
const BYTES_PER_TOKEN: f64 = 4.0;
/// Bytes of the sample that was compressed with the measured models.
const SAMPLE: f64 = 100_000.0;

/// What is known of a model before it is fetched.
#[derive(Serialize)]
struct Line {
    name: &'static str,
    repository: &'static str,
    license: &'static str,
    /// Whether the licence must be accepted before.
    gated: bool,
    parameters: u64,
    download_bytes: u64,
    /// In bytes per second, estimated for this machine.
    compress: f64,
    decompress: f64,
    /// The commit that the name stands for, if it has been fetched or is known in advance.
    commit: Option<String>,
    /// The BLAKE3 of the model that is used for the name, if there is one.
    installed: Option<String>,
    measured: Option<MeasuredLine>,
}

#[derive(Serialize)]
struct MeasuredLine {
    source: &'static str,
    blake3: &'static str,
    packed_bytes: u64,
    bits_per_byte: f64,
}

impl Line {
    fn new(store: &Store, entry: &'static Entry, speed: Speed) -> Line {
        let products = entry.shape.products();
        Line {
            name: entry.name,
            repository: entry.repository,
            license: entry.license,
            gated: entry.gated,
            parameters: entry.shape.parameters(),
            download_bytes: entry.download(),
            compress: (BYTES_PER_TOKEN * speed.compressing(products)).round(),
            decompress: (BYTES_PER_TOKEN * speed.decompressing(products)).round(),
            commit: store.pinned(entry).ok().flatten().map(|pin| pin.commit),
            installed: store.serves(entry.name).map(|identity| hex(&identity)),
            measured: entry.measured.map(MeasuredLine::new),
        }
    }

    fn note(&self) -> String {
        let mut notes = Vec::new();
        if self.installed.is_some() {
            notes.push("installed".to_owned());
        }
        if self.gated {
            notes.push("its licence must be accepted first".to_owned());
        }
        notes.join(", ")
    }
}

impl MeasuredLine {
    fn new(measured: Measured) -> MeasuredLine {
        MeasuredLine {
            source: measured.source,
            blake3: measured.identity,
            packed_bytes: measured.packed,
            bits_per_byte: measured.alice as f64 * 8.0 / SAMPLE,
        }
    }
}

pub(super) fn run(store: &Store, json: bool) -> Result<(), Failure> {
    let speed = Speed::measure().map_err(|error| Failure::Message(error.to_string()))?;
    let lines = CATALOGUE.iter().map(|entry| Line::new(store, entry, speed));
    let lines: Vec<Line> = lines.collect();
    match json {
        true => print::json(&lines),
        false => print::result(&to_table(&lines)),
    }
}

fn to_table(lines: &[Line]) -> String {
    let mut text = format!(
        "{:18}  {:>10}  {:>8}  {:10}  {:>9}  {:>10}  {:>9}\n",
        "name", "parameters", "to fetch", "licence", "compress", "decompress", "bits/byte"
    );
    for line in lines {
        let bits = match &line.measured {
            Some(measured) => format!("{:.3}", measured.bits_per_byte),
            None => "-".to_owned(),
        };
        let row = format!(
            "{:18}  {:>10}  {:>8}  {:10}  {:>9}  {:>10}  {bits:>9}  {}",
            line.name,
            parameters(line.parameters),
            size(line.download_bytes),
            line.license,
            rate(line.compress),
            rate(line.decompress),
            line.note(),
        );
        text += row.trim_end();
        text.push('\n');
    }
    text + "\n\
        Speeds are estimates for this machine. Bits per byte, of the first 100,000 bytes of\n\
        alice29.txt, are shown where a pack was measured (--json says which); - is not measured.\n\
        A name stands for one commit: known in advance, or noted when it is fetched first.\n"
}

/// Formats bytes per second, two digits of slow ones.
fn rate(rate: f64) -> String {
    match rate {
        ..10_000.0 => format!("{:.1} KB/s", rate / 1e3),
        _ => format!("{:.0} KB/s", rate / 1e3),
    }
}
