//! What GGUF metadata say of the rotary embedding.

use crate::arch::rope::{RopeScaling, yarn_magnitude};
use crate::arch::settings::short;
use crate::import::SourceError;
use crate::import::description::Scaling;
use crate::import::metadata::Metadata;

/// Tensor of the rotary divisors that converters write for Llama 3.
pub(super) const DIVISORS: &str = "rope_freqs.weight";

/// Tensors of the rotary divisors that `LongRoPE` has for contexts up to the original length, and
/// for longer ones.
pub(super) const SHORT_DIVISORS: &str = "rope_factors_short.weight";
const LONG_DIVISORS: &str = "rope_factors_long.weight";

/// Whether the tensor holds rotary divisors.
pub(super) fn is_of_divisors(name: &str) -> bool {
    [DIVISORS, SHORT_DIVISORS, LONG_DIVISORS].contains(&name)
}

/// The tensors of rotary divisors, as far as the file has them.
#[derive(Default)]
pub(super) struct Divisors {
    /// [`DIVISORS`]; a common factor applies on top of them.
    pub(super) all: Option<Vec<f32>>,
    /// [`SHORT_DIVISORS`], likewise.
    pub(super) short: Option<Vec<f32>>,
}

/// The scaling of an architecture called `name`, as llama.cpp reads it: without a type, a factor is
/// one of linear scaling.
///
/// # Errors
/// If the engine has no such scaling.
pub(super) fn scaling(
    metadata: &Metadata,
    name: &str,
    divisors: Divisors,
) -> Result<Scaling, SourceError> {
    let read = Read { metadata, name };
    let kind = metadata.text(&read.key("scaling.type"));
    if kind == Some("yarn") {
        return match divisors.all.or(divisors.short) {
            None => Ok(read.yarn()?.into()),
            Some(_) => Err(SourceError::Unsupported(
                "rotary scaling yarn with divisors of its own".into(),
            )),
        };
    }
    let factor = match kind {
        None | Some("linear" | "longrope") => read.factor(),
        Some("none") => 1.0,
        Some(other) => return Err(SourceError::Unsupported(format!("rotary scaling {other}"))),
    };
    if kind == Some("longrope") && divisors.short.is_none() {
        let reason = format!("rotary scaling longrope without tensor {SHORT_DIVISORS}");
        return Err(SourceError::Invalid(reason));
    }
    let magnitude = read.number("scaling.attn_factor").unwrap_or(1.0);
    let original = read.number("scaling.original_context_length");
    // The original length bounds the context only where longer ones have other divisors.
    let positions = original.filter(|_| divisors.short.is_some());
    let positions = positions.map(|positions| positions as usize);
    let scaling = match divisors.short.or(divisors.all) {
        Some(each) => RopeScaling::Divisors {
            each: each.into_iter().map(|it| f64::from(it) * factor).collect(),
            magnitude,
        },
        None if magnitude != 1.0 => {
            return Err(SourceError::Unsupported(format!(
                "rotated values that are multiplied (attn_factor is {})",
                short(magnitude)
            )));
        }
        None if factor == 1.0 => RopeScaling::None,
        None => RopeScaling::Linear { factor },
    };
    Ok(Scaling { scaling, positions })
}

/// Reads the parameters of a scaling.
struct Read<'a> {
    metadata: &'a Metadata,
    name: &'a str,
}

