//! Every family of models computes what transformers computes. The fixtures are tiny random models
//! whose logits transformers computed in f32 (`fixtures/families/make.py`); their weights are
//! generated from the names of the tensors, here as there.
//!
//! Each is opened as a user's folder is, and run in f32 and by the exact engine. Then each step of
//! the family is removed or changed in turn, after which the logits must differ.

#[allow(dead_code, reason = "other tests use the rest")]
mod gguf_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gguf_file::{GgufFile, Tensor, Value as Number, text};
use llmzip::arch::block::{Activation, Norm, Norms};
use llmzip::arch::rope::RotarySteps;
use llmzip::arch::{Config, SourceTensor};
use llmzip::check::{FloatModel, Subject};
use llmzip::engine::{Engine, EngineOptions, Predictions, Runtime, Segment};
use llmzip::import::{self, Source};
use llmzip::machine::instructions::InstructionSet;
use llmzip::packed::{PackInput, PackedError, PackedModel, TensorSource};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Tokens of a fixture that are text: the bytes.
const VOCABULARY: usize = 256;
/// Tokens of a fixture, with the one that begins a text.
const ALL_TOKENS: usize = 257;
/// Tokens that are fed.
const LENGTH: usize = 24;
/// Logits in f32 may differ by this share of their standard deviation.
const TOLERANCE: f64 = 1e-3;
/// The exact engine may cost this many bits a token more than f32 does.
const EXACT_TOLERANCE: f64 = 0.01;

