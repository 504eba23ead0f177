//! Chooses language models for the commands, within the memory that is allowed.

use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use llmzip::container::{MAX_BLOCK_LEN, ModelRef};
use llmzip::frame::Resolver;
use llmzip::machine::pool::usable_threads;
use llmzip::predict::Settings;
use llmzip::report::Candidate;
use llmzip::store::{self, Store, StoreError, embedded};
use llmzip::{DeviceChoice, DeviceNews, EncoderOptions, Error, Model, Preset};

use super::failure::Failure;
use super::lasting::LastingFile;
use super::meant::{ModelChoice, ModelList, Resources};
use super::memory::{MemoryLimit, Use};
use super::needed;
use super::offer;
use super::print;

/// Fewer original bytes are coded on the CPU, unless a device was asked for: to start one and to
/// copy the weights takes about a second. The number is a guess: it was not measured on a card.
const SHORTEST_ON_DEVICE: u64 = 64 << 10;

/// Tells the user what becomes of devices.
fn tell(news: &DeviceNews) {
    match news {
        DeviceNews::Runs(device) => print::detail(&format!("  the model runs on {device}")),
        DeviceNews::Avoided(reason) => {
            print::detail(&format!("  the model runs on the CPU: {reason}"));
        }
        DeviceNews::Stopped(reason) => print::warning(&format!("{reason}; the CPU goes on")),
    }
}

/// The models of this user, and the memory that they may take.
pub(super) struct Models {
    installed: llmzip::Models,
    memory: MemoryLimit,
    /// Where models run.
    device: DeviceChoice,
    /// Threads that may work.
    threads: usize,
    used: Vec<Arc<Model>>,
    /// Why the model that a file needs cannot be used, where the library has no error for it.
    refusal: Option<String>,
    /// Most streams in a block of the file that is read, as far as they are known.
    streams: usize,
    /// Bytes of primes that files may need.
    primes: u64,
}

/// The file of a model that was found as `wanted`, or by its identity; `None` if it is built in.
/// Whoever needs the model finds it at the path that was named, and in the store.
pub(super) fn file(wanted: Option<&str>, model: &Model) -> Option<LastingFile> {
    let identity = model.identity();
    if embedded::ALL.iter().any(|one| one.identity == identity) {
        return None;
    }
    let named = wanted.filter(|wanted| store::is_path(wanted));
    let paths = named.map(PathBuf::from).into_iter();
    let paths = paths.chain(Store::of_user().path_of(&identity));
    let hash = blake3::Hash::from(identity);
    let file = LastingFile::new("the model", paths.collect(), hash);
    Some(match (named, wanted.or(model.name())) {
        (None, Some(name)) => file.called(&format!("the model {name}")),
        _ => file,
    })
}

impl Models {
    pub(super) fn new(resources: &Resources) -> Models {
        Models {
            installed: llmzip::Models::installed()
                .threads(resources.threads)
                .device(resources.device.clone())
                .on_device_news(tell),
            memory: MemoryLimit(resources.memory),
            device: resources.device.clone(),
            threads: usable_threads(resources.threads),
            used: Vec::new(),
            refusal: None,
            streams: 1,
            primes: 0,
        }
    }

    /// The same models for inputs of so many original bytes in all, if that is known. `len` is
    /// called only where a device might be chosen.
    #[must_use]
    pub(super) fn for_originals(mut self, len: impl FnOnce() -> Option<u64>) -> Models {
        let may_choose = cfg!(feature = "gpu") && self.device == DeviceChoice::Auto;
        if may_choose && len().is_some_and(|len| len < SHORTEST_ON_DEVICE) {
            self.device = DeviceChoice::Cpu;
            self.installed = self.installed.device(DeviceChoice::Cpu);
        }
        self
    }

    /// From now on files may need primes of so many bytes.
    pub(super) fn expect_primes(&mut self, bytes: u64) {
        self.primes = bytes;
    }

    /// From now on blocks of files are known to have up to `streams` streams.
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
    pub(super) fn check_memory(&self, run: &Use<'_>) -> Result<(), Failure> {
        self.memory.check(run)
    }

    /// The frames that a run with these options codes at the same time: one on each thread that is
    /// allowed, and fewer where they would need more memory than is allowed.
    pub(super) fn workers(&self, options: &EncoderOptions) -> usize {
        let wanted = options.clone().workers(self.threads);
        self.memory.most_workers(&Use::compressing(&wanted))
    }

    /// The frames of a file that are decompressed at the same time. What each needs is not known
    /// beforehand, so it is one frame if memory is limited.
    pub(super) fn workers_to_decompress(&self) -> usize {
        match self.have_memory_limit() {
            true => 1,
            false => self.threads,
        }
    }

    /// Refuses if these experts alone would need more memory to decompress.
    pub(super) fn check_experts(&self, settings: Settings) -> Result<(), Failure> {
        self.check_memory(&Use::experts(settings, self.primes))
    }

    /// Refuses if the memory allowed is too little to decompress any file.
    pub(super) fn check_memory_of_any_file(&self) -> Result<(), Failure> {
        self.memory.check_any_file()
    }

