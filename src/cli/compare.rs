//! `compare`: files under every compressor there is.

use std::io::{self, Write};

use llmzip::report::compare;

use super::failure::Failure;
use super::meant::Compare;
use super::models::Models;
use super::samples::{self, Steps};
use super::text;

pub(super) fn run(meant: Compare) -> Result<bool, Failure> {
    let Compare { measure, render } = meant;
    let (samples, mut all_well) = samples::read(&measure);
    if samples.is_empty() {
        return Ok(false);
    }
    let rungs = Models::new(measure.means).ladder(&measure.models, &mut |failure| {
        text::complain(&failure.to_string());
        all_well = false;
    })?;
    let mut steps = Steps::new(measure.progress);
    let comparison = compare::measure(&samples, &rungs, &mut |step| steps.update(step))?;
    drop(steps);
    io::stdout()
        .write_all(render(&comparison).as_bytes())
        .map_err(Failure::from_write)?;
    Ok(all_well)
}
