//! Reading frames.

use std::io::{ErrorKind, Read};

use super::block::{Block, BlockHeader};
use super::checksum::{FrameChecksum, check, seal};
use super::error::ContainerError;
use super::{AUXILIARY_MAGIC, FrameHeader, FrameTotals, MAGIC, varint};

/// Bytes are asked for in steps of at most this many, so that a length that lies costs no memory.
const STEP: usize = 1 << 16;

/// What a file is made of, in the order of reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame begins. Its header has been found undamaged.
    FrameStart(FrameHeader),
    /// The next block of the frame. Headers and payload have been found undamaged; whether it
    /// decodes to the right bytes is for [`FrameReader::verify_block`] to say.
    Block(Block),
    /// The frame ended as it should.
    FrameEnd(FrameTotals),
}

/// Reads a file: any number of frames, at least one.
///
/// Holds one block at a time. `next` is called until it gives `None`; an error ends the reading.
pub struct FrameReader<R: Read> {
    source: Source<R>,
    state: State,
    data_frames: u64,
    /// Number, length and check (if the frame has them) of the block last given out.
    unverified: Option<(u64, u32, Option<u32>)>,
}

enum State {
    BetweenFrames,
    /// The header was given out; its first block, read along with it, was not.
    FirstBlock(Box<Frame>, Block, bool),
    InFrame(Box<Frame>),
    /// The last block was given out.
    AfterLast(Box<Frame>),
    Failed,
}

/// A frame being read.
struct Frame {
    header: FrameHeader,
    header_bytes: Vec<u8>,
    start: u64,
    checksum: FrameChecksum,
    totals: FrameTotals,
    /// The check carried by the block last read.
    check: Option<u32>,
}

impl<R: Read> FrameReader<R> {
    /// Reads from `input`, which is best buffered: headers are read a few bytes at a time.
    pub fn new(input: R) -> Self {
        FrameReader {
            source: Source { input, offset: 0 },
            state: State::BetweenFrames,
            data_frames: 0,
            unverified: None,
        }
    }

    /// Compressed bytes read so far.
    pub fn offset(&self) -> u64 {
        self.source.offset
    }

    /// The next item; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// Any [`ContainerError`] but `Check`, `Length` and `Unwritable`. After an error, and after
    /// `None`, there is nothing more to be had: the answer is `None`.
    #[allow(clippy::should_implement_trait)] // `?` reads better on a Result outside the Option
    pub fn next(&mut self) -> Result<Option<Item>, ContainerError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::BetweenFrames => {
                let Some(mut frame) = self.begin_frame()? else {
                    return Ok(None);
                };
                let (block, last) = frame.read_block(&mut self.source)?;
                let header = frame.header.clone();
                self.state = State::FirstBlock(Box::new(frame), block, last);
                Ok(Some(Item::FrameStart(header)))
            }
            State::FirstBlock(frame, block, last) => Ok(Some(self.give(frame, block, last))),
            State::InFrame(mut frame) => {
                let (block, last) = frame.read_block(&mut self.source)?;
                Ok(Some(self.give(frame, block, last)))
            }
            State::AfterLast(frame) => {
                let totals = frame.end(&mut self.source)?;
                self.unverified = None;
                self.state = State::BetweenFrames;
                Ok(Some(Item::FrameEnd(totals)))
            }
            State::Failed => Ok(None),
        }
    }

    /// Compares what the block last given out was decoded to with what the file says it was.
    /// Calling this is the decoder's duty; reading on without it is for those who decode nothing.
    ///
    /// # Errors
    ///
    /// [`ContainerError::Length`] and [`ContainerError::Check`].
    pub fn verify_block(&mut self, original: &[u8]) -> Result<(), ContainerError> {
        let Some((block, len, expected)) = self.unverified.take() else {
            return Ok(());
        };
        if original.len() != len as usize {
            return Err(ContainerError::Length {
                block,
                got: original.len() as u64,
                expected: u64::from(len),
            });
        }
        let Some(expected) = expected else {
            return Ok(());
        };
        let got = check(original);
        if got == expected {
            Ok(())
        } else {
            Err(ContainerError::Check {
                block,
                got,
                expected,
            })
        }
    }

    fn give(&mut self, frame: Box<Frame>, block: Block, last: bool) -> Item {
        self.unverified = Some((frame.totals.blocks - 1, block.original_len, frame.check));
        self.state = if last {
            State::AfterLast(frame)
        } else {
            State::InFrame(frame)
        };
        Item::Block(block)
    }

    /// Reads up to and including the next data frame's header.
    fn begin_frame(&mut self) -> Result<Option<Frame>, ContainerError> {
        loop {
            let start = self.source.offset;
            let mut bytes = Vec::new();
            self.source.append_available(MAGIC.len(), &mut bytes)?;
            if bytes == MAGIC {
                self.data_frames += 1;
                return Frame::begin(&mut self.source, bytes, start).map(Some);
            } else if bytes == AUXILIARY_MAGIC {
                self.source.skip_auxiliary(bytes)?;
            } else if !bytes.is_empty() && start > 0 {
                return Err(ContainerError::TrailingData {
                    offset: start,
                    got: bytes,
                });
            } else if !bytes.is_empty() {
                return Err(ContainerError::NotLlmzip {
                    got: bytes,
                    expected: MAGIC,
                });
            } else if start == 0 {
                return Err(ContainerError::Empty);
            } else if self.data_frames == 0 {
                return Err(ContainerError::NoData);
            } else {
                return Ok(None);
            }
        }
    }
}

