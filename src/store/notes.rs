//! What the store notes of models that were fetched, and of devices that were tested.
//!
//! ```text
//! origins/<64 hex digits>.json   where the packed model with this identity came from
//! pins/<short name>.json         the commit and files that a short name stands for on this machine
//! devices/<64 hex digits>.json   whether a device computes the same bits as the processor; the
//!                                digits are the BLAKE3 of the key
//! ```
//!
//! The first two are for whoever fetches. No compressed file depends on them: it names the pack.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::catalogue::Entry;
use super::error::StoreError;
use super::file::{at, finish};
use super::hex::{hex, unhex};
use super::pin::Pin;
use crate::machine::new_file::{self, NewFile};
use crate::machine::regular_file;

/// Longest note in bytes. A pin of a thousand files has some 150,000.
const MAX_LEN: u64 = 1 << 20;

/// Where a packed model came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `owner/repo` on the hub.
    pub repository: String,
    /// The commit, in hexadecimal digits.
    pub commit: String,
    /// The GGUF file that was packed; none if it was the repository's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// The outcome of testing a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Verdict {
    /// The device, and all that the outcome depends on.
    key: String,
    /// Whether it computes the same bits as the processor.
    is_sound: bool,
}

/// Notes the outcome of testing a device.
pub(super) fn note_device_verdict(
    home: &Path,
    key: &str,
    is_sound: bool,
) -> Result<(), StoreError> {
    let key = key.to_owned();
    write(&verdict_path(home, &key), &Verdict { key, is_sound })
}

/// The outcome of testing a device, if it was noted and can be read.
pub(super) fn device_verdict(homes: &[PathBuf], key: &str) -> Option<bool> {
    let verdict = |home: &PathBuf| -> Option<Verdict> { read(&verdict_path(home, key)).ok()? };
    let mut verdicts = homes.iter().filter_map(verdict);
    let verdict = verdicts.find(|verdict| verdict.key == key);
    verdict.map(|verdict| verdict.is_sound)
}

fn verdict_path(home: &Path, key: &str) -> PathBuf {
    let name = hex(blake3::hash(key.as_bytes()).as_bytes());
    home.join("devices").join(format!("{name}.json"))
}

/// Notes where a packed model came from.
pub(super) fn note_origin(
    home: &Path,
    identity: &[u8; 32],
    origin: &Origin,
) -> Result<(), StoreError> {
    write(&origin_path(home, identity), origin)
}

/// Where a packed model came from, if that was noted and can be read.
pub(super) fn origin(homes: &[PathBuf], identity: &[u8; 32]) -> Option<Origin> {
    let mut paths = homes.iter().map(|home| origin_path(home, identity));
    paths.find_map(|path| read(&path).ok()?)
}

/// The identities of the models whose origin is wanted, in order.
pub(super) fn of_origin(
    homes: &[PathBuf],
    is_wanted: &dyn Fn(&Origin) -> bool,
) -> BTreeSet<[u8; 32]> {
    let entries = homes
        .iter()
        .flat_map(|home| fs::read_dir(origins(home)).into_iter().flatten().flatten());
    let identities = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        unhex(name.strip_suffix(".json")?)
    });
    let is_wanted = |identity: &[u8; 32]| origin(homes, identity).is_some_and(|it| is_wanted(&it));
    identities.filter(is_wanted).collect()
}

/// Pins a short name to what was fetched for it.
pub(super) fn pin(home: &Path, entry: &Entry, pin: &Pin) -> Result<(), StoreError> {
    write(&pin_path(home, entry.name), pin)
}

/// What a short name stands for: on every machine, or since it was first fetched on this one.
pub(super) fn pinned(homes: &[PathBuf], entry: &Entry) -> Result<Option<Pin>, StoreError> {
    if let Some(pin) = entry.pin() {
        return Ok(Some(pin));
    }
    for home in homes {
        let path = pin_path(home, entry.name);
        let damaged = || at(&path)(io::Error::other("damaged; delete it to pin the name anew"));
        match read::<Pin>(&path) {
            Ok(None) => {}
            Ok(Some(pin)) if pin.check().is_ok() => return Ok(Some(pin)),
            Ok(Some(_)) => return Err(damaged()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(at(&path)(error));
            }
            Err(_) => return Err(damaged()),
        }
    }
    Ok(None)
}

/// The note of a packed model's origin.
pub(super) fn origin_path(home: &Path, identity: &[u8; 32]) -> PathBuf {
    origins(home).join(format!("{}.json", hex(identity)))
}

fn origins(home: &Path) -> PathBuf {
    home.join("origins")
}

fn pin_path(home: &Path, name: &str) -> PathBuf {
    home.join("pins").join(format!("{name}.json"))
}

fn write(path: &Path, note: &impl Serialize) -> Result<(), StoreError> {
    let write = || {
        fs::create_dir_all(new_file::folder(path))?;
        let mut file = NewFile::create(path)?;
        serde_json::to_writer_pretty(&mut file, note)?;
        file.write_all(b"\n")?;
        finish(&file)?;
        file.put_in_place(path, true)
    };
    write().map_err(at(path))
}

