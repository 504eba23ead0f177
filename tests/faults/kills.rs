//! Signals at any time.

use std::thread;
use std::time::Duration;

use crate::program::{Ran, run, run_with, send};
use crate::trials::Trials;
use crate::world::{Allowed, Work, World};

/// The numbers of signals are the same on all systems for these.
const SIGNALS: [(&str, i32); 4] = [("HUP", 1), ("INT", 2), ("QUIT", 3), ("TERM", 15)];

pub(crate) const SIGKILL: i32 = 9;

pub(crate) fn killed(trials: &mut Trials) {
    let durations = Durations::measure(trials);
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::ALL);
        let delay = durations.delay(trials, world.work);
        let ran = send_after(&world, delay, "KILL");
        let what = format!("{} killed after {delay:?}", world.shown());
        trials.record(&what, &ran, check_killed(&world, &ran));
    }
}

/// What must be true after a run that SIGKILL may have ended, and after another run.
pub(crate) fn check_killed(world: &World, ran: &Ran) -> Result<(), String> {
    let allowed = Allowed {
        signal: Some(SIGKILL),
        leftovers: ran.signal == Some(SIGKILL),
        ..Allowed::NOTHING
    };
    world.check(ran, allowed)?;
    world.check_second_run()
}

pub(crate) fn signalled(trials: &mut Trials) {
    let durations = Durations::measure(trials);
    for _ in 0..trials.wanted {
        let world = World::random(trials, &Work::ALL);
        let delay = durations.delay(trials, world.work);
        let &(name, number) = trials.random.of(&SIGNALS);
        let ran = send_after(&world, delay, name);
        let allowed = Allowed {
            signal: Some(number),
            // Before the program handles signals, and in the C library's exit, they only end it.
            ..Allowed::NOTHING
        };
        let what = format!("{} gets SIG{name} after {delay:?}", world.shown());
        trials.record(&what, &ran, world.check(&ran, allowed));
    }
}

fn send_after(world: &World, delay: Duration, signal: &str) -> Ran {
    run_with(&mut world.llmzip(), |child| {
        thread::sleep(delay);
        match signal {
            // Sent without another process, which takes a time of its own.
            "KILL" => child.kill().unwrap(),
            signal => send(signal, &child.id().to_string()),
        }
    })
}

/// How long each work takes undisturbed.
struct Durations(Vec<(Work, Duration)>);

impl Durations {
    /// Also a check of the trials themselves: undisturbed, everything works.
    fn measure(trials: &mut Trials) -> Durations {
        let measure = |&work: &Work| {
            let world = World::random(trials, &[work]);
            let ran = run(&mut world.llmzip());
            let well = world.check(&ran, Allowed::NOTHING);
            assert!(
                well.is_ok() && ran.code == Some(0),
                "{work:?}: {well:?} {ran}"
            );
            (work, ran.took)
        };
        Durations(Work::ALL.iter().map(measure).collect())
    }

    /// A time at which the work is likely to go on still.
    fn delay(&self, trials: &mut Trials, work: Work) -> Duration {
        let all = self.0.iter().find(|(one, _)| *one == work);
        let (_, took) = all.expect("every work was measured");
        took.mul_f64(trials.random.below(1_100) as f64 / 1_000.0)
    }
}
