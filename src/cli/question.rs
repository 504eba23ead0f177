//! Questions to the user, where there is a terminal to ask at.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use llmzip::machine::patient::Patient;

use super::text;

/// Whether somebody can read a question and answer it.
pub(super) fn can_be_asked() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question that `y` answers with yes, and everything else with no.
pub(super) fn ask(question: &str) -> bool {
    let mut line = String::new();
    let question = text::printable(question);
    let _ = write!(io::stderr(), "llmzip: {question} [y/N] ");
    let mut answer = BufReader::new(Patient(io::stdin().lock()));
    answer.read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes" | "Yes" | "YES")
}
