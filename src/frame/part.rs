//! Decompression of a part of the original.

use std::io::{Read, Seek, Write};

use super::DecoderOptions;
use super::decompression::Decompression;
use super::random_access::RandomAccess;
use super::resolver::Resolve;
use super::summary::{OnProgress, Summary};
use crate::Error;

/// A part of an original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub offset: u64,
    /// Its length if the original has as much; `None` for everything up to the end.
    pub len: Option<u64>,
}

impl Part {
    /// Where it ends, or more.
    fn end(self) -> u64 {
        self.len
            .map_or(u64::MAX, |len| self.offset.saturating_add(len))
    }

    /// What `block`, which begins at `start`, has of this part.
    fn of(self, start: u64, block: &[u8]) -> &[u8] {
        let within = |place: u64| place.saturating_sub(start).min(block.len() as u64) as usize;
        &block[within(self.offset)..within(self.end())]
    }

    /// Refuses a part that begins behind the end of an original of `original_len` bytes.
    fn check(self, original_len: u64) -> Result<(), Error> {
        match self.offset <= original_len {
            true => Ok(()),
            false => Err(Error::BehindEnd {
                offset: self.offset,
                original_len,
            }),
        }
    }
}

/// Reads `input` from its start and writes `part` of the original to `output`. Everything up to the
/// end of the part is decoded.
///
/// # Errors
///
/// As [`decompress_with`](super::decompress_with), and [`Error::BehindEnd`].
pub fn decompress_part_with(
    input: impl Read,
    mut output: impl Write,
    part: Part,
    resolve: Resolve<'_>,
    options: &DecoderOptions,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    let mut decompression = Decompression::new(input, options);
    decompression.skip_to(part.offset);
    let mut written = 0;
    loop {
        let done = decompression.summary().original_len;
        if done >= part.end() && done >= part.offset {
            break;
        }
        let Some(block) = decompression.next_block(resolve, progress)? else {
            part.check(done)?;
            break;
        };
        let start = decompression.summary().original_len - block.len() as u64;
        let wanted = part.of(start, &block);
        output.write_all(wanted).map_err(Error::Write)?;
        written += wanted.len() as u64;
    }
    output.flush().map_err(Error::Write)?;
    Ok(Summary {
        original_len: written,
        ..decompression.summary()
    })
}

/// Writes `part` of the original of `file` to `output`. The frames before the part are not decoded.
///
/// # Errors
///
/// As [`decompress_part_with`].
pub fn decompress_seekable_part_with(
    file: impl Read + Seek,
    mut output: impl Write,
    part: Part,
    resolve: Resolve<'_>,
    options: &DecoderOptions,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    let mut file = RandomAccess::new(file, options)?;
    let mut position = part.offset;
    // A part of no bytes must begin within the original, too; so must one that begins so far behind
    // that its end has no number.
    if part.offset >= part.end() {
        part.check(file.original_len()?)?;
    }
    while position < part.end() {
        let Some((start, block)) = file.block_at(position, resolve, progress)? else {
            part.check(file.original_len()?)?;
            break;
        };
        let wanted = part.of(start, &block);
        output.write_all(wanted).map_err(Error::Write)?;
        position = start + block.len() as u64;
    }
    output.flush().map_err(Error::Write)?;
    let written = position.min(part.end()) - part.offset;
    Ok(Summary {
        original_len: written,
        ..file.summary()
    })
}
