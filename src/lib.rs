//! Lossless compression in which a pretrained language model predicts and an arithmetic coder writes.

pub mod codec;
pub mod container;
pub mod engine;
pub mod kernels;
pub mod model;
pub mod predict;
