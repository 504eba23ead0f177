//! `compare`: files under every compressor there is.

use std::io::{self, Write};

use llmzip::report::compare;

use super::failure::Failure;
use super::meant::Compare;
use super::samples::{self, Steps};

pub(super) fn run(meant: Compare) -> Result<bool, Failure> {
    let Compare { measure, render } = meant;
    let Some(material) = samples::gather(&measure)? else {
        return Ok(false);
    };
    let mut steps = Steps::new(measure.watching.progress);
    let comparison = compare::measure(&material.samples, &material.rungs, &mut |step| {
        steps.update(step)
    })?;
    drop(steps);
    io::stdout()
        .write_all(render(&comparison).as_bytes())
        .map_err(Failure::from_write)?;
    Ok(material.complete)
}
