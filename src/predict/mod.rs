//! Adaptive experts and the mixer that weighs them against the language model.
