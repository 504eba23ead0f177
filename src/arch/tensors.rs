//! The tensors of one configuration: the tables of parts and sources with full names and sizes.

use super::block::Mixture;
use super::config::Config;
use super::family::{Cut, Family, PlaceSpec, SourceSpec};
use super::parts::{self, AROUND, LAYER, TensorKind, TensorSpec};

/// A tensor of one packed model.
///
/// A vector is stored as `name.weight`. A matrix is stored as `name.weight` with its int8 levels,
/// and `name.scale` with a scale for each row. Either may have `name.bias` with a bias for each row
/// or value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name without the suffix.
    pub name: String,
    /// Rows of a matrix, values of a vector or table.
    pub rows: usize,
    /// Inner dimension of a matrix; `None` for a vector or table.
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
    /// Where Hugging Face folders hold it.
    pub hugging_face: Place,
    /// Where GGUF files hold it.
    pub gguf: Place,
    /// `[rows, columns]` of a matrix, `[rows]` of a bias or a vector.
    pub shape: Vec<usize>,
    /// Whether the source has one row for each token id. The packed model takes `shape[0]` of these
    /// rows, in its own order; the source may have more.
    pub by_token: bool,
    /// The heads that its rows belong to, if those heads are rotated.
    pub rotary_heads: Option<usize>,
    /// Name of the packed tensor that it is part of.
    pub packed: String,
    /// The number of its layer, if it belongs to one.
    pub layer: Option<usize>,
    /// The last part of that name: what the tensor is for.
    pub part: &'static str,
    /// Whether it is a part of the bias, not of the weights.
    pub is_bias: bool,
    /// The expert that it belongs to, if the layer has several.
    pub expert: Option<Expert>,
    /// Where its rows begin in the packed tensor, or in the share of its expert.
    pub first_row: usize,
    /// Rows of the packed tensor, or of the share of an expert.
    pub packed_rows: usize,
}

/// One of the experts of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expert {
    /// Its number among all.
    pub number: usize,
    /// Its number among those that are chosen, or among those that are shared.
    pub place: usize,
    /// How many of that kind the layer has.
    pub count: usize,
}

impl Expert {
    fn new(number: usize, experts: &Mixture) -> Expert {
        match number.checked_sub(experts.count) {
            None => Expert {
                number,
                place: number,
                count: experts.count,
            },
            Some(place) => Expert {
                number,
                place,
                count: experts.shared,
            },
        }
    }
}

/// Where a format holds the rows of a source tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Name of the tensor.
    pub name: String,
    /// How the rows lie in it.
    pub cut: Cut,
}

impl SourceTensor {
    /// The shape of the tensor that holds these rows in a format that cuts them so.
    pub fn shape_with(&self, cut: Cut) -> Vec<usize> {
        let mut shape = self.shape.clone();
        match cut {
            // As many rows of queries as of gates.
            Cut::QueryOfPairs | Cut::GateOfPairs => shape[0] *= 2,
            Cut::OfChannels => shape.insert(1, 1),
            Cut::RowsOfPieces => shape[0] *= self.experts_of_kind(),
            Cut::ColumnsOfPieces => shape[1] *= self.experts_of_kind(),
            Cut::OneRow => _ = shape.remove(0),
            cut if cut.is_shared() => shape[0] = self.packed_rows,
            _ => {}
        }
        if cut.is_transposed() {
            shape.reverse();
        }
        if cut.is_of_experts() {
            shape.insert(0, self.experts_of_kind());
        }
        shape
    }

    fn experts_of_kind(&self) -> usize {
        self.expert.map_or(1, |expert| expert.count)
    }

