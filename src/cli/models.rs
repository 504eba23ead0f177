//! Which language model is run, and whether there is memory for it.

use std::sync::Arc;

use llmzip::container::{FrameHeader, MAX_BLOCK_LEN, MAX_STREAMS, ModelRef};
use llmzip::engine::EngineOptions;
use llmzip::packed::PackedModel;
use llmzip::report::{Candidate, numbers};
use llmzip::store::embedded;
use llmzip::store::{self, Found, Store, StoreError};
use llmzip::{CompressOptions, Error, Model};

use super::failure::Failure;
use super::meant::{Means, ModelChoice, ModelList};

const MIB: u64 = 1 << 20;
/// What the adaptive experts take alone. (Measured for whole runs: 203 MB.)
const EXPERTS_ALONE: u64 = 256 * MIB;
/// What they take beside a model, the states that they recall included, and for each row of its vocabulary, with a bias for each
/// stream.
const EXPERTS: u64 = 88 * MIB;
const EXPERTS_A_ROW: u64 = 128;
/// How often they are there at once at most: as they were before a block, and in the trials with and without the model.
const COPIES_OF_EXPERTS: u64 = 3;
/// Logits of a slice of a window, and those of the next, which is computed meanwhile.
const LOGITS: u64 = 2 * 16 * MIB;
/// The program itself, buffers of files, stacks of threads.
const REST: u64 = 16 * MIB;
/// Original, payload and plan of a block.
const COPIES_OF_A_BLOCK: u64 = 4;

/// Models that were made ready, and the means to run them.
pub(super) struct Models {
    means: Means,
    ready: Vec<Arc<Model>>,
    /// Why the model last asked for is not to be had, in words the library has no error for.
    pub(super) refusal: Option<String>,
    /// The most streams in a block of the file that is read.
    streams: usize,
}

impl Models {
    pub(super) fn new(means: Means) -> Models {
        Models {
            means,
            ready: Vec::new(),
            refusal: None,
            streams: MAX_STREAMS,
        }
    }

    /// From now on files have at most `streams` streams in a block.
    pub(super) fn expect_streams(&mut self, streams: usize) {
        self.streams = streams;
    }

    /// The model to compress with.
    pub(super) fn choose(&self, choice: &ModelChoice) -> Result<Option<Arc<Model>>, Failure> {
        match choice {
            ModelChoice::None => Ok(None),
            ModelChoice::Default => {
                let embedded = embedded::default();
                self.make_ready(embedded.open(), Some(embedded.name.to_owned()))
                    .map(Some)
            }
            ModelChoice::Named(name) => {
                let found = find(name)?;
                self.make_ready(found.model, found.name).map(Some)
            }
        }
    }

    /// The experts alone and the models of `list`, each once, from the smallest to the largest. A
    /// model that was named must be usable; `unusable` hears of installed ones that are not.
    pub(super) fn ladder(
        &self,
        list: &ModelList,
        unusable: &mut dyn FnMut(Failure),
    ) -> Result<Vec<Candidate>, Failure> {
        let said = |error: StoreError| Failure::Said(error.to_string());
        self.check_memory(None, CompressOptions::default().block_len, 1)?;
        let mut identities = Vec::new();
        let mut candidates = vec![Candidate::experts_alone()];
        let mut add = |name: String, found: Result<Found, Failure>| -> Result<(), Failure> {
            let found = found?;
            let identity = found.model.identity();
            if !identities.contains(&identity) {
                candidates.push(self.candidate_of(name, found)?);
                identities.push(identity);
            }
            Ok(())
        };
        match list {
            ModelList::Named(names) => {
                for name in names {
                    add(name.clone(), find(name))?;
                }
            }
            ModelList::All => {
                // Without a store there are still the embedded models, which it would list first.
                let mut names: Vec<String> = embedded::ALL
                    .iter()
                    .map(|one| one.name.to_owned())
                    .collect();
                match Store::of_user()
                    .and_then(|store| store.list())
                    .map_err(said)
                {
                    Ok(listed) => names = listed.into_iter().map(|one| one.name).collect(),
                    Err(failure) => unusable(failure),
                }
                for name in names {
                    add(name.clone(), find(&name)).unwrap_or_else(&mut *unusable);
                }
            }
        }
        candidates.sort_by_key(Candidate::parameters);
        Ok(candidates)
    }

    /// The one that `choice` stands for.
    #[cfg(feature = "encode")]
    pub(super) fn candidate(&self, choice: &ModelChoice) -> Result<Candidate, Failure> {
        let block_len = CompressOptions::default().block_len;
        match choice {
            ModelChoice::None => {
                self.check_memory(None, block_len, 1)?;
                Ok(Candidate::experts_alone())
            }
            ModelChoice::Default => self.candidate_of(
                embedded::default().name.to_owned(),
                find(embedded::default().name)?,
            ),
            ModelChoice::Named(name) => self.candidate_of(name.clone(), find(name)?),
        }
    }

    fn candidate_of(&self, name: String, found: Found) -> Result<Candidate, Failure> {
        let model = self.make_ready(found.model, found.name)?;
        let options = CompressOptions {
            model: Some(Arc::clone(&model)),
            ..CompressOptions::default()
        };
        self.check_memory(Some(&model), options.block_len, options.most_streams())
            .map_err(|failure| Failure::Said(format!("{name}: {failure}")))?;
        Ok(Candidate::with_model(name, model))
    }

