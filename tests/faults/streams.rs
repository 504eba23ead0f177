//! Pipes, devices and standard streams in place of files.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::thread;

use crate::program::{Ran, run, run_with, works};
use crate::trials::Trials;
use crate::world::{Allowed, Work, World, check_end, decompressed};

/// What ends a process that writes to a pipe without a reader.
const SIGPIPE: i32 = 13;

/// A command of the shell in which `llmzip` is the program.
fn shell(world: &World, command: &str) -> Ran {
    let program = world.kit().program();
    let command = command.replace("llmzip", program.to_str().unwrap());
    run(world.command("sh").args(["-c", &command]))
}

/// A command that writes the output of this world to its standard output.
fn to_stdout(world: &World) -> &'static str {
    match world.work {
        Work::Decompress => "llmzip cat a.llmz",
        _ => "llmzip compress -1 -c a",
    }
}

const WORKS: [Work; 2] = [Work::Compress, Work::Decompress];

/// What must be true after a run that made no file: nothing has changed.
fn check_nothing_made(world: &World, ran: &Ran, allowed: Allowed) -> Result<(), String> {
    check_end(ran, allowed)?;
    if world.output().exists() {
        return Err("there is an output".to_owned());
    }
    match ran.code {
        // The file that `check` expects after success went elsewhere.
        Some(0) => Ok(()),
        _ => world.check(ran, allowed),
    }
}

pub(crate) fn full_device(trials: &mut Trials) {
    if !Path::new("/dev/full").exists() {
        return trials.not_available("/dev/full");
    }
    for _ in 0..trials.wanted {
        let world = World::random(trials, &WORKS);
        let to_file = match world.work {
            Work::Decompress => "llmzip decompress --rm a.llmz -o /dev/full",
            _ => "llmzip compress -1 --rm a -o /dev/full",
        };
        let to_stdout = format!("{} >/dev/full", to_stdout(&world));
        let command = *trials.random.of(&[to_file, &to_stdout]);
        let ran = shell(&world, command);
        let is_empty = world.original().is_empty() && world.work == Work::Decompress;
        let well = check_nothing_made(&world, &ran, Allowed::NOTHING);
        let well = well.and_then(|()| match ran.code {
            Some(0) if !is_empty => Err("exit 0, and the output is lost".to_owned()),
            _ => Ok(()),
        });
        trials.record(command, &ran, well);
    }
}

pub(crate) fn closed(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let world = World::random(trials, &WORKS);
        let closed = *trials.random.of(&[">&-", "2>&-", "<&-", ">&- 2>&- <&-"]);
        let command = format!("{} {closed}", to_stdout(&world));
        let ran = shell(&world, &command);
        let well = match ran.code {
            Some(0) if closed.starts_with(">&-") => Err("exit 0 without an output".to_owned()),
            // Without standard error it can say nothing.
            Some(1) if closed.contains("2>&-") => Ok(()),
            _ => check_nothing_made(&world, &ran, Allowed::NOTHING),
        };
        trials.record(&command, &ran, well);
    }
}

pub(crate) fn leaving_readers(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let work = *trials.random.of(&WORKS);
        let original = trials.random.bytes(300_000);
        let world = World::with(trials.kit, work, original);
        let read = trials.random.below(100_000);
        let mut command = world.command(world.kit().program());
        command.args(to_stdout(&world).split(' ').skip(1));
        let ran = run_with(&mut command, |child| {
            let mut stdout = child.stdout.take().unwrap();
            let _ = stdout.read_exact(&mut vec![0; read]);
        });
        let allowed = Allowed {
            signal: Some(SIGPIPE),
            ..Allowed::NOTHING
        };
        let what = format!("{}, {read} bytes of it read", to_stdout(&world));
        let well = check_nothing_made(&world, &ran, allowed).and_then(|()| match ran.code {
            Some(0) => Err("exit 0, and the output is lost".to_owned()),
            _ => Ok(()),
        });
        trials.record(&what, &ran, well);
    }
}

/// A pipe as the input, whose writer may leave too early, or as the output.
pub(crate) fn named_pipes(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let world = World::random(trials, &WORKS);
        let pipe = world.kit().new_folder();
        let pipe = pipe.path().join("pipe");
        assert!(works("mkfifo", &[pipe.to_str().unwrap()]));
        let bytes = fs::read(world.input()).unwrap();
        let written = match trials.random.once_in(2) {
            true => bytes.len(),
            false => trials.random.below(bytes.len() + 1),
        };
        let program = ["compress", "decompress"][usize::from(world.work == Work::Decompress)];
        let mut command = world.command(world.kit().program());
        command
            .arg(program)
            .arg("-o")
            .arg(world.output())
            .arg(&pipe);
        let ran = run_with(&mut command, |_| {
            // The program opens it, unless it ends before.
            let pipe = OpenOptions::new().read(true).write(true).open(&pipe);
            let mut pipe = pipe.unwrap();
            let part = &bytes[..written];
            thread::scope(|scope| scope.spawn(|| pipe.write_all(part)).join().unwrap()).unwrap();
            thread::sleep(std::time::Duration::from_millis(30));
        });
        let what = format!("{program} {written} of {} bytes of a pipe", bytes.len());
        trials.record(&what, &ran, check_pipe(&world, &ran, &bytes[..written]));
    }
}

fn check_pipe(world: &World, ran: &Ran, written: &[u8]) -> Result<(), String> {
    check_end(ran, Allowed::NOTHING)?;
    let output = fs::read(world.output()).ok();
    let right = match (world.work, &output) {
        (_, None) => {
            return match ran.code {
                Some(0) => Err("exit 0 without the output".to_owned()),
                _ => Ok(()),
            };
        }
        // A compressed file has an end, and what ends before is refused.
        (Work::Decompress, Some(output)) => output == world.original(),
        (_, Some(output)) => decompressed(output)? == written,
    };
    match right {
        true => Ok(()),
        false => Err("the output holds something else".to_owned()),
    }
}
