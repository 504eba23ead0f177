//! The inner loops of the predictor. Each is one body of safe code that is compiled for every
//! instruction set, and all versions compute the same integers. [`chain`] is what a kernel does
//! beside its own work.

pub mod chain;
pub mod distribution;
pub mod dots;
pub mod mixer;
pub mod steps;

pub use distribution::distribution;
pub use dots::dots;
pub use steps::{descend, sum_steps, take_steps};
