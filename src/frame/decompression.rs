//! Frames to original bytes, a block at a time.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Seek};
use std::sync::Arc;

use super::DecoderOptions;
use super::frame_decoder::{Coded, FrameDecoder};
use super::options::LONGEST_PARALLEL_FRAME;
use super::resolver::Resolve;
use super::summary::{OnProgress, Progress, Summary};
use crate::Error;
use crate::codec::{CodecError, Prime, Times};
use crate::container::{Block, FrameHeader, FramePart, FrameReader, Mode};
use crate::machine::pages::{self, Keep};

/// The most pieces of a frame that is read ahead.
const MOST_PIECES: usize = 1 << 14;

/// A run that decompresses.
pub(super) struct Decompression<R: Read> {
    reader: FrameReader<BufReader<R>>,
    /// What has been read ahead, and the error that ended it.
    ahead: VecDeque<Result<Piece, Error>>,
    /// Whether the frame at the head of `ahead` is decoded here.
    is_kept: bool,
    /// The frame being decoded.
    frame: Option<FrameDecoder>,
    /// The most original bytes that are allowed.
    limit: Option<u64>,
    primes: Vec<Arc<Prime>>,
    /// Blocks before this place of the original are not decoded where that is possible.
    skip_to: u64,
    summary: Summary,
    state: State,
    /// Many small frames use the same tables.
    _tables: Keep,
}

/// A frame that was read whole, and has what decoding needs.
pub(super) struct WholeFrame {
    pub(super) decoder: FrameDecoder,
    pub(super) blocks: Vec<Coded>,
    /// Original bytes, at least 1.
    pub(super) original_len: u64,
    /// Where it ends in the file.
    pub(super) end: u64,
}

/// What has been read at once.
struct Piece {
    content: Content,
    /// Where it ends in the file.
    end: u64,
}

enum Content {
    Header(FrameHeader),
    Block(Coded),
    FrameEnd,
}

#[derive(Clone, Copy)]
enum State {
    Reading,
    /// All frames are complete.
    Complete,
    /// An earlier call failed.
    Broken,
}

impl<R: Read> Decompression<R> {
    /// `options` but its models.
    pub(super) fn new(reader: R, options: &DecoderOptions) -> Decompression<R> {
        Decompression {
            reader: FrameReader::new(BufReader::new(reader)),
            ahead: VecDeque::new(),
            is_kept: false,
            frame: None,
            limit: options.limit,
            primes: options.primes.clone(),
            skip_to: 0,
            summary: Summary::default(),
            state: State::Reading,
            _tables: pages::keep(),
        }
    }

