//! Replays inputs that fuzzing once failed on, and mutates sound ones a little, in the hope that
//! what broke stays mended and the fuzz targets themselves keep building and passing.

#[path = "../fuzz/bodies.rs"]
mod bodies;
#[cfg(feature = "convert")]
#[allow(dead_code, reason = "other tests use the rest")]
mod gguf_file;

use std::fs;
use std::path::Path;
use std::slice;

type Body = fn(&[u8]);

const TARGETS: &[(&str, Body)] = &[
    ("container", bodies::container),
    ("sealed", bodies::sealed),
    ("index", bodies::index),
    ("coded_bits", bodies::coded_bits),
    ("round_trip", bodies::round_trip),
    ("primed", bodies::primed),
    ("packed_model", bodies::packed_model),
    #[cfg(feature = "convert")]
    ("gguf", bodies::gguf),
    #[cfg(feature = "convert")]
    ("gguf_parts", bodies::gguf_parts),
    #[cfg(feature = "convert")]
    ("blocks", bodies::blocks),
    #[cfg(feature = "convert")]
    ("wheels", bodies::wheels),
    #[cfg(feature = "convert")]
    ("ollama", bodies::ollama),
    #[cfg(feature = "convert")]
    ("folder", bodies::folder),
    #[cfg(feature = "convert")]
    ("source_file", bodies::source_file),
    #[cfg(feature = "hub")]
    ("hub", bodies::hub),
];

/// Every target of the fuzzer is replayed here, and every one here can be fuzzed.
#[cfg(feature = "hub")]
#[test]
fn targets_are_complete() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let files = fs::read_dir(targets).unwrap();
    let mut fuzzed: Vec<String> = files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut replayed: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    fuzzed.sort();
    replayed.sort_unstable();
    assert_eq!(fuzzed, replayed);
}

#[test]
fn crashes_of_the_past() {
    let crashes = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/crashes");
    for (name, body) in TARGETS {
        let Ok(folder) = fs::read_dir(crashes.join(name)) else {
            continue;
        };
        for entry in folder {
            let path = entry.unwrap().path();
            eprintln!("{}", path.display());
            body(&fs::read(&path).unwrap());
        }
    }
}

/// xorshift64*: mutations must be the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        value as usize % end
    }

    /// `seed` with one to four small changes, the kinds of which fuzzers know to be fruitful.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len().max(1));
            match self.below(6) {
                _ if bytes.is_empty() => bytes.push(self.below(256) as u8),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(256) as u8,
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                3 => bytes.truncate(at),
                4 => bytes.insert(at, self.below(256) as u8),
                _ => {
                    let end = (at + 1 + self.below(16)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        bytes
    }
}

fn mutations(body: Body, seeds: &[impl AsRef<[u8]>], rounds: usize) {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..rounds {
        for seed in seeds {
            body(&random.mutate(seed.as_ref()));
        }
    }
}

#[test]
fn mutated_files() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/good");
    let mut files: Vec<_> = fs::read_dir(golden)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "llmz")
        })
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    mutations(bodies::container, &seeds, 60);
}

#[test]
fn mutated_indices() {
    // The lengths of a frame of nine bytes, and those of one of four with an index of its own.
    let seeds: [&[u8]; 4] = [
        b"\x24\x01\x1a\x09\x04",
        b"\x03\x02\x01\x01\x20\x04\x01\x1a\x09\x04",
        b"\x20\x20\x20\x00",
        b"\x04\x01\x01\x01\x04\x20",
    ];
    mutations(bodies::index, &seeds, 200);
}

#[test]
fn mutated_coded_bits() {
    let payload: Vec<u8> = (0..64).map(|i| i * 37).collect();
    let seeds: Vec<Vec<u8>> = (0..4u8)
        .flat_map(|settings| [0, 1].map(|mode| [&[settings, mode, 90, 0], &payload[..]].concat()))
        .collect();
    mutations(bodies::coded_bits, &seeds, 8);
}

#[test]
fn mutated_blocks_under_true_seals() {
    let payload: Vec<u8> = (0..40).map(|i| i * 91).collect();
    let raw = [b"\x00\x01\x04\x05\x05".as_slice(), b"hello"].concat();
    let experts = [&[0, 1, 5, 60, 40][..], &payload].concat();
    let model = [&[1, 1, 2, 60, 40][..], &payload, &[6, 9, 40], &payload].concat();
    let streams = [&[9, 1, 14, 60, 40, 1, 9, 9][..], &payload].concat();
    let seeds: [&[u8]; 4] = [&raw, &experts, &model, &streams];
    mutations(bodies::sealed, &seeds, 60);
}

#[test]
fn mutated_primes() {
    let seeds: [&[u8]; 3] = [
        b"\x08\x14as it was before, as it was before, as it is",
        b"\x0b\x05\xff\xfe\x00\x01\x02\xff\xfe\x00\x01\x03",
        b"\x01\x09experts, experts alone",
    ];
    mutations(bodies::primed, &seeds, 6);
}

/// A tokenizer.json of `fixtures/vocabularies` without the tokens that the fixture model lacks.
#[cfg(feature = "convert")]
fn small_vocabulary(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vocabularies");
    let file = fs::read(folder.join(name)).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&file).unwrap();
    const IDS: u64 = 320;
    match &mut json["model"]["vocab"] {
        serde_json::Value::Array(entries) => entries.truncate(IDS as usize),
        entries => {
            let entries = entries.as_object_mut().unwrap();
            entries.retain(|_, id| id.as_u64().unwrap() < IDS);
        }
    }
    let added = json["added_tokens"].as_array_mut().unwrap();
    added.retain(|token| token["id"].as_u64().unwrap() < IDS);
    json.to_string().into_bytes()
}

