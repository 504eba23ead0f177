//! Where an input is cut into frames.
//!
//! Cut number k, from 1, lies behind the first line feed at or after byte `k * N` if there is one
//! within N / 8 bytes, and otherwise at byte `k * N`; N is the length of a frame. So every cut can
//! be found without knowing the others.

/// The part of a frame's length in which a line may end.
const SEARCHED: u64 = 8;

/// Finds the cuts of an input that arrives piece by piece.
pub(super) struct Cuts {
    frame_len: u64,
    /// Bytes that have been passed on.
    position: u64,
    /// The earliest place of the next cut, a multiple of `frame_len`.
    earliest: u64,
    /// The bytes from there on, none of which ends a line. They wait until it is known which frame
    /// they belong to.
    waiting: Vec<u8>,
}

impl Cuts {
    /// The cuts of an input into frames of about `frame_len` bytes, at least 1.
    pub(super) fn new(frame_len: u64) -> Cuts {
        Cuts {
            frame_len,
            position: 0,
            earliest: frame_len,
            waiting: Vec::new(),
        }
    }

    /// Bytes that certainly belong to the present frame.
    pub(super) fn certain(&self) -> u64 {
        self.earliest - self.position
    }

    /// Notes that `len` certain bytes have been passed on.
    pub(super) fn pass(&mut self, len: usize) {
        self.position += len as u64;
    }

    /// Looks for the end of a line in `bytes`, where no byte is certain. Returns how many of them
    /// wait now, and if the cut is found, how many waiting bytes lie before it.
    pub(super) fn look(&mut self, bytes: &[u8]) -> (usize, Option<usize>) {
        let most = (self.frame_len / SEARCHED) as usize;
        let some = &bytes[..bytes.len().min(most - self.waiting.len())];
        let line_end = some.iter().position(|&byte| byte == b'\n');
        let taken = line_end.map_or(some.len(), |at| at + 1);
        self.waiting.extend_from_slice(&some[..taken]);
        let cut = match line_end {
            Some(_) => Some(self.waiting.len()),
            None => (self.waiting.len() == most).then_some(0),
        };
        (taken, cut)
    }

    /// Whether bytes wait.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The waiting bytes, which are passed on now. The cut is made.
    pub(super) fn release(&mut self) -> Vec<u8> {
        self.position += self.waiting.len() as u64;
        self.earliest += self.frame_len;
        std::mem::take(&mut self.waiting)
    }
}
