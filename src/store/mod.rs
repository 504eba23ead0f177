//! The folder of packed models on this machine.
//!
//! Under `LLMZIP_HOME`, else the platform's cache folder:
//!
//! ```text
//! models/<64 hex digits>.llmzmodel   a packed model under its BLAKE3 identity
//! names/<name>                       the identity that a name stands for
//! ```
//!
//! A pack is written under a temporary name, hashed, synced and renamed, so
//! what stands under an identity was that model once; opening trusts the name
//! and never hashes (134 MB take a quarter of a second). [`Store::verify`]
//! hashes again. Two runs that add the same model at once write equal bytes.

use crate::packed::{PackedError, PackedModel};
pub mod embedded;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Ending of packed files.
pub const EXTENSION: &str = "llmzmodel";

/// Why a model could not be found, added or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store's folder or a file in it could not be used.
    #[error("model store: {}: {error}", path.display())]
    Io {
        /// The path concerned.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Neither `LLMZIP_HOME` nor a home folder is set.
    #[error("no folder for models: set LLMZIP_HOME")]
    NoHome,
    /// The name breaks the rules for names.
    #[error(
        "{0:?} is not a model name (1 to 64 letters, digits, '.', '_' or '-', a letter or digit first)"
    )]
    BadName(String),
    /// The name belongs to a model in the binary.
    #[error("{0} is the name of a built-in model; choose another with --name")]
    Reserved(String),
    /// What is to be removed is part of the binary.
    #[error("{0} is built in and cannot be removed")]
    BuiltIn(String),
    /// A folder where a packed file was expected.
    #[error("{0} is a folder; pack it first (llmzip model add {0})")]
    Folder(String),
    /// The name already stands for another model.
    #[error(
        "a different model is already called {0}; remove it first (llmzip model remove {0}) or choose another with --name"
    )]
    Taken(String),
    /// No model has this name, identity or path.
    #[error("no model {0}; {hint}", hint = how_to_find(.0))]
    Unknown(String),
    /// The packed file is broken.
    #[error("model {name}: {error}")]
    Packed {
        /// The model's name.
        name: String,
        /// What is wrong.
        #[source]
        error: PackedError,
    },
    /// The content no longer has the identity it is stored under.
    #[error(
        "model {name} is damaged (its content is not blake3 {identity}); remove it and add it again"
    )]
    Damaged {
        /// The model's name.
        name: String,
        /// The identity it should have, in hexadecimal digits.
        identity: String,
    },
}

/// A model that can be used by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// BLAKE3 of the packed file.
    pub identity: [u8; 32],
    /// Whether it is part of the binary.
    pub built_in: bool,
}

/// A model found and opened.
#[derive(Debug, Clone)]
pub struct Found {
    /// The name it was found under, if it has one.
    pub name: Option<String>,
    /// The model.
    pub model: Arc<PackedModel>,
}

/// The folder of packed models.
#[derive(Debug, Clone)]
pub struct Store {
    home: PathBuf,
}

/// Short names of models that can be fetched, and their repositories.
pub const SHORT_NAMES: [(&str, &str); 3] = [
    ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M"),
    ("smollm2-360m", "HuggingFaceTB/SmolLM2-360M"),
    ("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B"),
];

/// The repository that a short name stands for.
pub fn short_name(name: &str) -> Option<&'static str> {
    let found = SHORT_NAMES.iter().find(|(short, _)| *short == name);
    found.map(|(_, repository)| *repository)
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut identity = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in identity.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(identity)
}

/// Whether `name` may name a model: 1 to 64 ASCII letters, digits, `.`, `_`, `-`, a letter or digit first.
pub fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

