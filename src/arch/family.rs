//! The types of the table that describes a family of models as others publish them.

use super::config::Config;
use super::parts::{Size, TensorSpec};
use super::settings::{Setting, SettingError, Settings};

/// A family: models whose tensors and settings have the same names.
#[derive(Debug)]
pub struct Family {
    /// `arch` in the configuration of a packed model.
    pub name: &'static str,
    /// The architectures of the family that have their own names in published models.
    pub members: &'static [Member],
    /// The options that decide which tensors a model has.
    pub choices: &'static [Choice],
    /// How Hugging Face folders describe a model.
    pub hugging_face: Format,
    /// How GGUF files describe a model; keys are without the name of the member and the dot before
    /// them.
    pub gguf: Format,
    /// What stands before the number of a layer in Hugging Face's names of tensors.
    pub hugging_face_layers: &'static str,
    /// Beginnings of Hugging Face's names of tensors, and what some folders have instead.
    pub hugging_face_variants: &'static [(&'static str, &'static str)],
    /// The sources of packed tensors. The first list that has a tensor counts.
    pub sources: &'static [&'static [Sources]],
}

/// A tensor of a packed model, and the tensors of a source whose rows are stacked into it, in
/// order.
pub type Sources = (&'static TensorSpec, &'static [SourceSpec]);

/// An architecture of a family, as publishers name it.
#[derive(Debug)]
pub struct Member {
    /// The class in `architectures` of `config.json`.
    pub hugging_face: &'static str,
    /// `model_type` in `config.json`, by which transformers chooses what to compute.
    pub model_type: &'static str,
    /// What transformers' class takes for settings that `config.json` lacks, as far as it matters:
    /// sizes that the shapes of tensors decide need not be here. A setting that is null has no
    /// default.
    pub defaults: &'static [(&'static str, Setting<'static>)],
    /// Reads settings of `config.json` that other members of the family lack.
    pub options: fn(&Settings<'_>, &mut Draft) -> Result<(), SettingError>,
    /// `general.architecture` in GGUF metadata; several members may share one. Of families that
    /// share one, the first counts whose fixed settings are those of the file.
    pub gguf: &'static str,
    /// Whether GGUF files hold the two halves of each rotated head interleaved: row `2i + s` of a
    /// head is row `i` of half `s`.
    pub gguf_interleaves: bool,
    /// Sets the options that every model of this architecture has.
    pub implies: fn(&mut Draft),
}

impl Member {
    /// What transformers' class takes for a setting that `config.json` lacks.
    pub fn default(&self, key: &str) -> Option<Setting<'static>> {
        let mut defaults = self.defaults.iter();
        let found = defaults.find(|(name, _)| *name == key);
        found.map(|(_, value)| value.clone())
    }
}

/// An option of a family that decides whether a source has a certain tensor.
#[derive(Debug)]
pub struct Choice {
    /// The stored tensor (see [`super::Tensor::stored`]) that models with this option have and
    /// others lack.
    pub tensor: &'static str,
    /// Sets the option in a configuration.
    pub set: fn(&mut Config, bool),
}

/// How a format describes the models of a family.
#[derive(Debug)]
pub struct Format {
    /// The keys of numbers that every model has.
    pub keys: Keys,
    /// Keys, and other names that these settings may have. Where both are there, they agree.
    pub older: &'static [(&'static str, &'static str)],
    /// Settings that may have one value only.
    pub fixed: &'static [Fixed],
    /// Reads the settings of this family alone.
    pub options: fn(&Settings<'_>, &mut Draft) -> Result<(), SettingError>,
}

/// The keys of a source's configuration.
#[derive(Debug)]
pub struct Keys {
    /// Width of the residual stream.
    pub hidden: &'static str,
    /// Number of layers.
    pub layers: &'static str,
    /// Query heads.
    pub heads: &'static str,
    /// Key/value heads; as many as query heads if there is no such key.
    pub kv_heads: Option<&'static str>,
    /// Width of a head; if the key is missing, the width of the residual stream divided by the
    /// number of query heads.
    pub head_dim: &'static str,
    /// Width of the feed-forward block; four times that of the residual stream if the key is
    /// missing.
    pub intermediate: &'static str,
    /// Added to the mean square in every norm.
    pub norm_eps: &'static str,
    /// Positions that the model was trained for, if the source says so.
    pub context: &'static str,
    /// Base of the rotary wavelengths; 10,000 if the key is missing and the member has no default.
    pub rope_theta: &'static str,
    /// Number of values of each head that are rotated; all of them if the key is missing.
    pub rotary_dim: Option<&'static str>,
    /// The same as a fraction of the head.
    pub rotary_fraction: Option<&'static str>,
    /// Whether the head is the embedding, even if the file holds both.
    pub tied: Option<&'static str>,
}

/// A setting that, if a source has it, must have the one value that the family computes.
#[derive(Debug)]
pub struct Fixed {
    /// Its key.
    pub key: &'static str,
    /// The value.
    pub value: Setting<'static>,
    /// What another value would mean, in words for the error message.
    pub otherwise: &'static str,
}

/// What is known of a model while its source is read.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The configuration of the packed model.
    pub config: Config,
    /// Factors that go into the weights.
    pub folds: Folds,
    /// How the source holds what recurrences need.
    pub recurrences: Recurrences,
    /// Base of the rotary wavelengths of local layers, if they have one of their own.
    pub local_theta: Option<f64>,
}

