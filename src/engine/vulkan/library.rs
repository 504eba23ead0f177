//! The Vulkan library of the system and the devices that it knows.

use std::ffi::CStr;
use std::sync::Arc;

use ash::{Entry, Instance, vk};

use super::error::DeviceError;
use crate::machine::foreign;

/// The version of Vulkan that is needed.
const VERSION: u32 = vk::API_VERSION_1_2;

/// The library, loaded, with an instance.
pub(super) struct Library {
    pub(super) instance: Instance,
    /// Keeps the library loaded.
    _entry: Entry,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A card with memory of its own.
    Discrete,
    /// Part of the processor's chip, with which it shares memory.
    Integrated,
    /// A part of a device, given to a virtual machine.
    Virtual,
    /// A program that does on the processor what a device would do.
    Processor,
    /// Something else.
    Other,
}

/// A device that could run models.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Bytes of its own memory, or of the processor's memory that it may use.
    pub memory: u64,
    /// The driver, with its version.
    pub driver: String,
    /// Identifies device and driver together.
    pub identity: String,
    /// Whether it multiplies four pairs of bytes at once.
    pub has_dot_products: bool,
    /// What it lacks; `None` if it can be used.
    pub lacks: Option<&'static str>,
    pub(super) library: Arc<Library>,
    pub(super) physical: vk::PhysicalDevice,
    pub(super) queue_family: u32,
    /// Whether rounding to nearest can be asked for.
    pub(super) can_round_to_nearest: bool,
    /// Whether infinities and signed zeros can be asked for.
    pub(super) can_keep_infinities: bool,
    /// Most bytes that can be taken at once.
    pub(super) most_memory: u64,
    /// Whether it is another interface's device, which Vulkan wants to be told.
    pub(super) is_portable: bool,
}

impl Library {
    fn load() -> Result<Library, DeviceError> {
        // SAFETY: the library that the system calls Vulkan's is taken to be one; its constructors
        // are as safe as those of any driver.
        let entry = unsafe { Entry::load() }.map_err(|_| DeviceError::NoLibrary)?;
        let application = vk::ApplicationInfo::default()
            .application_name(c"llmzip")
            .api_version(VERSION);
        // Devices behind a layer such as MoltenVK are listed if this extension is asked for.
        let portability = vk::KHR_PORTABILITY_ENUMERATION_NAME;
        // SAFETY: the entry is valid, and a query without a layer name is allowed.
        let extensions = unsafe { entry.enumerate_instance_extension_properties(None) };
        let has_portability = (extensions.unwrap_or_default().iter())
            .any(|extension| extension.extension_name_as_c_str() == Ok(portability));
        let names = [portability.as_ptr()];
        let mut info = vk::InstanceCreateInfo::default().application_info(&application);
        if has_portability {
            info = info
                .flags(vk::InstanceCreateFlags::ENUMERATE_PORTABILITY_KHR)
                .enabled_extension_names(&names);
        }
        // SAFETY: `info` and all that it points to live until the call returns.
        let instance = unsafe { entry.create_instance(&info, None) };
        let instance = instance.map_err(|code| DeviceError::NoInstance { code })?;
        Ok(Library {
            instance,
            _entry: entry,
        })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: everything made with the instance keeps the library, so none is left.
        unsafe { self.instance.destroy_instance(None) };
    }
}

impl DeviceInfo {
    /// The error of a device that computes other bits than the processor.
    pub(crate) fn differs(&self) -> DeviceError {
        DeviceError::Differs {
            device: self.name.clone(),
        }
    }
}

/// All devices, in the order in which the library lists them.
///
/// # Errors
/// If there is no Vulkan library, or it cannot be started.
pub fn devices() -> Result<Vec<DeviceInfo>, DeviceError> {
    foreign::call(ENDED, list)
}

/// What is said if the library ends the program. Layers do that: `MESA_VK_DEVICE_SELECT=list`
/// prints the devices and exits with 0.
pub(super) const ENDED: &str =
    "llmzip: the Vulkan library ended the program; the device cpu does without it\n";

fn list() -> Result<Vec<DeviceInfo>, DeviceError> {
    let library = Arc::new(Library::load()?);
    // SAFETY: the instance is valid.
    let physical = unsafe { library.instance.enumerate_physical_devices() };
    let physical = physical.map_err(|code| DeviceError::NoInstance { code })?;
    Ok(physical
        .into_iter()
        .map(|physical| describe(&library, physical))
        .collect())
}

