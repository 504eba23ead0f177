//! What the layers keep of one stream in the memory of the device: `shaders/attention.glsl` has the
//! layout.

use std::any::Any;
use std::sync::Arc;

use super::device::{Buffer, Device, Place};
use super::error::DeviceError;
use crate::arch::Config;
use crate::arch::config::TILE;
use crate::engine::contexts::Track;
use crate::engine::passes::Tracked;
use crate::engine::runtime::{EngineError, SLACK, State};

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
    /// Of each layer.
    pub(super) planes: Vec<Planes>,
    /// Bytes of a stream.
    pub(super) len: u64,
}

impl StreamLayout {
    pub(super) fn new(config: &Config) -> StreamLayout {
        let key_words = config.head_dim.div_ceil(16) * 4;
        let mut first = 0u64;
        let planes = (0..config.layers).map(|layer| {
            let ring = ring_len(config.window_of(layer));
            let slots = ring + SINK_SLOTS;
            let size = slots * (key_words + 2) + slots / 4 * config.head_dim;
            let planes = Planes {
                first: first as u32,
                size: size as u32,
                ring: ring as u32,
                key_words: key_words as u32,
                head_dim: config.head_dim as u32,
            };
            first += (size * config.kv_heads) as u64;
            planes
        });
        let planes = planes.collect();
        StreamLayout {
            planes,
            len: first * 4,
        }
    }
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
    pub(super) memory: Buffer,
}

impl Stream {
    pub(super) fn new(
        device: &Arc<Device>,
        layout: &StreamLayout,
        positions: usize,
    ) -> Result<Stream, DeviceError> {
        Ok(Stream {
            device: Arc::clone(device),
            track: Track::new(positions),
            memory: device.buffer(WHAT, layout.len, Place::Device)?,
        })
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
        }))
    }

    fn truncate(&mut self, position: u64) {
        self.track.truncate(position);
    }

    fn reset(&mut self) {
        self.track.reset();
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
