//! Models in GGUF files.
//!
//! candle reads the tensors; this module reads what surrounds them: the configuration, the
//! byte-level vocabulary and the merges, all from metadata. candle's own GGUF tokenizer is not
//! used, because it adds spaces to `SmolLM2`'s text. candle's reader trusts some numbers of a file,
//! so this module first walks the structure of the file and checks its lengths.
//!
//! Files of architecture `llama` hold the rows of q and k interleaved (pairs of neighbours rotate
//! together); this module puts them back into halves, the order of every other source.

use super::SourceError;
use super::description::{Description, find_member};
use super::metadata::Metadata;
use super::source::{Source, sorted};
use super::vocabulary;
use crate::arch::SourceTensor;
use crate::arch::family::Setting;
use crate::arch::rope::RopeScaling;
use crate::machine::regular_file;
use crate::packed::{PackedError, TensorSource};
use candle_core::Device;
use candle_core::quantized::gguf_file::Content;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Elements of all metadata arrays together; a vocabulary of 2^18 tokens has about 2^20. candle
/// spends 32 bytes on each.
const MAX_ELEMENTS: u64 = 1 << 23;

/// Bytes of metadata and tensor descriptions.
const MAX_HEADER: u64 = 256 << 20;

/// Opens a GGUF file.
///
/// # Errors
/// When the file is broken, its architecture or tokenizer unsupported.
pub fn open(path: &Path) -> Result<Source, SourceError> {
    let file = regular_file::open(path).map_err(|e| SourceError::io("cannot open", e))?;
    read(BufReader::with_capacity(1 << 20, file))
}

/// Reads a GGUF from anything that can seek, such as a file taken out of a wheel.
///
/// # Errors
/// As [`open`].
pub fn read<R: Read + Seek + 'static>(mut reader: R) -> Result<Source, SourceError> {
    Walk::check(&mut reader)?;
    reader
        .seek(SeekFrom::Start(0))
        .map_err(|e| SourceError::io("GGUF", e))?;
    let content = Content::read(&mut reader).map_err(broken)?;
    let metadata = Metadata(&content.metadata);
    let name = metadata
        .text("general.architecture")
        .ok_or_else(|| SourceError::invalid("GGUF metadata lack general.architecture"))?;
    let (family, member) = find_member(name, |member| member.gguf)?;
    let vocabulary = vocabulary::gguf::read(&metadata)?;
    let plan = vocabulary.plan()?;
    let description = Description {
        family,
        member,
        keys: &family.gguf_keys,
        setting: &|key| metadata.setting(&format!("{name}.{key}")),
        name: |tensor| &tensor.gguf,
        shape: &|name| Some(content.tensor_infos.get(name)?.shape.dims().to_vec()),
    };
    let divisors = content.tensor_infos.contains_key(ROPE_DIVISORS);
    let rope = description.rope(rope_scaling(&metadata, name, divisors)?)?;
    let pre_tokenizer = sorted(&vocabulary.pre_tokenizer);
    let config = description.config(&plan, pre_tokenizer, |_| {
        let tensors = content.tensor_infos.values();
        tensors.map(|info| info.shape.elem_count() as u64).sum()
    })?;
    Ok(Source {
        config,
        rope,
        vocabulary: plan,
        tensors: Box::new(GgufTensors {
            interleaved: member.gguf_interleaves,
            reader,
            content,
        }),
    })
}

fn broken(error: candle_core::Error) -> SourceError {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    match first.contains("failed to fill whole buffer") {
        true => SourceError::invalid("the GGUF file is truncated"),
        false => SourceError::invalid(first.to_owned()),
    }
}

/// Tensor of the rotary divisors that converters write for Llama 3.
const ROPE_DIVISORS: &str = "rope_freqs.weight";

fn rope_scaling(
    metadata: &Metadata<'_>,
    name: &str,
    divisors: bool,
) -> Result<RopeScaling, SourceError> {
    if divisors {
        return Err(SourceError::Unsupported(
            "GGUF files with rope_freqs (use the Hugging Face folder of this model)".into(),
        ));
    }
    match metadata.text(&format!("{name}.rope.scaling.type")) {
        None | Some("none") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear {
            factor: match metadata.setting(&format!("{name}.rope.scaling.factor")) {
                Some(Setting::Number(factor)) => factor,
                _ => 1.0,
            },
        }),
        Some(other) => Err(SourceError::Unsupported(format!("rotary scaling {other}"))),
    }
}

/// The weights of an open GGUF.
struct GgufTensors<R> {
    reader: R,
    content: Content,
    /// Whether the rows of rotated heads are interleaved.
    interleaved: bool,
}

