//! Whom decompressing asks for models and memory.

use std::sync::Arc;

use super::Model;
use crate::Error;
use crate::container::ModelRef;
use crate::predict::Settings;

/// What decompressing asks its caller. A function that finds models is one, and admits everything.
pub trait Resolver {
    /// Finds the model that a frame names.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    fn model(&mut self, wanted: &ModelRef) -> Result<Arc<Model>, Error>;

    /// Admits experts with these settings, before memory is taken for them.
    ///
    /// # Errors
    ///
    /// If that is not wanted.
    fn admit(&mut self, experts: Settings) -> Result<(), Error> {
        let _ = experts;
        Ok(())
    }

    /// Admits a block of so many streams, which `model` decodes, before memory is taken for them.
    ///
    /// # Errors
    ///
    /// If that is not wanted.
    fn admit_streams(&mut self, model: &Model, streams: usize) -> Result<(), Error> {
        let _ = (model, streams);
        Ok(())
    }
}

impl<F: FnMut(&ModelRef) -> Result<Arc<Model>, Error>> Resolver for F {
    fn model(&mut self, wanted: &ModelRef) -> Result<Arc<Model>, Error> {
        self(wanted)
    }
}

/// Whom to ask.
pub type Resolve<'a> = &'a mut dyn Resolver;
