//! Finds language models and makes them ready to run.

use std::sync::Arc;

use llmzip::container::{FrameHeader, MAX_BLOCK_LEN, MAX_STREAMS, ModelRef};
use llmzip::engine::EngineOptions;
use llmzip::packed::PackedModel;
use llmzip::report::Candidate;
use llmzip::store::{Found, Store, embedded};
use llmzip::{EncoderOptions, Error, Model};

use super::advice;
use super::failure::Failure;
use super::meant::{ModelChoice, ModelList, Resources};
use super::memory::MemoryLimit;

/// Finds language models, and keeps those that are ready to run.
pub(super) struct Models {
    threads: usize,
    memory: MemoryLimit,
    ready: Vec<Arc<Model>>,
    /// Why the model that a file needs cannot be used, where the library has no error for it.
    refusal: Option<String>,
    /// Most streams in a block of the file that is read.
    streams: usize,
}

impl Models {
    pub(super) fn new(resources: Resources) -> Models {
        Models {
            threads: resources.threads,
            memory: MemoryLimit(resources.memory),
            ready: Vec::new(),
            refusal: None,
            streams: MAX_STREAMS,
        }
    }

    /// From now on blocks of files have at most `streams` streams.
    pub(super) fn expect_streams(&mut self, streams: usize) {
        self.streams = streams;
    }

    /// Why [`Models::resolve`] gave no model, if it has a reason of its own.
    pub(super) fn take_refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }

    /// Whether there is a limit to memory.
    pub(super) fn have_memory_limit(&self) -> bool {
        self.memory.0.is_some()
    }

    /// Refuses a run that would need more memory than is allowed.
    pub(super) fn check_memory(
        &self,
        model: Option<&Model>,
        block_len: u32,
        streams: usize,
    ) -> Result<(), Failure> {
        self.memory.check(model, block_len, streams)
    }

    /// Refuses if the memory allowed is too little to decompress any file.
    pub(super) fn check_memory_of_any_file(&self) -> Result<(), Failure> {
        self.memory.check_any_file()
    }

    /// The model to compress with; `None` for the experts alone.
    pub(super) fn choose(&self, choice: &ModelChoice) -> Result<Option<Arc<Model>>, Failure> {
        Ok(match self.find(choice)? {
            Some(found) => Some(self.make_ready(found.model, found.name)?),
            None => None,
        })
    }

    /// What a report measures for `choice`.
    #[cfg(feature = "encode")]
    pub(super) fn candidate(&self, choice: &ModelChoice) -> Result<Candidate, Failure> {
        let Some(found) = self.find(choice)? else {
            return self.experts_alone();
        };
        let name = match choice {
            ModelChoice::Named(name) => name.clone(),
            _ => embedded::default().name.to_owned(),
        };
        self.with_model(name, found)
    }

    /// What a report measures for `list`: the experts alone, and each model once, from the smallest
    /// to the largest. A model that was named must be usable; `unusable` is told of any other that
    /// is not.
    pub(super) fn candidates(
        &self,
        list: &ModelList,
        unusable: &mut dyn FnMut(Failure),
    ) -> Result<Vec<Candidate>, Failure> {
        let mut candidates = vec![self.experts_alone()?];
        let mut identities = Vec::new();
        let mut add = |name: &str| -> Result<(), Failure> {
            let found = find(name)?;
            let identity = found.model.identity();
            if !identities.contains(&identity) {
                candidates.push(self.with_model(name.to_owned(), found)?);
                identities.push(identity);
            }
            Ok(())
        };
        match list {
            ModelList::Named(names) => {
                for name in names {
                    add(name)?;
                }
            }
            ModelList::All => {
                for name in all_names(unusable) {
                    add(&name).unwrap_or_else(&mut *unusable);
                }
            }
        }
        candidates.sort_by_key(Candidate::parameters);
        Ok(candidates)
    }

    fn experts_alone(&self) -> Result<Candidate, Failure> {
        let block_len = EncoderOptions::default().block_len;
        self.check_memory(None, block_len, 1)?;
        Ok(Candidate::experts_alone())
    }

    fn with_model(&self, name: String, found: Found) -> Result<Candidate, Failure> {
        let model = self.make_ready(found.model, found.name)?;
        let options = EncoderOptions::new().model(Arc::clone(&model));
        self.check_memory(Some(&model), options.block_len, options.most_streams())
            .map_err(|failure| failure.about(&name))?;
        Ok(Candidate::with_model(name, model))
    }

    /// Uses the model called `name` for the files that were written with it.
    pub(super) fn prefer(&mut self, name: &str) -> Result<(), Failure> {
        let found = find(name)?;
        let model = self.make_ready(found.model, found.name)?;
        self.ready.push(model);
        Ok(())
    }

    /// The model that a frame was written with.
    pub(super) fn resolve(&mut self, wanted: &ModelRef) -> Result<Arc<Model>, Error> {
        match self.usable(wanted) {
            Ok(model) => {
                if !self.ready.iter().any(|ready| Arc::ptr_eq(ready, &model)) {
                    self.ready.push(Arc::clone(&model));
                }
                Ok(model)
            }
            Err(failure) => {
                self.refusal = Some(failure.to_string());
                Err(Error::MissingModel {
                    identity: wanted.identity,
                    name: wanted.name.clone(),
                })
            }
        }
    }

    /// The model that a frame was written with, if there is memory for it.
    fn usable(&self, wanted: &ModelRef) -> Result<Arc<Model>, Failure> {
        let is_wanted = |model: &&Arc<Model>| model.reference().identity == wanted.identity;
        let model = match self.ready.iter().find(is_wanted) {
            Some(model) => Arc::clone(model),
            None => {
                let found = find_identity(wanted)?;
                self.make_ready(found.model, found.name)?
            }
        };
        self.check_memory(Some(&model), MAX_BLOCK_LEN, self.streams)?;
        Ok(model)
    }

    fn find(&self, choice: &ModelChoice) -> Result<Option<Found>, Failure> {
        match choice {
            ModelChoice::None => Ok(None),
            ModelChoice::Default => Ok(Some(built_in(embedded::default()))),
            ModelChoice::Named(name) => find(name).map(Some),
        }
    }

    fn make_ready(
        &self,
        packed: Arc<PackedModel>,
        name: Option<String>,
    ) -> Result<Arc<Model>, Failure> {
        let options = EngineOptions {
            threads: self.threads,
            ..EngineOptions::default()
        };
        // A file need not name a model that every llmzip has.
        let everywhere = embedded::ALL
            .iter()
            .any(|one| one.identity == packed.identity());
        let name = name.filter(|name| !everywhere && FrameHeader::is_name(name));
        Ok(Arc::new(Model::new(packed, options, name)?))
    }
}

