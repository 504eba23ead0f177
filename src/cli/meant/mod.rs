//! The meaning of the command line. Every option is interpreted here, and nowhere else.
//!
//! For each command a function turns the arguments as typed into a job, which the command's own
//! file then carries out. Jobs know nothing of clap.

mod coding;
mod devices;
mod model;
mod plain;
mod reports;
mod shared;

pub(super) use coding::{
    CompressJob, DecompressJob, Destination, FilesJob, InfoJob, InfoStyle, SUFFIX, cat, compress,
    decompress, info, is_compressed, test,
};
pub(super) use devices::{DevicesJob, devices};
#[cfg(feature = "convert")]
pub(super) use model::CheckJob;
pub(super) use model::{AddTo, ModelJob, model};
pub(super) use plain::{CalledAs, PlainJob, plain};
#[cfg(feature = "compare")]
pub(super) use reports::{CompareJob, CompareOneJob, ReportOptions, compare, compare_one};
#[cfg(feature = "encode")]
pub(super) use reports::{ExplainJob, explain};
pub(super) use reports::{Measurement, ReportResult, ScalingJob, scaling};
#[cfg(feature = "convert")]
pub(super) use shared::DASH;
pub(super) use shared::{Accept, Input, ModelChoice, ModelList, Resources, model_choice};
