//! The command line: how `llmzip` behaves around the library.
//!
//! Arguments are understood in two steps: [`typed`] is what was typed, [`meant`] what it means, and
//! nothing after that looks at an option again. [`files`] takes each input through opening, coding
//! and replacing, the same way for all subcommands; the subcommands say what happens in between.

#[cfg(feature = "convert")]
mod check;
#[cfg(feature = "compare")]
mod compare;
mod compress;
mod decompress;
mod estimate;
#[cfg(feature = "encode")]
mod explain;
mod failure;
mod files;
mod info;
mod input;
mod interrupt;
mod level;
mod meant;
mod model;
mod models;
mod output;
mod picture;
mod progress;
mod samples;
mod scaling;
mod text;
mod typed;

use std::env;
use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use failure::Failure;
use typed::{Command, Typed};

/// Something failed.
const FAILED: u8 = 1;
/// The command line was wrong.
const USAGE: u8 = 2;

/// Runs the program: 0 = all done, 1 = something failed, 2 = wrong usage.
pub fn main() -> ExitCode {
    if let Some(level) = level::beyond(env::args_os().skip(1)) {
        text::complain(&format!("{level}: levels are -1 to -9; see llmzip --help"));
        return ExitCode::from(USAGE);
    }
    let typed = match Typed::try_parse() {
        Ok(typed) => typed,
        Err(error) => return usage(&error),
    };
    interrupt::install();
    let done = match typed.command {
        Command::Compress(args) => meant::compress(args).and_then(compress::run),
        Command::Decompress(args) => meant::decompress(args).and_then(decompress::run),
        Command::Cat(args) => meant::cat(args).and_then(decompress::run),
        Command::Test(args) => meant::test(args).and_then(decompress::run),
        Command::Info(args) => info::run(args),
        #[cfg(feature = "encode")]
        Command::Explain(args) => meant::explain(args).and_then(explain::run),
        Command::Scaling(args) => meant::scaling(args).and_then(scaling::run),
        #[cfg(feature = "compare")]
        Command::Compare(args) => meant::compare(args).and_then(compare::run),
        #[cfg(feature = "compare")]
        Command::CompareOne(args) => meant::compare_one(args).and_then(compare::run_one),
        Command::Model(args) => model::run(args).map(|()| true).map_err(Failure::Said),
        Command::Completions { shell } => completions(shell),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            text::complain(&format!("{message}; see llmzip --help"));
            ExitCode::from(USAGE)
        }
        Err(Failure::Said(message)) => {
            text::complain(&message);
            ExitCode::from(FAILED)
        }
    }
}

/// Help and version as they are; a usage error in one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader that has gone away has seen enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(USAGE);
    }
    let message = error.render().to_string();
    let lines: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let first = lines.join(" ");
    let first = first.strip_prefix("error: ").unwrap_or(&first);
    text::complain(&format!("{first}; see llmzip --help"));
    ExitCode::from(USAGE)
}

/// The command line without the commands that the help does not tell of.
fn visible(command: clap::Command) -> clap::Command {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    clap::Command::new("llmzip")
        .args(command.get_arguments())
        .subcommands(shown.cloned().collect::<Vec<_>>())
}

fn completions(shell: clap_complete::Shell) -> Result<bool, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible(Typed::command()), "llmzip", &mut script);
    io::Write::write_all(&mut io::stdout(), &script).map_err(Failure::from_write)?;
    Ok(true)
}
