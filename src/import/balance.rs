//! Factors between the queries and the keys of a layer.
//!
//! A key is quantised as a whole, so its largest values decide how exactly all others are kept.
//! Where a bias or a norm makes a few values of every key large, they are divided here, and the
//! same values of the queries are multiplied. Scores stay what they are, and so does what rotates,
//! since both values of a pair have one factor.

use crate::arch::Config;

/// A magnitude that is a smaller share of the largest one counts as this share, so that
/// factors have bounds.
const LEAST: f64 = 1e-4;

/// Queries and keys with norms are balanced if their errors then fall to this share. Norms that
/// vary little are left as they are.
const WORTHWHILE: f64 = 0.8;

/// What the keys of a layer are multiplied by, and the queries divided by.
pub(super) struct Balance {
    /// For each pair of values that rotates, head by head: `[heads][head_dim / 2]`. Heads that
    /// share a norm have one factor, so `heads` is `kv_heads` or 1.
    factors: Vec<f32>,
    head_dim: usize,
}

impl Balance {
    /// For keys with a bias: `weights`, [rows, hidden], and `bias`, [rows], make them of values
    /// that have the magnitudes of `norm`, [hidden]. Queries are taken to vary little, so both then
    /// vary by the root of what the keys did.
    pub(super) fn of_projection(
        weights: &[f32],
        bias: &[f32],
        norm: &[f32],
        config: &Config,
    ) -> Balance {
        let magnitude = |(row, bias): (&[f32], &f32)| {
            let from_input = |(column, weight): (usize, &f32)| {
                let norm = norm.get(column).copied().unwrap_or(1.0);
                (f64::from(*weight) * f64::from(norm)).powi(2)
            };
            let squares: f64 = row.iter().enumerate().map(from_input).sum();
            (squares + f64::from(*bias).powi(2)).sqrt()
        };
        let rows = weights.chunks_exact(config.hidden).zip(bias);
        let magnitudes: Vec<f64> = rows.map(magnitude).collect();
        let of_head = |head: &[f64]| {
            let pairs = pairs(head);
            factors(&vec![1.0; pairs.len()], &pairs)
        };
        Balance {
            factors: (magnitudes.chunks_exact(config.head_dim))
                .flat_map(of_head)
                .collect(),
            head_dim: config.head_dim,
        }
    }

