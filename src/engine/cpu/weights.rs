//! Where the weights of each layer lie in the packed model.

use super::kernels::LANES;
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
    pub(super) qkv: Linear,
    pub(super) qk_norms: Option<(NormWeights, NormWeights)>,
    /// Its rotary steps, in [`Weights::step_tables`].
    pub(super) steps: usize,
    pub(super) out: Linear,
    pub(super) attn_post_norm: Option<NormWeights>,
    pub(super) ffn_norm: Option<NormWeights>,
    /// Of a mixture of experts: [experts, hidden].
    pub(super) router: Option<Vec<f32>>,
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
    pub(super) ffn_post_norm: Option<NormWeights>,
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
        let head = match (parts::HEAD.present)(model.config()) {
            true => &parts::HEAD,
            false => &parts::EMBEDDING,
        };
        Ok(Weights {
            layers,
            embed: Linear::new(model, &parts::EMBEDDING, None)?,
            positions: match (parts::POSITIONS.present)(model.config()) {
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
        let steps = model.steps_of(layer);
        let table = step_tables.iter().position(|table| *table == steps);
        let linear = |spec| Linear::new(model, spec, Some(layer));
        let norm = |spec: &TensorSpec| {
            let present = (spec.present)(model.config());
            present
                .then(|| NormWeights::new(model, spec, Some(layer)))
                .transpose()
        };
        Ok(Layer {
            attn_norm: norm(&parts::ATTN_NORM)?,
            qkv: linear(&parts::QKV)?,
            qk_norms: norm(&parts::Q_NORM)?.zip(norm(&parts::K_NORM)?),
            steps: table.unwrap_or_else(|| {
                step_tables.push(steps);
                step_tables.len() - 1
            }),
            out: linear(&parts::OUT)?,
            attn_post_norm: norm(&parts::ATTN_POST_NORM)?,
            ffn_norm: norm(&parts::FFN_NORM)?,
            router: match (parts::ROUTER.present)(model.config()) {
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