/// Puts the interleaved rows of each head back into two halves: row `2i + s` of a head becomes row
/// `s * half + i`. `row` is the number of values of one.
fn deinterleave(values: &[f32], row: usize, heads: usize) -> Vec<f32> {
    let head = values.len() / heads;
    let half = head / row / 2;
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head) {
        for side in 0..2 {
            for pair in 0..half {
                out.extend_from_slice(&head[(2 * pair + side) * row..][..row]);
            }
        }
    }
    out
}

impl<R: Read + Seek> TensorSource for GgufTensors<R> {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let name = &tensor.gguf;
        let fail = |reason: String| PackedError::Source {
            name: name.to_owned(),
            reason,
        };
        let read = |reader: &mut R| {
            let stored = self.content.tensor(reader, name, &Device::Cpu)?;
            let shape = stored.shape().dims().to_vec();
            let values = stored.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
            candle_core::Result::Ok((shape, values))
        };
        let (shape, values): (Vec<usize>, Vec<f32>) =
            read(&mut self.reader).map_err(|error| fail(broken(error).to_string()))?;
        let Some(heads) = tensor.rotary_heads.filter(|_| self.interleaved) else {
            return Ok((shape, values));
        };
        let row = shape.get(1).copied().unwrap_or(1);
        if row == 0 || heads == 0 || !values.len().is_multiple_of(row * heads * 2) {
            return Err(fail(format!("{shape:?} does not split into {heads} heads")));
        }
        Ok((shape, deinterleave(&values, row, heads)))
    }
}

/// A walk over the structure of a GGUF file that allocates nothing and checks every length against
/// the file's.
struct Walk<'a, R> {
    reader: &'a mut R,
    position: u64,
    length: u64,
    elements: u64,
}