#[cfg(feature = "convert")]
#[test]
fn mutated_folders_and_wheels() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
    let names = ["config.json", "tokenizer.json", "model.safetensors"];
    let seeds = names.iter().enumerate().map(|(number, name)| {
        let content = fs::read(fixtures.join(name)).unwrap();
        [&[number as u8][..], &content].concat()
    });
    let vocabularies = [
        "prepend.json",
        "replace.json",
        "unigram.json",
        "byte_level.json",
    ];
    let vocabularies = vocabularies.map(|name| [&[1][..], &small_vocabulary(name)].concat());
    let seeds: Vec<Vec<u8>> = seeds.chain(vocabularies).collect();
    mutations(bodies::folder, &seeds, 60);
    // A zip archive with one empty file, `m.gguf`.
    let wheel = b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0\0m.gguf\
        PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0m.gguf\
        PK\x05\x06\0\0\0\0\x01\0\x01\x004\0\0\0$\0\0\0\0\0";
    let seeds: [&[u8]; 3] = [wheel, b"GGUF\x03\0\0\0", b"just text"];
    mutations(bodies::source_file, &seeds, 200);
}

/// A record of the target `wheels`: a file in one of the two.
#[cfg(feature = "convert")]
fn wheel_file(wheel: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let mut record = vec![(name.len() as u8) << 1 | wheel];
    record.extend(name.as_bytes());
    record.extend((content.len() as u16).to_le_bytes());
    record.extend(content);
    record
}

#[cfg(feature = "convert")]
#[test]
fn mutated_gguf_files_whole_and_in_parts() {
    let sound = gguf_file::GgufFile::sound(8);
    let whole = sound.bytes();
    let parts: Vec<Vec<u8>> = sound
        .split(2)
        .iter()
        .map(gguf_file::GgufFile::bytes)
        .collect();
    let len = parts[0].len() as u16;
    let set = [&len.to_le_bytes()[..], &parts[0], &parts[1]].concat();
    assert!(llmzip::import::gguf::read(std::io::Cursor::new(whole.clone())).is_ok());
    // Most of it is weights, and what can go wrong is at the front.
    let mut random = Random(7);
    for _ in 0..600 {
        let front = random.mutate(&whole[..1500]);
        bodies::gguf(&[&front, &whole[1500..]].concat());
    }
    mutations(bodies::gguf_parts, &[set], 600);
    let metadata = b"Requires-Dist: m-part2==1\n\n";
    let (front, back) = whole.split_at(whole.len() / 2);
    let joined = [
        wheel_file(0, "m.dist-info/METADATA", metadata),
        wheel_file(0, "a/m.gguf.part00", front),
        wheel_file(1, "b/m.gguf.part01", back),
    ];
    let split = [
        wheel_file(0, "a/m-00001-of-00002.gguf", &parts[0]),
        wheel_file(1, "a/m-00002-of-00002.gguf", &parts[1]),
    ];
    mutations(bodies::wheels, &[joined.concat(), split.concat()], 100);
}

#[cfg(feature = "convert")]
#[test]
fn mutated_blocks_and_manifests() {
    let blocks: Vec<Vec<u8>> = (0..42u8)
        .map(|kind| [&[kind][..], &[kind.wrapping_mul(89); 300]].concat())
        .collect();
    mutations(bodies::blocks, &blocks, 30);
    let digest = format!("sha256:{}", "0".repeat(64));
    let manifest = format!(
        r#"{{"schemaVersion":2,"layers":[{{"mediaType":"application/vnd.ollama.image.model",
        "digest":"{digest}","size":8}}]}}"#
    );
    mutations(bodies::ollama, &[manifest], 200);
}

#[cfg(feature = "hub")]
#[test]
fn mutated_hub_answers() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
    let answer = |body: &[u8]| {
        let len = u16::try_from(body.len() + 1).unwrap();
        [&len.to_le_bytes()[..], b"\0", body].concat()
    };
    let listing = br#"{"sha":"0123456789abcdef0123456789abcdef01234567",
        "siblings":[{"rfilename":"model.safetensors"}]}"#;
    let mut sound = answer(listing);
    for name in ["config.json", "tokenizer.json"] {
        let content = answer(&fs::read(fixtures.join(name)).unwrap());
        // What it is, and its bytes.
        sound.extend([&content[..], &content].concat());
    }
    let raw = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    let mut redirect = answer(listing);
    redirect.extend([&[raw.len() as u8, 0][..], raw].concat());
    mutations(bodies::hub, &[sound, redirect], 60);
}

#[test]
fn mutated_originals() {
    let seeds: [&[u8]; 4] = [
        b"\0the model and the experts, \xff\xfe and bytes no token has",
        b"\x01experts alone, experts alone",
        b"\x02the model alone",
        b"\x04blocks of their own, each",
    ];
    mutations(bodies::round_trip, &seeds, 8);
}

#[test]
fn mutated_models() {
    let fixture =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture.llmzmodel")).unwrap();
    mutations(bodies::packed_model, slice::from_ref(&fixture), 60);
    // Most of the file is weights, and what can go wrong is at its front.
    let mut random = Random(99);
    for _ in 0..200 {
        let mut bytes = fixture.clone();
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        for _ in 0..=random.below(3) {
            let at = 8 + random.below(header);
            bytes[at] = b"0123456789,:[]{}\"-.e"[random.below(20)];
        }
        bodies::packed_model(&bytes);
    }
}
