//! Bytes to a frame.

use std::io::{Read, Write, sink};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::codec::cost::{CostRecorder, SymbolCost};
use crate::codec::encode::{self, BlockEncoder, Stream};
use crate::codec::plan::{self, Class, Verdict};
use crate::codec::{CodecError, Symbol};
use crate::container::{
    Block, ContainerError, FrameHeader, FrameWriter, MAX_BLOCK_LEN, MAX_STREAMS, Mode,
};
use crate::predict::{PREDICTOR_VERSION, Preset, Settings};
use crate::{Error, Model, OnProgress, Progress, Summary};

/// How to compress. The default: no language model, all experts, checksums.
#[derive(Clone)]
pub struct CompressOptions {
    /// The language model; none leaves everything to the experts.
    pub model: Option<Arc<Model>>,
    /// Whether adaptive experts help the model. For measurement: files get larger without.
    pub experts: bool,
    /// How many experts.
    pub preset: Preset,
    /// Whether each block carries a check of its original bytes.
    pub checksum: bool,
    /// Blocks share no state: each can be read without those before it, and the file is larger.
    pub independent_blocks: bool,
    /// The most original bytes in a block, 1..=16 MiB; memory and the delay of streams grow with it.
    pub block_len: u32,
    /// Streams in each block that a model codes, 1..=[`MAX_STREAMS`]; fewer in blocks of few bytes. More are faster to
    /// decompress, and larger. By default a rule on the block's bytes and the model's size.
    pub streams: Option<usize>,
    /// Whether [`Summary::cross_entropy`] is wanted. The bytes written do not depend on it.
    pub count_cross_entropy: bool,
}

impl Default for CompressOptions {
    fn default() -> Self {
        CompressOptions {
            model: None,
            experts: true,
            preset: Preset::Normal,
            checksum: true,
            independent_blocks: false,
            block_len: 1 << 20,
            streams: None,
            count_cross_entropy: false,
        }
    }
}

impl CompressOptions {
    fn settings(&self) -> Settings {
        Settings {
            experts: self.experts,
            preset: self.preset,
            with_model: self.model.is_some(),
        }
    }

    /// Bytes of the packed model, if there is one.
    fn model_bytes(&self) -> usize {
        let model = self.model.as_ref();
        model.map_or(0, |model| model.runtime().model().size())
    }

    /// The most streams a block will have.
    #[must_use]
    pub fn most_streams(&self) -> usize {
        self.streams
            .unwrap_or_else(|| plan::most_streams(self.model_bytes()))
    }
}

/// Reads `input` to its end and writes one compressed frame to `output`.
///
/// Memory does not grow with the input: `block_len` bytes at a time are held. The bytes written
/// depend on the input, the options and the model alone: not on the machine, the number of threads
/// or how `input` hands out its bytes.
///
/// # Errors
///
/// [`Error::Read`], [`Error::Write`], and [`Error::Unsupported`] for options out of range.
pub fn compress(
    input: impl Read,
    output: impl Write,
    options: &CompressOptions,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    let costs = options.count_cross_entropy.then(CostRecorder::sum);
    write_frame(input, output, options, costs, &mut |_| {}, progress)
}

/// What became of a stretch of input.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedBlock {
    /// How it was coded.
    pub mode: Mode,
    /// Original bytes.
    pub original_len: u64,
    /// What each symbol of it cost, in order; empty if it is stored.
    pub symbols: Vec<SymbolCost>,
}

/// Compresses as [`compress`] does, without writing anything, and gives what each piece of the input costs, block by
/// block, and what it all amounts to, [`Summary::cross_entropy`] included. Some 60 bytes of memory a token.
///
/// # Errors
///
/// As [`compress`].
pub fn trace(
    input: impl Read,
    options: &CompressOptions,
    progress: OnProgress<'_>,
) -> Result<(Summary, Vec<TracedBlock>), Error> {
    let mut blocks = Vec::new();
    let mut on_block = |block| blocks.push(block);
    let costs = Some(CostRecorder::detailed());
    let summary = write_frame(input, sink(), options, costs, &mut on_block, progress)?;
    Ok((summary, blocks))
}