    /// The original bytes of the next block, which has passed its checks; `None` when all frames
    /// are complete. A block of an empty frame has none.
    pub(super) fn next_block(
        &mut self,
        resolve: Resolve<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Option<Vec<u8>>, Error> {
        match self.state {
            State::Complete => return Ok(None),
            State::Broken => return Err(Error::Broken),
            State::Reading => {}
        }
        self.state = State::Broken;
        let block = self.read_block(resolve, progress)?;
        self.state = match block {
            Some(_) => State::Reading,
            None => State::Complete,
        };
        Ok(block)
    }

    fn read_block(
        &mut self,
        resolve: Resolve<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Option<Vec<u8>>, Error> {
        while let Some(Piece { content, end }) = self.next_piece()? {
            self.summary.compressed_len = end;
            match content {
                Content::Header(header) => {
                    self.is_kept = false;
                    self.frame = Some(FrameDecoder::new(header, &self.primes)?);
                }
                Content::Block(coded) if self.can_skip(&coded.block) => {
                    self.summary.original_len += u64::from(coded.block.original_len);
                }
                Content::Block(coded) => return self.decode(coded, resolve, progress).map(Some),
                Content::FrameEnd => self.frame = None,
            }
        }
        self.summary.compressed_len = self.reader.offset();
        Ok(None)
    }

    fn decode(
        &mut self,
        coded: Coded,
        resolve: Resolve<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Vec<u8>, Error> {
        let before = self.summary.original_len;
        let after = before + u64::from(coded.block.original_len);
        if let Some(limit) = self.limit.filter(|&limit| after > limit) {
            return Err(Error::Limit { limit });
        }
        let frame = self.frame.as_mut().ok_or(CodecError::NoModel)?;
        let compressed = self.summary.compressed_len;
        let mode = coded.block.mode;
        let mut tell = |original| {
            progress(Progress {
                original,
                compressed,
            })
        };
        let original = frame.decode(coded, resolve, &mut |done| tell(before + done as u64))?;
        self.summary.times += frame.take_times();
        self.note_block(mode, original.len() as u64);
        match tell(after).is_break() {
            true => Err(Error::Cancelled),
            false => Ok(original),
        }
    }

    /// Takes the next frame out, to be decoded elsewhere; the caller notes what becomes of it,
    /// frame after frame. Those that it has not noted yet have `taken` original bytes. `None` if
    /// the next one must be decoded here: because it has begun, is long, lacks something, is
    /// damaged or, if no other is being decoded, the last one.
    pub(super) fn take_frame(&mut self, taken: u64, resolve: Resolve<'_>) -> Option<WholeFrame> {
        if self.is_kept || !matches!(self.state, State::Reading) || !self.end_frame() {
            return None;
        }
        let frame = self.whole_frame(taken, resolve);
        self.is_kept = frame.is_none();
        frame
    }

    /// Reads the end of the frame that was decoded here. Whether the next frame has not begun.
    fn end_frame(&mut self) -> bool {
        if self.frame.is_none() {
            return true;
        }
        self.read_ahead(1);
        let Some(Ok(Piece {
            content: Content::FrameEnd,
            end,
        })) = self.ahead.front()
        else {
            return false;
        };
        self.summary.compressed_len = *end;
        self.ahead.pop_front();
        self.frame = None;
        true
    }

    fn whole_frame(&mut self, taken: u64, resolve: Resolve<'_>) -> Option<WholeFrame> {
        let (pieces, original_len) = self.read_frame_ahead()?;
        let is_last = !self.read_ahead(pieces + 1) || self.ahead[pieces].is_err();
        let before = self.summary.original_len + taken;
        let is_beyond = |limit| before.saturating_add(original_len) > limit;
        if original_len == 0 || (is_last && taken == 0) || self.limit.is_some_and(is_beyond) {
            return None;
        }
        let mut decoder = None;
        for piece in self.ahead.range(..pieces).flatten() {
            match (&piece.content, &mut decoder) {
                (Content::Header(header), _) => {
                    decoder = Some(FrameDecoder::new(header.clone(), &self.primes).ok()?);
                }
                (Content::Block(coded), Some(decoder)) => {
                    decoder.prepare(coded.block.mode, resolve).ok()?;
                }
                _ => {}
            }
        }
        let mut frame = WholeFrame {
            decoder: decoder?,
            blocks: Vec::new(),
            original_len,
            end: 0,
        };
        for piece in self.ahead.drain(..pieces).flatten() {
            frame.end = piece.end;
            if let Content::Block(coded) = piece.content {
                frame.blocks.push(coded);
            }
        }
        Some(frame)
    }

    /// Reads the next frame to its end, and tells its number of pieces and original bytes. `None`
    /// if there is none, it is damaged, or it takes much memory.
    fn read_frame_ahead(&mut self) -> Option<(usize, u64)> {
        let (mut original_len, mut held) = (0, 0);
        for piece in 0..MOST_PIECES {
            if !self.read_ahead(piece + 1) {
                return None;
            }
            match &self.ahead[piece].as_ref().ok()?.content {
                Content::Header(_) => {}
                Content::Block(Coded { block, .. }) => {
                    original_len += u64::from(block.original_len);
                    held += block.payload.len() as u64;
                    if original_len.max(held) > LONGEST_PARALLEL_FRAME {
                        return None;
                    }
                }
                Content::FrameEnd => return Some((piece + 1, original_len)),
            }
        }
        None
    }

    /// Reads ahead until `pieces` wait. Whether the file has so many, an error counted as one.
    fn read_ahead(&mut self, pieces: usize) -> bool {
        while self.ahead.len() < pieces {
            match self.read_piece().transpose() {
                Some(piece) => self.ahead.push_back(piece),
                None => return false,
            }
        }
        true
    }

    /// Notes a block of a frame that was taken, and decoded.
    pub(super) fn note_block(&mut self, mode: Mode, len: u64) {
        self.summary.original_len += len;
        self.summary.modes.add(mode, len);
    }

    /// Notes the end of such a frame in the file, and the time that decoding it took.
    pub(super) fn note_frame(&mut self, end: u64, times: Times) {
        self.summary.compressed_len = end;
        self.summary.times += times;
    }

    /// How far decoding has come.
    pub(super) fn progress(&self) -> Progress {
        Progress {
            original: self.summary.original_len,
            compressed: self.summary.compressed_len,
        }
    }

    /// The next piece of the file: one that was read ahead, if there is one.
    fn next_piece(&mut self) -> Result<Option<Piece>, Error> {
        match self.ahead.pop_front() {
            Some(piece) => piece.map(Some),
            None => self.read_piece(),
        }
    }

    fn read_piece(&mut self) -> Result<Option<Piece>, Error> {
        let Some(part) = self.reader.next().map_err(Error::reading)? else {
            return Ok(None);
        };
        let content = match part {
            FramePart::Header(header) => Content::Header(header),
            FramePart::Block(block) => {
                let expected = self.reader.take_expected();
                Content::Block(Coded { block, expected })
            }
            FramePart::End(_) => Content::FrameEnd,
        };
        let end = self.reader.offset();
        Ok(Some(Piece { content, end }))
    }

    /// From now on does not decode what nobody needs of the original before `offset`, which counts
    /// from where this run began.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.skip_to = offset;
    }

    /// Whether the block lies before what is wanted, and no other block needs it.
    fn can_skip(&self, block: &Block) -> bool {
        let frame = self.frame.as_ref();
        frame.is_some_and(FrameDecoder::has_independent_blocks)
            && block.original_len > 0
            && self.summary.original_len + u64::from(block.original_len) <= self.skip_to
    }

    /// The totals so far.
    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    pub(super) fn reader(&self) -> &R {
        self.reader.get_ref().get_ref()
    }

    pub(super) fn reader_mut(&mut self) -> &mut R {
        self.reader.get_mut().get_mut()
    }

    pub(super) fn into_reader(self) -> R {
        self.reader.into_inner().into_inner()
    }
}

impl<R: Read + Seek> Decompression<R> {
    /// Begins again at `offset` of the input, where a data frame begins.
    pub(super) fn restart(&mut self, offset: u64) -> Result<(), Error> {
        self.state = State::Broken;
        self.reader.restart(offset).map_err(Error::Read)?;
        self.ahead.clear();
        self.frame = None;
        self.skip_to = 0;
        self.summary = Summary::default();
        self.state = State::Reading;
        Ok(())
    }
}
