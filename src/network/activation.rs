//! The functions applied to a postsynaptic neuron's summed input.

use crate::named::named;
use crate::number::Number;

named! {
    /// The activation `f` of a layer: `y = f(summed input)`.
    #[derive(Default)]
    #[non_exhaustive]
    pub enum Activation ("activation") {
        /// `f(z) = z`.
        #[default]
        Linear = "linear",
        /// `f(z) = tanh z`.
        Tanh = "tanh",
        /// `f(z) = 1 / (1 + exp(-z))`.
        Logistic = "logistic",
        /// `f(z) = max(z, 0)`, with derivative 0 at `z = 0`.
        Relu = "relu",
    }
}

impl Activation {
    /// `f(z)`.
    #[inline(always)]
    pub fn apply<N: Number>(self, z: N) -> N {
        match self {
            Self::Linear => z,
            Self::Tanh => z.hyperbolic_tangent(),
            Self::Logistic => z.constant(1.0) / (z.constant(1.0) + (-z).exponential()),
            // A NaN stays one.
            Self::Relu => z.where_less(z.constant(0.0), z.constant(0.0), z),
        }
    }

    /// `f'(z)`, from `y = f(z)` alone.
    #[inline(always)]
    pub fn derivative<N: Number>(self, y: N) -> N {
        match self {
            Self::Linear => y.constant(1.0),
            // (1 - y)(1 + y) keeps its digits where 1 - y² would cancel.
            Self::Tanh => (y.constant(1.0) - y) * (y.constant(1.0) + y),
            Self::Logistic => y * (y.constant(1.0) - y),
            Self::Relu => y
                .constant(0.0)
                .where_less(y, y.constant(1.0), y.constant(0.0)),
        }
    }
}
