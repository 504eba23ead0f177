//! `Encoder` and `Decoder` as an application meets them: odd sizes, flushes, failing readers and
//! writers, cancelled runs, damaged and hostile data.

use std::error::Error as _;
use std::fmt::Debug;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use llmzip::{
    AutoFinishEncoder, Decoder, DecoderOptions, Encoder, EncoderOptions, Error, Model, Models,
    Preset, Summary, Times, compress, compress_all, decompress_all,
};
use proptest::prelude::*;

const BLOCK: u32 = 2_000;

/// Small blocks and few experts, so that tests of streams are quick.
fn options() -> EncoderOptions {
    let options = EncoderOptions::new().preset(Preset::Light);
    options.block_len(BLOCK)
}

fn text(len: usize) -> Vec<u8> {
    let line = (0u32..).flat_map(|n| format!("line {n} of {}\n", n * n).into_bytes());
    line.take(len).collect()
}

fn restore(compressed: &[u8]) -> Vec<u8> {
    decompress_all(compressed, Models::none()).unwrap()
}

/// The library's error inside one of `io`.
fn inside(error: io::Error) -> Error {
    error.downcast().expect("an error of the library")
}

/// A writer that others can look into.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader or writer of one byte at a time, interrupted before each, that fails once: before the
/// byte of number `fails_at`.
struct Unsteady<T> {
    inner: T,
    calls: usize,
    fails_at: usize,
}

impl<T> Unsteady<T> {
    fn new(inner: T, fails_at: usize) -> Unsteady<T> {
        Unsteady {
            inner,
            calls: 0,
            fails_at,
        }
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.calls % 2 == 1 {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.calls / 2 == self.fails_at {
            self.fails_at = 0;
            return Err(io::Error::new(ErrorKind::StorageFull, "unsteady"));
        }
        Ok(())
    }
}

impl<T: Read> Read for Unsteady<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.call()?;
        let len = buffer.len().min(1);
        self.inner.read(&mut buffer[..len])
    }
}

impl<T: Write> Write for Unsteady<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call()?;
        self.inner.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Real machine code goes through a branch filter, from any place and in blocks of any length.
