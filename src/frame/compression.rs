//! Original bytes to frames, a block at a time.
//!
//! Bytes collect in a window of `block_len` bytes. A full window is planned and coded; the
//! compressed bytes wait in a buffer until the writer takes them. So the output does not depend on
//! how the bytes were divided among calls, and a call whose writer failed can be repeated.

use std::io::{self, Read, Write};
use std::mem;

use super::EncoderOptions;
use super::cuts::Cuts;
use super::summary::{OnProgress, Progress, Summary};
use crate::Error;
use crate::codec::cost::{CostRecorder, SymbolCost};
use crate::codec::plan::{self, Class, CodedRun, Trials};
use crate::container::{FrameWriter, Mode, index_of};
use crate::machine::pages::{self, Keep};

/// Bytes read at once.
const STEP: usize = 64 << 10;

/// A run that compresses.
pub(super) struct Compression<W> {
    writer: W,
    options: EncoderOptions,
    /// An empty recorder if costs are recorded.
    costs: Option<CostRecorder>,
    /// Original bytes that are not coded yet, at most `block_len`.
    window: Vec<u8>,
    /// Where frames end, if the original is cut into several.
    cuts: Option<Cuts>,
    /// The frame being written, if it has a block.
    frame: Option<Frame>,
    /// Frames that have ended.
    ended: u64,
    /// Compressed bytes; the writer has taken the first `written` of them.
    pending: Vec<u8>,
    written: usize,
    /// Compressed bytes of the frames that have ended.
    ended_len: u64,
    summary: Summary,
    /// The blocks that nobody has taken yet, if blocks are traced.
    trace: Option<Vec<TracedBlock>>,
    /// Whether an earlier call failed halfway through a window.
    broken: bool,
    /// The trials of a short text, and many small frames, use the same tables.
    _tables: Keep,
}

/// A frame being written.
struct Frame {
    writer: FrameWriter<Vec<u8>>,
    trials: Trials,
    names_model: bool,
}

/// A block as it was coded, for reports.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedBlock {
    /// How it was coded.
    pub mode: Mode,
    /// Original bytes.
    pub original_len: u64,
    /// The cost of each symbol of the block, in order; empty if the block is stored.
    pub symbols: Vec<SymbolCost>,
}

impl TracedBlock {
    /// What each symbol cost; of a stored block, each byte.
    pub fn costs(&self) -> impl Iterator<Item = SymbolCost> + '_ {
        const STORED: SymbolCost = SymbolCost {
            len: 1,
            bits: 8.0,
            prediction: None,
        };
        let stored = match self.symbols.is_empty() {
            true => self.original_len as usize,
            false => 0,
        };
        let symbols = self.symbols.iter().copied();
        symbols.chain(std::iter::repeat_n(STORED, stored))
    }
}

impl Frame {
    fn begin(options: &EncoderOptions, costs: Option<&CostRecorder>) -> Result<Frame, Error> {
        let writer = FrameWriter::new(Vec::new(), &options.header()?)?;
        let mut trials = options.trials();
        trials.costs = costs.cloned();
        Ok(Frame {
            writer,
            trials: Trials::new(trials),
            names_model: options.model.is_some(),
        })
    }
}

impl<W: Write> Compression<W> {
    /// Begins a frame, and writes nothing yet.
    pub(super) fn new(writer: W, options: &EncoderOptions) -> Result<Compression<W>, Error> {
        let costs = options.count_cross_entropy.then(CostRecorder::sum);
        Compression::with_costs(writer, options, costs)
    }

    /// Begins the only frame, which is cut out of an original that `options` cut into several.
    pub(super) fn of_frame(writer: W, options: &EncoderOptions) -> Result<Compression<W>, Error> {
        let mut compression = Compression::new(writer, options)?;
        compression.cuts = None;
        Ok(compression)
    }

    /// Begins a frame whose blocks are traced.
    pub(super) fn traced(writer: W, options: &EncoderOptions) -> Result<Compression<W>, Error> {
        let mut traced = Compression::with_costs(writer, options, Some(CostRecorder::detailed()))?;
        traced.trace = Some(Vec::new());
        Ok(traced)
    }

    fn with_costs(
        writer: W,
        options: &EncoderOptions,
        costs: Option<CostRecorder>,
    ) -> Result<Compression<W>, Error> {
        options.header()?;
        let cross_entropy = costs.is_some().then_some(0.0);
        Ok(Compression {
            writer,
            cuts: options.frame_len.map(Cuts::new),
            frame: None,
            ended: 0,
            options: options.clone(),
            costs,
            window: Vec::new(),
            pending: Vec::new(),
            written: 0,
            ended_len: 0,
            summary: Summary {
                cross_entropy,
                ..Summary::default()
            },
            trace: None,
            broken: false,
            _tables: pages::keep(),
        })
    }

