//! Writes a packed model.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use super::layout::{Layout, scored_rows};
use super::quantize::quantize_row;
use super::{PackedError, SourceRows, TensorSource};
use crate::arch::rope::RotarySteps;
use crate::arch::{Config, SourceTensor};
use crate::machine::memory;

/// Everything that [`pack`] needs besides the weights.
#[derive(Clone, Copy, Debug)]
pub struct PackInput<'a> {
    /// Sizes and options of the model.
    pub config: &'a Config,
    /// Rotary steps.
    pub steps: &'a RotarySteps,
    /// Bytes of every output row, strictly ascending, none empty; `config.vocab` of them.
    pub tokens: &'a [Vec<u8>],
    /// The source's token id of every input row; `config.inputs` of them.
    pub rows: &'a [u32],
    /// Pairs of output rows that merge, in order of priority.
    pub merges: &'a [(u32, u32)],
    /// Scores of the output rows: `config.vocab` of them for `Unigram`, else none.
    pub scores: &'a [f32],
}

/// Packs a model into memory.
///
/// # Errors
/// If `input` is inconsistent, a tensor of `source` is missing or has the wrong shape, or a value
/// is not finite.
pub fn pack(input: &PackInput<'_>, source: &mut dyn TensorSource) -> Result<Vec<u8>, PackedError> {
    let layout = &input.layout()?;
    let mut file = io::Cursor::new(vec![0; layout.len]);
    Writer::new(layout, &mut file).model(input, source)?;
    Ok(file.into_inner())
}

/// Packs a model into `file`, which must be open for writing and empty. Memory holds one tensor at
/// a time.
///
/// # Errors
/// As [`pack`], and if the file cannot be written.
pub fn pack_to_file(
    input: &PackInput<'_>,
    source: &mut dyn TensorSource,
    mut file: &File,
) -> Result<(), PackedError> {
    let layout = &input.layout()?;
    file.set_len(layout.len as u64)?;
    Writer::new(layout, &mut file).model(input, source)
}

impl PackInput<'_> {
    fn layout(&self) -> Result<Layout, PackedError> {
        self.config.validate()?;
        for (name, got, want) in [
            ("tokens", self.tokens.len(), self.config.vocab),
            ("rows", self.rows.len(), self.config.inputs),
            ("steps", self.steps.all.len(), self.config.head_dim / 2),
            ("scores", self.scores.len(), scored_rows(self.config)),
        ] {
            if got != want {
                return Err(PackedError::tensor(name, got.to_string(), want.to_string()));
            }
        }
        let token_bytes = self.tokens.iter().map(Vec::len).sum();
        Layout::new(self.config, token_bytes, self.merges.len())
    }
}

/// A file, filled tensor by tensor.
struct Writer<'a, W> {
    layout: &'a Layout,
    /// The file, as long as it will be.
    out: &'a mut W,
    /// Memory for the tiles of one matrix after the other.
    tiles: Vec<u8>,
}

