//! The folder of packed models on this machine.
//!
//! ```text
//! models/<64 hex digits>.llmzmodel   a packed model, named by its BLAKE3 identity
//! names/<name>                       the identity that a name stands for
//! ```
//!
//! A packed model is written to a temporary file, hashed, synced and renamed. So the contents of a
//! file had the identity in its name when it was written. Opening a file trusts its name, because
//! hashing 134 MB takes a quarter of a second. [`Store::verify`] hashes again. Two processes that
//! add the same model at the same time write equal bytes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::error::StoreError;
use super::hex::{hex, unhex};
use super::name::is_name;
use super::{embedded, location};
use crate::packed::PackedModel;

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
    home: PathBuf,
}

impl Store {
    /// The store of this user: `LLMZIP_HOME`, else `llmzip` in the platform's cache folder.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoHome`] if the environment names neither.
    pub fn of_user() -> Result<Store, StoreError> {
        location::of_user().map(Store::at).ok_or(StoreError::NoHome)
    }

    /// The store in the folder `home`, which need not exist yet.
    pub fn at(home: impl Into<PathBuf>) -> Store {
        Store { home: home.into() }
    }

    fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    fn names(&self) -> PathBuf {
        self.home.join("names")
    }

    /// The path of the packed model with this identity, whether it is there or not.
    pub fn path_of(&self, identity: &[u8; 32]) -> PathBuf {
        self.models().join(format!("{}.{EXTENSION}", hex(identity)))
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
        match embedded::by_name(name) {
            Some(_) => Err(StoreError::Reserved(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Creates an empty temporary file in the store. Write a packed model into it and pass it to
    /// [`Store::add`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the store cannot be written.
    pub fn new_file(&self) -> Result<NamedTempFile, StoreError> {
        let folder = self.models();
        fs::create_dir_all(&folder)
            .and_then(|()| {
                tempfile::Builder::new()
                    .prefix(".new-")
                    .tempfile_in(&folder)
            })
            .map_err(at(&folder))
    }

    /// Adds a packed file to the store under `name`, after checking it, every weight included.
    ///
    /// To add the same model under the same name again changes nothing.
    ///
    /// # Errors
    ///
    /// If the name is taken or not allowed, the packed file is unsound, or the store cannot be
    /// written.
    pub fn add(&self, file: NamedTempFile, name: &str) -> Result<Installed, StoreError> {
        self.check_name(name)?;
        let sound = || {
            let model = PackedModel::open(file.path())?;
            model.verify()?;
            Ok(model.hash())
        };
        let identity = sound().map_err(|error| StoreError::Packed {
            name: name.to_owned(),
            error,
        })?;
        match self.identity_of(name)? {
            Some(other) if other != identity => return Err(StoreError::Taken(name.to_owned())),
            _ => {}
        }
        let path = self.path_of(&identity);
        persist(file, &path).map_err(at(&path))?;
        self.write_name(name, &identity)?;
        Ok(Installed {
            name: name.to_owned(),
            identity,
            built_in: false,
        })
    }

    fn write_name(&self, name: &str, identity: &[u8; 32]) -> Result<(), StoreError> {
        let names = self.names();
        let path = names.join(name);
        let write = || {
            fs::create_dir_all(&names)?;
            let mut file = NamedTempFile::new_in(&names)?;
            writeln!(file, "{}", hex(identity))?;
            persist(file, &path)
        };
        write().map_err(at(&path))
    }

    /// Adds a packed model, given as bytes, to the store under `name`.
    ///
    /// # Errors
    ///
    /// As [`Store::add`].
    pub fn add_bytes(&self, bytes: &[u8], name: &str) -> Result<Installed, StoreError> {
        let mut file = self.new_file()?;
        file.write_all(bytes).map_err(at(file.path()))?;
        self.add(file, name)
    }

    /// Adds a copy of the packed file at `path` to the store under `name`.
    ///
    /// # Errors
    ///
    /// As [`Store::add`].
    pub fn add_packed(&self, path: &Path, name: &str) -> Result<Installed, StoreError> {
        let mut file = self.new_file()?;
        File::open(path)
            .and_then(|mut from| io::copy(&mut from, &mut file))
            .map_err(at(path))?;
        self.add(file, name)
    }

    /// The identity that a name in the store stands for; `None` if there is none.
    fn identity_of(&self, name: &str) -> Result<Option<[u8; 32]>, StoreError> {
        let path = self.names().join(name);
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(128).read_to_string(&mut text)) {
            Ok(_) => Ok(unhex(text.trim_end())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// All models that have names: the built-in ones, then those in the store, sorted by name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the store exists and cannot be read.
    pub fn list(&self) -> Result<Vec<Installed>, StoreError> {
        let mut list: Vec<Installed> = embedded::ALL
            .iter()
            .map(|model| Installed {
                name: model.name.to_owned(),
                identity: model.identity,
                built_in: true,
            })
            .collect();
        for name in self.stored_names()? {
            if let Some(identity) = self.identity_of(&name)? {
                list.push(Installed {
                    name,
                    identity,
                    built_in: false,
                });
            }
        }
        Ok(list)
    }

    /// The names in the store, sorted.
    fn stored_names(&self) -> Result<Vec<String>, StoreError> {
        let folder = self.names();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&folder)(error)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_name(name))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a listed model. Its content is not hashed again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Packed`] if the packed file is missing or unsound.
    pub fn open(&self, installed: &Installed) -> Result<Arc<PackedModel>, StoreError> {
        let opened = match embedded::by_name(&installed.name) {
            Some(model) if installed.built_in => return Ok(model.open()),
            _ => PackedModel::open_with_identity(
                self.path_of(&installed.identity),
                installed.identity,
            ),
        };
        opened.map(Arc::new).map_err(|error| StoreError::Packed {
            name: installed.name.clone(),
            error,
        })
    }

    /// Opens a model by its name, or a packed file by its path. A path contains a `/`, begins with
    /// a `.` or ends in `.llmzmodel`. The file is hashed only when its identity is asked for.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] if there is no such model, [`StoreError::Folder`] if the path is
    /// that of a folder, or why the model cannot be opened.
    pub fn find(&self, wanted: &str) -> Result<Found, StoreError> {
        let path = Path::new(wanted);
        let is_path = path.components().count() > 1
            || wanted.starts_with(['/', '.'])
            || path.extension().is_some_and(|e| e == EXTENSION);
        if is_path {
            return open_path(path, wanted);
        }
        let listed = self.list()?.into_iter().find(|m| m.name == wanted);
        let listed = listed.ok_or_else(|| StoreError::Unknown(wanted.to_owned()))?;
        Ok(Found {
            model: self.open(&listed)?,
            name: Some(listed.name),
        })
    }

    /// Opens the model whose identity begins with these 8 bytes, which the frames of a file hold;
    /// `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the model is there but cannot be opened.
    pub fn find_identity(&self, start: &[u8; 8]) -> Result<Option<Found>, StoreError> {
        let matches = |identity: &[u8; 32]| identity[..8] == start[..];
        if let Some(model) = embedded::ALL.iter().find(|m| matches(&m.identity)) {
            return Ok(Some(Found {
                name: Some(model.name.to_owned()),
                model: model.open(),
            }));
        }
        for installed in self.list()? {
            if matches(&installed.identity) {
                return Ok(Some(Found {
                    model: self.open(&installed)?,
                    name: Some(installed.name),
                }));
            }
        }
        Ok(None)
    }

    /// Hashes a model's content again and checks every weight.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if the content does not have the model's identity,
    /// [`StoreError::Packed`] if it is unsound.
    pub fn verify(&self, installed: &Installed) -> Result<(), StoreError> {
        let model = self.open(installed)?;
        if model.hash() != installed.identity {
            return Err(StoreError::Damaged {
                name: installed.name.clone(),
                identity: hex(&installed.identity),
            });
        }
        model.verify().map_err(|error| StoreError::Packed {
            name: installed.name.clone(),
            error,
        })
    }

    /// Removes a name, and deletes the packed file if no other name stands for it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] if there is no such name, [`StoreError::BuiltIn`] if it is that of a
    /// built-in model.
    pub fn remove(&self, name: &str) -> Result<Installed, StoreError> {
        if embedded::by_name(name).is_some() {
            return Err(StoreError::BuiltIn(name.to_owned()));
        }
        self.check_name(name)?;
        let path = self.names().join(name);
        if !path.exists() {
            return Err(StoreError::Unknown(name.to_owned()));
        }
        let identity = self.identity_of(name)?.unwrap_or_default();
        fs::remove_file(&path).map_err(at(&path))?;
        if !self.list()?.iter().any(|m| m.identity == identity) {
            let packed = self.path_of(&identity);
            match fs::remove_file(&packed) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(&packed)(error));
                }
                _ => {}
            }
        }
        Ok(Installed {
            name: name.to_owned(),
            identity,
            built_in: false,
        })
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
        name: stem.filter(|stem| is_name(stem)).map(str::to_owned),
        model: Arc::new(model),
    })
}

/// Adds to an error of the operating system the path that it is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |error| StoreError::Io { path, error }
}

