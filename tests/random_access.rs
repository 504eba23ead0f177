//! `SeekableDecoder` gives at every place what a decoder gives that reads everything, from any
//! file, and reads no more than it needs.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::rc::Rc;

use llmzip::container::{FramePart, FrameReader, FrameTotals, index_of};
use llmzip::error::ContainerError;
use llmzip::{
    Encoder, EncoderOptions, Error, Models, SeekableDecoder, compress_all, decompress_all,
};
use proptest::prelude::*;

/// Quick: nothing is predicted.
fn options() -> EncoderOptions {
    EncoderOptions::new().experts(false)
}

fn open(file: &[u8]) -> SeekableDecoder<Cursor<&[u8]>> {
    SeekableDecoder::new(Cursor::new(file), Models::none()).unwrap()
}

/// The lengths of the originals of the frames.
fn frame_lens(file: &[u8]) -> Vec<usize> {
    let mut reader = FrameReader::new(file);
    let mut lens = Vec::new();
    while let Some(part) = reader.next().unwrap() {
        if let FramePart::End(totals) = part {
            lens.push(totals.original_len as usize);
        }
    }
    lens
}

fn lines(count: usize) -> Vec<u8> {
    let line = |number: usize| format!("line {number} of many\n").into_bytes();
    (0..count).flat_map(line).collect()
}

/// The lengths of frames as docs/FORMAT.md defines them, each cut by itself.
fn expected_lens(original: &[u8], frame_len: usize) -> Vec<usize> {
    let cut = |k: usize| {
        let earliest = k * frame_len;
        let searched = original.iter().skip(earliest).take(frame_len / 8);
        let line_end = searched.enumerate().find(|(_, byte)| **byte == b'\n');
        line_end.map_or(earliest, |(at, _)| earliest + at + 1)
    };
    let cuts = (1..).map(cut).take_while(|&cut| cut < original.len());
    let ends = cuts.chain([original.len()]);
    let mut start = 0;
    ends.map(|end| end - std::mem::replace(&mut start, end))
        .collect()
}

fn original() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-z ]{0,60}\\n".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0..500usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A part of a file: its original, compressed somehow.
fn part() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let frame_len = prop_oneof![Just(None), (1..600u64).prop_map(Some)];
    (
        original(),
        frame_len,
        1..400u32,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(original, frame_len, block_len, independent, checksum)| {
            let options = options()
                .frame_len(frame_len)
                .block_len(block_len)
                .independent_blocks(independent)
                .checksum(checksum);
            let file = compress_all(&original, &options).unwrap();
            (original, file)
        })
}

proptest! {
    #[test]
    fn every_place_of_any_file_is_a_slice_of_the_original(
        parts in prop::collection::vec(part(), 1..5),
        places in prop::collection::vec((any::<prop::sample::Index>(), 0..700usize, 0..3u8), 1..12),
    ) {
        let original: Vec<u8> = parts.iter().flat_map(|(original, _)| original.clone()).collect();
        let file: Vec<u8> = parts.iter().flat_map(|(_, file)| file.clone()).collect();
        prop_assert_eq!(&decompress_all(&file, Models::none())?, &original);
        let mut decoder = open(&file);
        for (place, len, from) in places {
            let place = place.index(original.len() + 1);
            let here = decoder.stream_position()?;
            let to = match from {
                0 => SeekFrom::Start(place as u64),
                1 => SeekFrom::Current(place as i64 - here as i64),
                _ => SeekFrom::End(place as i64 - original.len() as i64),
            };
            prop_assert_eq!(decoder.seek(to)?, place as u64);
            let mut read = Vec::new();
            decoder.by_ref().take(len as u64).read_to_end(&mut read)?;
            let end = original.len().min(place + len);
            prop_assert_eq!(&read[..], &original[place..end]);
        }
        prop_assert_eq!(decoder.original_len()?, original.len() as u64);
    }

    #[test]
    fn cuts_lie_where_the_format_says(
        original in original(),
        frame_len in 1..700usize,
        block_len in 1..900u32,
        step in 1..300usize,
    ) {
        let options = options().frame_len(frame_len as u64).block_len(block_len);
        let file = compress_all(&original, &options)?;
        prop_assert_eq!(frame_lens(&file), expected_lens(&original, frame_len));
        prop_assert_eq!(&decompress_all(&file, Models::none())?, &original);
        // Whatever the sizes of the writes.
        let mut encoder = Encoder::new(Vec::new(), &options)?;
        for bytes in original.chunks(step) {
            io::Write::write_all(&mut encoder, bytes)?;
        }
        prop_assert_eq!(encoder.finish()?, file);
    }
}

#[test]
fn a_flush_ends_a_frame_and_moves_no_later_cut() {
    let original = lines(100);
    let mut encoder = Encoder::new(Vec::new(), &options().frame_len(800)).unwrap();
    for (number, bytes) in original.chunks(790).enumerate() {
        io::Write::write_all(&mut encoder, bytes).unwrap();
        if number == 0 {
            io::Write::flush(&mut encoder).unwrap();
        }
    }
    let file = encoder.finish().unwrap();
    let mut expected = expected_lens(&original, 800);
    expected[0] -= 790;
    expected.insert(0, 790);
    assert_eq!(frame_lens(&file), expected);
    assert_eq!(decompress_all(&file, Models::none()).unwrap(), original);
}

