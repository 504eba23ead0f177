//! Two processes at the same time.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::program::{Ran, run};
use crate::trials::Trials;
use crate::world::{Allowed, Work, World, check_end, decompressed};

/// Runs two commands, the second a little later.
fn run_both(mut first: Command, mut second: Command, later: Duration) -> [Ran; 2] {
    thread::scope(|scope| {
        let first = scope.spawn(|| run(&mut first));
        thread::sleep(later);
        let second = run(&mut second);
        [first.join().unwrap(), second]
    })
}

fn later(trials: &mut Trials) -> Duration {
    Duration::from_micros(trials.random.below(20_000) as u64)
}

pub(crate) fn one_output(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::ON_FILES);
        let from_one_input = trials.random.once_in(2);
        let later = later(trials);
        let ran = match from_one_input {
            true => run_both(world.llmzip(), world.llmzip(), later),
            false => {
                // Another input, which gives the same output.
                let other = world.kit().new_folder();
                let other = other.path().join("other");
                fs::copy(world.input(), &other).unwrap();
                let mut args = world.args();
                args.pop();
                let mut second = world.command(world.kit().program());
                second.args(args).arg("-o").arg(world.output()).arg(&other);
                run_both(world.llmzip(), second, later)
            }
        };
        let replaces = world.work == Work::CompressReplace;
        let succeeded = ran.iter().filter(|ran| ran.code == Some(0)).count();
        let what = format!("{} twice, {later:?} apart", world.shown());
        for one in &ran {
            let allowed = Allowed::NOTHING;
            let well = check_end(one, allowed).and_then(|()| match (succeeded, replaces) {
                (1, false) | (2, true) => check_one_output(&world, &ran),
                _ => Err(format!("{succeeded} of two succeed")),
            });
            trials.record(&what, one, well);
        }
    }
}

/// What must be true after both: the one that succeeded has done its work as if it were alone.
fn check_one_output(world: &World, ran: &[Ran; 2]) -> Result<(), String> {
    let output = fs::read(world.output()).map_err(|error| error.to_string())?;
    let original = match world.work {
        Work::Decompress | Work::DecompressRemove => output,
        _ => decompressed(&output)?,
    };
    if original != world.original() {
        return Err("the output holds something else".to_owned());
    }
    // Whether the input is deleted depends on which of them succeeded.
    let first = &ran[0];
    match first.code {
        Some(0) => world.check(first, Allowed::NOTHING),
        _ => Ok(()),
    }
}

/// Two changes of one store: the commands, and whether both can succeed.
const CHANGES: [([&str; 2], bool); 8] = [
    (
        [
            "model add FIXTURE --name one",
            "model add FIXTURE --name one",
        ],
        true,
    ),
    (
        [
            "model add FIXTURE --name one",
            "model add FIXTURE --name two",
        ],
        true,
    ),
    (
        ["model add FIXTURE --name one", "model add OTHER --name one"],
        false,
    ),
    (["model add FIXTURE --name one", "model remove added"], true),
    (["model remove added", "model add FIXTURE --name one"], true),
    (["model remove added", "model remove added"], false),
    (["model add OTHER --name one", "model list"], true),
    (["model remove added", "model list"], true),
];

pub(crate) fn one_store(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let world = World::random(trials, &[Work::RemoveModel]);
        let (commands, both) = trials.random.of(&CHANGES);
        let [first, second] = commands.map(|args| {
            let mut command = world.command(world.kit().program());
            command.args(args.split(' ').map(|word| match word {
                "FIXTURE" => world.kit().fixture.clone().into_os_string(),
                "OTHER" => world.kit().other.clone().into_os_string(),
                word => word.into(),
            }));
            command
        });
        let later = later(trials);
        let ran = run_both(first, second, later);
        let succeeded = ran.iter().filter(|ran| ran.code == Some(0)).count();
        let well = match (succeeded, both) {
            (2, true) | (1, false) => check_store(&world, commands),
            _ => Err(format!("{succeeded} of two succeed")),
        };
        let what = format!("{} beside {}, {later:?} apart", commands[0], commands[1]);
        for one in &ran {
            let well = check_end(one, Allowed::NOTHING).and_then(|()| well.clone());
            trials.record(&what, one, well);
        }
    }
}

fn check_store(world: &World, commands: &[&str; 2]) -> Result<(), String> {
    let models = world.models()?;
    let mut expected = vec!["added", "kept"];
    for command in commands {
        match command.rsplit(' ').next() {
            Some("added") => expected.retain(|name| *name != "added"),
            Some(name @ ("one" | "two")) => expected.push(name),
            _ => {}
        }
    }
    expected.sort_unstable();
    expected.dedup();
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    if names != expected {
        return Err(format!("the store holds {names:?}"));
    }
    world.check_leftovers_in_store(&models)
}
