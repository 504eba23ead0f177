//! candle's own models, a second reference that shares no code with ours.

use super::CheckError;
use crate::arch::Config;
use crate::arch::rope::{Rope, RopeScaling};
use crate::packed::{PackedError, SourceRows, TensorSource};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{llama, qwen2, qwen3};
use std::collections::HashMap;

/// One of candle's models with a key/value cache for one stream.
pub(super) enum CandleModel {
    Llama(Box<llama::Llama>, llama::Cache),
    Qwen2(Box<qwen2::ModelForCausalLM>),
    Qwen3(Box<qwen3::ModelForCausalLM>),
}

impl CandleModel {
    /// Loads the weights; `rows` puts embeddings into packed order.
    pub(super) fn new(
        config: &Config,
        rope: &Rope,
        rows: &[u32],
        source: &mut dyn TensorSource,
    ) -> Result<CandleModel, CheckError> {
        if rope.scaling != RopeScaling::None {
            let reason = "this rotary scaling is not compared";
            return Err(CheckError::Candle(reason.to_owned()));
        }
        let tensors = tensors(config, rows, source)?;
        let candle = |error: candle_core::Error| CheckError::Candle(error.to_string());
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let eps = f64::from(config.norm_eps);
        Ok(if config.qk_norm {
            let config = qwen3::Config {
                vocab_size: config.inputs,
                hidden_size: config.hidden,
                intermediate_size: config.intermediate,
                num_hidden_layers: config.layers,
                num_attention_heads: config.heads,
                head_dim: config.head_dim,
                attention_bias: config.attention_bias,
                num_key_value_heads: config.kv_heads,
                max_position_embeddings: config.window,
                sliding_window: None,
                max_window_layers: config.layers,
                tie_word_embeddings: config.tied,
                rope_theta: rope.theta,
                rms_norm_eps: eps,
                use_sliding_window: false,
                hidden_act: Activation::Silu,
            };
            let model = qwen3::ModelForCausalLM::new(&config, weights).map_err(candle)?;
            CandleModel::Qwen3(Box::new(model))
        } else if config.head_dim * config.heads != config.hidden {
            let reason = "its llama wants heads that add up to the hidden size";
            return Err(CheckError::Candle(reason.to_owned()));
        } else if config.attention_bias {
            let config = qwen2::Config {
                vocab_size: config.inputs,
                hidden_size: config.hidden,
                intermediate_size: config.intermediate,
                num_hidden_layers: config.layers,
                num_attention_heads: config.heads,
                num_key_value_heads: config.kv_heads,
                max_position_embeddings: config.window,
                sliding_window: config.window,
                max_window_layers: config.layers,
                tie_word_embeddings: config.tied,
                rope_theta: rope.theta,
                rms_norm_eps: eps,
                use_sliding_window: false,
                hidden_act: Activation::Silu,
            };
            let model = qwen2::ModelForCausalLM::new(&config, weights).map_err(candle)?;
            CandleModel::Qwen2(Box::new(model))
        } else {
            let config = llama::Config {
                hidden_size: config.hidden,
                intermediate_size: config.intermediate,
                vocab_size: config.inputs,
                num_hidden_layers: config.layers,
                num_attention_heads: config.heads,
                num_key_value_heads: config.kv_heads,
                use_flash_attn: false,
                rms_norm_eps: eps,
                rope_theta: rope.theta as f32,
                bos_token_id: None,
                eos_token_id: None,
                rope_scaling: None,
                max_position_embeddings: config.window,
                tie_word_embeddings: config.tied,
            };
            let cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu);
            let cache = cache.map_err(candle)?;
            let model = llama::Llama::load(weights, &config).map_err(candle)?;
            CandleModel::Llama(Box::new(model), cache)
        })
    }

    /// Feeds one token at `position`; the logits after it, in nats.
    pub(super) fn step(&mut self, token: u32, position: usize) -> candle_core::Result<Vec<f32>> {
        let input = Tensor::new(&[[token]], &Device::Cpu)?;
        let logits = match self {
            CandleModel::Llama(model, cache) => model.forward(&input, position, cache)?,
            CandleModel::Qwen2(model) => model.forward(&input, position)?,
            CandleModel::Qwen3(model) => model.forward(&input, position)?,
        };
        logits.flatten_all()?.to_vec1()
    }
}

/// Every tensor of the model under its Hugging Face name, rows of tokens in packed order.
fn tensors(
    config: &Config,
    token_ids: &[u32],
    source: &mut dyn TensorSource,
) -> Result<HashMap<String, Tensor>, CheckError> {
    let family = config.family().map_err(PackedError::from)?;
    let mut tensors = HashMap::new();
    for tensor in family.tensors(config) {
        for part in tensor.sources() {
            let rows = SourceRows::read(source, part, token_ids)?;
            let mut values: Vec<f32> = rows.iter().flatten().copied().collect();
            let mut shape = part.shape.clone();
            if part.by_token {
                // candle predicts as many tokens as it can be fed; nobody looks at the others.
                values.resize(config.inputs * config.hidden, 0.0);
                shape[0] = config.inputs;
            }
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu)
                .map_err(|error| CheckError::Candle(error.to_string()))?;
            tensors.insert(part.hugging_face.clone(), tensor);
        }
    }
    Ok(tensors)
}
