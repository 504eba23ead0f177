//! Models in GGUF files.
//!
//! `structure.rs` reads what surrounds the weights: metadata and the places of tensors. candle
//! reads most types of weights, `blocks.rs` those that candle lacks. candle's own reader of the
//! structure is not used, because it knows neither sets of files nor every type, trusts some
//! numbers of a file, and adds spaces to `SmolLM2`'s text.

mod blocks;
mod kind;
mod rope;
pub(super) mod split;
mod structure;
mod tensors;
mod types;

use self::structure::Structure;
use self::tensors::GgufTensors;
use super::description::Description;
use super::source::{Source, sorted};
use super::vocabulary;
use super::{SourceError, file};
use crate::arch::settings::Settings;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// The names of the head, of its bias and of the embedding, which are the same in all families.
const HEAD: &str = "output.weight";
const HEAD_BIAS: &str = "output.bias";
const EMBEDDING: &str = "token_embd.weight";

/// Most rotary divisors: one for each pair of the widest head, and some to spare.
const MAX_DIVISORS: usize = 1 << 10;

/// Opens a GGUF file, with all files of the set that it belongs to.
///
/// # Errors
/// When a file is broken or missing, the architecture or tokenizer unsupported.
pub fn open(path: &Path) -> Result<Source, SourceError> {
    let part = open_part(path)?;
    let Some(first) = split::first(path, &part.1)? else {
        return source(vec![part]);
    };
    // Its architecture counts more than a missing part.
    if first.exists() {
        kind::judge(&open_part(&first)?.1.metadata)?;
    }
    let paths = split::files(path, &part.1)?;
    let parts = paths.iter().map(|path| open_part(path));
    source(parts.collect::<Result<_, _>>()?)
}

/// Judges the architecture of a file of which only the beginning is there.
///
/// # Errors
/// If it is no GGUF, or holds a model that cannot be used.
pub fn judge_start(start: &[u8]) -> Result<(), SourceError> {
    let metadata = Structure::start_of_metadata(start)?;
    // The later files of a set name none.
    match metadata.text("general.architecture") {
        Some(_) => kind::judge(&metadata).map(|_| ()),
        None => Ok(()),
    }
}

/// Opens the files of one model, whatever their names and order.
///
/// # Errors
/// As [`open`].
pub fn open_parts(paths: &[&Path]) -> Result<Source, SourceError> {
    let parts = paths.iter().map(|path| open_part(path));
    source(parts.collect::<Result<_, _>>()?)
}

fn open_part(path: &Path) -> Result<(BufReader<File>, Structure), SourceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut reader = BufReader::with_capacity(1 << 16, file::open(path, &name)?);
    let structure = Structure::read(&mut reader)?;
    Ok((reader, structure))
}

/// Reads a GGUF from anything that can seek, such as a file taken out of a wheel.
///
/// # Errors
/// As [`open`].
pub fn read<R: Read + Seek + 'static>(reader: R) -> Result<Source, SourceError> {
    read_parts(vec![reader])
}

/// Reads the files of one model, in any order.
///
/// # Errors
/// As [`open`].
pub fn read_parts<R: Read + Seek + 'static>(readers: Vec<R>) -> Result<Source, SourceError> {
    let parts = readers.into_iter().map(|mut reader| {
        let structure = Structure::read(&mut reader)?;
        Ok((reader, structure))
    });
    source(parts.collect::<Result<_, SourceError>>()?)
}

/// The values of blocks of the type that `number` stands for; `None` if it has no reader, or the
/// bytes are no whole blocks.
pub fn dequantise(number: u32, blocks: &[u8]) -> Option<Vec<f32>> {
    let kind = types::TensorType::of(number)?;
    let mut values = Vec::new();
    let whole = blocks.len().is_multiple_of(kind.block_bytes());
    (whole && kind.append(blocks, &mut values).is_ok()).then_some(values)
}