    /// Makes the model that is called `name` available for the files that were written with it.
    pub(super) fn prefer(&mut self, name: &str) -> Result<(), Failure> {
        let found = find(name)?;
        let model = self.make_ready(found.model, found.name)?;
        self.ready.push(model);
        Ok(())
    }

    /// The model a frame was written with.
    pub(super) fn resolve(&mut self, wanted: &ModelRef) -> Result<Arc<Model>, Error> {
        let ready = self
            .ready
            .iter()
            .find(|model| identity(model) == wanted.identity);
        let found = match ready {
            Some(model) => Ok(Arc::clone(model)),
            None => self.look_for(wanted),
        };
        let allowed = found.and_then(|model| {
            self.check_memory(Some(&model), MAX_BLOCK_LEN, self.streams)
                .map_err(|failure| failure.to_string())?;
            Ok(model)
        });
        match allowed {
            Ok(model) => {
                if !self.ready.iter().any(|ready| Arc::ptr_eq(ready, &model)) {
                    self.ready.push(Arc::clone(&model));
                }
                Ok(model)
            }
            Err(refusal) => {
                self.refusal = Some(refusal);
                Err(Error::MissingModel {
                    identity: wanted.identity,
                    name: wanted.name.clone(),
                })
            }
        }
    }

    fn look_for(&self, wanted: &ModelRef) -> Result<Arc<Model>, String> {
        let found = match embedded::ALL
            .iter()
            .find(|one| one.identity[..8] == wanted.identity)
        {
            Some(embedded) => Some(Found {
                name: Some(embedded.name.to_owned()),
                model: embedded.open(),
            }),
            None => Store::of_user()
                .and_then(|store| store.find_identity(&wanted.identity))
                .map_err(|error| error.to_string())?,
        };
        let Found { name, model } =
            found.ok_or_else(|| store::missing_model(&wanted.identity, wanted.name.as_deref()))?;
        self.make_ready(model, name)
            .map_err(|failure| failure.to_string())
    }

    fn make_ready(
        &self,
        packed: Arc<PackedModel>,
        name: Option<String>,
    ) -> Result<Arc<Model>, Failure> {
        let options = EngineOptions {
            threads: self.means.threads,
            ..EngineOptions::default()
        };
        // A file need not name what is part of every llmzip.
        let everywhere = embedded::ALL
            .iter()
            .any(|one| one.identity == packed.identity());
        let name = name.filter(|name| !everywhere && FrameHeader::is_name(name));
        Ok(Arc::new(Model::new(packed, options, name)?))
    }

    /// Whether there is a limit to memory.
    pub(super) fn is_limited(&self) -> bool {
        self.means.memory.is_some()
    }

    /// Refuses in words what would need more memory than is allowed.
    pub(super) fn check_memory(
        &self,
        model: Option<&Model>,
        block_len: u32,
        streams: usize,
    ) -> Result<(), Failure> {
        self.allow(memory(model, block_len, streams), model.is_some())
    }

    /// Refuses limits that nothing can be decompressed with.
    pub(super) fn check_memory_at_all(&self) -> Result<(), Failure> {
        self.allow(EXPERTS + REST, false)
    }

    fn allow(&self, needed: u64, with_model: bool) -> Result<(), Failure> {
        let Some(limit) = self.means.memory.filter(|&limit| limit < needed) else {
            return Ok(());
        };
        let mend = if with_model {
            "; a smaller model needs less"
        } else {
            ""
        };
        Err(Failure::Said(format!(
            "needs {} of memory, and -M allows {}{mend}",
            numbers::memory(needed),
            numbers::memory(limit),
        )))
    }
}

/// Bytes of memory that a run takes at most.
fn memory(model: Option<&Model>, block_len: u32, streams: usize) -> u64 {
    let blocks = COPIES_OF_A_BLOCK * u64::from(block_len);
    let Some(model) = model else {
        return EXPERTS_ALONE + blocks + REST;
    };
    let packed = model.runtime().model();
    let config = packed.config();
    let positions = (config.window + config.sinks + llmzip::engine::SLACK) as u64;
    // Keys and values are of 8 bits, and room for as much again as a stream has is left for what goes through the layers.
    let stream = 2 * positions * (config.layers * config.kv_heads * config.head_dim) as u64;
    let cache = (streams as u64 + 1) * stream;
    let experts = COPIES_OF_EXPERTS * (EXPERTS + EXPERTS_A_ROW * config.inputs as u64);
    packed.size() as u64 + cache + LOGITS + experts + blocks + REST
}

fn find(name: &str) -> Result<Found, Failure> {
    // What is built in needs no folder to be looked for in.
    if let Some(embedded) = embedded::by_name(name) {
        return Ok(Found {
            name: Some(name.to_owned()),
            model: embedded.open(),
        });
    }
    Store::of_user()
        .and_then(|store| store.find(name))
        .map_err(|error| Failure::Said(error.to_string()))
}

/// What frames call the model.
fn identity(model: &Model) -> [u8; 8] {
    model.reference().identity
}