/// Reads `input` to its end and writes one frame; `costs`, if given, records every block.
fn write_frame(
    mut input: impl Read,
    output: impl Write,
    options: &CompressOptions,
    costs: Option<CostRecorder>,
    on_block: &mut dyn FnMut(TracedBlock),
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    if !(1..=MAX_BLOCK_LEN).contains(&options.block_len) {
        return Err(Error::Unsupported("a block has 1 byte to 16 MiB"));
    }
    if !(1..=MAX_STREAMS).contains(&options.streams.unwrap_or(1)) {
        return Err(Error::Unsupported("a block has 1 to 16 streams"));
    }
    if options.model.is_some() && !cfg!(feature = "encode") {
        return Err(Error::Unsupported(
            "this build compresses without language models only",
        ));
    }
    let preset = options.settings().to_preset();
    let header = FrameHeader {
        model: options.model.as_ref().map(|model| model.reference()),
        predictor: PREDICTOR_VERSION,
        preset: preset.ok_or(Error::Unsupported(
            "the light preset is of the experts alone, without a model",
        ))?,
        independent_blocks: options.independent_blocks,
        checksum: options.checksum,
    };
    let records_costs = costs.is_some();
    let mut frame = FrameEncoder {
        writer: FrameWriter::new(output, &header).map_err(writing)?,
        options,
        start: Start { options, costs },
        blocks: None,
        summary: Summary {
            cross_entropy: records_costs.then_some(0.0),
            ..Summary::default()
        },
        on_block,
        progress,
    };
    loop {
        let mut window = Vec::new();
        input
            .by_ref()
            .take(u64::from(options.block_len))
            .read_to_end(&mut window)
            .map_err(Error::Read)?;
        for (range, class) in plan::runs(&window) {
            frame.run(&window[range], class)?;
        }
        if window.len() < options.block_len as usize {
            break;
        }
    }
    frame.finish()
}

struct FrameEncoder<'a, W: Write> {
    writer: FrameWriter<W>,
    options: &'a CompressOptions,
    start: Start<'a>,
    /// What the blocks so far have taught; `None` before the first.
    blocks: Option<BlockEncoder>,
    summary: Summary,
    on_block: &'a mut dyn FnMut(TracedBlock),
    progress: OnProgress<'a>,
}

/// A first run of at most this many bytes is coded in every mode, and the shortest result kept.
const TRY_ALL: usize = 64 << 10;
/// Shorter runs might not even pay for the coder's last word.
const SHORT_RUN: usize = 4 << 10;

