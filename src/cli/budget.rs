//! Chooses the level that compresses files in a given time.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use llmzip::EncoderOptions;

use super::estimate;
use super::failure::Failure;
use super::folders::Found;
use super::level::{LEVELS, Level};
use super::meant::Input;
use super::print;
use super::text;

/// The options of the highest level that compresses these files in the time `budget`.
/// `options` makes the options of a level, or says why it cannot be used.
///
/// Levels are tried on the longest file, from the fastest level on, so that no trial takes much
/// longer than what it is for.
pub(super) fn choose(
    budget: Duration,
    files: &[Found],
    options: &dyn Fn(&'static Level) -> Result<EncoderOptions, Failure>,
) -> Result<EncoderOptions, Failure> {
    let files = files.iter().map(length).collect::<Result<Vec<_>, _>>()?;
    let len = files.iter().map(|(_, len)| len).sum();
    let longest = files.iter().max_by_key(|(_, len)| len);
    let (sample, _) = longest.ok_or_else(|| Failure::message("--budget: there are no files"))?;
    if let Err(error) = File::open(sample) {
        return Err(Failure::Message(format!(
            "{}: cannot open: {error}",
            text::path(sample)
        )));
    }
    let mut chosen: Option<(&Level, EncoderOptions, Duration)> = None;
    let mut reason = None;
    for level in LEVELS {
        let options = match options(level) {
            Ok(options) => options,
            Err(failure) => {
                reason.get_or_insert(failure);
                continue;
            }
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
    let (level, options, time) = chosen.ok_or_else(|| reason.unwrap_or_else(cannot))?;
    let about = format!("-{}, about {}", level.number, text::duration(time));
    match time > budget {
        true => print::warning(&format!("even the fastest level takes longer: {about}")),
        false => print::note_unless_quiet(&format!("level {about}")),
    }
    Ok(options)
}

/// The path of a file and its length in bytes.
fn length(found: &Found) -> Result<(&Path, u64), Failure> {
    let Input::File(path) = &found.input else {
        return Err(Failure::usage(
            "--budget needs files, whose lengths are known",
        ));
    };
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file);
    Ok((path, metadata.map_or(0, |metadata| metadata.len())))
}
