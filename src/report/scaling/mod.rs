//! How compression depends on the size of the model, from no model upwards.
//!
//! Files are grouped by [`FileClass`], and each class gets one [`Curve`]. A [`Point`] adds up the
//! files of the class under one candidate: the cross-entropy, the bits that the coder and the
//! container add to it, and the size including the weights of the model. The last is called
//! adjusted, as in Delétang et al., "Language Modeling Is Compression" (2024).

mod along;
mod axes;
mod break_even;
mod class;
mod curve;
mod fit;
mod line;
mod measure;
mod plot;
mod region;
pub mod render;
mod series;
mod svg;

pub use along::{Along, Segment};
pub use break_even::BreakEven;
pub use class::FileClass;
pub use curve::{Curve, MeasuredFile, Point, Scaling};
pub use fit::{EXPONENTS, FEW_POINTS, Fit, MIN_SIZES, NoFit};
pub use measure::measure;
pub use region::Interval;
