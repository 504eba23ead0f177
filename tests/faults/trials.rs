//! Which trials are made, and what became of them.

use std::env;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::program::Ran;
use crate::world::Kit;

/// The seed of all choices, a number.
const SEED: &str = "LLMZIP_FAULTS_SEED";
/// How many times the usual number of trials is made.
const ROUNDS: &str = "LLMZIP_FAULTS_ROUNDS";
/// The one kind that is tried.
const KIND: &str = "LLMZIP_FAULTS_KIND";

/// A kind of fault.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Trials in a round.
    trials: usize,
    pub(crate) run: fn(&mut Trials),
}

impl Kind {
    pub(crate) const fn new(name: &'static str, trials: usize, run: fn(&mut Trials)) -> Kind {
        Kind { name, trials, run }
    }
}

/// What the environment asks for.
pub(crate) struct Plan {
    seed: u64,
    rounds: usize,
    kind: Option<String>,
}

impl Plan {
    pub(crate) fn of_environment() -> Plan {
        let number = |name| {
            let text = env::var(name).ok()?;
            let number = text.parse::<u64>();
            Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Plan {
            seed: number(SEED).unwrap_or(now.as_micros() as u64),
            rounds: number(ROUNDS).unwrap_or(1) as usize,
            kind: env::var(KIND).ok(),
        }
    }

    pub(crate) fn wants(&self, kind: &Kind) -> bool {
        self.kind.as_deref().is_none_or(|name| name == kind.name)
    }
}

/// The trials of one kind.
pub(crate) struct Trials<'a> {
    pub(crate) kit: &'a Kit,
    pub(crate) random: Random,
    /// How many trials are to be made.
    pub(crate) wanted: usize,
    name: &'static str,
    tried: usize,
    succeeded: usize,
    refused: usize,
    ended_by_signal: usize,
    /// Of these, runs that were ended by what is not the program's own code.
    ended_outside: usize,
    failures: Vec<String>,
    /// What this machine lacks for this kind, or a part of it.
    missing: Vec<String>,
}

impl<'a> Trials<'a> {
    pub(crate) fn new(kit: &'a Kit, plan: &Plan, kind: &Kind) -> Trials<'a> {
        // Every kind has its own numbers, whatever was tried before.
        let name = kind.name.bytes();
        let seed = name.fold(plan.seed, |seed, byte| {
            Random(seed ^ u64::from(byte)).next()
        });
        Trials {
            kit,
            random: Random(seed),
            wanted: kind.trials * plan.rounds,
            name: kind.name,
            tried: 0,
            succeeded: 0,
            refused: 0,
            ended_by_signal: 0,
            ended_outside: 0,
            failures: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Records a trial in which the loader or the runtime ended the program.
    pub(crate) fn record_outside(&mut self, ran: &Ran) {
        self.ended_outside += 1;
        self.record("", ran, Ok(()));
    }

    /// Records a trial: how the program ended, and whether all was well afterwards.
    pub(crate) fn record(&mut self, what: &str, ran: &Ran, well: Result<(), String>) {
        self.tried += 1;
        match ran.code {
            Some(0) => self.succeeded += 1,
            Some(_) => self.refused += 1,
            None => self.ended_by_signal += 1,
        }
        if let Err(wrong) = well {
            let name = self.name;
            self.failures
                .push(format!("{name}: {what}: {wrong}; {ran}"));
        }
    }

    /// Notes that something could not be tried here.
    pub(crate) fn not_available(&mut self, why: &str) {
        if !self.missing.iter().any(|noted| noted == why) {
            self.missing.push(why.to_owned());
        }
    }

    /// What the counts do not tell.
    fn notes(&self) -> String {
        let mut notes = Vec::new();
        if !self.missing.is_empty() {
            notes.push(format!("not available here: {}", self.missing.join("; ")));
        }
        if self.ended_outside > 0 {
            let count = self.ended_outside;
            notes.push(format!("{count} ended by the loader or Rust's runtime"));
        }
        notes.join("; ")
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(String::as_str)
    }
}

/// A table of all that was tried.
pub(crate) fn table(plan: &Plan, done: &[Trials]) -> String {
    let mut text = format!("\n{SEED}={} {ROUNDS}={}\n", plan.seed, plan.rounds);
    let mut row = |cells: [&str; 6], notes: &str| {
        let [name, counts @ ..] = cells;
        let counts = counts.map(|cell| format!("{cell:>10}")).concat();
        let line = format!("{name:<28}{counts}  {notes}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    row(
        ["fault", "tried", "exit 0", "exit > 0", "signal", "failures"],
        "",
    );
    let mut all = [0; 5];
    for one in done {
        let counts = [
            one.tried,
            one.succeeded,
            one.refused,
            one.ended_by_signal,
            one.failures.len(),
        ];
        for (sum, count) in all.iter_mut().zip(counts) {
            *sum += count;
        }
        let [a, b, c, d, e] = counts.map(|count| count.to_string());
        row([one.name, &a, &b, &c, &d, &e], &one.notes());
    }
    let [a, b, c, d, e] = all.map(|count| count.to_string());
    row(["all", &a, &b, &c, &d, &e], "");
    text
}

/// A generator of random numbers, `SplitMix64`.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number less than `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `times` times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn of<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
