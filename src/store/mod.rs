//! Packed models on this machine: those built into the library, and those in the user's folder.
//!
//! A model is found by its name, by the path of its packed file, or by the identity that the frames
//! of a compressed file hold.
//!
//! This folder may use [`crate::packed`] and the machine's files only. It neither packs nor fetches
//! models, but it knows the short names of those that can be fetched. Its errors say what is wrong,
//! not which command helps.

pub mod embedded;
mod error;
mod folder;
mod hex;
mod location;
mod name;

pub use error::StoreError;
pub use folder::{EXTENSION, Found, Installed, Store, is_path};
pub use hex::hex;
pub use name::{NO_MODEL, SHORT_NAMES, is_free_name, is_name, repository_of};
