//! Files without which outputs cannot be decompressed. Before an input is deleted, each must still
//! be where it was found, with the same bytes.

use std::cell::RefCell;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use llmzip::machine::regular_file;

use super::failure::Failure;
use super::input;
use super::text;

/// What the outputs of a run need.
#[derive(Default)]
pub(super) struct Lasting {
    files: Vec<LastingFile>,
    folders: Vec<LastingFolder>,
}

impl Lasting {
    pub(super) fn new(files: Vec<LastingFile>) -> Lasting {
        let folders = Vec::new();
        Lasting { files, folders }
    }

    /// The same, with folders in which nothing may be added or missing.
    #[must_use]
    pub(super) fn with_folders(self, folders: Vec<LastingFolder>) -> Lasting {
        Lasting { folders, ..self }
    }

    /// Refuses what will not be there after this run, so that nothing is done in vain.
    pub(super) fn refuse_fleeting(&self) -> Result<(), Failure> {
        match self.files.iter().find(|file| file.is_fleeting()) {
            Some(file) => Err(fleeting(&file.name)),
            None => Ok(()),
        }
    }

    /// Whether all is there. The error says what is not.
    pub(super) fn check(&self) -> Result<(), String> {
        self.files.iter().try_for_each(LastingFile::check)?;
        self.folders.iter().try_for_each(LastingFolder::check)
    }
}

/// The failure for what will not be there after this run.
pub(super) fn fleeting(what: &str) -> Failure {
    Failure::Message(format!(
        "{what} does not outlast this run, and --rm would delete what needs it; name a regular \
         file, or keep the inputs"
    ))
}

/// A folder of samples, which must hold the same files.
#[derive(Clone)]
pub(super) struct LastingFolder {
    path: PathBuf,
    files: Vec<PathBuf>,
}

impl LastingFolder {
    /// The folder as it is, and its files in the order of their names.
    pub(super) fn open(path: &Path) -> io::Result<LastingFolder> {
        let mut files = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<PathBuf>>>()?;
        // What a link that leads nowhere leads to may be made later, even by this run.
        let leads_nowhere = |path: &&PathBuf| path.is_symlink() && !path.exists();
        if let Some(link) = files.iter().find(leads_nowhere) {
            let link = text::path(link);
            return Err(io::Error::other(format!(
                "{link} is a link that leads nowhere"
            )));
        }
        files.retain(|path| path.is_file());
        files.sort();
        let path = path.to_owned();
        Ok(LastingFolder { path, files })
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether `folder` is this folder.
    pub(super) fn is_at(&self, folder: &Path) -> bool {
        let [own, other] = [&self.path, folder].map(fs::canonicalize);
        matches!((own, other), (Ok(own), Ok(other)) if own == other)
    }

    fn check(&self) -> Result<(), String> {
        let same = LastingFolder::open(&self.path).is_ok_and(|now| now.files == self.files);
        let shown = text::path(&self.path);
        match same {
            true => Ok(()),
            false => Err(format!(
                "its output needs the prime {shown}, a folder whose files are others by now"
            )),
        }
    }
}

/// A file that must hold certain bytes.
#[derive(Clone)]
pub(super) struct LastingFile {
    /// What it is, and where: `the prime v1`.
    name: String,
    /// It is enough if one of these holds the bytes.
    paths: Vec<PathBuf>,
    hash: blake3::Hash,
    /// The file that held the bytes when they were read last.
    seen: RefCell<Option<Metadata>>,
}

impl LastingFile {
    /// The file `what` that must hold bytes with this hash, at one of the paths. The first path is
    /// the one that is shown.
    pub(super) fn new(what: &str, paths: Vec<PathBuf>, hash: blake3::Hash) -> LastingFile {
        let shown = paths.first().map(|path| text::path(path));
        LastingFile {
            name: format!("{what} {}", shown.unwrap_or_default()),
            paths,
            hash,
            seen: RefCell::default(),
        }
    }

    /// The same file, for which messages have this name.
    #[must_use]
    pub(super) fn called(self, name: &str) -> LastingFile {
        let name = name.to_owned();
        LastingFile { name, ..self }
    }

