//! The weights of a model in the memory of a device.
//!
//! A matrix lies in blocks of 16 output rows and a group of 64 columns, which are 64 quads of 16
//! bytes: quad `kk * 16 + r` holds columns `16 * kk` to `16 * kk + 15` of row r, signed. So threads
//! of neighbouring rows read neighbouring quads.

use std::sync::Arc;

use super::device::{Buffer, Device, Place};
use super::error::DeviceError;
use crate::arch::config::{GROUP, TILE};
use crate::arch::parts::{self, TensorSpec};
use crate::engine::EngineError;
use crate::packed::{Matrix, PackedModel};

/// Bytes of a block of 16 rows and a group of columns.
const BLOCK: usize = TILE * GROUP;
/// Memory is taken in pieces of at least so many bytes.
const PIECE: u64 = 64 << 20;
/// Bytes that are copied to the device at once.
const STAGED: usize = 16 << 20;

/// A matrix on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeviceMatrix {
    pub(super) levels: u64,
    pub(super) scales: u64,
    /// 0 if there is none.
    pub(super) bias: u64,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl DeviceMatrix {
    /// Groups of columns.
    pub(super) fn groups(&self) -> usize {
        self.columns.div_ceil(GROUP)
    }
}

/// The addresses of one transformer layer. Norms that the model lacks are `None`.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attn_norm: Option<u64>,
    pub(super) mixer: Mixer,
    pub(super) attn_post_norm: Option<u64>,
    pub(super) ffn_norm: Option<u64>,
    /// Of a mixture of experts: [scores, hidden].
    pub(super) router: Option<u64>,
    pub(super) gate_up: DeviceMatrix,
    pub(super) down: DeviceMatrix,
    pub(super) ffn_post_norm: Option<u64>,
}

/// How a layer sees other positions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mixer {
    Attention(Attention),
    Recurrence(Recurrence),
}

/// The weights of attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attention {
    pub(super) qkv: DeviceMatrix,
    /// Of the queries and of the keys, each with the number of its weights.
    pub(super) qk_norms: Option<[(u64, usize); 2]>,
    /// Its rotary steps, in [`Weights::step_tables`].
    pub(super) steps: usize,
    pub(super) out: DeviceMatrix,
}

/// The weights of a recurrence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recurrence {
    pub(super) inputs: DeviceMatrix,
    /// [channels, taps]
    pub(super) conv: u64,
    /// Rates of the value heads, their shifts, and the weights of the norm.
    pub(super) numbers: u64,
    pub(super) out: DeviceMatrix,
}

/// All weights of a model on the device.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) embed: DeviceMatrix,
    /// [positions, hidden]; 0 if positions are rotary.
    pub(super) positions: u64,
    pub(super) layers: Vec<Layer>,
    pub(super) final_norm: u64,
    pub(super) head: DeviceMatrix,
    /// The rotary steps of all layers, each table once: `[head_dim / 2]`.
    pub(super) step_tables: Vec<Vec<u64>>,
    /// Keeps the memory.
    _pieces: Vec<Buffer>,
}

impl Weights {
    /// Copies the weights of `model` to the device.
    pub(super) fn new(device: &Arc<Device>, model: &PackedModel) -> Result<Weights, EngineError> {
        let mut uploader = Uploader::new(device, model)?;
        let mut step_tables: Vec<Vec<u64>> = Vec::new();
        let mut layers = Vec::new();
        for layer in 0..model.config().layers {
            layers.push(uploader.layer(layer, &mut step_tables)?);
        }
        let embed = uploader.matrix(&parts::EMBEDDING, None)?;
        let head = match parts::HEAD.is_in(model.config(), None) {
            true => uploader.matrix(&parts::HEAD, None)?,
            false => embed,
        };
        Ok(Weights {
            head: DeviceMatrix {
                rows: model.config().vocab,
                ..head
            },
            embed,
            positions: match parts::POSITIONS.is_in(model.config(), None) {
                true => uploader.floats(model.floats("positions.weight")?)?,
                false => 0,
            },
            final_norm: uploader.norm(&parts::FINAL_NORM, None)?.0,
            layers,
            step_tables,
            _pieces: uploader.pieces,
        })
    }
}

