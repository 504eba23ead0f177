//! Fetches models from a hub.
//!
//! A hub, and whoever sits between it and us, is not trusted. `client` asks it; `announced`
//! checks what it says of a file, and everything follows from that one answer: where the bytes are,
//! how many may come, which hash they must have, and under which name they are kept. `cache`
//! keeps them in the layout of `hf-hub`, whose types for repositories and paths are used here. Its
//! client is not: it asks twice and believes the second answer, sends the token wherever a redirect
//! leads, and waits for ever. `proxy` and `certificates` read from the environment what lies in
//! between. `model` tells which files of a repository are a model; all come from one commit.
//!
//! This folder may use [`crate::import`], to know which files a model consists of,
//! [`crate::store`], for the catalogue of models and its notes, and the machine's files. Its errors
//! say what is wrong, not which command helps.

mod address;
mod announced;
mod cache;
mod certificates;
mod client;
mod error;
mod fetch;
mod hash;
#[cfg(test)]
mod hostile_answers;
#[cfg(test)]
mod hostile_bodies;
#[cfg(test)]
mod hostile_redirects;
mod model;
mod names;
mod part;
mod pinned;
mod proxy;
mod repository;
#[cfg(test)]
mod room;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

pub use error::HubError;
pub use fetch::{Fetched, Hub, Watch};
pub use repository::Repository;
