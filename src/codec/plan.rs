//! Which mode each part of the input gets, from its bytes and the options alone.
//!
//! A window of input is classified in segments of 16 KiB by two cheap tests on bytes, and runs of one
//! class become blocks. Text is a candidate for the language model; whether the model helps is then
//! found by coding a sample both ways, and all of it where that leaves the question open ([`sample`], [`verdict`]; the
//! trials themselves are the caller's). Everything is
//! integer arithmetic, so a plan is the same on every machine.

use std::ops::Range;

/// What a run of bytes looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// As good as random: stored.
    Incompressible,
    /// For the experts.
    Binary,
    /// Mostly valid UTF-8 without control characters: perhaps for the language model.
    Text,
}

/// Bytes classified together.
const SEGMENT: usize = 16 << 10;
/// A tail shorter than this goes with the run before it.
const SHORTEST_TAIL: usize = 4 << 10;
/// Bytes of text coded both ways to see whether the language model helps.
const SAMPLE: usize = 8 << 10;
/// The sample is taken from this many places.
const SAMPLE_PLACES: usize = 4;

/// A stream begins at most this many bytes after where it would by length alone.
const SEAM: usize = 256;

/// Cuts `window` into runs of one class, in order and without gaps.
pub fn runs(window: &[u8]) -> Vec<(Range<usize>, Class)> {
    let mut runs: Vec<(Range<usize>, Class)> = Vec::new();
    let mut start = 0;
    while start < window.len() {
        let mut end = (start + SEGMENT).min(window.len());
        if window.len() - end < SHORTEST_TAIL {
            end = window.len();
        }
        let class = classify(&window[start..end]);
        match runs.last_mut() {
            Some((range, last)) if *last == class => range.end = end,
            _ => runs.push((start..end, class)),
        }
        start = end;
    }
    absorb_lone_text(runs)
}

/// A single segment of text inside binary data is not worth a model that starts cold.
fn absorb_lone_text(runs: Vec<(Range<usize>, Class)>) -> Vec<(Range<usize>, Class)> {
    let mut merged: Vec<(Range<usize>, Class)> = Vec::new();
    for (i, (range, class)) in runs.iter().enumerate() {
        let lone_text = *class == Class::Text
            && range.len() <= SEGMENT
            && i > 0
            && runs[i - 1].1 == Class::Binary
            && runs.get(i + 1).is_some_and(|next| next.1 == Class::Binary);
        let class = if lone_text { Class::Binary } else { *class };
        match merged.last_mut() {
            Some((last, last_class)) if *last_class == class => last.end = range.end,
            _ => merged.push((range.clone(), class)),
        }
    }
    merged
}

/// A sample of `text`: all of it if it is short, else pieces from several places.
pub fn sample(text: &[u8]) -> Vec<u8> {
    if text.len() <= SAMPLE {
        return text.to_vec();
    }
    let piece = SAMPLE / SAMPLE_PLACES;
    let stride = (text.len() - piece) / (SAMPLE_PLACES - 1);
    (0..SAMPLE_PLACES)
        .flat_map(|place| text[place * stride..][..piece].iter().copied())
        .collect()
}

/// Bytes of a packed model from which on it counts as large. What is written depends on it.
const LARGE_MODEL: usize = 16 << 20;

/// How finely a block is cut into streams without being told.
struct Cut {
    /// Most streams.
    most: u64,
    /// Bytes that the experts alone need for what is worth a stream: each costs some dozens of bytes.
    worth: u64,
}

/// For a model whose weights are read from memory: several streams share the reading.
const LARGE: Cut = Cut {
    most: 8,
    worth: 5_000,
};
/// For one in the processor's caches: while the next tokens of some streams are predicted, others are decoded.
const CACHED: Cut = Cut {
    most: 4,
    worth: 60_000,
};

impl Cut {
    fn of(model_bytes: usize) -> &'static Cut {
        match model_bytes < LARGE_MODEL {
            true => &CACHED,
            false => &LARGE,
        }
    }
}