#[test]
fn the_code_of_this_program_comes_back() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let middle = &program[program.len() / 3..][..300_001];
    for block_len in [50_001, 1 << 20] {
        let options = options().block_len(block_len);
        for options in [options.clone().independent_blocks(true), options] {
            let compressed = compress_all(middle, &options).unwrap();
            assert!(restore(&compressed) == middle);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_sizes_of_writes_and_reads_change_nothing(
        len in 0..9_000usize,
        writes in prop::collection::vec(1..5_000usize, 1..8),
        reads in prop::collection::vec(1..5_000usize, 1..8),
    ) {
        let original = text(len);
        let mut encoder = Encoder::new(Vec::new(), &options()).unwrap();
        let mut rest = original.as_slice();
        for &size in writes.iter().cycle() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            encoder.write_all(now).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let compressed = encoder.finish().unwrap();
        prop_assert!(compressed == compress_all(&original, &options()).unwrap());

        let mut decoder = Decoder::new(compressed.as_slice(), Models::none());
        let mut restored = Vec::new();
        for &size in reads.iter().cycle() {
            let mut buffer = vec![0; size];
            let got = decoder.read(&mut buffer).unwrap();
            restored.extend_from_slice(&buffer[..got]);
            if got == 0 {
                break;
            }
        }
        prop_assert!(restored == original);
    }

    #[test]
    fn flushes_anywhere_lose_nothing(parts in prop::collection::vec(0..5_000usize, 1..5)) {
        let original = text(parts.iter().sum());
        let output = Shared::default();
        let mut encoder = Encoder::new(output.clone(), &options()).unwrap();
        let mut done = 0;
        for part in parts {
            encoder.write_all(&original[done..done + part]).unwrap();
            encoder.flush().unwrap();
            done += part;
            // Before the first byte there is no frame.
            prop_assert!(done == 0 || restore(&output.bytes()) == original[..done]);
        }
        encoder.finish().unwrap();
        prop_assert!(restore(&output.bytes()) == original);
    }
}

#[test]
fn a_flush_with_nothing_to_flush_changes_nothing() {
    let original = text(5_000);
    let mut encoder = Encoder::new(Vec::new(), &options()).unwrap();
    encoder.flush().unwrap();
    assert!(encoder.get_ref().is_empty());
    encoder.write_all(&original).unwrap();
    encoder.flush().unwrap();
    encoder.flush().unwrap();
    let compressed = encoder.finish().unwrap();
    assert!(compressed == compress_all(&original, &options()).unwrap());
}

#[test]
fn an_encoder_that_finished_can_begin_another_frame() {
    let mut encoder = Encoder::new(Vec::new(), &options()).unwrap();
    encoder.write_all(b"one, ").unwrap();
    encoder.try_finish().unwrap();
    encoder.write_all(b"two").unwrap();
    let summary = encoder.try_finish().unwrap();
    let compressed = encoder.into_inner();
    assert_eq!(restore(&compressed), b"one, two");
    assert_eq!(summary.original_len, 8);
    assert_eq!(summary.compressed_len, compressed.len() as u64);
}

#[test]
fn both_ends_sum_up_as_the_functions_do() {
    let untimed = |mut summary: Summary| {
        summary.times = Times::default();
        summary
    };
    let original = text(5_000);
    let counting = options().count_cross_entropy(true);
    let mut encoder = Encoder::new(Vec::new(), &counting).unwrap();
    encoder.write_all(&original).unwrap();
    let summary = encoder.try_finish().unwrap();
    let expected = compress(original.as_slice(), io::sink(), &counting).unwrap();
    assert_eq!(untimed(summary), untimed(expected));
    assert!(summary.cross_entropy.is_some());

    let compressed = encoder.into_inner();
    let mut decoder = Decoder::new(compressed.as_slice(), Models::none());
    io::copy(&mut decoder, &mut io::sink()).unwrap();
    let read = decoder.summary();
    assert_eq!(read.original_len, summary.original_len);
    assert_eq!(read.compressed_len, summary.compressed_len);
    assert_eq!(read.modes, summary.modes);
}

#[test]
fn a_dropped_encoder_leaves_an_incomplete_frame_and_auto_finish_a_complete_one() {
    let original = text(5_000);
    let dropped = Shared::default();
    let mut encoder = Encoder::new(dropped.clone(), &options()).unwrap();
    encoder.write_all(&original).unwrap();
    drop(encoder);
    let refused = decompress_all(&dropped.bytes(), Models::none());
    assert!(matches!(refused, Err(Error::Container(_))), "{refused:?}");

    let finished = Shared::default();
    let encoder = Encoder::new(finished.clone(), &options()).unwrap();
    let mut encoder = encoder.auto_finish();
    encoder.write_all(&original).unwrap();
    drop(encoder);
    assert!(restore(&finished.bytes()) == original);
}

#[test]
fn no_panic_completes_a_frame() {
    let output = Shared::default();
    let encoder = Encoder::new(output.clone(), &options()).unwrap();
    let mut encoder = encoder.auto_finish();
    let panicked = std::thread::spawn(move || {
        encoder.write_all(&text(3_000)).unwrap();
        panic!("the original is not complete");
    });
    assert!(panicked.join().is_err());
    assert!(decompress_all(&output.bytes(), Models::none()).is_err());
}

#[test]
fn truncated_input_is_an_error_and_never_an_end() {
    let original = text(5_000);
    let compressed = compress_all(&original, &options()).unwrap();
    for len in (0..compressed.len()).step_by(7) {
        let mut decoder = Decoder::new(&compressed[..len], Models::none());
        let mut restored = Vec::new();
        let error = decoder.read_to_end(&mut restored).unwrap_err();
        if len > 0 {
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{len}: {error}");
        }
        assert!(original.starts_with(&restored));
        let again = decoder.read(&mut [0; 10]).unwrap_err();
        assert!(matches!(inside(again), Error::Broken));
    }
}

#[test]
fn a_byte_is_handed_out_only_after_its_block_passed_its_checks() {
    let original = text(3 * BLOCK as usize);
    let mut compressed = compress_all(&original, &options()).unwrap();
    // The last check is that of the last block, before the frame's length and checksum.
    let at = compressed.len() - 15;
    compressed[at] ^= 1;
    let mut restored = Vec::new();
    let mut decoder = Decoder::new(compressed.as_slice(), Models::none());
    let error = decoder.read_to_end(&mut restored).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(restored == original[..2 * BLOCK as usize]);
}

#[test]
fn readers_may_be_slow_and_interrupted() {
    let original = text(5_000);
    let compressed = compress_all(&original, &options()).unwrap();
    let reader = Unsteady::new(compressed.as_slice(), 0);
    let mut restored = Vec::new();
    let mut decoder = Decoder::new(reader, Models::none());
    decoder.read_to_end(&mut restored).unwrap();
    assert!(restored == original);
    assert!(decoder.into_inner().inner.is_empty());
    let mut again = Vec::new();
    let reader = Unsteady::new(original.as_slice(), 0);
    compress(reader, &mut again, &options()).unwrap();
    assert!(again == compressed);
}

#[test]
fn a_reader_that_fails_is_heard() {
    let compressed = compress_all(&text(5_000), &options()).unwrap();
    let reader = Unsteady::new(compressed.as_slice(), compressed.len() / 2);
    let mut decoder = Decoder::new(reader, Models::none());
    let error = decoder.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(error.to_string(), "unsteady");
    let again = decoder.fill_buf().unwrap_err();
    assert!(matches!(inside(again), Error::Broken));
}

#[test]
fn a_writer_that_fails_can_be_tried_again() {
    let original = text(5_000);
    let expected = compress_all(&original, &options()).unwrap();
    for fails_at in (1..expected.len()).step_by(5) {
        let writer = Unsteady::new(Vec::new(), fails_at);
        let mut encoder = Encoder::new(writer, &options()).unwrap();
        let mut failures = 0;
        let mut rest = original.as_slice();
        while !rest.is_empty() {
            match encoder.write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StorageFull);
                    failures += 1;
                }
            }
        }
        while let Err(error) = encoder.try_finish() {
            assert!(matches!(error, Error::Write(_)), "{error}");
            assert_eq!(error.source().unwrap().to_string(), "unsteady");
            failures += 1;
        }
        assert!(encoder.into_inner().inner == expected, "{fails_at}");
        assert_eq!(failures, 1);
    }
}

