//! A frame that arrives in pieces: how much of it has to be there before a reader can go on.
//!
//! A [`FrameReader`](super::FrameReader) waits for its input. Whoever is handed bytes, and cannot
//! wait for more, asks here first. Only lengths are read here; the reader checks everything.

use super::block_header::BlockHeader;
use super::error::ContainerError;
use super::header::FrameHeader;
use super::reader::{Start, read_auxiliary};
use super::source::Source;
use super::{AUXILIARY_MAGIC, MAGIC};

/// What has arrived of one frame, from its magic on.
#[derive(Debug, Default)]
pub struct Arrival {
    header: Option<FrameHeader>,
    /// Blocks that have arrived, and their original bytes.
    blocks: u64,
    original_len: u64,
    has_last: bool,
    is_complete: bool,
    /// As long as fewer bytes are there, the next part has not arrived.
    wanted: usize,
}

/// A part of a frame that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// The header.
    Header,
    /// The next block.
    Block,
    /// What follows the last block.
    End,
    /// A whole auxiliary frame, undamaged. It has nothing of the original.
    Auxiliary,
}

impl Arrival {
    /// The frame's header, if it has arrived.
    pub fn header(&self) -> Option<&FrameHeader> {
        self.header.as_ref()
    }

    /// Blocks that have arrived.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Original bytes of these blocks.
    pub fn original_len(&self) -> u64 {
        self.original_len
    }

    /// Whether the frame has arrived to its end.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The next part, if it has arrived, and the number of its bytes. `bytes` are those that follow
    /// the last part. Behind the end of the frame there is no part.
    ///
    /// # Errors
    ///
    /// If the bytes are no part of a frame.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<(Arrived, usize)>, ContainerError> {
        if self.is_complete || bytes.len() < self.wanted {
            return Ok(None);
        }
        let mut source = Source::at(bytes, 0);
        let part = match (&self.header, self.has_last) {
            (None, _) => self.begin(&mut source),
            (Some(header), false) => {
                let checksums = header.checksums_len() as usize;
                let block = BlockHeader::decode(&mut source, header, self.blocks, &mut Vec::new());
                block.and_then(|block| self.block(&mut source, &block, checksums))
            }
            (Some(_), true) => self.end(&mut source),
        };
        match part {
            Ok(part) => {
                self.wanted = 0;
                Ok(Some((part, source.offset() as usize)))
            }
            Err(ContainerError::Truncated { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn begin(&mut self, source: &mut Source<&[u8]>) -> Result<Arrived, ContainerError> {
        let may_become =
            |magic: &[u8]| magic.len() > source.input.len() && magic.starts_with(source.input);
        if may_become(&MAGIC) || may_become(&AUXILIARY_MAGIC) {
            return Err(source.truncated("a magic"));
        }
        if let Start::Auxiliary = Start::read(source, 0)? {
            self.want_auxiliary(source)?;
            read_auxiliary(source)?;
            self.is_complete = true;
            return Ok(Arrived::Auxiliary);
        }
        self.header = Some(FrameHeader::decode(source, &mut MAGIC.to_vec())?);
        Ok(Arrived::Header)
    }

    /// The block whose header has been read, if its payload and checksums are there.
    fn block(
        &mut self,
        source: &mut Source<&[u8]>,
        block: &BlockHeader,
        checksums: usize,
    ) -> Result<Arrived, ContainerError> {
        let len = block.payload_len as usize + checksums;
        self.want(source, len as u64)?;
        source.pass(len);
        self.blocks += 1;
        self.original_len += u64::from(block.original_len);
        self.has_last = block.last;
        Ok(Arrived::Block)
    }

    /// The end of a frame, which only a frame of several blocks has.
    fn end(&mut self, source: &mut Source<&[u8]>) -> Result<Arrived, ContainerError> {
        if self.blocks > 1 {
            let (field, mut bytes) = ("the frame's end", Vec::new());
            source.varint(field, &mut bytes)?;
            source.array::<8>(field, &mut bytes)?;
        }
        self.is_complete = true;
        Ok(Arrived::End)
    }

    /// Whether the auxiliary frame is there, whose magic has been read.
    fn want_auxiliary(&mut self, source: &Source<&[u8]>) -> Result<(), ContainerError> {
        let mut ahead = Source::at(source.input, source.offset());
        let len = ahead.varint("an auxiliary frame", &mut Vec::new())?;
        self.want(&ahead, len.saturating_add(8))
    }

    /// Asks for `len` bytes behind those read.
    fn want(&mut self, source: &Source<&[u8]>, len: u64) -> Result<(), ContainerError> {
        if source.input.len() as u64 >= len {
            return Ok(());
        }
        let wanted = source.offset().saturating_add(len);
        self.wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        Err(source.truncated("a part of a frame"))
    }
}
