//! Why the engine cannot run a configuration.

/// A configuration that the engine cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field is outside what the engine supports.
    #[error("model configuration: {field} is {got}, expected {want}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// The value found.
        got: String,
        /// The values allowed.
        want: String,
    },
}

pub(super) fn expect(
    ok: bool,
    field: &'static str,
    got: impl ToString,
    want: impl ToString,
) -> Result<(), ConfigError> {
    if ok {
        Ok(())
    } else {
        Err(ConfigError::Field {
            field,
            got: got.to_string(),
            want: want.to_string(),
        })
    }
}
