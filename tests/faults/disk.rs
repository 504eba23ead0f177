//! Disks that are full, and folders in which nothing can be made.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::program::{run, works};
use crate::trials::Trials;
use crate::world::{Allowed, Kit, NOBODY, Work, World};

/// A small file system of its own.
struct Disk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Disk {
    const LEN: usize = 4 << 20;
    /// The smallest part of it that a file takes.
    const PAGE: usize = 4096;

    /// `None` if it cannot be mounted.
    fn mount(kit: &Kit) -> Option<Disk> {
        let folder = kit.new_folder();
        let path = folder.path().to_owned();
        let size = format!("size={},mode=755", Disk::LEN);
        works(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs", path.to_str()?],
        )
        .then_some(Disk {
            _folder: folder,
            path,
        })
    }

    /// Leaves about `free` bytes.
    fn fill(&self, free: usize) {
        let full = self.path.join("full");
        let _ = fs::write(&full, vec![0; Disk::LEN]);
        let len = fs::metadata(&full).unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(&full).unwrap();
        file.set_len(len.saturating_sub(free as u64)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        works("umount", &[self.path.to_str().unwrap()]);
    }
}

pub(crate) fn full(trials: &mut Trials) {
    let Some(disk) = Disk::mount(trials.kit) else {
        return trials.not_available("mounting a small disk");
    };
    for _ in 0..trials.wanted {
        let work = *trials.random.of(&Work::WRITING);
        let path = disk.path.join("world");
        fs::create_dir(&path).unwrap();
        let world = World::in_folder(trials.kit, &path, &mut trials.random, work);
        let free = trials.random.below(40) * Disk::PAGE;
        disk.fill(free);
        let ran = run(&mut world.llmzip());
        let what = format!("{} with {free} bytes of disk", world.shown());
        trials.record(&what, &ran, world.check(&ran, Allowed::NOTHING));
        fs::remove_dir_all(&path).unwrap();
        fs::remove_file(disk.path.join("full")).unwrap();
    }
}

pub(crate) fn read_only(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::ALL);
        let folders = [
            world.path().to_owned(),
            world.home(),
            world.home().join("models"),
            world.home().join("names"),
        ];
        let folder = trials.random.of(&folders);
        let what = format!("{}, {} read-only", world.shown(), folder.display());
        set_mode(folder, 0o555);
        let mut command = world.llmzip();
        if trials.kit.is_root {
            for path in [world.path().to_owned(), world.input()] {
                // The input of a model lies elsewhere.
                let _ = std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY));
            }
            for folder in &folders[1..] {
                std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        let ran = run(&mut command);
        set_mode(folder, 0o755);
        trials.record(&what, &ran, world.check(&ran, Allowed::NOTHING));
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
