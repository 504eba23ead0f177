//! Lists what a compressed file consists of, from its headers and checksums. No model is needed.

use std::io::{BufReader, Read};

use llmzip::container::{
    Block, ContainerError, FrameHeader, FramePart, FrameReader, FrameTotals, Mode,
};

/// What a compressed file consists of.
pub(super) struct Contents {
    pub(super) frames: Vec<FrameContents>,
    /// The lengths of all frames added up.
    pub(super) totals: FrameTotals,
}

/// What one frame consists of.
pub(super) struct FrameContents {
    pub(super) header: FrameHeader,
    pub(super) totals: FrameTotals,
    /// By the value of [`Mode`].
    modes: [ModeTotals; 3],
    /// Most streams of a block.
    pub(super) most_streams: usize,
}

/// The blocks of one mode in a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ModeTotals {
    pub(super) blocks: u64,
    pub(super) original_len: u64,
    pub(super) payload_len: u64,
}

impl Contents {
    /// Reads a whole file. Headers and payloads are checked; nothing is decoded.
    pub(super) fn read(input: impl Read) -> Result<Contents, ContainerError> {
        let mut reader = FrameReader::new(BufReader::new(input));
        let mut frames: Vec<FrameContents> = Vec::new();
        let mut totals = FrameTotals::default();
        while let Some(part) = reader.next()? {
            match (part, frames.last_mut()) {
                (FramePart::Header(header), _) => frames.push(FrameContents {
                    header,
                    totals: FrameTotals::default(),
                    modes: [ModeTotals::default(); 3],
                    most_streams: 0,
                }),
                (FramePart::Block(block), Some(frame)) => frame.count(&block),
                (FramePart::End(end), Some(frame)) => {
                    frame.totals = end;
                    totals.blocks += end.blocks;
                    totals.original_len += end.original_len;
                    totals.payload_len += end.payload_len;
                }
                // The reader returns the header of a frame first.
                (FramePart::Block(_) | FramePart::End(_), None) => {}
            }
        }
        // Auxiliary frames are part of the file, too.
        totals.frame_len = reader.offset();
        Ok(Contents { frames, totals })
    }

    /// Most streams of a block.
    pub(super) fn most_streams(&self) -> usize {
        let streams = self.frames.iter().map(|frame| frame.most_streams);
        streams.max().unwrap_or(0)
    }

    /// Whether a frame without a model needs the experts. A single stored block does not.
    pub(super) fn needs_experts_alone(&self) -> bool {
        self.frames.iter().any(|frame| {
            let stored = frame.totals.blocks == 1 && frame.of_mode(Mode::Raw).blocks == 1;
            frame.header.model.is_none() && !stored
        })
    }
}

impl FrameContents {
    fn count(&mut self, block: &Block) {
        let totals = &mut self.modes[block.mode as usize];
        totals.blocks += 1;
        totals.original_len += u64::from(block.original_len);
        totals.payload_len += block.payload.len() as u64;
        self.most_streams = self.most_streams.max(block.streams.len());
    }

    /// The blocks of one mode.
    pub(super) fn of_mode(&self, mode: Mode) -> ModeTotals {
        self.modes[mode as usize]
    }
}
