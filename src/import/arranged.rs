//! The weights of a source as a packed model wants them: rows cut from shared tensors, the halves
//! of rotated heads one after the other, and an architecture's factors multiplied in.

use super::balance::Balance;
use super::description::{Described, Rotation};
use super::source::Source;
use super::value_heads;
use super::vocabulary::RowPlan;
use crate::arch::family::{Cut, Folds, Recurrences};
use crate::arch::rope::exp;
use crate::arch::tensors::Place;
use crate::arch::{Config, SourceTensor, parts};
use crate::packed::{PackedError, SourceRows, TensorSource};

/// Tensors as a file stores them.
pub(super) trait StoredTensors {
    /// Shape and values, row-major, of the tensor called `name`. With an `index`, the tensor is a
    /// list of matrices, and that matrix alone is read. The values lie in the memory of `spare`, if
    /// it has room for them.
    fn read(
        &mut self,
        name: &str,
        index: Option<usize>,
        spare: Vec<f32>,
    ) -> Result<(Vec<usize>, Vec<f32>), PackedError>;
}

/// The weights of an opened source.
struct Arranged<T> {
    stored: T,
    /// Where the format holds a tensor.
    place: fn(&SourceTensor) -> &Place,
    config: Config,
    rotation: Rotation,
    folds: Folds,
    recurrences: Recurrences,
    /// The tensor read last, or its matrix of this number, if others are cut from it.
    shared: Option<Shared>,
    /// The layer read last, and what its keys are multiplied by.
    balance: Option<(usize, Balance)>,
    /// Memory for the next tensor.
    spare: Vec<f32>,
}

/// A tensor that several sources are cut from.
struct Shared {
    name: String,
    index: Option<usize>,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Described {
    /// The opened source: what was described, with `stored` arranged. `place` says where the
    /// format holds a tensor.
    pub(super) fn source<T: StoredTensors + 'static>(
        self,
        vocabulary: RowPlan,
        stored: T,
        place: fn(&SourceTensor) -> &Place,
    ) -> Source {
        let tensors = Arranged {
            stored,
            place,
            config: self.config.clone(),
            rotation: self.rotation,
            folds: self.folds,
            recurrences: self.recurrences,
            shared: None,
            balance: None,
            spare: Vec::new(),
        };
        Source {
            config: self.config,
            steps: self.steps,
            vocabulary,
            tensors: Box::new(tensors),
        }
    }
}

impl<T: StoredTensors> Arranged<T> {
    /// The rows that the tensor takes, in the order in which the format has them.
    fn rows(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let Place { name, cut } = (self.place)(tensor);
        let index = tensor.expert.map(|expert| expert.place);
        let index = index.filter(|_| cut.is_of_experts());
        if !cut.is_shared() {
            let spare = std::mem::take(&mut self.spare);
            let (mut shape, values) = self.stored.read(name, index, spare)?;
            if *cut == Cut::OfChannels && shape.get(1) == Some(&1) {
                shape.remove(1);
            }
            if *cut == Cut::OneRow && shape.len() == 1 {
                shape.insert(0, 1);
            }
            return Ok(match cut.is_transposed() {
                true => transposed(shape, &values),
                false => (shape, values),
            });
        }
        let is_other = |last: &Shared| (&last.name, last.index) != (name, index);
        if self.shared.as_ref().is_none_or(is_other) {
            let last = self.shared.take().map(|last| last.values);
            let (mut shape, mut values) =
                self.stored.read(name, index, last.unwrap_or_default())?;
            if cut.is_transposed() {
                (shape, values) = transposed(shape, &values);
            }
            self.shared = Some(Shared {
                name: name.clone(),
                index,
                shape,
                values,
            });
        }
        let Shared { shape, values, .. } = self.shared.as_ref().expect("just read");
        let rows = match cut {
            Cut::QueryOfPairs | Cut::GateOfPairs => 2 * tensor.shape[0],
            Cut::RowsOfPieces | Cut::ColumnsOfPieces => tensor.shape_with(*cut)[0],
            _ => tensor.packed_rows,
        };
        if shape.first() != Some(&rows) {
            return Ok((shape.clone(), values.clone()));
        }
        let width = values.len() / rows.max(1);
        let mut cut_shape = shape.clone();
        cut_shape[0] = tensor.shape[0];
        if *cut == Cut::ColumnsOfPieces {
            if *shape != tensor.shape_with(*cut) {
                return Ok((shape.clone(), values.clone()));
            }
            cut_shape.clone_from(&tensor.shape);
        }
        Ok((cut_shape, self.cut(tensor, *cut, values, width)))
    }