/// The names of all models. The built-in ones can be used even if the store cannot.
fn all_names(unusable: &mut dyn FnMut(Failure)) -> Vec<String> {
    match Store::of_user().and_then(|store| store.list()) {
        Ok(listed) => listed.into_iter().map(|one| one.name).collect(),
        Err(error) => {
            unusable(error.into());
            let names = embedded::ALL.iter().map(|one| one.name.to_owned());
            names.collect()
        }
    }
}

/// The model that `-m` means by `name`. Built-in models are found even if there is no store.
fn find(name: &str) -> Result<Found, Failure> {
    match embedded::by_name(name) {
        Some(embedded) => Ok(built_in(embedded)),
        None => Ok(Store::of_user().and_then(|store| store.find(name))?),
    }
}

/// The model that a frame was written with. Built-in models are found even if there is no store.
fn find_identity(wanted: &ModelRef) -> Result<Found, Failure> {
    let identity = &wanted.identity;
    let embedded = embedded::ALL
        .iter()
        .find(|one| one.identity[..8] == *identity);
    let found = match embedded {
        Some(embedded) => Some(built_in(embedded)),
        None => Store::of_user().and_then(|store| store.find_identity(identity))?,
    };
    found.ok_or_else(|| Failure::Message(advice::missing_model(identity, wanted.name.as_deref())))
}

fn built_in(embedded: &'static embedded::Embedded) -> Found {
    Found {
        name: Some(embedded.name.to_owned()),
        model: embedded.open(),
    }
}
