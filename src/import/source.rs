//! A published model, opened.

use super::SourceError;
use super::vocabulary::RowPlan;
use crate::arch::Config;
use crate::arch::block::Wide;
use crate::arch::rope::RotarySteps;
use crate::packed::{self, PackInput, TensorSource};
use std::fs::File;

/// Most positions that a query sees in a packed model. With 2,048 instead of 1,024, SmolLM2-135M
/// is a sixth slower and makes a source file 7 % smaller, or 3 % where experts help
/// (`docs/BENCHMARKS.md`).
pub const LARGEST_WINDOW: usize = 2048;

/// Positions that a query sees where the source does not say for how many the model was trained.
const USUAL_WINDOW: usize = 1024;

/// Fewest positions that a query sees in a packed model.
const SMALLEST_WINDOW: usize = 16;

/// First positions that stay visible beyond the window.
pub const SINKS: usize = 4;

/// Positions that a query sees: a power of two, no more than the `context` that the model was
/// trained for, nor than `most`.
///
/// # Errors
/// If that is less than the engine's smallest window.
pub(super) fn window(context: Option<usize>, most: Option<usize>) -> Result<usize, SourceError> {
    let positions = context.unwrap_or(USUAL_WINDOW).min(LARGEST_WINDOW);
    let positions = positions.min(most.unwrap_or(positions));
    match positions < SMALLEST_WINDOW {
        false => Ok(1 << positions.ilog2()),
        true => Err(SourceError::Unsupported(format!(
            "a context of {positions} positions, expected at least {SMALLEST_WINDOW}"
        ))),
    }
}

/// A published model, opened: everything but the weights has been read and checked.
pub struct Source {
    /// Configuration of the packed model.
    pub config: Config,
    /// Rotary steps.
    pub steps: RotarySteps,
    /// Tokens and merges in packed order.
    pub vocabulary: RowPlan,
    /// Its weights.
    pub tensors: Box<dyn TensorSource>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Activations get two levels of 8 bits if `wide` is set, and one otherwise, whatever the size
    /// of the model.
    pub fn set_wide(&mut self, wide: bool) {
        self.config.block.wide = if wide { Wide::ALL } else { Wide::default() };
    }

    /// What packing needs, and the weights.
    pub fn input(&mut self) -> (PackInput<'_>, &mut dyn TensorSource) {
        let input = PackInput {
            config: &self.config,
            steps: &self.steps,
            tokens: &self.vocabulary.tokens,
            rows: &self.vocabulary.rows,
            merges: &self.vocabulary.merges,
            scores: &self.vocabulary.scores,
        };
        (input, &mut *self.tensors)
    }

    /// Packs into memory.
    ///
    /// # Errors
    /// When a tensor cannot be read or holds values that are not finite.
    pub fn pack(&mut self) -> Result<Vec<u8>, SourceError> {
        let (input, tensors) = self.input();
        Ok(packed::pack(&input, tensors)?)
    }

    /// Packs into `file`, open for reading and writing; memory holds one tensor at a time.
    ///
    /// # Errors
    /// As [`Source::pack`], and when the file cannot be written.
    pub fn pack_to_file(&mut self, file: &File) -> Result<(), SourceError> {
        let (input, tensors) = self.input();
        Ok(packed::pack_to_file(&input, tensors, file)?)
    }
}

/// The same JSON with the keys of every object in order: whether `serde_json` keeps them as written
/// depends on what else is compiled in.
pub(super) fn sorted(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect())
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_within_what_the_model_was_trained_for() {
        for (context, want) in [
            ((None, None), 1024),
            ((Some(16), None), 16),
            ((Some(1000), None), 512),
            ((Some(1024), None), 1024),
            ((Some(8192), None), LARGEST_WINDOW),
            ((Some(8192), Some(300)), 256),
            ((None, Some(4096)), 1024),
        ] {
            assert_eq!(window(context.0, context.1).unwrap(), want, "{context:?}");
        }
        for context in [(Some(0), None), (Some(15), None), (None, Some(15))] {
            let reason = window(context.0, context.1).unwrap_err().to_string();
            assert!(reason.contains("expected at least 16"), "{reason}");
        }
    }

    #[test]
    fn keys_are_sorted_whatever_the_parser_keeps() {
        let mut object = serde_json::Map::new();
        object.insert("b".into(), serde_json::json!([{"z": 1, "y": 2}]));
        object.insert("a".into(), serde_json::Value::Null);
        let text = sorted(&serde_json::Value::Object(object)).to_string();
        assert_eq!(text, r#"{"a":null,"b":[{"y":2,"z":1}]}"#);
    }
}
