//! The tensors of one configuration: the family's table with full names and sizes.

use super::config::Config;
use super::family::{Family, SourceSpec, TensorKind, TensorSpec};

/// A tensor of one packed model.
///
/// A vector is stored as `name.weight`. A matrix is stored as `name.weight` with its int8 levels,
/// `name.scale` with a scale for each row and perhaps `name.bias` with a bias for each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name without the suffix.
    pub name: String,
    /// Rows of a matrix, values of a vector.
    pub rows: usize,
    /// Inner dimension of a matrix; `None` for a vector.
    pub columns: Option<usize>,
    /// Whether each row has a bias.
    pub bias: bool,
    /// The tensors of a source that are stacked into its weights.
    pub weights: Vec<SourceTensor>,
    /// The tensors of a source that are stacked into its bias; empty if it has none.
    pub biases: Vec<SourceTensor>,
}

/// A tensor as a source holds it: all or some of the rows of a packed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTensor {
    /// Hugging Face's name.
    pub hugging_face: String,
    /// GGUF's name.
    pub gguf: String,
    /// `[rows, columns]` of a matrix, `[rows]` of a bias or a vector.
    pub shape: Vec<usize>,
    /// Whether the source has one row for each token id. The packed model takes `shape[0]` of these
    /// rows, in its own order; the source may have more.
    pub by_token: bool,
    /// The heads that its rows belong to, if those heads are rotated.
    pub rotary_heads: Option<usize>,
    /// Name of the packed tensor that it is part of.
    pub packed: String,
    /// Where its rows begin in the packed tensor.
    pub first_row: usize,
}

impl Tensor {
    /// All sources; those of the bias come last.
    pub fn sources(&self) -> impl Iterator<Item = &SourceTensor> {
        self.weights.iter().chain(&self.biases)
    }

    /// The sources of the stored tensor with the full name `name`; empty if it is not part of this
    /// tensor.
    pub fn stored(&self, name: &str) -> &[SourceTensor] {
        match name.strip_prefix(self.name.as_str()) {
            Some(".weight") => &self.weights,
            Some(".bias") => &self.biases,
            _ => &[],
        }
    }
}

impl Family {
    /// Every tensor of a packed model with this configuration, except the tables of tokens and
    /// rotary steps. The configuration is a validated one.
    pub fn tensors(&self, config: &Config) -> Vec<Tensor> {
        let around = [&self.embedding, &self.head, &self.final_norm];
        let layers = (0..config.layers)
            .flat_map(|layer| self.layer.tensors().map(|spec| (spec, Some(layer))));
        around
            .into_iter()
            .map(|spec| (spec, None))
            .chain(layers)
            .filter(|(spec, _)| (spec.present)(config))
            .map(|(spec, layer)| self.tensor(spec, layer, config))
            .collect()
    }

    /// One entry of the table filled in; `layer` is the number of the layer it belongs to, if any.
    pub fn tensor(&self, spec: &TensorSpec, layer: Option<usize>, config: &Config) -> Tensor {
        let (columns, bias, by_token) = match spec.kind {
            TensorKind::Vector => (None, false, false),
            TensorKind::Matrix { columns, bias } => (Some(columns(config)), bias(config), false),
            TensorKind::TokenMatrix { columns } => (Some(columns(config)), false, true),
        };
        let name = spec.name(layer);
        let mut rows = 0;
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for source in spec.sources {
            let weight = SourceTensor {
                hugging_face: self.hugging_face_name(source, layer, "weight"),
                gguf: gguf_name(source, layer, "weight"),
                shape: std::iter::once((source.rows)(config))
                    .chain(columns)
                    .collect(),
                by_token,
                rotary_heads: source.rotary_heads.map(|heads| heads(config)),
                packed: name.clone(),
                first_row: rows,
            };
            rows += weight.shape[0];
            if bias {
                biases.push(SourceTensor {
                    hugging_face: self.hugging_face_name(source, layer, "bias"),
                    gguf: gguf_name(source, layer, "bias"),
                    shape: vec![weight.shape[0]],
                    ..weight.clone()
                });
            }
            weights.push(weight);
        }
        Tensor {
            name,
            rows,
            columns,
            bias,
            weights,
            biases,
        }
    }

    fn hugging_face_name(&self, spec: &SourceSpec, layer: Option<usize>, ending: &str) -> String {
        match layer {
            Some(layer) => format!(
                "{}.{layer}.{}.{ending}",
                self.hugging_face_layers, spec.hugging_face
            ),
            None => format!("{}.{ending}", spec.hugging_face),
        }
    }
}

/// GGUF puts `blk` before the number of a layer, whatever the family.
fn gguf_name(spec: &SourceSpec, layer: Option<usize>, ending: &str) -> String {
    match layer {
        Some(layer) => format!("blk.{layer}.{}.{ending}", spec.gguf),
        None => format!("{}.{ending}", spec.gguf),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::config::tests::tiny;

    #[test]
    fn a_stacked_matrix_knows_its_parts() {
        let config = Config {
            attention_bias: true,
            ..tiny()
        };
        let tensors = config.family().unwrap().tensors(&config);
        let qkv = tensors.iter().find(|t| t.name == "layer.1.qkv").unwrap();
        assert_eq!((qkv.rows, qkv.columns), (160, Some(72)));
        let [_, k, _] = &qkv.weights[..] else {
            panic!("{qkv:?}")
        };
        assert_eq!(k.hugging_face, "model.layers.1.self_attn.k_proj.weight");
        assert_eq!(k.gguf, "blk.1.attn_k.weight");
        assert_eq!((&k.shape[..], k.first_row), (&[40, 72][..], 80));
        assert_eq!(k.rotary_heads, Some(2));
        assert_eq!(qkv.biases[2].gguf, "blk.1.attn_v.bias");
        assert_eq!(qkv.stored("layer.1.qkv.bias"), qkv.biases);
        assert_eq!(qkv.stored("layer.1.qkv.scale"), []);
    }
}
