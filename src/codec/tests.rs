//! The codec knows a runtime only through its trait: blocks are the same whatever runs the model.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::decode::BlockDecoder;
use super::encode::{BlockEncoder, Stream};
use super::{CodecError, Drafts, Symbol};
use crate::engine::tests::ReferenceRuntime;
use crate::engine::{Engine, EngineOptions, Runtime};
use crate::packed::{PackedModel, TokenTable};
use crate::predict::{Preset, Settings};
use crate::store::embedded::FIXTURE;

const SETTINGS: Settings = Settings {
    experts: true,
    preset: Preset::Normal,
    with_model: true,
};

fn packed() -> Arc<PackedModel> {
    Arc::new(PackedModel::from_static(FIXTURE).unwrap())
}

fn engine() -> Arc<dyn Runtime> {
    Arc::new(Engine::new(packed(), EngineOptions::default()).unwrap())
}

/// The longest token at each place, and a byte where there is none.
fn symbols(tokens: TokenTable<'_>, text: &[u8]) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let token = (1..=rest.len().min(8))
            .rev()
            .find_map(|len| Some((len, tokens.find(&rest[..len])?)));
        let (len, symbol) = match token {
            Some((len, row)) => (len, Symbol::Token(row)),
            None => (1, Symbol::Byte(rest[0])),
        };
        symbols.push(symbol);
        rest = &rest[len..];
    }
    symbols
}

fn text() -> Vec<u8> {
    let mut text = b"The cat sat on the mat, and the cat sat on the hat; ".repeat(24);
    text[601] = 0xff;
    text
}

fn streams(runtime: &dyn Runtime, text: &[u8], count: usize) -> Vec<Stream> {
    let parts = text.chunks(text.len().div_ceil(count));
    let stream = |part: &[u8]| Stream {
        symbols: symbols(runtime.model().tokens(), part),
        len: part.len(),
    };
    parts.map(stream).collect()
}

fn encode(runtime: &Arc<dyn Runtime>, streams: &[Stream]) -> Vec<Vec<u8>> {
    let mut encoder = BlockEncoder::new(SETTINGS, Some(runtime), None).unwrap();
    let progress = &mut |_, _| ControlFlow::Continue(());
    encoder.model(streams, progress).unwrap()
}

fn decode(runtime: &Arc<dyn Runtime>, streams: &[Stream], coded: &[Vec<u8>]) -> Vec<u8> {
    let drafts = Drafts::default();
    let mut decoder = BlockDecoder::new(SETTINGS, None).unwrap();
    decoder.set_model(runtime, drafts);
    let lens = streams.iter().map(|stream| stream.len);
    let parts: Vec<_> = lens.zip(coded.iter().map(Vec::as_slice)).collect();
    let progress = &mut |_| ControlFlow::Continue(());
    decoder.model(&parts, progress).unwrap()
}

#[test]
fn a_block_is_the_same_whatever_runs_the_model() {
    let reference: Arc<dyn Runtime> = Arc::new(ReferenceRuntime::new(packed()));
    let engine = engine();
    let text = text();
    for count in [1, 3, 17, 40] {
        let streams = streams(&*engine, &text, count);
        let coded = encode(&engine, &streams);
        assert!(encode(&reference, &streams) == coded, "{count} streams");
        assert!(decode(&reference, &streams, &coded) == text);
        assert!(decode(&engine, &streams, &coded) == text);
    }
}

#[test]
fn a_block_without_the_model_it_wants_is_an_error() {
    let streams = streams(&*engine(), b"text", 1);
    let mut encoder = BlockEncoder::new(SETTINGS, None, None).unwrap();
    let coded = encoder.model(&streams, &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(coded, Err(CodecError::NoModel)));
}

#[test]
fn coding_ends_when_progress_asks_for_it() {
    let engine = engine();
    let text = text();
    for count in [1, 3, 17, 40] {
        let streams = streams(&*engine, &text, count);
        let coded = encode(&engine, &streams);
        let mut encoder = BlockEncoder::new(SETTINGS, Some(&engine), None).unwrap();
        let cut = encoder.model(&streams, &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(cut, Err(CodecError::Cancelled)));
        let mut decoder = BlockDecoder::new(SETTINGS, None).unwrap();
        decoder.set_model(&engine, Drafts::default());
        let lens = streams.iter().map(|stream| stream.len);
        let parts: Vec<_> = lens.zip(coded.iter().map(Vec::as_slice)).collect();
        let cut = decoder.model(&parts, &mut |_| ControlFlow::Break(()));
        assert!(matches!(cut, Err(CodecError::Cancelled)));
    }
}
