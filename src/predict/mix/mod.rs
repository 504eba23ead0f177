//! Turns the predictions of several experts into one probability: the logistic functions, adaptive
//! counters, the mixer, and the maps that refine its result.
//!
//! Nothing here knows what is predicted.

pub(super) mod apm;
pub(super) mod counter;
pub(super) mod counter_table;
pub(super) mod logistic;
pub(super) mod mixer;

pub use logistic::PROBABILITY_BITS;