    /// Cuts the rows of `tensor`, of `width` values each, out of those that sources share.
    fn cut(&self, tensor: &SourceTensor, cut: Cut, values: &[f32], width: usize) -> Vec<f32> {
        let (first, rows) = (tensor.first_row, tensor.shape[0]);
        let config = &self.config;
        let (dim, queries) = (config.head_dim, config.heads_per_kv());
        let piece = tensor.expert.map_or(0, |expert| expert.place);
        // What the rows of each head are cut from, in heads, and where they lie in it.
        let (all, start, len) = match cut {
            Cut::QueryOfPairs => (2, 0, 1),
            Cut::GateOfPairs => (2, 1, 1),
            // For each key/value head: its queries, its key, its value.
            Cut::HeadByHead if first == 0 => (queries + 2, 0, queries),
            Cut::HeadByHead if first == config.heads * dim => (queries + 2, queries, 1),
            Cut::HeadByHead => (queries + 2, queries + 1, 1),
            Cut::RowsOfPieces => return values[piece * rows * width..][..rows * width].to_vec(),
            Cut::ColumnsOfPieces => {
                let columns = tensor.shape[1];
                let rows = values.chunks_exact(width);
                let pieces = rows.flat_map(|row| &row[piece * columns..][..columns]);
                return pieces.copied().collect();
            }
            _ => return values[first * width..(first + rows) * width].to_vec(),
        };
        values
            .chunks_exact(all * dim * width)
            .flat_map(|head| &head[start * dim * width..][..len * dim * width])
            .copied()
            .collect()
    }

    /// Whether each head's values of this tensor are rotated, and the number of its heads.
    fn rotated_heads(&self, tensor: &SourceTensor) -> Option<usize> {
        match tensor.part {
            // The norm of all heads together.
            "q_norm" if self.config.block.joint_qk_norm => Some(self.config.heads),
            "k_norm" if self.config.block.joint_qk_norm => Some(self.config.kv_heads),
            "q_norm" | "k_norm" => Some(1),
            _ => tensor.rotary_heads,
        }
    }

    /// What scores in the layer of this tensor are multiplied by because its heads are rotated.
    fn rotation_factor(&self, tensor: &SourceTensor) -> f64 {
        let block = &self.config.block;
        let scaled = tensor.layer.is_some_and(|layer| {
            block.is_rotated(layer) && !(block.has_own_steps() && block.is_local(layer))
        });
        if scaled { self.folds.rotation } else { 1.0 }
    }

    /// What the values of this tensor are multiplied by, after the offset of norms was added.
    fn factor(&self, tensor: &SourceTensor) -> f64 {
        let (folds, config) = (&self.folds, &self.config);
        let scores = || {
            let root = (config.head_dim as f64).sqrt();
            folds.scores.map_or(1.0, |s| s * root) * self.rotation_factor(tensor)
        };
        match tensor.part {
            "embed" => folds.embedding,
            // Of a tied model the head is the embedding, with its factor.
            "final_norm" if config.tied => folds.logits / folds.embedding,
            "final_norm" => folds.logits,
            "q_norm" => scores(),
            "qkv" if tensor.first_row == 0 && !config.qk_norm => scores(),
            "attn_post_norm" | "ffn_post_norm" => folds.residual,
            "out" | "recurrent_out" | "down" if !config.block.norms.after() => folds.residual,
            _ => 1.0,
        }
    }
}

