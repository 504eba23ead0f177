//! The hash by which a hub names small files. Shared with `tests/faults`, whose hub announces it.

use sha1::{Digest, Sha1};

/// The hash that git gives a content, in hexadecimal digits.
pub(crate) fn git_hash(body: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", body.len()));
    hash.update(body);
    llmzip::store::hex(&hash.finalize())
}