    /// Whether no path names a file that outlasts this process.
    fn is_fleeting(&self) -> bool {
        !self.paths.iter().any(|path| open(path).is_ok())
    }

    fn check(&self) -> Result<(), String> {
        let mut problem = "is not there";
        for path in &self.paths {
            match self.holds_the_bytes(path) {
                Ok(true) => return Ok(()),
                Ok(false) => problem = "has changed",
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => problem = "cannot be read",
            }
        }
        Err(format!("its output needs {}, which {problem}", self.name))
    }

    /// Whether the file at `path` holds the bytes. They are read only if it is not known from the
    /// last time, because a model can have gigabytes.
    fn holds_the_bytes(&self, path: &Path) -> io::Result<bool> {
        let file = open(path)?;
        let before = file.metadata()?;
        let mut seen = self.seen.borrow_mut();
        if seen
            .as_ref()
            .is_some_and(|seen| input::is_untouched(seen, &before))
        {
            return Ok(true);
        }
        let is_same =
            input::hash(&file)? == self.hash && input::is_untouched(&before, &file.metadata()?);
        if is_same {
            *seen = Some(before);
        }
        Ok(is_same)
    }
}

/// Opens a file that outlasts this process and the system's.
fn open(path: &Path) -> io::Result<File> {
    if input::leads_to_open_file(path) {
        return Err(io::Error::other("it ends with this process"));
    }
    let file = regular_file::open(path)?;
    match regular_file::is_made_by_system(&file) {
        true => Err(io::Error::other("it is the system's")),
        false => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasting(paths: &[&Path]) -> Lasting {
        let paths = paths.iter().map(|path| path.to_path_buf()).collect();
        let hash = blake3::hash(b"what is needed");
        Lasting::new(vec![LastingFile::new("the prime", paths, hash)])
    }

    #[test]
    fn a_folder_must_hold_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"one").unwrap();
        let listed = LastingFolder::open(folder.path()).unwrap();
        let needed = Lasting::new(Vec::new()).with_folders(vec![listed]);
        needed.check().unwrap();
        fs::write(folder.path().join("b"), b"another").unwrap();
        assert!(needed.check().unwrap_err().contains("others by now"));
        fs::remove_file(folder.path().join("b")).unwrap();
        needed.check().unwrap();
        fs::remove_file(folder.path().join("a")).unwrap();
        needed.check().unwrap_err();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("nowhere", folder.path().join("b")).unwrap();
            let error = LastingFolder::open(folder.path()).err().unwrap();
            assert!(
                error
                    .to_string()
                    .ends_with("b is a link that leads nowhere")
            );
        }
    }

    #[test]
    fn only_the_bytes_matter_and_they_may_be_at_any_path() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        let needed = lasting(&[&one, &other]);
        let says = |problem: &str| {
            let error = needed.check().unwrap_err();
            assert!(error.ends_with(problem), "{error}");
        };
        says("one, which is not there");
        fs::write(&one, "what is needed").unwrap();
        needed.check().unwrap();
        // The same length at the same path.
        fs::write(&one, "what is in ink").unwrap();
        says("which has changed");
        fs::write(&other, "what is needed").unwrap();
        needed.check().unwrap();
        fs::remove_file(&one).unwrap();
        fs::rename(&other, &one).unwrap();
        needed.check().unwrap();
        fs::remove_file(&one).unwrap();
        fs::create_dir(&one).unwrap();
        says("which cannot be read");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_open_file_does_not_last() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "what is needed").unwrap();
        lasting(&[&path]).refuse_fleeting().unwrap();
        let file = File::open(&path).unwrap();
        let open = PathBuf::from(format!("/dev/fd/{}", file.as_raw_fd()));
        lasting(&[&open]).refuse_fleeting().unwrap_err();
        lasting(&[&open]).check().unwrap_err();
        lasting(&[&open, &path]).refuse_fleeting().unwrap();
        lasting(&[&open, &path]).check().unwrap();
        // The kernel makes the contents when they are read.
        for made in [
            "/proc/version",
            "/sys/kernel/mm/transparent_hugepage/enabled",
        ] {
            lasting(&[Path::new(made)]).refuse_fleeting().unwrap_err();
        }
    }
}
