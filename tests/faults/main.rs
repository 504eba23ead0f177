//! The fault machine: the real program meets faults, and loses nothing.
//!
//! Each kind of fault is tried many times, at places that a seed chooses. After each trial
//! [`world::World::check`] looks at what is left:
//!
//! 1. The original can be recovered: from the unchanged input, or from a complete output.
//! 2. The exit code is 0 only if the output is complete, and `--rm` deletes an input only then.
//! 3. No other file is left. A temporary name may stay after SIGKILL, or where the system refuses
//!    to delete it; a later run deletes it, unless it was the name of an input.
//! 4. The program ends in time, without a panic, with at most one line for each fault, and tells no
//!    temporary name.
//! 5. The model store opens, and each model in it is whole.
//!
//! The last lines of a run tell how often each kind was tried and how the trials ended. What this
//! machine cannot do, for want of root or strace, is named there. CONTRIBUTING.md says how to run
//! more trials, or the same ones again.
#![cfg(unix)]

mod calls;
mod disk;
#[path = "../../fuzz/git_hash.rs"]
mod git_hash;
mod hub;
mod inputs;
mod kills;
mod limits;
#[path = "../loopback_hub/mod.rs"]
mod loopback_hub;
mod program;
mod races;
mod streams;
mod trials;
mod world;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use trials::{Kind, Plan, Trials};
use world::Kit;

/// All kinds of faults, those that take long first.
const KINDS: [Kind; 20] = [
    Kind::new("system call refused", 100, calls::refused),
    Kind::new("two system calls refused", 30, calls::two_refused),
    Kind::new("SIGKILL at a system call", 40, calls::killed),
    Kind::new("SIGKILL at any time", 40, kills::killed),
    Kind::new("other signals", 24, kills::signalled),
    Kind::new("input changes", 20, inputs::changing),
    Kind::new("two processes, one output", 12, races::one_output),
    Kind::new("two processes, one store", 20, races::one_store),
    Kind::new("full disk", 20, disk::full),
    Kind::new("limit of a file's length", 12, limits::file_len),
    Kind::new("limit of memory", 12, limits::memory),
    Kind::new("limit of open files", 12, limits::open_files),
    Kind::new("limit of threads", 8, limits::threads),
    Kind::new("folder that is read-only", 8, disk::read_only),
    Kind::new("input that cannot be read", 6, inputs::unreadable),
    Kind::new("hub that leaves", 10, hub::leaves),
    Kind::new("named pipe", 8, streams::named_pipes),
    Kind::new("reader that leaves", 8, streams::leaving_readers),
    Kind::new("stream that is closed", 8, streams::closed),
    Kind::new("/dev/full", 6, streams::full_device),
];

/// As many kinds are tried at the same time.
const THREADS: usize = 2;

#[test]
fn no_fault_loses_anything() {
    let plan = Plan::of_environment();
    let kit = Kit::new();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(kind) = KINDS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if plan.wants(kind) {
                        let mut trials = Trials::new(&kit, &plan, kind);
                        (kind.run)(&mut trials);
                        done.lock().unwrap().push(trials);
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    // The test runner shows what a test prints only if it fails; this is to be seen always.
    let table = trials::table(&plan, &done);
    let _ = std::io::stdout().write_all(table.as_bytes());
    let failures: Vec<&str> = done.iter().flat_map(Trials::failures).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
