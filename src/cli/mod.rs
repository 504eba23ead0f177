//! The command line: everything that `llmzip` does in addition to the library.
//!
//! Arguments are interpreted in two steps: [`typed`] holds them as they were typed, and [`meant`]
//! turns them into a job. After that, no code looks at options. Each command has a file of its own
//! that carries out its job. [`files`] opens the inputs, writes the outputs and puts them in place,
//! in the same way for all commands that read and write files. [`advice`] turns the library's
//! errors into sentences that say what to type.
//!
//! This folder may use the whole library, and nothing uses it but `main.rs`.

mod advice;
mod attributes;
#[cfg(feature = "compare")]
mod compare;
#[cfg(feature = "compare")]
mod compare_process;
mod compress;
mod contents;
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
mod memory;
mod model;
mod models;
mod output;
mod prime;
mod print;
mod progress;
mod remove;
mod report_file;
mod scaling;
mod text;
mod typed;
mod verify;
mod workload;

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use failure::{FAILED, Failure, USAGE};
pub(crate) use interrupt::end_without_memory;
use typed::{Command, Typed};

/// Runs the program. Exit codes: 0 = success, 1 = something failed, 2 = wrong usage.
pub(crate) fn main() -> ExitCode {
    if let Some(level) = level::too_high(env::args_os().skip(1)) {
        print::error(&format!("{level}: levels are -1 to -9; see llmzip --help"));
        return ExitCode::from(USAGE);
    }
    let typed = match Typed::try_parse() {
        Ok(typed) => typed,
        Err(error) => return refuse(&error),
    };
    interrupt::install();
    end(run(typed.command))
}

/// Reports a failure, and gives the exit code.
fn end(result: Result<bool, Failure>) -> ExitCode {
    interrupt::wait_if_ending();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(Failure::BrokenPipe) => interrupt::end_by_broken_pipe(),
        Err(Failure::Usage(message)) => {
            print::error(&format!("{message}; see llmzip --help"));
            ExitCode::from(USAGE)
        }
        Err(Failure::Message(message)) => {
            print::error(&message);
            ExitCode::from(FAILED)
        }
    }
}

/// Runs one command. `false` means that something failed and was reported, and the rest was done.
fn run(command: Command) -> Result<bool, Failure> {
    match command {
        Command::Compress(args) => compress::run(meant::compress(args)?),
        Command::Decompress(args) => decompress::run(meant::decompress(args)?),
        Command::Cat(args) => decompress::run(meant::cat(args)?),
        Command::Test(args) => decompress::run(meant::test(args)?),
        Command::Info(args) => info::run(meant::info(args)),
        #[cfg(feature = "encode")]
        Command::Explain(args) => explain::run(meant::explain(args)?),
        Command::Scaling(args) => scaling::run(meant::scaling(args)?),
        #[cfg(feature = "compare")]
        Command::Compare(args) => compare::run(meant::compare(args)?),
        #[cfg(feature = "compare")]
        Command::CompareOne(args) => compare::run_one(meant::compare_one(args)?),
        Command::Model(args) => model::run(meant::model(args)),
        Command::Completions { shell } => completions(shell),
    }
}

/// Prints why clap did not accept the command line: help and version as they are, an error in one
/// line.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let shown = error.render();
        let text = match io::stdout().is_terminal() {
            true => shown.ansi().to_string(),
            false => shown.to_string(),
        };
        return end(print::result(&text).map(|()| true));
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
    print::error(&format!("{first}; see llmzip --help"));
    ExitCode::from(USAGE)
}

fn completions(shell: clap_complete::Shell) -> Result<bool, Failure> {
    let mut script = Vec::new();
    let mut command = without_hidden(&Typed::command());
    clap_complete::generate(shell, &mut command, "llmzip", &mut script);
    print::result(&String::from_utf8_lossy(&script))?;
    Ok(true)
}

/// The command line without the commands that `--help` hides.
fn without_hidden(command: &clap::Command) -> clap::Command {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    clap::Command::new("llmzip")
        .args(command.get_arguments())
        .subcommands(shown.cloned().collect::<Vec<_>>())
}
