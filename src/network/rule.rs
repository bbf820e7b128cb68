//! Row-affine plasticity rules: `H_ij ← d_i H_ij + g_i x_j`.
//!
//! A rule is two scalars per postsynaptic neuron and step, the **retention** `d_i` and the **gain** `g_i`, as functions
//! of the neuron's output `y_i` and rate `η_i`, and their four partial derivatives. Nothing else of the engines depends
//! on the rule.

use crate::number::Number;
use serde::{Deserialize, Serialize};

/// How a trace follows activity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Decaying Hebb, `H ← (1 − η) H + η y x` (Miconi 2016, eq. 1).
    #[default]
    Hebb,
    /// Oja, `H ← H + η y (x − y H)` (Miconi, Stanley and Clune 2018, eq. 3).
    Oja,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 2] = [Self::Hebb, Self::Oja];

    /// The name in files and shaders.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hebb => "hebb",
            Self::Oja => "oja",
        }
    }

    /// Whether the retention depends on the neuron's output, so that its gradient acts on the output.
    #[inline(always)]
    pub fn retention_depends_on_output(self) -> bool {
        match self {
            Self::Hebb => false,
            Self::Oja => true,
        }
    }

    /// `d(y, η)`.
    #[inline(always)]
    pub fn retention<N: Number>(self, y: N, rate: N) -> N {
        match self {
            Self::Hebb => rate.constant(1.0) - rate,
            Self::Oja => rate.constant(1.0) - rate * y * y,
        }
    }

    /// `g(y, η)`.
    #[inline(always)]
    pub fn gain<N: Number>(self, y: N, rate: N) -> N {
        match self {
            Self::Hebb | Self::Oja => rate * y,
        }
    }

    /// `∂g/∂y`.
    #[inline(always)]
    pub fn gain_by_output<N: Number>(self, _y: N, rate: N) -> N {
        match self {
            Self::Hebb | Self::Oja => rate,
        }
    }

    /// `∂d/∂y`.
    #[inline(always)]
    pub fn retention_by_output<N: Number>(self, y: N, rate: N) -> N {
        match self {
            Self::Hebb => rate.constant(0.0),
            Self::Oja => -(rate * y + rate * y),
        }
    }

    /// `∂g/∂η`.
    #[inline(always)]
    pub fn gain_by_rate<N: Number>(self, y: N, _rate: N) -> N {
        match self {
            Self::Hebb | Self::Oja => y,
        }
    }

    /// `∂d/∂η`.
    #[inline(always)]
    pub fn retention_by_rate<N: Number>(self, y: N, _rate: N) -> N {
        match self {
            Self::Hebb => y.constant(-1.0),
            Self::Oja => -(y * y),
        }
    }
}
