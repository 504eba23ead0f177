//! `devices`, in a build that cannot use any.

#[cfg(feature = "convert")]
use std::sync::Arc;

#[cfg(feature = "convert")]
use llmzip::DeviceChoice;
#[cfg(feature = "convert")]
use llmzip::engine::Runtime;
#[cfg(feature = "convert")]
use llmzip::packed::PackedModel;
#[cfg(feature = "convert")]
use llmzip::store::Store;

use super::failure::Failure;
use super::meant::DevicesJob;
use super::print;

/// Refuses to run a model on a device.
#[cfg(feature = "convert")]
pub(super) fn engine(
    _: &DeviceChoice,
    _: &Arc<PackedModel>,
    _: &Store,
) -> Result<(String, Box<dyn Runtime>), Failure> {
    Err(Failure::message(llmzip::engine::NO_GPU))
}

/// Says so.
pub(super) fn run(job: DevicesJob) -> Result<bool, Failure> {
    const NONE: &str = "This build of llmzip has no support for GPUs, so models run on the CPU.";
    match job.json {
        true => print::json(&[(); 0])?,
        false => print::result(&format!("{NONE}\n"))?,
    }
    Ok(true)
}