/// Copies tensors to the device, one behind the other.
struct Uploader<'a> {
    device: &'a Arc<Device>,
    model: &'a PackedModel,
    pieces: Vec<Buffer>,
    /// Bytes used of the last piece.
    used: u64,
    staging: Buffer,
}

impl<'a> Uploader<'a> {
    fn new(device: &'a Arc<Device>, model: &'a PackedModel) -> Result<Uploader<'a>, DeviceError> {
        let len = STAGED.min(model.size().next_multiple_of(BLOCK)) as u64;
        Ok(Uploader {
            device,
            model,
            pieces: Vec::new(),
            used: 0,
            staging: device.buffer("weights on their way", len, Place::Upload)?,
        })
    }

    fn layer(
        &mut self,
        layer: usize,
        step_tables: &mut Vec<Vec<u64>>,
    ) -> Result<Layer, EngineError> {
        let at = Some(layer);
        let config = self.model.config();
        let mixer = match config.block.recurrence(layer) {
            Some(_) => Mixer::Recurrence(self.recurrence(layer)?),
            None => Mixer::Attention(self.attention(layer, step_tables)?),
        };
        Ok(Layer {
            attn_norm: self.address_if_present(&parts::ATTN_NORM, layer)?,
            mixer,
            attn_post_norm: self.address_if_present(&parts::ATTN_POST_NORM, layer)?,
            ffn_norm: self.address_if_present(&parts::FFN_NORM, layer)?,
            router: match parts::ROUTER.is_in(config, at) {
                true => Some(self.vectors(&[&parts::ROUTER], layer)?),
                false => None,
            },
            gate_up: self.matrix(&parts::GATE_UP, at)?,
            down: self.matrix(&parts::DOWN, at)?,
            ffn_post_norm: self.address_if_present(&parts::FFN_POST_NORM, layer)?,
        })
    }

    fn attention(
        &mut self,
        layer: usize,
        step_tables: &mut Vec<Vec<u64>>,
    ) -> Result<Attention, EngineError> {
        let steps = self.model.steps_of(layer);
        let table = step_tables.iter().position(|table| *table == steps);
        let q_norm = self.norm_if_present(&parts::Q_NORM, layer)?;
        let k_norm = self.norm_if_present(&parts::K_NORM, layer)?;
        Ok(Attention {
            qkv: self.matrix(&parts::QKV, Some(layer))?,
            qk_norms: q_norm.zip(k_norm).map(|(q, k)| [q, k]),
            steps: table.unwrap_or_else(|| {
                step_tables.push(steps);
                step_tables.len() - 1
            }),
            out: self.matrix(&parts::OUT, Some(layer))?,
        })
    }

    fn recurrence(&mut self, layer: usize) -> Result<Recurrence, EngineError> {
        let numbers = [
            &parts::RECURRENT_RATE,
            &parts::RECURRENT_SHIFT,
            &parts::RECURRENT_NORM,
        ];
        Ok(Recurrence {
            inputs: self.matrix(&parts::RECURRENT_IN, Some(layer))?,
            conv: self.vectors(&[&parts::RECURRENT_CONV], layer)?,
            numbers: self.vectors(&numbers, layer)?,
            out: self.matrix(&parts::RECURRENT_OUT, Some(layer))?,
        })
    }

    /// The address of some vectors of a layer, one behind the other.
    fn vectors(&mut self, specs: &[&TensorSpec], layer: usize) -> Result<u64, EngineError> {
        let model = self.model;
        let mut values = Vec::new();
        for spec in specs {
            values.extend(model.floats(&format!("{}.weight", spec.name(Some(layer))))?);
        }
        Ok(self.floats(&values)?)
    }

    /// Copies `len` bytes to the device; `fill` writes those from an offset on. Returns their
    /// address.
    fn put(
        &mut self,
        len: usize,
        mut fill: impl FnMut(usize, &mut [u8]),
    ) -> Result<u64, DeviceError> {
        let len = len as u64;
        if self
            .pieces
            .last()
            .is_none_or(|piece| piece.len() - self.used < len)
        {
            let piece = self
                .device
                .buffer("the weights", len.max(PIECE), Place::Device)?;
            self.pieces.push(piece);
            self.used = 0;
        }
        let Uploader {
            device,
            pieces,
            used,
            staging,
            ..
        } = self;
        let piece = &pieces[pieces.len() - 1];
        let begin = *used;
        let mut done = 0;
        while done < len {
            let part = (len - done).min(staging.len());
            fill(done as usize, &mut staging.bytes_mut()[..part as usize]);
            device.run(|commands| {
                commands.copy((staging, 0), (piece, begin + done), part);
                Ok(())
            })?;
            done += part;
        }
        // Quads are aligned to 16 bytes; 256 suit every device.
        *used = (begin + len).next_multiple_of(256).min(piece.len());
        Ok(piece.address + begin)
    }

    fn floats(&mut self, values: &[f32]) -> Result<u64, DeviceError> {
        self.put(values.len() * 4, |offset, bytes| {
            for (value, bytes) in values[offset / 4..].iter().zip(bytes.chunks_exact_mut(4)) {
                bytes.copy_from_slice(&value.to_ne_bytes());
            }
        })
    }

    fn matrix(
        &mut self,
        spec: &TensorSpec,
        layer: Option<usize>,
    ) -> Result<DeviceMatrix, EngineError> {
        let model = self.model;
        let matrix = model.matrix(&spec.name(layer))?;
        let Matrix { tiles, .. } = matrix;
        let levels = self.put(tiles.len(), |offset, bytes| {
            let blocks = tiles[offset..].chunks_exact(BLOCK);
            for (block, quads) in blocks.zip(bytes.chunks_exact_mut(BLOCK)) {
                rearrange(block, quads);
            }
        })?;
        Ok(DeviceMatrix {
            levels,
            scales: self.floats(matrix.scales)?,
            bias: match matrix.bias {
                Some(bias) => self.floats(bias)?,
                None => 0,
            },
            rows: matrix.rows,
            columns: matrix.columns,
        })
    }

    /// The address of a norm's weights, behind which its bias lies, and their number.
    fn norm(
        &mut self,
        spec: &TensorSpec,
        layer: Option<usize>,
    ) -> Result<(u64, usize), EngineError> {
        let model = self.model;
        let name = spec.name(layer);
        let weights = model.floats(&format!("{name}.weight"))?;
        let bias = match (spec.bias)(model.config()) {
            true => model.floats(&format!("{name}.bias"))?,
            false => &[],
        };
        Ok((self.floats(&[weights, bias].concat())?, weights.len()))
    }

    fn norm_if_present(
        &mut self,
        spec: &TensorSpec,
        layer: usize,
    ) -> Result<Option<(u64, usize)>, EngineError> {
        match spec.is_in(self.model.config(), Some(layer)) {
            true => self.norm(spec, Some(layer)).map(Some),
            false => Ok(None),
        }
    }

    fn address_if_present(
        &mut self,
        spec: &TensorSpec,
        layer: usize,
    ) -> Result<Option<u64>, EngineError> {
        Ok(self
            .norm_if_present(spec, layer)?
            .map(|(address, _)| address))
    }
}

