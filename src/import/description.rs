//! Reads the configuration of a published model by the table of its family.

use super::SourceError;
use super::source::{SINKS, window};
use super::vocabulary::RowPlan;
use crate::arch::config::GROUP;
use crate::arch::family::{Family, Keys, Member, Setting};
use crate::arch::rope::{Rope, RopeScaling};
use crate::arch::{Config, SourceTensor, families};
use crate::packed::shape_error;

/// A published model's settings and the shapes of its tensors, whatever the format.
pub(super) struct Description<'a> {
    pub(super) family: &'static Family,
    pub(super) member: &'static Member,
    /// The keys of this format.
    pub(super) keys: &'static Keys,
    /// The setting of a key.
    pub(super) setting: &'a dyn Fn(&str) -> Option<Setting<'a>>,
    /// What this format calls a tensor.
    pub(super) name: fn(&SourceTensor) -> &str,
    /// The shape of the tensor with that name.
    pub(super) shape: &'a dyn Fn(&str) -> Option<Vec<usize>>,
}

/// The first family and member whose name, as `name` gives it, is `wanted`.
///
/// # Errors
/// [`SourceError::Unsupported`] names those that there are.
pub(super) fn find_member(
    wanted: &str,
    name: fn(&Member) -> &'static str,
) -> Result<(&'static Family, &'static Member), SourceError> {
    let all = || {
        let families = families().iter().copied();
        families.flat_map(|family| family.members.iter().map(move |member| (family, member)))
    };
    all()
        .find(|(_, member)| name(member) == wanted)
        .ok_or_else(|| {
            let mut names: Vec<&str> = all().map(|(_, member)| name(member)).collect();
            names.dedup();
            let names = names.join(", ");
            SourceError::Unsupported(format!("architecture {wanted} (supported: {names})"))
        })
}

impl Description<'_> {
    /// The configuration of the packed model, once it is known that every weight is there with its
    /// shape and that the engine can run it. Reads nothing large.
    pub(super) fn config(
        &self,
        plan: &RowPlan,
        pre_tokenizer: serde_json::Value,
        parameters: impl FnOnce(&Config) -> u64,
    ) -> Result<Config, SourceError> {
        let keys = self.keys;
        self.check_fixed()?;
        let (hidden, heads) = (self.size(keys.hidden)?, self.size(keys.heads)?);
        let mut config = Config {
            arch: self.family.name.to_owned(),
            hidden,
            layers: self.size(keys.layers)?,
            heads,
            kv_heads: self.optional_size(keys.kv_heads)?.unwrap_or(heads),
            head_dim: match self.optional_size(keys.head_dim)? {
                Some(size) => size,
                None => hidden.checked_div(heads).unwrap_or(0),
            },
            intermediate: self.size(keys.intermediate)?,
            vocab: plan.tokens.len(),
            inputs: plan.rows.len(),
            bos: plan.bos,
            norm_eps: self
                .number(keys.norm_eps)?
                .ok_or_else(|| lacks(keys.norm_eps))? as f32,
            group: GROUP,
            qk_norm: false,
            attention_bias: false,
            tied: false,
            window: window(self.optional_size(keys.context).ok().flatten()),
            sinks: SINKS,
            parameters: 0,
            pre_tokenizer,
            segmentation: plan.segmentation.clone(),
        };
        config.validate()?;
        self.check_rotary(&config)?;
        self.choose(&mut config);
        self.check_shapes(&config, &plan.rows)?;
        config.parameters = parameters(&config);
        Ok(config)
    }

    /// The rotary embedding with this scaling.
    pub(super) fn rope(&self, scaling: RopeScaling) -> Result<Rope, SourceError> {
        let theta = self.number(self.keys.rope_theta)?.unwrap_or(10_000.0);
        let rope = Rope { theta, scaling };
        match rope.is_sound() {
            true => Ok(rope),
            false => Err(SourceError::Invalid(format!(
                "rotary embedding of base {theta} with a scaling that has no meaning"
            ))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, SourceError> {
        match (self.setting)(key) {
            None => Ok(None),
            Some(Setting::Number(number)) => Ok(Some(number)),
            Some(other) => Err(unexpected(key, other, "a number")),
        }
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, SourceError> {
        let Some(number) = self.number(key)? else {
            return Ok(None);
        };
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            Ok(Some(number as usize))
        } else {
            Err(unexpected(key, Setting::Number(number), "a whole number"))
        }
    }

    fn size(&self, key: &str) -> Result<usize, SourceError> {
        self.optional_size(key)?.ok_or_else(|| lacks(key))
    }

    fn check_fixed(&self) -> Result<(), SourceError> {
        for fixed in self.keys.fixed {
            match (self.setting)(fixed.key) {
                Some(got) if got != fixed.value => {
                    let (key, want) = (fixed.key, fixed.value);
                    return Err(SourceError::Unsupported(format!(
                        "{} ({key} is {got}, expected {want})",
                        fixed.otherwise
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_rotary(&self, config: &Config) -> Result<(), SourceError> {
        let rotated = match self.keys.rotary_dim {
            Some(key) => self.optional_size(key)?,
            None => None,
        };
        match rotated.filter(|&rotated| rotated != config.head_dim) {
            None => Ok(()),
            Some(rotated) => Err(SourceError::Unsupported(format!(
                "partial rotary embedding ({rotated} of {})",
                config.head_dim
            ))),
        }
    }

    /// Sets the options that show in the tensors, and those that the architecture implies.
    fn choose(&self, config: &mut Config) {
        let mut all = Config {
            layers: 1,
            ..config.clone()
        };
        for choice in self.family.choices {
            (choice.set)(&mut all, true);
        }
        let tensors = self.family.tensors(&all);
        for choice in self.family.choices {
            let mut sources = tensors
                .iter()
                .flat_map(|tensor| tensor.stored(choice.tensor));
            let found = sources.any(|source| (self.shape)((self.name)(source)).is_some());
            (choice.set)(config, found);
        }
        if let Some(key) = self.keys.tied {
            config.tied |= (self.setting)(key) == Some(Setting::Flag(true));
        }
        (self.member.implies)(config);
    }

    /// Every tensor of the table is there with its shape, and no bias that the table lacks.
    fn check_shapes(&self, config: &Config, token_ids: &[u32]) -> Result<(), SourceError> {
        for tensor in self.family.tensors(config) {
            for source in tensor.sources() {
                let name = (self.name)(source);
                let got = (self.shape)(name)
                    .ok_or_else(|| SourceError::Invalid(format!("tensor {name} is missing")))?;
                if let Some(want) = shape_error(source, &got, token_ids) {
                    let reason = format!("tensor {name} is {got:?}, expected {want}");
                    return Err(SourceError::Invalid(reason));
                }
            }
            if !tensor.bias {
                self.check_no_bias(&tensor.weights)?;
            }
        }
        Ok(())
    }

    fn check_no_bias(&self, weights: &[SourceTensor]) -> Result<(), SourceError> {
        for stem in weights
            .iter()
            .filter_map(|w| (self.name)(w).strip_suffix(".weight"))
        {
            if (self.shape)(&format!("{stem}.bias")).is_some() {
                return Err(SourceError::Unsupported(format!("a bias on {stem}")));
            }
        }
        Ok(())
    }
}

fn lacks(key: &str) -> SourceError {
    SourceError::Invalid(format!("the configuration lacks {key}"))
}

fn unexpected(key: &str, got: Setting<'_>, want: &str) -> SourceError {
    SourceError::Invalid(format!(
        "the configuration's {key} is {got}, expected {want}"
    ))
}
