//! A device in use: its memory, and commands that run on it one after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ash::vk;

use super::error::DeviceError;
use super::library::{DeviceInfo, DeviceKind, ENDED};
use super::shader::{self, CONSTANTS, Variant};
use crate::machine::foreign;

/// A device that has not answered for so long has stopped. A call of a large model on a slow
/// device takes seconds; a driver gives up a device that hangs after seconds, too.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for a device that is a program on the processor.
const PATIENCE_WITH_PROGRAMS: Duration = Duration::from_secs(1200);

/// A device, opened. Several models can use it.
pub struct Device {
    pub(super) info: DeviceInfo,
    pub(super) raw: ash::Device,
    /// Every pipeline takes 128 bytes of push constants and nothing else.
    pub(super) layout: vk::PipelineLayout,
    memory_types: Vec<vk::MemoryType>,
    queue: Mutex<Queue>,
    /// Whether a call has failed.
    has_failed: AtomicBool,
    /// Whether a call did not end in time. The device may still use all memory.
    is_abandoned: AtomicBool,
    /// The pipelines made so far.
    pipelines: Mutex<BTreeMap<Variant, vk::Pipeline>>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// The queue and what it needs; one thread at a time uses them.
struct Queue {
    queue: vk::Queue,
    pool: vk::CommandPool,
    fence: vk::Fence,
    /// Command buffers of a call, used again by the next one.
    buffers: Vec<vk::CommandBuffer>,
}

/// What kind of memory a buffer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Memory of the device.
    Device,
    /// Memory that the processor writes.
    Upload,
    /// Memory that the processor reads.
    Download,
}

/// Memory with an address on the device.
#[derive(Debug)]
pub(super) struct Buffer {
    device: Arc<Device>,
    raw: vk::Buffer,
    memory: vk::DeviceMemory,
    /// Address on the device.
    pub(super) address: u64,
    len: u64,
    /// Where the processor sees the memory, if it does.
    mapped: Option<std::ptr::NonNull<u8>>,
}

// SAFETY: a buffer owns its memory; what is mapped is only reached through references to it.
unsafe impl Send for Buffer {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for Buffer {}

/// Commands of a call while they are recorded.
pub(super) struct Commands<'a> {
    device: &'a Device,
    queue: &'a mut Queue,
    /// Buffers begun so far; the last of them is being recorded.
    begun: usize,
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// If it lacks something, or the driver refuses.
    pub fn open(info: &DeviceInfo) -> Result<Arc<Device>, DeviceError> {
        if let Some(lacks) = info.lacks {
            let device = info.name.clone();
            return Err(DeviceError::Lacks { device, lacks });
        }
        let raw = foreign::call(ENDED, || create(info))
            .map_err(|code| stopped(info, "opening it", code))?;
        // SAFETY: the device is of this instance.
        let memory = unsafe {
            let instance = &info.library.instance;
            instance.get_physical_device_memory_properties(info.physical)
        };
        let mut device = Device {
            info: info.clone(),
            raw,
            layout: vk::PipelineLayout::null(),
            memory_types: memory.memory_types_as_slice().to_vec(),
            queue: Mutex::new(Queue {
                queue: vk::Queue::null(),
                pool: vk::CommandPool::null(),
                fence: vk::Fence::null(),
                buffers: Vec::new(),
            }),
            has_failed: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
            pipelines: Mutex::default(),
        };
        foreign::call(ENDED, || device.prepare())
            .map_err(|code| stopped(info, "opening it", code))?;
        Ok(Arc::new(device))
    }

    /// What the device is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// The shaders that have run.
    #[cfg(test)]
    pub(super) fn made(&self) -> Vec<Variant> {
        let made = self.pipelines.lock().unwrap();
        made.keys().copied().collect()
    }

