//! Compression of several frames at a time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use super::line::Line;
use super::{CancelOnDrop, Run, Share};
use crate::Error;
use crate::frame::EncoderOptions;
use crate::frame::compression::Compression;
use crate::frame::cuts::Cuts;
use crate::frame::summary::{OnProgress, Progress, Summary};
use crate::machine::{memory, pages};

/// Bytes read at once.
const STEP: usize = 64 << 10;

/// A frame with its index, as it is written.
type Compressed = Result<(Vec<u8>, Summary), Error>;

/// Compresses `input`, which is cut into frames of `frame_len` bytes, to `output`.
pub(in crate::frame) fn compress(
    input: impl Read,
    output: impl Write,
    frame_len: u64,
    options: &EncoderOptions,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    options.header()?;
    let mut frames = Frames::new(input, frame_len);
    let first = frames.next()?.unwrap_or_default();
    if !frames.have_more()? {
        // All threads for the only frame.
        let compression = Compression::new(output, options)?;
        return compression.push_all(&first[..], &mut |_| {}, progress);
    }
    let mut options = options.clone();
    if let Some(model) = &mut options.model {
        *model = Arc::new(model.on_one_thread()?);
    }
    let _tables = pages::keep();
    let run = Run::default();
    let work = |original: Vec<u8>| compress_frame(&original, &options, &run);
    thread::scope(|scope| {
        let _cancel = CancelOnDrop(&run);
        let mut line = Line::new(scope, options.workers, &work);
        line.add(first, frame_len);
        let summary = Summary {
            cross_entropy: options.count_cross_entropy.then_some(0.0),
            ..Summary::default()
        };
        write_frames(&mut frames, output, &mut line, summary, &mut || {
            run.tell(progress)
        })
    })
}

/// Compresses the frames of `line`, and those that are still to come, to `output`; their totals are
/// added to `summary`. `tell` tells the progress.
fn write_frames<R: Read>(
    frames: &mut Frames<R>,
    mut output: impl Write,
    line: &mut Line<'_, '_, Vec<u8>, Compressed>,
    mut summary: Summary,
    tell: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Summary, Error> {
    // Frames that were read before an error are written, as if each had been when it was read.
    let mut end = None;
    loop {
        while end.is_none() && !line.is_full() {
            match frames.next() {
                Ok(Some(frame)) => {
                    let len = frame.len() as u64;
                    line.add(frame, len);
                }
                Ok(None) => end = Some(Ok(())),
                Err(error) => end = Some(Err(error)),
            }
        }
        let Some(frame) = line.next(tell) else {
            break;
        };
        let (compressed, part) = frame??;
        output.write_all(&compressed).map_err(Error::Write)?;
        summary += part;
        if tell().is_break() {
            return Err(Error::Cancelled);
        }
    }
    end.unwrap_or(Ok(()))?;
    output.flush().map_err(Error::Write)?;
    Ok(summary)
}

fn compress_frame(original: &[u8], options: &EncoderOptions, run: &Run) -> Compressed {
    let mut share = Share::new(run);
    if share.tell(Progress::default()).is_break() {
        return Err(Error::Cancelled);
    }
    let mut compression = Compression::of_frame(Vec::new(), options)?;
    let mut rest = original;
    while !rest.is_empty() {
        rest = &rest[compression.push(rest, &mut |now| share.tell(now))?..];
    }
    let summary = compression.finish(&mut |now| share.tell(now))?;
    // An error of the run comes from whoever cancelled it.
    let _ = share.tell(Progress {
        original: summary.original_len,
        compressed: summary.compressed_len,
    });
    Ok((compression.into_writer(), summary))
}

/// The frames of an original.
struct Frames<R> {
    input: BufReader<R>,
    cuts: Cuts,
    /// What was read of the next frame.
    begun: Vec<u8>,
}

impl<R: Read> Frames<R> {
    fn new(input: R, frame_len: u64) -> Frames<R> {
        Frames {
            input: BufReader::with_capacity(STEP, input),
            cuts: Cuts::new(frame_len),
            begun: Vec::new(),
        }
    }

    /// The bytes of the next frame; `None` at the end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut frame = mem::take(&mut self.begun);
        loop {
            let bytes = fill(&mut self.input)?;
            if bytes.is_empty() {
                if self.cuts.is_waiting() {
                    self.begun = self.cuts.release();
                }
                return Ok(Some(frame).filter(|frame| !frame.is_empty()));
            }
            let certain = usize::try_from(self.cuts.certain()).unwrap_or(usize::MAX);
            if certain > 0 {
                let len = bytes.len().min(certain);
                if frame.capacity() - frame.len() < len {
                    let additional = len.max(frame.len());
                    memory::reserve(&mut frame, "a frame", additional)?;
                }
                frame.extend_from_slice(&bytes[..len]);
                self.cuts.pass(len);
                self.input.consume(len);
                continue;
            }
            let (taken, cut) = self.cuts.look(bytes);
            self.input.consume(taken);
            if let Some(before) = cut {
                let mut waiting = self.cuts.release();
                self.begun = waiting.split_off(before);
                frame.append(&mut waiting);
                return Ok(Some(frame));
            }
        }
    }

    /// Whether another frame comes.
    fn have_more(&mut self) -> Result<bool, Error> {
        Ok(!self.begun.is_empty() || !fill(&mut self.input)?.is_empty())
    }
}

/// The bytes that the reader has; none at its end.
fn fill<R: Read>(input: &mut BufReader<R>) -> Result<&[u8], Error> {
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Read(error)),
        }
    }
    Ok(input.buffer())
}
