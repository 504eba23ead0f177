//! Arguments of `llmzip devices`.

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct DevicesArgs {
    /// Compare each device with the CPU again, and remember the outcome
    ///
    /// Each device is compared when it is first used, and again with a new driver or version of
    /// llmzip. One that computes other bits is not used.
    #[arg(long)]
    pub(in crate::cli) test: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
