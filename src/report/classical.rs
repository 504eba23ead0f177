//! Common compressors at their usual levels, called through their libraries.
//!
//! Each writes the file format of its command-line tool (brotli has none), so sizes differ from
//! those of the tool by at most a few bytes of header.

use std::io::{self, Read, Write};

/// A compressor at one level.
pub(super) struct Classical {
    /// Name of the tool, and its options.
    pub(super) name: &'static str,
    /// Compresses a whole buffer.
    pub(super) compress: fn(&[u8]) -> io::Result<Vec<u8>>,
    /// Decompresses a whole buffer.
    pub(super) decompress: fn(&[u8]) -> io::Result<Vec<u8>>,
}

/// All that are measured, the oldest first.
pub(super) const ALL: [Classical; 7] = [
    Classical {
        name: "gzip -9",
        compress: gzip,
        decompress: gunzip,
    },
    Classical {
        name: "bzip2 -9",
        compress: bzip2,
        decompress: bunzip2,
    },
    Classical {
        name: "xz -9e",
        compress: xz,
        decompress: unxz,
    },
    Classical {
        name: "zstd -3",
        compress: |bytes| zstd::bulk::compress(bytes, 3),
        decompress: unzstd,
    },
    Classical {
        name: "zstd -19",
        compress: |bytes| zstd::bulk::compress(bytes, 19),
        decompress: unzstd,
    },
    Classical {
        name: "zstd --ultra -22",
        compress: |bytes| zstd::bulk::compress(bytes, 22),
        decompress: unzstd,
    },
    Classical {
        name: "brotli -q 11",
        compress: brotli,
        decompress: unbrotli,
    },
];

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn gunzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    read_all(flate2::read::GzDecoder::new(bytes))
}

fn bzip2(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn bunzip2(bytes: &[u8]) -> io::Result<Vec<u8>> {
    read_all(bzip2::read::BzDecoder::new(bytes))
}

fn xz(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = 9 | liblzma::stream::PRESET_EXTREME;
    // `XzEncoder::new` and `XzDecoder::new` panic where there is too little memory.
    let stream = liblzma::stream::Stream::new_easy_encoder(level, liblzma::stream::Check::Crc64)?;
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn unxz(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let stream = liblzma::stream::Stream::new_stream_decoder(u64::MAX, 0)?;
    read_all(liblzma::read::XzDecoder::new_stream(bytes, stream))
}

fn unzstd(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zstd::stream::decode_all(bytes)
}

fn brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: 11,
        // The largest window that every decoder supports, and the default of `brotli` itself.
        lgwin: 24,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let (mut input, mut output) = (bytes, Vec::new());
    brotli::BrotliCompress(&mut input, &mut output, &params)?;
    Ok(output)
}

fn unbrotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let (mut input, mut output) = (bytes, Vec::new());
    brotli::BrotliDecompress(&mut input, &mut output)?;
    Ok(output)
}

fn read_all(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_got() {
        let noise: Vec<u8> = (0u32..5000).map(|i| ((i * i) >> 5) as u8).collect();
        for codec in &ALL {
            for original in [&b""[..], b"x", &noise] {
                let compressed = (codec.compress)(original).unwrap();
                let restored = (codec.decompress)(&compressed).unwrap();
                assert_eq!(restored, original, "{}", codec.name);
            }
        }
    }
}