#[test]
fn a_writer_that_takes_nothing_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let refused = compress(&b"text"[..], Full, &options()).unwrap_err();
    assert!(matches!(&refused, Error::Write(error) if error.kind() == ErrorKind::WriteZero));
}

/// A callback that counts its calls and cancels at one of them, the first being 1.
fn cancel_at(
    call: usize,
    calls: &Arc<Mutex<usize>>,
) -> impl FnMut(llmzip::Progress) -> ControlFlow<()> + Send + 'static {
    let calls = Arc::clone(calls);
    move |_| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        match *calls == call {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

#[test]
fn an_encoder_can_be_cancelled_at_every_call() {
    let original = text(15_000);
    let run = |call| {
        let calls = Arc::default();
        let options = options().block_len(10_000);
        let encoder = Encoder::new(Vec::new(), &options).unwrap();
        let mut encoder = encoder.on_progress(cancel_at(call, &calls));
        let written = encoder.write_all(&original).map_err(inside);
        let finished = written.and_then(|()| encoder.try_finish());
        let made = *calls.lock().unwrap();
        (encoder, finished, made)
    };
    let (_, finished, calls) = run(usize::MAX);
    assert!(finished.is_ok() && calls >= 4, "{calls}");
    for call in 1..=calls {
        let (mut encoder, finished, made) = run(call);
        assert!(matches!(finished, Err(Error::Cancelled)), "{finished:?}");
        assert_eq!(made, call);
        let again = encoder.write(b"more").unwrap_err();
        assert!(matches!(inside(again), Error::Broken));
        assert!(matches!(encoder.try_finish(), Err(Error::Broken)));
    }
}

#[test]
fn a_decoder_can_be_cancelled_at_every_call() {
    let compressed = compress_all(&text(15_000), &options().block_len(10_000)).unwrap();
    let run = |call| {
        let calls = Arc::default();
        let decoder = Decoder::new(compressed.as_slice(), Models::none());
        let mut decoder = decoder.on_progress(cancel_at(call, &calls));
        let read = decoder.read_to_end(&mut Vec::new()).map_err(inside);
        let made = *calls.lock().unwrap();
        (decoder, read, made)
    };
    let (_, read, calls) = run(usize::MAX);
    assert!(read.is_ok() && calls >= 4, "{calls}");
    for call in 1..=calls {
        let (mut decoder, read, made) = run(call);
        assert!(matches!(read, Err(Error::Cancelled)), "{read:?}");
        assert_eq!(made, call);
        let again = decoder.read(&mut [0; 10]).unwrap_err();
        assert!(matches!(inside(again), Error::Broken));
    }
}

#[test]
fn frames_follow_one_another_and_nothing_else_does() {
    let mut file = compress_all(b"one, ", &options()).unwrap();
    file.extend(compress_all(b"", &options()).unwrap());
    file.extend(compress_all(b"two", &options()).unwrap());
    let decoder = Decoder::new(file.as_slice(), Models::none());
    assert_eq!(io::read_to_string(decoder).unwrap(), "one, two");

    file.extend(b"junk");
    let mut restored = Vec::new();
    let mut decoder = Decoder::new(file.as_slice(), Models::none());
    let error = decoder.read_to_end(&mut restored).unwrap_err();
    assert!(error.to_string().contains("junk after"), "{error}");
}

#[test]
fn a_limit_bounds_what_is_handed_out() {
    let original = text(5_000);
    let compressed = compress_all(&original, &options()).unwrap();
    let limited = |limit| DecoderOptions::new(&Models::none()).limit(limit);
    assert!(decompress_all(&compressed, limited(5_000)).unwrap() == original);
    for limit in [0, 1, 1_999, 2_000, 4_999] {
        let mut restored = Vec::new();
        let mut decoder = Decoder::new(compressed.as_slice(), limited(limit));
        let error = inside(decoder.read_to_end(&mut restored).unwrap_err());
        assert!(matches!(error, Error::Limit { limit: told } if told == limit));
        assert!(restored.len() as u64 <= limit && original.starts_with(&restored));
    }
}

#[test]
fn lines_are_read_as_from_a_file() {
    let original = text(5_000);
    let compressed = compress_all(&original, &options()).unwrap();
    let decoder = Decoder::new(compressed.as_slice(), Models::none());
    let lines: Vec<String> = decoder.lines().map(Result::unwrap).collect();
    assert_eq!(lines[1], "line 1 of 1");
    assert_eq!(lines.join("\n").as_bytes(), original.trim_ascii_end());
}

#[test]
fn more_than_there_is_can_be_consumed() {
    let compressed = compress_all(&text(100), &options()).unwrap();
    let mut decoder = Decoder::new(compressed.as_slice(), Models::none());
    decoder.fill_buf().unwrap();
    decoder.consume(5);
    decoder.consume(usize::MAX);
    assert_eq!(decoder.fill_buf().unwrap(), b"");
}

#[test]
fn both_ends_go_to_other_threads() {
    fn goes<T: Send + Debug>() {}
    fn is_shared<T: Send + Sync + Debug + Clone>() {}
    goes::<Encoder<Vec<u8>>>();
    goes::<AutoFinishEncoder<Vec<u8>>>();
    goes::<Decoder<&[u8]>>();
    goes::<Error>();
    is_shared::<Models>();
    is_shared::<Arc<Model>>();
    is_shared::<EncoderOptions>();
    is_shared::<DecoderOptions>();
}
