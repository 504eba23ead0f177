//! The options `-1` to `-9`.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use llmzip::predict::Preset;

use crate::cli::level::{LEVELS, Level};

/// The level that was typed last, if any.
#[derive(Debug)]
pub(in crate::cli) struct LevelArg(pub(in crate::cli) Option<&'static Level>);

impl Args for LevelArg {
    fn augment_args(command: Command) -> Command {
        LEVELS.iter().fold(command, |command, level| {
            let mut arg = Arg::new(level.id)
                .short(char::from(b'0' + level.number))
                .action(ArgAction::SetTrue)
                .help(level.help)
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
