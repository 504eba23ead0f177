//! The push constants of a shader, in the order in which it declares them: addresses first.

/// Push constants, at most 128 bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    bytes: Vec<u8>,
}

impl Parameters {
    /// Begins with addresses of buffers.
    pub(super) fn new(addresses: &[u64]) -> Parameters {
        Parameters {
            bytes: addresses.iter().flat_map(|it| it.to_ne_bytes()).collect(),
        }
    }

    /// Appends numbers.
    pub(super) fn words(mut self, words: &[usize]) -> Parameters {
        let words = words.iter().map(|&word| word as u32);
        self.bytes.extend(words.flat_map(u32::to_ne_bytes));
        self
    }

    /// Appends a float.
    pub(super) fn float(mut self, value: f32) -> Parameters {
        self.bytes.extend(value.to_ne_bytes());
        self
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        debug_assert!(self.bytes.len() <= 128);
        &self.bytes
    }
}