/// A step of a family, removed or changed.
enum Change {
    /// A setting in `config.json`.
    Key(&'static str, Value),
    /// The configuration of the packed model.
    Option(fn(&mut Config)),
    /// The rotary steps.
    Steps(fn(&mut RotarySteps)),
    /// What the values of one part are multiplied by, and what is added to them afterwards.
    Values(&'static str, f32, f32),
    /// What the rows of one part are multiplied by that a source holds from this row on.
    Rows(&'static str, usize, f32),
    /// What one expert gives is multiplied by.
    Expert(usize, f32),
}

use Change::{Expert, Key, Option as Field, Rows, Steps, Values};

/// The steps of every model with rotary positions and biases or norms.
fn unrotated(steps: &mut RotarySteps) {
    steps.all.fill(0);
}

#[test]
fn llama() {
    let no_norm = Values("attn_norm", 0.5, 0.5);
    let steps = [Steps(unrotated), no_norm, Field(|c| c.norm_eps = 0.1)];
    agrees("llama", &steps);
    let gelu = Key("hidden_act", json!("silu"));
    let biases = [
        Values("qkv.bias", 0.0, 0.0),
        Values("out.bias", 0.0, 0.0),
        Values("gate_up.bias", 0.0, 0.0),
        Values("down.bias", 0.0, 0.0),
    ];
    agrees("llama-biases", &biases);
    agrees("llama-biases", &[gelu]);
}

#[test]
fn llama_with_scaled_rotation() {
    let plain = json!({"rope_type": "default", "rope_theta": 10_000.0});
    for name in ["llama-3", "llama-linear", "llama-yarn", "phi-3-partial"] {
        agrees(name, &[Key("rope_parameters", plain.clone())]);
    }
}

#[test]
fn mistral() {
    let wider = Field(|c| c.block.local.as_mut().unwrap().window = 9);
    agrees("mistral", &[Key("sliding_window", Value::Null), wider]);
}

#[test]
fn qwen() {
    let sliding = [
        Key("sliding_window", Value::Null),
        Field(|c| c.block.local.as_mut().unwrap().layers = vec![0, 1, 2, 3]),
        Values("qkv.bias", 0.0, 0.0),
    ];
    agrees("qwen2", &sliding);
    let norms = [
        Values("q_norm", 1.5, 0.0),
        Values("k_norm", 1.5, 0.0),
        Field(|c| c.norm_eps = 0.1),
    ];
    agrees("qwen3", &norms);
}

#[test]
fn gpt_neox() {
    let steps = [
        Key("use_parallel_residual", json!(false)),
        Key("hidden_act", json!("gelu_new")),
        Key(
            "rope_parameters",
            json!({"rope_type": "default", "partial_rotary_factor": 0.5}),
        ),
        Field(|c| c.block.norm = Norm::RootMeanSquare),
        Values("attn_norm.bias", 0.0, 0.0),
        Values("ffn_norm.bias", 0.0, 0.0),
        Values("final_norm.bias", 0.0, 0.0),
        Values("qkv.bias", 0.0, 0.0),
        Values("out.bias", 0.0, 0.0),
        Values("gate_up.bias", 0.0, 0.0),
        Values("down.bias", 0.0, 0.0),
    ];
    agrees("gpt-neox", &steps);
    agrees(
        "gpt-neox-sequential",
        &[Key("use_parallel_residual", json!(true))],
    );
}

#[test]
fn mixtures_of_experts() {
    let fewer = || Field(|c| c.block.mixture.as_mut().unwrap().used = 2);
    let other_shares = || {
        Field(|c| {
            let experts = c.block.mixture.as_mut().unwrap();
            experts.normalised = !experts.normalised;
        })
    };
    let router = || Values("router", 1.5, 0.0);
    let norms = [
        Key("norm_topk_prob", json!(false)),
        Values("q_norm", 1.5, 0.0),
        fewer(),
        router(),
    ];
    agrees("qwen3-moe", &norms);
    let other = [
        Key("norm_topk_prob", json!(true)),
        Values("k_norm", 1.5, 0.0),
        fewer(),
        router(),
    ];
    agrees("olmoe", &other);
    let factors = [
        Values("down", 2.0, 0.0),
        Values("embed", 0.5, 0.0),
        fewer(),
        other_shares(),
        router(),
    ];
    agrees("granite-moe", &factors);
    let fewer = Field(|c| c.block.mixture.as_mut().unwrap().used = 1);
    agrees("mixtral", &[fewer, other_shares(), router()]);
}

#[test]
fn an_expert_that_all_tokens_share() {
    let steps = [
        Key("norm_topk_prob", json!(true)),
        Field(|c| c.block.mixture.as_mut().unwrap().used = 2),
        // The scores of the others, and that of the shared one.
        Rows("router", 0, 1.5),
        Rows("router", 8, 0.0),
        // Two halves of the shared one.
        Expert(8, 0.0),
        Expert(9, 0.0),
        Values("qkv.bias", 0.0, 0.0),
    ];
    agrees("qwen2-moe", &steps);
    let other = |change: fn(&mut Value)| import::open(edited("qwen2-moe", change).path());
    let wide = other(|config| config["shared_expert_intermediate_size"] = json!(100));
    let reason = wide.unwrap_err().to_string();
    assert!(
        reason.contains("100 wide, and no multiple of the 48"),
        "{reason}"
    );
    let narrow = other(|config| config["shared_expert_intermediate_size"] = json!(48));
    let reason = narrow.unwrap_err().to_string();
    assert!(
        reason.contains("is [96, 64], expected [48, 64]"),
        "{reason}"
    );
}

#[test]
fn a_recurrence_in_three_layers_of_four() {
    let parameters = |share: f64| json!({"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": share});
    let steps = [
        Key("rope_parameters", parameters(1.0)),
        Steps(unrotated),
        Values("attn_norm", 1.0, -1.0),
        Values("ffn_norm", 1.0, -1.0),
        Values("final_norm", 1.0, -1.0),
        Values("q_norm", 1.0, -1.0),
        Values("k_norm", 1.0, -1.0),
        Field(|c| c.norm_eps = 0.1),
        Values("recurrent_conv", 0.5, 0.0),
        Values("recurrent_rate", 0.5, 0.0),
        Values("recurrent_shift", 1.0, 0.5),
        Values("recurrent_norm", 1.0, 1.0),
        // The gates of attention, channels, rates of learning, decay, and the gates of values.
        Rows("qkv", 256, 0.5),
        Rows("recurrent_in", 0, 0.5),
        Rows("recurrent_in", 160, 0.5),
        Rows("recurrent_in", 164, 0.5),
        Rows("recurrent_in", 168, 0.5),
    ];
    agrees("qwen3-5", &steps);
}

/// A folder of a model that also sees pictures, whose text model is the fixture: the settings are
/// in an object of their own, names of tensors are changed by `renamed`, and there are other parts.
fn with_pictures(
    name: &str,
    class: &str,
    renamed: impl Fn(&str) -> String,
    change: impl FnOnce(&mut Value),
) -> TempDir {
    let folder = folder(name, None);
    let path = folder.path().join("config.json");
    let mut text: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    remove(&mut text, "architectures");
    change(&mut text);
    let config = json!({
        "architectures": [class],
        "text_config": text,
        "vision_config": {"num_hidden_layers": 2, "hidden_size": 32},
    });
    std::fs::write(path, config.to_string()).unwrap();
    let mut tensors = tensors(name);
    for (name, ..) in &mut tensors {
        *name = renamed(name);
    }
    let whole = tensors.iter().all(|(name, ..)| name.starts_with("model."));
    let beginning = if whole { "model." } else { "" };
    for other in [
        "model.visual.blocks.0.mlp.weight".to_owned(),
        "mtp.layers.0.norm.weight".to_owned(),
        format!("{beginning}vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight"),
        format!("{beginning}multi_modal_projector.mm_soft_emb_norm.weight"),
    ] {
        tensors.push((other, vec![16], vec![0; 64]));
    }
    let file = folder.path().join("model.safetensors");
    std::fs::write(file, safetensors_of(&tensors)).unwrap();
    folder
}

#[test]
fn the_text_model_of_one_that_sees_pictures() {
    let behind = |name: &str| match name.strip_prefix("model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None => name.to_owned(),
    };
    let before = |name: &str| format!("language_model.{name}");
    for (name, class) in [
        ("qwen3-5", "Qwen3_5ForConditionalGeneration"),
        ("gemma-3", "Gemma3ForConditionalGeneration"),
        ("mistral", "Mistral3ForConditionalGeneration"),
    ] {
        let own = open(&folder(name, None)).pack().unwrap();
        for renamed in [behind, before] as [fn(&str) -> String; 2] {
            let folder = with_pictures(name, class, renamed, |_| {});
            assert!(open(&folder).pack().unwrap() == own, "{class}");
        }
    }
    // Gemma's leave out what is the class's default.
    let folder = with_pictures(
        "gemma-3",
        "Gemma3ForConditionalGeneration",
        before,
        |text| {
            remove(text, "num_attention_heads");
        },
    );
    let reason = import::open(folder.path()).unwrap_err().to_string();
    assert!(
        reason.contains("is [128, 64], expected [256, 64]"),
        "{reason}"
    );
}

/// The GGUF file of a fixture packs to the same bytes as its folder, and is computed in f32 as
/// transformers does.
fn is_same_as_gguf(converted: &Converted) {
    let name = converted.fixture;
    let mut source = converted.open().unwrap();
    let error = difference(&float_logits(&mut source), &reference(name));
    assert!(error < TOLERANCE, "{name}: {error}");
    let mut folder = open(&folder(name, None));
    let (own, other) = (&source.config, &folder.config);
    assert_eq!(own.block, other.block, "{name}");
    assert_eq!(source.steps, folder.steps, "{name}");
    let packs = [source.pack().unwrap(), folder.pack().unwrap()];
    let [own, other] = packs.map(|it| PackedModel::from_bytes(&it).unwrap());
    for tensor in own.config().family().unwrap().tensors(own.config()) {
        let name = tensor.name;
        match tensor.columns {
            Some(_) => {
                let [own, other] = [&own, &other].map(|model| model.matrix(&name).unwrap());
                let same = own.tiles == other.tiles && own.scales == other.scales;
                assert!(same && own.bias == other.bias, "{name}");
            }
            None => {
                let [own, other] = [&own, &other].map(|model| {
                    let name = format!("{name}.weight");
                    model.floats(&name).unwrap().to_vec()
                });
                let pairs = own.iter().zip(&other);
                let largest = pairs
                    .map(|(own, other)| (own - other).abs())
                    .fold(0.0, f32::max);
                // A file holds a norm plus 1, or a rate, and a folder does not.
                assert!(largest < 1e-6, "{name}: {largest}");
            }
        }
    }
}

/// GGUF files have one tensor for all experts of a layer.
#[test]
fn mixtures_of_experts_in_gguf_files() {
    for converted in [qwen_3_moe(), mixtral(), olmoe(), granite_moe()] {
        is_same_as_gguf(&converted);
    }
    // Some files have the score of the shared expert as a matrix of one row, others as a vector.
    is_same_as_gguf(&qwen_2_moe(&[64]));
    is_same_as_gguf(&qwen_2_moe(&[1, 64]));
}

#[test]
fn a_recurrence_in_a_gguf_file() {
    is_same_as_gguf(&qwen_3_5());
    // A layer more, which predicts a further token.
    let mut further = qwen_3_5();
    further.set("block_count", Number::U32(5));
    further.set("nextn_predict_layers", Number::U32(1));
    further.file.add("blk.4.nextn.eh_proj.weight", &[64, 128]);
    let [plain, further] = [qwen_3_5(), further].map(|it| it.open().unwrap());
    assert_eq!(plain.config, further.config);
    let mut list = qwen_3_5();
    list.set("attention.recurrent_layers", Number::I32s(vec![1, 1, 1, 0]));
    let reason = list.open().unwrap_err().to_string();
    assert!(reason.contains("a list of the layers"), "{reason}");
}

#[test]
fn scaled_rotation_in_a_gguf_file() {
    let mut converted = Converted::new("llama-yarn", "llama", "model.layers");
    converted.set("feed_forward_length", Number::U32(96));
    converted.set("rope.scaling.type", text("yarn"));
    converted.set("rope.scaling.factor", Number::F32(4.0));
    converted.set("rope.scaling.original_context_length", Number::U32(16));
    converted.copy_attention(true);
    converted.copy_layers(&[
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ]);
    is_same_as_gguf(&converted);
}

/// Phi-3's has one set of divisors for short contexts, one for long ones, and a magnitude.
#[test]
fn divisors_of_short_contexts_in_a_gguf_file() {
    let short: Vec<f32> = (0..8).map(|pair| 1.0 + pair as f32 / 4.0).collect();
    let folder = edited("phi-3", |config| {
        config["original_max_position_embeddings"] = json!(64);
        config["rope_parameters"] = json!({
            "rope_type": "longrope",
            "rope_theta": 10_000.0,
            "factor": 4.0,
            "short_factor": short,
            "long_factor": vec![4.0; 8],
        });
    });
    let folder = open(&folder);
    let magnitude = (1.0 + 4f64.ln() / 64f64.ln()).sqrt();
    let mut converted = Converted::new("phi-3", "phi3", "model.layers");
    converted.set("feed_forward_length", Number::U32(96));
    converted.set("attention.sliding_window", Number::U32(8));
    converted.set("rope.scaling.original_context_length", Number::U32(64));
    converted.set("rope.scaling.attn_factor", Number::F32(magnitude as f32));
    converted.add("rope_factors_short.weight", &[8], &short);
    converted.add("rope_factors_long.weight", &[8], &[4.0; 8]);
    converted.copy_layers(&[
        ("attn_norm", "input_layernorm"),
        ("attn_qkv", "self_attn.qkv_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_up", "mlp.gate_up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ]);
    let mut own = converted.open().unwrap();
    assert_eq!(own.config.window, 64);
    assert_eq!(own.steps, folder.steps);
    let mut folder = folder;
    let error = difference(&float_logits(&mut own), &float_logits(&mut folder));
    assert!(error < 1e-5, "{error}");
}

/// A part that a family does not know would make another model if it were left out.
#[test]
fn a_tensor_that_no_part_takes_is_refused() {
    let refused = |source: Result<Source, import::SourceError>, name: &str| {
        let error = source.unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("lacks"), "{error}");
    };
    let mut gguf = qwen_3_moe();
    gguf.set("expert_weights_scale", Number::F32(2.5));
    let error = gguf.open().unwrap_err().to_string();
    assert!(error.contains("expert_weights_scale is 2.5"), "{error}");
    let mut gguf = qwen_3_moe();
    gguf.file.add("blk.1.ffn_up_shexp.weight", &[48, 64]);
    refused(gguf.open(), "blk.1.ffn_up_shexp.weight");
    let folder = folder("llama", None);
    let add = |name: &str| {
        let zeros = [0; 256];
        let view = TensorView::new(Dtype::F32, vec![64], &zeros).unwrap();
        let bytes = safetensors::serialize([(name, view)], None).unwrap();
        std::fs::write(
            folder.path().join("model-00002-of-00002.safetensors"),
            bytes,
        )
        .unwrap();
        let weights = weights("llama");
        std::fs::write(
            folder.path().join("model-00001-of-00002.safetensors"),
            weights,
        )
        .unwrap();
        let _ = std::fs::remove_file(folder.path().join("model.safetensors"));
        import::open(folder.path())
    };
    add("model.layers.2.self_attn.rotary_emb.inv_freq").unwrap();
    add("model.layers.4.embed_tokens.weight").unwrap();
    for name in [
        "model.layers.0.self_attn.sinks",
        "layers.3.mlp.shared_expert.weight",
    ] {
        refused(add(name), name);
    }
}

/// A fixture as llama.cpp's converter writes it.
struct Converted {
    fixture: &'static str,
    architecture: &'static str,
    /// What stands before the number of a layer in the fixture.
    layers: &'static str,
    file: GgufFile,
}

impl Converted {
    /// With what all models have outside of their layers.
    fn new(fixture: &'static str, architecture: &'static str, layers: &'static str) -> Converted {
        let model = |key: &str, value: Number| (format!("tokenizer.ggml.{key}"), value);
        let mut tokens: Vec<String> = vec![String::new(); VOCABULARY];
        for (text, id) in tokenizer()["model"]["vocab"].as_object().unwrap() {
            tokens[id.as_u64().unwrap() as usize].clone_from(text);
        }
        tokens.push("<s>".to_owned());
        let (normal, control) = (1, 3);
        let kinds = [vec![normal; VOCABULARY], vec![control]].concat();
        let metadata = vec![
            ("general.architecture".to_owned(), text(architecture)),
            model("model", text("gpt2")),
            model("pre", text("qwen2")),
            model("tokens", Number::Texts(tokens)),
            model("token_type", Number::I32s(kinds)),
            model("merges", Number::Texts(Vec::new())),
            model("bos_token_id", Number::U32(256)),
            model("add_bos_token", Number::Bool(true)),
        ];
        let file = GgufFile {
            metadata,
            tensors: Vec::new(),
            alignment: 32,
        };
        let mut converted = Converted {
            fixture,
            architecture,
            layers,
            file,
        };
        let config = std::fs::read(self::fixture(fixture).join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let size = |key: &str| Number::U32(config[key].as_u64().unwrap() as u32);
        converted.set("block_count", size("num_hidden_layers"));
        converted.set("context_length", size("max_position_embeddings"));
        converted.set("embedding_length", size("hidden_size"));
        converted.set("attention.head_count", size("num_attention_heads"));
        converted.set("attention.head_count_kv", size("num_key_value_heads"));
        if config["head_dim"].is_u64() {
            converted.set("attention.key_length", size("head_dim"));
        }
        let epsilon = config["rms_norm_eps"].as_f64().unwrap() as f32;
        let key = "attention.layer_norm_rms_epsilon";
        converted.set(key, Number::F32(epsilon));
        let base = config["rope_parameters"]["rope_theta"].as_f64().unwrap() as f32;
        converted.set("rope.freq_base", Number::F32(base));
        converted.copy("token_embd.weight", "model.embed_tokens.weight");
        converted.copy("output_norm.weight", "model.norm.weight");
        if shapes(fixture).contains_key("lm_head.weight") {
            converted.copy("output.weight", "lm_head.weight");
        }
        converted
    }

    /// Sets a value of the metadata.
    fn set(&mut self, key: &str, value: Number) {
        let key = format!("{}.{key}", self.architecture);
        self.file.metadata.retain(|(other, _)| *other != key);
        self.file.metadata.push((key, value));
    }

    fn add(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.file.tensors.push(Tensor {
            name: name.to_owned(),
            kind: 0,
            shape: shape.to_vec(),
            bytes: values.iter().copied().flat_map(f32::to_le_bytes).collect(),
        });
    }

    /// Adds a tensor of the fixture, changed.
    fn add_changed(&mut self, name: &str, source: &str, change: impl FnOnce(Vec<f32>) -> Vec<f32>) {
        let stored = &shapes(self.fixture)[source];
        let values = change(values(source, stored).collect());
        let mut shape = stored.0.clone();
        // The converter leaves out dimensions of 1.
        shape.retain(|size| *size != 1);
        self.add(name, &shape, &values);
    }

    fn copy(&mut self, name: &str, source: &str) {
        self.add_changed(name, source, |values| values);
    }

    /// Copies tensors of all layers.
    fn copy_layers(&mut self, names: &[(&str, &str)]) {
        for layer in 0..4 {
            for (name, source) in names {
                let source = format!("{}.{layer}.{source}.weight", self.layers);
                if shapes(self.fixture).contains_key(&source) {
                    self.copy(&format!("blk.{layer}.{name}.weight"), &source);
                }
            }
        }
    }

    /// Copies what attention needs. Llama's files hold the two values of a pair that rotates
    /// together one after the other.
    fn copy_attention(&mut self, interleaved: bool) {
        self.copy_layers(&[
            ("attn_norm", "input_layernorm"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_q_norm", "self_attn.q_norm"),
            ("attn_k_norm", "self_attn.k_norm"),
            ("attn_output", "self_attn.o_proj"),
        ]);
        for layer in 0..4 {
            for (name, source, heads) in [("attn_q", "q_proj", 4), ("attn_k", "k_proj", 2)] {
                let source = format!("{}.{layer}.self_attn.{source}.weight", self.layers);
                let change = |values: Vec<f32>| match interleaved {
                    true => with_pairs_together(&values, heads),
                    false => values,
                };
                self.add_changed(&format!("blk.{layer}.{name}.weight"), &source, change);
            }
        }
    }

    /// Copies the experts of all layers, which have a tensor each in the fixture: for each tensor
    /// of the file, the name of an expert's, `#` being its number.
    fn copy_experts(&mut self, names: [(&str, &str); 3]) {
        self.set("expert_count", Number::U32(8));
        self.set("expert_used_count", Number::U32(3));
        for layer in 0..4 {
            for (name, source) in names {
                let of = |expert: usize| {
                    let source = source.replace('#', &expert.to_string());
                    format!("{}.{layer}.{source}", self.layers)
                };
                let shape = &shapes(self.fixture)[&format!("{}.weight", of(0))].0;
                let shape = [&[8], &shape[..]].concat();
                let all: Vec<f32> = (0..8).flat_map(|e| floats(self.fixture, &of(e))).collect();
                self.add(&format!("blk.{layer}.{name}.weight"), &shape, &all);
            }
        }
    }

    fn open(&self) -> Result<Source, import::SourceError> {
        let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
        std::fs::write(file.path(), self.file.bytes()).unwrap();
        import::open(file.path())
    }
}

/// The rows of each head reordered: the first of its first half, the first of its second half, and
/// so on.
fn with_pairs_together(values: &[f32], heads: usize) -> Vec<f32> {
    let head = values.len() / heads;
    let of_head = |values: &[f32]| {
        let rows: Vec<&[f32]> = values.chunks_exact(64).collect();
        let (first, second) = rows.split_at(rows.len() / 2);
        let pairs = first.iter().zip(second);
        pairs
            .flat_map(|(first, second)| [*first, *second].concat())
            .collect::<Vec<f32>>()
    };
    values.chunks_exact(head).flat_map(of_head).collect()
}

/// A mixture of experts whose parts have the names of Qwen's. `width` is the key of their width.
fn plain_mixture(fixture: &'static str, architecture: &'static str, width: &str) -> Converted {
    let mut converted = Converted::new(fixture, architecture, "model.layers");
    converted.set(width, Number::U32(48));
    converted.copy_attention(false);
    converted.copy_layers(&[
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate_inp", "mlp.gate"),
    ]);
    converted.copy_experts(PROJECTIONS);
    converted
}

fn qwen_3_moe() -> Converted {
    plain_mixture("qwen3-moe", "qwen3moe", "expert_feed_forward_length")
}

/// `shape` is that of the row that gives the shared expert its score.
fn qwen_2_moe(shape: &[usize]) -> Converted {
    let mut converted = plain_mixture("qwen2-moe", "qwen2moe", "expert_feed_forward_length");
    converted.set("expert_shared_feed_forward_length", Number::U32(96));
    converted.copy_layers(&[
        ("ffn_gate_shexp", "mlp.shared_expert.gate_proj"),
        ("ffn_up_shexp", "mlp.shared_expert.up_proj"),
        ("ffn_down_shexp", "mlp.shared_expert.down_proj"),
    ]);
    for layer in 0..4 {
        for part in ["q", "k", "v"] {
            let source = format!("model.layers.{layer}.self_attn.{part}_proj.bias");
            converted.copy(&format!("blk.{layer}.attn_{part}.bias"), &source);
        }
        let source = format!("model.layers.{layer}.mlp.shared_expert_gate");
        let row = floats("qwen2-moe", &source);
        converted.add(
            &format!("blk.{layer}.ffn_gate_inp_shexp.weight"),
            shape,
            &row,
        );
    }
    converted
}

/// The names of experts in files and in most fixtures.
const PROJECTIONS: [(&str, &str); 3] = [
    ("ffn_gate_exps", "mlp.experts.#.gate_proj"),
    ("ffn_up_exps", "mlp.experts.#.up_proj"),
    ("ffn_down_exps", "mlp.experts.#.down_proj"),
];

fn olmoe() -> Converted {
    plain_mixture("olmoe", "olmoe", "feed_forward_length")
}

/// Its files name the architecture of Llama's.
fn mixtral() -> Converted {
    let mut converted = Converted::new("mixtral", "llama", "model.layers");
    converted.set("feed_forward_length", Number::U32(48));
    converted.copy_attention(true);
    converted.copy_layers(&[
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate_inp", "block_sparse_moe.gate"),
    ]);
    converted.copy_experts([
        ("ffn_gate_exps", "block_sparse_moe.experts.#.w1"),
        ("ffn_up_exps", "block_sparse_moe.experts.#.w3"),
        ("ffn_down_exps", "block_sparse_moe.experts.#.w2"),
    ]);
    converted
}

fn granite_moe() -> Converted {
    let mut converted = Converted::new("granite-moe", "granitemoe", "model.layers");
    converted.set("feed_forward_length", Number::U32(48));
    converted.set("expert_count", Number::U32(8));
    converted.set("expert_used_count", Number::U32(3));
    for (key, factor) in [
        ("attention.scale", 0.5),
        ("embedding_scale", 1.5),
        ("logit_scale", 0.75),
        ("residual_scale", 0.5),
    ] {
        converted.set(key, Number::F32(factor));
    }
    converted.copy_attention(true);
    converted.copy_layers(&[
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate_inp", "block_sparse_moe.router.layer"),
        ("ffn_down_exps", "block_sparse_moe.output_linear"),
    ]);
    for layer in 0..4 {
        let source = format!("model.layers.{layer}.block_sparse_moe.input_linear");
        // Of each expert, the rows of the gate, then those of the other projection.
        let both = floats("granite-moe", &source);
        for (half, name) in ["ffn_gate_exps", "ffn_up_exps"].into_iter().enumerate() {
            let halves = both.chunks_exact(48 * 64).skip(half).step_by(2);
            let values: Vec<f32> = halves.flatten().copied().collect();
            converted.add(&format!("blk.{layer}.{name}.weight"), &[8, 48, 64], &values);
        }
    }
    converted
}

/// Norms plus 1, rates for their logarithms, and value heads in another order: the first of each
/// key head, then the second of each.
fn qwen_3_5() -> Converted {
    let mut converted = Converted::new("qwen3-5", "qwen35", "model.layers");
    let numbers = [
        ("feed_forward_length", 96),
        ("rope.dimension_count", 8),
        ("full_attention_interval", 4),
        ("ssm.conv_kernel", 4),
        ("ssm.state_size", 16),
        ("ssm.group_count", 2),
        ("ssm.time_step_rank", 4),
        ("ssm.inner_size", 96),
    ];
    for (key, number) in numbers {
        converted.set(key, Number::U32(number));
    }
    converted
        .file
        .tensors
        .retain(|tensor| tensor.name != "output_norm.weight");
    let plus_one = |values: Vec<f32>| values.into_iter().map(|value| value + 1.0).collect();
    converted.add_changed("output_norm.weight", "model.norm.weight", plus_one);
    // Of 4 heads of `len` values, which come after `before` others.
    let tiled = |before: usize, len: usize| {
        move |values: Vec<f32>| {
            let (others, heads) = values.split_at(before);
            let head = |head: usize| heads[head * len..][..len].to_vec();
            [others.to_vec(), head(0), head(2), head(1), head(3)].concat()
        }
    };
    for layer in 0..4 {
        let name = |name: &str| format!("blk.{layer}.{name}");
        let source = |name: &str| format!("model.layers.{layer}.{name}");
        for (to, from) in [
            ("attn_norm", "input_layernorm"),
            ("post_attention_norm", "post_attention_layernorm"),
            ("attn_q_norm", "self_attn.q_norm"),
            ("attn_k_norm", "self_attn.k_norm"),
        ] {
            let from = source(&format!("{from}.weight"));
            if shapes("qwen3-5").contains_key(&from) {
                converted.add_changed(&name(&format!("{to}.weight")), &from, plus_one);
            }
        }
        if layer == 3 {
            continue;
        }
        for (to, from, before, len) in [
            ("attn_qkv.weight", "in_proj_qkv.weight", 64 * 64, 24 * 64),
            ("attn_gate.weight", "in_proj_z.weight", 0, 24 * 64),
            ("ssm_beta.weight", "in_proj_b.weight", 0, 64),
            ("ssm_alpha.weight", "in_proj_a.weight", 0, 64),
            ("ssm_conv1d.weight", "conv1d.weight", 64 * 4, 24 * 4),
            ("ssm_dt.bias", "dt_bias", 0, 1),
        ] {
            let from = source(&format!("linear_attn.{from}"));
            converted.add_changed(&name(to), &from, tiled(before, len));
        }
        let rates = |values: Vec<f32>| {
            let rates = values.into_iter().map(|value| -value.exp());
            tiled(0, 1)(rates.collect())
        };
        let from = source("linear_attn.A_log");
        converted.add_changed(&name("ssm_a"), &from, rates);
        // Here the heads are columns.
        let columns = |values: Vec<f32>| {
            let rows = values.chunks_exact(96);
            rows.flat_map(|row| tiled(0, 24)(row.to_vec())).collect()
        };
        let from = source("linear_attn.out_proj.weight");
        converted.add_changed(&name("ssm_out.weight"), &from, columns);
    }
    converted.copy_layers(&[
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ssm_norm", "linear_attn.norm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ]);
    converted
}

#[test]
fn gemma() {
    let steps = [
        Values("embed", 0.125, 0.0),
        Values("attn_norm", 1.0, -1.0),
        Values("ffn_norm", 1.0, -1.0),
        Values("final_norm", 2.0, 0.0),
        Field(|c| c.block.activation = Activation::Silu),
    ];
    agrees("gemma", &steps);
    let around = [
        Key("attn_logit_softcapping", Value::Null),
        Key("final_logit_softcapping", Value::Null),
        Key("query_pre_attn_scalar", json!(32)),
        Key("sliding_window", Value::Null),
        Values("embed", 0.125, 0.0),
        Values("attn_post_norm", 1.0, -1.0),
        Values("ffn_post_norm", 1.0, -1.0),
        Field(|c| c.block.activation = Activation::Silu),
        Field(|c| c.block.norms = Norms::Before),
    ];
    agrees("gemma-2", &around);
    let third = [
        Key("query_pre_attn_scalar", json!(32)),
        Values("q_norm", 1.0, -0.5),
        Values("k_norm", 1.0, -0.5),
        Steps(|steps| steps.local = steps.all.clone()),
        Steps(|steps| steps.all = steps.local.clone()),
        Field(|c| c.block.local.as_mut().unwrap().window = 9),
    ];
    agrees("gemma-3", &third);
}

#[test]
fn gpt_2() {
    let steps = [
        Key("activation_function", json!("silu")),
        Field(|c| c.block.norm = Norm::RootMeanSquare),
        Values("positions", 0.0, 0.0),
        Values("qkv.bias", 0.0, 0.0),
        Values("out.bias", 0.0, 0.0),
        Values("down.bias", 0.0, 0.0),
    ];
    agrees("gpt-2", &steps);
}

#[test]
fn phi() {
    let steps = [
        Field(|c| c.block.parallel = false),
        Field(|c| c.block.activation = Activation::Silu),
        Key(
            "rope_parameters",
            json!({"rope_type": "default", "partial_rotary_factor": 1.0}),
        ),
        Values("head.bias", 0.0, 0.0),
        Values("ffn_norm", 0.5, 0.5),
        Values("down.bias", 0.0, 0.0),
    ];
    agrees("phi", &steps);
}

#[test]
fn starcoder_2_stablelm_and_nemotron() {
    let steps = [
        Key("sliding_window", Value::Null),
        Field(|c| c.block.activation = Activation::Silu),
        Values("out.bias", 0.0, 0.0),
    ];
    agrees("starcoder2", &steps);
    let parameters = |share: f64| json!({"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": share});
    let steps = [
        Key("rope_parameters", parameters(1.0)),
        Field(|c| c.block.norm = Norm::RootMeanSquare),
        Values("qkv.bias", 0.0, 0.0),
    ];
    agrees("stablelm", &steps);
    let steps = [
        Key("rope_parameters", parameters(1.0)),
        Values("attn_norm", 1.0, -1.0),
        Field(|c| c.block.activation = Activation::Relu),
    ];
    agrees("nemotron", &steps);
}

#[test]
fn arcee_and_seed_oss() {
    agrees("arcee", &[Field(|c| c.block.activation = Activation::Relu)]);
    agrees("seed-oss", &[Values("qkv.bias", 0.0, 0.0)]);
}

#[test]
fn phi_3() {
    agrees(
        "phi-3",
        &[Key("sliding_window", Value::Null), Steps(unrotated)],
    );
}

#[test]
fn olmo() {
    let steps = [
        Values("q_norm", 1.5, 0.0),
        Values("attn_post_norm", 0.5, 0.5),
        Values("ffn_post_norm", 0.5, 0.5),
    ];
    agrees("olmo-2", &steps);
    let window = Field(|c| c.block.local.as_mut().unwrap().layers = vec![0, 1, 2, 3]);
    agrees("olmo-3", &[Key("sliding_window", Value::Null), window]);
}

#[test]
fn granite() {
    let steps = [
        Key("attention_multiplier", json!(0.25)),
        Key("embedding_multiplier", json!(1.0)),
        Key("logits_scaling", json!(1.0)),
        Key("residual_multiplier", json!(1.0)),
    ];
    agrees("granite", &steps);
}

#[test]
fn smollm3() {
    agrees(
        "smollm3",
        &[Field(|c| c.block.unrotated.clear()), Steps(unrotated)],
    );
}

/// A setting: a fixture, the object that holds it, its key, what transformers' class takes where it
/// is missing, and another value.
type OwnDefault = (
    &'static str,
    &'static [&'static str],
    &'static str,
    Value,
    Value,
);

/// Settings whose defaults are the family's own, and not llmzip's.
fn defaults() -> Vec<OwnDefault> {
    const TOP: &[&str] = &[];
    const ROTARY: &[&str] = &["rope_parameters"];
    const FULL: &[&str] = &["rope_parameters", "full_attention"];
    const SLIDING: &[&str] = &["rope_parameters", "sliding_attention"];
    let mut all: Vec<OwnDefault> = Vec::new();
    for (name, default) in [
        ("gpt-neox", 0.25),
        ("stablelm", 0.25),
        ("phi", 0.5),
        ("nemotron", 0.5),
        ("phi-3", 1.0),
    ] {
        let key = "partial_rotary_factor";
        all.push((name, ROTARY, key, json!(default), json!(0.75)));
    }
    for (name, place, default) in [
        ("mixtral", ROTARY, 1e6),
        ("smollm3", ROTARY, 2e6),
        ("gemma-3", FULL, 1e6),
        ("gemma-3", SLIDING, 1e4),
        ("olmo-3", FULL, 5e5),
        ("olmo-3", SLIDING, 5e5),
        ("olmo-2", ROTARY, 1e4),
        ("gpt-neox", ROTARY, 1e4),
        ("qwen2", ROTARY, 1e4),
        ("qwen3-moe", ROTARY, 1e4),
    ] {
        all.push((name, place, "rope_theta", json!(default), json!(3e4)));
    }
    for name in ["granite", "granite-moe"] {
        for key in [
            "attention_multiplier",
            "embedding_multiplier",
            "residual_multiplier",
            "logits_scaling",
        ] {
            all.push((name, TOP, key, json!(1.0), json!(2.0)));
        }
    }
    for (name, key, default, other) in [
        ("gemma-2", "attn_logit_softcapping", json!(50), Value::Null),
        ("gemma-2", "final_logit_softcapping", json!(30), Value::Null),
        ("gemma-3", "attn_logit_softcapping", Value::Null, json!(30)),
        ("gemma-2", "query_pre_attn_scalar", json!(256), json!(32)),
        ("gemma-3", "query_pre_attn_scalar", json!(256), json!(32)),
        ("mistral", "sliding_window", json!(4096), json!(8)),
        ("gemma-2", "sliding_window", json!(4096), json!(8)),
        ("gemma-3", "sliding_window", json!(4096), json!(8)),
        ("gemma-3", "rms_norm_eps", json!(1e-6), json!(1e-5)),
        (
            "gemma-3",
            "max_position_embeddings",
            json!(131_072),
            json!(64),
        ),
        ("olmo-3", "sliding_window", json!(4096), json!(8)),
        ("mixtral", "sliding_window", Value::Null, json!(8)),
        ("phi-3", "sliding_window", Value::Null, json!(8)),
        ("starcoder2", "sliding_window", Value::Null, json!(8)),
        ("qwen2-moe", "norm_topk_prob", json!(false), json!(true)),
        ("qwen2-moe", "qkv_bias", json!(true), json!(false)),
        ("qwen3-moe", "norm_topk_prob", json!(false), json!(true)),
        ("olmoe", "norm_topk_prob", json!(false), json!(true)),
        ("qwen3", "use_sliding_window", json!(false), json!("yes")),
        (
            "gpt-neox",
            "use_parallel_residual",
            json!(true),
            json!(false),
        ),
        ("gpt-neox", "attention_bias", json!(true), json!(false)),
        ("seed-oss", "attention_bias", json!(true), json!(false)),
        ("starcoder2", "use_bias", json!(true), json!(false)),
        ("gemma", "tie_word_embeddings", json!(true), json!(false)),
        (
            "gemma",
            "hidden_act",
            json!("gelu_pytorch_tanh"),
            json!("silu"),
        ),
        (
            "gemma-3",
            "hidden_activation",
            json!("gelu_pytorch_tanh"),
            json!("gelu"),
        ),
        ("gpt-neox", "hidden_act", json!("gelu"), json!("gelu_new")),
        ("phi", "hidden_act", json!("gelu_new"), json!("gelu")),
        ("smollm3", "no_rope_layer_interval", json!(4), json!("four")),
    ] {
        all.push((name, TOP, key, default, other));
    }
    all
}

#[test]
fn a_missing_setting_has_the_familys_own_default() {
    for (name, place, key, default, other) in defaults() {
        let pack = |value: Option<&Value>| {
            let edited = edited(name, |config| {
                // The interval counts where no list names the layers.
                if key == "no_rope_layer_interval" {
                    config.as_object_mut().unwrap().remove("no_rope_layers");
                }
                let place = place.iter().fold(config, |value, key| &mut value[*key]);
                match value {
                    Some(value) => place[key] = value.clone(),
                    None => _ = place.as_object_mut().unwrap().remove(key),
                }
            });
            import::open(edited.path()).and_then(|mut source| source.pack())
        };
        let missing = pack(None).unwrap();
        assert!(missing == pack(Some(&default)).unwrap(), "{name} {key}");
        assert!(
            pack(Some(&other)).ok() != Some(missing),
            "{name}: {key} changes nothing"
        );
    }
}

/// The description of a fixture whose configuration is changed.
fn described(name: &str, change: impl FnOnce(&mut Value)) -> Config {
    open(&edited(name, change)).config
}

fn remove(config: &mut Value, key: &str) {
    config.as_object_mut().unwrap().remove(key);
}

#[test]
fn windows_are_where_transformers_has_them() {
    let window = |config: &mut Value| {
        config["use_sliding_window"] = json!(true);
        config["sliding_window"] = json!(8);
        config["max_window_layers"] = json!(2);
        remove(config, "layer_types");
    };
    let layers = |name: &str, change: fn(&mut Value)| {
        let config = described(name, |config| {
            window(config);
            change(config);
        });
        config.block.local.map_or(Vec::new(), |local| local.layers)
    };
    let (none, all): ([usize; 0], _) = ([], [0, 1, 2, 3]);
    assert_eq!(layers("qwen2", |_| {}), [2, 3]);
    assert_eq!(layers("qwen3", |_| {}), [2, 3]);
    assert_eq!(
        layers("qwen2", |config| remove(config, "max_window_layers")),
        none
    );
    assert_eq!(layers("qwen3-moe", |_| {}), all);
    assert_eq!(layers("qwen2-moe", |_| {}), [0]);
    assert_eq!(layers("smollm3", |_| {}), [3]);
    assert_eq!(layers("gemma-2", |_| {}), [0, 2]);
    assert_eq!(layers("olmo-3", |_| {}), [0, 1, 2]);
    for name in ["qwen2", "qwen3", "qwen2-moe", "qwen3-moe", "smollm3"] {
        let off = |config: &mut Value| remove(config, "use_sliding_window");
        assert_eq!(layers(name, off), none, "{name}");
    }
    for name in ["mistral", "mixtral", "phi-3", "starcoder2"] {
        assert_eq!(
            layers(name, |config| config["use_sliding_window"] = json!(false)),
            all
        );
    }
    for name in [
        "llama", "arcee", "seed-oss", "gemma", "olmo-2", "granite", "olmoe",
    ] {
        assert_eq!(layers(name, |_| {}), none, "{name}");
    }
    let off = edited("qwen2", |config| {
        config["use_sliding_window"] = json!(false);
    });
    let reason = import::open(off.path()).unwrap_err().to_string();
    assert!(reason.contains("use_sliding_window"), "{reason}");
}

/// The divisors of longer contexts are others, and a packed model has those of one length.
#[test]
fn the_window_is_no_longer_than_the_divisors_are_right_for() {
    let long = |original: u32| {
        edited("phi-3", |config| {
            config["original_max_position_embeddings"] = json!(original);
            config["rope_parameters"] = json!({
                "rope_type": "longrope",
                "short_factor": vec![1.0; 8],
                "long_factor": vec![2.0; 8],
            });
        })
    };
    for (original, want) in [(4096, 2048), (300, 256), (16, 16)] {
        assert_eq!(open(&long(original)).config.window, want);
    }
    let reason = import::open(long(15).path()).unwrap_err().to_string();
    assert!(reason.contains("a context of 15 positions"), "{reason}");
}

#[test]
fn settings_that_mean_nothing_to_a_family_change_nothing() {
    for (name, key, value) in [
        ("llama", "partial_rotary_factor", json!(0.5)),
        ("gemma", "partial_rotary_factor", json!(0.5)),
        ("granite", "partial_rotary_factor", json!(0.5)),
        ("gemma-2", "hidden_act", json!("relu")),
        ("mistral", "layer_types", json!(["full_attention"])),
        ("llama", "max_window_layers", json!(1)),
    ] {
        let plain = open(&folder(name, None)).pack().unwrap();
        let other = open(&folder(name, Some((key, &value)))).pack().unwrap();
        assert!(plain == other, "{name} {key}");
    }
}

#[test]
fn contradictions_are_refused_by_name() {
    let says = |name: &str, part: &str, change: &dyn Fn(&mut Value)| {
        let reason = import::open(edited(name, change).path()).unwrap_err();
        assert!(reason.to_string().contains(part), "{name}: {reason}");
    };
    says(
        "phi-3",
        "partial_rotary_factor is 0.75 in one place",
        &|config| {
            config["partial_rotary_factor"] = json!(0.75);
        },
    );
    says(
        "gpt-neox",
        "partial_rotary_factor is 0.5, but rotary_pct is 0.25",
        &|config| {
            remove(&mut config["rope_parameters"], "partial_rotary_factor");
            config["partial_rotary_factor"] = json!(0.5);
        },
    );
    says(
        "llama",
        "rope_theta is 500 in one place and 10000 in another",
        &|config| config["rope_theta"] = json!(500),
    );
    says(
        "gemma-3",
        "rope_local_base_freq is 500 in one place",
        &|config| {
            config["rope_local_base_freq"] = json!(500);
        },
    );
    says("llama", "rope_theta is null", &|config| {
        remove(&mut config["rope_parameters"], "rope_theta");
        config["rope_theta"] = Value::Null;
    });
    says("llama", "contradict each other", &|config| {
        config["rope_scaling"] = json!({"type": "linear", "factor": 2.0});
    });
    says("gemma", "hidden_act and hidden_activation", &|config| {
        config["hidden_activation"] = json!("relu");
    });
    says(
        "qwen3-moe",
        "num_local_experts is 8, but num_experts is 4",
        &|config| config["num_experts"] = json!(4),
    );
    for (name, key) in [
        ("llama-biases", "attention_bias"),
        ("llama-biases", "mlp_bias"),
        ("gpt-neox", "attention_bias"),
        ("seed-oss", "attention_bias"),
        ("stablelm", "use_qkv_bias"),
        ("starcoder2", "use_bias"),
    ] {
        says(
            name,
            &format!("{key} of the configuration is not true"),
            &|config| {
                config[key] = json!(false);
            },
        );
    }
    says("llama-biases", "which this architecture lacks", &|config| {
        config["architectures"] = json!(["MistralForCausalLM"]);
        config["model_type"] = json!("mistral");
    });
    says("qwen3", "norms of queries and keys", &|config| {
        config["architectures"] = json!(["LlamaForCausalLM"]);
        config["model_type"] = json!("llama");
    });
}

/// Some versions of transformers use both, others the embedding alone.
#[test]
fn the_head_of_a_tied_model_is_its_embedding() {
    let tied = |head: &str| {
        let folder = folder("llama", Some(("tie_word_embeddings", &json!(true))));
        let tensors = tensors("llama").into_iter().map(|(name, shape, bytes)| {
            let source = [head, &name][usize::from(name != "lm_head.weight")];
            let shapes = shapes("llama");
            let values = values(source, &shapes[source]).flat_map(f32::to_le_bytes);
            (
                name.clone(),
                shape,
                if source == name {
                    bytes
                } else {
                    values.collect()
                },
            )
        });
        let file = folder.path().join("model.safetensors");
        std::fs::write(file, safetensors_of(&tensors.collect::<Vec<_>>())).unwrap();
        import::open(folder.path()).map(|source| source.config.tied)
    };
    assert!(tied("model.embed_tokens.weight").unwrap());
    let reason = tied("lm_head.weight").unwrap_err().to_string();
    assert!(
        reason.contains("tie_word_embeddings is true, but lm_head.weight differs"),
        "{reason}"
    );
}

/// The fixture `name` agrees with transformers, and no longer does after any of the changes.
fn agrees(name: &str, changes: &[Change]) {
    let want = reference(name);
    let mut source = open(&folder(name, None));
    let packed = source.pack().unwrap();
    let float = float_logits(&mut source);
    let error = difference(&float, &want);
    assert!(error < TOLERANCE, "{name}: f32 differs by {error}");
    let model = PackedModel::from_bytes(&packed).unwrap();
    model.verify().unwrap();
    let model = Arc::new(model);
    let bits = |mut subject: Subject| -> f64 { subject.float(&tokens()).unwrap().iter().sum() };
    let of_source = bits(Subject::from_source(open(&folder(name, None))).unwrap());
    let dequantised = bits(Subject::from_packed(Arc::clone(&model)));
    let ratio = dequantised / of_source;
    assert!((0.97..1.03).contains(&ratio), "{name}: {ratio}");
    let cost = divergence(&exact_logits(model), &float);
    assert!(
        cost < EXACT_TOLERANCE,
        "{name}: the exact engine costs {cost} bits a token"
    );
    for (index, change) in changes.iter().enumerate() {
        let error = difference(&float_logits(&mut changed(name, change)), &want);
        assert!(
            error > TOLERANCE,
            "{name}: change {index} changes only {error}"
        );
    }
}

/// The fixture with one step changed.
fn changed(name: &str, change: &Change) -> Source {
    let key = match change {
        Key(key, value) => Some((*key, value)),
        _ => None,
    };
    let mut source = open(&folder(name, key));
    match change {
        Key(..) => {}
        Field(change) => change(&mut source.config),
        Steps(change) => change(&mut source.steps),
        Values(part, factor, offset) => {
            source.tensors = Box::new(Altered {
                inner: source.tensors,
                part,
                first_row: None,
                expert: None,
                factor: *factor,
                offset: *offset,
            });
        }
        Rows(part, first_row, factor) => {
            source.tensors = Box::new(Altered {
                inner: source.tensors,
                part,
                first_row: Some(*first_row),
                expert: None,
                factor: *factor,
                offset: 0.0,
            });
        }
        Expert(number, factor) => {
            source.tensors = Box::new(Altered {
                inner: source.tensors,
                part: "down",
                first_row: None,
                expert: Some(*number),
                factor: *factor,
                offset: 0.0,
            });
        }
    }
    source
}

/// Tensors of which one part has other values.
struct Altered {
    inner: Box<dyn TensorSource>,
    /// A part, or a part and `.bias`.
    part: &'static str,
    /// The first row of those that change, if not all do.
    first_row: Option<usize>,
    /// The expert that changes, if not all do.
    expert: Option<usize>,
    factor: f32,
    offset: f32,
}

impl TensorSource for Altered {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let (shape, mut values) = self.inner.tensor(tensor)?;
        let part = match tensor.is_bias {
            true => format!("{}.bias", tensor.part),
            false => tensor.part.to_owned(),
        };
        let is_row = self.first_row.is_none_or(|row| row == tensor.first_row);
        let number = tensor.expert.map(|expert| expert.number);
        let is_expert = self.expert.is_none_or(|expert| Some(expert) == number);
        if part == self.part && is_row && is_expert {
            values
                .iter_mut()
                .for_each(|x| *x = *x * self.factor + self.offset);
        }
        Ok((shape, values))
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/families")
        .join(name)
}

fn open(folder: &TempDir) -> Source {
    import::open(folder.path()).unwrap()
}

/// A Hugging Face folder with the fixture's model, perhaps with another value of one setting.
fn folder(name: &str, change: Option<(&str, &Value)>) -> TempDir {
    edited(name, |config| {
        if let Some((key, value)) = change {
            config[key] = value.clone();
        }
    })
}

/// A Hugging Face folder with the fixture's model, whose configuration is changed.
fn edited(name: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(file), bytes).unwrap();
    };
    let config = std::fs::read(fixture(name).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    change(&mut config);
    write("config.json", config.to_string().as_bytes());
    write("tokenizer.json", tokenizer().to_string().as_bytes());
    write("model.safetensors", &weights(name));
    folder
}

/// A tokenizer of the 256 bytes, whose ids are their values.
fn tokenizer() -> Value {
    let printable = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100..;
    let vocabulary: serde_json::Map<String, Value> = (0..VOCABULARY as u32)
        .map(|byte| match printable(byte) {
            true => (char::from_u32(byte).unwrap(), byte),
            false => (char::from_u32(others.next().unwrap()).unwrap(), byte),
        })
        .map(|(character, byte)| (character.to_string(), byte.into()))
        .collect();
    json!({
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        "added_tokens": [{"id": 256, "content": "<s>", "special": true}],
    })
}

/// Shape of a tensor, and centre and spread of its values.
type Shape = (Vec<usize>, f32, f32);

/// The names and shapes of the fixture's tensors.
fn shapes(name: &str) -> BTreeMap<String, Shape> {
    let shapes = std::fs::read(fixture(name).join("tensors.json")).unwrap();
    serde_json::from_slice(&shapes).unwrap()
}

/// The values of a tensor of this name.
fn values(name: &str, (shape, centre, spread): &Shape) -> impl Iterator<Item = f32> {
    let seed = name.bytes().fold(0x9e37_79b9_7f4a_7c15, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let values = generator(seed).take(shape.iter().product());
    values.map(move |value| centre + spread * value)
}

/// The values of the fixture's tensor `name.weight`.
fn floats(fixture: &str, name: &str) -> Vec<f32> {
    let name = format!("{name}.weight");
    values(&name, &shapes(fixture)[&name]).collect()
}

/// The name, shape and bytes of a tensor.
type Stored = (String, Vec<usize>, Vec<u8>);

/// The fixture's tensors.
fn tensors(name: &str) -> Vec<Stored> {
    let tensors = shapes(name).into_iter().map(|(name, shape)| {
        let bytes = values(&name, &shape).flat_map(f32::to_le_bytes).collect();
        (name, shape.0, bytes)
    });
    tensors.collect()
}

/// The fixture's weights as a safetensors file.
fn weights(name: &str) -> Vec<u8> {
    safetensors_of(&tensors(name))
}

fn safetensors_of(tensors: &[Stored]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

/// Numbers in [-1, 1).
fn generator(mut state: u64) -> impl Iterator<Item = f32> {
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    })
}

fn tokens() -> Vec<u32> {
    generator(1)
        .take(LENGTH)
        .map(|value| ((value + 1.0) * 128.0) as u32)
        .collect()
}

/// The logits of the tokens that are text, as transformers computed them: [LENGTH][VOCABULARY].
fn reference(name: &str) -> Vec<Vec<f64>> {
    let bytes = std::fs::read(fixture(name).join("logits.bin")).unwrap();
    let (values, _) = bytes.as_chunks();
    let values: Vec<f64> = values
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes).into())
        .collect();
    assert_eq!(values.len(), LENGTH * ALL_TOKENS);
    values
        .chunks(ALL_TOKENS)
        .map(|row| row[..VOCABULARY].to_vec())
        .collect()
}

fn float_logits(source: &mut Source) -> Vec<Vec<f64>> {
    let input = PackInput {
        config: &source.config,
        steps: &source.steps,
        tokens: &source.vocabulary.tokens,
        rows: &source.vocabulary.rows,
        merges: &[],
        scores: &source.vocabulary.scores,
    };
    let instructions = InstructionSet::choose().unwrap();
    let model = FloatModel::new(&input, &mut *source.tensors, instructions, 1).unwrap();
    let logits = model.forward(&mut model.stream(), &tokens());
    let rows = logits.chunks(VOCABULARY);
    rows.map(|row| row.iter().map(|x| f64::from(*x)).collect())
        .collect()
}

/// Logits of the exact engine in nats.
fn exact_logits(model: Arc<PackedModel>) -> Vec<Vec<f64>> {
    let engine = Engine::new(model, EngineOptions::default()).unwrap();
    let (mut state, mut predictions) = (engine.new_state().unwrap(), Predictions::new());
    let (state, tokens) = (&mut *state, &tokens()[..]);
    engine
        .forward(&mut [Segment { state, tokens }], &mut predictions)
        .unwrap();
    let nats = |units: &i32| f64::from(*units) / 65536.0 * std::f64::consts::LN_2;
    (0..LENGTH)
        .map(|row| predictions.row(row).logits.iter().map(nats).collect())
        .collect()
}

/// The largest difference of logits, each row without its mean, over their standard deviation.
fn difference(got: &[Vec<f64>], want: &[Vec<f64>]) -> f64 {
    let mut largest = 0.0f64;
    for (got, want) in got.iter().zip(want) {
        let mean = |row: &[f64]| row.iter().sum::<f64>() / row.len() as f64;
        let (got_mean, want_mean) = (mean(got), mean(want));
        let squares = want.iter().map(|x| (x - want_mean).powi(2)).sum::<f64>();
        let deviation = (squares / want.len() as f64).sqrt();
        for (got, want) in got.iter().zip(want) {
            let error = ((got - got_mean) - (want - want_mean)).abs();
            largest = largest.max(error / deviation);
        }
    }
    largest
}

/// The mean divergence of `got` from `want` in bits a token: the cost of coding by `got` what is
/// distributed as `want`.
fn divergence(got: &[Vec<f64>], want: &[Vec<f64>]) -> f64 {
    let log_softmax = |row: &[f64]| -> Vec<f64> {
        let best = row.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = row.iter().map(|x| (x - best).exp()).sum();
        row.iter().map(|x| x - best - sum.ln()).collect()
    };
    let rows = got.iter().zip(want).map(|(got, want)| {
        let (got, want) = (log_softmax(got), log_softmax(want));
        let pairs = got.iter().zip(&want);
        pairs
            .map(|(got, want)| want.exp() * (want - got))
            .sum::<f64>()
    });
    rows.sum::<f64>() / got.len() as f64 / std::f64::consts::LN_2
}
