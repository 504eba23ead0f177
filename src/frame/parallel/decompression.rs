//! Decompression of several frames at a time.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use super::line::Line;
use super::{CancelOnDrop, Run, Share};
use crate::Error;
use crate::codec::{CodecError, Times};
use crate::container::{Mode, ModelRef};
use crate::frame::Model;
use crate::frame::decompression::{Decompression, WholeFrame};
use crate::frame::resolver::Resolve;
use crate::frame::summary::{OnProgress, Progress, Summary};

/// A frame that was decoded, up to an error if there was one.
struct Decoded {
    blocks: Vec<(Mode, Vec<u8>)>,
    times: Times,
    /// Where the frame ends in the file.
    end: u64,
    error: Option<Error>,
}

/// Decompresses with `workers` threads, one for each frame.
pub(in crate::frame) fn decompress<R: Read>(
    mut decompression: Decompression<R>,
    mut output: impl Write,
    workers: usize,
    resolve: Resolve<'_>,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    let run = Run::default();
    let work = |frame: WholeFrame| decode(frame, &run);
    thread::scope(|scope| {
        let _cancel = CancelOnDrop(&run);
        let mut line = Line::new(scope, workers, &work);
        let mut models = OneThread::default();
        loop {
            while !line.is_full() {
                let Some(mut frame) = decompression.take_frame(line.held(), resolve) else {
                    break;
                };
                models.replace(&mut frame)?;
                let len = frame.original_len;
                line.add(frame, len);
            }
            let Some(decoded) = line.next(&mut || run.tell(progress)) else {
                // No frame can be given to a thread, so its blocks are decoded here.
                let Some(block) = decompression.next_block(resolve, progress)? else {
                    break;
                };
                output.write_all(&block).map_err(Error::Write)?;
                run.set(decompression.progress());
                continue;
            };
            let decoded = decoded?;
            for (mode, block) in &decoded.blocks {
                output.write_all(block).map_err(Error::Write)?;
                decompression.note_block(*mode, block.len() as u64);
            }
            decompression.note_frame(decoded.end, decoded.times);
            if run.tell(progress).is_break() {
                return Err(Error::Cancelled);
            }
            if let Some(error) = decoded.error {
                return Err(error);
            }
        }
        output.flush().map_err(Error::Write)?;
        Ok(decompression.summary())
    })
}

fn decode(frame: WholeFrame, run: &Run) -> Decoded {
    let mut decoded = Decoded {
        blocks: Vec::new(),
        times: Times::default(),
        end: frame.end,
        error: None,
    };
    decoded.error = decode_blocks(frame, run, &mut decoded).err();
    decoded
}

fn decode_blocks(frame: WholeFrame, run: &Run, decoded: &mut Decoded) -> Result<(), Error> {
    let mut decoder = frame.decoder;
    let (mut share, mut done) = (Share::new(run), 0);
    let mut tell = |original: u64| {
        share.tell(Progress {
            original,
            ..Progress::default()
        })
    };
    for coded in frame.blocks {
        if tell(done).is_break() {
            return Err(Error::Cancelled);
        }
        let mode = coded.block.mode;
        // All that blocks need has been asked for.
        let mut resolve = |_: &ModelRef| Err(CodecError::NoModel.into());
        let block = decoder.decode(coded, &mut resolve, &mut |now| tell(done + now as u64))?;
        decoded.times += decoder.take_times();
        done += block.len() as u64;
        decoded.blocks.push((mode, block));
    }
    // All blocks are there, whoever cancels.
    let _ = tell(done);
    Ok(())
}

/// The models that frames need, each to be run on the thread of its frame.
#[derive(Default)]
struct OneThread(Vec<Arc<Model>>);

impl OneThread {
    /// Replaces the model of `frame`, if it has one.
    fn replace(&mut self, frame: &mut WholeFrame) -> Result<(), Error> {
        let Some(model) = frame.decoder.model_mut() else {
            return Ok(());
        };
        let identity = model.identity();
        let known = self.0.iter().find(|known| known.identity() == identity);
        let replacement = match known {
            Some(known) => Arc::clone(known),
            None => {
                let new = Arc::new(model.on_one_thread()?);
                self.0.push(Arc::clone(&new));
                new
            }
        };
        *model = replacement;
        Ok(())
    }
}