    /// The rows that it takes in the packed tensor.
    pub fn rows_in_packed(&self) -> std::ops::Range<usize> {
        let expert = self.expert.map_or(0, |expert| expert.number);
        let first = expert * self.packed_rows + self.first_row;
        first..first + self.shape[0]
    }
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
        let around = AROUND.iter().map(|spec| (*spec, None));
        let layers =
            (0..config.layers).flat_map(|layer| LAYER.iter().map(move |spec| (*spec, Some(layer))));
        around
            .chain(layers)
            .filter(|(spec, layer)| spec.is_in(config, *layer))
            .map(|(spec, layer)| self.tensor(spec, layer, config))
            .collect()
    }

    /// One entry of the table filled in; `layer` is the number of the layer it belongs to, if any.
    pub fn tensor(
        &self,
        spec: &'static TensorSpec,
        layer: Option<usize>,
        config: &Config,
    ) -> Tensor {
        let (columns, by_token) = match spec.kind {
            TensorKind::Vector => (None, false),
            TensorKind::Table { columns } | TensorKind::Matrix { columns } => {
                (Some(columns(config)), false)
            }
            TensorKind::TokenMatrix { columns } => (Some(columns(config)), true),
        };
        let is_table = matches!(spec.kind, TensorKind::Table { .. });
        let (name, rows, bias) = (spec.name(layer), (spec.rows)(config), (spec.bias)(config));
        let of_experts = [parts::GATE_UP.name, parts::DOWN.name].contains(&spec.name);
        let experts = config.block.mixture.filter(|_| of_experts);
        let count = experts.as_ref().map_or(1, Mixture::experts);
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for number in 0..count {
            let expert = experts.map(|experts| Expert::new(number, &experts));
            let is_shared = experts.is_some_and(|experts| number >= experts.count);
            let mut first_row = 0;
            for source in self.sources_of(if is_shared { shared(spec) } else { spec }) {
                let rows_here = (source.rows)(config);
                if rows_here == 0 {
                    continue;
                }
                let place = |ending| self.places(source, layer, expert, ending);
                let (hugging_face, gguf) = place("weight");
                let weight = SourceTensor {
                    hugging_face,
                    gguf,
                    shape: std::iter::once(rows_here).chain(columns).collect(),
                    by_token,
                    rotary_heads: source.rotary_heads.map(|heads| heads(config)),
                    packed: name.clone(),
                    layer,
                    part: spec.name,
                    is_bias: false,
                    expert,
                    first_row,
                    packed_rows: rows / count,
                };
                first_row += rows_here;
                if bias {
                    let (hugging_face, gguf) = place("bias");
                    biases.push(SourceTensor {
                        hugging_face,
                        gguf,
                        shape: vec![rows_here],
                        is_bias: true,
                        ..weight.clone()
                    });
                }
                weights.push(weight);
            }
        }
        Tensor {
            name,
            rows: if is_table {
                rows * columns.unwrap_or(1)
            } else {
                rows
            },
            columns: columns.filter(|_| !is_table),
            bias,
            weights,
            biases,
        }
    }

    /// The sources of a packed tensor; none if no model of this family has it.
    fn sources_of(&self, spec: &TensorSpec) -> &'static [SourceSpec] {
        let mut all = self.sources.iter().copied().flatten();
        let found = all.find(|(part, _)| part.name == spec.name);
        found.map_or(&[], |(_, sources)| sources)
    }

    /// Where Hugging Face folders and GGUF files hold the rows of a source. GGUF puts `blk` before
    /// the number of a layer, whatever the family.
    fn places(
        &self,
        source: &SourceSpec,
        layer: Option<usize>,
        expert: Option<Expert>,
        ending: &str,
    ) -> (Place, Place) {
        let place = |spec: &PlaceSpec, layers: &str| {
            let number = expert.map_or(String::new(), |expert| expert.place.to_string());
            let name = spec.name.replace('#', &number);
            let name = match layer {
                Some(layer) => format!("{layers}.{layer}.{name}"),
                None => name,
            };
            let name = match spec.is_bare {
                true => name,
                false => format!("{name}.{ending}"),
            };
            Place {
                name,
                cut: spec.cut,
            }
        };
        let hugging_face = place(&source.hugging_face, self.hugging_face_layers);
        (hugging_face, place(&source.gguf, "blk"))
    }
}

/// What the sources of shared experts stand under, where those of others stand under `spec`.
fn shared(spec: &TensorSpec) -> &'static TensorSpec {
    match spec.name == parts::DOWN.name {
        true => &parts::SHARED_DOWN,
        false => &parts::SHARED_GATE_UP,
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
        assert_eq!(
            k.hugging_face.name,
            "model.layers.1.self_attn.k_proj.weight"
        );
        assert_eq!(k.gguf.name, "blk.1.attn_k.weight");
        assert_eq!((&k.shape[..], k.first_row), (&[40, 72][..], 80));
        assert_eq!(k.rotary_heads, Some(2));
        assert_eq!(qkv.biases[2].gguf.name, "blk.1.attn_v.bias");
        assert_eq!(qkv.stored("layer.1.qkv.bias"), qkv.biases);
        assert_eq!(qkv.stored("layer.1.qkv.scale"), []);
    }
}
