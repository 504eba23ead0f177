//! Reads frames. The mirror image of [`super::writer`].

use std::fmt;
use std::io::{self, Read, Seek};

use xxhash_rust::xxh3::Xxh3;

use super::block::Block;
use super::block_header::BlockHeader;
use super::checksum::{self, FrameChecksum, seal};
use super::error::ContainerError;
use super::header::FrameHeader;
use super::index;
use super::source::{STEP, Source};
use super::{AUXILIARY_MAGIC, FrameTotals, MAGIC};

/// A part of a frame, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FramePart {
    /// A frame begins. Its header is undamaged.
    Header(FrameHeader),
    /// The next block of the frame. Its header and payload are undamaged.
    /// [`FrameReader::verify_block`] tells whether it decodes to the right bytes.
    Block(Block),
    /// The frame is complete and undamaged.
    End(FrameTotals),
}

/// Reads a file: any number of frames, at least one.
///
/// It holds one block at a time. Call [`next`](FrameReader::next) until it returns `None` or an
/// error.
pub struct FrameReader<R: Read> {
    source: Source<R>,
    state: State,
    data_frames: u64,
    /// The frame just before the next one, if that is a data frame.
    before: Option<FrameTotals>,
    /// What the last returned block must decode to; `None` after it has been verified.
    expected: Option<ExpectedOriginal>,
}

impl<R: Read> fmt::Debug for FrameReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader")
            .field("offset", &self.offset())
            .finish_non_exhaustive()
    }
}

/// What a file says of a block's original bytes.
#[derive(Debug)]
pub struct ExpectedOriginal {
    /// Number of the block in its frame, from 0.
    block: u64,
    len: u32,
    /// Their check, if the frame carries checks.
    check: Option<u32>,
}

impl ExpectedOriginal {
    /// Compares `original`, the decoded bytes of the block, with what the file says of them.
    ///
    /// # Errors
    ///
    /// [`ContainerError::Length`] or [`ContainerError::Check`] if they differ.
    pub fn verify(&self, original: &[u8]) -> Result<(), ContainerError> {
        let ExpectedOriginal { block, len, check } = *self;
        if original.len() != len as usize {
            return Err(ContainerError::Length {
                block,
                got: original.len() as u64,
                expected: u64::from(len),
            });
        }
        let got = checksum::check(original);
        match check {
            Some(expected) if got != expected => Err(ContainerError::Check {
                block,
                got,
                expected,
            }),
            _ => Ok(()),
        }
    }
}

enum State {
    BetweenFrames,
    /// The header was returned. The first block, whose seal covers the header, was read with it
    /// and is returned next; the flag says whether it is the last.
    FirstBlock(Box<Frame>, Block, bool),
    InFrame(Box<Frame>),
    /// The last block was returned.
    AfterLast(Box<Frame>),
    Ended,
}

/// A frame being read.
struct Frame {
    header: FrameHeader,
    header_bytes: Vec<u8>,
    start: u64,
    checksum: FrameChecksum,
    totals: FrameTotals,
    /// The check of the block last read, if the frame carries checks.
    check: Option<u32>,
}

impl<R: Read> FrameReader<R> {
    /// Reads from `input`, which should be buffered: headers are read a few bytes at a time.
    pub fn new(input: R) -> Self {
        FrameReader {
            source: Source::at(input, 0),
            state: State::BetweenFrames,
            data_frames: 0,
            before: None,
            expected: None,
        }
    }

    /// What the file is read from.
    pub fn get_ref(&self) -> &R {
        &self.source.input
    }

    /// What the file is read from. Reading from it directly leaves the reader out of step.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.source.input
    }

    /// Gives back what the file is read from.
    pub fn into_inner(self) -> R {
        self.source.input
    }

    /// Compressed bytes read so far.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// The next part; `None` at the end of the file, and after an error.
    ///
    /// # Errors
    ///
    /// Any [`ContainerError`] but `Check`, `Length` and `Unwritable`.
    #[expect(
        clippy::should_implement_trait,
        reason = "`?` reads better on a Result outside the Option"
    )]
    pub fn next(&mut self) -> Result<Option<FramePart>, ContainerError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::BetweenFrames => {
                let Some(mut frame) = self.begin_frame()? else {
                    return Ok(None);
                };
                let (block, last) = frame.read_block(&mut self.source)?;
                let header = frame.header.clone();
                self.state = State::FirstBlock(Box::new(frame), block, last);
                Ok(Some(FramePart::Header(header)))
            }
            State::FirstBlock(frame, block, last) => Ok(Some(self.give(frame, block, last))),
            State::InFrame(mut frame) => {
                let (block, last) = frame.read_block(&mut self.source)?;
                Ok(Some(self.give(frame, block, last)))
            }
            State::AfterLast(frame) => {
                let totals = frame.end(&mut self.source)?;
                self.expected = None;
                self.before = Some(totals);
                self.state = State::BetweenFrames;
                Ok(Some(FramePart::End(totals)))
            }
            State::Ended => Ok(None),
        }
    }

    /// Compares `original`, the decoded bytes of the block last returned, with what the file says
    /// of them. A caller that decodes must call this for every block; one that does not decode need
    /// not.
    ///
    /// # Errors
    ///
    /// As [`ExpectedOriginal::verify`].
    pub fn verify_block(&mut self, original: &[u8]) -> Result<(), ContainerError> {
        let expected = self.take_expected();
        expected.map_or(Ok(()), |expected| expected.verify(original))
    }

    /// What the file says of the block last returned, for a caller that decodes it later; `None` if
    /// it was taken or verified already.
    pub fn take_expected(&mut self) -> Option<ExpectedOriginal> {
        self.expected.take()
    }

    /// Returns a block that has been read, and notes what must follow it.
    fn give(&mut self, frame: Box<Frame>, block: Block, last: bool) -> FramePart {
        self.expected = Some(ExpectedOriginal {
            block: frame.totals.blocks - 1,
            len: block.original_len,
            check: frame.check,
        });
        self.state = if last {
            State::AfterLast(frame)
        } else {
            State::InFrame(frame)
        };
        FramePart::Block(block)
    }

    /// Reads up to and including the next data frame's header.
    fn begin_frame(&mut self) -> Result<Option<Frame>, ContainerError> {
        loop {
            let start = self.source.offset();
            let before = self.before.take();
            match Start::read(&mut self.source, self.data_frames)? {
                Start::End => return Ok(None),
                Start::Data => {
                    self.data_frames += 1;
                    return Frame::begin(&mut self.source, MAGIC.to_vec(), start).map(Some);
                }
                Start::Auxiliary => pass_auxiliary(&mut self.source, before.as_ref())?,
            }
        }
    }
}

