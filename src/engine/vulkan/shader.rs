//! The shaders: compiled programs for devices.
//!
//! `shaders/` holds their sources and, in `compiled/`, what `shaders/compile.sh` makes of them. A
//! test compiles the sources again and compares.

use super::library::DeviceInfo;

/// A shader, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shader {
    Embed,
    Norm,
    Quantise,
    HeadNorm,
    Heads,
    Scores,
    Softmax,
    Values,
    ProductFew,
    ProductMany,
    Route,
    Combine,
    Recur,
    Keep,
    Arithmetic,
}

/// Most specialisation constants of a shader.
pub(super) const CONSTANTS: usize = 3;

/// A shader with its specialisation constants; those that it has not are 0.
pub(super) type Variant = (Shader, [u32; CONSTANTS]);

macro_rules! compiled {
    ($name:literal) => {
        include_bytes!(concat!("shaders/compiled/", $name, ".spv"))
    };
}

impl Shader {
    /// Its program, for devices with dot products of bytes or for all.
    fn program(self, has_dot_products: bool) -> &'static [u8] {
        match (self, has_dot_products) {
            (Shader::Embed, _) => compiled!("embed"),
            (Shader::Norm, _) => compiled!("norm"),
            (Shader::Quantise, _) => compiled!("quantise"),
            (Shader::HeadNorm, _) => compiled!("head_norm"),
            (Shader::Heads, _) => compiled!("heads"),
            (Shader::Softmax, _) => compiled!("softmax"),
            (Shader::Route, _) => compiled!("route"),
            (Shader::Combine, _) => compiled!("combine"),
            (Shader::Recur, _) => compiled!("recur"),
            (Shader::Keep, _) => compiled!("keep"),
            (Shader::Arithmetic, _) => compiled!("arithmetic"),
            (Shader::Scores, false) => compiled!("scores"),
            (Shader::Scores, true) => compiled!("scores.dot"),
            (Shader::Values, false) => compiled!("values"),
            (Shader::Values, true) => compiled!("values.dot"),
            (Shader::ProductFew, false) => compiled!("product_few"),
            (Shader::ProductFew, true) => compiled!("product_few.dot"),
            (Shader::ProductMany, false) => compiled!("product_many"),
            (Shader::ProductMany, true) => compiled!("product_many.dot"),
        }
    }
}

/// The program of a shader for a device, with the modes of floating-point arithmetic that the
/// device can be asked for.
pub(super) fn program(shader: Shader, info: &DeviceInfo) -> Vec<u32> {
    let words = words_of(shader.program(info.has_dot_products));
    let modes = modes(info.can_round_to_nearest, info.can_keep_infinities);
    with_modes(&words, &modes)
}

/// A program's words.
fn words_of(program: &[u8]) -> Vec<u32> {
    let words = program.chunks_exact(4);
    words
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect()
}

/// An execution mode of SPIR-V, with the capability that declares it; both for numbers of 32 bits.
type Mode = (u32, u32);

/// The modes of floating-point arithmetic to ask for.
fn modes(can_round_to_nearest: bool, can_keep_infinities: bool) -> Vec<Mode> {
    const ROUND_TO_NEAREST: Mode = (4462, 4467);
    const KEEP_INFINITIES: Mode = (4461, 4466);
    let nearest = can_round_to_nearest.then_some(ROUND_TO_NEAREST);
    let infinities = can_keep_infinities.then_some(KEEP_INFINITIES);
    nearest.into_iter().chain(infinities).collect()
}

/// A program that asks for execution modes. A program that declared them itself could not be loaded
/// where a device lacks one.
fn with_modes(words: &[u32], modes: &[Mode]) -> Vec<u32> {
    const HEADER: usize = 5;
    const CAPABILITY: u32 = 17;
    const ENTRY_POINT: u32 = 15;
    const EXECUTION_MODE: u32 = 16;
    let instruction = |operation: u32, operands: &[u32]| {
        let mut words = vec![(operands.len() as u32 + 1) << 16 | operation];
        words.extend(operands);
        words
    };
    let mut result = words[..HEADER].to_vec();
    let (mut rest, mut entry) = (&words[HEADER..], None);
    // Capabilities come first in a program, and execution modes follow the entry points.
    result.extend(
        modes
            .iter()
            .flat_map(|(_, capability)| instruction(CAPABILITY, &[*capability])),
    );
    while let Some(first) = rest.first() {
        let (operation, len) = (first & 0xffff, (first >> 16) as usize);
        if let (Some(entry), false) = (entry, operation == ENTRY_POINT) {
            let mode = |mode: &Mode| instruction(EXECUTION_MODE, &[entry, mode.0, 32]);
            result.extend(modes.iter().flat_map(mode));
            break;
        }
        if operation == ENTRY_POINT {
            entry = Some(rest[2]);
        }
        result.extend(&rest[..len]);
        rest = &rest[len..];
    }
    result.extend(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_declared_and_set_for_the_entry_point() {
        // Header; a capability; an entry point "main" (id 4); its workgroup; an end.
        let header = [0x0723_0203, 0x0001_0500, 0, 9, 0];
        let entry = [5 << 16 | 15, 5, 4, 0x6e69_616d, 0];
        let (capability, size, end) = (
            [2 << 16 | 17, 1],
            [6 << 16 | 16, 4, 17, 64, 1, 1],
            [1 << 16 | 56],
        );
        let program = [&header[..], &capability, &entry, &size, &end].concat();
        assert_eq!(with_modes(&program, &[]), program);
        let declared = [2 << 16 | 17, 4467];
        let set = [4 << 16 | 16, 4, 4462, 32];
        let want = [
            &header[..],
            &declared,
            &capability,
            &entry,
            &set,
            &size,
            &end,
        ]
        .concat();
        assert_eq!(with_modes(&program, &modes(true, false)), want);
    }
}
