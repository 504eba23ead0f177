//! Turns the predictions of several experts into one probability: the logistic functions, adaptive
//! counters, the mixer, and the maps that refine its result.
//!
//! Nothing here knows what is predicted.

pub mod apm;
pub mod counter;
pub mod logistic;
pub mod mixer;

pub use logistic::PROBABILITY_BITS;
