//! Arguments without a command, as users of zstd, xz and gzip type them.

use clap::Args;

use super::coding::CompressArgs;

/// What is done with the files is said by an option, or by the name that the program is called by.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlainArgs {
    /// Compress (the default)
    #[arg(
        short = 'z',
        long,
        overrides_with_all = ["decompress", "test", "list"],
        hide_short_help = true
    )]
    pub(in crate::cli) compress: bool,
    /// Decompress
    #[arg(
        short = 'd',
        long,
        alias = "uncompress",
        overrides_with_all = ["compress", "test", "list"]
    )]
    pub(in crate::cli) decompress: bool,
    /// Check that each FILE can be decompressed
    #[arg(short, long, overrides_with_all = ["compress", "decompress", "list"])]
    pub(in crate::cli) test: bool,
    /// List what each FILE consists of; -v lists more
    #[arg(short, long, overrides_with_all = ["compress", "decompress", "test"])]
    pub(in crate::cli) list: bool,
    /// Refuse a FILE that decompresses to more bytes than this, e.g. 2GB
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(in crate::cli) max_output: Option<String>,
    /// Options that only compression knows are ignored otherwise: `tar -I 'llmzip -5'` decompresses
    /// with `llmzip -5 -d`.
    #[command(flatten)]
    pub(in crate::cli) rest: CompressArgs,
}
