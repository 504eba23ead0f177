//! Logistic mixing: a weighted sum of logits whose weights follow the gradient of the coding cost.

use super::logistic::squash;

/// A mixer of `inputs` logits with one weight vector for each of `contexts` contexts.
#[derive(Clone)]
pub struct Mixer {
    inputs: usize,
    weights: Vec<i32>,
    selected: usize,
    probability: u32,
}

impl Mixer {
    /// All weights start at `1 / inputs`.
    pub fn new(inputs: usize, contexts: usize) -> Mixer {
        Mixer {
            inputs,
            weights: vec![65_536 / inputs as i32; inputs * contexts],
            selected: 0,
            probability: 0,
        }
    }

    /// P(bit = 1), 24 bits, from logits in 1/256 nat.
    pub fn mix(&mut self, logits: &[i16], context: usize) -> u32 {
        self.selected = context * self.inputs;
        let weights = &self.weights[self.selected..][..self.inputs];
        let sum: i64 = (weights.iter().zip(logits))
            .map(|(&weight, &logit)| i64::from(weight) * i64::from(logit))
            .sum();
        self.probability = squash((sum >> 12).clamp(-65_536, 65_536) as i32);
        self.probability
    }

    /// Moves the weights used last along the gradient.
    pub fn update(&mut self, logits: &[i16], bit: bool) {
        let error = (i64::from(bit) << 24) - i64::from(self.probability);
        let weights = &mut self.weights[self.selected..][..self.inputs];
        for (weight, &logit) in weights.iter_mut().zip(logits) {
            *weight += ((i64::from(logit) * error) >> 25) as i32;
        }
    }
}
