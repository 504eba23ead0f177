//! Finds language models: by name to compress, by identity to decompress.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Model;
use super::placement::Placement;
use crate::Error;
use crate::container::ModelRef;
use crate::engine::{DeviceChoice, DeviceNews, EngineOptions};
use crate::machine::pool::usable_threads;
use crate::store::{Found, Store, StoreError, embedded};

/// The language models that an application can use.
///
/// An application gets a model by name ([`get`](Models::get)) to compress with it. A decoder finds
/// a model by the identity in a frame, when a block of the frame needs it. A model is opened when
/// it is first needed, and then stays open. Clones share the open models.
///
/// ```
/// # #[cfg(all(feature = "builtin", feature = "encode"))] {
/// use llmzip::{EncoderOptions, Models, compress_all, decompress_all};
///
/// let models = Models::builtin();
/// assert_eq!(models.names()?, ["nano", "micro", "mini", "small"]);
///
/// let original = b"It is a truth universally acknowledged, that a single man in possession";
/// let options = EncoderOptions::new().model(models.get("nano")?);
/// let compressed = compress_all(original, &options)?;
/// assert_eq!(decompress_all(&compressed, &models)?, original);
/// assert!(decompress_all(&compressed, Models::none()).is_err());
/// # }
/// # Ok::<(), llmzip::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Models {
    source: Source,
    /// Models added by hand, which come before all others.
    added: Vec<Arc<Model>>,
    /// Threads for each model, if there are as many processors; 0 for as many as there are.
    threads: usize,
    /// Where they run; the store is that of `source`.
    placement: Placement,
    /// Models that were opened.
    opened: Arc<Mutex<Vec<Arc<Model>>>>,
}

/// The source of models that are not open yet.
#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Nowhere,
    #[cfg(feature = "builtin")]
    BuiltIn,
    /// The built-in models, and the store of this user.
    OfUser,
    /// The built-in models, and the store in this folder.
    Folder(PathBuf),
}

impl Models {
    /// No models: frames that need one are an error.
    #[must_use]
    pub fn none() -> Models {
        Models::default()
    }

    /// The models that are built into this library.
    #[cfg(feature = "builtin")]
    #[must_use]
    pub fn builtin() -> Models {
        Models {
            source: Source::BuiltIn,
            ..Models::default()
        }
    }

    /// The built-in models, if this build has them, and those that `llmzip` has stored for this
    /// user: in the folder that the environment variable `LLMZIP_HOME` names, else in `llmzip`
    /// under the platform's folder for data.
    #[must_use]
    pub fn installed() -> Models {
        Models {
            source: Source::OfUser,
            ..Models::default()
        }
    }

    /// As [`installed`](Models::installed), with the models stored under the folder `home`.
    #[must_use]
    pub fn installed_in(home: impl Into<PathBuf>) -> Models {
        Models {
            source: Source::Folder(home.into()),
            ..Models::default()
        }
    }

    /// These models and `model`, which is found before all others.
    #[must_use]
    pub fn with(mut self, model: Arc<Model>) -> Models {
        self.added.push(model);
        self
    }

    /// These models, each run by `threads` threads, but no more than the processors that this
    /// process may use; 0, the default, means as many. The number changes only the time that coding
    /// takes.
    #[must_use]
    pub fn threads(self, threads: usize) -> Models {
        Models {
            threads,
            opened: Arc::default(),
            ..self
        }
    }

    /// These models, each run on the device of this choice; by default, on the processor. If a
    /// device stops while it is used, the processor goes on. The choice changes only the time that
    /// coding takes.
    ///
    /// A device is compared with the processor before it is used for the first time;
    /// [`installed`](Models::installed) models note the outcome in their folder.
    #[must_use]
    pub fn device(mut self, choice: DeviceChoice) -> Models {
        self.placement.choice = choice;
        self.opened = Arc::default();
        self
    }

    /// Calls `tell` with what becomes of devices, on any thread.
    #[must_use]
    pub fn on_device_news(mut self, tell: impl Fn(&DeviceNews) + Send + Sync + 'static) -> Models {
        self.placement.news = Some(Arc::new(tell));
        self.opened = Arc::default();
        self
    }

