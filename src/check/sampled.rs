//! What exactness costs a model, measured on a short text while the model is packed.
//!
//! Packing reads the weights of one layer after the other. Each layer's are run in f32 on the text
//! before the next are read, so that memory never holds the whole model in f32, and only the head
//! is read twice.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::CheckError;
use super::layer::{Affine, Arithmetic, Layer, LayerCache, PASS, cap};
use super::subject::log_of_sum;
use crate::arch::parts::{self, TensorSpec};
use crate::arch::{Config, SourceTensor};
use crate::engine::cpu::kernels::Kernels;
use crate::engine::{Engine, EngineOptions, Predictions, Runtime, Segment};
use crate::import::Source;
use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;
use crate::machine::pool::{Pool, usable_threads};
use crate::packed::{self, PackInput, PackedError, PackedModel, SourceRows, TensorSource};
use crate::tokenizer::{Symbol, Tokenizer};

/// Prose and code, written for this.
const TEXT: &[u8] = include_bytes!("sample.txt");
/// Most tokens of it that are measured.
const MOST: usize = 96;
/// Rows of the head in one product, which takes a copy of them.
const BLOCK: usize = 4096;

/// What f32 predicts of the sample.
#[derive(Debug)]
pub struct Sampled {
    /// Input rows.
    tokens: Vec<u32>,
    /// Logits in nats behind each token, one row of `vocab` after the other.
    logits: Vec<f32>,
}

/// What the exact engine costs a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Bits that a token of the sample costs in f32.
    pub bits: f64,
    /// Bits that a token costs more with the exact engine, on average over what f32 expects: the
    /// Kullback-Leibler divergence.
    pub more: f64,
}

impl Loss {
    /// The loss as a share of the cost in f32.
    pub fn share(&self) -> f64 {
        self.more / self.bits.max(f64::MIN_POSITIVE)
    }
}

/// Is told while a model is packed: how many weights have been read, and how many there are.
pub type Watch<'a> = dyn FnMut(u64, u64) + 'a;

/// Packs `source` into `file`, as [`Source::pack_to_file`] does, and measures what f32 predicts.
/// `watch` is told how far it is.
///
/// # Errors
/// As there, and if the sample cannot be cut or computed.
pub fn pack_to_file(
    source: &mut Source,
    file: &File,
    watch: &mut Watch<'_>,
) -> Result<Sampled, CheckError> {
    pack_with(source, watch, |input, tensors| {
        packed::pack_to_file(input, tensors, file)
    })
    .map(|(sampled, ())| sampled)
}

fn pack_with<T>(
    source: &mut Source,
    watch: &mut Watch<'_>,
    pack: impl FnOnce(&PackInput<'_>, &mut dyn TensorSource) -> Result<T, PackedError>,
) -> Result<(Sampled, T), CheckError> {
    let tokens = sample(source)?;
    let (input, tensors) = source.input();
    let instructions = InstructionSet::choose().map_err(MachineError::from)?;
    let mut pass = Pass {
        input: &input,
        tokens: &tokens,
        arithmetic: Arithmetic {
            config: input.config.clone(),
            kernels: Kernels::new(instructions),
            pool: Pool::new(usable_threads(0)),
        },
        x: Vec::new(),
        final_norm: Affine::default(),
        kept: BTreeMap::new(),
        layer: None,
    };
    let mut watched = Watched {
        source: tensors,
        pass: &mut pass,
        read: 0,
        watch,
    };
    let packed = pack(&input, &mut watched)?;
    let logits = pass.finish(tensors)?;
    Ok((Sampled { tokens, logits }, packed))
}

/// The input rows of the sample: as many as a context has room for.
fn sample(source: &Source) -> Result<Vec<u32>, CheckError> {
    let config = &source.config;
    let tokenizer = Tokenizer::of_vocabulary(
        &source.vocabulary.tokens,
        &source.vocabulary.merges,
        &source.vocabulary.scores,
        config,
    )?;
    let positions = match config.block.positions {
        0 => usize::MAX,
        positions => positions,
    };
    let most = MOST.min(PASS).min(config.window).min(positions);
    let pieces = tokenizer.encode(TEXT);
    let tokens = pieces.iter().filter_map(Symbol::token);
    Ok(config.bos.into_iter().chain(tokens).take(most).collect())
}

/// A forward pass of the sample, layer by layer.
struct Pass<'a> {
    input: &'a PackInput<'a>,
    tokens: &'a [u32],
    arithmetic: Arithmetic,
    /// The residual stream: [tokens, hidden].
    x: Vec<f32>,
    final_norm: Affine,
    /// Weights and biases of the layer that is read, by the name of their part. Parts that it
    /// lacks are empty: all memory serves one layer after the other.
    kept: BTreeMap<&'static str, Arc<Affine>>,
    layer: Option<usize>,
}

