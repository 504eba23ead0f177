//! Architectures: which tensors a model has, their sizes, and their names in other formats.
//!
//! One file describes one [`Family`] of models, as data: `llama.rs` is the first. Packing, reading,
//! importing, the check against f32 and the CPU engine's loading of weights all follow this table.
//! A new family of the same blocks is a new file and a line in the list of `registry.rs`. A family
//! with another block also adds it to `family.rs`, and its options to [`Config`]. Arithmetic is not
//! here: it belongs to `numerics`, to the engines and to `check`.
//!
//! This folder knows numbers and names. It reads no file and holds no weight.

pub mod config;
pub mod family;
mod llama;
mod registry;
pub mod rope;
pub mod segmentation;
pub mod tensors;

pub use config::{Config, ConfigError};
pub use family::Family;
pub use registry::{families, family};
pub use segmentation::{Algorithm, Segmentation};
pub use tensors::{SourceTensor, Tensor};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::config::tests::tiny;
    use super::*;

    /// Configurations of a family in which every choice is made both ways.
    fn variants(family: &Family) -> Vec<Config> {
        (0..1 << family.choices.len())
            .map(|bits| {
                let mut config = Config {
                    arch: family.name.into(),
                    ..tiny()
                };
                for (index, choice) in family.choices.iter().enumerate() {
                    (choice.set)(&mut config, bits >> index & 1 == 1);
                }
                config
            })
            .collect()
    }

    fn unique<'a>(names: impl Iterator<Item = &'a String>) {
        let mut seen = HashSet::new();
        for name in names {
            assert!(!name.is_empty() && seen.insert(name), "{name} twice");
        }
    }

    #[test]
    fn every_packed_tensor_has_sources_in_both_namings_and_no_name_is_used_twice() {
        for config in families().iter().copied().flat_map(variants) {
            config.validate().unwrap();
            let tensors = config.family().unwrap().tensors(&config);
            let sources = || tensors.iter().flat_map(Tensor::sources);
            unique(tensors.iter().map(|tensor| &tensor.name));
            unique(sources().map(|source| &source.hugging_face));
            unique(sources().map(|source| &source.gguf));
            for tensor in &tensors {
                let rows = |sources: &[SourceTensor]| -> usize {
                    sources.iter().map(|source| source.shape[0]).sum()
                };
                assert_eq!(rows(&tensor.weights), tensor.rows, "{}", tensor.name);
                let biases = if tensor.bias { tensor.rows } else { 0 };
                assert_eq!(rows(&tensor.biases), biases, "{}", tensor.name);
            }
        }
    }

    #[test]
    fn every_choice_shows_in_a_tensor() {
        for family in families() {
            for choice in family.choices {
                let holds = |made: bool| {
                    let mut config = tiny();
                    (choice.set)(&mut config, made);
                    let tensors = family.tensors(&config);
                    tensors
                        .iter()
                        .any(|tensor| !tensor.stored(choice.tensor).is_empty())
                };
                assert!(holds(true) && !holds(false), "{}", choice.tensor);
            }
        }
    }

    #[test]
    fn no_two_families_claim_a_name() {
        let members = || families().iter().flat_map(|family| family.members);
        let mut names = HashSet::new();
        for family in families() {
            assert!(names.insert(family.name));
        }
        let mut classes = HashSet::new();
        for member in members() {
            assert!(classes.insert(member.hugging_face));
            let of_gguf = |family: &&&Family| family.members.iter().any(|m| m.gguf == member.gguf);
            assert_eq!(
                families().iter().filter(of_gguf).count(),
                1,
                "{}",
                member.gguf
            );
        }
    }
}
