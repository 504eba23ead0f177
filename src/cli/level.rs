//! Levels, `-1` to `-9`, as users of zstd expect them: larger is smaller and slower. What a level means is the same on
//! every machine.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use llmzip::predict::Preset;

use super::meant::NO_MODEL;

/// A choice of model and experts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Level {
    id: &'static str,
    pub(super) number: u8,
    /// What `-m` calls the model.
    pub(super) model: &'static str,
    pub(super) preset: Preset,
    about: &'static str,
}

const fn level(
    id: &'static str,
    number: u8,
    model: &'static str,
    preset: Preset,
    about: &'static str,
) -> Level {
    Level {
        id,
        number,
        model,
        preset,
        about,
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
        "All experts, no model: -m none",
    ),
    level(
        "level-3",
        3,
        "nano",
        Preset::Normal,
        "-m nano, the smallest built-in model",
    ),
    level("level-4", 4, "micro", Preset::Normal, "-m micro"),
    level("level-5", 5, "mini", Preset::Normal, "-m mini: the default"),
    level(
        "level-6",
        6,
        "small",
        Preset::Normal,
        "-m small, the largest built-in model",
    ),
    level(
        "level-7",
        7,
        "smollm2-135m",
        Preset::Normal,
        "-m smollm2-135m, once llmzip model pull has fetched it",
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
        "-m smollm2-1.7b: smallest",
    ),
];

/// The level of a model, if it has one.
pub(super) fn of_model(name: &str) -> Option<u8> {
    let level = LEVELS.iter().find(|level| level.model == name)?;
    (level.model != NO_MODEL).then_some(level.number)
}

/// The first of the words of a command line that is a level as zstd has them and llmzip has not: -10 and more, which would
/// be read as two levels.
pub(super) fn beyond(words: impl Iterator<Item = OsString>) -> Option<String> {
    let is_level = |word: &String| {
        let digits = word.strip_prefix('-').unwrap_or_default();
        digits.len() > 1 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let words = words.map(|word| word.to_string_lossy().into_owned());
    words.take_while(|word| word != "--").find(is_level)
}

/// The level typed last.
#[derive(Debug)]
pub(super) struct LevelArg(pub(super) Option<&'static Level>);

impl Args for LevelArg {
    fn augment_args(command: Command) -> Command {
        LEVELS.iter().fold(command, |command, level| {
            let mut arg = Arg::new(level.id)
                .short(char::from(b'0' + level.number))
                .action(ArgAction::SetTrue)
                .help(level.about)
                .help_heading("Levels")
                .conflicts_with("model")
                .overrides_with_all(LEVELS.iter().map(|other| other.id));
            if level.preset == Preset::Light {
                arg = arg.conflicts_with("experts");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LevelArg {
    fn from_arg_matches(matches: &ArgMatches) -> Result<LevelArg, Error> {
        Ok(LevelArg(
            LEVELS.iter().find(|level| matches.get_flag(level.id)),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
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
            assert!(llmzip::store::short_name(name).is_some(), "{name}");
        }
    }
}
