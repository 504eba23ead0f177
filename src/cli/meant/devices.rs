//! What the arguments of `devices` mean.

use crate::cli::typed::DevicesArgs;

/// What `devices` is to do.
pub(in crate::cli) struct DevicesJob {
    /// Compare the devices with the CPU.
    #[cfg_attr(
        not(feature = "gpu"),
        allow(dead_code, reason = "a build without devices tests none")
    )]
    pub(in crate::cli) tests: bool,
    pub(in crate::cli) json: bool,
}

pub(in crate::cli) fn devices(args: &DevicesArgs) -> DevicesJob {
    DevicesJob {
        tests: args.test,
        json: args.json,
    }
}
