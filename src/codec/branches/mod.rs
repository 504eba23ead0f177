//! Branch filters: reversible rewriting of machine code, which then compresses better.
//!
//! Calls and accesses to data name their target by its distance from the instruction, so each
//! mention of the same target has other bytes. A filter writes the target's address instead. The
//! experts code the rewritten bytes, and a decoder restores them; `docs/FORMAT.md` defines each
//! filter. A filter leaves every byte that it looks at as it was, except for the distance, and a
//! distance that it rewrites stays one that it would rewrite. So both directions rewrite the same
//! places, and any bytes whatever come back.
//!
//! These files know [`BranchFilter`] and nothing else.

mod arm64;
mod way;
mod x86;

use crate::container::BranchFilter;
use way::Way;

/// Rewrites `bytes`, whose first has the address `position`.
pub(super) fn apply(filter: BranchFilter, bytes: &mut [u8], position: u32) {
    run(filter, bytes, position, Way::Apply);
}

/// Undoes [`apply`].
pub(super) fn restore(filter: BranchFilter, bytes: &mut [u8], position: u32) {
    run(filter, bytes, position, Way::Restore);
}

fn run(filter: BranchFilter, bytes: &mut [u8], position: u32, way: Way) {
    match filter {
        BranchFilter::X86 => x86::run(bytes, position, way, x86::call),
        BranchFilter::X86_64 => x86::run(bytes, position, way, x86::call_or_data),
        BranchFilter::Arm64 => arm64::run(bytes, position, way),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILTERS: [BranchFilter; 3] =
        [BranchFilter::X86, BranchFilter::X86_64, BranchFilter::Arm64];

    /// Bytes of which many look like instructions.
    fn code() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            any::<u8>(),
            prop::sample::select(vec![
                0xe8, 0x0f, 0x8b, 0x48, 0x05, 0x3d, 0x10, 0xff, 0x00, 0x01
            ]),
            prop::sample::select(vec![0x94, 0x97, 0x90, 0xb0, 0xf0]),
        ];
        prop::collection::vec(byte, 0..400)
    }

    proptest! {
        #[test]
        fn whatever_was_rewritten_comes_back(original in code(), position: u32) {
            for filter in FILTERS {
                let mut bytes = original.clone();
                apply(filter, &mut bytes, position);
                restore(filter, &mut bytes, position);
                prop_assert_eq!(&bytes, &original);
                // The other way round, too: each way is a bijection.
                restore(filter, &mut bytes, position);
                apply(filter, &mut bytes, position);
                prop_assert_eq!(&bytes, &original);
            }
        }
    }
}
