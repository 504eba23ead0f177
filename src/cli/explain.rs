//! `explain`: where the bits of a file go.

use std::io::{self, Write};
use std::slice;

use llmzip::report::explain;

use super::failure::Failure;
use super::meant::Explain;
use super::models::Models;
use super::picture;
use super::samples::{self, Steps};

pub(super) fn run(meant: Explain) -> Result<bool, Failure> {
    let Explain {
        input,
        model,
        watching,
        render,
        page,
    } = meant;
    if let Some(path) = &page {
        picture::refuse(path, slice::from_ref(&input), watching.force)?;
    }
    let sample = samples::read_one(&input, watching.force)?;
    let candidate = Models::new(watching.means).candidate(&model)?;
    let mut steps = Steps::new(watching.progress);
    let explanation = explain::measure(&sample, &candidate, &mut |step| steps.update(step))?;
    drop(steps);
    if let Some(path) = &page {
        picture::write(path, &explain::render::html(&explanation), watching.force)?;
    }
    io::stdout()
        .write_all(render(&explanation).as_bytes())
        .map_err(Failure::from_write)?;
    Ok(true)
}