/// Syncs a temporary file and gives it its name. Unlike temporary files, files in the store are
/// readable by everybody.
fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::FIXTURE;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("home"));
        (folder, store)
    }

    fn own(store: &Store) -> Vec<String> {
        let list = store.list().unwrap().into_iter();
        list.filter(|m| !m.built_in).map(|m| m.name).collect()
    }

    #[test]
    fn a_model_is_added_found_verified_and_removed() {
        let (_folder, store) = store();
        assert!(own(&store).is_empty());
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        assert_eq!(added.identity, *blake3::hash(FIXTURE).as_bytes());
        assert_eq!(store.add_bytes(FIXTURE, "tiny").unwrap(), added);
        assert_eq!(own(&store), ["tiny"]);
        assert_eq!(fs::read(store.path_of(&added.identity)).unwrap(), FIXTURE);

        let found = store.find("tiny").unwrap();
        assert_eq!(found.model.identity(), added.identity);
        let start = added.identity[..8].try_into().unwrap();
        let found = store.find_identity(&start).unwrap().unwrap();
        assert_eq!(found.name.as_deref(), Some("tiny"));
        assert!(store.find_identity(&[0; 8]).unwrap().is_none());
        store.verify(&added).unwrap();

        let path = store.path_of(&added.identity);
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
        let files = fs::read_dir(store.models()).unwrap().count();
        assert_eq!((files, own(&store).len()), (1, 1));
    }

    #[test]
    fn damage_is_noticed_by_verify() {
        let (_folder, store) = store();
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        let mut bytes = FIXTURE.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(store.path_of(&added.identity), &bytes).unwrap();
        assert!(store.verify(&added).is_err());
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
