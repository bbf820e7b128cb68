//! The functions applied to a postsynaptic neuron's summed input.

use crate::Real;
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
    pub fn apply<R: Real>(self, z: R) -> R {
        match self {
            Self::Linear => z,
            Self::Tanh => z.hyperbolic_tangent(),
            Self::Logistic => R::one() / (R::one() + (-z).exp()),
            // A NaN stays one: `max` would hide it.
            Self::Relu if z <= R::zero() => R::zero(),
            Self::Relu => z,
        }
    }

    /// `f` of every element, in place. One loop for each activation, so that compilers vectorise it.
    #[inline(always)]
    pub(crate) fn apply_to_all<R: Real>(self, values: &mut [R]) {
        macro_rules! apply {
            ($($activation:ident)*) => {
                match self {
                    $(Self::$activation => {
                        for value in values {
                            *value = Self::$activation.apply(*value);
                        }
                    })*
                }
            };
        }
        apply!(Linear Tanh Logistic Relu);
    }

    /// `f'` for every element, in place: outputs `y` become derivatives.
    #[inline(always)]
    pub(crate) fn derive_all<R: Real>(self, outputs: &mut [R]) {
        macro_rules! derive {
            ($($activation:ident)*) => {
                match self {
                    $(Self::$activation => {
                        for value in outputs {
                            *value = Self::$activation.derivative(*value);
                        }
                    })*
                }
            };
        }
        derive!(Linear Tanh Logistic Relu);
    }

    /// `f'(z)`, from `y = f(z)` alone.
    #[inline(always)]
    pub fn derivative<R: Real>(self, y: R) -> R {
        match self {
            Self::Linear => R::one(),
            // (1 - y)(1 + y) keeps its digits where 1 - y² would cancel.
            Self::Tanh => (R::one() - y) * (R::one() + y),
            Self::Logistic => y * (R::one() - y),
            Self::Relu if y > R::zero() => R::one(),
            Self::Relu => R::zero(),
        }
    }
}
