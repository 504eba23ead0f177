//! Instruction sets that this processor has, and code that is compiled once for each of them.
//!
//! An [`InstructionSet`] is proof that its instructions were detected and that this process may use
//! them, so code that holds one may call functions compiled for those instructions. On a processor
//! without them, such a call would be undefined behaviour.

/// Instructions that this processor was found to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionSet(Family);

/// The families of instructions that there is code for. Naming one proves nothing; holding an
/// [`InstructionSet`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// The instructions that every processor of the architecture has.
    Portable,
    /// 256-bit integers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit integers and VNNI, the dot products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Those of `Avx512` and AMX, the products of tiles of bytes.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// NEON and its dot products of bytes.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// Why an instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstructionError {
    /// No set has this name.
    #[error("unknown instruction set {got:?}, expected one of reference, avx2, avx512, amx, neon")]
    Unknown {
        /// The name given.
        got: String,
    },
    /// The set exists, but this processor lacks it, or the system does not let this process use it.
    #[error("this machine cannot use the instruction set {got:?}")]
    Unsupported {
        /// The name given.
        got: String,
    },
}

impl InstructionSet {
    /// Plain Rust, compiled for what every processor of the architecture has.
    pub const PORTABLE: InstructionSet = InstructionSet(Family::Portable);

    /// Every set that this processor has, the fastest last.
    pub fn available() -> Vec<InstructionSet> {
        let mut found = vec![InstructionSet::PORTABLE];
        found.extend(detect().into_iter().flatten().map(InstructionSet));
        found
    }

    /// The fastest set of this processor, or the one that the environment variable `LLMZIP_KERNELS`
    /// names.
    ///
    /// # Errors
    /// If the variable names a set that does not exist or that this machine cannot use.
    pub fn choose() -> Result<InstructionSet, InstructionError> {
        match std::env::var("LLMZIP_KERNELS") {
            Ok(name) if !name.is_empty() => Self::named(&name),
            Err(std::env::VarError::NotUnicode(name)) => Self::named(&name.to_string_lossy()),
            _ => Ok(Self::available().pop().unwrap_or(Self::PORTABLE)),
        }
    }

    /// The set called `name`: `reference`, `avx2`, `avx512`, `amx` or `neon`.
    ///
    /// # Errors
    /// If there is no such set or this machine cannot use it.
    pub fn named(name: &str) -> Result<InstructionSet, InstructionError> {
        let found = Self::available().into_iter().find(|set| set.name() == name);
        found.ok_or_else(|| match name {
            "avx2" | "avx512" | "amx" | "neon" => {
                InstructionError::Unsupported { got: name.into() }
            }
            _ => InstructionError::Unknown { got: name.into() },
        })
    }

    /// The name that `LLMZIP_KERNELS` takes.
    pub fn name(self) -> &'static str {
        match self.0 {
            Family::Portable => "reference",
            #[cfg(target_arch = "x86_64")]
            Family::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Family::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Family::Amx => "amx",
            #[cfg(target_arch = "aarch64")]
            Family::Neon => "neon",
        }
    }

    /// The code that a holder of this set may call.
    #[inline(always)]
    pub(crate) fn family(self) -> Family {
        self.0
    }
}

/// The families that this processor has beside the portable one, the fastest last.
#[cfg(target_arch = "x86_64")]
fn detect() -> [Option<Family>; 3] {
    let avx2 = is_x86_feature_detected!("avx2");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vnni");
    let amx = avx512 && super::amx::is_available();
    [
        avx2.then_some(Family::Avx2),
        avx512.then_some(Family::Avx512),
        amx.then_some(Family::Amx),
    ]
}

/// The families that this processor has beside the portable one.
#[cfg(target_arch = "aarch64")]
fn detect() -> [Option<Family>; 1] {
    let neon = std::arch::is_aarch64_feature_detected!("dotprod");
    [neon.then_some(Family::Neon)]
}

/// Defines functions that take an [`InstructionSet`] before their own arguments and call a body
/// compiled for it.
///
/// The body is safe code that is marked `#[inline(always)]`: it is inlined into one function for
/// each family and compiled for its instructions. Integers and IEEE arithmetic give the same
/// results in all of them.
macro_rules! compile_for_each {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?
            = $body:path;
    )*) => {
        $(
            $(#[$attribute])*
            $visibility fn $name(
                instructions: $crate::machine::instructions::InstructionSet,
                $($argument: $type),*
            ) $(-> $result)? {
                use $crate::machine::instructions::Family;

                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,sse4.1")]
                fn avx2($($argument: $type),*) $(-> $result)? {
                    $body($($argument),*)
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(
                    enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,sse4.1"
                )]
                fn avx512($($argument: $type),*) $(-> $result)? {
                    $body($($argument),*)
                }
                #[cfg(target_arch = "aarch64")]
                #[target_feature(enable = "neon,dotprod")]
                fn neon($($argument: $type),*) $(-> $result)? {
                    $body($($argument),*)
                }

                match instructions.family() {
                    Family::Portable => $body($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: an `InstructionSet` is proof that the processor has these
                    // instructions.
                    Family::Avx2 => unsafe { avx2($($argument),*) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    Family::Avx512 | Family::Amx => unsafe { avx512($($argument),*) },
                    #[cfg(target_arch = "aarch64")]
                    // SAFETY: as above.
                    Family::Neon => unsafe { neon($($argument),*) },
                }
            }
        )*
    };
}
pub(crate) use compile_for_each;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_sets_and_others_are_refused() {
        for set in InstructionSet::available() {
            assert_eq!(InstructionSet::named(set.name()), Ok(set));
        }
        assert!(matches!(
            InstructionSet::named("sse9"),
            Err(InstructionError::Unknown { .. })
        ));
        let foreign = if cfg!(target_arch = "x86_64") {
            "neon"
        } else {
            "avx2"
        };
        assert!(matches!(
            InstructionSet::named(foreign),
            Err(InstructionError::Unsupported { .. })
        ));
    }

    #[inline(always)]
    fn sum(values: &[u32], start: u32) -> u32 {
        values
            .iter()
            .fold(start, |sum, value| sum.wrapping_add(*value))
    }

    compile_for_each! {
        fn sum_for(values: &[u32], start: u32) -> u32 = sum;
    }

    #[test]
    fn code_compiled_for_each_set_gives_the_same() {
        let values: Vec<u32> = (0..1000)
            .map(|i: u32| i.wrapping_mul(2_654_435_761))
            .collect();
        for set in InstructionSet::available() {
            assert_eq!(sum_for(set, &values, 7), sum(&values, 7), "{}", set.name());
        }
    }
}
