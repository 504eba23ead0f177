//! Every device equals the reference, bit for bit. These tests need a device; Mesa's lavapipe is
//! one that every machine can have.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::arch::config::tests::tiny;
use crate::engine::reference::Reference;
use crate::engine::tests::{
    config, difference, expected, feed_in_chunks, forks_equal_the_reference, hybrid, packed,
    resets_equal_the_reference, streams_equal_the_reference, taken_back_equals_the_reference,
    tokens,
};
use crate::engine::{Engine, EngineOptions, SLACK};
use crate::machine::float_environment::flushing;
use crate::packed::random::TinySource;
use crate::packed::{PackedModel, random};

/// The first device.
fn open() -> Arc<Device> {
    let devices = devices().unwrap();
    let usable = devices.into_iter().find(|device| device.lacks.is_none());
    Device::open(&usable.expect("a device; Debian's mesa-vulkan-drivers has one")).unwrap()
}

/// The first device, which most tests share.
fn device() -> &'static Arc<Device> {
    static DEVICE: LazyLock<Arc<Device>> = LazyLock::new(open);
    &DEVICE
}

/// The same, flushing subnormal numbers if it runs on this processor: its threads have the modes of
/// the one that opens it.
fn flushing_device() -> &'static Arc<Device> {
    static DEVICE: LazyLock<Arc<Device>> = LazyLock::new(|| flushing(open));
    &DEVICE
}

fn engine(model: &Arc<PackedModel>) -> VulkanEngine {
    VulkanEngine::new(Arc::clone(model), device()).unwrap()
}

#[test]
fn every_operation_equals_the_processor_s() {
    assert_eq!(wrong_operation(device()).unwrap(), None);
    assert_eq!(wrong_operation(flushing_device()).unwrap(), None);
}

#[test]
fn a_device_that_has_failed_is_not_used_again() {
    let device = open();
    let fails =
        device.run(|_| Err(device.stopped("a test", ash::vk::Result::ERROR_OUT_OF_HOST_MEMORY)));
    assert!(
        matches!(fails, Err(DeviceError::Stopped { .. })),
        "{fails:?}"
    );
    let later = device.run(|_| Ok(()));
    assert!(
        matches!(later, Err(DeviceError::Stopped { .. })),
        "{later:?}"
    );
}

#[test]
fn a_small_model_equals_the_reference() {
    let config = tiny();
    let model = packed(&config);
    let text = tokens(&config, 100, 1);
    let want = expected(&Reference::new(&model).unwrap(), &text);
    for chunk in [1, 7, 40] {
        let found = feed_in_chunks(&engine(&model), &text, &[chunk]);
        assert_eq!(difference(&want, &found), None, "{chunk}");
    }
}

#[test]
fn forks_and_resets_equal_the_reference() {
    for config in [tiny(), hybrid()] {
        let engine = engine(&packed(&config));
        forks_equal_the_reference(&engine);
        resets_equal_the_reference(&engine);
    }
}

/// Whole windows of a model that people use, against the CPU's engine, which equals the reference.
#[test]
fn built_in_models_equal_the_cpu() {
    for name in ["nano", "mini"] {
        let path = format!(
            "{}/src/store/embedded/{name}.llmzmodel",
            env!("CARGO_MANIFEST_DIR")
        );
        let model = Arc::new(PackedModel::open(path).unwrap());
        let text = tokens(model.config(), 1400, 7);
        let cpu = Engine::new(Arc::clone(&model), EngineOptions::default()).unwrap();
        let want = feed_in_chunks(&cpu, &text, &[128]);
        let found = feed_in_chunks(&engine(&model), &text, &[600, 1, 3, 17]);
        assert_eq!(difference(&want, &found), None, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_device_equals_the_reference(
        config in config(),
        len in 1usize..230,
        seed in any::<u64>(),
        chunks in prop::collection::vec(prop_oneof![4 => 1usize..20, 1 => 1usize..300], 1..6),
    ) {
        let model = packed(&config);
        let tokens = tokens(&config, len, seed);
        let reference = expected(&Reference::new(&model).unwrap(), &tokens);
        let found = feed_in_chunks(&engine(&model), &tokens, &chunks);
        prop_assert_eq!(difference(&reference, &found), None, "{:?}", config);
    }

    #[test]
    fn subnormal_numbers_are_computed_where_a_device_flushes_them(
        config in config(),
        seed in any::<u64>(),
    ) {
        let bytes = random::model_of(&config, &mut TinySource { seed });
        let model = Arc::new(PackedModel::from_bytes(&bytes).unwrap());
        let tokens = tokens(&config, 60, seed);
        let reference = expected(&Reference::new(&model).unwrap(), &tokens);
        let engine = VulkanEngine::new(Arc::clone(&model), flushing_device()).unwrap();
        let found = feed_in_chunks(&engine, &tokens, &[20, 1]);
        prop_assert_eq!(difference(&reference, &found), None, "{:?} {}", config, seed);
    }

    #[test]
    fn streams_of_a_device_equal_the_reference(
        config in config(),
        lens in prop::collection::vec(0usize..150, 1..6),
        steps in prop::collection::vec(0usize..90, 1..9),
    ) {
        streams_equal_the_reference(&engine(&packed(&config)), &lens, &steps)?;
    }

    #[test]
    fn what_a_device_takes_back_leaves_no_trace(
        config in config(),
        drafts in prop::collection::vec((1usize..40, 0usize..=SLACK), 1..12),
        seed in any::<u64>(),
    ) {
        taken_back_equals_the_reference(&engine(&packed(&config)), drafts, seed)?;
    }
}
