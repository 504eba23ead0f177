//! The predictor of a frame, made when a block first needs it.
//!
//! Many frames are empty or consist of one stored block. They need no predictor, and making one
//! would take longer than everything else.

use crate::machine::{MachineError, memory};
use crate::predict::{Predictor, Settings};

/// The predictor of a frame, if a block has needed it.
pub(super) struct FramePredictor {
    settings: Settings,
    predictor: Option<Predictor>,
    /// A stored block that the predictor has not seen because there was none. Empty as soon as
    /// there is one.
    stored: Vec<u8>,
}

impl FramePredictor {
    /// The predictor of a frame that has no block yet.
    pub(super) fn new(settings: Settings) -> FramePredictor {
        FramePredictor {
            settings,
            predictor: None,
            stored: Vec::new(),
        }
    }

    /// Whether its settings have experts.
    pub(super) fn has_experts(&self) -> bool {
        self.settings.experts
    }

    /// The predictor, for a block of `len` bytes.
    pub(super) fn for_block(&mut self, len: usize) -> Result<&mut Predictor, MachineError> {
        let predictor = match &mut self.predictor {
            Some(predictor) => predictor,
            none => {
                let mut predictor = Predictor::new(self.settings)?;
                let stored = std::mem::take(&mut self.stored);
                predictor.expect(stored.len());
                predictor.skip_bytes(&stored);
                none.insert(predictor)
            }
        };
        predictor.expect(len);
        Ok(predictor)
    }

    /// Adds to the history the bytes of a stored block. Only if another block follows does this
    /// need the predictor.
    pub(super) fn pass_raw(&mut self, bytes: &[u8]) -> Result<(), MachineError> {
        if self.predictor.is_none() && self.stored.is_empty() {
            self.stored = memory::copied("a stored block", bytes, 0)?;
        } else {
            self.for_block(bytes.len())?.skip_bytes(bytes);
        }
        Ok(())
    }

    /// A copy that has seen and learned the same.
    pub(super) fn try_clone(&self) -> Result<FramePredictor, MachineError> {
        let predictor = self.predictor.as_ref().map(Predictor::try_clone);
        Ok(FramePredictor {
            settings: self.settings,
            predictor: predictor.transpose()?,
            stored: self.stored.clone(),
        })
    }
}
