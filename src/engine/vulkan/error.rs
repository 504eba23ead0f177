//! Why a device cannot be used, or has stopped.

use ash::vk;

/// Why a device cannot be used, or has stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no Vulkan library to load.
    #[error("there is no Vulkan library here, so no GPU can be used")]
    NoLibrary,
    /// The library gives no instance.
    #[error("Vulkan cannot be started ({code:?})")]
    NoInstance {
        /// What the library answers.
        code: vk::Result,
    },
    /// The device is too old, or too small.
    #[error("{device} cannot be used: it has no {lacks}")]
    Lacks {
        /// Its name.
        device: String,
        /// What it lacks.
        lacks: &'static str,
    },
    /// The device computes other bits than the processor.
    #[error("{device} computes other bits than the CPU, so it cannot be used")]
    Differs {
        /// Its name.
        device: String,
    },
    /// There is no device that was asked for.
    #[error("there is no {wanted} here")]
    Absent {
        /// What was asked for, in words.
        wanted: String,
    },
    /// The model needs what devices do not compute.
    #[error("{device} cannot run this model: it has {lacks}")]
    Model {
        /// The name of the device.
        device: String,
        /// What the model has.
        lacks: &'static str,
    },
    /// The memory of the device, or the one it shares with the processor, is full.
    #[error("{device} has no memory left for {what} ({bytes} bytes)")]
    Memory {
        /// Its name.
        device: String,
        /// What the memory is for.
        what: &'static str,
        /// How much was asked for.
        bytes: u64,
    },
    /// The driver has given the device up, or the device does not answer.
    #[error("{device} has stopped working ({doing}: {code:?})")]
    Stopped {
        /// Its name.
        device: String,
        /// What was being done.
        doing: &'static str,
        /// What the driver answers.
        code: vk::Result,
    },
}
