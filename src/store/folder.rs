//! The folder of packed models on this machine.
//!
//! ```text
//! models/<64 hex digits>.llmzmodel   a packed model, named by its BLAKE3 identity
//! names/<name>                       the identity that a name stands for
//! ```
//!
//! `notes.rs` adds what is noted of models that were fetched and of devices.
//!
//! A packed model is a new file that is hashed, synced and then given its name, so a file in the
//! store is complete. It may be damaged later; therefore [`Store::open`] hashes what it reads, and
//! refuses a file that does not have the identity in its name. Models are found in an older folder,
//! too, but only added to the first. Processes that change a store at the same time wait for each
//! other.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::catalogue::{self, Entry};
use super::error::StoreError;
use super::file::{at, finish};
use super::hex::{hex, unhex};
use super::name::{is_free_name, is_name};
use super::notes::{self, Origin, origin_path};
use super::pin::Pin;
use super::place::Place;
use super::{embedded, location};
use crate::machine::new_file::{self, NewFile, Placing};
use crate::machine::regular_file::{self, CopyError};
use crate::packed::{Description, PackedError, PackedModel};

/// The extension of packed files.
pub const EXTENSION: &str = "llmzmodel";

/// A model that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// BLAKE3 of the packed file.
    pub identity: [u8; 32],
    /// Whether it is built in.
    pub built_in: bool,
}

/// A model that was found and opened.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The model itself.
    pub model: Arc<PackedModel>,
}

/// A folder of packed models.
#[derive(Debug, Clone)]
pub struct Store {
    /// The folders that models are found in; they are added to the first. Empty where nothing says
    /// where they could be.
    homes: Vec<PathBuf>,
}

impl Store {
    /// The store of this user: `LLMZIP_HOME`, else `llmzip` in the platform's folder for data. If
    /// the environment names neither, it holds the built-in models and takes no others.
    pub fn of_user() -> Store {
        let location = location::of_user().into_iter();
        let homes = location.flat_map(|location| [location.home].into_iter().chain(location.older));
        Store {
            homes: homes.collect(),
        }
    }

    /// The store in the folder `home`, which need not exist yet.
    pub fn at(home: impl Into<PathBuf>) -> Store {
        Store {
            homes: vec![home.into()],
        }
    }

    /// The folder that models are added to.
    fn home(&self) -> Result<&Path, StoreError> {
        let first = self.homes.first().ok_or(StoreError::NoHome)?;
        Ok(first)
    }

    /// The path of the packed model with this identity; where it would be, if it is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoHome`] if the store has no folder.
    pub fn path_of(&self, identity: &[u8; 32]) -> Result<PathBuf, StoreError> {
        let mut paths = self.homes.iter().map(|home| packed_path(home, identity));
        match paths.find(|path| path.exists()) {
            Some(there) => Ok(there),
            None => Ok(packed_path(self.home()?, identity)),
        }
    }

    /// Checks that a new model may have this name.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadName`] or [`StoreError::Reserved`].
    pub fn check_name(&self, name: &str) -> Result<(), StoreError> {
        if !is_name(name) {
            return Err(StoreError::BadName(name.to_owned()));
        }
        match is_free_name(name) {
            true => Ok(()),
            false => Err(StoreError::Reserved(name.to_owned())),
        }
    }

    /// Creates an empty file in the store. Write a packed model into it and pass it to
    /// [`Store::add`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the store cannot be written, [`StoreError::NoHome`] if it has no
    /// folder.
    pub fn new_file(&self) -> Result<NewFile, StoreError> {
        let folder = models(self.home()?);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        delete_leftovers(&folder);
        NewFile::create_in(&folder).map_err(at(&folder))
    }

    /// Adds a packed file to the store under `name`, after checking it, every weight included. Also
    /// gives the model, which has been read for that.
    ///
    /// To add the same model under the same name again replaces its file, which may be damaged.
    ///
    /// # Errors
    ///
    /// If the name is taken or not allowed, the packed file is unsound, or the store cannot be
    /// written.
    pub fn add(
        &self,
        file: NewFile,
        name: &str,
    ) -> Result<(Installed, Arc<PackedModel>), StoreError> {
        self.check_name(name)?;
        let model = PackedModel::from_file(file.file());
        let model = model.map_err(|error| StoreError::Packed {
            name: name.to_owned(),
            error,
        })?;
        let identity = model.identity();
        let _lock = self.lock()?;
        let name_path = names(self.home()?).join(name);
        if is_no_file(&name_path) {
            return Err(at(&name_path)(regular_file::another_kind()));
        }
        match self.identity_of(name)? {
            Some(other) if other != identity => return Err(StoreError::Taken(name.to_owned())),
            _ => {}
        }
        self.place(file, name, &identity)?;
        let installed = Installed {
            name: name.to_owned(),
            identity,
            built_in: false,
        };
        Ok((installed, Arc::new(model)))
    }

