//! Machine code of x86: calls, and in 64-bit code also what is addressed relative to the
//! instruction pointer.

use super::way::Way;

/// Bytes of a distance.
const LEN: usize = 4;

/// Distances from -2^24 to 2^24 - 1 are rewritten, modulo 2^25.
const BITS: u32 = 25;

/// For the bytes from an opcode on: where a distance may begin, if the instruction has one.
pub(super) type Operand = fn(&[u8]) -> Option<usize>;

/// A call: `E8`, then the distance.
pub(super) fn call(code: &[u8]) -> Option<usize> {
    (code[0] == 0xe8).then_some(1)
}

/// A call, or an instruction whose `ModRM` byte says that its operand lies at a distance from the
/// instruction pointer.
pub(super) fn call_or_data(code: &[u8]) -> Option<usize> {
    let modrm = match code[0] {
        0xe8 => return Some(1),
        0x0f if ACCESSES_0F[usize::from(code[1])] => 2,
        opcode if ACCESSES[usize::from(opcode)] => 1,
        _ => return None,
    };
    (code[modrm] & 0xc7 == 0x05).then_some(modrm + 1)
}

const fn set<const N: usize>(members: [u8; N]) -> [bool; 256] {
    let mut set = [false; 256];
    let mut i = 0;
    while i < N {
        set[members[i] as usize] = true;
        i += 1;
    }
    set
}

/// Opcodes of one byte that often address data: moves, comparisons, calls and jumps through memory.
static ACCESSES: [bool; 256] = set([
    0x03, 0x2b, 0x38, 0x39, 0x3b, 0x63, 0x80, 0x81, 0x83, 0x85, 0x88, 0x89, 0x8b, 0x8d, 0xc6, 0xc7,
    0xff,
]);

/// The same after the byte `0F`: moves and arithmetic of vectors, and moves that extend.
static ACCESSES_0F: [bool; 256] = set([
    0x10, 0x11, 0x28, 0x29, 0x2e, 0x2f, 0x54, 0x57, 0x58, 0x59, 0x5c, 0x5e, 0x6f, 0x7f, 0xb6, 0xb7,
    0xbe, 0xbf,
]);

/// Rewrites the distances that `operand` finds.
pub(super) fn run(bytes: &mut [u8], position: u32, way: Way, operand: Operand) {
    /// The longest opcode with its `ModRM` byte.
    const OPCODE: usize = 3;
    let mut at = 0;
    while at + OPCODE + LEN <= bytes.len() {
        let Some(start) = operand(&bytes[at..]) else {
            at += 1;
            continue;
        };
        // Whatever the field holds, the next opcode is looked for behind it, so that nothing that
        // was looked at here is rewritten later.
        at += start + LEN;
        let Some(field) = bytes[..at].last_chunk_mut::<LEN>() else {
            return;
        };
        let distance = i32::from_le_bytes(*field);
        if !(-1 << (BITS - 1)..1 << (BITS - 1)).contains(&distance) {
            continue;
        }
        // Distances count from the instruction's end, which as a rule is that of the field.
        let end = position.wrapping_add(at as u32);
        let moved = (distance as u32).wrapping_add(way.offset(end));
        *field = sign_extended(moved).to_le_bytes();
    }
}

/// The lowest bits of `value` as a signed number.
fn sign_extended(value: u32) -> i32 {
    (value << (32 - BITS)) as i32 >> (32 - BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(code: &[u8], position: u32, operand: Operand) -> Vec<u8> {
        let mut bytes = code.to_vec();
        // The last bytes of a block are not looked at.
        bytes.extend([0x90; 8]);
        run(&mut bytes, position, Way::Apply, operand);
        bytes.truncate(code.len());
        bytes
    }

    #[test]
    fn calls_of_the_same_target_become_equal() {
        // Two calls of address 0x1020, at 0x1000 and 0x1005.
        let code = [0xe8, 0x1b, 0, 0, 0, 0xe8, 0x16, 0, 0, 0];
        let wanted = [0xe8, 0x20, 0x10, 0, 0, 0xe8, 0x20, 0x10, 0, 0];
        for operand in [call, call_or_data] {
            assert_eq!(applied(&code, 0x1000, operand), wanted);
        }
    }

    #[test]
    fn accesses_to_data_are_rewritten_in_64_bit_code_alone() {
        // lea rdi, [rip + 16]; movss xmm0, [rip - 5]
        let code = [
            0x48, 0x8d, 0x3d, 0x10, 0, 0, 0, 0xf3, 0x0f, 0x10, 0x05, 0xfb, 0xff, 0xff, 0xff,
        ];
        let wanted = [
            0x48, 0x8d, 0x3d, 0x17, 0, 0, 0, 0xf3, 0x0f, 0x10, 0x05, 0x0a, 0, 0, 0,
        ];
        assert_eq!(applied(&code, 0, call_or_data), wanted);
        assert_eq!(applied(&code, 0, call), code);
    }

    #[test]
    fn what_is_no_near_distance_stays() {
        let code = [0xe8, 0, 0, 0, 0x12, 0xe8, 0, 0, 0, 1];
        assert_eq!(applied(&code, 0x1000, call), code);
    }

    #[test]
    fn sums_wrap_within_the_distances() {
        // The farthest distance, from address 2.
        let code = [0xe8, 0xff, 0xff, 0xff, 0];
        let wanted = [0xe8, 6, 0, 0, 0xff];
        assert_eq!(applied(&code, 2, call), wanted);
    }
}
