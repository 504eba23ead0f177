//! Verification: the compressed file is decompressed, and must give what was read.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use llmzip::container::ModelRef;
use llmzip::frame::{OnProgress, decompress_with};
use llmzip::{DecoderOptions, Error};

use super::failure::Failure;

/// A reader that hashes what it reads.
pub(super) struct HashingReader<'a> {
    reader: &'a mut dyn Read,
    hasher: blake3::Hasher,
}

impl<'a> HashingReader<'a> {
    pub(super) fn new(reader: &'a mut dyn Read) -> HashingReader<'a> {
        HashingReader {
            reader,
            hasher: blake3::Hasher::new(),
        }
    }

    /// The hash of all that was read.
    pub(super) fn hash(&self) -> blake3::Hash {
        self.hasher.finalize()
    }
}

impl Read for HashingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..len]);
        Ok(len)
    }
}

/// Decompresses `file` with `options`. Fails unless the original has this hash.
pub(super) fn verify(
    mut file: &File,
    original: blake3::Hash,
    options: &DecoderOptions,
    progress: OnProgress<'_>,
) -> Result<(), Failure> {
    let mut hasher = blake3::Hasher::new();
    let decoded = file.rewind().map_err(Error::Read).and_then(|()| {
        let mut resolve = |wanted: &ModelRef| options.models.resolve(wanted);
        decompress_with(
            BufReader::new(file),
            &mut hasher,
            &mut resolve,
            options,
            progress,
        )
    });
    let reason = match decoded {
        Ok(_) if hasher.finalize() == original => return Ok(()),
        Ok(_) => "it gives other bytes".to_owned(),
        Err(error @ (Error::Container(_) | Error::Corrupt(_))) => error.to_string(),
        Err(error) => return Err(Failure::from(error).about("cannot verify the output")),
    };
    Err(Failure::Message(format!(
        "the output is thrown away, because it does not decompress to the input ({reason}); \
         this machine or this program is at fault"
    )))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::ops::ControlFlow;

    use llmzip::EncoderOptions;

    use super::*;

    #[test]
    fn a_file_with_another_original_is_refused() {
        let mut file = tempfile::tempfile().unwrap();
        let mut original = &b"what was read"[..];
        let mut reader = HashingReader::new(&mut original);
        llmzip::compress(&mut reader, &mut file, &EncoderOptions::new()).unwrap();
        let right = reader.hash();
        let wrong = blake3::hash(b"what was not read");
        let verify = |file: &File, hash| {
            verify(file, hash, &DecoderOptions::default(), &mut |_| {
                ControlFlow::Continue(())
            })
        };
        verify(&file, right).unwrap();
        let failure = verify(&file, wrong).unwrap_err().to_string();
        assert!(failure.contains("it gives other bytes"), "{failure}");
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        file.flush().unwrap();
        assert!(verify(&file, right).is_err());
    }
}