impl<'a, W: Write + Seek> Writer<'a, W> {
    fn new(layout: &'a Layout, out: &'a mut W) -> Writer<'a, W> {
        let tiles = Vec::new();
        Writer { layout, out, tiles }
    }

    fn model(
        mut self,
        input: &PackInput<'_>,
        source: &mut dyn TensorSource,
    ) -> Result<(), PackedError> {
        let config = input.config;
        self.out.rewind()?;
        self.out.write_all(&self.layout.header)?;
        let RotarySteps { all, local } = input.steps;
        self.put("rope.steps", all.iter().copied().flat_map(u64::to_le_bytes))?;
        if config.block.has_own_steps() {
            let local = local.iter().copied().flat_map(u64::to_le_bytes);
            self.put("rope.local_steps", local)?;
        }
        self.tokens(input)?;
        for tensor in config.family()?.tensors(config) {
            match tensor.columns {
                Some(_) => self.matrix(&tensor.name, &tensor.weights, input.rows, source)?,
                None => self.floats(&tensor.name, "weight", &tensor.weights, &[], source)?,
            }
            if tensor.bias {
                self.floats(&tensor.name, "bias", &tensor.biases, input.rows, source)?;
            }
        }
        Ok(())
    }

    fn tokens(&mut self, input: &PackInput<'_>) -> Result<(), PackedError> {
        self.put("token.bytes", input.tokens.iter().flatten().copied())?;
        let mut end = 0u32;
        let ends = input.tokens.iter().map(|token| {
            end += token.len() as u32;
            end
        });
        let offsets = std::iter::once(0).chain(ends);
        self.put("token.offsets", offsets.flat_map(u32::to_le_bytes))?;
        let merges = input
            .merges
            .iter()
            .flat_map(|(left, right)| [*left, *right]);
        self.put("token.merges", merges.flat_map(u32::to_le_bytes))?;
        match input.scores {
            [] => Ok(()),
            scores => {
                let scores = scores.iter().copied();
                self.put("token.scores", scores.flat_map(f32::to_le_bytes))
            }
        }
    }

    /// Quantises the rows of `sources` into the matrix called `name`.
    fn matrix(
        &mut self,
        name: &str,
        sources: &[SourceTensor],
        token_ids: &[u32],
        source: &mut dyn TensorSource,
    ) -> Result<(), PackedError> {
        let weight = format!("{name}.weight");
        let mut tiles = std::mem::take(&mut self.tiles);
        tiles.clear();
        memory::resize(
            &mut tiles,
            "a tensor",
            self.layout.ranges[&weight].len(),
            128,
        )?;
        let mut scales = Vec::new();
        for tensor in sources {
            let rows = SourceRows::read(source, tensor, token_ids)?;
            for row in rows.iter() {
                scales.push(quantize_row(row, scales.len(), &mut tiles));
            }
            rows.recycle(source);
        }
        self.write(&weight, &tiles)?;
        self.tiles = tiles;
        let scales = scales.into_iter().flat_map(f32::to_le_bytes);
        self.put(&format!("{name}.scale"), scales)
    }

    /// Copies vectors, one after the other, into the stored tensor `name.ending`.
    fn floats(
        &mut self,
        name: &str,
        ending: &str,
        sources: &[SourceTensor],
        token_ids: &[u32],
        source: &mut dyn TensorSource,
    ) -> Result<(), PackedError> {
        let mut values = Vec::new();
        for tensor in sources {
            let rows = SourceRows::read(source, tensor, token_ids)?;
            values.extend(rows.iter().flatten());
            rows.recycle(source);
        }
        let bytes = values.into_iter().flat_map(f32::to_le_bytes);
        self.put(&format!("{name}.{ending}"), bytes)
    }

    /// Writes the beginning of a tensor; zeros follow.
    fn put(&mut self, name: &str, bytes: impl Iterator<Item = u8>) -> Result<(), PackedError> {
        let bytes: Vec<u8> = bytes.take(self.layout.ranges[name].len()).collect();
        self.write(name, &bytes)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), PackedError> {
        let start = self.layout.ranges[name].start;
        self.out.seek(SeekFrom::Start(start as u64))?;
        Ok(self.out.write_all(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::quantize::tiled_offset;
    use super::super::random::{self, RandomSource};
    use super::*;
    use crate::arch::config::tests::tiny;
    use crate::packed::PackedModel;

    fn repack(
        change: impl FnOnce(&mut Vec<Vec<u8>>, &mut Vec<u32>),
    ) -> Result<PackedModel, PackedError> {
        let config = tiny();
        let (mut tokens, mut rows) = (random::tokens(&config), random::rows(&config));
        change(&mut tokens, &mut rows);
        let input = PackInput {
            config: &config,
            steps: &random::steps(&config),
            tokens: &tokens,
            rows: &rows,
            merges: &[(0, 1), (2, 3)],
            scores: &[],
        };
        PackedModel::from_bytes(&pack(&input, &mut RandomSource)?)
    }

    fn values(name: &str) -> Vec<f32> {
        let config = tiny();
        let tensors = config.family().unwrap().tensors(&config);
        let mut sources = tensors
            .iter()
            .flat_map(crate::arch::tensors::Tensor::sources);
        let source = sources
            .find(|source| source.hugging_face.name == name)
            .unwrap();
        RandomSource.tensor(source).unwrap().1
    }

    #[test]
    fn what_is_packed_comes_back() {
        let model = repack(|_, rows| rows.swap(3, 5)).unwrap();
        model.verify().unwrap();
        assert_eq!(model.config(), &tiny());
        assert_eq!(model.tokens().len(), 37);
        assert_eq!(model.tokens().bytes(2), b"C");
        assert_eq!(model.tokens().find(b"D"), Some(3));
        assert_eq!(model.tokens().find(b"DD"), None);
        assert_eq!(model.merges().collect::<Vec<_>>(), [(0, 1), (2, 3)]);
        assert_eq!(model.steps().all.len(), 10);
        assert_eq!(model.identity(), model.hash());

        let source = values("model.embed_tokens.weight");
        let embed = model.matrix("embed").unwrap();
        for column in 0..72 {
            let level = i32::from(embed.tiles[tiled_offset(3, column, 72)]) - 128;
            let error = level as f32 * embed.scales[3] - source[5 * 72 + column];
            assert!(
                error.abs() <= embed.scales[3] * 0.5001,
                "column {column}: {error}"
            );
        }

        let k = values("model.layers.1.self_attn.k_proj.weight");
        let qkv = model.matrix("layer.1.qkv").unwrap();
        assert_eq!((qkv.rows, qkv.columns, qkv.scales.len()), (160, 72, 160));
        let level = i32::from(qkv.tiles[tiled_offset(80 + 7, 9, 72)]) - 128;
        assert!((level as f32 * qkv.scales[87] - k[7 * 72 + 9]).abs() <= qkv.scales[87] * 0.5001);
    }

    #[test]
    fn weight_lines_are_aligned_in_the_file() {
        let config = tiny();
        let layout = Layout::new(&config, 37, 1).unwrap();
        for tensor in config.family().unwrap().tensors(&config) {
            if tensor.columns.is_some() {
                let start = layout.ranges[&format!("{}.weight", tensor.name)].start;
                assert!(start.is_multiple_of(super::super::layout::ALIGN));
            }
        }
    }

    #[test]
    fn packing_twice_gives_the_same_file() {
        let config = tiny();
        let (a, b) = (random::model(&config), random::model(&config));
        assert_eq!(a, b);
        let mut file = tempfile::tempfile().unwrap();
        let input = PackInput {
            config: &config,
            steps: &random::steps(&config),
            tokens: &random::tokens(&config),
            rows: &random::rows(&config),
            merges: &[(0, 1)],
            scores: &[],
        };
        pack_to_file(&input, &mut RandomSource, &file).unwrap();
        let mut packed = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut packed).unwrap();
        assert_eq!(a, packed);
    }

    #[test]
    fn bad_token_tables_are_refused() {
        assert!(matches!(
            repack(|tokens, _| tokens.swap(0, 1)),
            Err(PackedError::Value { .. })
        ));
        assert!(matches!(
            repack(|tokens, _| tokens[1].clear()),
            Err(PackedError::Value { .. })
        ));
        assert!(matches!(
            repack(|tokens, _| drop(tokens.pop())),
            Err(PackedError::Tensor { .. })
        ));
        assert!(matches!(
            repack(|_, rows| rows[0] = 99),
            Err(PackedError::Tensor { .. })
        ));
    }
}
