//! Architectures: which tensors a model has, their sizes, and their names in other formats.
//!
//! `parts.rs` lists the tensors that a packed model may have, and [`Block`] the options of what its
//! layers compute. One file describes one [`Family`] of published models, as data: the names of its
//! tensors and settings in each format, and what they mean. `llama.rs` is the first. Packing,
//! reading, importing and all engines follow these tables. A new family whose blocks [`Block`] can
//! express is a new file and a line in the list of `registry.rs`. Arithmetic is not here: it
//! belongs to `numerics`, to the engines and to `check`.
//!
//! This folder knows numbers and names. It reads no file and holds no weight.

pub mod block;
pub mod config;
mod error;
#[cfg(any(test, feature = "gpu"))]
mod every_part;
pub mod family;
mod gemma;
mod gpt2;
mod granite;
mod llama;
mod mixture;
mod nemotron;
mod neox;
mod olmo2;
mod options;
pub mod parts;
mod phi;
mod phi3;
mod qwen3_5;
mod registry;
pub mod rope;
pub mod segmentation;
pub mod settings;
mod smollm3;
mod stablelm;
mod starcoder2;
pub mod tensors;

pub use block::Block;
pub use config::Config;
pub use error::ConfigError;
pub use family::Family;
pub use registry::{families, family};
pub use segmentation::{Algorithm, Segmentation};
pub use tensors::{SourceTensor, Tensor};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::block::Recurrent;
    use super::config::tests::tiny;
    use super::family::{Draft, Folds, Member, Recurrences};
    use super::parts::TensorSpec;
    use super::tensors::Place;
    use super::*;

    /// A configuration with what the member implies.
    fn implied(family: &Family, member: &Member) -> Config {
        let mut draft = Draft {
            config: Config {
                arch: family.name.into(),
                ..tiny()
            },
            folds: Folds::default(),
            recurrences: Recurrences::default(),
            local_theta: None,
        };
        (member.implies)(&mut draft);
        let sources = || family.sources.iter().copied().flatten();
        let has = |spec: &TensorSpec| sources().any(|(part, _)| part.name == spec.name);
        if has(&parts::POSITIONS) {
            draft.config.block.positions = 32;
        }
        if has(&parts::RECURRENT_IN) {
            draft.config.block.recurrent = Some(Recurrent {
                layers: vec![1],
                key_heads: 2,
                value_heads: 4,
                key_dim: 6,
                value_dim: 10,
                taps: 3,
            });
        }
        draft.config
    }

    /// Configurations of a family in which every choice is made both ways.
    fn variants(family: &Family, member: &Member) -> Vec<Config> {
        (0..1 << family.choices.len())
            .map(|bits| {
                let mut config = implied(family, member);
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
        let members = || {
            let of = |family: &&'static Family| {
                let family = *family;
                (family.members.iter()).map(move |member| (family, member))
            };
            families().iter().flat_map(of)
        };
        for config in members().flat_map(|(family, member)| variants(family, member)) {
            config.validate().unwrap();
            let tensors = config.family().unwrap().tensors(&config);
            let sources = || tensors.iter().flat_map(Tensor::sources);
            unique(tensors.iter().map(|tensor| &tensor.name));
            let places: [fn(&SourceTensor) -> &Place; 2] = [|it| &it.hugging_face, |it| &it.gguf];
            for place in places {
                // Both blocks of a layer may take the same norm.
                let own = sources().filter(|it| !config.block.parallel || it.part != "ffn_norm");
                let whole = own.map(place).filter(|place| !place.cut.is_shared());
                unique(whole.map(|place| &place.name));
            }
            for tensor in &tensors {
                let rows = |sources: &[SourceTensor]| -> usize {
                    sources.iter().map(|source| source.shape[0]).sum()
                };
                let values = tensor
                    .weights
                    .iter()
                    .map(|it| it.shape.iter().product::<usize>());
                let values = values.sum::<usize>();
                let want = tensor.rows * tensor.columns.unwrap_or(1);
                assert_eq!(values, want, "{}", tensor.name);
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
                    let mut config = implied(family, &family.members[0]);
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
        let (mut classes, mut kinds) = (HashSet::new(), HashSet::new());
        for member in members() {
            assert!(classes.insert(member.hugging_face) && kinds.insert(member.model_type));
            let of_gguf = |family: &&&Family| family.members.iter().any(|m| m.gguf == member.gguf);
            let named = families().iter().filter(of_gguf).collect::<Vec<_>>();
            // Where families share a name, settings tell all but the last from the others.
            let tells = |family: &&&Family| !family.gguf.fixed.is_empty();
            let is_told = named.iter().rev().skip(1).all(tells);
            assert!(is_told, "{}", member.gguf);
        }
    }
}