impl Read<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.rope.{key}", self.name)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.metadata.number(&self.key(key))
    }

    /// What frequencies are divided by. The last key is the older one, and 0 stands for none.
    fn factor(&self) -> f64 {
        let factor = self.number("scaling.factor");
        let factor = factor.or_else(|| self.number("scale_linear"));
        factor.filter(|&factor| factor != 0.0).unwrap_or(1.0)
    }

    /// `YaRN`. Converters write the `attention_factor` of Hugging Face folders as
    /// `yarn_attn_factor`: it replaces the magnitude that follows from the factor. Instead of
    /// `mscale` and `mscale_all_dim`, files have the second alone, beside a first of 1.
    fn yarn(&self) -> Result<RopeScaling, SourceError> {
        // Below 0 is not set.
        let extrapolation = self.number("scaling.yarn_ext_factor");
        if let Some(share) = extrapolation.filter(|share| *share >= 0.0 && *share != 1.0) {
            return Err(SourceError::Unsupported(format!(
                "rotary scaling yarn of a share alone (yarn_ext_factor is {})",
                short(share)
            )));
        }
        let positive = |key: &str| self.number(key).filter(|number| *number > 0.0);
        let factor = self.factor();
        let usual = match positive("scaling.yarn_log_multiplier") {
            Some(weight) => yarn_magnitude(factor, 1.0) / yarn_magnitude(factor, weight),
            None => yarn_magnitude(factor, 1.0),
        };
        let magnitude = positive("scaling.yarn_attn_factor").unwrap_or(usual);
        let context = || {
            self.metadata
                .number(&format!("{}.context_length", self.name))
        };
        let original = positive("scaling.original_context_length").or_else(context);
        let lacks =
            || SourceError::invalid("rotary scaling yarn without an original_context_length");
        Ok(RopeScaling::Yarn {
            factor,
            fast: positive("scaling.yarn_beta_fast").unwrap_or(32.0),
            slow: positive("scaling.yarn_beta_slow").unwrap_or(1.0),
            original_positions: original.ok_or_else(lacks)?,
            whole_pairs: true,
            magnitude: magnitude * self.number("scaling.attn_factor").unwrap_or(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::gguf_file::Value;

    fn scaled(entries: &[(&str, Value)], all: Option<Vec<f32>>) -> Result<RopeScaling, String> {
        let divisors = Divisors { all, short: None };
        described(entries, divisors).map(|scaling| scaling.scaling)
    }

    fn described(entries: &[(&str, Value)], divisors: Divisors) -> Result<Scaling, String> {
        let key = |key: &str| format!("llama.rope.{key}");
        let entries = entries
            .iter()
            .map(|(name, value)| (key(name), value.clone()));
        let metadata = Metadata::new(entries.collect());
        scaling(&metadata, "llama", divisors).map_err(|error| error.to_string())
    }

    #[test]
    fn scalings_are_read_as_llama_cpp_does() {
        let kind = |kind: &str| ("scaling.type", Value::String(kind.into()));
        let linear = |factor| Ok(RopeScaling::Linear { factor });
        assert_eq!(scaled(&[], None), Ok(RopeScaling::None));
        let factor = ("scaling.factor", Value::F32(4.0));
        let old = ("scale_linear", Value::F32(2.0));
        assert_eq!(scaled(std::slice::from_ref(&factor), None), linear(4.0));
        assert_eq!(scaled(&[kind("linear"), factor.clone()], None), linear(4.0));
        assert_eq!(scaled(std::slice::from_ref(&old), None), linear(2.0));
        assert_eq!(scaled(&[factor.clone(), old], None), linear(4.0));
        assert_eq!(
            scaled(&[kind("none"), factor.clone()], None),
            Ok(RopeScaling::None)
        );
        let zero = ("scaling.factor", Value::F32(0.0));
        assert_eq!(scaled(&[zero], None), Ok(RopeScaling::None));
        let divisors = |all: &[f64]| {
            Ok(RopeScaling::Divisors {
                each: all.to_vec(),
                magnitude: 1.0,
            })
        };
        assert_eq!(scaled(&[], Some(vec![1.0, 8.0])), divisors(&[1.0, 8.0]));
        assert_eq!(
            scaled(&[factor], Some(vec![1.0, 8.0])),
            divisors(&[4.0, 32.0])
        );
        let spiral = scaled(&[kind("spiral")], None);
        assert!(spiral.unwrap_err().contains("spiral"));
    }

    /// The magnitude of `YaRN` with a factor of 4 and these entries.
    fn magnitude(entries: &[(&str, Value)]) -> Result<f64, String> {
        let yarn = [
            ("scaling.type", Value::String("yarn".into())),
            ("scaling.factor", Value::F32(4.0)),
            ("scaling.original_context_length", Value::U32(16)),
        ];
        match scaled(&[&yarn[..], entries].concat(), None)? {
            RopeScaling::Yarn { magnitude, .. } => Ok(magnitude),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_magnitude_of_yarn_has_several_sources() {
        let usual = 0.1 * 4f64.ln() + 1.0;
        let close = |entries: &[(&str, Value)], want: f64| {
            let got = magnitude(entries).unwrap();
            assert!((got / want - 1.0).abs() < 1e-12, "{got} {want}");
        };
        close(&[], usual);
        let attention = ("scaling.attn_factor", Value::F32(0.5));
        close(std::slice::from_ref(&attention), 0.5 * usual);
        let replaced = ("scaling.yarn_attn_factor", Value::F32(1.25));
        close(std::slice::from_ref(&replaced), 1.25);
        close(&[replaced, attention], 0.625);
        for (weight, want) in [
            (0.0, usual),
            (1.0, 1.0),
            (0.5, usual / (0.05 * 4f64.ln() + 1.0)),
        ] {
            close(&[("scaling.yarn_log_multiplier", Value::F32(weight))], want);
        }
        let share = |share: f32| magnitude(&[("scaling.yarn_ext_factor", Value::F32(share))]);
        assert!(share(-1.0).is_ok() && share(1.0).is_ok());
        assert!(share(0.5).unwrap_err().contains("yarn_ext_factor is 0.5"));
        let bare = scaled(&[("scaling.type", Value::String("yarn".into()))], None);
        assert!(bare.unwrap_err().contains("original_context_length"));
    }

    #[test]
    fn short_divisors_bound_the_context() {
        let short = || Divisors {
            all: None,
            short: Some(vec![1.0, 2.0]),
        };
        let entries = [
            ("scaling.original_context_length", Value::U32(300)),
            ("scaling.attn_factor", Value::F32(1.5)),
        ];
        // Older files do not name the type.
        let named = [("scaling.type", Value::String("longrope".into()))];
        for entries in [&entries[..], &[&entries[..], &named].concat()] {
            let Scaling { scaling, positions } = described(entries, short()).unwrap();
            let (each, magnitude) = (vec![1.0, 2.0], 1.5);
            assert_eq!(scaling, RopeScaling::Divisors { each, magnitude });
            assert_eq!(positions, Some(300));
        }
        let reason = described(&named, Divisors::default()).unwrap_err();
        assert!(reason.contains(SHORT_DIVISORS), "{reason}");
        let reason = described(&entries, Divisors::default()).unwrap_err();
        assert!(reason.contains("attn_factor is 1.5"), "{reason}");
        let yarn = [("scaling.type", Value::String("yarn".into()))];
        assert!(described(&yarn, short()).unwrap_err().contains("divisors"));
    }
}
