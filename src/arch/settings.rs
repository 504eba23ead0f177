//! The settings of a published model: keys with values.

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting<'a> {
    /// A number, whole or not.
    Number(f64),
    /// A word.
    Text(&'a str),
    /// Yes or no.
    Flag(bool),
    /// Several values.
    List(Vec<Setting<'a>>),
    /// Anything else, such as an object.
    Other,
}

impl std::fmt::Display for Setting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Setting::Number(number) => short(*number).fmt(f),
            Setting::Text(text) => text.fmt(f),
            Setting::Flag(flag) => flag.fmt(f),
            Setting::List(_) => "a list".fmt(f),
            Setting::Other => "an object".fmt(f),
        }
    }
}

/// A number as messages show it: digits alone where there are few, else with an exponent.
pub fn short(number: f64) -> String {
    match number == 0.0 || (1e-4..1e15).contains(&number.abs()) || !number.is_finite() {
        true => number.to_string(),
        false => format!("{number:e}"),
    }
}

/// A setting that no model of a family can have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// It has no meaning.
    #[error("{0}")]
    Invalid(String),
    /// It has a meaning that no family computes.
    #[error("{0}")]
    Unsupported(String),
}

/// The settings of one model.
#[derive(Clone, Copy)]
pub struct Settings<'a>(&'a dyn Fn(&str) -> Option<Setting<'a>>);

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Settings").finish_non_exhaustive()
    }
}

impl<'a> Settings<'a> {
    /// The settings that `find` finds by their keys.
    pub fn new(find: &'a dyn Fn(&str) -> Option<Setting<'a>>) -> Settings<'a> {
        Settings(find)
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<Setting<'a>> {
        (self.0)(key)
    }

    /// A number.
    ///
    /// # Errors
    /// If the value is none, or not finite.
    pub fn number(&self, key: &str) -> Result<Option<f64>, SettingError> {
        match self.get(key) {
            None => Ok(None),
            Some(Setting::Number(number)) if number.is_finite() => Ok(Some(number)),
            Some(other) => Err(unexpected(key, &other, "a number")),
        }
    }

    /// A whole number from 0 to 2^32 - 1.
    ///
    /// # Errors
    /// If the value is none.
    pub fn size(&self, key: &str) -> Result<Option<usize>, SettingError> {
        let Some(number) = self.number(key)? else {
            return Ok(None);
        };
        match whole(number) {
            Some(size) => Ok(Some(size)),
            None => {
                let want = "a whole number from 0 to 4294967295";
                Err(unexpected(key, &Setting::Number(number), want))
            }
        }
    }

    /// A number that the source must have.
    ///
    /// # Errors
    /// If there is none.
    pub fn required_size(&self, key: &str) -> Result<usize, SettingError> {
        self.size(key)?.ok_or_else(|| lacks(key))
    }

    /// A number that the source must have.
    ///
    /// # Errors
    /// If there is none.
    pub fn required_number(&self, key: &str) -> Result<f64, SettingError> {
        self.number(key)?.ok_or_else(|| lacks(key))
    }

    /// A word.
    ///
    /// # Errors
    /// If the value is none.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, SettingError> {
        match self.get(key) {
            None => Ok(None),
            Some(Setting::Text(text)) => Ok(Some(text)),
            Some(other) => Err(unexpected(key, &other, "a word")),
        }
    }

    /// Yes or no.
    ///
    /// # Errors
    /// If the value is neither.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, SettingError> {
        match self.get(key) {
            None => Ok(None),
            Some(Setting::Flag(flag)) => Ok(Some(flag)),
            Some(other) => Err(unexpected(key, &other, "true or false")),
        }
    }

    /// Several values.
    ///
    /// # Errors
    /// If the value is no list.
    pub fn list(&self, key: &str) -> Result<Option<Vec<Setting<'a>>>, SettingError> {
        match self.get(key) {
            None => Ok(None),
            Some(Setting::List(values)) => Ok(Some(values)),
            Some(other) => Err(unexpected(key, &other, "a list")),
        }
    }
}

/// A whole number from 0 to 2^32 - 1.
pub(super) fn whole(number: f64) -> Option<usize> {
    let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    fits.then_some(number as usize)
}

fn lacks(key: &str) -> SettingError {
    SettingError::Invalid(format!("the configuration lacks {key}"))
}

/// The setting `key` has a value of the wrong kind.
pub(super) fn unexpected(key: &str, got: &Setting<'_>, want: &str) -> SettingError {
    SettingError::Invalid(format!(
        "the configuration's {key} is {got}, expected {want}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_messages_are_short() {
        for (number, want) in [
            (0.0, "0"),
            (-1.0, "-1"),
            (0.5, "0.5"),
            (10_000.0, "10000"),
            (1e300, "1e300"),
            (-1e30, "-1e30"),
            (1e-12, "1e-12"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(Setting::Number(number).to_string(), want);
        }
    }
}