impl Frame {
    /// Reads a header whose magic has been read into `bytes`.
    fn begin<R: Read>(
        source: &mut Source<R>,
        mut bytes: Vec<u8>,
        start: u64,
    ) -> Result<Frame, ContainerError> {
        let header = FrameHeader::decode(source, &mut bytes)?;
        Ok(Frame {
            header,
            checksum: FrameChecksum::new(&bytes),
            header_bytes: bytes,
            start,
            totals: FrameTotals::default(),
            check: None,
        })
    }

    /// Reads the next block and checks its seal. Also says whether it is the last.
    fn read_block<R: Read>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<(Block, bool), ContainerError> {
        let number = self.totals.blocks;
        let mut header_bytes = Vec::new();
        let header = BlockHeader::decode(source, &self.header, number, &mut header_bytes)?;
        let mut payload = Vec::new();
        source.append(
            "a block's payload",
            header.payload_len as usize,
            &mut payload,
        )?;
        let mut trailer = Vec::new();
        let place = "a block's checksums";
        let expected = u32::from_le_bytes(source.array(place, &mut trailer)?);
        self.check = if self.header.checksum {
            Some(u32::from_le_bytes(source.array(place, &mut trailer)?))
        } else {
            None
        };
        let got = seal(&self.header_bytes, number, &header_bytes, &payload);
        if got != expected {
            return Err(ContainerError::Seal {
                block: number,
                got,
                expected,
            });
        }
        self.checksum.block(&trailer);
        self.totals.blocks += 1;
        // 2^40 blocks of 16 MiB are needed to overflow, and bytes for each of them.
        self.totals.original_len += u64::from(header.original_len);
        self.totals.payload_len += u64::from(header.payload_len);
        let block = Block {
            mode: header.mode,
            original_len: header.original_len,
            streams: header.streams,
            payload,
        };
        Ok((block, header.last))
    }

    /// Reads and checks what stands behind the last block.
    fn end<R: Read>(mut self, source: &mut Source<R>) -> Result<FrameTotals, ContainerError> {
        if self.totals.blocks > 1 {
            let mut bytes = Vec::new();
            let place = "the frame's total length";
            let original_len = source.varint(place, &mut bytes)?;
            let expected = u64::from_le_bytes(source.array("the frame's checksum", &mut bytes)?);
            if self.totals.original_len != original_len {
                return Err(ContainerError::TotalLength {
                    got: self.totals.original_len,
                    expected: original_len,
                });
            }
            let got = self.checksum.finish(original_len);
            if got != expected {
                return Err(ContainerError::Checksum {
                    place: "frame",
                    got,
                    expected,
                });
            }
        }
        self.totals.frame_len = source.offset - self.start;
        Ok(self.totals)
    }
}

/// The input, and how much of it has been read.
pub(super) struct Source<R> {
    input: R,
    offset: u64,
}

impl<R: Read> Source<R> {
    /// Reads exactly `N` bytes; they are also appended to `bytes`.
    pub(super) fn array<const N: usize>(
        &mut self,
        place: &'static str,
        bytes: &mut Vec<u8>,
    ) -> Result<[u8; N], ContainerError> {
        let mut array = [0; N];
        let got = self.fill(&mut array)?;
        if got < N {
            return Err(self.truncated(place));
        }
        bytes.extend_from_slice(&array);
        Ok(array)
    }

    /// Reads one varint; its bytes are also appended to `bytes`.
    pub(super) fn varint(
        &mut self,
        place: &'static str,
        bytes: &mut Vec<u8>,
    ) -> Result<u64, ContainerError> {
        varint::read(place, || Ok(self.array::<1>(place, bytes)?[0]))
    }

    /// Appends exactly `len` bytes.
    pub(super) fn append(
        &mut self,
        place: &'static str,
        len: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ContainerError> {
        let end = bytes.len() + len;
        self.append_available(len, bytes)?;
        if bytes.len() < end {
            return Err(self.truncated(place));
        }
        Ok(())
    }

    /// Appends `len` bytes, or as many as there are.
    fn append_available(&mut self, len: usize, bytes: &mut Vec<u8>) -> Result<(), ContainerError> {
        let end = bytes.len() + len;
        while bytes.len() < end {
            let start = bytes.len();
            bytes.resize(start + (end - start).min(STEP), 0);
            let got = self.fill(&mut bytes[start..])?;
            let full = start + got == bytes.len();
            bytes.truncate(start + got);
            if !full {
                break;
            }
        }
        Ok(())
    }

    /// Reads and checks an auxiliary frame whose magic is in `bytes`.
    fn skip_auxiliary(&mut self, mut bytes: Vec<u8>) -> Result<(), ContainerError> {
        let place = "an auxiliary frame";
        let mut left = self.varint(place, &mut bytes)?;
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&bytes);
        while left > 0 {
            bytes.clear();
            self.append(place, left.min(STEP as u64) as usize, &mut bytes)?;
            hasher.update(&bytes);
            left -= bytes.len() as u64;
        }
        let expected = u64::from_le_bytes(self.array(place, &mut bytes)?);
        let got = hasher.digest();
        if got == expected {
            Ok(())
        } else {
            Err(ContainerError::Checksum {
                place: "auxiliary frame",
                got,
                expected,
            })
        }
    }

    fn truncated(&self, place: &'static str) -> ContainerError {
        ContainerError::Truncated {
            offset: self.offset,
            place,
        }
    }

    /// Fills `buffer` as far as the input goes.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ContainerError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }
}
