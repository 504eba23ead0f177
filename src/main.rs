//! The `llmzip` binary: parses the arguments, calls the command line and returns the exit code.

use llmzip::machine::memory::Allocator;

mod cli;

/// Ends the program with a sentence, not with a signal, where memory is refused.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    on_refusal: cli::end_without_memory,
};

fn main() -> std::process::ExitCode {
    cli::main()
}
