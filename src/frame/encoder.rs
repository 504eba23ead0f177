//! Compression as a writer.

use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;

use super::compression::Compression;
use super::{EncoderOptions, Progress, Summary, keep_going};
use crate::Error;

/// Compresses what is written to it, and writes the compressed bytes to `W`.
///
/// The output depends only on the bytes written, the options and the model: not on the sizes of the
/// writes, the machine or the number of threads.
///
/// ```
/// use std::io::{Read, Write};
/// use llmzip::{Decoder, Encoder, EncoderOptions, Models};
///
/// let mut encoder = Encoder::new(Vec::new(), &EncoderOptions::new())?;
/// encoder.write_all(b"to be, or not to be: ")?;
/// encoder.write_all(b"that is the question")?;
/// let compressed = encoder.finish()?;
///
/// let mut restored = String::new();
/// Decoder::new(compressed.as_slice(), Models::none()).read_to_string(&mut restored)?;
/// assert_eq!(restored, "to be, or not to be: that is the question");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Finishing
///
/// [`finish`](Encoder::finish) must be called: an encoder that is dropped without it leaves an
/// incomplete frame, which a decoder refuses. [`auto_finish`](Encoder::auto_finish) finishes on
/// drop where errors may be ignored.
///
/// # Flushing
///
/// Bytes are coded in blocks of [`block_len`](EncoderOptions::block_len). The encoder writes a
/// compressed block as soon as it knows whether another block follows. [`flush`](Write::flush)
/// codes what has been written so far, ends the frame, and flushes the writer. Everything written
/// so far can then be decompressed. What is written afterwards goes into another frame, which
/// shares no state with the one before. Frequent flushes therefore make the output larger. A flush
/// when nothing has been written since the last one only flushes the writer.
///
/// # Errors
///
/// When the writer fails, nothing is lost, and the call can be repeated. After any other error
/// the encoder cannot go on: further calls give [`Error::Broken`].
pub struct Encoder<W: Write> {
    compression: Compression<W>,
    progress: Callback,
}

/// A progress callback that belongs to an encoder or decoder.
pub(super) type Callback = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

impl<W: Write> Encoder<W> {
    /// An encoder that has written nothing yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for options out of range.
    pub fn new(writer: W, options: &EncoderOptions) -> Result<Encoder<W>, Error> {
        Ok(Encoder {
            compression: Compression::new(writer, options)?,
            progress: Box::new(keep_going),
        })
    }

    /// From now on calls `progress` many times a second while blocks are coded. When it gives
    /// [`ControlFlow::Break`], the call under way fails with [`Error::Cancelled`].
    #[must_use]
    pub fn on_progress(
        mut self,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Encoder<W> {
        self.progress = Box::new(progress);
        self
    }

    /// What has been coded so far. Complete after [`try_finish`](Encoder::try_finish).
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.compression.summary()
    }

    /// Codes what is left, ends the frame, flushes the writer and gives it back.
    ///
    /// # Errors
    ///
    /// Any error of coding or writing. The writer is then lost; [`try_finish`](Encoder::try_finish)
    /// keeps it.
    pub fn finish(mut self) -> Result<W, Error> {
        self.try_finish()?;
        Ok(self.into_inner())
    }

    /// Codes what is left, ends the frame, flushes the writer and returns the totals. The encoder
    /// can still be used: [`into_inner`](Encoder::into_inner) gives the writer back, and what is
    /// written from now on goes into another frame.
    ///
    /// # Errors
    ///
    /// Any error of coding or writing. If the writer failed, the call can be repeated.
    pub fn try_finish(&mut self) -> Result<Summary, Error> {
        self.compression.finish(&mut self.progress)
    }

    /// An encoder that finishes when it is dropped.
    pub fn auto_finish(self) -> AutoFinishEncoder<W> {
        AutoFinishEncoder { encoder: self }
    }

    /// Gives the writer back without finishing: what was written to it may be incomplete.
    pub fn into_inner(self) -> W {
        self.compression.into_writer()
    }

    /// The writer.
    pub fn get_ref(&self) -> &W {
        self.compression.writer()
    }

    /// The writer. Whatever is written to it directly ends up among the compressed bytes.
    pub fn get_mut(&mut self) -> &mut W {
        self.compression.writer_mut()
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.compression.push(bytes, &mut self.progress)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.compression.flush(&mut self.progress)?)
    }
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("summary", &self.summary())
            .finish_non_exhaustive()
    }
}

/// An [`Encoder`] that finishes when it is dropped, see [`Encoder::auto_finish`].
///
/// Errors of finishing are ignored: where the data matters, call [`Encoder::finish`]. While a
/// panic unwinds, the frame is left incomplete.
#[derive(Debug)]
pub struct AutoFinishEncoder<W: Write> {
    encoder: Encoder<W>,
}

impl<W: Write> AutoFinishEncoder<W> {
    /// The writer.
    pub fn get_ref(&self) -> &W {
        self.encoder.get_ref()
    }

    /// The writer. Whatever is written to it directly ends up among the compressed bytes.
    pub fn get_mut(&mut self) -> &mut W {
        self.encoder.get_mut()
    }
}

impl<W: Write> Write for AutoFinishEncoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

impl<W: Write> Drop for AutoFinishEncoder<W> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // There is nobody to hear of an error.
            let _ = self.encoder.try_finish();
        }
    }
}
