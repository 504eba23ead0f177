//! Decompression of a frame that arrives in pieces.

use std::fmt;
use std::io::{self, Read};
use std::ops::ControlFlow;

use super::decompression::Decompression;
use super::encoder::Callback;
use super::{DecoderOptions, Models, Progress, keep_going};
use crate::Error;
use crate::container::{Arrival, Arrived, ModelRef};

/// Decompresses one frame, of which it is handed one piece after the other: for those who cannot
/// wait for more, as a [`Decoder`](crate::Decoder) does.
///
/// An auxiliary frame, such as an index, is a frame without original bytes.
pub struct ArrivingFrame {
    decompression: Decompression<Pieces>,
    models: Models,
    progress: Callback,
    arrival: Arrival,
    /// An earlier call failed.
    is_broken: bool,
}

/// The bytes that have been handed over.
#[derive(Default)]
struct Pieces {
    bytes: Vec<u8>,
    /// The reader has read so many of them,
    read: usize,
    /// and may read up to here: to the end of a part of the frame.
    arrived: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (&self.bytes[self.read..self.arrived]).read(buffer)?;
        self.read += len;
        Ok(len)
    }
}

impl Pieces {
    /// Adds a piece, and forgets what has been read.
    fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.read);
        self.arrived -= self.read;
        self.read = 0;
        self.bytes.extend_from_slice(piece);
    }
}

impl ArrivingFrame {
    /// A frame of which nothing has arrived.
    pub fn new(options: impl Into<DecoderOptions>) -> ArrivingFrame {
        let options = options.into();
        ArrivingFrame {
            decompression: Decompression::new(Pieces::default(), &options),
            models: options.models,
            progress: Box::new(keep_going),
            arrival: Arrival::default(),
            is_broken: false,
        }
    }

    /// As [`Decoder::on_progress`](crate::Decoder::on_progress).
    #[must_use]
    pub fn on_progress(
        mut self,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> ArrivingFrame {
        self.progress = Box::new(progress);
        self
    }

    /// Hands over the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.decompression.reader_mut().push(piece);
    }

    /// The original bytes of the next block, which has passed its checks; `None` until more has
    /// arrived, and behind the end of the frame.
    ///
    /// # Errors
    ///
    /// As [`Decoder`](crate::Decoder). An error ends the frame: further calls give
    /// [`Error::Broken`].
    pub fn next_block(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(Error::Broken);
        }
        let block = self.try_next_block()?;
        self.is_broken = false;
        Ok(block)
    }

    fn try_next_block(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let pieces = self.decompression.reader_mut();
            let next = self.arrival.next(&pieces.bytes[pieces.arrived..])?;
            let Some((part, len)) = next else {
                return Ok(None);
            };
            pieces.arrived += len;
            match part {
                Arrived::Header => {}
                Arrived::Auxiliary => return Ok(None),
                // At the end there is no block, and what is there is checked.
                Arrived::Block | Arrived::End => return self.decode(),
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let models = &self.models;
        let mut resolve = |wanted: &ModelRef| models.resolve(wanted);
        (self.decompression).next_block(&mut resolve, &mut self.progress)
    }

    /// Whether the frame has arrived to its end, and all its blocks have been given.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.arrival.is_complete()
    }

    /// What has arrived behind the end of the frame.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        let pieces = self.decompression.reader();
        match self.is_complete() {
            true => &pieces.bytes[pieces.arrived..],
            false => &[],
        }
    }
}

impl fmt::Debug for ArrivingFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrivingFrame")
            .field("arrival", &self.arrival)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncoderOptions, compress_all};
    use proptest::prelude::*;

    /// Hands `bytes` over in pieces of `len` bytes.
    fn in_pieces(bytes: &[u8], len: usize) -> Result<(Vec<u8>, ArrivingFrame), Error> {
        let mut frame = ArrivingFrame::new(Models::none());
        let mut original = Vec::new();
        for piece in bytes.chunks(len) {
            frame.push(piece);
            while let Some(block) = frame.next_block()? {
                original.extend(block);
            }
        }
        Ok((original, frame))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn pieces_of_any_length_give_the_original(
            original in prop::collection::vec(0..9u8, 0..900),
            block_len in 50..2000u32,
            len in 1..400usize,
        ) {
            let options = EncoderOptions::new().preset(crate::Preset::Light).block_len(block_len);
            let compressed = compress_all(&original, &options).unwrap();
            let (restored, frame) = in_pieces(&compressed, len).unwrap();
            prop_assert!(restored == original);
            prop_assert!(frame.is_complete() && frame.rest().is_empty());
            let (_, cut) = in_pieces(&compressed[..compressed.len() - 1], len).unwrap();
            prop_assert!(!cut.is_complete());
            let followed = [&compressed[..], b"more"].concat();
            let (restored, frame) = in_pieces(&followed, followed.len()).unwrap();
            prop_assert!(restored == original && frame.rest() == b"more");
        }
    }

    #[test]
    fn damage_is_an_error_and_ends_the_frame() {
        let mut compressed = compress_all(b"some text, some text", &EncoderOptions::new()).unwrap();
        *compressed.last_mut().unwrap() ^= 1;
        assert!(matches!(
            in_pieces(&compressed, 3),
            Err(Error::Container(_))
        ));
        let mut frame = ArrivingFrame::new(Models::none());
        frame.push(&compressed);
        assert!(frame.next_block().is_err());
        assert!(matches!(frame.next_block(), Err(Error::Broken)));
        assert!(!frame.is_complete() && frame.rest().is_empty());
    }
}
