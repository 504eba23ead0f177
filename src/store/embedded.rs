//! The built-in models, which differ only in size.
//!
//! `training/embed.sh FOLDER NAME` replaces one of them by a newly trained model. A test compares
//! the files with the identities below. A model that was part of a release stays in the list,
//! because files written with it must stay readable.

use std::sync::{Arc, OnceLock};

use crate::packed::PackedModel;

/// A built-in model.
#[derive(Debug)]
pub struct Embedded {
    /// Its name.
    pub name: &'static str,
    /// Its packed file.
    pub bytes: &'static [u8],
    /// BLAKE3 of `bytes`.
    pub identity: [u8; 32],
    opened: OnceLock<Arc<PackedModel>>,
}

/// Lists the built-in models, the smallest first: the name of `embedded/NAME.llmzmodel`, and its
/// BLAKE3 in hexadecimal digits.
macro_rules! family {
    ($($name:literal, $identity:literal;)*) => {
        /// Names and identities of the built-in models, which every build knows.
        const FAMILY: &[(&str, [u8; 32])] = &[$(($name, digits($identity))),*];

        /// All built-in models, the smallest first.
        #[cfg(feature = "builtin")]
        pub static ALL: [Embedded; FAMILY.len()] = [$({
            static PACKED: &Aligned<[u8]> =
                &Aligned(*include_bytes!(concat!("embedded/", $name, ".llmzmodel")));
            Embedded {
                name: $name,
                bytes: &PACKED.0,
                identity: digits($identity),
                opened: OnceLock::new(),
            }
        }),*];
    };
}

family! {
    "nano",
    b"9e96a47c04669c030f79ac6826ff8774312f105ad3a7a7d590080d811b805457";
    "micro",
    b"ec85a517593a93dacb88e8f2f3d9d47f277f6283bee1023f62a825709711011f";
    "mini",
    b"c6293afd187e493fffd02962241205d1a9a477bdd00913f887f6a8cb3b8064c0";
    "small",
    b"277726758c02434661c0f298d5cab60f6dda1245bccf10c39428ed61dbc6795d";
}

/// Empty: the feature `builtin` is off.
#[cfg(not(feature = "builtin"))]
pub static ALL: [Embedded; 0] = [];

/// Aligned as a memory-mapped file is, so that weights need not be copied to be used.
#[cfg(feature = "builtin")]
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

const fn digits(text: &[u8; 64]) -> [u8; 32] {
    const fn value(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("an identity is written in lower-case hexadecimal digits"),
        }
    }
    let mut bytes = [0; 32];
    let mut i = 0;
    while i < 32 {
        bytes[i] = value(text[2 * i]) << 4 | value(text[2 * i + 1]);
        i += 1;
    }
    bytes
}

impl Embedded {
    /// The model, which is opened once for the whole process.
    pub fn open(&'static self) -> Arc<PackedModel> {
        let model = self.opened.get_or_init(|| {
            let opened = PackedModel::from_static(self.bytes);
            Arc::new(opened.expect("embedded models are opened by a test"))
        });
        Arc::clone(model)
    }
}

/// The model to compress with if no other is chosen: `mini`. `small` is a little better and takes
/// nearly twice as long.
#[cfg(feature = "builtin")]
pub fn default() -> &'static Embedded {
    &ALL[2]
}

/// The built-in model of this name.
pub fn by_name(name: &str) -> Option<&'static Embedded> {
    ALL.iter().find(|model| model.name == name)
}

/// The name of the built-in model whose identity begins with `start`. A build without the model
/// knows its name, too: frames leave out the names of built-in models.
pub fn name_of(start: &[u8]) -> Option<&'static str> {
    let (name, _) = FAMILY.iter().find(|(_, id)| id.starts_with(start))?;
    Some(name)
}

/// The frozen model of the tests; golden files were made with it.
#[cfg(test)]
pub(crate) const FIXTURE: &[u8] = include_bytes!("../../fixtures/fixture.llmzmodel");

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "builtin")]
    #[test]
    fn every_embedded_model_is_what_its_identity_says_and_sound() {
        for model in &ALL {
            let opened = model.open();
            assert_eq!(
                crate::store::hex(&opened.identity()),
                crate::store::hex(&model.identity),
                "identity of {}",
                model.name
            );
            opened.verify().unwrap();
            assert!(model.bytes.as_ptr().addr().is_multiple_of(64));
            let singles = (0..=255u8).filter(|byte| opened.tokens().find(&[*byte]).is_some());
            assert_eq!(singles.count(), 256, "{} can spell every byte", model.name);
        }
        assert!(ALL.iter().map(|m| m.bytes.len()).sum::<usize>() < 8_500_000);
    }

    #[test]
    fn the_fixture_is_frozen() {
        let identity = blake3::hash(FIXTURE).to_hex();
        assert_eq!(
            identity.as_str(),
            "9b477d67e4d52001f663dd0f55b4093a8212d348721cf0d37475ed3c9337977e"
        );
    }
}