    /// The names of all models: those added, the built-in ones from the smallest to the largest,
    /// and those stored.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the folder of models cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let added = self.added.iter().filter_map(|model| model.name());
        let mut names: Vec<String> = added.map(str::to_owned).collect();
        match self.store() {
            // A store names the built-in models first.
            Some(store) => names.extend(store.names()?),
            None => {
                let built_in = self.built_in_models().iter();
                names.extend(built_in.map(|model| model.name.to_owned()));
            }
        }
        Ok(names)
    }

    /// The model called `name`.
    ///
    /// With [`installed`](Models::installed) models, `name` may also be the path of a packed model:
    /// it is taken for one if it contains a `/`, begins with a `.` or ends in `.llmzmodel`.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if there is no such model, and errors of opening it.
    pub fn get(&self, name: &str) -> Result<Arc<Model>, Error> {
        let named = |model: &&Arc<Model>| model.name() == Some(name);
        if let Some(model) = self.added.iter().find(named) {
            return Ok(Arc::clone(model));
        }
        let unknown = || StoreError::Unknown(name.to_owned());
        let found = match (self.built_in(name), self.store()) {
            (Some(found), _) => found,
            (None, Some(store)) => store.find(name)?,
            (None, None) => return Err(unknown().into()),
        };
        self.open(found)
    }

    /// The model whose identity, the BLAKE3 of the packed model, begins with these 8 bytes; `None`
    /// if it is not among these models.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the folder of models cannot be read, and errors of opening the model.
    pub fn find(&self, identity: &[u8; 8]) -> Result<Option<Arc<Model>>, Error> {
        let is_wanted = |model: &&Arc<Model>| model.identity().starts_with(identity);
        if let Some(model) = self.added.iter().find(is_wanted) {
            return Ok(Some(Arc::clone(model)));
        }
        if let Some(model) = self.opened().iter().find(is_wanted) {
            return Ok(Some(Arc::clone(model)));
        }
        let built_in = self.built_in_models().iter();
        let mut built_in = built_in.filter(|model| model.identity.starts_with(identity));
        let found = match (built_in.next(), self.store()) {
            (Some(model), _) => Some(Found {
                name: Some(model.name.to_owned()),
                model: model.open(),
            }),
            (None, Some(store)) => store.find_identity(identity)?,
            (None, None) => None,
        };
        found.map(|found| self.open(found)).transpose()
    }

    /// The model that a frame names.
    ///
    /// # Errors
    ///
    /// [`Error::MissingModel`] if it is not among these, and those of [`Models::find`].
    #[doc(hidden)]
    pub fn resolve(&self, wanted: &ModelRef) -> Result<Arc<Model>, Error> {
        let built_in = || embedded::name_of(&wanted.identity).map(str::to_owned);
        let found = self.find(&wanted.identity)?;
        found.ok_or_else(|| Error::MissingModel {
            identity: wanted.identity,
            name: wanted.name.clone().or_else(built_in),
        })
    }

    /// Opens a packed model, unless it is already open.
    fn open(&self, found: Found) -> Result<Arc<Model>, Error> {
        let identity = found.model.identity();
        let mut opened = self.opened();
        if let Some(model) = opened.iter().find(|model| model.identity() == identity) {
            return Ok(Arc::clone(model));
        }
        let options = EngineOptions {
            threads: usable_threads(self.threads),
            ..EngineOptions::default()
        };
        let placement = Placement {
            store: self.store(),
            ..self.placement.clone()
        };
        let model = Model::placed(found.model, options, found.name, &placement)?;
        let model = Arc::new(model);
        opened.push(Arc::clone(&model));
        Ok(model)
    }

    fn opened(&self) -> MutexGuard<'_, Vec<Arc<Model>>> {
        // A panic while the lock was held cannot have left a model half added.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn built_in_models(&self) -> &'static [embedded::Embedded] {
        match self.source {
            Source::Nowhere => &[],
            _ => &embedded::ALL,
        }
    }

    fn built_in(&self, name: &str) -> Option<Found> {
        let mut models = self.built_in_models().iter();
        let model = models.find(|model| model.name == name)?;
        Some(Found {
            name: Some(model.name.to_owned()),
            model: model.open(),
        })
    }

    /// The store, if these models have one.
    fn store(&self) -> Option<Store> {
        match &self.source {
            Source::OfUser => Some(Store::of_user()),
            Source::Folder(home) => Some(Store::at(home)),
            _ => None,
        }
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models")
            .field("source", &self.source)
            .field("added", &self.added)
            .field("threads", &self.threads)
            .field("placement", &self.placement)
            .field("opened", &*self.opened())
            .finish()
    }
}
