//! Options that several families read in the same way.

use super::block::{Activation, Local, Mixture};
use super::family::Draft;
use super::settings::{Setting, SettingError, Settings};

/// No options.
pub(super) fn none(_: &Settings<'_>, _: &mut Draft) -> Result<(), SettingError> {
    Ok(())
}

/// Reads the name of the feed-forward block's function, as transformers spells it.
pub(super) fn activation(
    settings: &Settings<'_>,
    key: &str,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    let Some(name) = settings.text(key)? else {
        return Ok(());
    };
    draft.config.block.activation = match name {
        "silu" | "swish" => Activation::Silu,
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "relu2" => Activation::ReluSquared,
        other => {
            let reason = format!("another activation ({key} is {other})");
            return Err(SettingError::Unsupported(reason));
        }
    };
    Ok(())
}

/// Reads the layers of a Hugging Face model that see `sliding_window` positions: those that
/// `layer_types` names, or, without such a list, those for which `is_local` is true.
pub(super) fn sliding_window(
    settings: &Settings<'_>,
    draft: &mut Draft,
    is_local: impl Fn(usize) -> bool,
) -> Result<(), SettingError> {
    if settings.flag("use_sliding_window")? == Some(false) {
        return Ok(());
    }
    let Some(window) = settings.size("sliding_window")? else {
        return Ok(());
    };
    let layers = 0..draft.config.layers;
    let local = match settings.list("layer_types")? {
        None => layers.filter(|layer| is_local(*layer)).collect(),
        Some(types) => named_local(&types, layers.len())?,
    };
    set_local(draft, window, local);
    Ok(())
}

/// Reads the window of a GGUF file, which the layers see for which `is_local` is true.
pub(super) fn gguf_sliding_window(
    settings: &Settings<'_>,
    draft: &mut Draft,
    is_local: impl Fn(usize) -> bool,
) -> Result<(), SettingError> {
    if let Some(window) = settings.size("attention.sliding_window")? {
        let layers = 0..draft.config.layers;
        set_local(
            draft,
            window,
            layers.filter(|layer| is_local(*layer)).collect(),
        );
    }
    Ok(())
}

/// The numbers of the layers of type `sliding_attention`.
fn named_local(types: &[Setting<'_>], layers: usize) -> Result<Vec<usize>, SettingError> {
    if types.len() != layers {
        let reason = format!(
            "layer_types names {} layers, expected {layers}",
            types.len()
        );
        return Err(SettingError::Invalid(reason));
    }
    let mut local = Vec::new();
    for (layer, kind) in types.iter().enumerate() {
        match kind {
            Setting::Text("full_attention") => {}
            Setting::Text("sliding_attention") => local.push(layer),
            other => return Err(SettingError::Unsupported(format!("layers of type {other}"))),
        }
    }
    Ok(local)
}

/// Sets the layers that see `window` positions, if there are any.
fn set_local(draft: &mut Draft, window: usize, layers: Vec<usize>) {
    if !layers.is_empty() {
        draft.config.block.local = Some(Local {
            window: window.min(draft.config.window),
            layers,
            own_steps: false,
        });
    }
}

/// Reads a cap of scores or logits; 0 and a missing key mean that there is none.
pub(super) fn cap(settings: &Settings<'_>, key: &str) -> Result<f32, SettingError> {
    Ok(settings.number(key)?.unwrap_or(0.0) as f32)
}

/// Reads a factor that is 1 if the key is missing, and never 0.
pub(super) fn factor(settings: &Settings<'_>, key: &str) -> Result<f64, SettingError> {
    match settings.number(key)? {
        None => Ok(1.0),
        Some(0.0) => Err(SettingError::Invalid(format!(
            "the configuration's {key} is 0"
        ))),
        Some(factor) => Ok(factor),
    }
}

/// Reads the numbers of experts in a layer and for each token.
pub(super) fn experts(
    settings: &Settings<'_>,
    count: &str,
    used: &str,
    normalised: bool,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    draft.config.block.mixture = Some(Mixture {
        count: settings.required_size(count)?,
        used: settings.required_size(used)?,
        normalised,
    });
    Ok(())
}