    /// The model called `name`. If it is not installed and can be fetched, the user is asked.
    fn get(&self, name: &str) -> Result<Arc<Model>, Failure> {
        let error = match self.installed.get(name) {
            Err(error @ Error::Store(StoreError::Unknown(_))) => error,
            // A path that does not exist may be the name of a repository.
            Err(error) if store::is_path(name) && !Path::new(name).exists() => error,
            model => return Ok(model?),
        };
        let added = offer::fetch(name, error)?;
        Ok(self.installed.get(&added)?)
    }

    /// The model to compress with; `None` for the experts alone.
    pub(super) fn choose(&self, choice: &ModelChoice) -> Result<Option<Arc<Model>>, Failure> {
        let name = match choice {
            ModelChoice::None => return Ok(None),
            ModelChoice::Default => embedded::default().name,
            ModelChoice::Named(name) => name,
        };
        Ok(Some(self.get(name)?))
    }

    /// What a report measures for `choice`.
    #[cfg(feature = "encode")]
    pub(super) fn candidate(&self, choice: &ModelChoice) -> Result<Candidate, Failure> {
        let Some(model) = self.choose(choice)? else {
            return self.experts_alone();
        };
        let name = match choice {
            ModelChoice::Named(name) => name,
            _ => embedded::default().name,
        };
        self.with_model(name, model)
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
            let model = self.get(name)?;
            let identity = model.identity();
            if !identities.contains(&identity) {
                candidates.push(self.with_model(name, model)?);
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
                for name in self.all_names(unusable)? {
                    add(&name).unwrap_or_else(&mut *unusable);
                }
            }
        }
        candidates.sort_by_key(Candidate::parameters);
        Ok(candidates)
    }

    /// The names of all models. The built-in ones can be used even if the store cannot.
    fn all_names(&self, unusable: &mut dyn FnMut(Failure)) -> Result<Vec<String>, Failure> {
        match self.installed.names() {
            Ok(names) => Ok(names),
            Err(error) => {
                unusable(error.into());
                Ok(llmzip::Models::builtin().names()?)
            }
        }
    }

    fn experts_alone(&self) -> Result<Candidate, Failure> {
        self.check_memory(&Use::compressing(&EncoderOptions::new()))?;
        Ok(Candidate::experts_alone())
    }

    fn with_model(&self, name: &str, model: Arc<Model>) -> Result<Candidate, Failure> {
        let options = EncoderOptions::new().model(Arc::clone(&model));
        self.check_memory(&Use::compressing(&options))
            .map_err(|failure| failure.about(name))?;
        Ok(Candidate::with_model(name, model))
    }

    /// Uses the model called `name` for the files that were written with it.
    pub(super) fn prefer(&mut self, name: &str) -> Result<(), Failure> {
        let model = self.get(name)?;
        self.used.push(Arc::clone(&model));
        self.installed = self.installed.clone().with(model);
        Ok(())
    }

    /// The models that files were found to need so far.
    pub(super) fn used(&self) -> &[Arc<Model>] {
        &self.used
    }

    /// The model that a frame was written with.
    pub(super) fn resolve(&mut self, wanted: &ModelRef) -> Result<Arc<Model>, Error> {
        let model = self.usable(wanted).map_err(|failure| {
            self.refusal = Some(failure.to_string());
            Error::MissingModel {
                identity: wanted.identity,
                name: wanted.name.clone(),
            }
        })?;
        if !self.is_used(&model) {
            self.used.push(Arc::clone(&model));
        }
        Ok(model)
    }

    fn is_used(&self, model: &Arc<Model>) -> bool {
        self.used.iter().any(|used| Arc::ptr_eq(used, model))
    }

    /// The model that a frame was written with, if there is memory for it, and neither standard
    /// output nor standard error is its file.
    fn usable(&self, wanted: &ModelRef) -> Result<Arc<Model>, Failure> {
        let model = self.installed.resolve(wanted)?;
        if !self.is_used(&model) {
            needed::refuse_streams(slice::from_ref(&model))?;
        }
        self.check_model(&model, self.streams)?;
        Ok(model)
    }

    /// Refuses if a block of `streams` streams would need more memory to decompress.
    fn check_model(&self, model: &Model, streams: usize) -> Result<(), Failure> {
        self.check_memory(&Use {
            model: Some(model),
            settings: Settings {
                experts: true,
                preset: Preset::Normal,
                with_model: true,
            },
            held_len: MAX_BLOCK_LEN.into(),
            streams,
            primes: self.primes,
            workers: 1,
            frame_len: 0,
        })
    }
}

impl Models {
    /// Keeps the reason of a refusal, for which the library has no error.
    fn refuse(&mut self, failure: &Failure) -> Error {
        self.refusal = Some(failure.to_string());
        Error::Cancelled
    }
}

impl Resolver for Models {
    fn model(&mut self, wanted: &ModelRef) -> Result<Arc<Model>, Error> {
        self.resolve(wanted)
    }

    fn admit(&mut self, experts: Settings) -> Result<(), Error> {
        let admitted = self.check_experts(experts);
        admitted.map_err(|failure| self.refuse(&failure))
    }

    fn admit_streams(&mut self, model: &Model, streams: usize) -> Result<(), Error> {
        let admitted = self.check_model(model, streams);
        admitted.map_err(|failure| self.refuse(&failure))
    }
}