impl<R: Read + Seek> FrameReader<R> {
    /// Continues at `offset` of the file, where a data frame begins.
    ///
    /// # Errors
    ///
    /// If the input cannot seek there. The reader is then of no further use.
    pub fn restart(&mut self, offset: u64) -> io::Result<()> {
        self.state = State::Ended;
        self.source.restart(offset)?;
        self.state = State::BetweenFrames;
        self.data_frames = 0;
        self.before = None;
        self.expected = None;
        Ok(())
    }
}

/// What begins where a frame may begin.
pub(super) enum Start {
    /// A data frame; its magic has been read.
    Data,
    /// An auxiliary frame; its magic has been read.
    Auxiliary,
    /// Nothing: the file ends, and `data_frames` have been read.
    End,
}

impl Start {
    /// Reads a magic after `data_frames` data frames.
    pub(super) fn read<R: Read>(
        source: &mut Source<R>,
        data_frames: u64,
    ) -> Result<Start, ContainerError> {
        let offset = source.offset();
        let mut bytes = Vec::new();
        source.append_available(MAGIC.len(), &mut bytes)?;
        if bytes == MAGIC {
            Ok(Start::Data)
        } else if bytes == AUXILIARY_MAGIC {
            Ok(Start::Auxiliary)
        } else if !bytes.is_empty() && offset > 0 {
            Err(ContainerError::TrailingData { offset, got: bytes })
        } else if !bytes.is_empty() {
            Err(ContainerError::NotLlmzip {
                got: bytes,
                expected: MAGIC,
            })
        } else if offset == 0 {
            Err(ContainerError::Empty)
        } else if data_frames == 0 {
            Err(ContainerError::NoData)
        } else {
            Ok(Start::End)
        }
    }
}

impl Frame {
    /// Reads a header. Its magic has been read into `bytes` already.
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

    /// Reads the next block and checks its seal; also returns whether it is the last.
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
        let field = "a block's checksums";
        let expected = u32::from_le_bytes(source.array(field, &mut trailer)?);
        self.check = if self.header.checksum {
            Some(u32::from_le_bytes(source.array(field, &mut trailer)?))
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
        // Only 2^40 blocks of 16 MiB could overflow the sums.
        self.totals.original_len += u64::from(header.original_len);
        self.totals.payload_len += u64::from(header.payload_len);
        let block = Block {
            mode: header.mode,
            filter: header.filter,
            original_len: header.original_len,
            streams: header.streams,
            payload,
        };
        Ok((block, header.last))
    }

    /// Reads and checks what follows the last block.
    fn end<R: Read>(mut self, source: &mut Source<R>) -> Result<FrameTotals, ContainerError> {
        if self.totals.blocks > 1 {
            let mut bytes = Vec::new();
            let field = "the frame's total length";
            let original_len = source.varint(field, &mut bytes)?;
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
                    part: "frame",
                    got,
                    expected,
                });
            }
        }
        self.totals.frame_len = source.offset() - self.start;
        Ok(self.totals)
    }
}

/// Reads and checks an auxiliary frame, whose magic has been read. `before` is the frame just
/// before it, if that is a data frame.
pub(super) fn pass_auxiliary<R: Read>(
    source: &mut Source<R>,
    before: Option<&FrameTotals>,
) -> Result<(), ContainerError> {
    index::check(&read_auxiliary(source)?, before)
}

/// Reads an auxiliary frame, whose magic has been read, and checks its checksum. Returns its
/// content, or the beginning of a content that is longer than that of an index.
pub(super) fn read_auxiliary<R: Read>(source: &mut Source<R>) -> Result<Vec<u8>, ContainerError> {
    let field = "an auxiliary frame";
    let mut bytes = AUXILIARY_MAGIC.to_vec();
    let mut left = source.varint(field, &mut bytes)?;
    let mut hasher = Xxh3::new();
    hasher.update(&bytes);
    let mut content = Vec::new();
    while left > 0 {
        bytes.clear();
        source.append(field, left.min(STEP as u64) as usize, &mut bytes)?;
        hasher.update(&bytes);
        left -= bytes.len() as u64;
        // An index is shorter than a step.
        if content.is_empty() {
            content.extend_from_slice(&bytes[..bytes.len().min(index::MAX_CONTENT + 1)]);
        }
    }
    let expected = u64::from_le_bytes(source.array(field, &mut bytes)?);
    let got = hasher.digest();
    if got != expected {
        return Err(ContainerError::Checksum {
            part: "auxiliary frame",
            got,
            expected,
        });
    }
    Ok(content)
}
