//! How compression depends on the size of the model, from no model upwards.
//!
//! Files are grouped by [`FileClass`], and each class gets one [`Curve`]. A [`Point`] adds up the
//! files of the class under one candidate: the cross-entropy, the bits that the coder and the
//! container add to it, and the size including the weights of the model. The last is called
//! adjusted, as in Delétang et al., "Language Modeling Is Compression" (2024).

mod axes;
mod class;
mod curve;
mod fit;
mod measure;
mod plot;
pub mod render;
mod svg;

pub use class::FileClass;
pub use curve::{Curve, MeasuredFile, Point, Scaling};
pub use fit::{EXPONENTS, Fit, NoFit};
pub use measure::measure;
