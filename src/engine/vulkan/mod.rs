//! The engine on a graphics processor, or on anything else that Vulkan reaches.
//!
//! `docs/GPU.md` says how it works, and `docs/NUMERICS.md` what a device must guarantee. `library`
//! finds devices; `device` opens one, takes memory and runs commands; `shader` has the programs of
//! `shaders/`; `weights`, `state` and `workspace` are what lies in the memory of
//! the device; `table` and `pass` record the commands of a pass; `engine` is the runtime.
//! `self_test` compares a device with the CPU; `arithmetic` is its first part, for single
//! operations. Only `library` and `device` call Vulkan.

mod arithmetic;
mod device;
mod engine;
mod error;
mod library;
mod parameters;
mod pass;
mod self_test;
mod shader;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod weights;
mod workspace;

pub use arithmetic::wrong_operation;
pub use device::Device;
pub use engine::VulkanEngine;
pub use error::DeviceError;
pub use library::{DeviceInfo, DeviceKind, devices};
pub use self_test::self_test;
