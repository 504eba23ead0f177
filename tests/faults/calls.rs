//! Single system calls: strace makes the system refuse them, or kills the program there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::kills::{SIGKILL, check_killed};
use crate::program::{Ran, run, works};
use crate::trials::Trials;
use crate::world::{Allowed, Work, World};

/// The calls that are refused, and how. EINTR is not a refusal: who gets it asks again.
const REFUSALS: [(&str, &[&str]); 26] = [
    ("openat", &["EACCES", "EMFILE", "EIO", "EINTR"]),
    ("read", &["EIO", "EINTR"]),
    ("pread64", &["EIO"]),
    ("write", &["ENOSPC", "EIO", "EINTR"]),
    ("pwrite64", &["ENOSPC", "EIO"]),
    ("fsync", &["EIO", "ENOSPC", "EINVAL"]),
    ("fchmod", &["EPERM"]),
    ("fchown", &["EPERM"]),
    ("utimensat", &["EPERM"]),
    ("fgetxattr", &["EIO", "EOPNOTSUPP"]),
    ("fremovexattr", &["EPERM"]),
    ("linkat", &["EPERM", "EMLINK", "ENOSPC"]),
    ("renameat2", &["EINVAL", "ENOSYS", "EPERM", "EIO"]),
    ("rename", &["EPERM", "EIO"]),
    ("unlink", &["EPERM", "EBUSY"]),
    ("mkdir", &["ENOSPC", "EACCES"]),
    ("getdents64", &["EIO"]),
    ("flock", &["ENOLCK", "EINTR"]),
    ("lseek", &["EIO"]),
    ("statx", &["EACCES", "EIO", "ENOSYS"]),
    ("ftruncate", &["ENOSPC"]),
    ("fcntl", &["EMFILE"]),
    ("copy_file_range", &["EIO", "EXDEV", "ENOSPC"]),
    ("clone3", &["EAGAIN"]),
    ("mmap", &["ENOMEM"]),
    ("mprotect", &["ENOMEM"]),
];

/// The calls at which the program is killed: those that change what is on the disk.
const KILLS: [&str; 13] = [
    "openat",
    "write",
    "fsync",
    "fchmod",
    "utimensat",
    "linkat",
    "renameat2",
    "unlink",
    "mkdir",
    "flock",
    "copy_file_range",
    "close",
    "ftruncate",
];

/// What strace does at a call.
#[derive(Clone, Debug)]
struct Fault {
    call: &'static str,
    /// `error=...` or `signal=...`.
    action: String,
    /// From which call on, counted from 1 in each thread.
    nth: usize,
    /// At all later calls, too.
    and_later: bool,
}

impl Fault {
    fn shown(&self) -> String {
        let Fault {
            call, action, nth, ..
        } = self;
        let and_later = if self.and_later { "+" } else { "" };
        format!("{call}:{action}:when={nth}{and_later}")
    }
}

pub(crate) fn refused(trials: &mut Trials) {
    let Some(places) = Places::count(trials) else {
        return;
    };
    let faults = places.refusals();
    for chosen in choose(trials, faults.len()) {
        let (work, fault) = &faults[chosen];
        refuse(trials, *work, &[fault]);
    }
}

/// As many of `len` faults as are wanted; all of them, each once, if that many are.
fn choose(trials: &mut Trials, len: usize) -> Vec<usize> {
    match trials.wanted >= len {
        true => (0..len).collect(),
        false => (0..trials.wanted)
            .map(|_| trials.random.below(len))
            .collect(),
    }
}

pub(crate) fn two_refused(trials: &mut Trials) {
    let Some(places) = Places::count(trials) else {
        return;
    };
    let faults = places.refusals();
    for _ in 0..trials.wanted {
        let (work, first) = trials.random.of(&faults);
        let (_, second) = trials.random.of(&faults);
        // Of two rules for one call, strace keeps the last.
        if first.call != second.call {
            refuse(trials, *work, &[first, second]);
        }
    }
}

fn refuse(trials: &mut Trials, work: Work, faults: &[&Fault]) {
    let world = World::random(trials, &[work]);
    let ran = traced(&world, faults);
    let shown: Vec<String> = faults.iter().map(|fault| fault.shown()).collect();
    let what = format!("{} under {}", world.shown(), shown.join(" and "));
    match ran {
        // The call may come less often than in the run that was counted.
        None => {}
        Some(ran) if ends_outside(&world, faults, &ran) => trials.record_outside(&ran),
        Some(ran) => {
            let allowed = Allowed {
                leftovers: faults.iter().any(|fault| fault.call == "unlink"),
                more_lines: faults.len() - 1,
                // The message is written, too.
                silence: faults.iter().any(|fault| fault.call == "write"),
                ..Allowed::NOTHING
            };
            trials.record(&what, &ran, world.check(&ran, allowed));
        }
    }
}

