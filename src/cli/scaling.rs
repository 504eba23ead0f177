//! `scaling`: how small files get as models grow.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use llmzip::report::{Rung, scaling};

use super::failure::Failure;
use super::input::Opened;
use super::meant::{Input, Scale};
use super::models::Models;
use super::output::Output;
use super::samples::{self, Steps};
use super::text;

pub(super) fn run(meant: Scale) -> Result<bool, Failure> {
    let Scale {
        measure,
        experts,
        render,
        pictures,
    } = meant;
    for (path, _) in &pictures {
        refuse_output(path, &measure.inputs, measure.force)?;
    }
    let (samples, mut all_well) = samples::read(&measure);
    if samples.is_empty() {
        return Ok(false);
    }
    let mut rungs = Models::new(measure.means).ladder(&measure.models, &mut |failure| {
        text::complain(&failure.to_string());
        all_well = false;
    })?;
    if !experts {
        rungs = rungs.into_iter().map(Rung::without_experts).collect();
    }
    let mut steps = Steps::new(measure.progress);
    let scaling = scaling::measure(&samples, &rungs, &mut |step| steps.update(step))?;
    drop(steps);
    for (path, picture) in &pictures {
        write(path, &picture(&scaling), measure.force)?;
    }
    io::stdout()
        .write_all(render(&scaling).as_bytes())
        .map_err(Failure::from_write)?;
    Ok(all_well)
}

/// Refuses before the long measurement what could not be written after it.
fn refuse_output(path: &Path, inputs: &[Input], force: bool) -> Result<(), Failure> {
    let Ok(existing) = fs::canonicalize(path) else {
        return Ok(());
    };
    let is_input = |input: &Input| match input {
        Input::Stdin => false,
        Input::File(input) => fs::canonicalize(input).is_ok_and(|input| input == existing),
    };
    if inputs.iter().any(is_input) {
        return Err(Failure::said("input and output are the same file"));
    }
    if existing.is_file() && !force {
        let path = path.display();
        return Err(Failure::Said(format!("{path} exists; -f overwrites it")));
    }
    Ok(())
}

fn write(path: &Path, picture: &str, force: bool) -> Result<(), Failure> {
    let nothing = Opened::nothing();
    let mut output = Output::file(path, &nothing, force)?;
    output
        .write_all(picture.as_bytes())
        .map_err(Failure::from_write)?;
    output.commit(&nothing)
}