/// The most streams a block is cut into for a packed model of `model_bytes` without being told.
pub fn most_streams(model_bytes: usize) -> usize {
    Cut::of(model_bytes).most as usize
}

/// How many streams a block is cut into for a packed model of `model_bytes`, if the experts alone would make `experts_len`
/// bytes of the block.
pub fn streams(model_bytes: usize, experts_len: u64) -> usize {
    let cut = Cut::of(model_bytes);
    (experts_len / cut.worth).clamp(1, cut.most) as usize
}

/// Cuts `bytes`, at least one, into at most `count` parts of about the same length, where a line, a word or at least a
/// character ends.
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

/// How many of `bytes` it is better to leave to the part before.
fn seam(bytes: &[u8]) -> usize {
    let after = |found: Option<usize>| found.map(|at| at + 1);
    let line = after(bytes.iter().position(|&byte| byte == b'\n'));
    // A space belongs to the word behind it, as tokenizers have it.
    let word = || bytes.iter().position(|&byte| byte == b' ');
    let character = || bytes.iter().position(|&byte| byte & 0xc0 != 0x80);
    line.or_else(word).or_else(character).unwrap_or(0)
}

/// What a sample says of the text it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Better without the model.
    Experts,
    /// Better with it.
    Model,
    /// The text has to be coded both ways.
    Open,
}

/// Judges by the bytes a sample becomes under the experts alone and with the model. Experts learn: what they lack in a
/// sample of 8 KiB they have made up for, in part, at the end of the text.
pub fn verdict(experts: usize, model: usize) -> Verdict {
    // On the development split a model that needed more than 0.73 of the experts' bytes lost in the end, now and then;
    // one with less than 0.7 never did.
    if model >= experts {
        Verdict::Experts
    } else if model * 10 < experts * 7 {
        Verdict::Model
    } else {
        Verdict::Open
    }
}

fn classify(segment: &[u8]) -> Class {
    if looks_random(segment) {
        Class::Incompressible
    } else if looks_like_text(segment) {
        Class::Text
    } else {
        Class::Binary
    }
}

/// Whether `run` might not shrink at all: its histogram promises less than about 3 %.
pub fn is_nearly_random(run: &[u8]) -> bool {
    equal_pairs(run) <= uniform_pairs(run) / 100 * 130
}

