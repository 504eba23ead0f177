//! Loops of the predictor that are compiled for several instruction sets.

pub mod mixer;