/// The model that these files hold.
fn source<R: Read + Seek + 'static>(parts: Vec<(R, Structure)>) -> Result<Source, SourceError> {
    let mut parts = split::in_order(parts)?;
    let metadata = std::mem::take(&mut parts[0].1.metadata);
    let (name, family, member) = kind::judge(&metadata)?;
    let mut tensors = GgufTensors::new(parts)?;
    let may_be_tied = (family.choices.iter()).any(|choice| choice.tensor == "head.weight");
    if may_be_tied && tensors.shape(HEAD_BIAS).is_none() {
        tensors.merge_copies(HEAD, EMBEDDING)?;
    }
    let divisors = rope::Divisors {
        all: rotary_divisors(&mut tensors, rope::DIVISORS)?,
        short: rotary_divisors(&mut tensors, rope::SHORT_DIVISORS)?,
    };
    let vocabulary = vocabulary::gguf::read(&metadata)?;
    let plan = vocabulary.plan()?;
    let find = |key: &str| metadata.setting(&format!("{name}.{key}"));
    let description = Description {
        family,
        member,
        format: &family.gguf,
        settings: Settings::new(&find),
        options: |_, _| Ok(()),
        scaling: rope::scaling(&metadata, name, divisors)?,
        interleaved: member.gguf_interleaves,
        place: |tensor| &tensor.gguf,
        shape: &|name| tensors.shape(name),
        names: &|| tensors.names(),
        layers: "blk",
    };
    let place = description.place;
    let pre_tokenizer = sorted(&vocabulary.pre_tokenizer);
    let described = description.read(&plan, pre_tokenizer, |config| {
        // Further layers predict further tokens.
        let is_further = |name: &str| layer(name).is_some_and(|layer| layer >= config.layers);
        tensors.parameters(|name| rope::is_of_divisors(name) || is_further(name))
    })?;
    Ok(described.source(plan, tensors, place))
}

/// The number of the layer that a tensor of this name belongs to.
fn layer(name: &str) -> Option<usize> {
    let rest = name.strip_prefix("blk.")?;
    rest.split('.').next()?.parse().ok()
}

