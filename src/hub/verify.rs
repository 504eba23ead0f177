//! Checks a fetched file against what the hub announced.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::store::hex;

/// Length of a hexadecimal SHA-256, by which the hub identifies large files.
const SHA256_DIGITS: usize = 64;
/// Length of a hexadecimal SHA-1, which is the hash that git gives a small file.
const SHA1_DIGITS: usize = 40;

/// Whether an `ETag` of the hub is one of the two hashes.
pub(super) fn is_hash(etag: &str) -> bool {
    matches!(etag.len(), SHA1_DIGITS | SHA256_DIGITS) && etag.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Compares a file with the announced size and hash: the SHA-256 of its content, or the hash that
/// git gives it, which is the SHA-1 of a short header and the content. The error says how they
/// differ.
pub(super) fn check(path: &Path, etag: &str, size: Option<u64>) -> Result<(), String> {
    let failed = |e: io::Error| e.to_string();
    let length = fs::metadata(path).map_err(failed)?.len();
    if let Some(size) = size.filter(|&size| size != length) {
        return Err(format!("{length} bytes arrived of {size}"));
    }
    let mut file = File::open(path).map_err(failed)?;
    let found = match etag.len() {
        SHA256_DIGITS => digest(Sha256::new(), &mut file),
        _ => {
            let mut hash = Sha1::new();
            hash.update(format!("blob {length}\0"));
            digest(hash, &mut file)
        }
    };
    match found.map_err(failed)? {
        found if found.eq_ignore_ascii_case(etag) => Ok(()),
        found => Err(format!("its hash is {found}, expected {etag}")),
    }
}

fn digest<D: Digest>(mut hash: D, reader: &mut impl Read) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}
