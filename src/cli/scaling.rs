//! `scaling`: how small files get as models grow.

use std::io::{self, Write};

use llmzip::report::{Candidate, scaling};

use super::failure::Failure;
use super::meant::Scale;
use super::picture;
use super::samples::{self, Steps};

pub(super) fn run(meant: Scale) -> Result<bool, Failure> {
    let Scale {
        measure,
        experts,
        render,
        pictures,
    } = meant;
    for (path, _) in &pictures {
        picture::refuse(path, &measure.inputs, measure.watching.force)?;
    }
    let Some(material) = samples::gather(&measure)? else {
        return Ok(false);
    };
    let mut candidates = material.candidates;
    if !experts {
        candidates = candidates
            .into_iter()
            .map(Candidate::without_experts)
            .collect();
    }
    let mut steps = Steps::new(measure.watching.progress);
    let scaling = scaling::measure(&material.samples, &candidates, &mut |step| {
        steps.update(step)
    })?;
    drop(steps);
    io::stdout()
        .write_all(render(&scaling).as_bytes())
        .map_err(Failure::from_write)?;
    for (path, render) in &pictures {
        picture::write(path, &render(&scaling), measure.watching.force)?;
    }
    Ok(material.complete)
}
