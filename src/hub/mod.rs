//! Fetches models from a hub, through the crate `hf-hub`.
//!
//! `hf-hub` speaks the protocol of the hub and keeps the cache in `HF_HOME`. It accepts a truncated
//! body, so this folder checks every file against the size and the hash that the hub announces. All
//! files of a model come from one commit.
//!
//! This folder may use [`crate::import`], to know which files a model consists of, and
//! [`crate::store`], for the short names of models. Its errors say what is wrong, not which command
//! helps.

mod client;
mod error;
mod repository;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
mod verify;

pub use client::Hub;
pub use error::HubError;
pub use repository::Repository;
