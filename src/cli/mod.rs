//! The command line: everything that `llmzip` does in addition to the library.
//!
//! Arguments are interpreted in two steps: `typed` holds them as they were typed, and `meant`
//! turns them into a job. After that, no code looks at options. Each command has a file of its own
//! that carries out its job. `files` opens the inputs, writes the outputs and puts them in place,
//! in the same way for all commands that read and write files. `advice` turns the library's
//! errors into sentences that say what to type.
//!
//! This folder may use the whole library, and nothing uses it but `main.rs` and the Python package,
//! whose command line is the same.

mod advice;
mod attributes;
mod budget;
mod call;
#[cfg(feature = "compare")]
mod compare;
#[cfg(feature = "compare")]
mod compare_process;
mod completions;
mod compress;
mod contents;
mod decompress;
#[cfg(feature = "gpu")]
mod devices;
#[cfg(not(feature = "gpu"))]
#[path = "no_devices.rs"]
mod devices;
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

use std::io::{self, IsTerminal};

use clap::Parser;

pub use advice::library as advice;
pub use call::Call;
use failure::{FAILED, Failure, SUCCESS, USAGE};
pub use interrupt::end_without_memory;
pub use level::{LEVELS, Level, NO_MODEL};
use llmzip::machine::stack;
use meant::{CalledAs, PlainJob};
use typed::{Command, PlainArgs, Typed, TypedWithoutCommand};

/// Answers `call`, the only one of this process, and gives the exit code.
pub fn start(call: Call) -> u8 {
    call.set();
    stack::run(main).unwrap_or_else(|error| {
        let reason = format!("the stack is too small, and the system refuses a thread: {error}");
        end(Err(Failure::Message(reason)))
    })
}

/// Runs the program. Exit codes: 0 = success, 1 = something failed, 2 = wrong usage.
fn main() -> u8 {
    if let Some(level) = level::too_high(call::words().skip(1)) {
        print::error(&format!("{level}: levels are -1 to -9; see llmzip --help"));
        return USAGE;
    }
    match completions::answer() {
        Ok(false) => {}
        answered => return end(answered),
    }
    let called_as = CalledAs::from_word(&call::words().next().unwrap_or_default());
    let typed = match parse(called_as) {
        Ok(typed) => typed,
        Err(error) => {
            return usage::refuse(&error).unwrap_or_else(|failure| end(Err(failure)));
        }
    };
    interrupt::install();
    end(match typed.command {
        Some(command) => run(command),
        None if call::words().len() == 1 && io::stdin().is_terminal() => {
            return usage::show_help();
        }
        None => run_plain(typed.plain, called_as),
    })
}

/// Parses the command line. Only `llmzip` itself has commands.
fn parse(called_as: CalledAs) -> Result<Typed, clap::Error> {
    match called_as {
        CalledAs::Llmzip => Typed::try_parse_from(call::words()),
        CalledAs::Unllmzip | CalledAs::Llmzcat => {
            let words = call::words();
            let TypedWithoutCommand { plain } = TypedWithoutCommand::try_parse_from(words)?;
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
fn end(result: Result<bool, Failure>) -> u8 {
    interrupt::wait_if_ending();
    match result {
        Ok(true) => SUCCESS,
        Ok(false) => FAILED,
        Err(Failure::BrokenPipe) => interrupt::end_by_broken_pipe(),
        Err(Failure::Usage(message)) => {
            print::error(&format!("{message}; see {}", usage::help_for()));
            USAGE
        }
        Err(Failure::Message(message)) => {
            print::error(&message);
            FAILED
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
        Command::Model(args) => model::run(meant::model(args)?),
        Command::Devices(args) => devices::run(meant::devices(&args)),
        Command::Completions { shell } => completions::print_script(shell).map(|()| true),
        Command::Man { folder, force } => man::run(&folder, force),
    }
}
