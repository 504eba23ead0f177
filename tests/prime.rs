//! Priming: what is compressed after another file, and what needs that file.
#![cfg(all(feature = "encode", feature = "builtin"))]

use std::sync::Arc;

use llmzip::{
    DecoderOptions, EncoderOptions, Error, Models, Preset, Prime, compress_all, decompress_all,
};
use proptest::prelude::*;

fn prime(bytes: impl Into<Vec<u8>>) -> Arc<Prime> {
    Arc::new(Prime::new(bytes.into()).unwrap())
}

fn text() -> Vec<u8> {
    include_bytes!("../docs/ARCHITECTURE.md")[..8_000].to_vec()
}

fn with_model() -> EncoderOptions {
    let model = Models::builtin().threads(1).get("nano").unwrap();
    EncoderOptions::new().model(model)
}

fn read_with(prime: &Arc<Prime>) -> DecoderOptions {
    DecoderOptions::from(Models::builtin().threads(1)).prime(Arc::clone(prime))
}

#[test]
fn a_new_version_of_a_file_takes_little_more_than_what_is_new() {
    let old = text();
    let new = [&old[..4_000], b"A sentence that is new. ", &old[4_000..]].concat();
    let prime = prime(old);
    for options in [EncoderOptions::new(), with_model()] {
        let alone = compress_all(&new, &options).unwrap();
        let primed = compress_all(&new, &options.prime(Arc::clone(&prime))).unwrap();
        assert!(
            primed.len() < 150 && primed.len() * 10 < alone.len(),
            "{}",
            primed.len()
        );
        assert!(decompress_all(&primed, read_with(&prime)).unwrap() == new);
    }
}

#[test]
fn whoever_lacks_the_prime_is_told_which() {
    let right = prime(text());
    let options = EncoderOptions::new().prime(Arc::clone(&right));
    let file = compress_all(&text(), &options).unwrap();
    for refused in [
        decompress_all(&file, Models::builtin()),
        decompress_all(&file, read_with(&prime("another"))),
    ] {
        let error = refused.unwrap_err();
        assert!(
            matches!(error, Error::MissingPrime { identity } if identity == right.reference()),
            "{error}"
        );
    }
    // A file without a prime does not mind one.
    let plain = compress_all(&text(), &EncoderOptions::new()).unwrap();
    assert!(decompress_all(&plain, read_with(&right)).unwrap() == text());
}

#[test]
fn a_prime_has_a_length() {
    assert!(Prime::new(Vec::new()).is_none());
    assert!(Prime::new(vec![0; llmzip::codec::MAX_PRIME_LEN + 1]).is_none());
    let tiny = prime("x");
    let file = compress_all(b"xxx", &with_model().prime(Arc::clone(&tiny))).unwrap();
    assert_eq!(decompress_all(&file, read_with(&tiny)).unwrap(), b"xxx");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_compressed_with_a_prime_comes_back(
        cut in 1..7_999usize,
        noise in prop::collection::vec(any::<u8>(), 0..300),
        model in any::<bool>(),
        light in any::<bool>(),
        independent in any::<bool>(),
        streams in 1..4usize,
        block_len in 500..9_000u32,
    ) {
        let text = text();
        let prime = prime(&text[..cut]);
        let original = [&text[cut / 2..], &noise, &text[..cut / 3]].concat();
        let mut options = match model {
            true => with_model().streams(streams),
            false => EncoderOptions::new(),
        };
        if light && !model {
            options = options.preset(Preset::Light);
        }
        let options = (options.prime(Arc::clone(&prime)))
            .independent_blocks(independent)
            .block_len(block_len);
        let file = compress_all(&original, &options).unwrap();
        prop_assert!(decompress_all(&file, read_with(&prime)).unwrap() == original);
    }
}
