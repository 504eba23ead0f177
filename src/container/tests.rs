//! Tests of the whole container: a reader returns what was written, and accepts nothing else.

use std::io::{self, Read};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A frame as the codec would hand it over: the "coding" is arbitrary bytes.
#[derive(Debug, Clone)]
struct TestFrame {
    header: FrameHeader,
    blocks: Vec<(Block, Vec<u8>)>,
}

fn header() -> impl Strategy<Value = FrameHeader> {
    let model = (
        any::<[u8; 8]>(),
        1..=15u8,
        1..=15u8,
        proptest::option::of("[a-z0-9._-]{1,64}"),
    );
    let model = model.prop_map(|(identity, numerics, window_log2, name)| ModelRef {
        identity,
        numerics,
        window_log2,
        name,
    });
    (
        proptest::option::of(model),
        any::<u8>(),
        0..=7u8,
        any::<bool>(),
        proptest::option::of(any::<[u8; 8]>()),
        any::<bool>(),
    )
        .prop_map(
            |(model, predictor, preset, independent_blocks, prime, checksum)| FrameHeader {
                model,
                predictor,
                preset,
                independent_blocks,
                prime,
                checksum,
            },
        )
}

fn block(with_model: bool) -> impl Strategy<Value = (Block, Vec<u8>)> {
    let modes = if with_model { 3 } else { 2 };
    let lens = || (1..200u32, 0..200u32);
    let streams = prop_oneof![9 => vec(lens(), 1..5), 1 => vec(lens(), MAX_STREAMS)];
    let filter = prop::sample::select(vec![
        None,
        Some(BranchFilter::X86),
        Some(BranchFilter::X86_64),
        Some(BranchFilter::Arm64),
    ]);
    (0..modes, streams, filter, any::<u8>()).prop_map(|(mode, streams, filter, fill)| {
        let streams: Vec<StreamLens> = streams
            .into_iter()
            .map(|(original_len, payload_len)| StreamLens {
                original_len,
                payload_len: payload_len.min(original_len),
            })
            .collect();
        let original_len: u32 = streams.iter().map(|stream| stream.original_len).sum();
        let payload_len: u32 = streams.iter().map(|stream| stream.payload_len).sum();
        let original: Vec<u8> = (0..original_len)
            .map(|i| fill.wrapping_mul(i as u8))
            .collect();
        if mode == 0 {
            return (Block::raw(original.clone()), original);
        }
        let payload = vec![fill; payload_len as usize];
        let block = match mode {
            1 => Block::coded(Mode::Experts, original_len, payload).filtered(filter),
            _ => Block {
                mode: Mode::Model,
                filter: None,
                original_len,
                streams,
                payload,
            },
        };
        (block, original)
    })
}

fn frame() -> impl Strategy<Value = TestFrame> {
    header().prop_flat_map(|header| {
        let blocks = vec(block(header.model.is_some()), 0..4);
        (Just(header), blocks).prop_map(|(header, blocks)| TestFrame { header, blocks })
    })
}

fn write(frame: &TestFrame) -> Vec<u8> {
    let mut writer = FrameWriter::new(Vec::new(), &frame.header).unwrap();
    for (block, original) in &frame.blocks {
        writer.write_block(block.clone(), original).unwrap();
    }
    let (file, totals) = writer.finish().unwrap();
    assert_eq!(totals.frame_len, file.len() as u64);
    file
}

/// Reads all parts; the "decoder" knows the originals.
fn read(file: impl Read, originals: &[Vec<u8>]) -> Result<Vec<FramePart>, ContainerError> {
    let mut reader = FrameReader::new(file);
    let mut parts = Vec::new();
    let mut originals = originals.iter();
    while let Some(part) = reader.next()? {
        if let FramePart::Block(block) = &part {
            match block.mode {
                Mode::Raw => reader.verify_block(&block.payload)?,
                _ => reader.verify_block(originals.next().map_or(&[], |bytes| bytes))?,
            }
        }
        parts.push(part);
    }
    assert!(reader.next()?.is_none());
    Ok(parts)
}

fn coded_originals(frame: &TestFrame) -> Vec<Vec<u8>> {
    let coded = frame
        .blocks
        .iter()
        .filter(|(block, _)| block.mode != Mode::Raw);
    coded.map(|(_, original)| original.clone()).collect()
}