    /// Puts a packed model in place and then its name, or leaves nothing of either. A process that
    /// is killed between the two leaves a packed model without a name, which the same model uses
    /// when it is added again.
    fn place(&self, file: NewFile, name: &str, identity: &[u8; 32]) -> Result<(), StoreError> {
        let home = self.home()?;
        let path = packed_path(home, identity);
        finish(&file).map_err(at(&path))?;
        let name_path = names(home).join(name);
        let name_file = match self.identity_of(name)? {
            Some(_) => None,
            None => Some(new_name(&name_path, identity).map_err(at(&name_path))?),
        };
        let is_new = fs::symlink_metadata(&path).is_err();
        {
            // Dropped before `name_file`, whose end waits for it.
            let mut placing = Placing::begin();
            placing.put(file, &path, true).map_err(at(&path))?;
            if let Some(name_file) = name_file
                && let Err(error) = placing.put(name_file, &name_path, false)
            {
                if is_new {
                    let _ = fs::remove_file(&path);
                }
                return Err(at(&name_path)(error));
            }
        }
        for path in [&path, &name_path] {
            // Where folders cannot be synced, a loss of power may take the name away again.
            let _ = new_file::sync_folder(path);
        }
        Ok(())
    }

    /// Waits until no other process changes the store; none does while the result lives. Where
    /// files cannot be locked, it does not wait.
    fn lock(&self) -> Result<Option<File>, StoreError> {
        let path = self.home()?.join("lock");
        let lock = match regular_file::open_or_create(&path) {
            Ok(lock) => lock,
            Err(error) if regular_file::is_of_another_kind(&error) => {
                return Err(at(&path)(error));
            }
            Err(_) => return Ok(None),
        };
        loop {
            match lock.lock() {
                Ok(()) => return Ok(Some(lock)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// Adds a packed model, given as bytes, to the store under `name`.
    ///
    /// # Errors
    ///
    /// As [`Store::add`].
    pub fn add_bytes(&self, bytes: &[u8], name: &str) -> Result<Installed, StoreError> {
        let mut file = self.new_file()?;
        file.write_all(bytes).map_err(at(self.home()?))?;
        Ok(self.add(file, name)?.0)
    }

    /// Adds a copy of the packed file at `path` to the store under `name`.
    ///
    /// # Errors
    ///
    /// As [`Store::add`].
    pub fn add_packed(&self, path: &Path, name: &str) -> Result<Installed, StoreError> {
        let from = regular_file::open(path).map_err(at(path))?;
        let mut file = self.new_file()?;
        match regular_file::copy(from, &mut file) {
            Ok(()) => Ok(self.add(file, name)?.0),
            Err(CopyError::Read(error)) => Err(at(path)(error)),
            Err(CopyError::Write(error)) => Err(at(self.home()?)(error)),
        }
    }

    /// The identity that a name in the store stands for; `None` if there is none.
    fn identity_of(&self, name: &str) -> Result<Option<[u8; 32]>, StoreError> {
        for home in &self.homes {
            let path = names(home).join(name);
            if let Some(text) = read_name(&path).map_err(at(&path))? {
                let identity = unhex(text.trim_end());
                let damaged = || StoreError::DamagedName(name.to_owned());
                return identity.ok_or_else(damaged).map(Some);
            }
        }
        Ok(None)
    }

    /// The names of all models: the built-in ones from the smallest to the largest, then those in
    /// the store, sorted. A name may stand for a model that cannot be opened.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the store exists and cannot be read.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let built_in = embedded::ALL.iter().map(|model| model.name.to_owned());
        Ok(built_in.chain(self.stored_names()?).collect())
    }

    /// The names in the store, sorted.
    fn stored_names(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut found = BTreeSet::new();
        for home in &self.homes {
            let folder = names(home);
            match fs::read_dir(&folder) {
                Ok(entries) => {
                    for entry in entries {
                        let entry = entry.map_err(at(&folder))?;
                        let name = entry.file_name().into_string().ok();
                        let may_be_name = !is_no_file(&entry.path());
                        found.extend(name.filter(|name| may_be_name && is_name(name)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&folder)(error)),
            }
        }
        Ok(found)
    }

    /// The model that is called `name`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] if there is none, [`StoreError::Io`] or [`StoreError::DamagedName`]
    /// if the store does not say which one it is.
    pub fn installed(&self, name: &str) -> Result<Installed, StoreError> {
        if let Some(model) = embedded::by_name(name) {
            return Ok(Installed {
                name: name.to_owned(),
                identity: model.identity,
                built_in: true,
            });
        }
        let stored = match is_name(name) {
            true => self.identity_of(name)?,
            false => None,
        };
        Ok(Installed {
            name: name.to_owned(),
            identity: stored.ok_or_else(|| StoreError::Unknown(name.to_owned()))?,
            built_in: false,
        })
    }

    /// Reads a listed model, and checks that it is what was added.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if its content has changed, [`StoreError::Missing`] if it is not
    /// there, [`StoreError::Packed`] if it cannot be read.
    pub fn open(&self, installed: &Installed) -> Result<Arc<PackedModel>, StoreError> {
        if let Some(model) = built_in(installed) {
            return Ok(model.open());
        }
        let path = self.path_of(&installed.identity)?;
        let opened = PackedModel::open_with_identity(path, installed.identity);
        opened
            .map(Arc::new)
            .map_err(|error| cannot_open(installed, error))
    }

    /// What the header of a listed model says.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; of the content only the header is read.
    pub fn describe(&self, installed: &Installed) -> Result<Description, StoreError> {
        if let Some(model) = built_in(installed) {
            let model = model.open();
            return Ok(Description {
                config: model.config().clone(),
                size: model.size() as u64,
            });
        }
        Description::read(self.path_of(&installed.identity)?)
            .map_err(|error| cannot_open(installed, error))
    }

    /// Opens a model by its name, a packed file by its path, or a model that was fetched by its
    /// repository, `owner/repo`. For a short name of the catalogue, a model with the same weights
    /// serves, whatever it is called.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] if there is no such model, [`StoreError::Folder`] if the path is
    /// that of a folder, or why the model cannot be opened.
    pub fn find(&self, wanted: &str) -> Result<Found, StoreError> {
        let path = Path::new(wanted);
        if wanted.is_empty() {
            return Err(StoreError::BadName(String::new()));
        }
        if is_path(wanted) {
            return match self.fetched_from(wanted) {
                Some(identity) if !path.exists() => self.open_identity(identity),
                _ => open_path(path, wanted),
            };
        }
        match self.installed(wanted) {
            Err(StoreError::Unknown(name)) => match self.of_entry(&name) {
                Some(identity) => self.open_identity(identity),
                None => Err(StoreError::Unknown(name)),
            },
            installed => self.found(installed?),
        }
    }

    /// A model in the store whose origin is wanted.
    fn of_origin(&self, is_wanted: &dyn Fn(&Origin) -> bool) -> Option<[u8; 32]> {
        let identities = notes::of_origin(&self.homes, is_wanted);
        identities.into_iter().find(|identity| self.has(identity))
    }

    /// The model that was fetched from a repository, `owner/repo[@commit][:file]`: its folder, or a
    /// GGUF file of it whose name contains `file`.
    fn fetched_from(&self, wanted: &str) -> Option<[u8; 32]> {
        let place = Place::split(wanted);
        let file = place.file.map(str::to_ascii_lowercase);
        let is_there = |origin: &Origin| {
            origin.repository.eq_ignore_ascii_case(place.repository)
                && place.revision.is_none_or(|commit| origin.commit == commit)
        };
        let folder = self.of_origin(&|origin| is_there(origin) && origin.file.is_none());
        folder.filter(|_| file.is_none()).or_else(|| {
            self.of_origin(&|origin| {
                let found = origin.file.as_ref().map(|it| it.to_ascii_lowercase());
                let is_wanted = |found: &String| file.as_ref().is_none_or(|it| found.contains(it));
                is_there(origin) && found.as_ref().is_some_and(is_wanted)
            })
        })
    }

    /// A model with the weights that a short name stands for: fetched from the same repository and
    /// commit, or measured as that model.
    fn of_entry(&self, name: &str) -> Option<[u8; 32]> {
        let entry = catalogue::entry(name)?;
        let commit = self.pinned(entry).ok()?.map(|pin| pin.commit);
        let fetched = self.of_origin(&|origin| {
            let is_pinned = commit
                .as_ref()
                .is_none_or(|commit| *commit == origin.commit);
            origin.repository == entry.repository && origin.file.is_none() && is_pinned
        });
        fetched.or_else(|| {
            let identity = unhex(entry.measured?.identity)?;
            self.has(&identity).then_some(identity)
        })
    }

    /// Whether the packed model with this identity is in the store.
    fn has(&self, identity: &[u8; 32]) -> bool {
        self.path_of(identity).is_ok_and(|path| path.is_file())
    }

    /// Opens the model with this identity, which may have a name.
    fn open_identity(&self, identity: [u8; 32]) -> Result<Found, StoreError> {
        let names = self.stored_names().unwrap_or_default();
        let mut models = names.iter().filter_map(|name| self.installed(name).ok());
        match models.find(|model| model.identity == identity) {
            Some(installed) => self.found(installed),
            None => self.open_nameless(identity),
        }
    }

    fn open_nameless(&self, identity: [u8; 32]) -> Result<Found, StoreError> {
        let installed = Installed {
            name: hex(&identity[..8]),
            identity,
            built_in: false,
        };
        Ok(Found {
            name: None,
            model: self.open(&installed)?,
        })
    }

    /// The identity of the model that [`Store::find`] opens for a short name, if there is one.
    pub fn serves(&self, short_name: &str) -> Option<[u8; 32]> {
        match self.installed(short_name) {
            Ok(installed) => Some(installed.identity),
            Err(_) => self.of_entry(short_name),
        }
    }

    fn found(&self, installed: Installed) -> Result<Found, StoreError> {
        Ok(Found {
            model: self.open(&installed)?,
            name: Some(installed.name),
        })
    }

    /// Opens the model whose identity begins with these 8 bytes, which the frames of a file hold;
    /// `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the model is there but cannot be opened, or may be there under a name that cannot be
    /// read.
    pub fn find_identity(&self, start: &[u8; 8]) -> Result<Option<Found>, StoreError> {
        let matches = |identity: &[u8; 32]| identity[..8] == start[..];
        if let Some(model) = embedded::ALL.iter().find(|m| matches(&m.identity)) {
            return Ok(Some(Found {
                name: Some(model.name.to_owned()),
                model: model.open(),
            }));
        }
        let mut unreadable = None;
        for name in self.stored_names()? {
            match self.installed(&name) {
                Ok(installed) if matches(&installed.identity) => {
                    return Ok(Some(Found {
                        model: self.open(&installed)?,
                        name: Some(installed.name),
                    }));
                }
                Ok(_) => {}
                Err(error) => unreadable = Some(error),
            }
        }
        match (self.find_nameless(&matches)?, unreadable) {
            (None, Some(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }

    /// Opens a packed model that has lost its name, by the identity in the name of its file.
    fn find_nameless(
        &self,
        matches: &dyn Fn(&[u8; 32]) -> bool,
    ) -> Result<Option<Found>, StoreError> {
        for home in &self.homes {
            let entries = fs::read_dir(models(home)).into_iter().flatten().flatten();
            let mut identities = entries.filter_map(|entry| {
                let path = PathBuf::from(entry.file_name());
                let is_packed = path.extension().is_some_and(|e| e == EXTENSION);
                unhex(path.file_stem()?.to_str()?).filter(|_| is_packed)
            });
            let Some(identity) = identities.find(|identity| matches(identity)) else {
                continue;
            };
            return self.open_nameless(identity).map(Some);
        }
        Ok(None)
    }

    /// Reads a model and checks its identity and every weight.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if the content does not have the model's identity,
    /// [`StoreError::Packed`] if it is unsound.
    pub fn verify(&self, installed: &Installed) -> Result<(), StoreError> {
        self.open(installed)?
            .verify()
            .map_err(|error| cannot_open(installed, error))
    }

    /// Notes where a packed model came from.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] or [`StoreError::NoHome`] if it cannot be written.
    pub fn note_origin(&self, identity: &[u8; 32], origin: &Origin) -> Result<(), StoreError> {
        notes::note_origin(self.home()?, identity, origin)
    }

    /// Where a packed model came from, if that was noted.
    pub fn origin(&self, identity: &[u8; 32]) -> Option<Origin> {
        notes::origin(&self.homes, identity)
    }

    /// Whether a device computes the same bits as the processor, if that was noted under `key`,
    /// which names the device and all that the outcome depends on.
    pub fn device_verdict(&self, key: &str) -> Option<bool> {
        notes::device_verdict(&self.homes, key)
    }

    /// Notes whether a device computes the same bits as the processor.
    ///
    /// # Errors
    ///
    /// As [`Store::note_origin`].
    pub fn note_device_verdict(&self, key: &str, is_sound: bool) -> Result<(), StoreError> {
        notes::note_device_verdict(self.home()?, key, is_sound)
    }

    /// Pins a short name to what was fetched for it.
    ///
    /// # Errors
    ///
    /// As [`Store::note_origin`].
    pub fn pin(&self, entry: &Entry, pin: &Pin) -> Result<(), StoreError> {
        notes::pin(self.home()?, entry, pin)
    }

    /// What a short name stands for: on every machine, or since it was first fetched on this one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the note is there and cannot be read.
    pub fn pinned(&self, entry: &Entry) -> Result<Option<Pin>, StoreError> {
        notes::pinned(&self.homes, entry)
    }

    /// Removes a name, and deletes the packed file if no other name stands for it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] if there is no such name, [`StoreError::BuiltIn`] if it is that of a
    /// built-in model.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        if embedded::by_name(name).is_some() {
            return Err(StoreError::BuiltIn(name.to_owned()));
        }
        if !is_name(name) {
            return Err(StoreError::BadName(name.to_owned()));
        }
        let _lock = self.lock()?;
        let paths = self.homes.iter().map(|home| names(home).join(name));
        let paths: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
        if paths.is_empty() {
            return Err(StoreError::Unknown(name.to_owned()));
        }
        let identity = match self.identity_of(name) {
            Ok(identity) => identity,
            Err(StoreError::DamagedName(_)) => None,
            Err(error) => return Err(error),
        };
        let to_delete = match identity {
            Some(identity) if !self.has_other_name(&identity, name)? => Some(identity),
            _ => None,
        };
        let removed = self.delete_all(&paths, to_delete.as_ref());
        if let (Err(_), Some(identity)) = (&removed, &identity)
            && self.path_of(identity)?.exists()
        {
            // So that what is left can be used, and removed later.
            let _ = new_name(&paths[0], identity).and_then(|file| {
                // The name is there still if the system refused to delete it.
                file.put_in_place(&paths[0], false)
            });
        }
        removed
    }

    /// Whether another name stands for the same model. If one cannot be read, it may.
    fn has_other_name(&self, identity: &[u8; 32], name: &str) -> Result<bool, StoreError> {
        for other in self.stored_names()? {
            if other != name && self.installed(&other)?.identity == *identity {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes names, then the packed model with this identity, as if in one step.
    fn delete_all(&self, names: &[PathBuf], model: Option<&[u8; 32]>) -> Result<(), StoreError> {
        let _signals_wait = Placing::begin();
        for path in names {
            fs::remove_file(path).map_err(at(path))?;
        }
        let packed = |home: &PathBuf| Some(packed_path(home, model?));
        self.homes
            .iter()
            .filter_map(packed)
            .try_for_each(|path| delete(&path))?;
        let origin = |home: &PathBuf| Some(origin_path(home, model?));
        self.homes
            .iter()
            .filter_map(origin)
            .try_for_each(|path| delete(&path))
    }
}

/// Whether a model is named by the path of its packed file and not by a name in the store: it
/// contains a `/`, begins with a `.` or ends in `.llmzmodel`.
pub fn is_path(wanted: &str) -> bool {
    let path = Path::new(wanted);
    path.components().count() > 1
        || wanted.starts_with(['/', '.'])
        || path.extension().is_some_and(|e| e == EXTENSION)
}

fn models(home: &Path) -> PathBuf {
    home.join("models")
}

fn names(home: &Path) -> PathBuf {
    home.join("names")
}

fn packed_path(home: &Path, identity: &[u8; 32]) -> PathBuf {
    models(home).join(format!("{}.{EXTENSION}", hex(identity)))
}

fn built_in(installed: &Installed) -> Option<&'static embedded::Embedded> {
    embedded::by_name(&installed.name).filter(|_| installed.built_in)
}

fn cannot_open(installed: &Installed, error: PackedError) -> StoreError {
    let name = installed.name.clone();
    match error {
        PackedError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            StoreError::Missing(name)
        }
        PackedError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            StoreError::Packed {
                name,
                error: error.into(),
            }
        }
        error @ (PackedError::Machine(_) | PackedError::Changed) => {
            StoreError::Packed { name, error }
        }
        // It was sound when it was added.
        _ => StoreError::Damaged {
            name,
            identity: hex(&installed.identity),
        },
    }
}

/// The content of the file of a name; `None` if there is no such file.
fn read_name(path: &Path) -> io::Result<Option<String>> {
    /// Longer than any identity in digits.
    const MAX_LEN: u64 = 128;
    let mut text = Vec::new();
    match fs::metadata(path) {
        // Nothing else is a name. A pipe would keep a reader waiting.
        Ok(metadata) if metadata.is_file() => {
            File::open(path)?.take(MAX_LEN).read_to_end(&mut text)?;
            // What is no UTF-8 is no identity, either.
            Ok(Some(String::from_utf8_lossy(&text).into_owned()))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether it is a folder, a pipe or a device, and so never the file of a name.
fn is_no_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

fn delete(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Deletes what interrupted processes of earlier versions left among the models.
fn delete_leftovers(folder: &Path) {
    /// No process takes that long to pack a model.
    const AGE: Duration = Duration::from_secs(24 * 60 * 60);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_old = |entry: &fs::DirEntry| {
            let age = entry.metadata().and_then(|metadata| metadata.modified());
            age.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > AGE))
        };
        if entry.file_name().to_string_lossy().starts_with(".new-") && is_old(&entry) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Opens the packed file at `path`, which messages call `wanted`.
fn open_path(path: &Path, wanted: &str) -> Result<Found, StoreError> {
    if path.is_dir() {
        return Err(StoreError::Folder(wanted.to_owned()));
    }
    let model = PackedModel::open(path).map_err(|error| StoreError::Packed {
        name: wanted.to_owned(),
        error,
    })?;
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    Ok(Found {
        name: stem.filter(|stem| is_free_name(stem)).map(str::to_owned),
        model: Arc::new(model),
    })
}

/// The file of a name, which is not in place yet.
fn new_name(path: &Path, identity: &[u8; 32]) -> io::Result<NewFile> {
    fs::create_dir_all(new_file::folder(path))?;
    let mut file = NewFile::create(path)?;
    writeln!(file, "{}", hex(identity))?;
    finish(&file)?;
    Ok(file)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::embedded::FIXTURE;

    /// A store in a folder of its own.
    pub(in crate::store) fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("home"));
        (folder, store)
    }

    fn own(store: &Store) -> Vec<String> {
        store.stored_names().unwrap().into_iter().collect()
    }

    #[test]
    fn a_model_is_added_found_verified_and_removed() {
        let (_folder, store) = store();
        assert!(own(&store).is_empty());
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        assert_eq!(added.identity, *blake3::hash(FIXTURE).as_bytes());
        assert_eq!(store.add_bytes(FIXTURE, "tiny").unwrap(), added);
        assert_eq!(own(&store), ["tiny"]);
        assert_eq!(
            fs::read(store.path_of(&added.identity).unwrap()).unwrap(),
            FIXTURE
        );

        let found = store.find("tiny").unwrap();
        assert_eq!(found.model.identity(), added.identity);
        let start = added.identity[..8].try_into().unwrap();
        let found = store.find_identity(&start).unwrap().unwrap();
        assert_eq!(found.name.as_deref(), Some("tiny"));
        assert!(store.find_identity(&[0; 8]).unwrap().is_none());
        store.verify(&added).unwrap();

        let path = store.path_of(&added.identity).unwrap();
        let by_path = store.find(path.to_str().unwrap()).unwrap();
        assert_eq!(by_path.model.hash(), added.identity);

        store.add_bytes(FIXTURE, "twin").unwrap();
        store.remove("tiny").unwrap();
        assert!(path.exists() && store.find("twin").is_ok());
        store.remove("twin").unwrap();
        assert!(!path.exists() && own(&store).is_empty());
        let error = store.remove("twin").unwrap_err();
        assert!(matches!(error, StoreError::Unknown(_)), "{error}");
        assert!(store.find("twin").is_err());
    }

    #[test]
    fn nothing_temporary_is_left() {
        let (_folder, store) = store();
        store.add_bytes(FIXTURE, "tiny").unwrap();
        assert!(store.add_bytes(b"no model", "other").is_err());
        let files = fs::read_dir(models(store.home().unwrap())).unwrap().count();
        assert_eq!((files, own(&store).len()), (1, 1));
    }

    #[test]
    fn a_model_whose_name_cannot_be_written_is_not_added() {
        let (_folder, store) = store();
        fs::create_dir(store.home().unwrap()).unwrap();
        fs::write(
            names(store.home().unwrap()),
            "a file where a folder should be",
        )
        .unwrap();
        store.add_bytes(FIXTURE, "tiny").unwrap_err();
        assert_eq!(
            fs::read_dir(models(store.home().unwrap())).unwrap().count(),
            0
        );
    }

    #[test]
    fn without_a_folder_there_are_the_built_in_models() {
        let store = Store { homes: Vec::new() };
        let built_in = embedded::ALL.iter().map(|model| model.name.to_owned());
        assert!(store.names().unwrap().into_iter().eq(built_in));
        assert!(store.find_identity(&[0; 8]).unwrap().is_none());
        let error = store.find("tiny").unwrap_err();
        assert!(matches!(error, StoreError::Unknown(_)), "{error}");
        let error = store.add_bytes(FIXTURE, "tiny").unwrap_err();
        assert!(matches!(error, StoreError::NoHome), "{error}");
        let error = store.remove("tiny").unwrap_err();
        assert!(matches!(error, StoreError::NoHome), "{error}");
    }

    #[test]
    fn a_name_that_holds_no_identity_hides_no_other_and_can_be_removed() {
        let (_folder, store) = store();
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        let start = added.identity[..8].try_into().unwrap();
        for content in [&b"junk\xff"[..], b"", &[b'0'; 200]] {
            fs::write(names(store.home().unwrap()).join("junk"), content).unwrap();
            assert_eq!(own(&store), ["junk", "tiny"]);
            let is_damaged = |error| matches!(error, StoreError::DamagedName(_));
            assert!(is_damaged(store.find("junk").unwrap_err()));
            assert!(is_damaged(store.add_bytes(FIXTURE, "junk").unwrap_err()));
            assert!(is_damaged(store.find_identity(&[0; 8]).unwrap_err()));
            assert!(store.find("tiny").is_ok());
            assert!(store.find_identity(&start).unwrap().is_some());
            store.remove("junk").unwrap();
            assert_eq!(own(&store), ["tiny"]);
        }
        // What needs a model finds it without its name.
        fs::write(names(store.home().unwrap()).join("tiny"), "junk").unwrap();
        assert!(store.find("tiny").is_err());
        let found = store.find_identity(&start).unwrap().unwrap();
        assert_eq!((found.name, found.model.identity()), (None, added.identity));
        store.remove("tiny").unwrap();
        assert!(store.find_identity(&start).unwrap().is_some());
    }

    #[test]
    fn a_missing_or_truncated_file_is_named_as_what_it_is() {
        let (_folder, store) = store();
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        let path = store.path_of(&added.identity).unwrap();
        for len in [0, 5, 100, FIXTURE.len() - 1] {
            fs::write(&path, &FIXTURE[..len]).unwrap();
            let error = store.open(&added).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
        fs::write(&path, &FIXTURE[..5]).unwrap();
        let error = store.describe(&added).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        fs::remove_file(path).unwrap();
        for error in [
            store.open(&added).unwrap_err(),
            store.describe(&added).unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Missing(_)), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_removed_while_another_name_cannot_be_read() {
        let (_folder, store) = store();
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        let unreadable = names(store.home().unwrap()).join("twin");
        // A link to itself cannot be read by root, either.
        std::os::unix::fs::symlink("twin", &unreadable).unwrap();
        store.remove("tiny").unwrap_err();
        assert!(store.find("tiny").is_ok());
        assert!(names(store.home().unwrap()).join("tiny").exists());
        assert!(store.path_of(&added.identity).unwrap().exists());
        fs::remove_file(unreadable).unwrap();
        store.remove("tiny").unwrap();
    }

    #[test]
    fn a_model_that_cannot_be_deleted_keeps_its_name() {
        let (_folder, store) = store();
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        // What the system refuses to delete as a file.
        let path = store.path_of(&added.identity).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        store.remove("tiny").unwrap_err();
        assert_eq!(own(&store), ["tiny"]);
        fs::remove_dir(&path).unwrap();
        store.remove("tiny").unwrap();
        assert!(own(&store).is_empty());
    }

    #[test]
    fn a_damaged_model_is_not_opened_and_adding_it_again_mends_it() {
        let (_folder, store) = store();
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        let start = added.identity[..8].try_into().unwrap();
        let mut bytes = FIXTURE.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(store.path_of(&added.identity).unwrap(), &bytes).unwrap();
        for error in [
            store.open(&added).unwrap_err(),
            store.find("tiny").unwrap_err(),
            store.find_identity(&start).unwrap_err(),
            store.verify(&added).unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
        fs::write(
            store.path_of(&added.identity).unwrap(),
            &bytes[..bytes.len() / 2],
        )
        .unwrap();
        assert!(store.find("tiny").is_err());
        store.add_bytes(FIXTURE, "tiny").unwrap();
        assert!(store.find("tiny").is_ok());
    }

    #[test]
    fn models_are_found_in_the_older_folder_and_added_to_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let [new, old] = ["new", "old"].map(|name| folder.path().join(name));
        let added = Store::at(&old).add_bytes(FIXTURE, "tiny").unwrap();
        let store = Store {
            homes: vec![new.clone(), old.clone()],
        };
        assert_eq!(own(&store), ["tiny"]);
        assert!(store.find("tiny").is_ok());
        assert!(store.path_of(&added.identity).unwrap().starts_with(&old));
        store.add_bytes(FIXTURE, "twin").unwrap();
        assert!(store.path_of(&added.identity).unwrap().starts_with(&new));
        store.remove("tiny").unwrap();
        assert_eq!(own(&store), ["twin"]);
        store.remove("twin").unwrap();
        assert!(!packed_path(&new, &added.identity).exists());
        assert!(!packed_path(&old, &added.identity).exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_no_name_and_keeps_nobody_waiting() {
        let (_folder, store) = store();
        store.add_bytes(FIXTURE, "tiny").unwrap();
        fs::create_dir(names(store.home().unwrap()).join("folder")).unwrap();
        let pipe = names(store.home().unwrap()).join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert_eq!(own(&store), ["tiny"]);
        for name in ["folder", "pipe"] {
            assert!(store.find(name).is_err());
            assert!(store.remove(name).is_err());
            let error = store.add_bytes(FIXTURE, name).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("{name}: not a regular file")),
                "{error}"
            );
        }
        assert!(store.find(pipe.to_str().unwrap()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_is_no_file_keeps_nobody_waiting_and_one_that_is_a_link_empties_nothing() {
        let (folder, store) = store();
        store.add_bytes(FIXTURE, "tiny").unwrap();
        let lock = store.home().unwrap().join("lock");
        fs::remove_file(&lock).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&lock).status();
        assert!(made.unwrap().success());
        for error in [
            store.add_bytes(FIXTURE, "twin").unwrap_err(),
            store.remove("tiny").unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.ends_with("lock: not a regular file"), "{error}");
        }
        fs::remove_file(&lock).unwrap();
        let precious = folder.path().join("precious");
        fs::write(&precious, "precious").unwrap();
        std::os::unix::fs::symlink(&precious, &lock).unwrap();
        store.remove("tiny").unwrap();
        assert_eq!(fs::read(precious).unwrap(), b"precious");
    }

    #[test]
    fn of_two_that_take_a_name_at_once_one_gets_it() {
        let (_folder, store) = store();
        let other = crate::packed::random::model(&crate::arch::config::tests::tiny());
        let add = |bytes: &[u8]| store.add_bytes(bytes, "tiny").is_ok();
        let (one, two) = std::thread::scope(|scope| {
            let one = scope.spawn(|| add(FIXTURE));
            let two = scope.spawn(|| add(&other));
            (one.join().unwrap(), two.join().unwrap())
        });
        assert!(one != two);
        assert!(store.find("tiny").is_ok());
    }

    #[test]
    fn a_model_that_is_added_while_its_other_name_is_removed_stays() {
        let (_folder, store) = store();
        for round in 0..20 {
            store.add_bytes(FIXTURE, "old").unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| store.remove("old").unwrap());
                scope.spawn(|| store.add_bytes(FIXTURE, "new").unwrap());
            });
            assert!(store.find("new").is_ok(), "round {round}");
            store.remove("new").unwrap();
        }
    }

    #[cfg(feature = "builtin")]
    #[test]
    fn names_are_checked() {
        let (_folder, store) = store();
        for bad in ["", ".hidden", "a/b", "-x", "a b", "é", &"x".repeat(65)] {
            let error = store.add_bytes(FIXTURE, bad).unwrap_err();
            assert!(matches!(error, StoreError::BadName(_)), "{bad}");
        }
        let built_in = embedded::ALL[0].name;
        let error = store.add_bytes(FIXTURE, built_in).unwrap_err();
        assert!(matches!(error, StoreError::Reserved(_)));
        assert!(store.find(built_in).is_ok());
        store.add_bytes(FIXTURE, "tiny").unwrap();
        let error = store.add_bytes(embedded::ALL[0].bytes, "tiny").unwrap_err();
        assert!(matches!(error, StoreError::Taken(_)));
    }
}
