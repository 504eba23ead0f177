//! What the layers keep of one stream: keys and values in a ring of positions, with a copy of the
//! sinks, or recurrent states.
//!
//! The ring holds [`SLACK`] positions more than the window, so that the rows of a chunk, or a
//! rejected draft, never overwrite a key that a later row still sees. Position p is in slot p
//! modulo the length of the ring. Keys have the layout of weights, in tiles of 16 positions, so
//! that the same kernels compute scores. Values of four positions are interleaved. The first
//! positions are stored a second time as sinks and never overwritten.

use std::any::Any;
use std::ops::Range;

use super::kernels::{Kernels, LANES};
use super::recurrence::RecurrentLayer;
use crate::arch::config::Config;
use crate::engine::contexts::Track;
use crate::engine::passes::Tracked;
use crate::engine::runtime::{EngineError, SLACK, State};
use crate::machine::MachineError;
use crate::machine::aligned::Aligned;
use crate::machine::memory::{copied, filled};

/// What the memory is for, in error messages.
const WHAT: &str = "a stream's keys and values";

/// What every layer keeps of one stream.
#[derive(Debug)]
pub(super) struct Cache {
    track: Track,
    layers: Vec<LayerState>,
}

/// What one layer keeps.
#[derive(Debug)]
enum LayerState {
    /// Keys and values of each key/value head.
    Attention(Vec<Plane>),
    Recurrence(RecurrentLayer),
}

impl LayerState {
    fn try_clone(&self) -> Result<LayerState, MachineError> {
        Ok(match self {
            LayerState::Attention(planes) => {
                let planes = planes.iter().map(Plane::try_clone);
                LayerState::Attention(planes.collect::<Result<_, MachineError>>()?)
            }
            LayerState::Recurrence(layer) => LayerState::Recurrence(layer.try_clone()?),
        })
    }
}

/// Keys and values of one head of one layer.
#[derive(Debug)]
pub(super) struct Plane {
    /// Positions that a query sees.
    pub(super) window: usize,
    /// First positions that stay visible beyond the window.
    pub(super) sink_count: usize,
    pub(super) ring: Store,
    pub(super) sinks: Store,
}

/// Quantised keys and values of a fixed number of positions, a multiple of 16.
#[derive(Debug)]
pub(super) struct Store {
    /// Lines of 64 bytes of one tile of keys.
    pub(super) lines: usize,
    /// Dimensions of a value, rounded up to 16.
    pub(super) width: usize,
    /// Tiles of 16 positions, levels plus 128.
    keys: Aligned<u8>,
    key_scales: Vec<f32>,
    /// For every four positions, `width` times four levels.
    values: Aligned<i8>,
    value_scales: Vec<f32>,
}

impl Store {
    fn new(positions: usize, head_dim: usize) -> Result<Store, MachineError> {
        let (lines, width) = (head_dim.div_ceil(4), head_dim.next_multiple_of(LANES));
        Ok(Store {
            lines,
            width,
            keys: Aligned::filled(WHAT, positions * lines * 4, 128)?,
            key_scales: filled(WHAT, positions, 0.0)?,
            values: Aligned::filled(WHAT, positions * width, 0)?,
            value_scales: filled(WHAT, positions, 0.0)?,
        })
    }

    fn try_clone(&self) -> Result<Store, MachineError> {
        Ok(Store {
            keys: Aligned::copied(WHAT, &self.keys, 0)?,
            key_scales: copied(WHAT, &self.key_scales, 0)?,
            values: Aligned::copied(WHAT, &self.values, 0)?,
            value_scales: copied(WHAT, &self.value_scales, 0)?,
            ..*self
        })
    }

    fn put(&mut self, slot: usize, key: &[i8], key_scale: f32, value: &[i8], value_scale: f32) {
        let (tile, lane) = (slot / LANES, slot % LANES);
        let tile = &mut self.keys[tile * self.lines * LANES * 4..][..self.lines * LANES * 4];
        for (line, levels) in tile.chunks_exact_mut(LANES * 4).zip(key.chunks(4)) {
            for (stored, level) in line[lane * 4..].iter_mut().zip(levels) {
                *stored = (*level as u8) ^ 0x80;
            }
        }
        let quad = &mut self.values[slot / 4 * self.width * 4..][..self.width * 4];
        for (stored, level) in quad[slot % 4..].iter_mut().step_by(4).zip(value) {
            *stored = *level;
        }
        self.key_scales[slot] = key_scale;
        self.value_scales[slot] = value_scale;
    }

