//! The meaning of a command line without a command.

use std::ffi::OsStr;
use std::path::Path;

use super::coding::{self, CompressJob, DecompressJob, InfoJob};
use crate::cli::failure::Failure;
use crate::cli::typed::{CompressArgs, DecompressArgs, PlainArgs, ReadingArgs, TestArgs};

/// What the name says that the program is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum CalledAs {
    /// `llmzip`, `llmz`, or whatever a user renamed it to.
    Llmzip,
    /// `unllmzip`, which decompresses.
    Unllmzip,
    /// `llmzcat`, which decompresses to standard output.
    Llmzcat,
}

impl CalledAs {
    /// Reads the first word of a command line.
    pub(in crate::cli) fn from_word(word: &OsStr) -> CalledAs {
        match Path::new(word).file_stem().and_then(OsStr::to_str) {
            Some("unllmzip" | "unllmz") => CalledAs::Unllmzip,
            Some("llmzcat") => CalledAs::Llmzcat,
            _ => CalledAs::Llmzip,
        }
    }
}

/// What is to be done.
pub(in crate::cli) enum PlainJob {
    Compress(CompressJob),
    Decompress(DecompressJob),
    List(InfoJob),
}

pub(in crate::cli) fn plain(mut args: PlainArgs, called_as: CalledAs) -> Result<PlainJob, Failure> {
    let said = args.compress || args.decompress || args.test || args.list;
    match called_as {
        CalledAs::Llmzip => {}
        CalledAs::Unllmzip => args.decompress |= !said,
        CalledAs::Llmzcat => {
            args.decompress |= !said;
            // As for any other name, -o says where the output goes instead.
            args.rest.output.stdout |= args.rest.output.output.is_none();
        }
    }
    if args.list {
        return Ok(PlainJob::List(coding::list(args.rest)));
    }
    if args.test {
        let args = test_args(args);
        return Ok(PlainJob::Decompress(coding::test(args)?));
    }
    if args.decompress {
        let args = decompress_args(args);
        return Ok(PlainJob::Decompress(coding::decompress(args)?));
    }
    Ok(PlainJob::Compress(coding::compress(args.rest)?))
}

fn decompress_args(args: PlainArgs) -> DecompressArgs {
    let CompressArgs {
        files,
        output,
        resources,
        verbosity,
        model,
        prime,
        ..
    } = args.rest;
    DecompressArgs {
        files,
        output,
        resources,
        reading: ReadingArgs {
            model,
            prime: prime.into_iter().collect(),
            max_output: args.max_output,
            check: false,
            no_check: false,
        },
        verbosity,
    }
}

fn test_args(args: PlainArgs) -> TestArgs {
    let force = args.rest.output.force;
    let args = decompress_args(args);
    TestArgs {
        files: args.files,
        force,
        resources: args.resources,
        reading: args.reading,
        verbosity: args.verbosity,
    }
}
