//! Limits of the process.

use std::os::unix::process::CommandExt;

use crate::program::{run, works};
use crate::trials::Trials;
use crate::world::{Allowed, NOBODY, Work, World};

/// What ends a process that writes beyond the limit of a file's length.
const SIGXFSZ: i32 = 25;

pub(crate) fn file_len(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::WRITING);
        // In units of 512 or 1024 bytes. A dump of memory would be a file, too.
        let limit = trials.random.below(60);
        let ran = run(&mut world.shell(&format!("ulimit -c 0; ulimit -f {limit}")));
        let allowed = Allowed {
            signal: Some(SIGXFSZ),
            ..Allowed::NOTHING
        };
        let what = format!("{} under ulimit -f {limit}", world.shown());
        trials.record(&what, &ran, world.check(&ran, allowed));
    }
}

pub(crate) fn memory(trials: &mut Trials) {
    // The least with which the program starts at all.
    let starts = |kilobytes: &usize| {
        let world = World::with(trials.kit, Work::Compress, Vec::new());
        let ran = run(&mut world.shell(&format!("ulimit -v {kilobytes}; set -- --version")));
        ran.code == Some(0)
    };
    let Some(least) = (10_000..200_000).step_by(2_000).find(starts) else {
        return trials.not_available("limits of memory");
    };
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::ALL);
        let limit = least + trials.random.below(300_000);
        let ran = run(&mut world.shell(&format!("ulimit -v {limit}")));
        let what = format!("{} under ulimit -v {limit}", world.shown());
        trials.record(&what, &ran, world.check(&ran, Allowed::NOTHING));
    }
}

pub(crate) fn open_files(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::ALL);
        // Three are open already.
        let limit = 3 + trials.random.below(12);
        let ran = run(&mut world.shell(&format!("ulimit -n {limit}")));
        let what = format!("{} under ulimit -n {limit}", world.shown());
        trials.record(&what, &ran, world.check(&ran, Allowed::NOTHING));
    }
}

pub(crate) fn threads(trials: &mut Trials) {
    if !works("prlimit", &["--version"]) {
        return trials.not_available("prlimit");
    }
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::ON_FILES);
        let limit = trials.random.below(6);
        // Not every shell can limit them.
        let mut command = world.command("prlimit");
        command.arg(format!("--nproc={limit}"));
        command.arg(world.kit().program()).args(world.args());
        if trials.kit.is_root {
            // Root has no such limit.
            for path in [world.path().to_owned(), world.input()] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        let ran = run(&mut command);
        let what = format!("{} with {limit} threads", world.shown());
        trials.record(&what, &ran, world.check(&ran, Allowed::NOTHING));
    }
}