/// A block of a packed matrix, 16 lines of 16 rows and 4 columns with levels plus 128, becomes one
/// of the device.
fn rearrange(block: &[u8], quads: &mut [u8]) {
    for (index, quad) in quads.chunks_exact_mut(16).enumerate() {
        let (kk, row) = (index / TILE, index % TILE);
        for (word, bytes) in quad.chunks_exact_mut(4).enumerate() {
            let from = (kk * 4 + word) * TILE * 4 + row * 4;
            for (byte, stored) in bytes.iter_mut().zip(&block[from..from + 4]) {
                *byte = stored ^ 0x80;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::quantize::tiled_offset;

    #[test]
    fn a_quad_holds_sixteen_columns_of_a_row() {
        let mut block = vec![0; BLOCK];
        let level = |row: usize, column: usize| (row * 64 + column) as u8;
        for row in 0..TILE {
            for column in 0..GROUP {
                block[tiled_offset(row, column, GROUP)] = level(row, column) ^ 0x80;
            }
        }
        let mut quads = vec![0; BLOCK];
        rearrange(&block, &mut quads);
        for row in 0..TILE {
            for column in 0..GROUP {
                let quad = column / 16 * TILE + row;
                assert_eq!(quads[quad * 16 + column % 16], level(row, column));
            }
        }
    }
}