#[test]
fn nothing_is_read_behind_the_end_and_nothing_is_before_the_start() {
    let file = compress_all(b"some bytes", &options()).unwrap();
    let mut decoder = open(&file);
    decoder.seek(SeekFrom::Start(1000)).unwrap();
    assert_eq!(decoder.read(&mut [0; 4]).unwrap(), 0);
    let error = decoder.seek(SeekFrom::Current(-1001)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    decoder.seek(SeekFrom::End(-5)).unwrap();
    assert_eq!(io::read_to_string(decoder).unwrap(), "bytes");
}

/// Counts the bytes that are read.
struct Counted<'a>(Cursor<&'a [u8]>, Rc<Cell<usize>>);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.0.read(buffer)?;
        self.1.set(self.1.get() + len);
        Ok(len)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn only_headers_are_read_of_what_is_not_wanted() {
    let original: Vec<u8> = (0..4_000_000u32).map(|i| (i ^ i >> 7) as u8).collect();
    let options = options().frame_len(200_000).block_len(100_000);
    let file = compress_all(&original, &options).unwrap();
    let read = Rc::new(Cell::new(0));
    let counted = Counted(Cursor::new(&file), Rc::clone(&read));
    let mut decoder = SeekableDecoder::new(counted, Models::none()).unwrap();
    decoder.seek(SeekFrom::Start(3_900_000)).unwrap();
    let mut some = [0; 100];
    decoder.read_exact(&mut some).unwrap();
    assert_eq!(some, original[3_900_000..3_900_100]);
    // A frame and half a KiB for each block, of a file of 4 MB.
    assert!(
        file.len() > 3_000_000 && read.get() < 300_000,
        "{} of {}",
        read.get(),
        file.len()
    );
}

#[test]
fn damage_elsewhere_does_no_harm_and_an_error_does_not_last() {
    let original = lines(400);
    let options = options().frame_len(1000);
    let mut file = compress_all(&original, &options).unwrap();
    // In the payload of the first frame.
    file[40] ^= 1;
    let mut decoder = open(&file);
    for _ in 0..2 {
        decoder.seek(SeekFrom::Start(5000)).unwrap();
        let mut some = [0; 300];
        decoder.read_exact(&mut some).unwrap();
        assert_eq!(some, original[5000..5300]);
        decoder.seek(SeekFrom::Start(10)).unwrap();
        let error = decoder.read(&mut some).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
}

#[test]
fn what_follows_the_last_frame_is_checked_by_who_reads_up_to_it() {
    let original = lines(400);
    let file = compress_all(&original, &options().frame_len(1000)).unwrap();
    for wrong in [
        [&file[..], b"junk"].concat(),
        file[..file.len() - 1].to_vec(),
    ] {
        let mut decoder = open(&wrong);
        decoder
            .seek(SeekFrom::Start(original.len() as u64 - 3))
            .unwrap();
        let error = decoder.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(matches!(error.downcast::<Error>(), Ok(Error::Container(_))));
    }
}

/// Two frames, each with an index, and the same with other bytes for the first index.
fn with_first_index(index: &[u8]) -> Vec<u8> {
    let first = compress_all(b"the first frame", &options()).unwrap();
    let second = compress_all(b"the second", &options().frame_len(100)).unwrap();
    [&first[..], index, &second].concat()
}

#[test]
fn an_index_that_lies_is_an_error_for_every_reader() {
    let frame_len = compress_all(b"the first frame", &options()).unwrap().len() as u64;
    let index = |frame_len, original_len| {
        index_of(&FrameTotals {
            frame_len,
            original_len,
            ..FrameTotals::default()
        })
    };
    let sound = index(frame_len, 15);
    let file = with_first_index(&sound);
    assert_eq!(
        decompress_all(&file, Models::none()).unwrap(),
        b"the first framethe second"
    );
    let mut lies = vec![
        index(frame_len, 14),
        index(frame_len, 16),
        index(frame_len, u64::MAX),
        index(frame_len - 1, 15),
        index(u64::MAX, 15),
        index(0, 0),
        // One too many.
        [&sound[..], &sound].concat(),
    ];
    for at in 0..sound.len() {
        for bit in 0..8 {
            let mut flipped = sound.clone();
            flipped[at] ^= 1 << bit;
            lies.push(flipped);
        }
    }
    for lie in lies {
        let file = with_first_index(&lie);
        let error = decompress_all(&file, Models::none()).unwrap_err();
        assert!(matches!(error, Error::Container(_)), "{error}");
        let mut decoder = open(&file);
        decoder.seek(SeekFrom::Start(20)).unwrap();
        let error = decoder.read(&mut [0; 4]).unwrap_err();
        assert!(matches!(error.downcast::<Error>(), Ok(Error::Container(_))));
        // What lies before it can be read.
        decoder.seek(SeekFrom::Start(4)).unwrap();
        let mut some = [0; 5];
        decoder.read_exact(&mut some).unwrap();
        assert_eq!(&some, b"first");
    }
}

#[test]
fn an_index_without_a_frame_is_an_error() {
    let index = index_of(&FrameTotals::default());
    let error = decompress_all(&index, Models::none()).unwrap_err();
    assert!(
        matches!(error, Error::Container(ContainerError::Index { .. })),
        "{error}"
    );
}
