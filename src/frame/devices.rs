//! Finds, opens and tests devices.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::engine::vulkan::{
    Device, DeviceError, DeviceInfo, DeviceKind, VulkanEngine, devices, self_test,
};
use crate::engine::{DeviceChoice, EngineError, NUMERICS_VERSION};
use crate::packed::PackedModel;
use crate::store::Store;

/// A device of this machine.
#[derive(Clone, Debug)]
pub struct ListedDevice {
    /// What it is.
    pub info: DeviceInfo,
    /// Whether it computes the same bits as the CPU, if that was found out.
    pub is_sound: Option<bool>,
}

/// All devices, and what `store` notes of them.
///
/// # Errors
/// If there is no Vulkan library, or it cannot be started.
pub fn list(store: &Store) -> Result<Vec<ListedDevice>, DeviceError> {
    let listed = |info: DeviceInfo| ListedDevice {
        is_sound: store.device_verdict(&key(&info)),
        info,
    };
    Ok(devices()?.into_iter().map(listed).collect())
}

/// Compares a device with the CPU, whatever was noted of it, and notes the outcome in `store`.
///
/// # Errors
/// [`DeviceError::Differs`] if it computes other bits, and errors of using it.
pub fn test(info: &DeviceInfo, store: &Store) -> Result<(), EngineError> {
    test_open(&Device::open(info)?, Some(store))
}

/// A model on the device of this choice. For [`DeviceChoice::Auto`] every error means that the
/// processor should run it.
///
/// # Errors
/// If there is no such device, or it cannot run the model.
pub fn engine(
    choice: &DeviceChoice,
    packed: &Arc<PackedModel>,
    store: Option<&Store>,
) -> Result<VulkanEngine, EngineError> {
    let device = open(&chosen(choice, devices()?)?, store)?;
    VulkanEngine::new(Arc::clone(packed), &device)
}

/// Numbers up to this one are those of the list of devices.
const MOST_NUMBERED: usize = 99;

/// The device that is meant. It may lack something.
fn chosen(choice: &DeviceChoice, devices: Vec<DeviceInfo>) -> Result<DeviceInfo, DeviceError> {
    let best = |is_meant: &dyn Fn(&DeviceInfo) -> bool| {
        let meant = devices.iter().filter(|info| is_meant(info));
        meant.min_by_key(|info| (info.lacks.is_some(), rank(info.kind), Reverse(info.memory)))
    };
    let (device, wanted) = match choice {
        DeviceChoice::Cpu | DeviceChoice::Gpu => {
            let device = best(&|info| info.kind != DeviceKind::Processor);
            (device, "GPU".to_owned())
        }
        DeviceChoice::Auto => {
            let device = best(&|info| info.kind == DeviceKind::Discrete && info.lacks.is_none());
            (device, "GPU with memory of its own".to_owned())
        }
        DeviceChoice::Named(name) => {
            let is_called = |info: &&DeviceInfo| info.name.to_lowercase().contains(name);
            let device = match name.parse() {
                // Large numbers are parts of names, as in RTX 4090.
                Ok(number @ 0..=MOST_NUMBERED) => devices.get(usize::wrapping_sub(number, 1)),
                _ => devices.iter().find(is_called),
            };
            (device, format!("device {name}"))
        }
    };
    device.cloned().ok_or(DeviceError::Absent { wanted })
}

/// The order in which kinds of devices are preferred.
fn rank(kind: DeviceKind) -> u8 {
    match kind {
        DeviceKind::Discrete => 0,
        DeviceKind::Virtual => 1,
        DeviceKind::Integrated => 2,
        _ => 3,
    }
}

/// The devices that this process uses, each by its identity. All models share them.
static OPENED: Mutex<Vec<(String, Weak<Device>)>> = Mutex::new(Vec::new());

/// Opens a device, unless it is open, and tests it, unless that was done.
fn open(info: &DeviceInfo, store: Option<&Store>) -> Result<Arc<Device>, EngineError> {
    // What was added to the list is whole, whoever panicked.
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.retain(|(_, device)| device.strong_count() > 0);
    let open = opened
        .iter()
        .find(|(identity, _)| *identity == info.identity);
    if let Some(device) = open.and_then(|(_, device)| device.upgrade()) {
        return Ok(device);
    }
    let device = Device::open(info)?;
    match store.and_then(|store| store.device_verdict(&key(info))) {
        Some(true) => {}
        Some(false) => return Err(info.differs().into()),
        None => test_open(&device, store)?,
    }
    opened.push((info.identity.clone(), Arc::downgrade(&device)));
    Ok(device)
}

fn test_open(device: &Arc<Device>, store: Option<&Store>) -> Result<(), EngineError> {
    let result = self_test(device);
    let verdict = match &result {
        Ok(()) => Some(true),
        Err(EngineError::Device(DeviceError::Differs { .. })) => Some(false),
        Err(_) => None,
    };
    if let (Some(store), Some(is_sound)) = (store, verdict) {
        // Where it cannot be noted, the device is tested each time.
        let _ = store.note_device_verdict(&key(device.info()), is_sound);
    }
    result
}

/// What the outcome of a test holds for.
fn key(info: &DeviceInfo) -> String {
    format!(
        "{} {} {NUMERICS_VERSION} {}",
        info.identity,
        env!("CARGO_PKG_VERSION"),
        info.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, kind: DeviceKind, memory: u64) -> DeviceInfo {
        let any = devices().unwrap().into_iter().next();
        let mut device = any.expect("a device; Debian's mesa-vulkan-drivers has one");
        (device.name, device.kind, device.memory) = (name.to_owned(), kind, memory);
        device.lacks = None;
        device
    }

    fn name_of(choice: &str, devices: &[DeviceInfo]) -> Result<String, String> {
        let found = chosen(&DeviceChoice::from(choice), devices.to_vec());
        found
            .map(|info| info.name)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_choice_means_the_best_of_its_kind() {
        let mut devices = vec![
            device("Llvmpipe 1", DeviceKind::Processor, 100),
            device("Graphics 2", DeviceKind::Integrated, 50),
            device("Card 3", DeviceKind::Discrete, 10),
            device("Card 4090", DeviceKind::Discrete, 20),
        ];
        for (choice, name) in [
            ("gpu", "Card 4090"),
            ("auto", "Card 4090"),
            ("1", "Llvmpipe 1"),
            ("3", "Card 3"),
            ("card", "Card 3"),
            ("4090", "Card 4090"),
            ("PIPE", "Llvmpipe 1"),
        ] {
            assert_eq!(name_of(choice, &devices).unwrap(), name, "{choice}");
        }
        for choice in ["0", "5", "09", "radeon"] {
            let error = name_of(choice, &devices).unwrap_err();
            assert_eq!(error, format!("there is no device {choice} here"));
        }
        devices[3].lacks = Some("buffer addresses");
        assert_eq!(name_of("auto", &devices).unwrap(), "Card 3");
        assert_eq!(name_of("gpu", &devices).unwrap(), "Card 3");
        assert_eq!(name_of("4090", &devices).unwrap(), "Card 4090");
        // A device that shares the processor is used only if it was asked for.
        assert_eq!(name_of("gpu", &devices[..2]).unwrap(), "Graphics 2");
        let error = name_of("auto", &devices[..2]).unwrap_err();
        assert_eq!(error, "there is no GPU with memory of its own here");
        let error = name_of("gpu", &devices[..1]).unwrap_err();
        assert_eq!(error, "there is no GPU here");
    }
}
