//! The code length of tokens under a language model without experts, for reports.

use std::sync::Arc;

use super::CodecError;
use super::block::token_predictor;
use super::language_model::LanguageModel;
use super::look_ahead::{Chunk, LookAhead};
use crate::engine::{Prediction, Runtime};
use crate::predict::NextToken;

/// The code length in bits of each of `rows` under the model alone, which has seen nothing before
/// the first.
///
/// # Errors
/// If the model cannot be run.
pub fn costs(runtime: &Arc<dyn Runtime>, rows: &[u32]) -> Result<Vec<f64>, CodecError> {
    let mut model = LanguageModel::new(Arc::clone(runtime))?;
    let tokens = rows.iter().map(|&row| (0, row));
    let mut ahead = LookAhead::new(&**runtime, vec![&mut model], tokens);
    let mut chunk = Chunk::default();
    let mut predictor = token_predictor(runtime.model(), false)?;
    let mut costs = Vec::with_capacity(rows.len());
    while ahead.next_chunk(&mut chunk)? {
        for index in 0..chunk.len() {
            let Prediction { logits, state } = chunk.prediction(index);
            predictor.predict(NextToken {
                stream: 0,
                logits,
                state,
            });
            let weights = predictor.distribution(0).model();
            let row = rows[costs.len()] as usize;
            costs.push((weights.total() as f64 / f64::from(weights.rows()[row])).log2());
        }
    }
    Ok(costs)
}