impl<W: Write> FrameEncoder<'_, W> {
    /// Codes one run of the plan as a block.
    fn run(&mut self, bytes: &[u8], class: Class) -> Result<(), Error> {
        if self.options.independent_blocks {
            self.blocks = None;
        }
        if class == Class::Incompressible {
            return self.store(bytes);
        }
        let use_model = self.options.model.is_some() && class == Class::Text;
        if self.blocks.is_none() && bytes.len() <= TRY_ALL {
            return self.try_all(bytes, use_model);
        }
        let (verdict, with_model) = match use_model {
            true => self.judge(bytes)?,
            false => (Verdict::Experts, Way::Experts),
        };
        let encoder = self.take_encoder()?;
        let before = match bytes.len() < SHORT_RUN || plan::is_nearly_random(bytes) {
            true => Some(encoder.fork()?),
            false => None,
        };
        let attempt = match verdict {
            Verdict::Experts => self.attempt(encoder, Way::Experts, bytes)?,
            Verdict::Model => self.attempt(encoder, with_model, bytes)?,
            Verdict::Open => {
                let copy = encoder.fork()?;
                self.both(copy, encoder, bytes, |_, _| with_model)?
            }
        };
        if let (Some(before), true) = (before, attempt.coded.len() >= bytes.len()) {
            self.blocks = Some(before);
            return self.store(bytes);
        }
        self.keep(attempt, bytes)
    }

    /// Codes the first run of a frame in every way and keeps the shortest result.
    fn try_all(&mut self, bytes: &[u8], use_model: bool) -> Result<(), Error> {
        let encoder = self.start.encoder()?;
        let attempt = match use_model {
            true => {
                let other = self.start.encoder()?;
                self.both(encoder, other, bytes, |this, len| this.model_way(len))?
            }
            false => self.attempt(encoder, Way::Experts, bytes)?,
        };
        if attempt.coded.len() >= bytes.len() {
            return self.store(bytes);
        }
        self.keep(attempt, bytes)
    }

    /// Codes `bytes` without the model, by the first encoder, and with it, by the second, and gives the shorter result;
    /// `with_model` tells how, from the length without.
    fn both(
        &mut self,
        without: BlockEncoder,
        with: BlockEncoder,
        bytes: &[u8],
        with_model: impl FnOnce(&Self, u64) -> Way,
    ) -> Result<Attempt, CodecError> {
        let experts = Attempt::new(self.options, without, Way::Experts, bytes, &mut silent)?;
        let way = with_model(self, experts.coded.len() as u64);
        let model = self.attempt(with, way, bytes)?;
        if model.coded.len() < experts.coded.len() || !self.options.experts {
            Ok(model)
        } else {
            Ok(experts)
        }
    }

    /// Codes `bytes` and tells the progress.
    fn attempt(
        &mut self,
        encoder: BlockEncoder,
        way: Way,
        bytes: &[u8],
    ) -> Result<Attempt, CodecError> {
        let before = (self.summary.original_len, self.summary.compressed_len);
        Attempt::new(self.options, encoder, way, bytes, &mut |original, coded| {
            (self.progress)(Progress {
                original: before.0 + original as u64,
                compressed: before.1 + coded as u64,
            });
            ControlFlow::Continue(())
        })
    }

    /// Writes what came of an attempt, and goes on with its encoder.
    fn keep(&mut self, attempt: Attempt, bytes: &[u8]) -> Result<(), Error> {
        self.blocks = Some(attempt.encoder);
        self.write(attempt.coded.into_block(attempt.way), bytes)
    }

    /// How `text` gets shortest, by a sample of it coded with and without the model, both starting afresh; and how it is to
    /// be coded if with the model.
    fn judge(&self, text: &[u8]) -> Result<(Verdict, Way), CodecError> {
        let sample = plan::sample(text);
        let len = |way| self.start.len(way, &sample);
        let experts = len(Way::Experts)?;
        let text_len = experts as u64 * text.len() as u64 / sample.len() as u64;
        let verdict = match self.options.experts {
            true => plan::verdict(experts, len(Way::Model { streams: 1 })?),
            false => Verdict::Model,
        };
        Ok((verdict, self.model_way(text_len)))
    }

    /// With the model, what the experts alone would make `experts_len` bytes of.
    fn model_way(&self, experts_len: u64) -> Way {
        let (streams, model_bytes) = (self.options.streams, self.options.model_bytes());
        Way::Model {
            streams: streams.unwrap_or_else(|| plan::streams(model_bytes, experts_len)),
        }
    }

    fn take_encoder(&mut self) -> Result<BlockEncoder, CodecError> {
        match self.blocks.take() {
            Some(encoder) => Ok(encoder),
            None => self.start.encoder(),
        }
    }

    fn store(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut encoder = self.take_encoder()?;
        encoder.pass_raw(bytes);
        self.blocks = Some(encoder);
        self.write(Block::raw(bytes.to_vec()), bytes)
    }

    fn write(&mut self, block: Block, original: &[u8]) -> Result<(), Error> {
        let mode = block.mode;
        self.summary.original_len += original.len() as u64;
        self.summary.compressed_len += block.payload.len() as u64;
        self.summary.modes.add(mode, original.len() as u64);
        if let Some(encoder) = &mut self.blocks {
            self.summary.times += encoder.take_times();
        }
        // Trials and what was taken back count elsewhere: this encoder coded what is written.
        let costs = self.blocks.as_mut().and_then(BlockEncoder::take_costs);
        if let (Some(sum), Some(costs)) = (&mut self.summary.cross_entropy, costs) {
            *sum += match mode {
                Mode::Raw => 8.0 * original.len() as f64,
                _ => costs.bits(),
            };
            (self.on_block)(TracedBlock {
                mode,
                original_len: original.len() as u64,
                symbols: costs.into_symbols(),
            });
        }
        self.writer.write_block(block, original).map_err(writing)?;
        (self.progress)(Progress {
            original: self.summary.original_len,
            compressed: self.summary.compressed_len,
        });
        Ok(())
    }

    fn finish(mut self) -> Result<Summary, Error> {
        let (mut output, totals) = self.writer.finish().map_err(writing)?;
        output.flush().map_err(Error::Write)?;
        self.summary.compressed_len = totals.frame_len;
        Ok(self.summary)
    }
}

