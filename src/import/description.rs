//! Reads the configuration of a published model by the tables of its family.

use super::SourceError;
use super::source::{SINKS, window};
use super::vocabulary::RowPlan;
use crate::arch::block::Wide;
use crate::arch::config::GROUP;
use crate::arch::family::{Cut, Draft, Family, Fixed, Folds, Format, Member, Recurrences};
use crate::arch::rope::{Rope, RopeScaling, RotarySteps};
use crate::arch::settings::{SettingError, Settings, short};
use crate::arch::tensors::Place;
use crate::arch::{Block, Config, SourceTensor, Tensor, families, parts};
use crate::packed::shape_error;
use std::collections::HashSet;

/// A model of at most this many parameters gets wide activations. Its weights stay in the caches of
/// a processor, and quantisation costs it more than it costs a larger one: the values of a group of
/// 64 are a large share of all.
const WIDE_UP_TO: u64 = 16_000_000;

/// A published model's settings and the shapes of its tensors, whatever the format.
pub(super) struct Description<'a> {
    pub(super) family: &'static Family,
    pub(super) member: &'static Member,
    /// How this format describes the family.
    pub(super) format: &'static Format,
    pub(super) settings: Settings<'a>,
    /// Reads the settings that only this member of its family has in this format.
    pub(super) options: fn(&Settings<'_>, &mut Draft) -> Result<(), SettingError>,
    /// Change of the rotary frequencies for long contexts.
    pub(super) scaling: Scaling,
    /// Whether the two values of a pair that rotates together are neighbours.
    pub(super) interleaved: bool,
    /// Where this format holds a tensor.
    pub(super) place: fn(&SourceTensor) -> &Place,
    /// The shape of the tensor with that name.
    pub(super) shape: &'a dyn Fn(&str) -> Option<Vec<usize>>,
    /// The names of all tensors.
    pub(super) names: &'a dyn Fn() -> Vec<String>,
    /// What stands before the number of a layer in names.
    pub(super) layers: &'static str,
}

/// How names of tensors end that hold no weights: tables and masks that some publishers store.
const BUFFERS: [&str; 6] = [
    "rotary_emb.inv_freq",
    ".attn.bias",
    ".attn.masked_bias",
    ".attention.bias",
    ".attention.masked_bias",
    ".attn_rot_embd.weight",
];

/// A change of the rotary frequencies for long contexts.
#[derive(Debug)]
pub(super) struct Scaling {
    pub(super) scaling: RopeScaling,
    /// Most positions for which it is right, if it is not right for all.
    pub(super) positions: Option<usize>,
}

impl From<RopeScaling> for Scaling {
    fn from(scaling: RopeScaling) -> Scaling {
        let positions = None;
        Scaling { scaling, positions }
    }
}

/// What a description says of a model.
pub(super) struct Described {
    pub(super) config: Config,
    pub(super) steps: RotarySteps,
    pub(super) rotation: Rotation,
    pub(super) folds: Folds,
    pub(super) recurrences: Recurrences,
}

