//! `--list`: one line for each compressed file, and one for all.

use llmzip::container::FrameTotals;

use super::contents::{Contents, FrameContents};

/// The line above the table.
pub(super) const HEADING: &str =
    "   frames     compressed       original   ratio  check  model         file\n";

/// The line about one file.
pub(super) fn row(name: &str, contents: &Contents) -> String {
    let frames = contents.frames.iter();
    let check = common(frames.clone().map(|frame| check(frame.header.checksum)));
    let model = common(frames.map(FrameContents::model_name));
    line(
        contents.frame_count(),
        contents.totals,
        &check,
        &model,
        name,
    )
}

/// The line about several files.
pub(super) fn total(files: usize, frames: u64, totals: FrameTotals) -> String {
    line(frames, totals, "", "", &format!("{files} files"))
}

fn line(frames: u64, totals: FrameTotals, check: &str, model: &str, name: &str) -> String {
    let (compressed, original) = (totals.frame_len, totals.original_len);
    let ratio = match original {
        0 => "-".to_owned(),
        _ => format!("{:.1} %", 100.0 * compressed as f64 / original as f64),
    };
    format!(
        "{frames:>9} {compressed:>14} {original:>14} {ratio:>7}  {check:<5}  {model:<12}  {name}\n"
    )
}

fn check(original: bool) -> String {
    let check = if original { "XXH3" } else { "none" };
    check.to_owned()
}

/// What all frames have in common, or `mixed`.
fn common(mut values: impl Iterator<Item = String>) -> String {
    let Some(first) = values.next() else {
        return "-".to_owned();
    };
    match values.all(|value| value == first) {
        true => first,
        false => "mixed".to_owned(),
    }
}
