//! Every device equals the reference, bit for bit. These tests need a device; Mesa's lavapipe is
//! one that every machine can have.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::arch::Config;
use crate::arch::config::tests::tiny;
use crate::engine::reference::Reference;
use crate::engine::tests::{config, difference, expected, feed_in_chunks, packed, tokens};
use crate::packed::PackedModel;

/// The first device, which all tests share.
fn device() -> &'static Arc<Device> {
    static DEVICE: LazyLock<Arc<Device>> = LazyLock::new(|| {
        let devices = devices().unwrap();
        let usable = devices.into_iter().find(|device| device.lacks.is_none());
        let usable = usable.expect("a device; Debian's mesa-vulkan-drivers has one");
        Device::open(&usable).unwrap()
    });
    &DEVICE
}

fn engine(model: &Arc<PackedModel>) -> VulkanEngine {
    VulkanEngine::new(Arc::clone(model), device()).unwrap()
}

fn dense() -> impl Strategy<Value = Config> {
    config().prop_filter("dense", |config| {
        config.block.mixture.is_none() && config.block.recurrent.is_none()
    })
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_device_equals_the_reference(
        config in dense(),
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
}
