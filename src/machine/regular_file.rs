//! Regular files. Pipes and devices could keep a reader waiting, or never end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// Opens the regular file at `path` for reading.
///
/// # Errors
/// If there is none ([`is_of_another_kind`] tells whether there is something else), or the system
/// refuses.
pub fn open(path: &Path) -> io::Result<File> {
    // A device does something when it is opened, so it is asked first what is there.
    match fs::metadata(path)?.is_file() {
        true => open_with(OpenOptions::new().read(true), path),
        false => Err(another_kind()),
    }
}

/// Why a file could not be copied.
#[derive(Debug)]
pub enum CopyError {
    /// It cannot be read.
    Read(io::Error),
    /// The copy cannot be written.
    Write(io::Error),
}

/// Copies what `from` still has, a piece at a time.
///
/// # Errors
/// [`CopyError`] tells which side failed.
pub fn copy(mut from: File, to: &mut dyn Write) -> Result<(), CopyError> {
    const AT_ONCE: usize = 1 << 20;
    let mut piece = vec![0; AT_ONCE];
    loop {
        match from.read(&mut piece).map_err(CopyError::Read)? {
            0 => return Ok(()),
            len => to.write_all(&piece[..len]).map_err(CopyError::Write)?,
        }
    }
}

/// Opens the regular file at `path` for reading and writing. Makes an empty one if nothing is
/// there.
///
/// # Errors
/// As [`open`].
pub fn open_or_create(path: &Path) -> io::Result<File> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(another_kind()),
        _ => {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            open_with(&mut options, path)
        }
    }
}

/// Whether a file lies in one of Linux's file systems whose files the kernel makes up when they are
/// read, and keeps on no disk. On other systems, always false.
pub fn is_made_by_system(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    {
        rustix::fs::fstatfs(file)
            .is_ok_and(|system| KERNEL_SYSTEMS.contains(&(system.f_type as u32)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// Types of such file systems, as linux/magic.h and the kernel's sources give them.
#[cfg(target_os = "linux")]
const KERNEL_SYSTEMS: [u32; 18] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x7363_6673, // securityfs
    0x7472_6163, // tracefs
    0x6462_6720, // debugfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x6265_6570, // configfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x4249_4e4d, // binfmt_misc
    0x0765_5821, // resctrl
    0x6573_5543, // fusectl
    0x5a3c_69f0, // apparmorfs
    0x6e73_6673, // nsfs
];

/// Whether [`open`] and [`open_or_create`] failed because something else has the name.
pub fn is_of_another_kind(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<AnotherKind>)
}

/// Opens a file without waiting for the other end of a pipe that took its place.
fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
    }
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(another_kind()),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a regular file")]
struct AnotherKind;

/// The error for what is not a regular file.
pub fn another_kind() -> io::Error {
    io::Error::other(AnotherKind)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_copy_tells_which_side_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "content").unwrap();
        let unreadable = OpenOptions::new().append(true).open(&path).unwrap();
        let unread = copy(unreadable, &mut io::sink());
        assert!(matches!(unread, Err(CopyError::Read(_))));
        let mut room = [0; 3];
        let full = copy(open(&path).unwrap(), &mut room.as_mut_slice());
        assert!(matches!(full, Err(CopyError::Write(_))));
        let mut copied = Vec::new();
        copy(open(&path).unwrap(), &mut copied).unwrap();
        assert_eq!(copied, b"content");
    }

    #[test]
    fn nothing_but_a_regular_file_is_opened_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/null")] {
            for open in [open, open_or_create] {
                let error = open(path).unwrap_err();
                assert!(is_of_another_kind(&error), "{}: {error}", path.display());
            }
            // As if it took the place of a file just then.
            if path != Path::new("/dev/null") {
                assert!(open_with(OpenOptions::new().read(true), path).is_err());
            }
        }
        let file = folder.path().join("file");
        assert!(!is_of_another_kind(&open(&file).unwrap_err()));
        open_or_create(&file).unwrap();
        fs::write(&file, "kept").unwrap();
        open_or_create(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"kept");
    }
}
