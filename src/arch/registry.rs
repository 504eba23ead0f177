//! The list of families, and the checks of a configuration.

use super::config::Config;
use super::error::ConfigError;
use super::family::Family;
use super::{
    gemma, gpt2, granite, llama, mixture, nemotron, neox, olmo2, phi, phi3, qwen3_5, smollm3,
    stablelm, starcoder2,
};

static FAMILIES: &[&Family] = &[
    &llama::FAMILY,
    &neox::FAMILY,
    &gpt2::FAMILY,
    &gemma::GEMMA,
    &gemma::GEMMA_2,
    &gemma::GEMMA_3,
    &phi::FAMILY,
    &phi3::FAMILY,
    &olmo2::FAMILY,
    &granite::FAMILY,
    &smollm3::FAMILY,
    &starcoder2::FAMILY,
    &stablelm::FAMILY,
    &nemotron::FAMILY,
    &mixture::QWEN_2,
    &mixture::QWEN_3,
    &mixture::OLMOE,
    &mixture::GRANITE,
    &mixture::MIXTRAL,
    &qwen3_5::FAMILY,
    #[cfg(any(test, feature = "gpu"))]
    &super::every_part::FAMILY,
];

/// Every family that a packed model can be of.
pub fn families() -> &'static [&'static Family] {
    FAMILIES
}

/// The family called `name` in the configuration of a packed model.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().copied().find(|family| family.name == name)
}

impl Config {
    /// The family that `arch` names.
    ///
    /// # Errors
    /// [`ConfigError::Field`] if there is no such family.
    pub fn family(&self) -> Result<&'static Family, ConfigError> {
        family(&self.arch).ok_or_else(|| {
            let names: Vec<&str> = families().iter().map(|family| family.name).collect();
            ConfigError::Field {
                field: "arch",
                got: self.arch.clone(),
                want: names.join(" or "),
            }
        })
    }

    /// Checks every field against the bounds that the engine relies on.
    ///
    /// # Errors
    /// [`ConfigError::Field`] names the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.family()?;
        self.validate_numbers()
    }
}
