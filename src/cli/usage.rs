//! Answers to what cannot be done as it was typed: help, and errors that point at it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::call;
use super::failure::{Failure, SUCCESS, USAGE};
use super::print;
use super::text;
use super::typed::{PlainArgs, Typed};

/// Shows what can be typed to somebody who typed nothing, and has nothing to compress.
pub(super) fn show_help() -> u8 {
    let _ = write!(io::stderr(), "{}", Typed::command().render_help());
    USAGE
}

/// Prints why clap did not accept the command line: help and version as they are, an error in one
/// line.
pub(super) fn refuse(error: &clap::Error) -> Result<u8, Failure> {
    if !error.use_stderr() {
        let shown = error.render();
        let text = match io::stdout().is_terminal() {
            true => shown.ansi().to_string(),
            false => shown.to_string(),
        };
        print::result(&format!("{}\n", text.trim_end()))?;
        return Ok(SUCCESS);
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return Ok(USAGE);
    }
    let message = error.render().to_string();
    let lines: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let first = lines.join(" ");
    let first = first.strip_prefix("error: ").unwrap_or(&first);
    let meant = suggestion(error).map_or(String::new(), |meant| format!("; did you mean {meant}?"));
    print::error(&format!("{first}{meant}; see {}", help_for()));
    Ok(USAGE)
}

/// What clap thinks that was meant.
fn suggestion(error: &clap::Error) -> Option<String> {
    let kinds = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    let found = kinds.into_iter().find_map(|kind| error.get(kind))?;
    match found {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(several) => several.first().cloned(),
        _ => None,
    }
}

/// What shows the help about the command that was typed.
pub(super) fn help_for() -> String {
    let mut command = Typed::command();
    let mut shown = "llmzip".to_owned();
    for word in call::words().skip(1) {
        let Some(found) = word.to_str().and_then(|word| command.find_subcommand(word)) else {
            break;
        };
        shown += &format!(" {}", found.get_name());
        command = found.clone();
    }
    shown + " --help"
}

/// Refuses what looks like a command with a slip of the finger, and not like a file.
pub(super) fn refuse_misspelt_command(args: &PlainArgs) -> Result<(), Failure> {
    let first = args.rest.files.files.first();
    let Some(word) = first.and_then(|first| first.to_str()) else {
        return Ok(());
    };
    let is_path = word.contains(std::path::is_separator);
    if is_path || Path::new(word).symlink_metadata().is_ok() {
        return Ok(());
    }
    let typed = Typed::command();
    if word.len() > 1 && typed.find_subcommand(word).is_some() {
        return Err(Failure::usage(format!(
            "there is no file {word}, and the command comes first: llmzip {word} ..."
        )));
    }
    let commands = typed.get_subcommands().filter(|one| !one.is_hide_set());
    match text::similar(word, commands.map(clap::Command::get_name)) {
        Some(similar) => Err(Failure::usage(format!(
            "there is neither a file nor a command {word}; did you mean llmzip {similar}?"
        ))),
        None => Ok(()),
    }
}
