//! Where the weights of each layer lie in the packed model.

use super::kernels::LANES;
use crate::arch::block::Recurrent;
use crate::arch::parts::{self, TensorSpec};
use crate::packed::{MatrixIndex, PackedError, PackedModel};

/// A matrix of the packed model and its bias, padded to whole tiles.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) index: MatrixIndex,
    pub(super) bias: Option<Vec<f32>>,
}

/// The weights of a norm.
#[derive(Debug)]
pub(super) struct NormWeights {
    pub(super) weight: Vec<f32>,
    /// Empty if the norm has no bias.
    pub(super) bias: Vec<f32>,
}

/// One transformer layer. Norms that the model lacks are `None`.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attn_norm: Option<NormWeights>,
    pub(super) mixer: Mixer,
    pub(super) attn_post_norm: Option<NormWeights>,
    pub(super) ffn_norm: Option<NormWeights>,
    /// Of a mixture of experts: [scores, hidden].
    pub(super) router: Option<Vec<f32>>,
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
    pub(super) ffn_post_norm: Option<NormWeights>,
}

/// How a layer sees other positions.
#[derive(Debug)]
pub(super) enum Mixer {
    Attention(Attention),
    Recurrence(Recurrence),
}

/// The weights of attention.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) qkv: Linear,
    pub(super) qk_norms: Option<(NormWeights, NormWeights)>,
    /// Its rotary steps, in [`Weights::step_tables`].
    pub(super) steps: usize,
    pub(super) out: Linear,
}

/// The weights of a recurrence.
#[derive(Debug)]
pub(super) struct Recurrence {
    pub(super) shape: Recurrent,
    pub(super) inputs: Linear,
    /// [taps, channels]
    pub(super) conv: Vec<f32>,
    pub(super) rate: Vec<f32>,
    pub(super) shift: Vec<f32>,
    pub(super) norm: Vec<f32>,
    pub(super) out: Linear,
}

/// All weights of a forward pass.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) embed: Linear,
    /// What is added at each learned position, [positions, hidden]; empty if positions are rotary.
    pub(super) positions: Vec<f32>,
    pub(super) layers: Vec<Layer>,
    pub(super) final_norm: NormWeights,
    pub(super) head: Linear,
    /// The rotary steps of all layers, each table once: `[head_dim / 2]`.
    pub(super) step_tables: Vec<Vec<u64>>,
}

impl Weights {
    pub(super) fn new(model: &PackedModel) -> Result<Weights, PackedError> {
        let mut step_tables = Vec::new();
        let layers = (0..model.config().layers)
            .map(|layer| Layer::new(model, layer, &mut step_tables))
            .collect::<Result<_, PackedError>>()?;
        let head = match parts::HEAD.is_in(model.config(), None) {
            true => &parts::HEAD,
            false => &parts::EMBEDDING,
        };
        Ok(Weights {
            layers,
            embed: Linear::new(model, &parts::EMBEDDING, None)?,
            positions: match parts::POSITIONS.is_in(model.config(), None) {
                true => model.floats("positions.weight")?.to_vec(),
                false => Vec::new(),
            },
            final_norm: NormWeights::new(model, &parts::FINAL_NORM, None)?,
            head: Linear::new(model, head, None)?,
            step_tables,
        })
    }
}

