//! Loops of the predictor, each one body of safe code that is compiled for every instruction set: the same integers from
//! all of them.

pub mod distribution;
pub mod dots;
pub mod mixer;

pub use distribution::distribution;
pub use dots::dots;
