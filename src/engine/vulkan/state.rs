//! What the layers keep of one stream in the memory of the device: `shaders/attention.glsl` has the
//! layout.

use std::any::Any;
use std::sync::Arc;

use super::device::{Buffer, Device, Place};
use super::error::DeviceError;
use crate::arch::block::Recurrent;
use crate::arch::config::TILE;
use crate::arch::{Block, Config};
use crate::engine::checkpoints::Behind;
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

/// Where everything lies in the memory of a stream.
#[derive(Debug)]
pub(super) struct StreamLayout {
    /// Of each layer with attention.
    pub(super) planes: Vec<Option<Planes>>,
    /// Of each layer with a recurrence, where its memory begins, in words.
    pub(super) recurrences: Vec<Option<u32>>,
    /// Bytes of a stream.
    pub(super) len: u64,
}

impl StreamLayout {
    pub(super) fn new(config: &Config) -> StreamLayout {
        let mut layout = StreamLayout {
            planes: Vec::new(),
            recurrences: Vec::new(),
            len: 0,
        };
        let mut words = 0u64;
        for layer in 0..config.layers {
            let recurrence = config.block.recurrence(layer);
            let planes = match recurrence {
                Some(_) => None,
                None => Some(Planes::new(config, layer, words)),
            };
            layout.planes.push(planes);
            layout.recurrences.push(recurrence.map(|_| words as u32));
            let planes = planes.map_or(0, |it| u64::from(it.size) * config.kv_heads as u64);
            let recurrence = recurrence.map_or(0, recurrence_words);
            // Keys begin at multiples of 16 bytes.
            words += planes + recurrence.next_multiple_of(4) as u64;
        }
        layout.len = words * 4;
        layout
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
    /// How far it is behind the checkpoints of its recurrent layers.
    pub(super) behind: Behind,
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
            track: Track::new(block.positions),
            behind: Behind::default(),
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
        let end = self.position();
        self.track.truncate(position);
        if self.is_recurrent {
            self.behind.cut((end - position) as usize);
        }
    }

    fn reset(&mut self) {
        self.track.reset();
        self.behind = Behind::default();
        self.is_new = true;
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
