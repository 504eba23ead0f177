//! The three checksums of the format, all cut from XXH3-64 with seed 0.
//!
//! - The *seal* of a block covers the frame header, the number of the block in its frame, the block
//!   header and the payload. It is checked before anything is decoded.
//! - The *check* of a block covers its original bytes. It is checked after decoding.
//! - The checksum of a frame covers the frame header, the seals and checks of all its blocks and
//!   the total length.
//!
//! Seal and check have 32 bits each. Damage passes the seal in one case of 2^32. The payload then
//! decodes to other bytes, which the check detects.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The low half of a 64-bit hash.
fn low(hash: u64) -> u32 {
    hash as u32
}

/// The seal of block `number`. Headers and payload are given as they stand in the file.
pub(super) fn seal(frame_header: &[u8], number: u64, block_header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = Xxh3::new();
    hasher.update(frame_header);
    hasher.update(&number.to_le_bytes());
    hasher.update(block_header);
    hasher.update(payload);
    low(hasher.digest())
}

/// The check of a block's original bytes.
pub(super) fn check(original: &[u8]) -> u32 {
    low(xxh3_64(original))
}

/// The checksum at the end of a frame of several blocks, computed block by block.
#[derive(Clone)]
pub(super) struct FrameChecksum(Xxh3);

impl FrameChecksum {
    pub(super) fn new(frame_header: &[u8]) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(frame_header);
        FrameChecksum(hasher)
    }

    /// Adds the seal and check of the next block as they stand in the file.
    pub(super) fn block(&mut self, trailer: &[u8]) {
        self.0.update(trailer);
    }

    /// The checksum of a frame with `original_len` original bytes.
    pub(super) fn finish(mut self, original_len: u64) -> u64 {
        self.0.update(&original_len.to_le_bytes());
        self.0.digest()
    }
}
