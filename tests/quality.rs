//! The exact engine costs at most a fraction of a percent against the same model in f32.

#![cfg(feature = "convert")]

use std::path::Path;
use std::sync::Arc;

use llmzip::check::float::FloatModel;
use llmzip::engine::{Engine, EngineOptions, Predictions, Runtime, Segment};
use llmzip::import;
use llmzip::machine::instructions::InstructionSet;
use llmzip::packed::PackedModel;
use llmzip::predict::Weights;
use llmzip::tokenizer::{Symbol, Tokenizer};

/// Bits that `tokens` cost the exact engine, each coded after `inputs`.
fn exact_bits(model: &Arc<PackedModel>, inputs: &[u32], tokens: &[u32]) -> f64 {
    let engine = Engine::new(model.clone(), EngineOptions::default()).unwrap();
    let (mut state, mut predictions) = (engine.new_state().unwrap(), Predictions::new());
    let mut weights = Weights::new(model.config().vocab).unwrap();
    let segment = Segment {
        state: &mut *state,
        tokens: inputs,
    };
    engine.forward(&mut [segment], &mut predictions).unwrap();
    let bits = tokens.iter().enumerate().map(|(row, token)| {
        let logits = predictions.row(row).logits;
        weights.set(engine.instructions(), logits, None);
        let weight = weights.rows()[*token as usize];
        (weights.total() as f64 / f64::from(weight)).log2()
    });
    bits.sum()
}

/// The same for the float model.
fn float_bits(float: &FloatModel, inputs: &[u32], tokens: &[u32]) -> f64 {
    let logits = float.forward(&mut float.stream(), inputs);
    let bits = logits
        .chunks_exact(float.config().vocab)
        .zip(tokens)
        .map(|(row, token)| {
            let best = row.iter().copied().fold(f32::MIN, f32::max);
            let total: f64 = row.iter().map(|logit| f64::from(logit - best).exp()).sum();
            total.log2() - f64::from(row[*token as usize] - best) * std::f64::consts::LOG2_E
        });
    bits.sum()
}

#[test]
fn exactness_costs_little_on_the_fixture_model() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut source = import::open(&root.join("fixtures/fixture-hf")).unwrap();
    source.set_wide(false);
    let model = Arc::new(PackedModel::from_bytes(&source.pack().unwrap()).unwrap());
    let text = std::fs::read(root.join("LICENSE-APACHE")).unwrap();
    let pieces = Tokenizer::new(&model).unwrap().encode(&text);
    let tokens: Vec<u32> = pieces
        .into_iter()
        .filter_map(|piece| match piece {
            Symbol::Token(token) => Some(token),
            Symbol::Byte(_) => None,
        })
        .collect();
    assert!(
        tokens.len() > 3 * model.config().window,
        "the text passes the window and the sinks"
    );
    let mut inputs = vec![model.config().bos.unwrap()];
    inputs.extend(&tokens[..tokens.len() - 1]);

    let (input, tensors) = source.input();
    let float = FloatModel::new(&input, tensors, InstructionSet::choose().unwrap(), 1).unwrap();
    let (exact, float) = (
        exact_bits(&model, &inputs, &tokens),
        float_bits(&float, &inputs, &tokens),
    );
    println!(
        "exact {exact:.0} bits, float {float:.0} bits for {} bytes",
        text.len()
    );
    assert!(
        exact < float * 1.006,
        "exact {exact} bits, float {float} bits"
    );
    assert!(
        exact > float * 0.99,
        "exact {exact} bits, float {float} bits"
    );
    assert!(
        float < 8.0 * text.len() as f64 * 0.6,
        "the model has learnt nothing: {float} bits"
    );
}