impl<R: Read + Seek> Walk<'_, R> {
    fn check(reader: &mut R) -> Result<(), SourceError> {
        let failed = |e| SourceError::io("GGUF", e);
        let length = reader.seek(SeekFrom::End(0)).map_err(failed)?;
        reader.seek(SeekFrom::Start(0)).map_err(failed)?;
        Walk {
            reader,
            position: 0,
            length,
            elements: 0,
        }
        .file()
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SourceError> {
        let mut bytes = [0; N];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|_| SourceError::invalid("the GGUF file is truncated"))?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, SourceError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, SourceError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn skip(&mut self, count: u64) -> Result<(), SourceError> {
        let end = self.position.checked_add(count);
        match end {
            Some(end) if end <= self.length.min(MAX_HEADER) => {
                self.reader
                    .seek_relative(count as i64)
                    .map_err(|e| SourceError::io("GGUF", e))?;
                self.position = end;
                Ok(())
            }
            _ => Err(SourceError::invalid(
                "the GGUF file is truncated or a length in it is wrong",
            )),
        }
    }

    /// A short string: a key or a tensor's name.
    fn name(&mut self) -> Result<String, SourceError> {
        let length = self.u64()?;
        if length > 1 << 12 {
            return Err(SourceError::invalid("a name in the GGUF file is too long"));
        }
        let mut name = vec![0; length as usize];
        self.reader
            .read_exact(&mut name)
            .map_err(|_| SourceError::invalid("the GGUF file is truncated"))?;
        self.position += length;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Skips a value of a GGUF type; its number if it is an unsigned one.
    fn value(&mut self, kind: u32, depth: u32) -> Result<Option<u64>, SourceError> {
        match kind {
            0 | 1 | 7 => return self.bytes::<1>().map(|b| Some(b[0].into())),
            2 | 3 => return self.bytes().map(|b| Some(u16::from_le_bytes(b).into())),
            4 | 5 => return self.u32().map(|n| Some(n.into())),
            10 | 11 => return self.u64().map(Some),
            6 => self.skip(4)?,
            12 => self.skip(8)?,
            8 => {
                let length = self.u64()?;
                self.skip(length)?;
            }
            9 if depth < 2 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                self.elements = self.elements.saturating_add(count);
                if self.elements > MAX_ELEMENTS {
                    return Err(SourceError::invalid(
                        "an array in the GGUF file is too long",
                    ));
                }
                for _ in 0..count {
                    self.value(kind, depth + 1)?;
                }
            }
            _ => {
                return Err(SourceError::invalid(format!(
                    "the GGUF file has a value of unknown type {kind}"
                )));
            }
        }
        Ok(None)
    }

    fn file(mut self) -> Result<(), SourceError> {
        let magic: [u8; 4] = self.bytes()?;
        let version = self.u32()?;
        if &magic != b"GGUF" || !matches!(version, 2 | 3) {
            return Err(SourceError::Unsupported(format!("GGUF version {version}")));
        }
        let (tensors, keys) = (self.u64()?, self.u64()?);
        if tensors > 1 << 16 || keys > 1 << 16 {
            return Err(SourceError::invalid(
                "the GGUF file declares too many entries",
            ));
        }
        for _ in 0..keys {
            let key = self.name()?;
            let kind = self.u32()?;
            let value = self.value(kind, 0)?;
            let power = |n: u64| n.is_power_of_two() && n <= 1 << 20;
            if key == "general.alignment" && !value.is_some_and(power) {
                return Err(SourceError::invalid("the GGUF file has an odd alignment"));
            }
        }
        for _ in 0..tensors {
            let name = self.name()?;
            let dimensions = self.u32()?;
            if dimensions > 4 {
                return Err(SourceError::invalid(format!(
                    "tensor {name} has {dimensions} dimensions"
                )));
            }
            let mut elements = 1u64;
            for _ in 0..dimensions {
                // No block format stores more than eight values a byte.
                elements = elements
                    .checked_mul(self.u64()?)
                    .filter(|&n| n <= self.length.saturating_mul(8))
                    .ok_or_else(|| {
                        SourceError::invalid(format!("tensor {name} is larger than the file"))
                    })?;
            }
            self.skip(12)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
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
    fn metadata() -> Vec<(&'static str, Value)> {
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

    fn write(metadata: &[(&str, Value)], matrices: GgmlDType) -> Vec<u8> {
        let tensors: Vec<(String, QTensor)> = (1u32..)
            .zip(shapes())
            .map(|(seed, (name, shape))| {
                let count = shape.iter().product();
                let kind = match shape.len() {
                    1 => GgmlDType::F32,
                    _ => matrices,
                };
                let tensor =
                    Tensor::from_vec(noise(seed, count), Shape::from(shape), &Device::Cpu).unwrap();
                (name, QTensor::quantize(&tensor, kind).unwrap())
            })
            .collect();
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
    fn weights(source: &mut Source, name: &str) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let tensors = source.config.family().unwrap().tensors(&source.config);
        let mut all = tensors
            .iter()
            .flat_map(crate::arch::tensors::Tensor::sources);
        source
            .tensors
            .tensor(all.find(|it| it.gguf == name).unwrap())
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

    #[test]
    fn rows_of_q_and_k_are_put_back_into_halves() {
        // Heads of four rows; interleaved order is 0 2 1 3.
        let got = deinterleave(&[0., 2., 1., 3., 10., 12., 11., 13.], 1, 2);
        assert_eq!(got, [0., 1., 2., 3., 10., 11., 12., 13.]);
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
        // The K types come in blocks of 256.
        for (kind, tolerance) in [
            (GgmlDType::Q4K, 0.12),
            (GgmlDType::Q5K, 0.06),
            (GgmlDType::Q6K, 0.05),
        ] {
            let values = noise(7, 1024);
            let tensor = Tensor::from_vec(values.clone(), (4, 256), &Device::Cpu).unwrap();
            let tensor = QTensor::quantize(&tensor, kind).unwrap();
            let mut file = Cursor::new(Vec::new());
            gguf_file::write(&mut file, &[], &[("token_embd.weight", &tensor)]).unwrap();
            let content = Content::read(&mut Cursor::new(file.get_ref())).unwrap();
            let mut source = open(&tiny_gguf()).unwrap();
            source.tensors = Box::new(GgufTensors {
                reader: file,
                content,
                interleaved: false,
            });
            let (shape, got) = weights(&mut source, "token_embd.weight").unwrap();
            assert_eq!(shape, [4, 256]);
            for (got, want) in got.iter().zip(values) {
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
        says("general.architecture", Some(text("gemma3")), "gemma3");
        says("general.architecture", None, "general.architecture");
        says("tokenizer.ggml.model", Some(text("llama")), "scores");
        says("tokenizer.ggml.model", Some(text("bert")), "tokenizer bert");
        says("tokenizer.ggml.model", None, "no tokenizer");
        says("tokenizer.ggml.pre", Some(text("martian")), "martian");
        says("llama.rope.scaling.type", Some(text("yarn")), "yarn");
        says("llama.rope.dimension_count", Some(Value::U32(8)), "partial");
        says("llama.block_count", Some(Value::U32(3)), "blk.2.");
        says("llama.block_count", Some(Value::U32(u32::MAX)), "layers");
        says("llama.embedding_length", Some(Value::U32(128)), "128");
        says(
            "llama.attention.head_count",
            Some(Value::U32(0)),
            "expected",
        );
        says("llama.rope.freq_base", Some(Value::F32(f32::NAN)), "rotary");
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