impl Store {
    /// The store of this user: `LLMZIP_HOME`, else `llmzip` in the platform's cache folder.
    ///
    /// # Errors
    /// [`StoreError::NoHome`] if the environment names neither.
    pub fn of_user() -> Result<Store, StoreError> {
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache = if cfg!(target_os = "windows") {
            variable("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Caches"))
        } else {
            variable("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        };
        variable("LLMZIP_HOME")
            .or_else(|| cache.map(|cache| cache.join("llmzip")))
            .map(Store::at)
            .ok_or(StoreError::NoHome)
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

    /// Where the pack with this identity lies, or would.
    pub fn path_of(&self, identity: &[u8; 32]) -> PathBuf {
        self.models().join(format!("{}.{EXTENSION}", hex(identity)))
    }

    /// Checks that `name` may be given to a new model.
    ///
    /// # Errors
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

    /// An empty file in the store to pack into; hand it to [`Store::add`].
    ///
    /// # Errors
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

    /// Takes a packed file into the store under `name`; checks it first, every weight included.
    ///
    /// Adding the same model under the same name again changes nothing.
    ///
    /// # Errors
    /// When the name is taken or wrong, the pack unsound, or the store cannot be written.
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
        let names = self.names();
        let write_name = || {
            fs::create_dir_all(&names)?;
            let mut file = NamedTempFile::new_in(&names)?;
            writeln!(file, "{}", hex(&identity))?;
            persist(file, &names.join(name))
        };
        write_name().map_err(at(&names.join(name)))?;
        Ok(Installed {
            name: name.to_owned(),
            identity,
            built_in: false,
        })
    }

    /// Takes the packed bytes into the store under `name`.
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn add_bytes(&self, bytes: &[u8], name: &str) -> Result<Installed, StoreError> {
        let mut file = self.new_file()?;
        file.write_all(bytes).map_err(at(file.path()))?;
        self.add(file, name)
    }

    /// Takes a copy of the packed file at `path` into the store under `name`.
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn add_packed(&self, path: &Path, name: &str) -> Result<Installed, StoreError> {
        let mut file = self.new_file()?;
        File::open(path)
            .and_then(|mut from| io::copy(&mut from, &mut file))
            .map_err(at(path))?;
        self.add(file, name)
    }

    fn identity_of(&self, name: &str) -> Result<Option<[u8; 32]>, StoreError> {
        let path = self.names().join(name);
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(128).read_to_string(&mut text)) {
            Ok(_) => Ok(unhex(text.trim_end())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// All models that can be used by name: the built-in ones, then the store's by name.
    ///
    /// # Errors
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
        let folder = self.names();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(list),
            Err(error) => return Err(at(&folder)(error)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_name(name))
            .collect();
        names.sort_unstable();
        for name in names {
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

    /// Opens a listed model; the identity is trusted, not hashed.
    ///
    /// # Errors
    /// When the pack is missing or unsound.
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

    /// Opens what a user meant by `-m`: a built-in or installed name, or the
    /// path of a packed file (anything with a `/`, or that ends in
    /// `.llmzmodel`; its identity is hashed when it is asked for).
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is none, [`StoreError::Folder`], or why it cannot be opened.
    pub fn find(&self, wanted: &str) -> Result<Found, StoreError> {
        let path = Path::new(wanted);
        let is_path = path.components().count() > 1
            || wanted.starts_with(['/', '.'])
            || path.extension().is_some_and(|e| e == EXTENSION);
        if is_path {
            if path.is_dir() {
                return Err(StoreError::Folder(wanted.to_owned()));
            }
            let opened = PackedModel::open(path);
            let model = opened.map_err(|error| StoreError::Packed {
                name: wanted.to_owned(),
                error,
            })?;
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            return Ok(Found {
                name: stem.filter(|stem| is_name(stem)).map(str::to_owned),
                model: Arc::new(model),
            });
        }
        let listed = self.list()?.into_iter().find(|m| m.name == wanted);
        let listed = listed.ok_or_else(|| StoreError::Unknown(wanted.to_owned()))?;
        Ok(Found {
            model: self.open(&listed)?,
            name: Some(listed.name),
        })
    }

    /// Opens the model whose identity begins with the 8 bytes that a frame
    /// holds, built-in ones first; `None` if it is not here.
    ///
    /// # Errors
    /// When it is here but cannot be opened.
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

    /// Hashes a model again and checks every weight.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Packed`] if it is not what its identity says.
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

    /// Forgets a name, and the pack if no other name stands for it.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is no such name, [`StoreError::BuiltIn`] for a built-in one.
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
            let pack = self.path_of(&identity);
            match fs::remove_file(&pack) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(&pack)(error));
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

/// Gives an error of the system the path it concerns.
fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |error| StoreError::Io { path, error }
}

/// Syncs and renames; files in the store are readable like any other.
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

/// The sentence for a file whose model is not here: what is missing and the
/// command that mends it. `name` is what the frame calls the model, if it does.
pub fn missing_model(identity: &[u8; 8], name: Option<&str>) -> String {
    let digits = hex(identity);
    match name {
        Some(name) if crate::store::short_name(name).is_some() => {
            format!("needs model {name} (blake3 {digits}...); run: llmzip model pull {name}")
        }
        Some(name) => format!(
            "needs model {name} (blake3 {digits}...); run: llmzip model add PATH --name {name}"
        ),
        None => format!("needs the model with blake3 {digits}...; run: llmzip model add PATH"),
    }
}

/// What helps who asked for a model that is not there.
fn how_to_find(name: &str) -> String {
    match crate::store::short_name(name) {
        Some(_) => format!("llmzip model pull {name} fetches it"),
        None => "llmzip model list shows those installed".to_owned(),
    }
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

    #[test]
    fn a_missing_model_is_explained_with_the_command_that_gets_it() {
        let id = [0x3f, 0x9c, 1, 2, 3, 4, 5, 6];
        assert_eq!(
            missing_model(&id, Some("smollm2-135m")),
            "needs model smollm2-135m (blake3 3f9c010203040506...); run: llmzip model pull smollm2-135m"
        );
        assert!(missing_model(&id, Some("mine")).contains("model add PATH --name mine"));
        assert!(missing_model(&id, None).contains("3f9c"));
    }
}
