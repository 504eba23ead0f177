//! Files that appear under their names when they are complete, or not at all.
//!
//! On Linux, an unfinished file has no name where the file system allows that, so it vanishes with
//! the process, however that ends. It needs a temporary name only in the moment in which it
//! replaces another file. Elsewhere it has one from the beginning, in the folder of its final name.
//! A file with a temporary name is locked for as long as its process lives, and what a dead process
//! left is deleted by the next that needs such a name in that folder.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::NamedTempFile;

/// The parts of a temporary name: before the random letters, how many these are, and after them.
const PREFIX: &str = ".llmzip-";
const RANDOM_LETTERS: usize = 6;
const SUFFIX: &str = ".tmp";

/// A process locks its new file within this time.
const AGE_WHEN_LOCKED: Duration = Duration::from_secs(60);

/// The unfinished files of this process that have names, and the folders that were swept.
static UNFINISHED: Mutex<Unfinished> = Mutex::new(Unfinished {
    paths: BTreeSet::new(),
    swept: BTreeSet::new(),
});

#[derive(Debug)]
struct Unfinished {
    paths: BTreeSet<PathBuf>,
    swept: BTreeSet<PathBuf>,
}

/// A file that is being written. If it is dropped before it is in place, nothing is left of it.
#[derive(Debug)]
pub struct NewFile {
    folder: PathBuf,
    body: Body,
}

#[derive(Debug)]
enum Body {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "Linux has it"))]
    Unnamed(File),
    Named(Option<NamedTempFile>),
}

impl NewFile {
    /// An empty file that is to be put in place at `path`. Until then only its owner may read it.
    ///
    /// # Errors
    /// If there can be no file at `path`: its folder is missing or cannot be written, or its name
    /// is too long or that of a folder.
    pub fn create(path: &Path) -> io::Result<NewFile> {
        check_name(path)?;
        NewFile::create_in(folder(path))
    }

    /// An empty file that is to be put in place somewhere in `folder`.
    ///
    /// # Errors
    /// If the folder is missing or cannot be written.
    pub fn create_in(folder: &Path) -> io::Result<NewFile> {
        let new = |body| NewFile {
            folder: folder.to_owned(),
            body,
        };
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed(folder) {
            return Ok(new(Body::Unnamed(file)));
        }
        Ok(new(Body::Named(Some(named(folder, &mut unfinished())?))))
    }

    /// The open file.
    pub fn file(&self) -> &File {
        match &self.body {
            Body::Unnamed(file) => file,
            Body::Named(file) => file
                .as_ref()
                .expect("only `Placing::put` takes it")
                .as_file(),
        }
    }

    /// Lets everybody read the file, as far as the file system has modes.
    pub fn let_everybody_read(&self) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let _ = self
                .file()
                .set_permissions(fs::Permissions::from_mode(0o644));
        }
    }

    /// Gives the file its name, in one step; `path` is in the folder in which it was created. A
    /// file that has the name already is replaced if `replace` is set; a symbolic link is replaced,
    /// not followed.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken and not to be replaced, or why the
    /// system refuses. Nothing is left of the file then.
    pub fn put_in_place(self, path: &Path, replace: bool) -> io::Result<()> {
        Placing::begin().put(self, path, replace)
    }
}

/// While this lives, a signal that ends the program waits. So several files can be put in place, or
/// deleted, as if in one step. A [`NewFile`] that is dropped meanwhile waits, too: in the same
/// thread, for ever.
#[derive(Debug)]
pub struct Placing {
    unfinished: MutexGuard<'static, Unfinished>,
}

impl Placing {
    /// Keeps signals waiting from now on.
    pub fn begin() -> Placing {
        Placing {
            unfinished: unfinished(),
        }
    }

    /// As [`NewFile::put_in_place`].
    ///
    /// # Errors
    /// As there.
    pub fn put(&mut self, mut file: NewFile, path: &Path, replace: bool) -> io::Result<()> {
        let file = match &mut file.body {
            Body::Unnamed(open) => match link(open, path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !replace => {
                    return Err(error);
                }
                Err(_) => give_temporary_name(open, &file.folder, &mut self.unfinished)?,
            },
            Body::Named(named) => named.take().expect("only this function takes it"),
        };
        self.unfinished.paths.remove(file.path());
        let placed = match replace {
            true => file.persist(path),
            false => file.persist_noclobber(path),
        };
        match placed {
            Ok(_) => Ok(()),
            Err(refused) if replace || refused.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(refused.error)
            }
            Err(refused) => persist_over_placeholder(refused.file, path),
        }
    }
}