    /// Makes what every call needs.
    fn prepare(&mut self) -> Result<(), vk::Result> {
        let range = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size(128)];
        let layout = vk::PipelineLayoutCreateInfo::default().push_constant_ranges(&range);
        let family = self.info.queue_family;
        let pool = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER)
            .queue_family_index(family);
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: all structures live until the calls return, and the queue was asked for when the
        // device was created. What is made is destroyed with the device.
        unsafe {
            self.layout = self.raw.create_pipeline_layout(&layout, None)?;
            queue.queue = self.raw.get_device_queue(family, 0);
            queue.pool = self.raw.create_command_pool(&pool, None)?;
            queue.fence = self
                .raw
                .create_fence(&vk::FenceCreateInfo::default(), None)?;
        }
        Ok(())
    }

    /// The pipeline of a shader, made when it is first needed.
    pub(super) fn pipeline(&self, variant: Variant) -> Result<vk::Pipeline, DeviceError> {
        let mut made = self
            .pipelines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = made.get(&variant) {
            return Ok(*pipeline);
        }
        let pipeline = self.make(variant);
        let pipeline = pipeline.map_err(|code| self.stopped("compiling a shader", code))?;
        made.insert(variant, pipeline);
        Ok(pipeline)
    }

    fn make(&self, (shader, constants): Variant) -> Result<vk::Pipeline, vk::Result> {
        let words = shader::program(shader, &self.info);
        let raw = &self.raw;
        let module = vk::ShaderModuleCreateInfo::default().code(&words);
        let entries: [_; CONSTANTS] = std::array::from_fn(|index| {
            vk::SpecializationMapEntry::default()
                .constant_id(index as u32)
                .offset(index as u32 * 4)
                .size(4)
        });
        let values: Vec<u8> = constants.iter().flat_map(|it| it.to_ne_bytes()).collect();
        let constants = vk::SpecializationInfo::default()
            .map_entries(&entries)
            .data(&values);
        // SAFETY: the words are a program of a compiler, which `with_modes` keeps valid; all
        // structures live until the calls return, and the module is not needed afterwards.
        unsafe {
            let module = raw.create_shader_module(&module, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main")
                .specialization_info(&constants);
            let create = [vk::ComputePipelineCreateInfo::default()
                .stage(stage)
                .layout(self.layout)];
            let pipelines = raw.create_compute_pipelines(vk::PipelineCache::null(), &create, None);
            raw.destroy_shader_module(module, None);
            pipelines
                .map(|pipelines| pipelines[0])
                .map_err(|(_, code)| code)
        }
    }

    /// An error of this device.
    pub(super) fn stopped(&self, doing: &'static str, code: vk::Result) -> DeviceError {
        stopped(&self.info, doing, code)
    }

    /// Memory of `len` bytes for `what`.
    pub(super) fn buffer(
        self: &Arc<Self>,
        what: &'static str,
        len: u64,
        place: Place,
    ) -> Result<Buffer, DeviceError> {
        let full = |code| match code {
            vk::Result::ERROR_OUT_OF_DEVICE_MEMORY
            | vk::Result::ERROR_OUT_OF_HOST_MEMORY
            | vk::Result::ERROR_TOO_MANY_OBJECTS
            | vk::Result::ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS => DeviceError::Memory {
                device: self.info.name.clone(),
                what,
                bytes: len,
            },
            code => self.stopped("taking memory", code),
        };
        if len > self.info.most_memory {
            return Err(full(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
        }
        let mut buffer = Buffer {
            device: Arc::clone(self),
            raw: vk::Buffer::null(),
            memory: vk::DeviceMemory::null(),
            address: 0,
            len,
            mapped: None,
        };
        buffer.allocate(place).map_err(full)?;
        Ok(buffer)
    }

    /// The type of memory for a place, among those that `allowed` has a bit for.
    fn memory_type(&self, place: Place, allowed: u32) -> Option<u32> {
        use vk::MemoryPropertyFlags as Flags;
        let seen = Flags::HOST_VISIBLE | Flags::HOST_COHERENT;
        // In order of preference.
        let wanted: &[Flags] = match place {
            Place::Device => &[Flags::DEVICE_LOCAL, Flags::empty()],
            Place::Upload => &[seen],
            Place::Download => &[
                Flags::from_raw(seen.as_raw() | Flags::HOST_CACHED.as_raw()),
                seen,
            ],
        };
        let find = |flags: &Flags| {
            let fits = |index: &u32| {
                let kind = self.memory_types[*index as usize];
                allowed & (1 << index) != 0 && kind.property_flags.contains(*flags)
            };
            (0..self.memory_types.len() as u32).find(fits)
        };
        wanted.iter().find_map(find)
    }

    /// Records commands with `record` and runs them; returns when they are done.
    pub(super) fn run(
        &self,
        record: impl FnOnce(&mut Commands<'_>) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(self.stopped("computing", vk::Result::ERROR_DEVICE_LOST));
        }
        let mut commands = Commands {
            device: self,
            queue: &mut queue,
            begun: 0,
        };
        let failed = |code| self.stopped("computing", code);
        let result = commands.begin().map_err(failed);
        let result = result.and_then(|()| record(&mut commands));
        let result = result.and_then(|()| commands.submit(true).map_err(failed));
        let result = result.and_then(|()| self.wait(&queue).map_err(failed));
        if let Err(error) = &result {
            self.give_up(error);
        }
        result
    }

    /// After a call has failed, nobody uses the device again: its fence, or commands that were
    /// sent, may be in any state. The caller holds the lock of the queue, so whoever waits for it
    /// sees this.
    fn give_up(&self, error: &DeviceError) {
        self.has_failed.store(true, Ordering::Relaxed);
        match error {
            DeviceError::Stopped {
                code: vk::Result::TIMEOUT,
                ..
            } => {
                // What the device still uses must stay.
                self.is_abandoned.store(true, Ordering::Relaxed);
            }
            // Parts of the call may be running and use what the caller will drop.
            // SAFETY: the device is valid, and the caller holds the lock of its queue.
            _ => drop(unsafe { self.raw.device_wait_idle() }),
        }
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
    }

    fn wait(&self, queue: &Queue) -> Result<(), vk::Result> {
        let fences = [queue.fence];
        let patience = match self.info.kind {
            DeviceKind::Processor => PATIENCE_WITH_PROGRAMS,
            _ => PATIENCE,
        };
        let patience = patience.as_nanos() as u64;
        // SAFETY: the fence belongs to this device and was submitted.
        unsafe {
            self.raw.wait_for_fences(&fences, true, patience)?;
            self.raw.reset_fences(&fences)
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.is_abandoned() {
            // The library has to stay, too.
            std::mem::forget(Arc::clone(&self.info.library));
            return;
        }
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: everything made with the device keeps it, so none is left, and null handles may
        // be destroyed. A device that has stopped gives an error, which changes nothing here.
        unsafe {
            let _ = self.raw.device_wait_idle();
            let made = self
                .pipelines
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner);
            for pipeline in made.values() {
                self.raw.destroy_pipeline(*pipeline, None);
            }
            self.raw.destroy_fence(queue.fence, None);
            self.raw.destroy_command_pool(queue.pool, None);
            self.raw.destroy_pipeline_layout(self.layout, None);
            self.raw.destroy_device(None);
        }
    }
}

fn stopped(info: &DeviceInfo, doing: &'static str, code: vk::Result) -> DeviceError {
    let device = info.name.clone();
    DeviceError::Stopped {
        device,
        doing,
        code,
    }
}

/// Opens a device with the features that it has of those in use.
fn create(info: &DeviceInfo) -> Result<ash::Device, vk::Result> {
    let priorities = [1.0];
    let queues = [vk::DeviceQueueCreateInfo::default()
        .queue_family_index(info.queue_family)
        .queue_priorities(&priorities)];
    let mut extensions = Vec::new();
    let mut dots = vk::PhysicalDeviceShaderIntegerDotProductFeatures::default()
        .shader_integer_dot_product(true);
    let mut addresses =
        vk::PhysicalDeviceBufferDeviceAddressFeatures::default().buffer_device_address(true);
    let mut create = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .push_next(&mut addresses);
    if info.has_dot_products {
        extensions.push(vk::KHR_SHADER_INTEGER_DOT_PRODUCT_NAME.as_ptr());
        create = create.push_next(&mut dots);
    }
    if info.is_portable {
        extensions.push(vk::KHR_PORTABILITY_SUBSET_NAME.as_ptr());
    }
    create = create.enabled_extension_names(&extensions);
    // SAFETY: the device is of this instance, has the features, and all structures live until the
    // call returns.
    unsafe {
        let instance = &info.library.instance;
        instance.create_device(info.physical, &create, None)
    }
}

impl Buffer {
    fn allocate(&mut self, place: Place) -> Result<(), vk::Result> {
        let device = Arc::clone(&self.device);
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS
            | vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST;
        let info = vk::BufferCreateInfo::default()
            .size(self.len.max(16))
            .usage(usage);
        let mut flags =
            vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
        // SAFETY: all structures live until the calls return; what is made is destroyed when the
        // buffer is dropped, even if a later step fails.
        unsafe {
            self.raw = device.raw.create_buffer(&info, None)?;
            let needs = device.raw.get_buffer_memory_requirements(self.raw);
            let index = device
                .memory_type(place, needs.memory_type_bits)
                .ok_or(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)?;
            let info = vk::MemoryAllocateInfo::default()
                .allocation_size(needs.size)
                .memory_type_index(index)
                .push_next(&mut flags);
            self.memory = device.raw.allocate_memory(&info, None)?;
            device.raw.bind_buffer_memory(self.raw, self.memory, 0)?;
            let info = vk::BufferDeviceAddressInfo::default().buffer(self.raw);
            self.address = device.raw.get_buffer_device_address(&info);
            if place != Place::Device {
                let flags = vk::MemoryMapFlags::empty();
                let mapped = device
                    .raw
                    .map_memory(self.memory, 0, vk::WHOLE_SIZE, flags)?;
                self.mapped = std::ptr::NonNull::new(mapped.cast());
            }
        }
        Ok(())
    }

    /// Bytes asked for.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What the processor reads.
    ///
    /// # Panics
    /// If the memory is the device's.
    pub(super) fn bytes(&self) -> &[u8] {
        let mapped = self.mapped.expect("memory that the processor sees");
        // SAFETY: the memory is mapped as long as the buffer lives and is this long; no command
        // runs while the processor looks, because every call waits for its own.
        unsafe { std::slice::from_raw_parts(mapped.as_ptr(), self.len as usize) }
    }

    /// What the processor writes.
    ///
    /// # Panics
    /// If the memory is the device's.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let mapped = self.mapped.expect("memory that the processor sees");
        // SAFETY: as for `bytes`, and the reference is the only one.
        unsafe { std::slice::from_raw_parts_mut(mapped.as_ptr(), self.len as usize) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.device.is_abandoned() {
            return;
        }
        // SAFETY: no command uses the buffer, because every call waits for its commands; null
        // handles may be destroyed.
        unsafe {
            self.device.raw.destroy_buffer(self.raw, None);
            self.device.raw.free_memory(self.memory, None);
        }
    }
}

impl Commands<'_> {
    fn begin(&mut self) -> Result<(), vk::Result> {
        let raw = &self.device.raw;
        if self.begun == self.queue.buffers.len() {
            let info = vk::CommandBufferAllocateInfo::default()
                .command_pool(self.queue.pool)
                .level(vk::CommandBufferLevel::PRIMARY)
                .command_buffer_count(1);
            // SAFETY: the pool is of this device, and this thread holds its lock.
            self.queue
                .buffers
                .extend(unsafe { raw.allocate_command_buffers(&info) }?);
        }
        self.begun += 1;
        let info = vk::CommandBufferBeginInfo::default()
            .flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        let none = vk::CommandBufferResetFlags::empty();
        // SAFETY: the buffer is not in use: the call that used it has waited for it. It may hold
        // commands of a call that failed before they were sent.
        unsafe {
            raw.reset_command_buffer(self.current(), none)?;
            raw.begin_command_buffer(self.current(), &info)
        }
    }

    fn current(&self) -> vk::CommandBuffer {
        self.queue.buffers[self.begun - 1]
    }

    fn submit(&mut self, is_last: bool) -> Result<(), vk::Result> {
        let raw = &self.device.raw;
        let buffers = [self.current()];
        let submits = [vk::SubmitInfo::default().command_buffers(&buffers)];
        let fence = match is_last {
            true => self.queue.fence,
            false => vk::Fence::null(),
        };
        // SAFETY: the buffer is recorded, and this thread holds the lock of the queue.
        unsafe {
            raw.end_command_buffer(self.current())?;
            raw.queue_submit(self.queue.queue, &submits, fence)
        }
    }

    /// Sends what was recorded to the device and goes on with another buffer, so that no single
    /// one takes so long that the system believes that the device hangs.
    pub(super) fn cut(&mut self) -> Result<(), DeviceError> {
        let result = self.submit(false).and_then(|()| self.begin());
        result.map_err(|code| self.device.stopped("computing", code))
    }

    /// Runs a pipeline in so many workgroups. What was recorded before is done before.
    pub(super) fn dispatch(&mut self, pipeline: vk::Pipeline, parameters: &[u8], groups: [u32; 3]) {
        if groups.contains(&0) {
            return;
        }
        let (raw, buffer) = (&self.device.raw, self.current());
        // SAFETY: the pipeline is of this device and has its layout; addresses in the parameters
        // are of buffers that live until the call has waited.
        unsafe {
            raw.cmd_bind_pipeline(buffer, vk::PipelineBindPoint::COMPUTE, pipeline);
            let stages = vk::ShaderStageFlags::COMPUTE;
            raw.cmd_push_constants(buffer, self.device.layout, stages, 0, parameters);
            raw.cmd_dispatch(buffer, groups[0], groups[1], groups[2]);
        }
        self.barrier();
    }

    /// Copies bytes from one buffer to another.
    pub(super) fn copy(&mut self, from: (&Buffer, u64), to: (&Buffer, u64), len: u64) {
        if len == 0 {
            return;
        }
        let region = [vk::BufferCopy::default()
            .src_offset(from.1)
            .dst_offset(to.1)
            .size(len)];
        let buffer = self.current();
        // SAFETY: both buffers are this long and live until the call has waited.
        unsafe {
            self.device
                .raw
                .cmd_copy_buffer(buffer, from.0.raw, to.0.raw, &region);
        }
        self.barrier();
    }

    /// Fills a buffer with zeros.
    pub(super) fn clear(&mut self, buffer: &Buffer) {
        // SAFETY: the buffer lives until the call has waited.
        unsafe {
            let whole = vk::WHOLE_SIZE;
            (self.device.raw).cmd_fill_buffer(self.current(), buffer.raw, 0, whole, 0);
        }
        self.barrier();
    }

    /// What was recorded before is done, and its results are seen, before what follows begins.
    fn barrier(&mut self) {
        use vk::{AccessFlags, PipelineStageFlags};
        let stages = PipelineStageFlags::COMPUTE_SHADER | PipelineStageFlags::TRANSFER;
        let writes = AccessFlags::SHADER_WRITE | AccessFlags::TRANSFER_WRITE;
        let reads = AccessFlags::SHADER_READ | AccessFlags::TRANSFER_READ;
        let barrier = [vk::MemoryBarrier::default()
            .src_access_mask(writes)
            .dst_access_mask(reads | writes | AccessFlags::HOST_READ)];
        let after = stages | PipelineStageFlags::HOST;
        let none = vk::DependencyFlags::empty();
        // SAFETY: the buffer is being recorded.
        unsafe {
            let raw = &self.device.raw;
            raw.cmd_pipeline_barrier(self.current(), stages, after, none, &barrier, &[], &[]);
        }
    }
}
