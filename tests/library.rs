//! The library over `Read` and `Write`: what goes in comes out, in every mode and with every
//! option.

use std::io::Read;

use llmzip::{
    EncoderOptions, Error, Models, Preset, Summary, Times, compress, compress_all, decompress,
    decompress_all,
};
use proptest::prelude::*;

fn round_trip(original: &[u8], options: &EncoderOptions) -> (Vec<u8>, Summary) {
    let mut compressed = Vec::new();
    let summary = compress(original, &mut compressed, options).unwrap();
    assert_eq!(summary.original_len, original.len() as u64);
    assert_eq!(summary.compressed_len, compressed.len() as u64);
    let mut restored = Vec::new();
    let read = decompress(compressed.as_slice(), &mut restored, Models::none()).unwrap();
    assert!(
        restored == original,
        "{} bytes came back changed",
        original.len()
    );
    let untimed = |mut summary: Summary| {
        summary.times = Times::default();
        summary
    };
    assert_eq!(untimed(read), untimed(summary));
    (compressed, summary)
}

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
    let words = [
        "time", "and", "tide", "wait", "for", "no", "one,\n", "they", "say",
    ];
    let mut text = Vec::new();
    for random in noise(len) {
        text.extend_from_slice(words[usize::from(random) % words.len()].as_bytes());
        text.push(b' ');
    }
    text.truncate(len);
    text
}

#[test]
fn the_light_preset_is_of_experts_alone() {
    let options = EncoderOptions::new().preset(Preset::Light).experts(false);
    let refused = compress_all(b"text", &options).unwrap_err();
    assert!(matches!(refused, Error::Unsupported(_)), "{refused}");
}

#[test]
fn nothing_comes_back_as_nothing() {
    let (compressed, _) = round_trip(b"", &EncoderOptions::new());
    assert!(compressed.len() <= 32);
}

#[test]
fn noise_grows_by_at_most_a_thousandth_and_32_bytes() {
    for len in [1, 2, 100, 511, 4096, 70_000, 1_500_000] {
        let (compressed, _) = round_trip(&noise(len), &EncoderOptions::new());
        let bound = len + len / 1000 + 32;
        assert!(compressed.len() <= bound, "{len} -> {}", compressed.len());
    }
}

#[test]
fn kinds_of_data_mixed_in_one_file_take_their_own_modes() {
    let mut file = prose(100_000);
    file.extend(noise(150_000));
    file.extend(prose(100_000));
    file.extend(noise(3));
    let (compressed, summary) = round_trip(&file, &EncoderOptions::new());
    assert!(summary.modes.raw >= 130_000, "{summary:?}");
    assert!(compressed.len() < 220_000, "{}", compressed.len());
}

#[test]
fn what_earlier_blocks_taught_helps_later_ones_unless_they_are_independent() {
    let file = prose(120_000);
    let mut options = EncoderOptions::new().block_len(40_000);
    let (dependent, _) = round_trip(&file, &options);
    options.independent_blocks = true;
    let (independent, _) = round_trip(&file, &options);
    assert!(dependent.len() < independent.len());
}

#[test]
fn concatenated_frames_decode_as_one() {
    let (mut first, _) = round_trip(b"first", &EncoderOptions::new());
    let (second, _) = round_trip(b"second", &EncoderOptions::new());
    first.extend(second);
    let restored = decompress_all(&first, Models::none()).unwrap();
    assert_eq!(restored, b"firstsecond");
}

#[test]
fn the_bytes_do_not_depend_on_how_the_input_is_handed_out() {
    struct Dribble<'a>(&'a [u8]);
    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let some = buffer.len().min(7);
            self.0.read(&mut buffer[..some])
        }
    }
    let file = prose(50_000);
    let options = EncoderOptions::new().block_len(16_384);
    let (at_once, _) = round_trip(&file, &options);
    let mut dribbled = Vec::new();
    compress(Dribble(&file), &mut dribbled, &options).unwrap();
    assert!(at_once == dribbled);
}

#[test]
fn a_block_without_check_is_still_sealed() {
    let options = EncoderOptions::new().checksum(false);
    let (mut compressed, _) = round_trip(b"no check of the original, but a seal", &options);
    let middle = compressed.len() / 2;
    compressed[middle] ^= 1;
    assert!(decompress_all(&compressed, Models::none()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bytes_in_any_blocks_come_back(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        repeats in 1usize..4,
        block_len in 1u32..5000,
        independent_blocks in any::<bool>(),
        experts in any::<bool>(),
    ) {
        let options = EncoderOptions::new()
            .block_len(block_len.max(200))
            .independent_blocks(independent_blocks)
            .experts(experts);
        round_trip(&bytes.repeat(repeats), &options);
    }
}