/// A source whose tensors a pass sees as they are read.
struct Watched<'a, 'b, 'c> {
    source: &'a mut dyn TensorSource,
    pass: &'a mut Pass<'b>,
    /// Weights so far.
    read: u64,
    watch: &'a mut Watch<'c>,
}

impl TensorSource for Watched<'_, '_, '_> {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        self.pass.begin(tensor.layer)?;
        let (shape, values) = self.source.tensor(tensor)?;
        self.pass.take(tensor, &values);
        let all = self.pass.arithmetic.config.parameters;
        self.read = (self.read + values.len() as u64).min(all);
        (self.watch)(self.read, all);
        Ok((shape, values))
    }

    fn recycle(&mut self, values: Vec<f32>) {
        self.source.recycle(values);
    }
}

impl Pass<'_> {
    /// Runs the layer read so far, if another one begins. Its tensors have been accepted: packing
    /// checks a tensor before it reads the next.
    fn begin(&mut self, layer: Option<usize>) -> Result<(), PackedError> {
        if self.layer == layer {
            return Ok(());
        }
        let read = std::mem::replace(&mut self.layer, layer);
        read.map_or(Ok(()), |index| self.run(index))
    }

    /// Takes what the pass needs of a tensor.
    fn take(&mut self, tensor: &SourceTensor, values: &[f32]) {
        let hidden = self.arithmetic.config.hidden;
        let row = |row: usize| values.get(row * hidden..(row + 1) * hidden);
        match tensor.part {
            "embed" => {
                let ids = self
                    .tokens
                    .iter()
                    .map(|token| self.input.rows[*token as usize]);
                self.x = ids
                    .filter_map(|id| row(id as usize))
                    .flatten()
                    .copied()
                    .collect();
            }
            "positions" => {
                let learned = values.iter();
                self.x
                    .iter_mut()
                    .zip(learned)
                    .for_each(|(x, learned)| *x += learned);
            }
            // It is read again in the end.
            "head" => {}
            part => {
                let is_final_norm = part == parts::FINAL_NORM.name;
                let kept = match is_final_norm {
                    true => &mut self.final_norm,
                    // The layer that shared it is gone, so nothing is copied.
                    false => Arc::make_mut(self.kept.entry(part).or_default()),
                };
                match tensor.is_bias {
                    true => kept.bias.extend_from_slice(values),
                    false => kept.weight.extend_from_slice(values),
                }
            }
        }
    }

    fn run(&mut self, index: usize) -> Result<(), PackedError> {
        let steps = self.input.steps.of_layer(&self.input.config.block, index);
        let layer = Layer::of(steps, |spec| Ok(self.kept_part(spec)))?;
        // No query of the sample sees further than its beginning.
        let cache = Config {
            window: self.tokens.len(),
            ..self.arithmetic.config.clone()
        };
        let mut cache = LayerCache::new(&cache, index);
        self.arithmetic
            .layer(&layer, index, &mut cache, 0, &mut self.x);
        drop(layer);
        for kept in self.kept.values_mut().map(Arc::make_mut) {
            kept.weight.clear();
            kept.bias.clear();
        }
        Ok(())
    }

    fn kept_part(&self, spec: &TensorSpec) -> Option<Arc<Affine>> {
        let kept = self.kept.get(spec.name)?;
        (!kept.weight.is_empty()).then(|| Arc::clone(kept))
    }

    /// The logits behind all tokens.
    fn finish(mut self, source: &mut dyn TensorSource) -> Result<Vec<f32>, PackedError> {
        self.begin(None)?;
        let config = &self.arithmetic.config;
        let hidden = config.hidden;
        let x = self.arithmetic.norm(&self.x, &self.final_norm);
        let spec = if config.tied {
            &parts::EMBEDDING
        } else {
            &parts::HEAD
        };
        let head = config.family()?.tensor(spec, None, config);
        let mut logits = vec![0.0; self.tokens.len() * config.vocab];
        let mut block_rows = Vec::new();
        for tensor in &head.weights {
            let rows = SourceRows::read(source, tensor, self.input.rows)?;
            let rows: Vec<&[f32]> = rows.iter().take(config.vocab).collect();
            for (block, rows) in rows.chunks(BLOCK).enumerate() {
                block_rows.clear();
                block_rows.extend(rows.iter().copied().flatten());
                let products = self.arithmetic.product(&x, &block_rows, hidden);
                for (token, products) in products.chunks_exact(rows.len()).enumerate() {
                    let at = token * config.vocab + block * BLOCK;
                    logits[at..at + rows.len()].copy_from_slice(products);
                }
            }
        }
        for tensor in &head.biases {
            let bias = SourceRows::read(source, tensor, self.input.rows)?;
            let bias: Vec<f32> = bias.iter().take(config.vocab).flatten().copied().collect();
            for row in logits.chunks_exact_mut(config.vocab) {
                row.iter_mut()
                    .zip(&bias)
                    .for_each(|(logit, bias)| *logit += bias);
            }
        }
        cap(&mut logits, config.block.logit_cap);
        Ok(logits)
    }
}

