//! How many streams a block is cut into, and where.

use std::ops::Range;

/// A packed model of at least this many bytes, 16 MiB, is taken to be larger than the processor's
/// caches. Part of the format's planner: it decides what is written, so it is the same everywhere.
const LARGE_MODEL: usize = 16 << 20;

/// For a device that predicts many streams in one pass: a stream must hold at least this many
/// bytes as the experts code them.
const DEVICE_WORTH: u64 = 4_000;

/// A stream begins at most this many bytes after the place where it would begin by length alone.
const SEAM: usize = 256;

/// How finely a block is cut into streams by default.
#[derive(Clone, Copy)]
struct Cut {
    /// Most streams.
    most: u64,
    /// A stream must hold at least this many bytes as the experts code them; a further stream
    /// costs a few dozen to a few hundred.
    worth: u64,
    /// The number of streams, if it is more than one, is a multiple of this; so is `most`.
    together: u64,
}

/// For a model whose weights are read from memory: one pass reads them once for several streams.
const LARGE: Cut = Cut {
    most: 8,
    worth: 5_000,
    together: 1,
};
/// For a model in the processor's caches: while the next tokens of one half of the streams are
/// predicted, the tokens of the other half are decoded.
const CACHED: Cut = Cut {
    most: 6,
    worth: 40_000,
    together: 2,
};

const _: () = assert!(LARGE.most.is_multiple_of(LARGE.together));
const _: () = assert!(CACHED.most.is_multiple_of(CACHED.together));

impl Cut {
    fn of(model_bytes: usize) -> Cut {
        match model_bytes < LARGE_MODEL {
            true => CACHED,
            false => LARGE,
        }
    }
}

/// What the number of streams in a block is chosen for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// For a processor that runs the model.
    #[default]
    ForProcessor,
    /// For a device that predicts up to so many streams in one pass.
    ForDevice(usize),
    /// It is given, unless the block is too short.
    Exactly(usize),
}

impl Streams {
    /// The most streams that a block has with a packed model of `model_bytes` bytes.
    pub fn most(self, model_bytes: usize) -> usize {
        match self {
            Streams::ForProcessor => Cut::of(model_bytes).most as usize,
            Streams::ForDevice(most) | Streams::Exactly(most) => most,
        }
    }

    /// How many streams a block has with a packed model of `model_bytes` bytes, if the experts
    /// alone code the block in `experts_len` bytes.
    pub fn number(self, model_bytes: usize, experts_len: u64) -> usize {
        let cut = match self {
            Streams::ForProcessor => Cut::of(model_bytes),
            Streams::ForDevice(most) => Cut {
                most: most as u64,
                worth: DEVICE_WORTH,
                together: 1,
            },
            Streams::Exactly(number) => return number,
        };
        let groups = experts_len / (cut.worth * cut.together);
        (groups * cut.together).clamp(1, cut.most) as usize
    }
}

/// Cuts `bytes`, at least one, into at most `count` parts of about the same length. A part ends
/// where a line, a word or at least a character ends.
pub fn cut(bytes: &[u8], count: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for part in 1..count {
        let end = bytes.len() * part / count;
        let end = end + seam(&bytes[end..bytes.len().min(end + SEAM)]);
        if end > start && end < bytes.len() {
            parts.push(start..end);
            start = end;
        }
    }
    parts.push(start..bytes.len());
    parts
}

/// The number of leading `bytes` that belong to the part before.
fn seam(bytes: &[u8]) -> usize {
    let after = |found: Option<usize>| found.map(|at| at + 1);
    let line = after(bytes.iter().position(|&byte| byte == b'\n'));
    // Tokenizers join a space to the word after it.
    let word = || bytes.iter().position(|&byte| byte == b' ');
    let character = || bytes.iter().position(|&byte| byte & 0xc0 != 0x80);
    line.or_else(word).or_else(character).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// These numbers decide what is written: changing one changes files.
    #[test]
    fn the_numbers_of_streams_are_frozen() {
        const MIB: usize = 1 << 20;
        let frozen = [
            (1 << 10, 0, 1),
            (MIB, 5_000, 1),
            (MIB, 79_999, 1),
            (MIB, 80_000, 2),
            (MIB, 159_999, 2),
            (MIB, 160_000, 4),
            (MIB, 239_999, 4),
            (MIB, 240_000, 6),
            (MIB, 10_000_000, 6),
            (16 * MIB - 1, 239_999, 4),
            (16 * MIB - 1, u64::MAX, 6),
            (16 * MIB, 0, 1),
            (16 * MIB, 9_999, 1),
            (16 * MIB, 10_000, 2),
            (130 * MIB, 39_999, 7),
            (130 * MIB, 40_000, 8),
            (2048 * MIB, 1_000_000, 8),
        ];
        for (model_bytes, experts_len, expected) in frozen {
            let streams = Streams::ForProcessor.number(model_bytes, experts_len);
            assert_eq!(streams, expected, "{model_bytes} {experts_len}");
            assert!(streams <= Streams::ForProcessor.most(model_bytes));
        }
        assert_eq!(Streams::ForProcessor.most(16 * MIB - 1), 6);
        assert_eq!(Streams::ForProcessor.most(16 * MIB), 8);
        let for_device = [
            (0, 1),
            (7_999, 1),
            (8_000, 2),
            (255_999, 63),
            (10_000_000, 64),
        ];
        for (experts_len, expected) in for_device {
            for model_bytes in [MIB, 130 * MIB] {
                let streams = Streams::ForDevice(64).number(model_bytes, experts_len);
                assert_eq!(streams, expected, "{model_bytes} {experts_len}");
            }
        }
        assert_eq!(Streams::ForDevice(64).most(MIB), 64);
        assert_eq!(Streams::Exactly(9).number(MIB, 0), 9);
    }

    #[test]
    fn streams_are_cut_where_lines_or_words_end() {
        let parts = |text: &str, count| -> Vec<String> {
            let part = |range: Range<usize>| text[range].to_owned();
            cut(text.as_bytes(), count).into_iter().map(part).collect()
        };
        assert_eq!(
            parts("one line\nand another\n", 2),
            ["one line\nand another\n"]
        );
        assert_eq!(
            parts("a line\nsome more\nand the end", 2),
            ["a line\nsome more\n", "and the end"]
        );
        assert_eq!(parts("some words in a row", 2), ["some words", " in a row"]);
        assert_eq!(
            parts("\u{4e00}\u{4e8c}\u{4e09}", 2),
            ["\u{4e00}\u{4e8c}", "\u{4e09}"]
        );
        assert_eq!(parts("x", 16), ["x"]);
    }

    proptest! {
        #[test]
        fn the_parts_make_up_the_block(
            bytes in prop::collection::vec(any::<u8>(), 1..2000),
            count in 1..=256usize,
        ) {
            let parts = cut(&bytes, count);
            prop_assert!(parts.len() <= count);
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
            let joined: Vec<u8> = parts.into_iter().flat_map(|part| bytes[part].to_vec()).collect();
            prop_assert_eq!(joined, bytes);
        }
    }
}
