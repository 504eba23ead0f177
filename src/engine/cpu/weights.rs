//! Where the weights of each layer lie in the packed model.

use super::kernels::LANES;
use crate::arch::family::{Attention, GatedFeedForward, TensorSpec};
use crate::packed::{MatrixIndex, PackedError, PackedModel};

/// A matrix of the packed model and its bias, padded to whole tiles.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) index: MatrixIndex,
    pub(super) bias: Option<Vec<f32>>,
}

/// One transformer layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attn_norm: Vec<f32>,
    pub(super) qkv: Linear,
    /// Weights of the query and key norms, if the model has them.
    pub(super) head_norms: Option<(Vec<f32>, Vec<f32>)>,
    pub(super) out: Linear,
    pub(super) ffn_norm: Vec<f32>,
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
}

/// All weights of a forward pass.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) embed: Linear,
    pub(super) layers: Vec<Layer>,
    pub(super) final_norm: Vec<f32>,
    pub(super) head: Linear,
    pub(super) rope_steps: Vec<u64>,
}

impl Weights {
    pub(super) fn new(model: &PackedModel) -> Result<Weights, PackedError> {
        let (config, family) = (model.config(), model.family());
        let Attention {
            norm: attn_norm,
            qkv,
            q_norm,
            k_norm,
            out,
        } = &family.layer.attention;
        let GatedFeedForward {
            norm: ffn_norm,
            gate_up,
            down,
        } = &family.layer.feed_forward;
        let linear = |tensor: &TensorSpec, layer: Option<usize>| -> Result<Linear, PackedError> {
            let index = model.find_matrix(&tensor.name(layer))?;
            let bias = model.matrix_at(index).bias.map(|bias| {
                let mut bias = bias.to_vec();
                bias.resize(bias.len().next_multiple_of(LANES), 0.0);
                bias
            });
            Ok(Linear { index, bias })
        };
        let floats = |tensor: &TensorSpec, layer: Option<usize>| {
            let name = format!("{}.weight", tensor.name(layer));
            model.floats(&name).map(<[f32]>::to_vec)
        };
        let layers = (0..config.layers).map(|layer| {
            let layer = Some(layer);
            let head_norms = match (q_norm.present)(config) {
                true => Some((floats(q_norm, layer)?, floats(k_norm, layer)?)),
                false => None,
            };
            Ok(Layer {
                attn_norm: floats(attn_norm, layer)?,
                qkv: linear(qkv, layer)?,
                head_norms,
                out: linear(out, layer)?,
                ffn_norm: floats(ffn_norm, layer)?,
                gate_up: linear(gate_up, layer)?,
                down: linear(down, layer)?,
            })
        });
        let has_head = (family.head.present)(config);
        let head = if has_head {
            &family.head
        } else {
            &family.embedding
        };
        Ok(Weights {
            layers: layers.collect::<Result<_, PackedError>>()?,
            embed: linear(&family.embedding, None)?,
            final_norm: floats(&family.final_norm, None)?,
            head: linear(head, None)?,
            rope_steps: model.rope_steps(),
        })
    }
}
