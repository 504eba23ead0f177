//! Where models run, and what becomes of that.

use std::fmt;
use std::sync::Arc;

/// Why a build without the feature `gpu` refuses devices.
#[doc(hidden)]
pub const NO_GPU: &str = "this build of llmzip has no support for GPUs";

/// Where models run. It changes how long coding takes, and no byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// On the processor.
    #[default]
    Cpu,
    /// On a GPU; it is an error if there is none that can be used.
    Gpu,
    /// On a GPU where one is likely to be faster, else on the processor. What is wrong with a GPU
    /// is never an error.
    Auto,
    /// On the device that has this number in the list of devices, the first of which is 1, or the
    /// first whose name contains this text. It is an error if there is none that can be used.
    Named(String),
}

impl From<&str> for DeviceChoice {
    /// Reads `cpu`, `gpu`, `auto`, a number or a part of a name; upper and lower case are the same.
    fn from(text: &str) -> DeviceChoice {
        match text.to_lowercase().as_str() {
            "cpu" => DeviceChoice::Cpu,
            "gpu" => DeviceChoice::Gpu,
            "auto" => DeviceChoice::Auto,
            name => DeviceChoice::Named(name.to_owned()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceChoice::Cpu => "cpu",
            DeviceChoice::Gpu => "gpu",
            DeviceChoice::Auto => "auto",
            DeviceChoice::Named(name) => name,
        })
    }
}

/// What an application may want to tell its user of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceNews {
    /// A model runs on the device of this name.
    Runs(String),
    /// [`DeviceChoice::Auto`] found no device that should run the model, for this reason.
    Avoided(String),
    /// A device has stopped, for this reason, and the processor goes on.
    Stopped(String),
}

/// Is told news of devices, on any thread.
pub type OnDeviceNews = Arc<dyn Fn(&DeviceNews) + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_is_shown() {
        for (text, choice) in [
            ("cpu", DeviceChoice::Cpu),
            ("GPU", DeviceChoice::Gpu),
            ("Auto", DeviceChoice::Auto),
            ("2", DeviceChoice::Named("2".to_owned())),
            ("Radeon RX", DeviceChoice::Named("radeon rx".to_owned())),
        ] {
            assert_eq!(DeviceChoice::from(text), choice);
            assert_eq!(DeviceChoice::from(choice.to_string().as_str()), choice);
        }
    }
}
