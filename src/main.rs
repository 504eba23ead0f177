//! The `llmzip` binary: parses the arguments, calls the command line and returns the exit code.

use std::process::ExitCode;

use llmzip::cli::{self, Call};
use llmzip::machine::memory::Allocator;

/// Ends the program with a sentence, not with a signal, where memory is refused.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    on_refusal: cli::end_without_memory,
};

/// Runs before Rust's runtime changes what it records.
#[cfg(unix)]
#[used]
#[cfg_attr(
    target_vendor = "apple",
    unsafe(link_section = "__DATA,__mod_init_func")
)]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static RECORD_INHERITED: extern "C" fn() = llmzip::machine::inherited::record;

fn main() -> ExitCode {
    ExitCode::from(cli::start(Call::of_process()))
}
