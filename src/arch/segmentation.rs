//! How an encoder cuts text into the tokens of a model, beside its pre-tokenizer.

use serde::{Deserialize, Serialize};

/// How text is cut into tokens. Only encoders use it: a decoder takes any tokens.
///
/// The default is byte-level BPE without tokens that are matched first. It is left out of the
/// packed file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Segmentation {
    /// How a word becomes tokens.
    pub algorithm: Algorithm,
    /// The pre-tokenizer sees U+2581 in place of every space.
    #[serde(skip_serializing_if = "is_false")]
    pub escaped_spaces: bool,
    /// Rows that are matched before all else, the leftmost and longest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<u32>,
}

/// How a word becomes tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Merges that start from bytes.
    #[default]
    ByteLevelBpe,
    /// Merges that start from characters, or from the bytes of a character that is no token.
    Bpe,
    /// The tokens whose scores have the largest sum.
    Unigram,
}

impl Segmentation {
    /// Whether this is the default.
    pub fn is_default(&self) -> bool {
        *self == Segmentation::default()
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_what_differs_from_the_default() {
        let whole = Segmentation {
            algorithm: Algorithm::Unigram,
            escaped_spaces: true,
            added: vec![3, 5],
        };
        let json = r#"{"algorithm":"unigram","escaped_spaces":true,"added":[3,5]}"#;
        assert_eq!(serde_json::to_string(&whole).unwrap(), json);
        assert_eq!(serde_json::from_str::<Segmentation>(json).unwrap(), whole);
        let plain = r#"{"algorithm":"bpe"}"#;
        let bpe: Segmentation = serde_json::from_str(plain).unwrap();
        assert_eq!(serde_json::to_string(&bpe).unwrap(), plain);
        assert!(
            serde_json::from_str::<Segmentation>("{}")
                .unwrap()
                .is_default()
        );
        for bad in [
            r#"{"algorithm":"magic"}"#,
            r#"{"colour":1}"#,
            r#"{"added":[-1]}"#,
        ] {
            assert!(serde_json::from_str::<Segmentation>(bad).is_err(), "{bad}");
        }
    }
}