fn describe(library: &Arc<Library>, physical: vk::PhysicalDevice) -> DeviceInfo {
    let instance = &library.instance;
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut floats = vk::PhysicalDeviceFloatControlsProperties::default();
    let mut id = vk::PhysicalDeviceIDProperties::default();
    let mut sizes = vk::PhysicalDeviceMaintenance3Properties::default();
    // SAFETY: the device is of this instance.
    let version = unsafe { instance.get_physical_device_properties(physical) }.api_version;
    let mut properties = vk::PhysicalDeviceProperties2::default();
    if version >= VERSION {
        properties = properties
            .push_next(&mut driver)
            .push_next(&mut floats)
            .push_next(&mut sizes)
            .push_next(&mut id);
    }
    // SAFETY: the device is of this instance, and knows the structures that are asked for.
    unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
    let properties = properties.properties;
    // SAFETY: the device is of this instance.
    let memory = unsafe { instance.get_physical_device_memory_properties(physical) };
    let heaps = memory.memory_heaps_as_slice().iter();
    let own = heaps.filter(|heap| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL));
    let queue_family = compute_queue(instance, physical);
    let extensions = extensions(instance, physical);
    let has_dot_products =
        (extensions.iter()).any(|it| **it == *vk::KHR_SHADER_INTEGER_DOT_PRODUCT_NAME);
    let text = |name: Result<&CStr, _>| {
        let name = name.map(|name| name.to_string_lossy().into_owned());
        // The name goes to a terminal.
        let shown = |name: String| name.chars().filter(|c| !c.is_control()).collect::<String>();
        name.map(shown).unwrap_or_default()
    };
    let driver_name = format!(
        "{} {}",
        text(driver.driver_name_as_c_str()),
        text(driver.driver_info_as_c_str())
    );
    let uuid = |bytes: [u8; 16]| bytes.map(|byte| format!("{byte:02x}")).concat();
    DeviceInfo {
        name: text(properties.device_name_as_c_str()),
        kind: match properties.device_type {
            vk::PhysicalDeviceType::DISCRETE_GPU => DeviceKind::Discrete,
            vk::PhysicalDeviceType::INTEGRATED_GPU => DeviceKind::Integrated,
            vk::PhysicalDeviceType::VIRTUAL_GPU => DeviceKind::Virtual,
            vk::PhysicalDeviceType::CPU => DeviceKind::Processor,
            _ => DeviceKind::Other,
        },
        memory: own.map(|heap| heap.size).max().unwrap_or(0),
        driver: driver_name.trim().to_owned(),
        identity: format!(
            "{}-{}-{:x}",
            uuid(id.device_uuid),
            uuid(id.driver_uuid),
            properties.driver_version
        ),
        has_dot_products,
        lacks: lacks(instance, physical, &properties, queue_family),
        library: Arc::clone(library),
        physical,
        queue_family: queue_family.unwrap_or(0),
        can_round_to_nearest: floats.shader_rounding_mode_rte_float32 == vk::TRUE,
        most_memory: sizes.max_memory_allocation_size,
        is_portable: extensions
            .iter()
            .any(|it| **it == *vk::KHR_PORTABILITY_SUBSET_NAME),
        can_keep_infinities: floats.shader_signed_zero_inf_nan_preserve_float32 == vk::TRUE,
    }
}

/// A family of queues that compute; one that does not draw is preferred, because a display does
/// not wait for it.
fn compute_queue(instance: &Instance, physical: vk::PhysicalDevice) -> Option<u32> {
    // SAFETY: the device is of this instance.
    let families = unsafe { instance.get_physical_device_queue_family_properties(physical) };
    let computes = |index: &usize| {
        let flags = families[*index].queue_flags;
        flags.contains(vk::QueueFlags::COMPUTE)
    };
    let draws = |index: &usize| {
        let flags = families[*index].queue_flags;
        flags.contains(vk::QueueFlags::GRAPHICS)
    };
    let family = (0..families.len()).filter(computes).min_by_key(draws);
    family.map(|index| index as u32)
}

fn extensions(instance: &Instance, physical: vk::PhysicalDevice) -> Vec<std::ffi::CString> {
    // SAFETY: the device is of this instance.
    let extensions = unsafe { instance.enumerate_device_extension_properties(physical) };
    (extensions.unwrap_or_default().iter())
        .filter_map(|extension| extension.extension_name_as_c_str().ok())
        .map(CStr::to_owned)
        .collect()
}

/// What the device lacks to run models.
fn lacks(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    properties: &vk::PhysicalDeviceProperties,
    queue_family: Option<u32>,
) -> Option<&'static str> {
    if properties.api_version < VERSION {
        return Some("Vulkan 1.2");
    }
    let mut features = vk::PhysicalDeviceVulkan12Features::default();
    let mut all = vk::PhysicalDeviceFeatures2::default().push_next(&mut features);
    // SAFETY: the device is of this instance and knows the structures of Vulkan 1.2.
    unsafe { instance.get_physical_device_features2(physical, &mut all) };
    let limits = &properties.limits;
    let needs = [
        (queue_family.is_some(), "queue for computing"),
        (
            features.buffer_device_address == vk::TRUE,
            "buffer addresses",
        ),
        (
            limits.max_compute_work_group_invocations >= 256
                && limits.max_compute_work_group_size[0] >= 256,
            "workgroups of 256",
        ),
        (
            limits.max_compute_shared_memory_size >= 16 << 10,
            "16 KiB of shared memory",
        ),
        (
            limits.max_push_constants_size >= 128,
            "128 bytes of push constants",
        ),
    ];
    needs.iter().find(|(has, _)| !has).map(|(_, what)| *what)
}
