//! What GGUF metadata say of the rotary embedding.

use crate::arch::rope::RopeScaling;
use crate::import::SourceError;
use crate::import::metadata::Metadata;

/// Tensor of the rotary divisors that converters write for Llama 3.
pub(super) const DIVISORS: &str = "rope_freqs.weight";

/// The scaling of an architecture called `name`. `divisors` is the tensor of that name, if the file
/// has one; a common factor applies on top of it.
///
/// # Errors
/// If the engine has no such scaling.
pub(super) fn scaling(
    metadata: &Metadata,
    name: &str,
    divisors: Option<Vec<f32>>,
) -> Result<RopeScaling, SourceError> {
    let number = |key: &str| metadata.number(&format!("{name}.rope.{key}"));
    // As llama.cpp reads it: without a type, a factor is one of linear scaling. The last key is the
    // older one, and a factor of 0 stands for none.
    let factor = number("scaling.factor").or_else(|| number("scale_linear"));
    let factor = factor.filter(|&factor| factor != 0.0).unwrap_or(1.0);
    let factor = match metadata.text(&format!("{name}.rope.scaling.type")) {
        None | Some("linear") => factor,
        Some("none") => 1.0,
        Some(other) => return Err(SourceError::Unsupported(format!("rotary scaling {other}"))),
    };
    Ok(match divisors {
        Some(divisors) => {
            let divisors = divisors.into_iter().map(|it| f64::from(it) * factor);
            RopeScaling::Divisors {
                each: divisors.collect(),
                magnitude: 1.0,
            }
        }
        None if factor == 1.0 => RopeScaling::None,
        None => RopeScaling::Linear { factor },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::gguf_file::Value;

    fn scaled(
        entries: &[(&str, Value)],
        divisors: Option<Vec<f32>>,
    ) -> Result<RopeScaling, String> {
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
        assert!(scaled(&[kind("yarn")], None).unwrap_err().contains("yarn"));
    }
}