fn sample(blocks: &[(Block, Vec<u8>)], checksum: bool) -> TestFrame {
    let model = ModelRef {
        identity: *b"identity",
        numerics: 1,
        window_log2: 10,
        name: None,
    };
    let header = FrameHeader {
        model: Some(model),
        predictor: 3,
        preset: 1,
        independent_blocks: false,
        prime: None,
        checksum,
    };
    TestFrame {
        header,
        blocks: blocks.to_vec(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(frame in frame(), chunk in 1..50usize) {
        let file = write(&frame);
        let parts = read(Trickle(&file, chunk), &coded_originals(&frame)).unwrap();
        prop_assert_eq!(&parts[0], &FramePart::Header(frame.header.clone()));
        let blocks: Vec<&Block> = parts.iter().filter_map(|part| match part {
            FramePart::Block(block) => Some(block),
            _ => None,
        }).collect();
        if frame.blocks.is_empty() {
            prop_assert_eq!(blocks, [&Block::raw(Vec::new())]);
        } else {
            let written: Vec<&Block> = frame.blocks.iter().map(|(block, _)| block).collect();
            prop_assert_eq!(blocks, written);
        }
        let Some(FramePart::End(totals)) = parts.last() else { panic!("no end") };
        prop_assert_eq!(totals.frame_len, file.len() as u64);
        let originals = frame.blocks.iter().map(|(_, original)| original.len() as u64);
        prop_assert_eq!(totals.original_len, originals.sum::<u64>());
    }

    #[test]
    fn a_frame_arrives_part_by_part_however_it_is_cut(
        frame in frame(),
        junk in vec(any::<u8>(), 0..9),
    ) {
        let file = write(&frame);
        let (mut arrival, mut at, mut parts) = (Arrival::default(), 0, Vec::new());
        for end in 0..=file.len() {
            while let Some((part, len)) = arrival.next(&file[at..end]).unwrap() {
                at += len;
                prop_assert!(at <= end);
                parts.push(part);
            }
        }
        prop_assert_eq!(at, file.len());
        prop_assert!(arrival.is_complete() && arrival.next(&junk).unwrap().is_none());
        let blocks = frame.blocks.len().max(1);
        let mut expected = vec![Arrived::Block; blocks];
        expected.insert(0, Arrived::Header);
        expected.push(Arrived::End);
        prop_assert_eq!(parts, expected);
        prop_assert_eq!((arrival.header(), arrival.blocks()), (Some(&frame.header), blocks as u64));
        let original: usize = frame.blocks.iter().map(|(_, original)| original.len()).sum();
        prop_assert_eq!(arrival.original_len(), original as u64);
    }

    #[test]
    fn nothing_arrives_of_arbitrary_bytes_behind_a_magic_but_what_is_there(
        auxiliary in any::<bool>(),
        bytes in vec(any::<u8>(), 0..200),
    ) {
        let magic = if auxiliary { AUXILIARY_MAGIC } else { MAGIC };
        let file = [&magic[..], &bytes].concat();
        let (mut arrival, mut at) = (Arrival::default(), 0);
        while let Ok(Some((_, len))) = arrival.next(&file[at..]) {
            at += len;
            prop_assert!(at <= file.len());
        }
    }

    #[test]
    fn concatenated_frames_are_a_file(frames in vec(frame(), 2..4)) {
        let file: Vec<u8> = frames.iter().flat_map(write).collect();
        let originals: Vec<Vec<u8>> = frames.iter().flat_map(coded_originals).collect();
        let parts = read(file.as_slice(), &originals).unwrap();
        let headers = parts.iter().filter(|part| matches!(part, FramePart::Header(_)));
        prop_assert_eq!(headers.count(), frames.len());
    }

    #[test]
    fn any_flipped_bit_is_an_error(frame in frame(), bit: prop::sample::Index) {
        let mut file = write(&frame);
        let bit = bit.index(file.len() * 8);
        file[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(read(file.as_slice(), &coded_originals(&frame)).is_err());
    }

    #[test]
    fn any_truncation_is_an_error(frame in frame(), len: prop::sample::Index) {
        let file = write(&frame);
        let file = &file[..len.index(file.len())];
        prop_assert!(read(file, &coded_originals(&frame)).is_err());
    }

    #[test]
    fn junk_behind_a_frame_is_an_error(frame in frame(), junk in vec(any::<u8>(), 1..40)) {
        let mut file = write(&frame);
        file.extend_from_slice(&junk);
        prop_assert!(read(file.as_slice(), &coded_originals(&frame)).is_err());
    }

    #[test]
    fn arbitrary_bytes_behind_a_magic_never_pass(bytes in vec(any::<u8>(), 0..200)) {
        let mut file = MAGIC.to_vec();
        file.push(FORMAT_VERSION);
        file.extend_from_slice(&bytes);
        prop_assert!(read(file.as_slice(), &[]).is_err());
    }

    #[test]
    fn another_original_is_an_error(frame in frame(), at: prop::sample::Index) {
        let mut originals = coded_originals(&frame);
        prop_assume!(!originals.is_empty() && frame.header.checksum);
        let at = at.index(originals.len());
        originals[at][0] ^= 1;
        let result = read(write(&frame).as_slice(), &originals);
        prop_assert!(matches!(result, Err(ContainerError::Check { .. })), "{:?}", result);
        originals[at].pop();
        let result = read(write(&frame).as_slice(), &originals);
        prop_assert!(matches!(result, Err(ContainerError::Length { .. })), "{:?}", result);
    }
}

/// A reader that gives a few bytes at a time, interrupted now and then.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 % 50 + 1;
        if self.1 == 7 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buffer.len().min(self.1);
        self.0.read(&mut buffer[..len])
    }
}

#[test]
fn every_single_change_to_every_kind_of_frame_is_an_error() {
    let coded = |mode| {
        (
            Block::coded(mode, 9, b"coded".to_vec()),
            b"original!".to_vec(),
        )
    };
    let streams = Block {
        streams: vec![
            StreamLens {
                original_len: 4,
                payload_len: 2,
            },
            StreamLens {
                original_len: 5,
                payload_len: 3,
            },
        ],
        ..coded(Mode::Model).0
    };
    let raw = (Block::raw(b"raw".to_vec()), b"raw".to_vec());
    let kinds = [
        vec![],
        vec![raw.clone()],
        vec![coded(Mode::Experts)],
        vec![coded(Mode::Model)],
        vec![(streams, b"original!".to_vec()), raw, coded(Mode::Model)],
    ];
    for blocks in &kinds {
        // Without the check of the original, headers and payload are sealed all the same.
        for checksum in [true, false] {
            let frame = sample(blocks, checksum);
            let originals = coded_originals(&frame);
            let file = write(&frame);
            read(file.as_slice(), &originals).unwrap();
            for bit in 0..file.len() * 8 {
                let mut bad = file.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(read(bad.as_slice(), &originals).is_err(), "bit {bit}");
            }
            for len in 0..file.len() {
                assert!(read(&file[..len], &originals).is_err(), "length {len}");
            }
            for byte in 0..=255 {
                let mut bad = file.clone();
                bad.push(byte);
                assert!(read(bad.as_slice(), &originals).is_err(), "junk {byte}");
            }
        }
    }
}

#[test]
fn blocks_cannot_be_dropped_repeated_or_exchanged() {
    let block = |byte: u8| (Block::raw(vec![byte; 3]), vec![byte; 3]);
    let frame = sample(&[block(1), block(2), block(3)], true);
    let file = write(&frame);
    let header = frame.header.encode().unwrap().len();
    let block = 1 + 1 + 3 + 8;
    let (start, rest) = file.split_at(header);
    let (blocks, end) = rest.split_at(3 * block);
    for order in [
        &[0, 2][..],
        &[1, 2],
        &[0, 0, 1, 2],
        &[1, 0, 2],
        &[0, 1, 1, 2],
    ] {
        let mut bad = start.to_vec();
        for &at in order {
            bad.extend_from_slice(&blocks[at * block..][..block]);
        }
        bad.extend_from_slice(end);
        assert!(read(bad.as_slice(), &[]).is_err(), "{order:?}");
    }
    read(file.as_slice(), &[]).unwrap();
}

#[test]
fn lengths_that_lie_cost_no_memory() {
    // A block of 16 MiB is announced and 100 bytes follow: what is allocated is one step.
    let mut file = FrameHeader::default().encode().unwrap();
    file.extend_from_slice(&[4, 0x80, 0x80, 0x80, 0x08]);
    file.extend_from_slice(&[0; 100]);
    let error = read(file.as_slice(), &[]).unwrap_err();
    assert!(matches!(error, ContainerError::Truncated { .. }), "{error}");
    // One byte more than 16 MiB is refused before anything is read.
    let mut file = FrameHeader::default().encode().unwrap();
    file.extend_from_slice(&[4, 0x81, 0x80, 0x80, 0x08]);
    let error = read(file.as_slice(), &[]).unwrap_err();
    assert!(matches!(error, ContainerError::Field { .. }), "{error}");
    // So is an auxiliary frame that claims to be endless.
    let mut file = AUXILIARY_MAGIC.to_vec();
    file.extend_from_slice(&[0xff; 9]);
    file.extend_from_slice(&[0x01, 1, 2, 3]);
    let error = read(file.as_slice(), &[]).unwrap_err();
    assert!(matches!(error, ContainerError::Truncated { .. }), "{error}");
}

#[test]
fn overhead_of_a_one_block_file() {
    let overhead = |original: usize, payload: usize| {
        let block = Block::coded(Mode::Model, original as u32, vec![0; payload]);
        let frame = sample(&[(block, vec![0; original])], true);
        write(&frame).len() - payload
    };
    assert_eq!(overhead(100, 40), 27);
    assert_eq!(overhead(16_383, 5_000), 29);
    assert_eq!(overhead(2_097_151, 500_000), 31);
}

#[test]
fn auxiliary_frames_are_checked_and_skipped() {
    let mut auxiliary = AUXILIARY_MAGIC.to_vec();
    auxiliary.extend_from_slice(&[3, b'a', b'b', b'c']);
    let hash = xxhash_rust::xxh3::xxh3_64(&auxiliary);
    auxiliary.extend_from_slice(&hash.to_le_bytes());
    let data = write(&sample(&[], true));
    let alone = read(data.as_slice(), &[]).unwrap();
    let with = |parts: [&[u8]; 2]| parts.concat();
    assert_eq!(
        read(with([&auxiliary, &data]).as_slice(), &[]).unwrap(),
        alone
    );
    assert_eq!(
        read(with([&data, &auxiliary]).as_slice(), &[]).unwrap(),
        alone
    );
    for end in 0..auxiliary.len() {
        assert_eq!(Arrival::default().next(&auxiliary[..end]).unwrap(), None);
    }
    let arrived = Arrival::default().next(&auxiliary).unwrap();
    assert_eq!(arrived, Some((Arrived::Auxiliary, auxiliary.len())));
    let error = read(auxiliary.as_slice(), &[]).unwrap_err();
    assert!(matches!(error, ContainerError::NoData), "{error}");
    for bit in 0..auxiliary.len() * 8 {
        let mut bad = auxiliary.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(
            read(with([&data, &bad]).as_slice(), &[]).is_err(),
            "bit {bit}"
        );
    }
}

#[test]
fn errors_say_what_was_found_and_what_was_wanted() {
    let message = |file: &[u8]| read(file, &[]).unwrap_err().to_string();
    assert_eq!(message(b""), "not an llmzip file: it is empty");
    assert_eq!(
        message(b"\x28\xb5\x2f\xfdzstd"),
        "not an llmzip file: begins with 28 b5 2f fd, expected fe 4c 4d 5a"
    );
    assert_eq!(
        message(b"\xfeLMZ"),
        "truncated: ends at byte 4, in the frame header"
    );
    assert_eq!(
        message(b"\xfeLMZ\x09"),
        "format version 9, and this llmzip reads version 1; a newer llmzip reads it"
    );
    let mut file = write(&sample(&[], true));
    let end = file.len();
    file.extend_from_slice(b"junk");
    let junk = format!("junk after the compressed data, at byte {end}: begins with 6a 75 6e 6b");
    assert_eq!(message(&file), junk);
}

#[test]
fn the_writer_refuses_what_no_reader_would_accept() {
    let refused = |header: &FrameHeader, block: Block, original: &[u8]| {
        let mut writer = FrameWriter::new(Vec::new(), header).unwrap();
        matches!(
            writer.write_block(block, original),
            Err(ContainerError::Unwritable { .. })
        )
    };
    let plain = FrameHeader::default();
    assert!(refused(&plain, Block::raw(vec![]), b""));
    assert!(refused(&plain, Block::raw(b"abc".to_vec()), b"ab"));
    assert!(refused(
        &plain,
        Block::coded(Mode::Model, 2, vec![1]),
        b"ab"
    ));
    assert!(refused(
        &plain,
        Block::coded(Mode::Experts, 2, vec![1; 67]),
        b"ab"
    ));
    let mut streams = Block::coded(Mode::Experts, 2, vec![1]);
    streams.streams[0].payload_len = 2;
    assert!(refused(&plain, streams, b"ab"));
    let modelled = sample(&[], true).header;
    let several = |mode, count| {
        let payloads = vec![vec![1]; count];
        Block::in_streams(mode, &vec![1; count], payloads)
    };
    let original = [b'a'; MAX_STREAMS + 1];
    assert!(refused(&plain, several(Mode::Experts, 2), b"ab"));
    assert!(refused(
        &modelled,
        several(Mode::Model, MAX_STREAMS + 1),
        &original
    ));
    assert!(!refused(
        &modelled,
        several(Mode::Model, MAX_STREAMS),
        &original[1..]
    ));
    let long = FrameHeader {
        preset: 8,
        ..FrameHeader::default()
    };
    assert!(FrameWriter::new(Vec::new(), &long).is_err());
    let mut named = sample(&[], true).header;
    named.model.as_mut().unwrap().name = Some("a name".into());
    assert!(FrameWriter::new(Vec::new(), &named).is_err());
}