impl<T: StoredTensors> TensorSource for Arranged<T> {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let (shape, mut values) = self.plain(tensor)?;
        let layer = tensor.layer.filter(|_| shape == tensor.shape);
        if let (Some(layer), Some(are_queries)) = (layer, self.is_balanced(tensor)) {
            let balance = self.balance(layer)?;
            balance.apply(&mut values, shape[0], are_queries);
        }
        Ok((shape, values))
    }

    fn recycle(&mut self, values: Vec<f32>) {
        if values.capacity() > self.spare.capacity() {
            self.spare = values;
        }
    }
}

impl<T: StoredTensors> Arranged<T> {
    /// Whether the values of queries and keys are balanced in this tensor, and then which of the
    /// two it makes. Keys that have neither a bias nor a norm vary little.
    fn is_balanced(&self, tensor: &SourceTensor) -> Option<bool> {
        let config = &self.config;
        match tensor.part {
            "q_norm" => Some(true),
            "k_norm" => Some(false),
            "qkv" if config.qk_norm || !config.attention_bias => None,
            "qkv" if tensor.first_row == 0 => Some(true),
            "qkv" if tensor.first_row == self.first_key() => Some(false),
            _ => None,
        }
    }

    /// The first row of keys in the projection to queries, keys and values.
    fn first_key(&self) -> usize {
        self.config.heads * self.config.head_dim
    }

    /// The factors of a layer, computed unless they were used last.
    fn balance(&mut self, layer: usize) -> Result<&Balance, PackedError> {
        let last = self.balance.take().filter(|(last, _)| *last == layer);
        let balance = match last {
            Some((_, balance)) => balance,
            None if self.config.qk_norm => self.balance_of_norms(layer)?,
            None => self.balance_of_projection(layer)?,
        };
        Ok(&self.balance.insert((layer, balance)).1)
    }

    fn balance_of_norms(&mut self, layer: usize) -> Result<Balance, PackedError> {
        let mut norm = |spec| -> Result<Vec<f32>, PackedError> {
            let norm = self
                .config
                .family()?
                .tensor(spec, Some(layer), &self.config);
            self.unbalanced(&norm.weights[0])
        };
        let (queries, keys) = (norm(&parts::Q_NORM)?, norm(&parts::K_NORM)?);
        Ok(Balance::of_norms(&queries, &keys, &self.config))
    }

    fn balance_of_projection(&mut self, layer: usize) -> Result<Balance, PackedError> {
        let config = self.config.clone();
        let family = config.family()?;
        let qkv = family.tensor(&parts::QKV, Some(layer), &config);
        let first_key = self.first_key();
        let mut keys = |of: &[SourceTensor]| match of.iter().find(|it| it.first_row == first_key) {
            Some(keys) => self.unbalanced(keys),
            None => Ok(Vec::new()),
        };
        let (weights, bias) = (keys(&qkv.weights)?, keys(&qkv.biases)?);
        let norm = match parts::ATTN_NORM.is_in(&config, Some(layer)) {
            true => {
                let norm = family.tensor(&parts::ATTN_NORM, Some(layer), &config);
                self.unbalanced(&norm.weights[0])?
            }
            false => Vec::new(),
        };
        Ok(Balance::of_projection(&weights, &bias, &norm, &config))
    }

    /// The checked values of a tensor without the factors that balance it.
    fn unbalanced(&mut self, tensor: &SourceTensor) -> Result<Vec<f32>, PackedError> {
        let rows = SourceRows::read(&mut Unbalanced(self), tensor, &[])?;
        Ok(rows.iter().flatten().copied().collect())
    }