/// Pairs of equal bytes, a measure of how uneven the histogram is.
fn equal_pairs(bytes: &[u8]) -> u64 {
    let mut counts = [0u64; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    counts.iter().map(|count| count * count).sum()
}

/// What [`equal_pairs`] is on average for as many uniform bytes.
fn uniform_pairs(bytes: &[u8]) -> u64 {
    let n = bytes.len() as u64;
    n * n / 256 + n
}

/// Whether neither the histogram nor repeats give an expert anything to learn.
fn looks_random(segment: &[u8]) -> bool {
    // Three per cent more pairs than uniform bytes have is 0.04 bits a byte of collision entropy: at
    // most half a per cent to be gained from the histogram.
    if segment.len() < 512 || equal_pairs(segment) > uniform_pairs(segment) / 100 * 103 {
        return false;
    }
    // Four-byte strings seen before, found through a small table: random bytes have almost none.
    let mut last = vec![u32::MAX; 1 << 14];
    let mut repeats = 0;
    for (i, string) in segment.windows(4).enumerate() {
        let string = u32::from_le_bytes([string[0], string[1], string[2], string[3]]);
        let slot = &mut last[(string.wrapping_mul(0x9E37_79B1) >> 18) as usize];
        let before = std::mem::replace(slot, i as u32);
        if before != u32::MAX && segment[before as usize..].starts_with(&string.to_le_bytes()) {
            repeats += 1;
        }
    }
    repeats * 256 < segment.len()
}

/// Whether at most one byte in 64 is part of no UTF-8 character or is a control character that text
/// does not use.
fn looks_like_text(segment: &[u8]) -> bool {
    let mut strange = 0;
    let mut rest = segment;
    loop {
        let (valid, invalid) = match std::str::from_utf8(rest) {
            Ok(valid) => (valid.as_bytes(), 0),
            Err(error) => (
                &rest[..error.valid_up_to()],
                error
                    .error_len()
                    .unwrap_or(rest.len() - error.valid_up_to()),
            ),
        };
        strange += valid.iter().filter(|byte| is_strange(**byte)).count() + invalid;
        rest = &rest[valid.len() + invalid..];
        if rest.is_empty() {
            return strange * 64 <= segment.len();
        }
    }
}

fn is_strange(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b) || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x1234_5678_9abc_def1u64;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect()
    }

    fn prose(len: usize) -> Vec<u8> {
        "It was a bright cold day, naïve and clear.\n"
            .bytes()
            .cycle()
            .take(len)
            .collect()
    }

    fn machine_code(len: usize) -> Vec<u8> {
        (0..len)
            .map(|i| [0, 0x48, 0x89, 0xe5, 0xc3, (i / 97) as u8][i % 6])
            .collect()
    }

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(classify(&noise(SEGMENT)), Class::Incompressible);
        assert_eq!(classify(&prose(SEGMENT)), Class::Text);
        assert_eq!(classify(&machine_code(SEGMENT)), Class::Binary);
    }

    #[test]
    fn repeated_noise_is_compressible() {
        let mut twice = noise(SEGMENT / 2);
        twice.extend_from_within(..);
        assert_eq!(classify(&twice), Class::Binary);
    }

    #[test]
    fn runs_cover_the_window_and_change_with_the_kind() {
        let mut window = prose(3 * SEGMENT);
        window.extend(noise(2 * SEGMENT));
        window.extend(machine_code(2 * SEGMENT + 100));
        let runs = runs(&window);
        let classes: Vec<Class> = runs.iter().map(|run| run.1).collect();
        assert_eq!(classes, [Class::Text, Class::Incompressible, Class::Binary]);
        assert_eq!(runs[0].0, 0..3 * SEGMENT);
        assert_eq!(runs[2].0.end, window.len());
        assert!(runs.windows(2).all(|pair| pair[0].0.end == pair[1].0.start));
    }

    #[test]
    fn a_lone_segment_of_text_stays_with_the_binary_around_it() {
        let mut window = machine_code(2 * SEGMENT);
        window.extend(prose(SEGMENT));
        window.extend(machine_code(2 * SEGMENT));
        assert_eq!(runs(&window), [(0..5 * SEGMENT, Class::Binary)]);
    }

    #[test]
    fn the_sample_is_bounded_and_from_start_to_end() {
        assert_eq!(sample(b"short"), b"short");
        let text: Vec<u8> = (0..100_000u32).map(|i| (i / 400) as u8).collect();
        let sample = sample(&text);
        assert_eq!(sample.len(), SAMPLE);
        assert_eq!((sample[0], sample[SAMPLE - 1]), (0, text[99_999]));
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

    #[test]
    fn a_stream_is_worth_some_thousand_bytes() {
        for (model_bytes, cut) in [(100 << 20, LARGE), (1 << 20, CACHED)] {
            assert_eq!(streams(model_bytes, 1_000), 1);
            assert_eq!(streams(model_bytes, 3 * cut.worth), 3);
            assert_eq!(streams(model_bytes, 1 << 40), most_streams(model_bytes));
        }
    }

    #[test]
    fn a_sample_decides_only_what_is_clear() {
        assert_eq!(verdict(1000, 1000), Verdict::Experts);
        assert_eq!(verdict(1000, 999), Verdict::Open);
        assert_eq!(verdict(1000, 700), Verdict::Open);
        assert_eq!(verdict(1000, 699), Verdict::Model);
    }

    proptest! {
        #[test]
        fn the_parts_make_up_the_block(bytes in prop::collection::vec(any::<u8>(), 1..2000), count in 1..=16usize) {
            let parts = cut(&bytes, count);
            prop_assert!(parts.len() <= count);
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
            let joined: Vec<u8> = parts.into_iter().flat_map(|part| bytes[part].to_vec()).collect();
            prop_assert_eq!(joined, bytes);
        }
    }
}
