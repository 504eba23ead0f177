//! Chooses the level that compresses files in a given time.

use std::path::Path;
use std::time::Duration;

use llmzip::EncoderOptions;

use super::estimate;
use super::failure::Failure;
use super::level::{LEVELS, Level};
use super::print;
use super::text;

/// The highest level that compresses files of `len` bytes together, like the one at `sample`, in
/// the time `budget`. `options` makes the options of a level, or `None` if it cannot be used.
///
/// Levels are tried from the fastest on, so that no trial takes much longer than what it is for.
pub(super) fn choose(
    budget: Duration,
    sample: &Path,
    len: u64,
    options: &dyn Fn(&'static Level) -> Option<EncoderOptions>,
) -> Result<EncoderOptions, Failure> {
    let mut chosen: Option<(&Level, EncoderOptions, Duration)> = None;
    for level in LEVELS {
        let Some(options) = options(level) else {
            continue;
        };
        let Some(time) = estimate::time_to_compress(sample, len, &options) else {
            break;
        };
        if chosen.is_some() && time > budget {
            break;
        }
        chosen = Some((level, options, time));
    }
    let cannot = || Failure::message("--budget: the files cannot be read for a trial");
    let (level, options, time) = chosen.ok_or_else(cannot)?;
    let about = format!("-{}, about {}", level.number, text::duration(time));
    match time > budget {
        true => print::warning(&format!("even the fastest level takes longer: {about}")),
        false => print::note_unless_quiet(&format!("level {about}")),
    }
    Ok(options)
}