/// Which values of a head rotate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    /// Whether the two values of a pair are neighbours; otherwise they are half of `dims` apart.
    pub(super) interleaved: bool,
    /// The first `dims` values rotate.
    pub(super) dims: usize,
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
    /// The configuration of the packed model and how its weights are arranged, once it is known
    /// that every weight is there with its shape and that the engine can run it. Reads nothing
    /// large.
    pub(super) fn read(
        &self,
        plan: &RowPlan,
        pre_tokenizer: serde_json::Value,
        parameters: impl FnOnce(&Config) -> u64,
    ) -> Result<Described, SourceError> {
        for fixed in self.format.fixed {
            self.check_fixed(fixed)?;
        }
        let mut draft = Draft {
            config: self.sizes(plan, pre_tokenizer)?,
            folds: Folds::default(),
            recurrences: Recurrences::default(),
            local_theta: None,
        };
        draft.config.validate()?;
        let rotation = self.rotation(draft.config.head_dim)?;
        self.choose(&mut draft.config)?;
        (self.member.implies)(&mut draft);
        (self.format.options)(&self.settings, &mut draft)?;
        (self.options)(&self.settings, &mut draft)?;
        let steps = self.steps(&mut draft, rotation)?;
        draft.config.validate()?;
        self.check_shapes(&draft.config, &plan.rows)?;
        self.check_no_others(&draft.config)?;
        draft.config.parameters = parameters(&draft.config);
        if draft.config.parameters <= WIDE_UP_TO {
            draft.config.block.wide = Wide::ALL;
        }
        Ok(Described {
            steps,
            config: draft.config,
            rotation,
            folds: draft.folds,
            recurrences: draft.recurrences,
        })
    }

    /// The numbers that every model has.
    fn sizes(
        &self,
        plan: &RowPlan,
        pre_tokenizer: serde_json::Value,
    ) -> Result<Config, SourceError> {
        let (keys, settings) = (&self.format.keys, &self.settings);
        let hidden = settings.required_size(keys.hidden)?;
        let heads = settings.required_size(keys.heads)?;
        Ok(Config {
            arch: self.family.name.to_owned(),
            hidden,
            layers: settings.required_size(keys.layers)?,
            heads,
            kv_heads: match keys.kv_heads {
                Some(key) => settings.size(key)?.unwrap_or(heads),
                None => heads,
            },
            head_dim: match settings.size(keys.head_dim)? {
                Some(size) => size,
                None => hidden.checked_div(heads).unwrap_or(0),
            },
            intermediate: settings.size(keys.intermediate)?.unwrap_or(4 * hidden),
            vocab: plan.tokens.len(),
            inputs: plan.rows.len(),
            bos: plan.bos,
            norm_eps: settings.required_number(keys.norm_eps)? as f32,
            group: GROUP,
            qk_norm: false,
            attention_bias: false,
            tied: false,
            window: window(settings.size(keys.context)?, self.scaling.positions)?,
            sinks: SINKS,
            parameters: 0,
            pre_tokenizer,
            block: Block::default(),
            segmentation: plan.segmentation.clone(),
        })
    }

    fn check_fixed(&self, fixed: &Fixed) -> Result<(), SourceError> {
        match self.settings.get(fixed.key) {
            Some(got) if got != fixed.value => {
                let (key, want) = (fixed.key, &fixed.value);
                Err(SourceError::Unsupported(format!(
                    "{} ({key} is {got}, expected {want})",
                    fixed.otherwise
                )))
            }
            _ => Ok(()),
        }
    }

    fn rotation(&self, head_dim: usize) -> Result<Rotation, SourceError> {
        let (keys, settings) = (&self.format.keys, &self.settings);
        let mut dims = head_dim;
        if let Some(fraction) = keys.rotary_fraction.map(|key| settings.number(key)) {
            dims = (fraction?.unwrap_or(1.0) * head_dim as f64) as usize;
        }
        if let Some(size) = keys.rotary_dim.map(|key| settings.size(key)) {
            dims = size?.unwrap_or(dims);
        }
        if dims > head_dim || !dims.is_multiple_of(2) {
            return Err(SourceError::Invalid(format!(
                "{dims} of {head_dim} values of each head rotate"
            )));
        }
        Ok(Rotation {
            interleaved: self.interleaved,
            dims,
        })
    }

    /// The rotary steps of all layers and of local ones. Local layers that differ in nothing from
    /// the others become like them.
    fn steps(&self, draft: &mut Draft, rotation: Rotation) -> Result<RotarySteps, SourceError> {
        let theta = self.settings.number(self.format.keys.rope_theta)?;
        let rope = Rope {
            theta: theta.unwrap_or(10_000.0),
            scaling: self.scaling.scaling.clone(),
        };
        let magnitude = rope.magnitude();
        if magnitude != 1.0 && rotation.dims != draft.config.head_dim {
            let reason = "this rotary scaling of a part of each head";
            return Err(SourceError::Unsupported(reason.into()));
        }
        draft.folds.rotation = magnitude * magnitude;
        let pairs = draft.config.head_dim / 2;
        let all = steps(&rope, rotation, pairs, self.format.keys.rope_theta)?;
        let local = match draft.local_theta {
            Some(theta) => {
                let scaling = RopeScaling::None;
                let rope = Rope { theta, scaling };
                steps(&rope, rotation, pairs, "rope_theta of layers with a window")?
            }
            None => all.clone(),
        };
        let config = &mut draft.config;
        if let Some(layers) = &mut config.block.local {
            layers.own_steps = local != all || (draft.local_theta.is_some() && magnitude != 1.0);
            if layers.window >= config.window && !layers.own_steps {
                config.block.local = None;
            }
        }
        let own = config.block.has_own_steps();
        let local = if own { local } else { Vec::new() };
        Ok(RotarySteps { all, local })
    }

    /// Sets the options that show in the tensors.
    fn choose(&self, config: &mut Config) -> Result<(), SourceError> {
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
            let found = sources.any(|source| (self.shape)(&(self.place)(source).name).is_some());
            (choice.set)(config, found);
        }
        let Some(key) = self.format.keys.tied else {
            return Ok(());
        };
        match self.settings.flag(key)? {
            Some(false) if config.tied => Err(SourceError::Invalid(format!(
                "the weights have no head, but {key} of the configuration is false"
            ))),
            flag => {
                config.tied |= flag == Some(true);
                Ok(())
            }
        }
    }

    /// Every tensor of the table is there with its shape, and no bias that the table lacks.
    fn check_shapes(&self, config: &Config, token_ids: &[u32]) -> Result<(), SourceError> {
        for tensor in self.family.tensors(config) {
            for source in tensor.sources() {
                let Place { name, cut } = (self.place)(source);
                let got = (self.shape)(name)
                    .ok_or_else(|| SourceError::Invalid(format!("tensor {name} is missing")))?;
                let stored = SourceTensor {
                    shape: source.shape_with(*cut),
                    ..source.clone()
                };
                let got = match got[..] {
                    [1, columns] if *cut == Cut::OneRow => vec![columns],
                    _ => got,
                };
                if let Some(want) = shape_error(&stored, &got, token_ids) {
                    let reason = format!("tensor {name} is {got:?}, expected {want}");
                    return Err(SourceError::Invalid(reason));
                }
            }
            if !tensor.bias {
                self.check_no_bias(&tensor.weights)?;
            }
        }
        match config.tied {
            true => self.check_no_bias(&self.family.tensor(&parts::HEAD, None, config).weights),
            false => Ok(()),
        }
    }

    /// The layers have no tensor that the table lacks: leaving it out would make another model.
    fn check_no_others(&self, config: &Config) -> Result<(), SourceError> {
        let tensors = self.family.tensors(config);
        let sources = tensors.iter().flat_map(Tensor::sources);
        let known: HashSet<&str> = sources.map(|it| (self.place)(it).name.as_str()).collect();
        let variants = self.family.hugging_face_variants;
        for name in (self.names)() {
            let forms = variants.iter().filter_map(|(beginning, other)| {
                Some(format!("{beginning}{}", name.strip_prefix(other)?))
            });
            let forms: Vec<String> = forms.chain([name.clone()]).collect();
            let is_of_layer = |form: &String| {
                let rest = form
                    .strip_prefix(self.layers)
                    .and_then(|rest| rest.strip_prefix('.'));
                let number = rest.and_then(|rest| rest.split('.').next()?.parse().ok());
                // Further layers predict further tokens.
                number.is_some_and(|number: usize| number < config.layers)
            };
            let is_known = forms.iter().any(|form| known.contains(form.as_str()));
            let is_buffer = BUFFERS.iter().any(|ending| name.ends_with(ending));
            if forms.iter().any(is_of_layer) && !is_known && !is_buffer {
                let reason = format!("tensor {name}, which this architecture lacks");
                return Err(SourceError::Unsupported(reason));
            }
        }
        Ok(())
    }

    fn check_no_bias(&self, weights: &[SourceTensor]) -> Result<(), SourceError> {
        for stem in weights
            .iter()
            .filter_map(|w| (self.place)(w).name.strip_suffix(".weight"))
        {
            if (self.shape)(&format!("{stem}.bias")).is_some() {
                return Err(SourceError::Unsupported(format!("a bias on {stem}")));
            }
        }
        Ok(())
    }
}

/// The steps of `rope` for as many pairs as a head has, 0 for those that do not rotate. Messages
/// call its base `key`.
fn steps(
    rope: &Rope,
    rotation: Rotation,
    pairs: usize,
    key: &str,
) -> Result<Vec<u64>, SourceError> {
    if !rope.has_sound_base() {
        return Err(SourceError::Invalid(format!(
            "the base of the rotary embedding ({key}) is {}, expected 1 to 1e12",
            short(rope.theta)
        )));
    }
    if !rope.fits(rotation.dims) {
        let want = rotation.dims / 2;
        let reason = format!("the rotary embedding has not a divisor for each of {want} pairs");
        return Err(SourceError::Invalid(reason));
    }
    if !rope.is_sound() {
        return Err(SourceError::invalid(
            "the scaling of the rotary embedding has a number that has no meaning there",
        ));
    }
    let mut steps = rope.steps(rotation.dims);
    steps.resize(pairs, 0);
    Ok(steps)
}

impl From<SettingError> for SourceError {
    fn from(error: SettingError) -> SourceError {
        match error {
            SettingError::Invalid(reason) => SourceError::Invalid(reason),
            SettingError::Unsupported(reason) => SourceError::Unsupported(reason),
        }
    }
}