/// The note at `path`; `None` if there is none.
fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match regular_file::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    Ok(Some(serde_json::from_reader(io::BufReader::new(
        file.take(MAX_LEN),
    ))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PinnedFile;
    use crate::store::catalogue::entry;
    use crate::store::embedded::FIXTURE;
    use crate::store::folder::tests::store;

    fn origin(repository: &str) -> Origin {
        Origin {
            repository: repository.to_owned(),
            commit: "0".repeat(40),
            file: None,
        }
    }

    #[test]
    fn a_model_is_found_by_the_repository_it_came_from_until_it_is_removed() {
        let (_folder, store) = store();
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        let entry = entry("pythia-70m").unwrap();
        assert!(store.find(entry.name).is_err());
        assert!(store.find(entry.repository).is_err());
        store
            .note_origin(&added.identity, &origin(entry.repository))
            .unwrap();
        for wanted in [entry.name, entry.repository] {
            let found = store.find(wanted).unwrap();
            assert_eq!(found.model.identity(), added.identity, "{wanted}");
            assert_eq!(found.name.as_deref(), Some("tiny"));
        }
        assert!(store.find("EleutherAI/pythia-14m").is_err());
        // Another commit than the pinned one has other weights.
        let pin = Pin {
            commit: "1".repeat(40),
            files: Vec::new(),
        };
        store.pin(entry, &pin).unwrap();
        assert!(store.find(entry.name).is_err());
        assert!(store.find(entry.repository).is_ok());
        store.remove("tiny").unwrap();
        assert_eq!(store.origin(&added.identity), None);
        assert!(store.find(entry.repository).is_err());
    }

    #[test]
    fn a_model_in_a_gguf_file_is_found_by_its_name() {
        let (_folder, store) = store();
        let added = store.add_bytes(FIXTURE, "tiny").unwrap();
        let file = Origin {
            file: Some("m-Q2_K.gguf".to_owned()),
            ..origin("owner/repo")
        };
        store.note_origin(&added.identity, &file).unwrap();
        assert_eq!(store.origin(&added.identity), Some(file));
        let commit = "0".repeat(40);
        for found in [
            "owner/repo",
            "owner/repo:q2_k",
            &format!("owner/repo@{commit}:m-Q2_K.gguf"),
        ] {
            assert!(store.find(found).is_ok(), "{found}");
        }
        for absent in ["owner/repo:Q8_0", "owner/repo@main", "owner/other"] {
            assert!(store.find(absent).is_err(), "{absent}");
        }
    }

    #[test]
    fn a_verdict_is_kept_and_a_bent_one_is_none() {
        let (folder, store) = store();
        assert_eq!(store.device_verdict("card 1"), None);
        store.note_device_verdict("card 1", true).unwrap();
        store.note_device_verdict("card 2", false).unwrap();
        assert_eq!(store.device_verdict("card 1"), Some(true));
        assert_eq!(store.device_verdict("card 2"), Some(false));
        assert_eq!(store.device_verdict("card 3"), None);
        let path = verdict_path(&folder.path().join("home"), "card 1");
        let of_another = fs::read(verdict_path(&folder.path().join("home"), "card 2")).unwrap();
        for bent in [
            &b""[..],
            b"{",
            b"[1]",
            b"{\"is_sound\": true}",
            b"\xff\0",
            &of_another,
        ] {
            fs::write(&path, bent).unwrap();
            assert_eq!(store.device_verdict("card 1"), None, "{bent:?}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(store.device_verdict("card 1"), None);
        assert!(store.note_device_verdict("card 1", true).is_err());
    }

    #[test]
    fn a_pin_is_kept_and_a_bent_one_is_refused() {
        let (folder, store) = store();
        let entry = entry("pythia-70m").unwrap();
        assert_eq!(store.pinned(entry).unwrap(), None);
        let pin = Pin {
            commit: "0".repeat(40),
            files: vec![PinnedFile {
                name: "config.json".to_owned(),
                size: 5,
                hash: "a".repeat(64),
            }],
        };
        store.pin(entry, &pin).unwrap();
        assert_eq!(store.pinned(entry).unwrap(), Some(pin.clone()));
        let bent: [fn(&mut Pin); 4] = [
            |pin| pin.commit = "main".to_owned(),
            |pin| pin.files[0].name = "../x".to_owned(),
            |pin| pin.files[0].hash = "a".to_owned(),
            |pin| pin.files[0].size = 0,
        ];
        for bend in bent {
            let mut bent = pin.clone();
            bend(&mut bent);
            store.pin(entry, &bent).unwrap();
            assert!(store.pinned(entry).is_err(), "{bent:?}");
        }
        fs::write(folder.path().join("home/pins/pythia-70m.json"), "{").unwrap();
        assert!(store.pinned(entry).is_err());
    }
}