impl Layer {
    fn new(
        model: &PackedModel,
        layer: usize,
        step_tables: &mut Vec<Vec<u64>>,
    ) -> Result<Layer, PackedError> {
        let mixer = match model.config().block.recurrence(layer) {
            Some(shape) => Mixer::Recurrence(Recurrence::new(model, shape, layer)?),
            None => Mixer::Attention(Attention::new(model, layer, step_tables)?),
        };
        let linear = |spec| Linear::new(model, spec, Some(layer));
        let norm = |spec| NormWeights::if_present(model, spec, layer);
        Ok(Layer {
            attn_norm: norm(&parts::ATTN_NORM)?,
            mixer,
            attn_post_norm: norm(&parts::ATTN_POST_NORM)?,
            ffn_norm: norm(&parts::FFN_NORM)?,
            router: match parts::ROUTER.is_in(model.config(), Some(layer)) {
                true => Some(
                    model
                        .floats(&format!("layer.{layer}.router.weight"))?
                        .to_vec(),
                ),
                false => None,
            },
            gate_up: linear(&parts::GATE_UP)?,
            down: linear(&parts::DOWN)?,
            ffn_post_norm: norm(&parts::FFN_POST_NORM)?,
        })
    }
}

impl Attention {
    fn new(
        model: &PackedModel,
        layer: usize,
        step_tables: &mut Vec<Vec<u64>>,
    ) -> Result<Attention, PackedError> {
        let steps = model.steps_of(layer);
        let table = step_tables.iter().position(|table| *table == steps);
        let norm = |spec| NormWeights::if_present(model, spec, layer);
        Ok(Attention {
            qkv: Linear::new(model, &parts::QKV, Some(layer))?,
            qk_norms: norm(&parts::Q_NORM)?.zip(norm(&parts::K_NORM)?),
            steps: table.unwrap_or_else(|| {
                step_tables.push(steps);
                step_tables.len() - 1
            }),
            out: Linear::new(model, &parts::OUT, Some(layer))?,
        })
    }
}

impl Recurrence {
    fn new(
        model: &PackedModel,
        shape: &Recurrent,
        layer: usize,
    ) -> Result<Recurrence, PackedError> {
        let floats = |spec: &TensorSpec| {
            let name = spec.name(Some(layer));
            let values = model.floats(&format!("{name}.weight"));
            values.map(<[f32]>::to_vec)
        };
        let conv = floats(&parts::RECURRENT_CONV)?;
        let tap = |tap: usize| conv.iter().skip(tap).step_by(shape.taps);
        Ok(Recurrence {
            shape: shape.clone(),
            inputs: Linear::new(model, &parts::RECURRENT_IN, Some(layer))?,
            conv: (0..shape.taps).flat_map(tap).copied().collect(),
            rate: floats(&parts::RECURRENT_RATE)?,
            shift: floats(&parts::RECURRENT_SHIFT)?,
            norm: floats(&parts::RECURRENT_NORM)?,
            out: Linear::new(model, &parts::RECURRENT_OUT, Some(layer))?,
        })
    }
}

impl Linear {
    fn new(
        model: &PackedModel,
        spec: &TensorSpec,
        layer: Option<usize>,
    ) -> Result<Linear, PackedError> {
        let index = model.find_matrix(&spec.name(layer))?;
        let bias = model.matrix_at(index).bias.map(|bias| {
            let mut bias = bias.to_vec();
            bias.resize(bias.len().next_multiple_of(LANES), 0.0);
            bias
        });
        Ok(Linear { index, bias })
    }
}

impl NormWeights {
    /// The norm of a layer; `None` if the layer lacks it.
    fn if_present(
        model: &PackedModel,
        spec: &TensorSpec,
        layer: usize,
    ) -> Result<Option<NormWeights>, PackedError> {
        let present = spec.is_in(model.config(), Some(layer));
        present
            .then(|| NormWeights::new(model, spec, Some(layer)))
            .transpose()
    }

    fn new(
        model: &PackedModel,
        spec: &TensorSpec,
        layer: Option<usize>,
    ) -> Result<NormWeights, PackedError> {
        let name = spec.name(layer);
        let floats = |ending| {
            model
                .floats(&format!("{name}.{ending}"))
                .map(<[f32]>::to_vec)
        };
        Ok(NormWeights {
            weight: floats("weight")?,
            bias: match (spec.bias)(model.config()) {
                true => floats("bias")?,
                false => Vec::new(),
            },
        })
    }
}
