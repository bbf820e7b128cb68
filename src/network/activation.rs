//! The functions applied to a postsynaptic neuron's summed input.

use crate::number::Number;
use serde::{Deserialize, Serialize};

/// The activation `f` of a layer: `y = f(summed input)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `f(z) = z`.
    #[default]
    Linear,
    /// `f(z) = tanh z`.
    Tanh,
    /// `f(z) = 1 / (1 + exp(-z))`.
    Logistic,
    /// `f(z) = max(z, 0)`, with derivative 0 at `z = 0`.
    Relu,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 4] = [Self::Linear, Self::Tanh, Self::Logistic, Self::Relu];

    /// The name in files and shaders.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Tanh => "tanh",
            Self::Logistic => "logistic",
            Self::Relu => "relu",
        }
    }

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