    /// For normalised queries and keys, which have the magnitudes of their norms,
    /// `[heads * head_dim]`: both then vary as the root of the product of the two does, if that
    /// pays.
    pub(super) fn of_norms(queries: &[f32], keys: &[f32], config: &Config) -> Balance {
        let dim = config.head_dim;
        let magnitudes = |norm: &[f32]| -> Vec<f64> {
            norm.iter().map(|value| f64::from(value.abs())).collect()
        };
        let (queries, keys) = (magnitudes(queries), magnitudes(keys));
        let shared = queries.len() / keys.len().max(1) * dim;
        let of_head = |(queries, keys): (&[f64], &[f64])| {
            let heads = queries.chunks_exact(dim).map(pairs);
            let largest = heads.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a.max(*b)).collect());
            let (queries, keys) = (largest.unwrap_or_default(), pairs(keys));
            match balancing_pays(&queries, &keys) {
                true => factors(&queries, &keys),
                false => vec![1.0; keys.len()],
            }
        };
        let heads = queries.chunks_exact(shared).zip(keys.chunks_exact(dim));
        Balance {
            factors: heads.flat_map(of_head).collect(),
            head_dim: dim,
        }
    }

    /// Multiplies the rows of keys, or divides those of queries. `values` are `rows` rows, those
    /// of all heads; a multiple of the balance's heads share their factors.
    pub(super) fn apply(&self, values: &mut [f32], rows: usize, are_queries: bool) {
        let half = self.head_dim / 2;
        let (heads, balanced) = (rows / self.head_dim, self.factors.len() / half);
        let (width, sharing) = (values.len() / rows, (heads / balanced).max(1));
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            let factor = self.factors[row / self.head_dim / sharing * half + row % half];
            let factor = if are_queries { 1.0 / factor } else { factor };
            values.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

/// The larger magnitude of each pair of a head's values that rotate together: value i of the first
/// half with value i of the second.
fn pairs(head: &[f64]) -> Vec<f64> {
    let (first, second) = head.split_at(head.len() / 2);
    let larger = |(first, second): (&f64, &f64)| first.max(*second);
    first.iter().zip(second).map(larger).collect()
}

/// The factors of keys that make the magnitudes of queries and keys equal, pair by pair, but for
/// one factor that all pairs share.
fn factors(queries: &[f64], keys: &[f64]) -> Vec<f32> {
    let both = shares(queries).into_iter().zip(shares(keys));
    both.map(|(query, key)| (query / key).sqrt() as f32)
        .collect()
}

/// Whether equal magnitudes make the error of a score much smaller. Rounding moves each value by a
/// share of the largest one, so the squared error of a score is in proportion to the square of the
/// largest key times the sum of all squared queries, and the other way round.
fn balancing_pays(queries: &[f64], keys: &[f64]) -> bool {
    let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let power = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let error = |queries: &[f64], keys: &[f64]| {
        largest(keys).powi(2) * power(queries) + largest(queries).powi(2) * power(keys)
    };
    let both = queries.iter().zip(keys);
    let balanced: Vec<f64> = both.map(|(query, key)| (query * key).sqrt()).collect();
    error(&balanced, &balanced) <= WORTHWHILE * error(queries, keys)
}

/// Magnitudes as shares of the largest one, between `LEAST` and 1.
fn shares(magnitudes: &[f64]) -> Vec<f64> {
    let largest = magnitudes.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let share = |magnitude: &f64| (magnitude / largest).max(LEAST);
    magnitudes.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::config::tests::tiny;

    /// A model of two key heads, each with two query heads, whose heads have eight values.
    fn config(joint_qk_norm: bool) -> Config {
        let mut config = Config {
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            hidden: 32,
            qk_norm: true,
            ..tiny()
        };
        config.block.joint_qk_norm = joint_qk_norm;
        config
    }

    fn balanced(config: &Config, queries: &[f32], keys: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let balance = Balance::of_norms(queries, keys, config);
        let (mut q, mut k) = (queries.to_vec(), keys.to_vec());
        balance.apply(&mut q, queries.len(), true);
        balance.apply(&mut k, keys.len(), false);
        (q, k)
    }

    #[test]
    fn queries_and_keys_vary_as_the_root_of_their_product() {
        // Pairs are (0, 4), (1, 5), (2, 6) and (3, 7).
        let queries = [1., 1., 4., 1., 1., 0.5, 4., 1.];
        let keys = [16., 1., 1., 4., 4., 1., -0.5, 4.];
        let (q, k) = balanced(&config(false), &queries, &keys);
        assert_eq!(q, [2., 0.5, 1., 1., 2., 0.25, 1., 1.]);
        assert_eq!(k, [8., 2., 4., 4., 2., 2., -2., 4.]);
    }

    #[test]
    fn norms_that_vary_little_are_left() {
        let queries = [1., 1.1, 1., 1., 1., 1., 1., 1.];
        let keys = [1., 1., 1.1, 1., 1., 1., 1., 1.];
        let (q, k) = balanced(&config(false), &queries, &keys);
        assert_eq!((&q[..], &k[..]), (&queries[..], &keys[..]));
    }

    #[test]
    fn query_heads_of_one_key_head_share_its_factors() {
        let config = config(true);
        let mut queries = vec![1.; 32];
        queries[8] = 16.;
        let mut keys = vec![1.; 16];
        keys[9] = 16.;
        let (q, k) = balanced(&config, &queries, &keys);
        let scores = |q: &[f32], k: &[f32]| -> Vec<f32> {
            let score = |row: usize| q[row] * k[row / 16 * 8 + row % 8];
            (0..32).map(score).collect()
        };
        assert_eq!(scores(&q, &k), scores(&queries, &keys));
        // Pair 0 of the first key head has a large query, pair 1 of the second a large key.
        assert_eq!((k[0], k[1], q[0], q[1], q[8]), (1., 0.25, 1., 4., 16.));
        assert_eq!((k[8], k[9], q[16], q[17]), (4., 16., 0.25, 1.));
    }

    #[test]
    fn factors_have_bounds() {
        let keys = [1., 0., 0., 0., 1., 0., 0., 0.];
        let (q, k) = balanced(&config(false), &[1.; 8], &keys);
        assert_eq!((q[0], q[1]), (1., 0.01));
        assert_eq!(k, keys);
        let (q, k) = balanced(&config(false), &[0.; 8], &[0.; 8]);
        assert_eq!((&q[..], &k[..]), (&[0.; 8][..], &[0.; 8][..]));
    }
}
