//! What the layers keep of one stream in the memory of the device: `shaders/attention.glsl` has the
//! layout.

use std::any::Any;
use std::sync::Arc;

use super::device::{Buffer, Device, Place};
use super::error::DeviceError;
use crate::arch::block::Recurrent;
use crate::arch::config::TILE;
use crate::arch::{Block, Config};
use crate::engine::contexts::Track;
use crate::engine::passes::Tracked;
use crate::engine::runtime::{EngineError, RECURRENT_SLACK, SLACK, State};

/// Most rows of a pass. A ring has room for so many beside those that the first row of a pass
/// sees.
pub(super) const PASS: usize = 512;
/// Slots behind the ring for copies of the sinks.
pub(super) const SINK_SLOTS: usize = 16;

/// The planes of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planes {
    /// The first of them, in words from the beginning of the stream's memory.
    pub(super) first: u32,
    /// Words of a plane.
    pub(super) size: u32,
    /// Slots of the ring.
    pub(super) ring: u32,
    pub(super) key_words: u32,
    pub(super) head_dim: u32,
}

/// What one layer keeps of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LayerMemory {
    Attention(Planes),
    /// Where it begins, in words.
    Recurrence(u32),
}

/// Where everything lies in the memory of a stream.
#[derive(Debug)]
pub(super) struct StreamLayout {
    pub(super) layers: Vec<LayerMemory>,
    /// Bytes of a stream.
    pub(super) len: u64,
}

impl StreamLayout {
    pub(super) fn new(config: &Config) -> StreamLayout {
        let mut words = 0u64;
        let layers = (0..config.layers).map(|layer| {
            let (memory, len) = match config.block.recurrence(layer) {
                Some(shape) => {
                    let len = recurrence_words(shape) as u64;
                    (LayerMemory::Recurrence(words as u32), len)
                }
                None => {
                    let planes = Planes::new(config, layer, words);
                    let len = u64::from(planes.size) * config.kv_heads as u64;
                    (LayerMemory::Attention(planes), len)
                }
            };
            // Keys begin at multiples of 16 bytes.
            words += len.next_multiple_of(4);
            memory
        });
        StreamLayout {
            layers: layers.collect(),
            len: words * 4,
        }
    }
}

impl Planes {
    fn new(config: &Config, layer: usize, first: u64) -> Planes {
        let key_words = config.head_dim.div_ceil(16) * 4;
        let ring = ring_len(config.window_of(layer));
        let slots = ring + SINK_SLOTS;
        let size = slots * (key_words + 2) + slots / 4 * config.head_dim;
        Planes {
            first: first as u32,
            size: size as u32,
            ring: ring as u32,
            key_words: key_words as u32,
            head_dim: config.head_dim as u32,
        }
    }
}

/// Words of a layer with a recurrence: `shaders/recurrence.glsl` has the layout.
fn recurrence_words(shape: &Recurrent) -> usize {
    let states = 2 * shape.value_heads * shape.key_dim * shape.value_dim;
    states + (shape.taps - 1 + RECURRENT_SLACK) * shape.kept_rows()
}

/// Slots of the ring of a layer with this window: the rows of a pass, or a rejected draft, never
/// overwrite a key that a row still sees. Keys of four slots begin at multiples of 16 bytes.
pub(super) fn ring_len(window: usize) -> usize {
    (window + PASS.max(SLACK)).next_multiple_of(TILE)
}

/// A stream on the device.
#[derive(Debug)]
pub(super) struct Stream {
    device: Arc<Device>,
    track: Track,
    /// Which of the two states of a recurrent layer is that at the checkpoint.
    pub(super) checkpoint: usize,
    is_recurrent: bool,
    /// Whether nothing was fed since the reset.
    is_new: bool,
    pub(super) memory: Buffer,
}

impl Stream {
    pub(super) fn new(
        device: &Arc<Device>,
        layout: &StreamLayout,
        block: &Block,
    ) -> Result<Stream, DeviceError> {
        Ok(Stream {
            device: Arc::clone(device),
            track: Track::new(block),
            checkpoint: 0,
            is_recurrent: block.recurrent.is_some(),
            is_new: true,
            memory: device.buffer(WHAT, layout.len, Place::Device)?,
        })
    }

    /// Whether recurrent states must be cleared before the next row; afterwards they need not. Keys
    /// and values that were not written are not seen.
    pub(super) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.is_new) && self.is_recurrent
    }
}

/// What the memory is for, in error messages.
const WHAT: &str = "a stream's keys and values";

impl Tracked for Stream {
    fn track(&self) -> &Track {
        &self.track
    }

    fn track_mut(&mut self) -> &mut Track {
        &mut self.track
    }
}

impl State for Stream {
    fn position(&self) -> u64 {
        self.track.in_stream()
    }

    fn fork(&self) -> Result<Box<dyn State>, EngineError> {
        let memory = self.device.buffer(WHAT, self.memory.len(), Place::Device)?;
        self.device.run(|commands| {
            commands.copy((&self.memory, 0), (&memory, 0), memory.len());
            Ok(())
        })?;
        Ok(Box::new(Stream {
            device: Arc::clone(&self.device),
            track: self.track.clone(),
            memory,
            ..*self
        }))
    }

    fn truncate(&mut self, position: u64) {
        self.track.truncate(position);
    }

    fn reset(&mut self) {
        self.track.reset();
        self.is_new = true;
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
