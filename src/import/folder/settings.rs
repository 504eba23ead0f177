//! The settings of `config.json`, with what transformers takes for those that are missing.
//!
//! Some settings may stand in several places or have several names. transformers' versions do not
//! agree on which of them counts, so that values which differ are refused.

use super::rope::{self, Parameters};
use crate::arch::Family;
use crate::arch::family::Member;
use crate::arch::settings::{Setting, SettingError};
use crate::import::SourceError;
use serde_json::Value;

/// Where settings are looked up.
pub(super) struct Lookup<'a> {
    config: &'a Value,
    pub(super) rotary: Parameters<'a>,
    family: &'static Family,
    member: &'static Member,
}

impl<'a> Lookup<'a> {
    /// The settings of a model of this family and member.
    ///
    /// # Errors
    /// If the places where a setting may stand contradict each other.
    pub(super) fn new(
        config: &'a Value,
        family: &'static Family,
        member: &'static Member,
    ) -> Result<Lookup<'a>, SourceError> {
        // Only members whose local layers rotate otherwise have this setting.
        let by_kind = member.default("rope_local_base_freq").is_some();
        let lookup = Lookup {
            config,
            rotary: rope::parameters(config, by_kind)?,
            family,
            member,
        };
        lookup.check()?;
        Ok(lookup)
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &str) -> Option<Setting<'a>> {
        let own = || setting(&self.config[key]);
        let found = setting(self.inner(key)).or_else(own);
        let absent = || self.config.get(key).is_none();
        let default = || self.member.default(key).filter(|_| absent());
        let alias = || setting(&self.config[self.alias(key)?]);
        found.or_else(default).or_else(alias)
    }

    /// Refuses settings whose places contradict each other.
    fn check(&self) -> Result<(), SettingError> {
        let keys = &self.family.hugging_face.keys;
        let rotary = [keys.rope_theta, "rope_local_base_freq"];
        let older = self.family.hugging_face.older.iter().map(|(key, _)| *key);
        let rotary = rotary.into_iter().chain(keys.rotary_fraction);
        rotary.chain(older).try_for_each(|key| self.check_one(key))
    }

    fn check_one(&self, key: &str) -> Result<(), SettingError> {
        let Some(value) = self.get(key) else {
            return match self.config.get(key) {
                None => Ok(()),
                Some(_) => Err(invalid(format!("the configuration's {key} is null"))),
            };
        };
        let inner = self.inner_name(key);
        let own = (key, &self.config[key]);
        let alias = self.alias(key).map(|alias| (alias, &self.config[alias]));
        let other = inner.map(|inner| (inner, &self.rotary.other[inner]));
        for (name, place) in [Some(own), alias, other].into_iter().flatten() {
            if let Some(got) = setting(place).filter(|got| *got != value) {
                return Err(invalid(match name == key {
                    true => format!(
                        "the configuration's {key} is {got} in one place and {value} in another"
                    ),
                    false => {
                        format!("the configuration's {name} is {got}, but {key} is {value}")
                    }
                }));
            }
        }
        Ok(())
    }

    /// What the objects of the rotary embedding say of `key`; null if nothing.
    fn inner(&self, key: &str) -> &'a Value {
        match (key, self.inner_name(key)) {
            ("rope_local_base_freq", _) => &self.rotary.local["rope_theta"],
            (_, Some(name)) => &self.rotary.all[name],
            (_, None) => &Value::Null,
        }
    }

    /// What a setting is called in the object of the rotary embedding, if it may stand there.
    fn inner_name(&self, key: &str) -> Option<&'static str> {
        let keys = &self.family.hugging_face.keys;
        match key {
            key if key == keys.rope_theta => Some("rope_theta"),
            key if Some(key) == keys.rotary_fraction => Some("partial_rotary_factor"),
            _ => None,
        }
    }

    /// Another name that a setting may have.
    fn alias(&self, key: &str) -> Option<&'static str> {
        let mut all = self.family.hugging_face.older.iter();
        let found = all.find(|(name, _)| *name == key);
        found.map(|(_, alias)| *alias)
    }
}

fn invalid(reason: String) -> SettingError {
    SettingError::Invalid(reason)
}

fn setting(value: &Value) -> Option<Setting<'_>> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(Setting::Flag(*flag)),
        Value::Number(number) => number.as_f64().map(Setting::Number),
        Value::String(text) => Some(Setting::Text(text)),
        Value::Array(values) => Some(Setting::List(
            (values.iter())
                .map(|value| setting(value).unwrap_or(Setting::Other))
                .collect(),
        )),
        Value::Object(_) => Some(Setting::Other),
    }
}
