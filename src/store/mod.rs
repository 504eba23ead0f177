//! Packed models on this machine: those built into the library, and those in the user's folder.
//!
//! A model is found by its name, by the path of its packed file, or by the identity that the frames
//! of a compressed file hold.
//!
//! This folder may use [`crate::packed`] and the machine's files only. It neither packs nor fetches
//! models, but it has the catalogue of those that can be fetched, and notes where they came from.
//! Its errors say what is wrong, not which command helps.

pub mod catalogue;
pub mod embedded;
mod error;
mod file;
mod folder;
mod hex;
mod location;
mod name;
mod notes;
mod pin;
mod place;

pub use error::StoreError;
pub use folder::{EXTENSION, Found, Installed, Store, is_path};
pub use hex::{hex, is_hexadecimal};
pub use name::{NO_MODEL, is_free_name, is_name};
pub use notes::Origin;
pub use pin::{Pin, PinnedFile, is_file_name};
pub use place::Place;
