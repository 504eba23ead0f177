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
mod budget;
#[cfg(feature = "compare")]
mod compare;
#[cfg(feature = "compare")]
mod compare_process;
mod completions;
mod compress;
mod contents;
mod decompress;
mod estimate;
#[cfg(feature = "encode")]
mod explain;
mod failure;
mod files;
mod folders;
mod info;
mod input;
mod interrupt;
mod lasting;
mod level;
mod list;
mod man;
mod meant;
mod memory;
mod model;
mod models;
mod needed;
mod offer;
mod output;
mod prime;
mod print;
mod progress;
mod provenance;
mod question;
mod remove;
mod report_file;
mod scaling;
mod text;
mod typed;
mod usage;
mod verify;
mod workload;

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;

use failure::{FAILED, Failure, USAGE};
pub(crate) use interrupt::end_without_memory;
use llmzip::machine::stack;
use meant::{CalledAs, PlainJob};
use typed::{Command, PlainArgs, Typed, TypedWithoutCommand};

/// Starts the program.
pub(crate) fn start() -> ExitCode {
    stack::run(main).unwrap_or_else(|error| {
        let reason = format!("the stack is too small, and the system refuses a thread: {error}");
        end(Err(Failure::Message(reason)))
    })
}

/// Runs the program. Exit codes: 0 = success, 1 = something failed, 2 = wrong usage.
fn main() -> ExitCode {
    if let Some(level) = level::too_high(env::args_os().skip(1)) {
        print::error(&format!("{level}: levels are -1 to -9; see llmzip --help"));
        return ExitCode::from(USAGE);
    }
    match completions::answer() {
        Ok(false) => {}
        answered => return end(answered),
    }
    let called_as = CalledAs::from_word(&env::args_os().next().unwrap_or_default());
    let typed = match parse(called_as) {
        Ok(typed) => typed,
        Err(error) => {
            return usage::refuse(&error).unwrap_or_else(|failure| end(Err(failure)));
        }
    };
    interrupt::install();
    end(match typed.command {
        Some(command) => run(command),
        None if env::args_os().len() == 1 && io::stdin().is_terminal() => {
            return usage::show_help();
        }
        None => run_plain(typed.plain, called_as),
    })
}

/// Parses the command line. Only `llmzip` itself has commands.
fn parse(called_as: CalledAs) -> Result<Typed, clap::Error> {
    match called_as {
        CalledAs::Llmzip => Typed::try_parse(),
        CalledAs::Unllmzip | CalledAs::Llmzcat => {
            let TypedWithoutCommand { plain } = TypedWithoutCommand::try_parse()?;
            Ok(Typed {
                command: None,
                plain,
            })
        }
    }
}

/// Does what a command line without a command says.
fn run_plain(args: PlainArgs, called_as: CalledAs) -> Result<bool, Failure> {
    usage::refuse_misspelt_command(&args)?;
    match meant::plain(args, called_as)? {
        PlainJob::Compress(job) => compress::run(job),
        PlainJob::Decompress(job) => decompress::run(job),
        PlainJob::List(job) => info::run(job),
    }
}

/// Reports a failure, and gives the exit code.
fn end(result: Result<bool, Failure>) -> ExitCode {
    interrupt::wait_if_ending();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(Failure::BrokenPipe) => interrupt::end_by_broken_pipe(),
        Err(Failure::Usage(message)) => {
            print::error(&format!("{message}; see {}", usage::help_for()));
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
        Command::Completions { shell } => completions::print_script(shell).map(|()| true),
        Command::Man { folder, force } => man::run(&folder, force),
    }
}