impl Sampled {
    /// Compares the exact engine of the packed model with f32; `None` if the sample is too short.
    ///
    /// # Errors
    /// If the engine cannot run the model.
    pub fn compare(&self, packed: Arc<PackedModel>) -> Result<Option<Loss>, CheckError> {
        let vocab = packed.config().vocab;
        let engine = Engine::new(packed, EngineOptions::default())?;
        let (mut state, mut predictions) = (engine.new_state()?, Predictions::new());
        let segment = Segment {
            state: &mut *state,
            tokens: &self.tokens,
        };
        engine.forward(&mut [segment], &mut predictions)?;
        let (mut bits, mut more, mut count) = (0.0, 0.0, 0.0);
        let next = self.tokens.iter().skip(1);
        for (row, (logits, next)) in self.logits.chunks_exact(vocab).zip(next).enumerate() {
            let exact = predictions.row(row).logits.iter();
            let exact = normalised(exact.map(|logit| f64::from(*logit) / 65536.0));
            let float = logits
                .iter()
                .map(|logit| f64::from(*logit) * std::f64::consts::LOG2_E);
            let float = normalised(float);
            let pairs = float.iter().zip(&exact);
            more += pairs
                .map(|(float, exact)| float.exp2() * (float - exact))
                .sum::<f64>();
            bits -= float.get(*next as usize).copied().unwrap_or_default();
            count += 1.0;
        }
        Ok((count > 0.0).then(|| Loss {
            bits: bits / count,
            more: more / count,
        }))
    }
}

/// Base-2 logarithms of probabilities from those of unnormalised ones.
fn normalised(logits: impl Iterator<Item = f64>) -> Vec<f64> {
    let logits: Vec<f64> = logits.collect();
    let total = log_of_sum(logits.iter().copied());
    logits.into_iter().map(|logit| logit - total).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::check::FloatModel;

    fn fixture() -> Source {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
        crate::import::open(&folder).unwrap()
    }

    #[test]
    fn layer_by_layer_is_the_same_as_at_once() {
        let mut source = fixture();
        let mut told = Vec::new();
        let mut watch = |read, all| told.push((read, all));
        let (sampled, bytes) = pack_with(&mut source, &mut watch, packed::pack).unwrap();
        let all = source.config.parameters;
        assert!(
            told.is_sorted() && told.last() == Some(&(all, all)),
            "{told:?}"
        );
        assert_eq!(bytes, fixture().pack().unwrap());
        assert!(sampled.tokens.len() > 40, "{}", sampled.tokens.len());
        let (input, tensors) = source.input();
        let instructions = InstructionSet::choose().unwrap();
        let float = FloatModel::new(&input, tensors, instructions, 1).unwrap();
        let want = float.forward(&mut float.stream(), &sampled.tokens);
        assert_eq!(want.len(), sampled.logits.len());
        for (want, got) in want.iter().zip(&sampled.logits) {
            assert!((want - got).abs() < 1e-3, "{want} {got}");
        }
        let packed = Arc::new(PackedModel::from_bytes(&bytes).unwrap());
        let loss = sampled.compare(packed).unwrap().unwrap();
        assert!(loss.more > 0.0 && loss.share() < 0.01, "{loss:?}");
        assert!((1.0..8.0).contains(&loss.bits), "{loss:?}");
    }
}