/// The tensor of rotary divisors of this name, if the files have one.
fn rotary_divisors<R: Read + Seek>(
    tensors: &mut GgufTensors<R>,
    name: &str,
) -> Result<Option<Vec<f32>>, SourceError> {
    match tensors.shape(name).as_deref() {
        None => Ok(None),
        Some([1..=MAX_DIVISORS]) => Ok(tensors.values(name)?),
        Some(shape) => Err(SourceError::Invalid(format!(
            "tensor {name} is {shape:?}, expected one number for each pair of a head"
        ))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::packed::PackedError;
    use candle_core::Device;
    use candle_core::quantized::gguf_file::Value;
    use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
    use candle_core::{Shape, Tensor};
    use std::io::Cursor;

    /// Values in [-1, 1) from a small generator, another row of them for each seed.
    fn noise(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(next).collect()
    }

    fn text(value: &str) -> Value {
        Value::String(value.to_owned())
    }

    const HIDDEN: usize = 64;
    const WIDE: usize = 96;

    /// Metadata of a two-layer model with the tokens `<s>`, a, b, ab and a space.
    pub(super) fn metadata() -> Vec<(&'static str, Value)> {
        let tokens = ["<s>", "a", "b", "ab", "Ġ"].map(text).to_vec();
        let types = [3, 1, 1, 1, 1].map(Value::I32).to_vec();
        vec![
            ("general.architecture", text("llama")),
            ("llama.block_count", Value::U32(2)),
            ("llama.embedding_length", Value::U32(HIDDEN as u32)),
            ("llama.feed_forward_length", Value::U32(WIDE as u32)),
            ("llama.attention.head_count", Value::U32(4)),
            ("llama.attention.head_count_kv", Value::U32(2)),
            ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
            ("llama.rope.freq_base", Value::F32(10_000.0)),
            ("tokenizer.ggml.model", text("gpt2")),
            ("tokenizer.ggml.pre", text("smollm")),
            ("tokenizer.ggml.tokens", Value::Array(tokens)),
            ("tokenizer.ggml.token_type", Value::Array(types)),
            ("tokenizer.ggml.merges", Value::Array(vec![text("a b")])),
            ("tokenizer.ggml.bos_token_id", Value::U32(0)),
            ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
        ]
    }

    fn shapes() -> Vec<(String, Vec<usize>)> {
        let mut shapes = vec![
            ("token_embd.weight".to_owned(), vec![5, HIDDEN]),
            ("output_norm.weight".to_owned(), vec![HIDDEN]),
        ];
        for layer in 0..2 {
            for (part, shape) in [
                ("attn_norm", vec![HIDDEN]),
                ("attn_q", vec![HIDDEN, HIDDEN]),
                ("attn_k", vec![HIDDEN / 2, HIDDEN]),
                ("attn_v", vec![HIDDEN / 2, HIDDEN]),
                ("attn_output", vec![HIDDEN, HIDDEN]),
                ("ffn_norm", vec![HIDDEN]),
                ("ffn_gate", vec![WIDE, HIDDEN]),
                ("ffn_up", vec![WIDE, HIDDEN]),
                ("ffn_down", vec![HIDDEN, WIDE]),
            ] {
                shapes.push((format!("blk.{layer}.{part}.weight"), shape));
            }
        }
        shapes
    }

    fn tensors(matrices: GgmlDType) -> Vec<(String, QTensor)> {
        let tensors = (1u32..).zip(shapes()).map(|(seed, (name, shape))| {
            let count = shape.iter().product();
            let kind = match shape.len() {
                1 => GgmlDType::F32,
                _ => matrices,
            };
            let tensor =
                Tensor::from_vec(noise(seed, count), Shape::from(shape), &Device::Cpu).unwrap();
            (name, QTensor::quantize(&tensor, kind).unwrap())
        });
        tensors.collect()
    }

    fn write(metadata: &[(&str, Value)], matrices: GgmlDType) -> Vec<u8> {
        written(metadata, &tensors(matrices))
    }

    fn written(metadata: &[(&str, Value)], tensors: &[(String, QTensor)]) -> Vec<u8> {
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (*k, v)).collect();
        let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
        let mut file = Cursor::new(Vec::new());
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
        file.into_inner()
    }

    /// A sound GGUF of two layers.
    pub(crate) fn tiny_gguf() -> Vec<u8> {
        write(&metadata(), GgmlDType::F32)
    }

    fn open(bytes: &[u8]) -> Result<Source, SourceError> {
        read(Cursor::new(bytes.to_vec()))
    }

    /// The tensor of that name in the table of the source's family.
    pub(super) fn weights(
        source: &mut Source,
        name: &str,
    ) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let tensors = source.config.family().unwrap().tensors(&source.config);
        let mut all = tensors
            .iter()
            .flat_map(crate::arch::tensors::Tensor::sources);
        source
            .tensors
            .tensor(all.find(|it| it.gguf.name == name).unwrap())
    }

    #[test]
    fn a_small_file_is_read_whole() {
        let mut source = open(&tiny_gguf()).unwrap();
        let config = &source.config;
        assert_eq!(
            (config.hidden, config.layers, config.heads, config.kv_heads),
            (64, 2, 4, 2)
        );
        assert_eq!(config.head_dim, 16);
        assert!(config.tied && !config.qk_norm && !config.attention_bias);
        let plan = &source.vocabulary;
        assert_eq!(
            plan.tokens,
            [&b" "[..], b"a", b"ab", b"b"].map(<[u8]>::to_vec)
        );
        assert_eq!(plan.rows, [4, 1, 3, 2, 0]);
        assert_eq!((plan.bos, &plan.merges[..]), (Some(4), &[(1, 3)][..]));
        let (shape, values) = weights(&mut source, "blk.1.ffn_down.weight").unwrap();
        assert_eq!(shape, [HIDDEN, WIDE]);
        assert_eq!(values, noise(20, HIDDEN * WIDE));
        source.config.tied = false;
        assert!(weights(&mut source, "output.weight").is_err());
    }

    /// The tiny model with a head: `values` of that type.
    fn with_head(values: &[f32], head: GgmlDType, embedding: GgmlDType) -> Vec<u8> {
        let quantised = |values: &[f32], kind| {
            let tensor = Tensor::from_slice(values, (5, HIDDEN), &Device::Cpu).unwrap();
            QTensor::quantize(&tensor, kind).unwrap()
        };
        let mut tensors = tensors(GgmlDType::F32);
        tensors[0].1 = quantised(&noise(1, 5 * HIDDEN), embedding);
        tensors.push(("output.weight".to_owned(), quantised(values, head)));
        written(&metadata(), &tensors)
    }

    #[test]
    fn a_head_that_is_a_copy_of_the_embedding_is_the_embedding() {
        let (embedding, other) = (noise(1, 5 * HIDDEN), noise(77, 5 * HIDDEN));
        for (head, stored, fine) in [
            (GgmlDType::F32, GgmlDType::F32, GgmlDType::F32),
            (GgmlDType::Q8_0, GgmlDType::Q5_0, GgmlDType::Q8_0),
            (GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::Q8_0),
            (GgmlDType::Q8_0, GgmlDType::F16, GgmlDType::F16),
        ] {
            let mut tied = open(&with_head(&embedding, head, stored)).unwrap();
            assert!(tied.config.tied, "{head:?}, {stored:?}");
            let tensor = Tensor::from_slice(&embedding, (5, HIDDEN), &Device::Cpu).unwrap();
            let want = QTensor::quantize(&tensor, fine).unwrap();
            let want = want.dequantize(&Device::Cpu).unwrap().flatten_all();
            let want: Vec<f32> = want.unwrap().to_vec1().unwrap();
            let (_, got) = weights(&mut tied, "token_embd.weight").unwrap();
            assert_eq!(got, want);
            let alone = open(&tiny_gguf()).unwrap().config.parameters;
            assert_eq!(tied.config.parameters, alone);
        }
        // One row that differs is enough.
        let one = [&embedding[..4 * HIDDEN], &other[4 * HIDDEN..]].concat();
        for values in [&other, &one] {
            let file = with_head(values, GgmlDType::Q8_0, GgmlDType::Q5_0);
            assert!(!open(&file).unwrap().config.tied);
        }
    }

    /// In the steps of two bits, nearly anything may have been rounded.
    #[test]
    fn a_coarse_head_is_no_copy() {
        let values = noise(1, 512);
        let quantised = |scale: f32, kind| {
            let values: Vec<f32> = values.iter().map(|value| scale * value).collect();
            let tensor = Tensor::from_slice(&values, (2, 256), &Device::Cpu).unwrap();
            QTensor::quantize(&tensor, kind).unwrap()
        };
        for (scale, kind, is_copy) in [
            (1.0, GgmlDType::Q4K, true),
            (0.5, GgmlDType::Q4K, false),
            (1.0, GgmlDType::Q2K, false),
            (0.8, GgmlDType::Q2K, false),
        ] {
            let tensors = [
                (EMBEDDING.to_owned(), quantised(1.0, GgmlDType::Q8_0)),
                (HEAD.to_owned(), quantised(scale, kind)),
            ];
            let mut reader = Cursor::new(written(&[], &tensors));
            let structure = Structure::read(&mut reader).unwrap();
            let mut tensors = GgufTensors::new(vec![(reader, structure)]).unwrap();
            tensors.merge_copies(HEAD, EMBEDDING).unwrap();
            assert_eq!(tensors.shape(HEAD).is_none(), is_copy, "{scale} {kind:?}");
        }
    }

    #[test]
    fn rows_of_q_and_k_are_put_back_into_halves() {
        let mut source = open(&tiny_gguf()).unwrap();
        let (_, values) = weights(&mut source, "blk.0.attn_k.weight").unwrap();
        let stored = noise(5, HIDDEN / 2 * HIDDEN);
        // Row 8 (second half, first pair) of a head of 16 was stored as row 1.
        assert_eq!(values[8 * HIDDEN..9 * HIDDEN], stored[HIDDEN..2 * HIDDEN]);
        let (_, v) = weights(&mut source, "blk.0.attn_v.weight").unwrap();
        assert_eq!(v, noise(6, HIDDEN / 2 * HIDDEN));
    }

    #[test]
    fn every_supported_type_dequantises_close_to_the_values() {
        for (kind, tolerance) in [
            (GgmlDType::F16, 1e-3),
            (GgmlDType::BF16, 8e-3),
            (GgmlDType::Q8_0, 1e-2),
            (GgmlDType::Q4_0, 0.16),
            (GgmlDType::Q4_1, 0.09),
        ] {
            let mut source = open(&write(&metadata(), kind)).unwrap();
            let (_, values) = weights(&mut source, "blk.0.ffn_up.weight").unwrap();
            for (got, want) in values.iter().zip(noise(10, WIDE * HIDDEN)) {
                assert!((got - want).abs() <= tolerance, "{kind:?}: {got} {want}");
            }
        }
    }

    /// The reason why a GGUF with one changed metadata entry is refused.
    fn refusal(key: &str, value: Option<Value>) -> String {
        let mut metadata = metadata();
        metadata.retain(|(k, _)| *k != key);
        if let Some(value) = value {
            metadata.push((Box::leak(key.to_owned().into_boxed_str()), value));
        }
        open(&write(&metadata, GgmlDType::F32))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_unsupported_is_named() {
        let says = |key, value, part: &str| {
            let reason = refusal(key, value);
            assert!(reason.contains(part), "{reason}");
        };
        says("general.architecture", Some(text("martian")), "martian");
        says("general.architecture", None, "general.architecture");
        says("tokenizer.ggml.model", Some(text("llama")), "scores");
        says("tokenizer.ggml.model", Some(text("bert")), "tokenizer bert");
        says("tokenizer.ggml.model", None, "no tokenizer");
        says("tokenizer.ggml.pre", Some(text("martian")), "martian");
        says("llama.rope.scaling.type", Some(text("spiral")), "spiral");
        says(
            "llama.rope.dimension_count",
            Some(Value::U32(18)),
            "18 of 16",
        );
        says("llama.block_count", Some(Value::U32(3)), "blk.2.");
        says("llama.block_count", Some(Value::U32(u32::MAX)), "layers");
        says("llama.embedding_length", Some(Value::U32(128)), "128");
        says(
            "llama.attention.head_count",
            Some(Value::U32(0)),
            "expected",
        );
        says("llama.rope.freq_base", Some(Value::F32(0.5)), "rotary");
        says("tokenizer.ggml.merges", None, "merges");
        says("general.alignment", Some(Value::U32(0)), "alignment");
    }

    #[test]
    fn truncation_and_flipped_bits_give_a_sentence_and_never_a_panic() {
        let sound = tiny_gguf();
        let header = 1600;
        for cut in (0..header).step_by(7) {
            assert!(open(&sound[..cut]).is_err(), "cut at {cut}");
        }
        let names = ["output_norm.weight", "blk.1.ffn_down.weight"];
        for place in 0..header {
            let mut bytes = sound.clone();
            bytes[place] ^= 0x80;
            if let Ok(mut source) = open(&bytes) {
                for name in names {
                    let _ = weights(&mut source, name);
                }
                let _ = source.pack();
            }
        }
    }
}
