//! `devices`: lists the devices that could run models, and tests them.

#[cfg(feature = "convert")]
use std::sync::Arc;

use llmzip::engine::EngineError;
#[cfg(feature = "convert")]
use llmzip::engine::Runtime;
use llmzip::engine::vulkan::{DeviceError, DeviceKind};
use llmzip::frame::devices::{self, ListedDevice};
#[cfg(feature = "convert")]
use llmzip::packed::PackedModel;
use llmzip::store::Store;
#[cfg(feature = "convert")]
use llmzip::{DeviceChoice, Error};
use serde::Serialize;

use super::failure::Failure;
use super::meant::DevicesJob;
use super::print;
use super::text;

/// A model on the device of this choice, and the name of the device.
#[cfg(feature = "convert")]
pub(super) fn engine(
    choice: &DeviceChoice,
    packed: &Arc<PackedModel>,
    store: &Store,
) -> Result<(String, Box<dyn Runtime>), Failure> {
    let engine = devices::engine(choice, packed, Some(store)).map_err(Error::from)?;
    Ok((engine.device().name.clone(), Box::new(engine)))
}

/// Lists the devices. Returns whether none that was to be tested has failed.
pub(super) fn run(job: DevicesJob) -> Result<bool, Failure> {
    let store = Store::of_user();
    let mut devices = match devices::list(&store) {
        Ok(devices) => devices,
        // What cannot be started has no devices.
        Err(error) => {
            print::note_unless_quiet(&format!("llmzip: {error}"));
            Vec::new()
        }
    };
    let all_well = !job.tests || test(&mut devices, &store);
    match job.json {
        true => print::json(&devices.iter().map(Line::new).collect::<Vec<_>>())?,
        false => print::result(&text::printable_lines(&to_text(&devices)))?,
    }
    Ok(all_well)
}

/// Tests the devices that can be used. Returns whether all have passed.
fn test(devices: &mut [ListedDevice], store: &Store) -> bool {
    let mut all_well = true;
    for device in devices {
        if device.info.lacks.is_some() {
            continue;
        }
        match devices::test(&device.info, store) {
            Ok(()) => device.is_sound = Some(true),
            Err(error) => {
                if let EngineError::Device(DeviceError::Differs { .. }) = &error {
                    device.is_sound = Some(false);
                }
                print::error(&error.to_string());
                all_well = false;
            }
        }
    }
    all_well
}

/// One device in JSON.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    kind: &'static str,
    /// In bytes.
    memory: u64,
    driver: &'a str,
    /// Whether models can run on it; false also if it computes other bits than the CPU.
    usable: bool,
    lacks: Option<&'static str>,
    byte_products: bool,
    /// Whether it computes the same bits as the CPU, if that was tested.
    same_bits: Option<bool>,
}

impl<'a> Line<'a> {
    fn new(device: &'a ListedDevice) -> Line<'a> {
        let info = &device.info;
        Line {
            name: &info.name,
            kind: kind(info.kind),
            memory: info.memory,
            driver: &info.driver,
            usable: info.lacks.is_none() && device.is_sound != Some(false),
            lacks: info.lacks,
            byte_products: info.has_dot_products,
            same_bits: device.is_sound,
        }
    }
}

fn kind(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Discrete => "discrete",
        DeviceKind::Integrated => "integrated",
        DeviceKind::Virtual => "virtual",
        DeviceKind::Processor => "processor",
        _ => "other",
    }
}

fn to_text(devices: &[ListedDevice]) -> String {
    if devices.is_empty() {
        return "There is no device, so models run on the CPU.\n".to_owned();
    }
    let numbered = (1..).zip(devices);
    numbered
        .map(|(number, device)| lines(number, device))
        .collect()
}

/// A device by its number, with a line for each property.
fn lines(number: usize, device: &ListedDevice) -> String {
    let info = &device.info;
    let usable = match (info.lacks, device.is_sound) {
        (Some(lacks), _) => format!("no: it has no {lacks}"),
        (None, Some(false)) => "no: it computes other bits than the CPU".to_owned(),
        (None, Some(true)) => "yes: it computes the same bits as the CPU".to_owned(),
        (None, None) => "not known: it is tested when it is first used".to_owned(),
    };
    let kind = match info.kind {
        DeviceKind::Processor => "a program on the CPU",
        other => kind(other),
    };
    let products = match info.has_dot_products {
        true => "four at once",
        false => "one by one",
    };
    let memory = format!("{} MiB", info.memory >> 20);
    format!(
        "{number}  {}\n   kind      {kind}\n   memory    {memory}\n   driver    {}\n   \
         bytes     multiplied {products}\n   usable    {usable}\n",
        info.name, info.driver
    )
}
