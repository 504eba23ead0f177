//! Inputs that cannot be read, or that change while they are read.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;
use std::{io, thread};

use crate::program::{Ran, run, run_with, works};
use crate::trials::Trials;
use crate::world::{Allowed, NOBODY, Work, World, check_end, decompressed, read};

pub(crate) fn unreadable(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::ON_FILES);
        let mut command = world.llmzip();
        fs::set_permissions(world.input(), Permissions::from_mode(0o000)).unwrap();
        if trials.kit.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let ran = run(&mut command);
        fs::set_permissions(world.input(), Permissions::from_mode(0o644)).unwrap();
        let well = world
            .check(&ran, Allowed::NOTHING)
            .and_then(|()| match ran.code {
                Some(1) => Ok(()),
                _ => Err("it reads what it may not read".to_owned()),
            });
        trials.record(&world.shown(), &ran, well);
    }
}

/// What happens to an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Grows,
    Shrinks,
    IsOverwritten,
    IsReplaced,
    IsReplacedByPipe,
    IsDeleted,
}

impl Change {
    const ALL: [Change; 6] = [
        Change::Grows,
        Change::Shrinks,
        Change::IsOverwritten,
        Change::IsReplaced,
        Change::IsReplacedByPipe,
        Change::IsDeleted,
    ];

    /// Changes the file `path`. An error means that it is not there any more.
    fn apply(self, path: &Path) -> io::Result<()> {
        let beside = path.with_file_name("beside");
        match self {
            Change::Grows => OpenOptions::new().append(true).open(path)?.write_all(NEW),
            Change::Shrinks => {
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len(file.metadata()?.len() / 2)
            }
            Change::IsOverwritten => OpenOptions::new().write(true).open(path)?.write_all(NEW),
            Change::IsReplaced => {
                fs::write(&beside, NEW)?;
                fs::rename(&beside, path)
            }
            Change::IsReplacedByPipe => {
                assert!(works("mkfifo", &[beside.to_str().unwrap()]));
                fs::rename(&beside, path)
            }
            Change::IsDeleted => fs::remove_file(path),
        }
    }
}

const NEW: &[u8] = b"what another program writes";

pub(crate) fn changing(trials: &mut Trials) {
    let works = [Work::Compress, Work::CompressRemove, Work::DecompressRemove];
    for _ in 0..trials.wanted {
        let work = *trials.random.of(&works);
        // Long enough for the change to find the program at work.
        let noise = trials.random.bytes(100_000);
        let original = [include_bytes!("../../docs/FORMAT.md").as_slice(), &noise].concat();
        let world = World::with(trials.kit, work, original);
        let change = *trials.random.of(&Change::ALL);
        let delay = Duration::from_micros(trials.random.below(250_000) as u64);
        let before = read(&world.input()).unwrap();
        let mut changed = None;
        let ran = run_with(&mut world.llmzip(), |_| {
            thread::sleep(delay);
            changed = Some(change.apply(&world.input()));
        });
        let done = changed.is_some_and(|changed| changed.is_ok());
        let what = format!("{}: the input {change:?} after {delay:?}", world.shown());
        trials.record(
            &what,
            &ran,
            check_change(&world, &ran, change, done, &before),
        );
    }
}

/// What must be true after a run whose input, `before`, has changed, if that was `done`.
fn check_change(
    world: &World,
    ran: &Ran,
    change: Change,
    done: bool,
    before: &[u8],
) -> Result<(), String> {
    check_end(ran, Allowed::NOTHING)?;
    let output = read(&world.output());
    if ran.code == Some(0) && output.is_none() {
        return Err("exit 0 without the output".to_owned());
    }
    let original = match (world.work, output) {
        (_, None) => None,
        (Work::DecompressRemove, Some(original)) => Some(original),
        (_, Some(compressed)) => Some(decompressed(&compressed)?),
    };
    let input = world.input();
    match fs::symlink_metadata(&input) {
        // The program may delete only what it has read.
        Err(_) => match original {
            Some(original) if original == world.original() => Ok(()),
            Some(original) if done && Some(&original) == after(change, world).as_ref() => Ok(()),
            _ if change == Change::IsDeleted => Ok(()),
            _ => Err("the original is lost".to_owned()),
        },
        Ok(metadata) if !metadata.is_file() => Ok(()),
        Ok(_) => match read(&input) {
            Some(bytes) if !done && bytes == before => Ok(()),
            Some(bytes) if done && bytes != before => Ok(()),
            _ => Err("the input holds something else".to_owned()),
        },
    }
}

/// The input after a change that a run may have seen as a whole.
fn after(change: Change, world: &World) -> Option<Vec<u8>> {
    let before = world.original();
    match change {
        Change::Grows => Some([before, NEW].concat()),
        Change::Shrinks => Some(before[..before.len() / 2].to_owned()),
        Change::IsOverwritten => Some([NEW, &before[NEW.len()..]].concat()),
        Change::IsReplaced => Some(NEW.to_owned()),
        Change::IsReplacedByPipe | Change::IsDeleted => None,
    }
}