    fn plain(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let (shape, mut values) = self.rows(tensor)?;
        if shape != tensor.shape && !tensor.by_token {
            return Ok((shape, values));
        }
        if let Some(heads) = self.rotated_heads(tensor) {
            values = self.rotation.in_halves(values, heads, self.config.head_dim);
        }
        let is_offset = tensor.part.ends_with("norm") && tensor.part != parts::RECURRENT_NORM.name;
        if is_offset && !tensor.is_bias && self.folds.norm_offset != 0.0 {
            let offset = self.folds.norm_offset as f32;
            values.iter_mut().for_each(|value| *value += offset);
        }
        if let Some(recurrent) = self.config.block.recurrent.as_ref()
            && self.recurrences.tiled_heads
        {
            value_heads::group(recurrent, tensor, &mut values);
        }
        if tensor.part == parts::RECURRENT_RATE.name {
            // Beyond these bounds a rate is as good as 0, or refused.
            let rate = |stored: f32| match self.recurrences.negative_rates {
                true => -stored,
                false => exp(f64::from(stored).clamp(-100.0, 100.0)) as f32,
            };
            values.iter_mut().for_each(|value| *value = rate(*value));
        }
        let factor = self.factor(tensor) as f32;
        if factor != 1.0 {
            values.iter_mut().for_each(|value| *value *= factor);
        }
        Ok((shape, values))
    }
}

/// The weights of a source before queries and keys are balanced.
struct Unbalanced<'a, T>(&'a mut Arranged<T>);

impl<T: StoredTensors> TensorSource for Unbalanced<'_, T> {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        self.0.plain(tensor)
    }
}

/// A matrix with rows and columns exchanged; a vector as it is.
fn transposed(shape: Vec<usize>, values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let [rows, columns] = shape[..] else {
        return (shape, values.to_vec());
    };
    let values = (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect();
    (vec![columns, rows], values)
}

impl Rotation {
    /// Orders the rows of each head so that row i of its first half and row i of its second half
    /// rotate together. Rows that do not rotate come last in each half.
    fn in_halves(&self, values: Vec<f32>, heads: usize, head_dim: usize) -> Vec<f32> {
        let rotated = self.dims;
        if (!self.interleaved && rotated == head_dim) || heads == 0 {
            return values;
        }
        let width = values.len() / (heads * head_dim);
        let half = head_dim / 2;
        let pair = |pair: usize, side: usize| match () {
            () if pair >= rotated / 2 => rotated + side * (half - rotated / 2) + pair - rotated / 2,
            () if self.interleaved => 2 * pair + side,
            () => side * (rotated / 2) + pair,
        };
        let order: Vec<usize> = (0..2)
            .flat_map(|side| (0..half).map(move |row| pair(row, side)))
            .collect();
        values
            .chunks_exact(head_dim * width)
            .flat_map(|head| {
                order
                    .iter()
                    .flat_map(move |row| &head[row * width..][..width])
            })
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_rows_are_put_into_halves() {
        let order = |interleaved, dims, head: &[f32]| {
            Rotation { interleaved, dims }.in_halves(head.to_vec(), 1, head.len())
        };
        assert_eq!(order(false, 4, &[0., 1., 2., 3.]), [0., 1., 2., 3.]);
        assert_eq!(order(true, 4, &[0., 1., 2., 3.]), [0., 2., 1., 3.]);
        // Two of six values rotate: 0 with 1.
        let six = [0., 1., 2., 3., 4., 5.];
        assert_eq!(order(false, 2, &six), [0., 2., 3., 1., 4., 5.]);
        assert_eq!(order(true, 4, &six), [0., 2., 4., 1., 3., 5.]);
        let two = Rotation {
            interleaved: true,
            dims: 4,
        };
        let rows = [0., 0.5, 1., 1.5, 2., 2.5, 3., 3.5];
        assert_eq!(
            two.in_halves(rows.to_vec(), 1, 4),
            [0., 0.5, 2., 2.5, 1., 1.5, 3., 3.5]
        );
    }

    #[test]
    fn a_transposed_matrix_has_its_rows_as_columns() {
        let (shape, values) = transposed(vec![2, 3], &[0., 1., 2., 3., 4., 5.]);
        assert_eq!((shape, values), (vec![3, 2], vec![0., 3., 1., 4., 2., 5.]));
    }
}
