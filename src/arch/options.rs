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

/// Reads the window of a Hugging Face model whose layers all see `sliding_window` positions, if
/// there is one. `use_sliding_window` and `layer_types` mean nothing to such a model.
pub(super) fn window_in_all_layers(
    settings: &Settings<'_>,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    if let Some(window) = settings.size("sliding_window")? {
        set_local(draft, window, (0..draft.config.layers).collect());
    }
    Ok(())
}

/// Reads the layers of a Hugging Face model that see `sliding_window` positions: those that
/// `layer_types` names, or, without such a list, those for which `is_local` is true.
pub(super) fn window_in_layers(
    settings: &Settings<'_>,
    draft: &mut Draft,
    is_local: impl Fn(usize) -> bool,
) -> Result<(), SettingError> {
    let Some(window) = settings.size("sliding_window")? else {
        return Ok(());
    };
    let layers = 0..draft.config.layers;
    let local = match named_local(settings, layers.len())? {
        None => layers.filter(|layer| is_local(*layer)).collect(),
        Some(named) => named,
    };
    set_local(draft, window, local);
    Ok(())
}

/// As [`window_in_layers`], if `use_sliding_window` says so.
///
/// # Errors
/// If it does not, but `layer_types` names layers with a window.
pub(super) fn switched_window(
    settings: &Settings<'_>,
    draft: &mut Draft,
    is_local: impl Fn(usize) -> bool,
) -> Result<(), SettingError> {
    if settings.flag("use_sliding_window")? == Some(true) {
        return window_in_layers(settings, draft, is_local);
    }
    let named = named_local(settings, draft.config.layers)?;
    match named.is_none_or(|layers| layers.is_empty()) {
        true => Ok(()),
        false => Err(SettingError::Invalid(
            "the configuration's layer_types names layers with a window, \
             but use_sliding_window does not say that there is one"
                .into(),
        )),
    }
}

/// Refuses biases of queries, keys and values, or of the attention's output, unless
/// `attention_bias` says that there are some.
pub(super) fn attention_bias(settings: &Settings<'_>, draft: &Draft) -> Result<(), SettingError> {
    let config = &draft.config;
    let found = config.attention_bias || config.block.out_bias;
    expect_bias(settings, "attention_bias", found)
}

/// Refuses biases in the feed-forward block unless `mlp_bias` says that there are some.
pub(super) fn mlp_bias(settings: &Settings<'_>, draft: &Draft) -> Result<(), SettingError> {
    expect_bias(settings, "mlp_bias", draft.config.block.feed_forward_bias)
}

/// Refuses biases that the files have, but of which `key` says that there are none: transformers
/// would leave them out.
pub(super) fn expect_bias(
    settings: &Settings<'_>,
    key: &str,
    found: bool,
) -> Result<(), SettingError> {
    match found && settings.flag(key)? != Some(true) {
        false => Ok(()),
        true => Err(SettingError::Invalid(format!(
            "the weights have biases, but {key} of the configuration is not true"
        ))),
    }
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

/// The numbers of the layers of type `sliding_attention`, if there is a list of types.
fn named_local(settings: &Settings<'_>, layers: usize) -> Result<Option<Vec<usize>>, SettingError> {
    let types = settings.list("layer_types")?;
    let named = types.map(|types| named_layers(&types, layers, "sliding_attention"));
    named.transpose()
}

/// The numbers of the layers of this type; all others must have `full_attention`.
pub(super) fn named_layers(
    types: &[Setting<'_>],
    layers: usize,
    wanted: &str,
) -> Result<Vec<usize>, SettingError> {
    if types.len() != layers {
        let reason = format!(
            "layer_types names {} layers, expected {layers}",
            types.len()
        );
        return Err(SettingError::Invalid(reason));
    }
    let mut named = Vec::new();
    for (layer, kind) in types.iter().enumerate() {
        match kind {
            Setting::Text("full_attention") => {}
            Setting::Text(kind) if *kind == wanted => named.push(layer),
            other => return Err(SettingError::Unsupported(format!("layers of type {other}"))),
        }
    }
    Ok(named)
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
        shared: 0,
    });
    Ok(())
}

/// Reads the width of an expert that every row takes, beside those that are chosen. It is as good
/// as several experts of the width that the others have.
pub(super) fn shared_expert(
    settings: &Settings<'_>,
    key: &str,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    let (width, each) = (settings.required_size(key)?, draft.config.intermediate);
    if width == 0 || each == 0 || !width.is_multiple_of(each) {
        return Err(SettingError::Unsupported(format!(
            "an expert that all tokens share which is {width} wide, and no multiple of the {each} \
             of the others"
        )));
    }
    if let Some(experts) = &mut draft.config.block.mixture {
        experts.shared = width / each;
    }
    Ok(())
}
