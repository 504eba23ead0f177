//! Lists what a compressed file consists of, from its headers and checksums. No model is needed.

use std::io::{BufReader, Read};

use llmzip::container::{
    Block, ContainerError, FrameHeader, FramePart, FrameReader, FrameTotals, Mode, ModelRef,
};
use llmzip::predict::Settings;
use llmzip::store::{embedded, hex};

use super::level::NO_MODEL;
use super::text;

/// Most frames that are listed, so that a hostile file cannot fill the memory.
const MOST_LISTED: usize = 100_000;

/// What a compressed file consists of.
#[derive(Default)]
pub(super) struct Contents {
    /// The first frames.
    pub(super) frames: Vec<FrameContents>,
    /// Frames behind them.
    pub(super) unlisted: u64,
    /// The lengths of all frames added up.
    pub(super) totals: FrameTotals,
    /// Most streams of a block.
    pub(super) most_streams: usize,
    /// The settings of the experts that frames need.
    pub(super) experts: Vec<Settings>,
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
        let mut contents = Contents::default();
        let mut current = None;
        while let Some(part) = reader.next()? {
            match (part, &mut current) {
                (FramePart::Header(header), _) => current = Some(FrameContents::new(header)),
                (FramePart::Block(block), Some(frame)) => frame.count(&block),
                (FramePart::End(end), _) => {
                    if let Some(mut frame) = current.take() {
                        frame.totals = end;
                        contents.add(frame);
                    }
                }
                // The reader returns the header of a frame first.
                (FramePart::Block(_), None) => {}
            }
        }
        // Auxiliary frames are part of the file, too.
        contents.totals.frame_len = reader.offset();
        Ok(contents)
    }

    /// How many frames there are.
    pub(super) fn frame_count(&self) -> u64 {
        self.frames.len() as u64 + self.unlisted
    }

    fn add(&mut self, frame: FrameContents) {
        self.totals.blocks += frame.totals.blocks;
        self.totals.original_len += frame.totals.original_len;
        self.totals.payload_len += frame.totals.payload_len;
        self.most_streams = self.most_streams.max(frame.most_streams);
        if let Some(settings) = frame.experts()
            && !self.experts.contains(&settings)
        {
            self.experts.push(settings);
        }
        if self.frames.len() < MOST_LISTED {
            self.frames.push(frame);
        } else {
            self.unlisted += 1;
        }
    }
}

impl FrameContents {
    fn new(header: FrameHeader) -> FrameContents {
        FrameContents {
            header,
            totals: FrameTotals::default(),
            modes: [ModeTotals::default(); 3],
            most_streams: 0,
        }
    }

    /// The settings of the experts, if the frame needs them. A single stored block does not.
    fn experts(&self) -> Option<Settings> {
        let stored = self.of_mode(Mode::Raw).blocks == self.totals.blocks;
        match stored && self.totals.blocks <= 1 {
            true => None,
            false => Settings::from_preset(self.header.preset, self.header.model.is_some()),
        }
    }

    /// What its model is called in a few letters.
    pub(super) fn model_name(&self) -> String {
        match &self.header.model {
            None => NO_MODEL.to_owned(),
            Some(model) => match named(model) {
                Some(name) => text::printable(name),
                None => hex(&model.identity[..4]),
            },
        }
    }

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

/// The name that a file holds for its model, or that the built-in model has.
pub(super) fn named(model: &ModelRef) -> Option<&str> {
    let built_in = || embedded::name_of(&model.identity);
    model.name.as_deref().or_else(built_in)
}
