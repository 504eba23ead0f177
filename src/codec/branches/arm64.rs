//! Machine code of ARM64, little-endian: calls, and addresses of pages.

use super::way::Way;

/// Bytes of an instruction. Addresses of instructions are multiples of it.
const LEN: usize = 4;

/// A page is 2^12 bytes. Distances from -2^17 to 2^17 - 1 pages are rewritten, modulo 2^18.
const PAGE: u32 = 12;
const PAGES_BITS: u32 = 18;
/// Bits of the distance in pages that an instruction holds.
const FIELD_BITS: u32 = 21;

/// Rewrites the distances in `bytes`.
pub(super) fn run(bytes: &mut [u8], position: u32, way: Way) {
    let before = (position.wrapping_neg() as usize % LEN).min(bytes.len());
    let instructions = bytes[before..].as_chunks_mut::<LEN>().0;
    let mut address = position.wrapping_add(before as u32);
    for instruction in instructions {
        let word = u32::from_le_bytes(*instruction);
        *instruction = rewritten(word, address, way).to_le_bytes();
        address = address.wrapping_add(LEN as u32);
    }
}

/// The instruction `word` at `address`, rewritten if it is `BL` or `ADRP`.
fn rewritten(word: u32, address: u32, way: Way) -> u32 {
    const DISTANCE: u32 = (1 << 26) - 1;
    if word >> 26 == 0b10_0101 {
        // BL counts in instructions.
        let moved = word.wrapping_add(way.offset(address >> 2));
        return word & !DISTANCE | moved & DISTANCE;
    }
    if word & 0x9f00_0000 == 0x9000_0000 {
        return with_pages(word, address, way);
    }
    word
}

/// An instruction `ADRP`: its lowest two bits of the distance are bits 29 and 30, the others begin
/// at bit 5.
fn with_pages(word: u32, address: u32, way: Way) -> u32 {
    let field = word >> 29 & 3 | (word >> 5 & 0x7_ffff) << 2;
    let near = |value: u32, bits: u32| (value << (32 - bits)) as i32 >> (32 - bits);
    let pages = near(field, FIELD_BITS);
    if !(-1 << (PAGES_BITS - 1)..1 << (PAGES_BITS - 1)).contains(&pages) {
        return word;
    }
    let moved = (pages as u32).wrapping_add(way.offset(address >> PAGE));
    let field = near(moved, PAGES_BITS) as u32;
    word & 0x9f00_001f | (field & 3) << 29 | (field >> 2 & 0x7_ffff) << 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(words: &[u32], position: u32) -> Vec<u32> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        run(&mut bytes, position, Way::Apply);
        let words = bytes.as_chunks().0.iter();
        words.map(|word| u32::from_le_bytes(*word)).collect()
    }

    #[test]
    fn calls_of_the_same_target_become_equal() {
        // Two calls of address 0x1020, at 0x1000 and 0x1004.
        let found = applied(&[0x9400_0008, 0x9400_0007], 0x1000);
        assert_eq!(found, [0x9400_0408; 2]);
    }

    #[test]
    fn pages_become_addresses() {
        // adrp x0, one page ahead, at 0x5000; adrp x1, one page back.
        let found = applied(&[0xb000_0000, 0xf0ff_ffe1], 0x5000);
        assert_eq!(found, [0xd000_0020, 0x9000_0021]);
    }

    #[test]
    fn far_pages_and_other_instructions_stay() {
        // adrp x0, 2^17 pages ahead; ret; add x0, x0, #16.
        let words = [0x9010_0000, 0xd65f_03c0, 0x9100_4000];
        assert_eq!(applied(&words, 0x5000), words);
    }

    #[test]
    fn instructions_lie_at_multiples_of_four() {
        let mut bytes = [0, 0, 0x08, 0, 0, 0x94, 0];
        run(&mut bytes, 0x1002, Way::Apply);
        assert_eq!(bytes, [0, 0, 0x09, 0x04, 0, 0x94, 0]);
        run(&mut bytes[..1], 0x1003, Way::Apply);
        assert_eq!(bytes[0], 0);
    }
}
