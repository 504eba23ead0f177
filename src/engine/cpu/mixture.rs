//! Mixtures of experts: each row of activations takes a few of a layer's feed-forward blocks.

use super::kernels::LANES;
use super::pass::Layers;
use super::weights::Layer;
use super::workspace::Workspace;
use crate::arch::block::Mixture;
use crate::numerics::{LOG2_E, exp2_or_zero, round, sigmoid};
use std::cmp::Ordering;

/// Powers are summed in integer units of `1 / TWO_TO_22`.
const TWO_TO_22: f32 = 4_194_304.0;

/// The share that a row has of an expert.
#[derive(Clone, Copy, Debug)]
struct Share {
    row: usize,
    share: f32,
}

impl Layers {
    /// `projected` becomes what the experts make of the `count` rows in `ws.rows`, whose scores are
    /// known. An expert runs once, with all rows that take it.
    pub(super) fn mix_experts(&self, ws: &mut Workspace, layer: &Layer, count: usize) {
        let (kernels, config) = (self.kernels, self.model.config());
        let Some(experts) = config.block.mixture else {
            return;
        };
        let (hidden, inner) = (config.hidden, config.gate_up_rows());
        let stride = hidden.next_multiple_of(LANES);
        let gate_up = self.model.matrix_at(layer.gate_up.index);
        let down = self.model.matrix_at(layer.down.index);
        std::mem::swap(&mut ws.rows, &mut ws.mixture.rows);
        ws.projected.clear();
        ws.projected.resize(count * stride, 0.0);
        for (expert, shares) in shares(&ws.mixture.scores, &experts).iter().enumerate() {
            if shares.is_empty() {
                continue;
            }
            let rows: Vec<usize> = shares.iter().map(|share| share.row).collect();
            ws.rows.gather(&ws.mixture.rows, &rows);
            let part = gate_up.part(expert * inner..(expert + 1) * inner);
            self.product(&part, None, &ws.rows, &mut ws.gate_up);
            self.activate_and_quantize(ws, shares.len());
            let part = down.part(expert * hidden..(expert + 1) * hidden);
            self.product(&part, None, &ws.rows, &mut ws.mixture.given);
            for (Share { row, share }, given) in
                shares.iter().zip(ws.mixture.given.chunks_exact(stride))
            {
                let sum = &mut ws.projected[row * stride..][..hidden];
                kernels.add_times(sum, *share, &given[..hidden]);
            }
        }
    }
}

/// For each expert, the rows that take it, from the scores of all rows. The last are those that all
/// rows take.
fn shares(scores: &[f32], experts: &Mixture) -> Vec<Vec<Share>> {
    let mut shares = vec![Vec::new(); experts.experts()];
    for (row, scores) in scores.chunks_exact(experts.scores()).enumerate() {
        let (scores, shared) = scores.split_at(experts.count);
        for (expert, share) in route(scores, experts) {
            shares[expert].push(Share { row, share });
        }
        if let [score] = shared {
            let share = sigmoid(*score);
            let all = shares[experts.count..].iter_mut();
            all.for_each(|shares| shares.push(Share { row, share }));
        }
    }
    shares
}

/// The experts with the largest scores, of equal ones those with the lowest numbers, and their
/// shares of a softmax, in the order of their numbers.
fn route(scores: &[f32], experts: &Mixture) -> Vec<(usize, f32)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let descending = |a: &usize, b: &usize| scores[*b].partial_cmp(&scores[*a]);
    order.sort_by(|a, b| descending(a, b).unwrap_or(Ordering::Equal));
    let power = |expert: usize| exp2_or_zero((scores[expert] - scores[order[0]]) * LOG2_E);
    let within = match experts.normalised {
        true => &order[..experts.used],
        false => &order,
    };
    let units = |expert: &usize| i64::from(round(power(*expert) * TWO_TO_22));
    let sum: i64 = within.iter().map(units).sum();
    let sum = sum as f32 * (1.0 / TWO_TO_22);
    let mut taken: Vec<_> = order[..experts.used]
        .iter()
        .map(|&it| (it, power(it) / sum))
        .collect();
    taken.sort_by_key(|(expert, _)| *expert);
    taken
}
