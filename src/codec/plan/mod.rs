//! How an input is cut into blocks, and which mode each block gets.
//!
//! The encoder plans in three steps. [`runs`] sorts segments of the input into classes by cheap
//! tests on their bytes; neighbours of one class become a run, and a run becomes a block. Text is
//! a candidate for the language model: [`sample()`] and [`verdict()`] estimate from 8 KiB of it
//! whether the model gains enough over the experts alone ([`WantedGain`]) to be worth its time.
//! [`Trials`] then codes the run, in every mode that is still possible, and keeps the best result.
//! A trial with the model ends early where the model is not going to gain enough. [`Streams`]
//! says into how many streams a block is cut, and [`cut()`] where.
//!
//! A plan depends on the input's bytes and the options alone, never on time, threads or memory:
//! that, and arithmetic on integers, makes it the same on every machine. The decoder never plans.
//!
//! This folder knows bytes, lengths and the block encoder; it knows no file.

mod classify;
mod gain;
mod machine_code;
mod sample;
mod streams;
mod trial;

pub use classify::{Class, runs};
pub use gain::WantedGain;
use sample::SAMPLE;
pub use sample::{Verdict, sample, verdict};
pub use streams::{Streams, cut};
pub use trial::{CodedRun, Tokenize, TrialModel, TrialOptions, Trials};