/// Gives a file its name where the system cannot do so without perhaps replacing another: the name
/// is taken with an empty file, which is then replaced.
fn persist_over_placeholder(file: NamedTempFile, path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?;
    let placed = file.persist(path);
    placed.map(drop).map_err(|refused| {
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
            let _ = fs::remove_file(path);
        }
        refused.error
    })
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Body::Named(Some(file)) = &self.body {
            let mut unfinished = unfinished();
            let path = file.path().to_owned();
            self.body = Body::Named(None);
            unfinished.paths.remove(&path);
        }
    }
}

/// The folder that `path` lies in.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Renames a file unless the new name is taken.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if it is taken, or why the system refuses.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags};
        use rustix::io::Errno;
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems cannot do that in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            renamed => return Ok(renamed?),
        }
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Makes the names in the folder of `path` durable, where the system can.
///
/// # Errors
/// If the system refuses: a name may be lost when the power is.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Makes the contents of a file durable. That the file system cannot do so is no error.
///
/// # Errors
/// If data was lost.
pub fn sync_if_possible(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if !cannot_sync(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Whether a file system cannot flush files to the disk at all. Other errors mean that data was
/// lost.
pub fn cannot_sync(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    let kinds = [
        InvalidInput,
        PermissionDenied,
        ReadOnlyFilesystem,
        Unsupported,
    ];
    kinds.contains(&error.kind())
}

/// Deletes what is unfinished, for a process that is about to end. Afterwards no file can be
/// created or put in place.
pub fn abandon_all() {
    let unfinished = unfinished();
    delete(&unfinished);
    // The lock is never released.
    std::mem::forget(unfinished);
}

/// As [`abandon_all`], but waits for nothing and allocates nothing: for a thread that may hold the
/// lock itself.
pub fn try_abandon_all() {
    if let Ok(unfinished) = UNFINISHED.try_lock() {
        delete(&unfinished);
        std::mem::forget(unfinished);
    }
}

fn delete(unfinished: &Unfinished) {
    for path in &unfinished.paths {
        let _ = fs::remove_file(path);
    }
}

fn unfinished() -> MutexGuard<'static, Unfinished> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses paths at which there can be no file.
fn check_name(path: &Path) -> io::Result<()> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if path.file_name().is_none() || bytes.last().is_some_and(|&byte| is_separator(byte)) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Asked for by its name, the system says whether that is too long.
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_separator(byte: u8) -> bool {
    std::path::is_separator(byte.into())
}

/// An open file without a name; `None` if the system has none, or could not name it later.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).ok()?;
    let file = File::from(file);
    by_descriptor(&file).exists().then_some(file)
}

/// The path by which the system knows an open file.
#[cfg(target_os = "linux")]
fn by_descriptor(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Gives its name to a file that has none, unless the name is taken.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    let by_descriptor = by_descriptor(file);
    rustix::fs::linkat(CWD, by_descriptor, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives a temporary name to a file that has none.
fn give_temporary_name(
    file: &File,
    folder: &Path,
    unfinished: &mut Unfinished,
) -> io::Result<NamedTempFile> {
    unfinished.sweep(folder);
    let file = file.try_clone()?;
    // Before it has a name, so that no other process takes it for a dead one's.
    let _ = file.try_lock();
    let linked = builder().make_in(folder, |name| link(&file, name));
    match linked {
        Ok(linked) => {
            unfinished.paths.insert(linked.path().to_owned());
            Ok(NamedTempFile::from_parts(file, linked.into_temp_path()))
        }
        // Some file systems have no links. What was written is copied, not lost.
        Err(_) => copy(file, folder, unfinished),
    }
}

/// A copy with a temporary name of an open file.
fn copy(mut file: File, folder: &Path, unfinished: &mut Unfinished) -> io::Result<NamedTempFile> {
    use std::io::Seek;
    let mut copy = named(folder, unfinished)?;
    file.rewind()?;
    io::copy(&mut file, copy.as_file_mut())?;
    #[cfg(unix)]
    copy.as_file()
        .set_permissions(file.metadata()?.permissions())?;
    if let Ok(modified) = file.metadata()?.modified() {
        let _ = copy.as_file().set_modified(modified);
    }
    sync_if_possible(copy.as_file())?;
    Ok(copy)
}

/// An empty file with a temporary name.
fn named(folder: &Path, unfinished: &mut Unfinished) -> io::Result<NamedTempFile> {
    unfinished.sweep(folder);
    let file = builder().make_in(folder, create_private)?;
    unfinished.paths.insert(file.path().to_owned());
    // Where files cannot be locked, what is left of a dead process stays.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// A new file that only its owner may read.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder
        .prefix(PREFIX)
        .suffix(SUFFIX)
        .rand_bytes(RANDOM_LETTERS);
    builder
}

impl Unfinished {
    /// Deletes the unfinished files in `folder` that no process holds: neither another nor this
    /// one. Once for each folder is enough.
    fn sweep(&mut self, folder: &Path) {
        if !self.swept.insert(folder.to_owned()) {
            return;
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let path = entry.path();
            if is_temporary(&name) && !self.paths.contains(&path) {
                let _ = delete_if_dead(&path);
            }
        }
    }
}

/// Whether a name is one of those that [`builder`] makes.
fn is_temporary(name: &str) -> bool {
    let middle = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    middle.is_some_and(|letters| {
        letters.len() == RANDOM_LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn delete_if_dead(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let age = metadata.modified()?.elapsed().unwrap_or_default();
    if !metadata.is_file() || age < AGE_WHEN_LOCKED {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if file.try_lock().is_ok() {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    /// A new file as it is where every file has a name.
    fn new_named(folder: &Path) -> NewFile {
        NewFile {
            folder: folder.to_owned(),
            body: Body::Named(Some(named(folder, &mut unfinished()).unwrap())),
        }
    }

    fn list(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_put_in_place() {
        for create in [new_named, |folder: &Path| {
            NewFile::create_in(folder).unwrap()
        }] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            let mut file = create(folder.path());
            file.write_all(b"new").unwrap();
            assert!(!path.exists());
            file.put_in_place(&path, false).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");

            let mut second = create(folder.path());
            second.write_all(b"second").unwrap();
            let refused = second.put_in_place(&path, false).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"new");

            let mut third = create(folder.path());
            third.write_all(b"third").unwrap();
            third.put_in_place(&path, true).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"third");

            drop(create(folder.path()));
            assert_eq!(list(folder.path()), ["a"]);
        }
    }

    #[test]
    fn a_file_that_cannot_be_linked_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        let copy = copy(file, folder.path(), &mut unfinished()).unwrap();
        assert_eq!(fs::read(copy.path()).unwrap(), b"content");
    }

    #[test]
    fn a_placeholder_that_cannot_be_replaced_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let place = |without_file: bool| {
            let file = named(folder.path(), &mut unfinished()).unwrap();
            if without_file {
                fs::remove_file(file.path()).unwrap();
            }
            persist_over_placeholder(file, &path)
        };
        place(true).unwrap_err();
        assert!(list(folder.path()).is_empty());
        place(false).unwrap();
        let refused = place(false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(list(folder.path()), ["a"]);
    }

    #[test]
    fn a_file_that_replaces_another_sweeps_what_dead_processes_left() {
        let folder = tempfile::tempdir().unwrap();
        let [dead, path] = [".llmzip-deaD01.tmp", "a"].map(|name| folder.path().join(name));
        for path in [&dead, &path] {
            let file = File::create(path).unwrap();
            let old = SystemTime::now() - 2 * AGE_WHEN_LOCKED;
            file.set_modified(old).unwrap();
        }
        let file = NewFile::create(&path).unwrap();
        file.put_in_place(&path, true).unwrap();
        assert_eq!(list(folder.path()), ["a"]);
    }

    #[test]
    fn refusals_are_the_system_s_own() {
        let absent = Path::new("absent/folder");
        let refused = named(absent, &mut unfinished()).unwrap_err();
        assert!(refused.raw_os_error().is_some(), "{refused:?}");
    }

    #[test]
    fn paths_at_which_no_file_can_be_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let long = "a".repeat(300);
        for name in ["absent/a", "a/", ".", "..", "", &long] {
            assert!(
                NewFile::create(&folder.path().join(name)).is_err(),
                "{name}"
            );
        }
        assert!(list(folder.path()).is_empty());
    }

    #[test]
    fn what_dead_processes_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * AGE_WHEN_LOCKED;
        for (name, modified) in [
            (".llmzip-deaD01.tmp", old),
            (".llmzip-aliVe1.tmp", old),
            (".llmzip-younG1.tmp", SystemTime::now()),
            ("other.tmp", old),
            (".llmzip-notes-of-mine.tmp", old),
        ] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
        let alive = File::open(folder.path().join(".llmzip-aliVe1.tmp")).unwrap();
        alive.lock().unwrap();
        unfinished().sweep(folder.path());
        let left = [
            ".llmzip-aliVe1.tmp",
            ".llmzip-notes-of-mine.tmp",
            ".llmzip-younG1.tmp",
            "other.tmp",
        ];
        assert_eq!(list(folder.path()), left);
    }
}
