//! Identities as hexadecimal digits.

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` is made of lower-case hexadecimal digits alone.
pub fn is_hexadecimal(text: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.bytes().all(is_digit)
}

/// The identity that 64 hexadecimal digits stand for.
pub(super) fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut identity = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in identity.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(identity)
}