/// What an encoder is made of at the start of a frame.
struct Start<'a> {
    options: &'a CompressOptions,
    /// An empty recorder, if costs are wanted.
    costs: Option<CostRecorder>,
}

impl Start<'_> {
    /// An encoder that has seen nothing.
    fn encoder(&self) -> Result<BlockEncoder, CodecError> {
        let settings = self.options.settings();
        let runtime = self.options.model.as_ref().map(|model| model.runtime());
        let mut encoder = BlockEncoder::new(settings, runtime)?;
        if let Some(costs) = &self.costs {
            encoder.record_costs(costs.clone());
        }
        Ok(encoder)
    }

    /// The length of what an encoder that has seen nothing makes of `bytes`.
    fn len(&self, way: Way, bytes: &[u8]) -> Result<usize, CodecError> {
        let encoder = self.encoder()?;
        let attempt = Attempt::new(self.options, encoder, way, bytes, &mut silent)?;
        Ok(attempt.coded.len())
    }
}

/// A run coded in one way, and the encoder that has coded it.
struct Attempt {
    encoder: BlockEncoder,
    way: Way,
    coded: Coded,
}

impl Attempt {
    fn new(
        options: &CompressOptions,
        mut encoder: BlockEncoder,
        way: Way,
        bytes: &[u8],
        progress: encode::OnProgress<'_>,
    ) -> Result<Attempt, CodecError> {
        let coded = code(options, &mut encoder, way, bytes, progress)?;
        Ok(Attempt {
            encoder,
            way,
            coded,
        })
    }
}

/// How a block is coded that is not stored.
#[derive(Clone, Copy)]
enum Way {
    Experts,
    /// With the model and in at most this many streams.
    Model {
        streams: usize,
    },
}

/// What a block becomes: for each stream its length and its coded bytes.
struct Coded {
    lens: Vec<u32>,
    payloads: Vec<Vec<u8>>,
}

impl Coded {
    /// All coded bytes.
    fn len(&self) -> usize {
        self.payloads.iter().map(Vec::len).sum()
    }

    fn into_block(self, way: Way) -> Block {
        let mode = match way {
            Way::Experts => Mode::Experts,
            Way::Model { .. } => Mode::Model,
        };
        Block::in_streams(mode, &self.lens, self.payloads)
    }
}

/// Codes `bytes` with `encoder` in a way it has a model for.
fn code(
    options: &CompressOptions,
    encoder: &mut BlockEncoder,
    way: Way,
    bytes: &[u8],
    progress: encode::OnProgress<'_>,
) -> Result<Coded, CodecError> {
    if let Way::Model { streams } = way {
        let model = options.model.as_ref().ok_or(CodecError::NoModel)?;
        let streams: Vec<Stream> = plan::cut(bytes, streams)
            .into_iter()
            .map(|part| Stream {
                len: part.len(),
                symbols: symbols(model, &bytes[part]),
            })
            .collect();
        return Ok(Coded {
            payloads: encoder.model(&streams, progress)?,
            // No block is longer than MAX_BLOCK_LEN, which a u32 holds.
            lens: streams.iter().map(|stream| stream.len as u32).collect(),
        });
    }
    Ok(Coded {
        lens: vec![bytes.len() as u32],
        payloads: vec![encoder.experts(bytes, progress)?],
    })
}

/// The tokens of `bytes`.
#[cfg(feature = "encode")]
fn symbols(model: &Model, bytes: &[u8]) -> Vec<Symbol> {
    model.tokenizer().encode(bytes)
}

/// Not called: [`write_frame`] has refused.
#[cfg(not(feature = "encode"))]
fn symbols(_: &Model, _: &[u8]) -> Vec<Symbol> {
    Vec::new()
}

/// Progress that nobody follows.
fn silent(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn writing(error: ContainerError) -> Error {
    match error {
        ContainerError::Io(error) => Error::Write(error),
        other => Error::Container(other),
    }
}