/// Whether the run was ended by what is not the program's own code: the system's loader or Rust's
/// runtime. Both have no answer but a signal where the system refuses what they need to start the
/// program, and the runtime has none where it is refused the few pages in which the overflow of a
/// thread's stack is handled.
fn ends_outside(world: &World, faults: &[&Fault], ran: &Ran) -> bool {
    if ran.stderr.contains("alternative stack") {
        return true;
    }
    // Any other panic is the program's own.
    if matches!(ran.code, Some(0 | 1 | 101)) {
        return false;
    }
    // The least that the program can do.
    let log = world.kit().new_folder();
    let calls: Vec<&str> = faults.iter().map(|fault| fault.call).collect();
    let mut least = strace(world, &log.path().join("log"), &calls, faults);
    least.arg(world.kit().program()).arg("--version");
    let least = run(&mut least);
    (least.code, least.signal) == (ran.code, ran.signal)
}

pub(crate) fn killed(trials: &mut Trials) {
    let Some(places) = Places::count(trials) else {
        return;
    };
    let faults = places.kills();
    for chosen in choose(trials, faults.len()) {
        let (work, fault) = &faults[chosen];
        let world = World::random(trials, &[*work]);
        let what = format!("{} under {}", world.shown(), fault.shown());
        if let Some(ran) = traced(&world, &[fault]) {
            trials.record(&what, &ran, check_killed(&world, &ran));
        }
    }
}

/// How often each work calls the system, the most in one thread.
struct Places(Vec<(Work, BTreeMap<&'static str, usize>)>);

impl Places {
    /// `None` if there is no strace that can be used.
    fn count(trials: &mut Trials) -> Option<Places> {
        if !works(
            "strace",
            &["-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "true"],
        ) {
            trials.not_available("strace");
            return None;
        }
        let mut calls: Vec<&str> = REFUSALS.iter().map(|(call, _)| *call).collect();
        calls.extend(KILLS);
        calls.sort_unstable();
        calls.dedup();
        let count = |&work: &Work| {
            let world = World::with(trials.kit, work, b"some text".repeat(300));
            let log = world.kit().new_folder();
            let log = log.path().join("log");
            let mut command = strace(&world, &log, &calls, &[]);
            let ran = run(command.arg(world.kit().program()).args(world.args()));
            assert_eq!(ran.code, Some(0), "{work:?}: {ran}");
            (work, count_in(&fs::read_to_string(log).unwrap(), &calls))
        };
        Some(Places(Work::ALL.iter().map(count).collect()))
    }

    fn refusals(&self) -> Vec<(Work, Fault)> {
        let actions = REFUSALS.iter().flat_map(|(call, errors)| {
            let action = |error| (*call, format!("error={error}"));
            errors.iter().map(action)
        });
        self.faults(&actions.collect::<Vec<_>>())
    }

    fn kills(&self) -> Vec<(Work, Fault)> {
        let actions = KILLS.iter().map(|call| (*call, "signal=KILL".to_owned()));
        self.faults(&actions.collect::<Vec<_>>())
    }

    fn faults(&self, actions: &[(&'static str, String)]) -> Vec<(Work, Fault)> {
        let mut faults = Vec::new();
        for (work, counts) in &self.0 {
            for (call, action) in actions {
                let endless = action.contains("EINTR");
                for nth in 1..=counts.get(call).copied().unwrap_or(0) {
                    for and_later in [false, true] {
                        if and_later && (endless || action.contains("KILL")) {
                            continue;
                        }
                        let fault = Fault {
                            call,
                            action: action.clone(),
                            nth,
                            and_later,
                        };
                        faults.push((*work, fault));
                    }
                }
            }
        }
        faults
    }
}

/// The most calls of one thread in a log: lines `NUMBER CALL(...`.
fn count_in<'a>(log: &str, calls: &[&'a str]) -> BTreeMap<&'a str, usize> {
    let mut of_threads = BTreeMap::<(&str, &str), usize>::new();
    for line in log.lines() {
        let mut words = line.split_ascii_whitespace();
        let thread = words.next().unwrap_or_default();
        if let Some((call, _)) = words.next().unwrap_or_default().split_once('(') {
            *of_threads.entry((thread, call)).or_default() += 1;
        }
    }
    let most = |call: &str| {
        let counts = of_threads.iter().filter(|((_, one), _)| *one == call);
        counts.map(|(_, count)| *count).max().unwrap_or(0)
    };
    calls.iter().map(|call| (*call, most(call))).collect()
}

/// Runs the program under these faults; `None` if none of them came to pass.
fn traced(world: &World, faults: &[&Fault]) -> Option<Ran> {
    let calls: Vec<&str> = faults.iter().map(|fault| fault.call).collect();
    let folder = world.kit().new_folder();
    let log = folder.path().join("log");
    let mut command = strace(world, &log, &calls, faults);
    let ran = run(command.arg(world.kit().program()).args(world.args()));
    let log = fs::read_to_string(log).unwrap_or_else(|error| panic!("{calls:?}: {error}: {ran}"));
    (log.contains("(INJECTED)") || ran.signal == Some(SIGKILL)).then_some(ran)
}

/// strace without the program that it starts.
fn strace(world: &World, log: &Path, calls: &[&str], faults: &[&Fault]) -> Command {
    let mut command = world.command("strace");
    command.args(["-f", "-e", &format!("trace={}", calls.join(","))]);
    if !faults.iter().any(|fault| fault.action.contains("signal")) {
        // Only the calls that matter stop the program. So strace sends no signals.
        command.arg("--seccomp-bpf");
    }
    for fault in faults {
        command.arg("-e").arg(format!("inject={}", fault.shown()));
    }
    command.arg("-o").arg(log);
    command
}
