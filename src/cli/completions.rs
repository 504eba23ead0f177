//! Completions for shells: a script asks this program what could come next.

use std::env;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter,
};
use clap_complete::env::{CompleteEnv, Shells};
use llmzip::machine::inherited::{self, Stream};
use llmzip::store::{Store, embedded};

use super::call;
use super::failure::Failure;
use super::level::NO_MODEL;
use super::meant::is_compressed;
use super::print;
use super::typed::Typed;

/// The environment variable in which a script says which shell asks.
const VARIABLE: &str = "LLMZIP_COMPLETE";

/// Prints the script for a shell.
pub(super) fn print_script(shell: Shell) -> Result<(), Failure> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let completer = shells.completer(&name);
    let completer = completer.ok_or_else(|| Failure::message("no completions for this shell"))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "llmzip", "llmzip", "llmzip", &mut script)
        .map_err(Failure::from_write)?;
    // Without `filenames`, bash takes what is completed for the words of a command: a name with a
    // space becomes two, and `$(...)` in a name is run.
    let script = String::from_utf8_lossy(&script);
    print::result(&script.replace("-o bashdefault", "-o filenames -o bashdefault"))
}

/// Answers a script, if one asks. Returns whether one did.
pub(super) fn answer() -> Result<bool, Failure> {
    // A script puts two dashes before what was typed. Without them, the variable is merely set.
    if env::var_os(VARIABLE).is_none() || call::words().nth(1).is_none_or(|word| word != "--") {
        return Ok(false);
    }
    if inherited::was_closed(Stream::Output) {
        return Err(Failure::message("standard output is closed"));
    }
    let complete = CompleteEnv::with_factory(command).var(VARIABLE);
    let answered = complete.try_complete(call::words(), env::current_dir().ok().as_deref());
    answered.map_err(|error| {
        let reason = error.to_string();
        let reason = reason.trim_start_matches("error: ").lines().next();
        Failure::Message(format!("{VARIABLE}: {}", reason.unwrap_or_default()))
    })
}

/// The command line with what can stand for models and files.
fn command() -> Command {
    with_candidates(Typed::command())
}

/// A command, and those in it.
fn with_candidates(command: Command) -> Command {
    let command = command.mut_subcommands(with_candidates);
    let reads = ["decompress", "cat", "test", "info"].contains(&command.get_name());
    let removes = command.get_name() == "remove";
    let verifies = command.get_name() == "verify";
    command.mut_args(|arg| match arg.get_id().as_str() {
        "model" | "models" => arg.add(ArgValueCandidates::new(models)),
        "names" if removes => arg.add(ArgValueCandidates::new(stored_models)),
        "names" if verifies => arg.add(ArgValueCandidates::new(installed_models)),
        "files" if reads => {
            let compressed =
                PathCompleter::file().filter(|path| path.is_dir() || is_compressed(path));
            arg.add(ArgValueCompleter::new(compressed))
        }
        _ => arg,
    })
}

/// The names that can stand behind `-m`.
fn models() -> Vec<CompletionCandidate> {
    let none = CompletionCandidate::new(NO_MODEL);
    installed_models().into_iter().chain([none]).collect()
}

fn installed_models() -> Vec<CompletionCandidate> {
    let names = Store::of_user().names().unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The models that can be removed.
fn stored_models() -> Vec<CompletionCandidate> {
    let mut names = Store::of_user().names().unwrap_or_default();
    names.retain(|name| embedded::by_name(name).is_none());
    names.into_iter().map(CompletionCandidate::new).collect()
}
