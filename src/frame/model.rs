//! A language model that is ready to compress and decompress.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::placement::{self, Placement};
use crate::Error;
use crate::codec::Drafts;
#[cfg(feature = "encode")]
use crate::codec::plan::Tokenize;
use crate::container::{FrameHeader, ModelRef};
use crate::engine::{DeviceChoice, EngineOptions, NUMERICS_VERSION, Primary, Runtime};
use crate::packed::PackedModel;
use crate::store::{embedded, is_free_name};
#[cfg(feature = "encode")]
use crate::tokenizer::Tokenizer;

/// A language model, ready to compress and decompress.
///
/// [`Models`](crate::Models) finds models by name; [`Model::open`] opens a packed model's file. All
/// encoders and decoders that use a model share it, and each keeps its own state.
pub struct Model {
    runtime: Arc<dyn Runtime>,
    /// The device's runtime, if the model runs on one.
    primary: Option<Arc<Primary>>,
    options: EngineOptions,
    #[cfg(feature = "encode")]
    tokenizer: Arc<Tokenizer>,
    name: Option<String>,
    drafts: Drafts,
}

impl Model {
    /// Opens the packed model in the file at `path`, which should not change while it is open. The
    /// model gets the name of the file, without its extension, unless that is a built-in model's.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the file is no packed model; [`Error::Engine`] or [`Error::Tokenizer`]
    /// if this library cannot use it.
    pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
        Model::open_on(path, &DeviceChoice::Cpu)
    }

    /// As [`Model::open`], to run on the device of this choice.
    ///
    /// # Errors
    ///
    /// Also [`Error::Engine`] if there is no such device, or it cannot run the model, and
    /// [`Error::Unsupported`] if this build has no support for devices.
    pub fn open_on(path: impl AsRef<Path>, device: &DeviceChoice) -> Result<Model, Error> {
        let path = path.as_ref();
        let packed = Arc::new(PackedModel::open(path)?);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let name = stem.filter(|stem| is_free_name(stem)).map(str::to_owned);
        let placement = Placement {
            choice: device.clone(),
            ..Placement::default()
        };
        Model::placed(packed, EngineOptions::default(), name, &placement)
    }

    /// Makes `packed` ready. `name` is written into frames, so that a reader without the model can
    /// say which model is missing. Names of built-in models are not written, because every reader
    /// knows them.
    ///
    /// # Errors
    ///
    /// If the engine or the tokenizer cannot use the model.
    #[doc(hidden)]
    pub fn new(
        packed: Arc<PackedModel>,
        options: EngineOptions,
        name: Option<String>,
    ) -> Result<Model, Error> {
        Model::placed(packed, options, name, &Placement::default())
    }

    /// As [`Model::new`], to run where `placement` says.
    pub(super) fn placed(
        packed: Arc<PackedModel>,
        options: EngineOptions,
        name: Option<String>,
        placement: &Placement,
    ) -> Result<Model, Error> {
        let primary = placement.primary(&packed, options.threads)?;
        Ok(Model {
            #[cfg(feature = "encode")]
            tokenizer: Arc::new(Tokenizer::new(&packed)?),
            runtime: placement::runtime(primary.as_ref(), packed, options)?,
            primary,
            options,
            name,
            drafts: Drafts::default(),
        })
    }

    /// The name under which the model was found or opened, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The BLAKE3 hash of the packed model. Frames carry its first 8 bytes.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        self.runtime.model().identity()
    }

    /// The number of parameters of the model as it was trained.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.runtime.model().config().parameters
    }

    /// The size of the packed model in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.runtime.model().size()
    }

    /// The same model with other drafts. Drafts change only the time that decompression takes.
    #[doc(hidden)]
    #[must_use]
    pub fn with_drafts(self, drafts: Drafts) -> Model {
        Model { drafts, ..self }
    }

    /// The same model, run on the calling thread alone, or on its device. Weights are shared.
    ///
    /// # Errors
    ///
    /// As [`Model::new`].
    #[doc(hidden)]
    pub fn on_one_thread(&self) -> Result<Model, Error> {
        let options = EngineOptions {
            threads: 1,
            ..self.options
        };
        let packed = Arc::clone(self.runtime.model());
        Ok(Model {
            #[cfg(feature = "encode")]
            tokenizer: Arc::clone(&self.tokenizer),
            runtime: placement::runtime(self.primary.as_ref(), packed, options)?,
            primary: self.primary.clone(),
            options,
            name: self.name.clone(),
            drafts: self.drafts,
        })
    }

    /// How far the decoder guesses ahead.
    #[doc(hidden)]
    pub fn drafts(&self) -> Drafts {
        self.drafts
    }

    /// The runtime of the model.
    #[doc(hidden)]
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// How the model is run.
    #[doc(hidden)]
    pub fn engine_options(&self) -> EngineOptions {
        self.options
    }

    /// The tokenizer.
    #[doc(hidden)]
    #[cfg(feature = "encode")]
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The tokenizer, as the codec knows it.
    #[cfg(feature = "encode")]
    pub(super) fn tokenize(&self) -> Arc<Tokenize> {
        let tokenizer = Arc::clone(&self.tokenizer);
        Arc::new(move |bytes: &[u8]| tokenizer.encode(bytes))
    }

    /// The entry for this model in a frame header.
    #[doc(hidden)]
    pub fn reference(&self) -> ModelRef {
        let packed = self.runtime.model();
        let identity = packed.identity();
        let built_in = embedded::name_of(&identity).is_some();
        let name = self.name.as_deref();
        let name = name.filter(|name| !built_in && FrameHeader::is_name(name));
        let mut start = [0; 8];
        start.copy_from_slice(&identity[..8]);
        ModelRef {
            identity: start,
            numerics: NUMERICS_VERSION,
            window_log2: packed.config().window.ilog2() as u8,
            name: name.map(|name| short(name).to_owned()),
        }
    }
}

/// The beginning of a name, as long as a small file can afford: the identity is what counts.
fn short(name: &str) -> &str {
    const LONGEST: usize = 16;
    let end = name.floor_char_boundary(LONGEST);
    name[..end].trim_end_matches(['-', '.', '_', '/', '@', '+'])
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("identity", &blake3::Hash::from(self.identity()).to_hex())
            .field("parameters", &self.parameters())
            .finish_non_exhaustive()
    }
}
