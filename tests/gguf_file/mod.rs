//! Writes a small GGUF model, whole or in parts, sound or not.

/// A value of the metadata.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    U16(u16),
    U32(u32),
    U64(u64),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
}

impl Value {
    /// The number of its type, and its bytes.
    fn encoded(&self) -> (u32, Vec<u8>) {
        match self {
            Value::U16(n) => (2, n.to_le_bytes().to_vec()),
            Value::U32(n) => (4, n.to_le_bytes().to_vec()),
            Value::U64(n) => (10, n.to_le_bytes().to_vec()),
            Value::F32(n) => (6, n.to_le_bytes().to_vec()),
            Value::Bool(flag) => (7, vec![u8::from(*flag)]),
            Value::Text(text) => (8, encoded_text(text)),
            Value::Texts(texts) => {
                let mut bytes = 8u32.to_le_bytes().to_vec();
                bytes.extend((texts.len() as u64).to_le_bytes());
                bytes.extend(texts.iter().flat_map(|text| encoded_text(text)));
                (9, bytes)
            }
            Value::I32s(numbers) => {
                let mut bytes = 5u32.to_le_bytes().to_vec();
                bytes.extend((numbers.len() as u64).to_le_bytes());
                bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
                (9, bytes)
            }
        }
    }
}

fn encoded_text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A tensor.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// The number of its type.
    pub(crate) kind: u32,
    /// Rows first.
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct GgufFile {
    pub(crate) metadata: Vec<(String, Value)>,
    pub(crate) tensors: Vec<Tensor>,
    /// Tensors begin at a multiple of so many bytes. It is not written into the metadata.
    pub(crate) alignment: usize,
}

impl GgufFile {
    /// A sound model of one layer whose residual stream is `hidden` wide.
    pub(crate) fn sound(hidden: usize) -> GgufFile {
        let mut metadata = vec![
            ("general.architecture".to_owned(), text("llama")),
            ("tokenizer.ggml.model".to_owned(), text("gpt2")),
            ("tokenizer.ggml.pre".to_owned(), text("smollm")),
            (
                "tokenizer.ggml.tokens".to_owned(),
                Value::Texts(["a", "b", "ab"].map(str::to_owned).to_vec()),
            ),
            (
                "tokenizer.ggml.merges".to_owned(),
                Value::Texts(vec!["a b".to_owned()]),
            ),
        ];
        for (key, number) in [
            ("block_count", 1),
            ("embedding_length", hidden),
            ("feed_forward_length", hidden),
            ("attention.head_count", 2),
            ("attention.head_count_kv", 1),
        ] {
            metadata.push((format!("llama.{key}"), Value::U32(number as u32)));
        }
        let key = "llama.attention.layer_norm_rms_epsilon".to_owned();
        metadata.push((key, Value::F32(1e-5)));
        let mut file = GgufFile {
            metadata,
            tensors: Vec::new(),
            alignment: 32,
        };
        file.add("token_embd.weight", &[3, hidden]);
        file.add("output_norm.weight", &[hidden]);
        for (name, rows) in [
            ("attn_q", hidden),
            ("attn_k", hidden / 2),
            ("attn_v", hidden / 2),
            ("attn_output", hidden),
            ("ffn_gate", hidden),
            ("ffn_up", hidden),
            ("ffn_down", hidden),
        ] {
            file.add(&format!("blk.0.{name}.weight"), &[rows, hidden]);
        }
        file.add("blk.0.attn_norm.weight", &[hidden]);
        file.add("blk.0.ffn_norm.weight", &[hidden]);
        file
    }

    /// Adds a tensor of floats.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize]) {
        let count = shape.iter().product::<usize>();
        let number = self.tensors.len() + 1;
        let values = (0..count).map(|i| ((i * 37 + number * 11) % 101) as f32 / 50.0 - 1.0);
        self.tensors.push(Tensor {
            name: name.to_owned(),
            kind: 0,
            shape: shape.to_vec(),
            bytes: values.flat_map(f32::to_le_bytes).collect(),
        });
    }

    /// The same model in `count` files, without what tells their place.
    pub(crate) fn split(&self, count: usize) -> Vec<GgufFile> {
        let each = self.tensors.len().div_ceil(count);
        let mut parts: Vec<GgufFile> = self
            .tensors
            .chunks(each)
            .map(|tensors| GgufFile {
                metadata: Vec::new(),
                tensors: tensors.to_vec(),
                alignment: self.alignment,
            })
            .collect();
        parts[0].metadata = self.metadata.clone();
        for (number, part) in parts.iter_mut().enumerate() {
            part.metadata.extend([
                ("split.no".to_owned(), Value::U16(number as u16)),
                ("split.count".to_owned(), Value::U16(count as u16)),
            ]);
        }
        parts
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            let (kind, bytes) = value.encoded();
            out.extend(encoded_text(key));
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            out.extend(encoded_text(&tensor.name));
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            let sizes = tensor.shape.iter().rev();
            out.extend(sizes.flat_map(|size| (*size as u64).to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend((data.len() as u64).to_le_bytes());
            data.extend(&tensor.bytes);
            data.resize(data.len().next_multiple_of(self.alignment), 0);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(data);
        out
    }
}