/// Factors that an architecture applies to activations. Packing multiplies weights by them instead,
/// so that no runtime needs them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folds {
    /// Embeddings are multiplied by this.
    pub embedding: f64,
    /// Scores of attention are multiplied by this, instead of `1 / sqrt(head_dim)`.
    pub scores: Option<f64>,
    /// Scores in layers that do not have rotary steps of their own are multiplied by this, too.
    pub rotation: f64,
    /// What a block adds to the residual stream is multiplied by this.
    pub residual: f64,
    /// Logits are multiplied by this.
    pub logits: f64,
    /// Added to the weights of all root-mean-square norms.
    pub norm_offset: f64,
}

impl Default for Folds {
    fn default() -> Folds {
        Folds {
            embedding: 1.0,
            scores: None,
            rotation: 1.0,
            residual: 1.0,
            logits: 1.0,
            norm_offset: 0.0,
        }
    }
}

/// How a source holds what recurrences need. Packed models have rates of decay, and the value heads
/// of each key head one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recurrences {
    /// Rates are less than 0; otherwise the source holds their logarithms.
    pub negative_rates: bool,
    /// The first value heads of all key heads come first, then the second ones, and so on.
    pub tiled_heads: bool,
}

/// A tensor as sources hold it: all or some of the rows of a packed tensor.
#[derive(Debug)]
pub struct SourceSpec {
    /// Where Hugging Face folders hold it; the name is without the layer prefix and without the
    /// suffix.
    pub hugging_face: PlaceSpec,
    /// Where GGUF files hold it, likewise.
    pub gguf: PlaceSpec,
    /// Rows that the packed tensor takes.
    pub rows: Size,
    /// The heads that its rows belong to, if those heads are rotated.
    pub rotary_heads: Option<Size>,
}

/// Where a format holds the rows of a [`SourceSpec`].
#[derive(Clone, Copy, Debug)]
pub struct PlaceSpec {
    /// Name of the tensor; `#` stands for the number of an expert.
    pub name: &'static str,
    /// How the rows lie in it.
    pub cut: Cut,
    /// Whether the name is whole, without the `.weight` that others end with.
    pub is_bare: bool,
}

/// How the rows of a source lie in a tensor of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// The tensor holds these rows and no others.
    Whole,
    /// The tensor holds the rows of all sources of the packed tensor, in order.
    Stacked,
    /// The tensor holds the rows of all sources of the packed tensor: of each head in turn, the
    /// query, the key and the value.
    HeadByHead,
    /// As `Whole`, but the matrix is transposed.
    Transposed,
    /// As `Stacked`, but the matrix is transposed.
    StackedTransposed,
    /// The tensor holds a matrix for each expert. That of one holds these rows and no others.
    OfExperts,
    /// The tensor holds a matrix for each expert. That of one holds the rows of all sources of the
    /// packed tensor, in order.
    StackedOfExperts,
    /// The tensor holds pairs: of each head in turn, the query and the gate of what attention
    /// gives. These rows are the queries.
    QueryOfPairs,
    /// As `QueryOfPairs`; these rows are the gates.
    GateOfPairs,
    /// As `Whole`, but there is a dimension of 1 between the rows and the columns.
    OfChannels,
    /// The tensor holds the rows of all shared experts in turn.
    RowsOfPieces,
    /// The tensor holds the columns of all shared experts in turn.
    ColumnsOfPieces,
    /// As `Whole`, but the dimension of the rows, which is 1, may be missing.
    OneRow,
}

impl Cut {
    /// Whether the tensor holds the rows of several sources of the packed tensor.
    pub fn is_shared(self) -> bool {
        !matches!(
            self,
            Cut::Whole | Cut::Transposed | Cut::OfExperts | Cut::OfChannels | Cut::OneRow
        )
    }

    /// Whether matrices are transposed.
    pub fn is_transposed(self) -> bool {
        matches!(self, Cut::Transposed | Cut::StackedTransposed)
    }
}

impl Cut {
    /// Whether the tensor holds a matrix for each expert.
    pub fn is_of_experts(self) -> bool {
        matches!(self, Cut::OfExperts | Cut::StackedOfExperts)
    }
}

/// A tensor of the source that holds these rows and no others, and whose rows are no rotated heads.
pub(super) const fn source(
    hugging_face: &'static str,
    gguf: &'static str,
    rows: Size,
) -> SourceSpec {
    SourceSpec {
        hugging_face: PlaceSpec {
            name: hugging_face,
            cut: Cut::Whole,
            is_bare: false,
        },
        gguf: PlaceSpec {
            name: gguf,
            cut: Cut::Whole,
            is_bare: false,
        },
        rows,
        rotary_heads: None,
    }
}

impl SourceSpec {
    /// The same rows, cut from a tensor in these ways.
    pub(super) const fn cut(mut self, hugging_face: Cut, gguf: Cut) -> SourceSpec {
        self.hugging_face.cut = hugging_face;
        self.gguf.cut = gguf;
        self
    }

    /// The same rows, from tensors whose names are whole.
    pub(super) const fn bare(mut self) -> SourceSpec {
        self.hugging_face.is_bare = true;
        self.gguf.is_bare = true;
        self
    }

    /// The same rows, those of as many rotated heads.
    pub(super) const fn rotated(mut self, heads: Size) -> SourceSpec {
        self.rotary_heads = Some(heads);
        self
    }
}