    /// Key tiles and scales of the positions in `tiles` of 16.
    pub(super) fn keys(&self, tiles: Range<usize>) -> (&[u8], &[f32]) {
        let bytes = self.lines * LANES * 4;
        (
            &self.keys[tiles.start * bytes..tiles.end * bytes],
            &self.key_scales[tiles.start * LANES..tiles.end * LANES],
        )
    }

    /// Values and scales of the positions in `tiles` of 16.
    pub(super) fn values(&self, tiles: Range<usize>) -> (&[i8], &[f32]) {
        let bytes = self.width * LANES;
        (
            &self.values[tiles.start * bytes..tiles.end * bytes],
            &self.value_scales[tiles.start * LANES..tiles.end * LANES],
        )
    }

    pub(super) fn tiles(&self) -> usize {
        self.key_scales.len() / LANES
    }
}

impl Plane {
    fn try_clone(&self) -> Result<Plane, MachineError> {
        Ok(Plane {
            ring: self.ring.try_clone()?,
            sinks: self.sinks.try_clone()?,
            ..*self
        })
    }

    /// Stores the rotated key and the value of one position. `levels` is scratch.
    pub(super) fn put(
        &mut self,
        kernels: Kernels,
        position: u64,
        key: &[f32],
        value: &[f32],
        levels: &mut Vec<i8>,
    ) {
        levels.resize(key.len() * 2, 0);
        let (key_levels, value_levels) = levels.split_at_mut(key.len());
        let key_scale = kernels.quantize_whole(key, key_levels);
        let value_scale = kernels.quantize_whole(value, value_levels);
        let slot = (position % (self.ring.tiles() * LANES) as u64) as usize;
        self.ring
            .put(slot, key_levels, key_scale, value_levels, value_scale);
        if position < self.sink_count as u64 {
            self.sinks.put(
                position as usize,
                key_levels,
                key_scale,
                value_levels,
                value_scale,
            );
        }
    }
}

impl Cache {
    pub(super) fn new(config: &Config, window: usize) -> Result<Cache, MachineError> {
        let plane = |layer: usize| {
            let window = config.window_of(layer).min(window);
            let slots = (window + SLACK).next_multiple_of(LANES);
            Ok(Plane {
                window,
                sink_count: config.sinks_of(layer),
                ring: Store::new(slots, config.head_dim)?,
                sinks: Store::new(LANES, config.head_dim)?,
            })
        };
        let layer = |layer: usize| {
            Ok(match config.block.recurrence(layer) {
                Some(shape) => LayerState::Recurrence(RecurrentLayer::new(shape)?),
                None => {
                    let planes = (0..config.kv_heads).map(|_| plane(layer));
                    LayerState::Attention(planes.collect::<Result<_, MachineError>>()?)
                }
            })
        };
        let layers = (0..config.layers).map(layer);
        Ok(Cache {
            track: Track::new(&config.block),
            layers: layers.collect::<Result<_, MachineError>>()?,
        })
    }

    /// The planes of a layer with attention, one a key/value head.
    pub(super) fn planes(&self, layer: usize) -> &[Plane] {
        match &self.layers[layer] {
            LayerState::Attention(planes) => planes,
            LayerState::Recurrence(_) => panic!("layer {layer} has no attention"),
        }
    }

    /// The planes of a layer with attention, one a key/value head.
    pub(super) fn planes_mut(&mut self, layer: usize) -> &mut [Plane] {
        match &mut self.layers[layer] {
            LayerState::Attention(planes) => planes,
            LayerState::Recurrence(_) => panic!("layer {layer} has no attention"),
        }
    }

    /// What a layer with a recurrence keeps.
    pub(super) fn recurrent_mut(&mut self, layer: usize) -> &mut RecurrentLayer {
        match &mut self.layers[layer] {
            LayerState::Recurrence(state) => state,
            LayerState::Attention(_) => panic!("layer {layer} has no recurrence"),
        }
    }
}

impl Tracked for Cache {
    fn track(&self) -> &Track {
        &self.track
    }

    fn track_mut(&mut self) -> &mut Track {
        &mut self.track
    }
}

impl State for Cache {
    fn position(&self) -> u64 {
        self.track.in_stream()
    }

    fn fork(&self) -> Result<Box<dyn State>, EngineError> {
        let layers = self.layers.iter().map(LayerState::try_clone);
        Ok(Box::new(Cache {
            layers: layers.collect::<Result<_, MachineError>>()?,
            track: self.track.clone(),
        }))
    }

    fn truncate(&mut self, position: u64) {
        self.track.truncate(position);
    }

    fn reset(&mut self) {
        self.track.reset();
        for layer in &mut self.layers {
            if let LayerState::Recurrence(state) = layer {
                state.reset();
            }
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
