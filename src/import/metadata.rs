//! Typed look-ups in GGUF metadata.

use crate::arch::settings::Setting;
use candle_core::quantized::gguf_file::Value;
use std::collections::HashMap;

/// The metadata of a file.
#[derive(Debug, Default)]
pub(super) struct Metadata(HashMap<String, Value>);

impl Metadata {
    pub(super) fn new(values: HashMap<String, Value>) -> Metadata {
        Metadata(values)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn integer(&self, key: &str) -> Option<u64> {
        integer(self.get(key)?)
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        match self.setting(key)? {
            Setting::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn array(&self, key: &str) -> Option<&[Value]> {
        match self.get(key)? {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    pub(super) fn setting(&self, key: &str) -> Option<Setting<'_>> {
        self.get(key).map(setting)
    }
}

fn setting(value: &Value) -> Setting<'_> {
    if let Some(number) = integer(value) {
        return Setting::Number(number as f64);
    }
    match value {
        Value::F32(number) => Setting::Number(f64::from(*number)),
        Value::F64(number) => Setting::Number(*number),
        Value::Bool(flag) => Setting::Flag(*flag),
        Value::String(text) => Setting::Text(text),
        Value::Array(values) => Setting::List(values.iter().map(setting).collect()),
        _ => Setting::Other,
    }
}

/// A whole number of any type that is not negative.
pub(super) fn integer(value: &Value) -> Option<u64> {
    match *value {
        Value::U8(n) => Some(n.into()),
        Value::U16(n) => Some(n.into()),
        Value::U32(n) => Some(n.into()),
        Value::U64(n) => Some(n),
        Value::I8(n) => n.try_into().ok(),
        Value::I16(n) => n.try_into().ok(),
        Value::I32(n) => n.try_into().ok(),
        Value::I64(n) => n.try_into().ok(),
        _ => None,
    }
}
