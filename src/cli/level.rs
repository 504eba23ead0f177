//! Levels 1 to 9, which work as those of zstd do: a higher level makes files smaller and is slower.
//! A level means the same model, the same experts and the same wanted gain on every machine.

use std::ffi::OsString;

pub(super) use llmzip::frame::WANTED_GAIN;
use llmzip::predict::Preset;
pub use llmzip::store::NO_MODEL;

/// A choice of model and experts, and of when the model is worth its time.
#[derive(Debug, PartialEq, Eq)]
pub struct Level {
    /// What clap calls the option.
    pub(super) id: &'static str,
    /// The digit of the option.
    pub number: u8,
    /// The model's name, or [`NO_MODEL`].
    pub model: &'static str,
    pub preset: Preset,
    /// How much the model must gain over the experts, in thousandths: the faster the level, the
    /// more.
    pub wanted_gain: u16,
    /// The line about it in `--help`.
    pub(super) help: &'static str,
}

const fn without_model(id: &'static str, number: u8, preset: Preset, help: &'static str) -> Level {
    Level {
        id,
        number,
        model: NO_MODEL,
        preset,
        wanted_gain: 0,
        help,
    }
}

const fn with_model(
    id: &'static str,
    number: u8,
    model: &'static str,
    wanted_gain: u16,
    help: &'static str,
) -> Level {
    Level {
        id,
        number,
        model,
        preset: Preset::Normal,
        wanted_gain,
        help,
    }
}

/// All levels, the fastest first.
pub static LEVELS: &[Level] = &[
    without_model(
        "level-1",
        1,
        Preset::Light,
        "A few adaptive experts, no model: fastest",
    ),
    without_model(
        "level-2",
        2,
        Preset::Normal,
        "All experts, no model: the same as -m none",
    ),
    with_model(
        "level-3",
        3,
        "nano",
        50,
        "Model nano, the smallest built-in one, for blocks that it makes at least 5 % smaller than \
         -2 does; the experts alone code the others, much faster",
    ),
    with_model("level-4", 4, "micro", 40, "Model micro, if it gains 4 %"),
    with_model(
        "level-5",
        5,
        "mini",
        WANTED_GAIN,
        "Model mini, if it gains 3 %: the default",
    ),
    with_model(
        "level-6",
        6,
        "small",
        20,
        "Model small, the largest built-in one, if it gains 2 %",
    ),
    with_model(
        "level-7",
        7,
        "smollm2-135m",
        10,
        "Model smollm2-135m, if it gains 1 %: fetch it first with llmzip model pull",
    ),
    with_model(
        "level-8",
        8,
        "smollm2-360m",
        10,
        "Model smollm2-360m, if it gains 1 %",
    ),
    with_model(
        "level-9",
        9,
        "smollm2-1.7b",
        0,
        "Model smollm2-1.7b, if it gains anything: smallest files",
    ),
];

/// The level that uses a model, if there is one.
pub(super) fn of_model(name: &str) -> Option<u8> {
    let level = LEVELS.iter().find(|level| level.model == name)?;
    (level.model != NO_MODEL).then_some(level.number)
}

/// The first word of a command line that looks like a level above 9, if there is one. zstd has such
/// levels; clap would take `-19` for two levels, 1 and 9.
pub(super) fn too_high(words: impl Iterator<Item = OsString>) -> Option<String> {
    let is_level = |word: &String| {
        let digits = word.strip_prefix('-').unwrap_or_default();
        digits.len() > 1 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let words = words.map(|word| word.to_string_lossy().into_owned());
    words.take_while(|word| word != "--").find(is_level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmzip::EncoderOptions;
    use llmzip::store::embedded;

    #[test]
    fn a_higher_level_asks_for_no_more_gain_and_the_highest_for_none() {
        assert!(LEVELS[2..].is_sorted_by(|lower, higher| lower.wanted_gain >= higher.wanted_gain));
        assert_eq!(LEVELS.last().unwrap().wanted_gain, 0);
        let default = LEVELS
            .iter()
            .find(|level| level.model == embedded::default().name);
        assert_eq!(default.unwrap().wanted_gain, WANTED_GAIN);
        assert_eq!(EncoderOptions::default().wanted_gain, WANTED_GAIN);
    }

    #[test]
    fn help_says_the_model_and_the_wanted_gain() {
        for level in &LEVELS[2..] {
            assert!(level.help.contains(level.model), "{}", level.help);
            let percent = format!("{} %", level.wanted_gain / 10);
            assert_eq!(level.help.contains(&percent), level.wanted_gain > 0);
            assert_eq!(level.wanted_gain % 10, 0);
        }
    }

    #[test]
    fn levels_ascend_and_every_model_is_built_in_or_can_be_fetched() {
        assert!(LEVELS.is_sorted_by_key(|level| level.number));
        let named: Vec<&str> = LEVELS[2..].iter().map(|level| level.model).collect();
        let built_in: Vec<&str> = embedded::ALL.iter().map(|model| model.name).collect();
        assert!(named.starts_with(&built_in), "{named:?} {built_in:?}");
        for name in &named[built_in.len()..] {
            assert!(llmzip::store::catalogue::entry(name).is_some(), "{name}");
        }
    }
}
