//! Levels 1 to 9, which work as those of zstd do: a higher level makes files smaller and is slower.
//! A level means the same model and the same experts on every machine.

use std::ffi::OsString;

use llmzip::predict::Preset;

/// What `-m` takes instead of a model's name to use no model.
pub(super) const NO_MODEL: &str = "none";

/// A choice of model and experts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// What clap calls the option.
    pub(super) id: &'static str,
    /// The digit of the option.
    pub(super) number: u8,
    /// The model's name, or [`NO_MODEL`].
    pub(super) model: &'static str,
    pub(super) preset: Preset,
    /// The line about it in `--help`.
    pub(super) help: &'static str,
}

const fn level(
    id: &'static str,
    number: u8,
    model: &'static str,
    preset: Preset,
    help: &'static str,
) -> Level {
    Level {
        id,
        number,
        model,
        preset,
        help,
    }
}

/// All levels, the fastest first.
pub(super) static LEVELS: &[Level] = &[
    level(
        "level-1",
        1,
        NO_MODEL,
        Preset::Light,
        "A few adaptive experts, no model: fastest",
    ),
    level(
        "level-2",
        2,
        NO_MODEL,
        Preset::Normal,
        "All experts, no model: the same as -m none",
    ),
    level(
        "level-3",
        3,
        "nano",
        Preset::Normal,
        "-m nano: the smallest built-in model",
    ),
    level("level-4", 4, "micro", Preset::Normal, "-m micro"),
    level("level-5", 5, "mini", Preset::Normal, "-m mini: the default"),
    level(
        "level-6",
        6,
        "small",
        Preset::Normal,
        "-m small: the largest built-in model",
    ),
    level(
        "level-7",
        7,
        "smollm2-135m",
        Preset::Normal,
        "-m smollm2-135m: fetch it first with llmzip model pull",
    ),
    level(
        "level-8",
        8,
        "smollm2-360m",
        Preset::Normal,
        "-m smollm2-360m",
    ),
    level(
        "level-9",
        9,
        "smollm2-1.7b",
        Preset::Normal,
        "-m smollm2-1.7b: smallest files",
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
    use llmzip::store::embedded;

    #[test]
    fn levels_ascend_and_every_model_is_built_in_or_can_be_fetched() {
        assert!(LEVELS.is_sorted_by_key(|level| level.number));
        let named: Vec<&str> = LEVELS[2..].iter().map(|level| level.model).collect();
        let built_in: Vec<&str> = embedded::ALL.iter().map(|model| model.name).collect();
        assert!(named.starts_with(&built_in), "{named:?} {built_in:?}");
        for name in &named[built_in.len()..] {
            assert!(llmzip::store::repository_of(name).is_some(), "{name}");
        }
    }
}