    /// Reads `input` to its end, compresses it and ends the frame. `on_block` is told of the
    /// blocks, if they are traced.
    pub(super) fn push_all(
        mut self,
        mut input: impl Read,
        on_block: &mut dyn FnMut(TracedBlock),
        progress: OnProgress<'_>,
    ) -> Result<Summary, Error> {
        let mut buffer = vec![0; STEP];
        loop {
            let len = match input.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Read(error)),
            };
            if len == 0 {
                let summary = self.finish(progress)?;
                self.take_trace().into_iter().for_each(on_block);
                return Ok(summary);
            }
            let mut bytes = &buffer[..len];
            while !bytes.is_empty() {
                bytes = &bytes[self.push(bytes, progress)?..];
                self.take_trace().into_iter().for_each(&mut *on_block);
            }
        }
    }

    /// Takes some of `bytes`, at least one unless `bytes` is empty, and returns how many.
    pub(super) fn push(&mut self, bytes: &[u8], progress: OnProgress<'_>) -> Result<usize, Error> {
        self.check()?;
        self.drain()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let Some(cuts) = &mut self.cuts else {
            return self.take(bytes, progress);
        };
        if cuts.certain() == 0 {
            let (taken, cut) = cuts.look(bytes);
            if let Some(before) = cut {
                self.cut(before, progress)?;
            }
            if taken > 0 {
                return Ok(taken);
            }
        }
        let certain = self.cuts.as_ref().map_or(0, Cuts::certain);
        let len = bytes
            .len()
            .min(usize::try_from(certain).unwrap_or(usize::MAX));
        let taken = self.take(&bytes[..len], progress)?;
        if let Some(cuts) = &mut self.cuts {
            cuts.pass(taken);
        }
        Ok(taken)
    }

    /// Takes some of `bytes`, at least one, for the present frame.
    fn take(&mut self, bytes: &[u8], progress: OnProgress<'_>) -> Result<usize, Error> {
        let block_len = self.options.block_len as usize;
        // A full window waits for one more byte, because it may be all there is.
        if self.window.len() == block_len {
            self.code_window(false, progress)?;
        }
        let taken = bytes.len().min(block_len - self.window.len());
        self.window.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn take_all(&mut self, mut bytes: &[u8], progress: OnProgress<'_>) -> Result<(), Error> {
        while !bytes.is_empty() {
            bytes = &bytes[self.take(bytes, progress)?..];
        }
        Ok(())
    }

    /// Ends the frame after the first `before` of the bytes that wait.
    fn cut(&mut self, before: usize, progress: OnProgress<'_>) -> Result<(), Error> {
        let waiting = self.cuts.as_mut().map_or_else(Vec::new, Cuts::release);
        self.take_all(&waiting[..before], progress)?;
        self.code_window(true, progress)?;
        self.end_frame()?;
        self.take_all(&waiting[before..], progress)
    }

    /// Codes what has been pushed, ends the frame if it has a block, and hands everything to the
    /// writer.
    pub(super) fn flush(&mut self, progress: OnProgress<'_>) -> Result<(), Error> {
        self.check()?;
        self.code_rest(progress)?;
        self.end_frame()?;
        self.hand_over()
    }

    /// Codes what has been pushed, ends the frame, and hands everything to the writer. Without
    /// any bytes, the frame is an empty one.
    pub(super) fn finish(&mut self, progress: OnProgress<'_>) -> Result<Summary, Error> {
        self.check()?;
        self.code_rest(progress)?;
        if self.frame.is_none() && self.ended == 0 {
            self.begin_frame(false)?;
        }
        self.end_frame()?;
        self.hand_over()?;
        Ok(self.summary)
    }

    /// Codes what has been pushed. The frame ends there.
    fn code_rest(&mut self, progress: OnProgress<'_>) -> Result<(), Error> {
        // No line ends in the bytes that wait, and nothing more comes.
        if self.cuts.as_ref().is_some_and(Cuts::is_waiting) {
            self.cut(0, progress)?;
        }
        self.code_window(true, progress)
    }

    fn check(&self) -> Result<(), Error> {
        match self.broken {
            true => Err(Error::Broken),
            false => Ok(()),
        }
    }

    /// Plans and codes the window, after which the frame ends if `ends_frame`.
    fn code_window(&mut self, ends_frame: bool, progress: OnProgress<'_>) -> Result<(), Error> {
        let mut window = mem::take(&mut self.window);
        self.broken = true;
        let runs = plan::runs(&window);
        let whole_frame = ends_frame && self.frame.is_none();
        for (range, class) in &runs {
            if self.frame.is_none() {
                let may_use_model = runs.iter().any(|(_, class)| *class == Class::Text);
                self.begin_frame(may_use_model || !whole_frame)?;
            }
            let only = whole_frame && runs.len() == 1;
            self.code_run(&window[range.clone()], *class, only, progress)?;
        }
        self.broken = false;
        window.clear();
        self.window = window;
        Ok(())
    }

    /// Begins a frame, whose header names the model if `names_model`.
    fn begin_frame(&mut self, names_model: bool) -> Result<&mut Frame, Error> {
        let mut options = self.options.clone();
        options.model = options.model.filter(|_| names_model);
        let frame = Frame::begin(&options, self.costs.as_ref())?;
        Ok(self.frame.insert(frame))
    }

    /// Codes a run of the plan as a block of the frame, which has begun. `only`: the frame has no
    /// other block.
    fn code_run(
        &mut self,
        bytes: &[u8],
        class: Class,
        only: bool,
        progress: OnProgress<'_>,
    ) -> Result<(), Error> {
        let run = self.try_run(bytes, class, only, progress)?;
        let mode = run.block.mode;
        self.summary.original_len += bytes.len() as u64;
        self.summary.compressed_len += run.block.payload.len() as u64;
        self.summary.modes.add(mode, bytes.len() as u64);
        self.summary.times += run.times;
        if let Some(frame) = &mut self.frame {
            frame.writer.write_block(run.block, bytes)?;
            self.pending.append(frame.writer.get_mut());
        }
        if let Some(costs) = run.costs {
            self.note(mode, bytes.len() as u64, costs);
        }
        let flow = progress(Progress {
            original: self.summary.original_len,
            compressed: self.summary.compressed_len,
        });
        match flow.is_break() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    /// Codes a run. If it is the `only` one of its frame and not coded with the model, the frame
    /// begins anew without a model, so that nobody needs the model to read it.
    fn try_run(
        &mut self,
        bytes: &[u8],
        class: Class,
        only: bool,
        progress: OnProgress<'_>,
    ) -> Result<CodedRun, Error> {
        let (original, compressed) = (self.summary.original_len, self.summary.compressed_len);
        let mut tell = |done: usize, coded: usize| {
            progress(Progress {
                original: original + done as u64,
                compressed: compressed + coded as u64,
            })
        };
        let frame = match &mut self.frame {
            Some(frame) => frame,
            None => self.begin_frame(true)?,
        };
        let run = frame.trials.code(bytes, class, &mut tell)?;
        if !only || !frame.names_model || run.block.mode == Mode::Model {
            return Ok(run);
        }
        self.frame = None;
        let frame = self.begin_frame(false)?;
        if run.block.mode == Mode::Raw {
            return Ok(run);
        }
        // Without a model, the experts have larger tables and code otherwise.
        let coded = run.block.payload.len();
        let unheard = &mut |_, _| tell(bytes.len(), coded);
        Ok(frame.trials.code(bytes, class, unheard)?)
    }

    /// Adds the cost of a block to the totals and, if blocks are traced, to the trace.
    fn note(&mut self, mode: Mode, original_len: u64, costs: CostRecorder) {
        if let Some(sum) = &mut self.summary.cross_entropy {
            *sum += match mode {
                Mode::Raw => 8.0 * original_len as f64,
                _ => costs.bits(),
            };
        }
        if let Some(trace) = &mut self.trace {
            trace.push(TracedBlock {
                mode,
                original_len,
                symbols: costs.into_symbols(),
            });
        }
    }

    fn end_frame(&mut self) -> Result<(), Error> {
        if let Some(frame) = self.frame.take() {
            let (mut end, totals) = frame.writer.finish()?;
            self.pending.append(&mut end);
            self.ended += 1;
            self.ended_len += totals.frame_len;
            if self.options.frame_len.is_some() {
                let mut index = index_of(&totals);
                self.ended_len += index.len() as u64;
                self.pending.append(&mut index);
            }
            self.summary.compressed_len = self.ended_len;
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Error> {
        self.drain()?;
        self.writer.flush().map_err(Error::Write)
    }

    /// Hands the compressed bytes to the writer. After an error, the next call continues.
    fn drain(&mut self) -> Result<(), Error> {
        while self.written < self.pending.len() {
            match self.writer.write(&self.pending[self.written..]) {
                Ok(0) => return Err(Error::Write(io::ErrorKind::WriteZero.into())),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Write(error)),
            }
        }
        self.pending.clear();
        self.written = 0;
        Ok(())
    }
}

impl<W> Compression<W> {
    /// The totals so far.
    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// The blocks since the last call; empty unless they are traced.
    pub(super) fn take_trace(&mut self) -> Vec<TracedBlock> {
        self.trace.as_mut().map(mem::take).unwrap_or_default()
    }

    pub(super) fn writer(&self) -> &W {
        &self.writer
    }

    pub(super) fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    pub(super) fn into_writer(self) -> W {
        self.writer
    }
}
