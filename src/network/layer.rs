//! The layers of a network, as values.

use super::Activation;
use crate::named::named;
use crate::rule::Rule;
use serde::{Deserialize, Serialize};

/// One layer of a feed-forward network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layer {
    /// Connections with a fixed weight and a Hebbian trace.
    Plastic(Plastic),
    /// Connections with a fixed weight alone.
    Dense(Dense),
    /// A learned vector added to the input.
    Bias(Bias),
}

/// A plastic layer: `y_i(t) = f(b_i + Σ_j (w_ij + α_ij H_ij(t)) x_j(t))`, then
/// `H_ij(t+1) = d_i(t) H_ij(t) + g_i(t) x_j(t)` (Miconi 2016, eqs. 1 and 2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Plastic {
    /// Presynaptic neurons `I`.
    pub inputs: usize,
    /// Postsynaptic neurons `O`.
    pub outputs: usize,
    /// The activation `f`.
    #[serde(default)]
    pub activation: Activation,
    /// How the trace follows activity.
    #[serde(default)]
    pub rule: Rule,
    /// How many plasticity coefficients `α` there are.
    #[serde(default)]
    pub plasticity: Plasticity,
    /// The plasticity rate `η`.
    #[serde(default)]
    pub rate: Rate,
    /// Whether there is a bias `b`.
    #[serde(default = "has_bias")]
    pub bias: bool,
}

/// A dense layer: `y_i(t) = f(b_i + Σ_j w_ij x_j(t))`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Dense {
    /// Presynaptic neurons `I`.
    pub inputs: usize,
    /// Postsynaptic neurons `O`.
    pub outputs: usize,
    /// The activation `f`.
    #[serde(default)]
    pub activation: Activation,
    /// Whether there is a bias `b`.
    #[serde(default = "has_bias")]
    pub bias: bool,
}

/// A bias layer: `y_i(t) = f(x_i(t) + b_i)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Bias {
    /// Neurons, the same number as `outputs`.
    pub inputs: usize,
    /// Neurons, the same number as `inputs`.
    pub outputs: usize,
    /// The activation `f`.
    #[serde(default)]
    pub activation: Activation,
    /// Accepted for uniformity; must be true.
    #[serde(default = "has_bias")]
    pub bias: bool,
}

named! {
    /// How many plasticity coefficients a layer has.
    #[derive(Default)]
    #[non_exhaustive]
    pub enum Plasticity ("plasticity") {
        /// One per connection: `[O, I]`.
        #[default]
        Connection = "connection",
        /// One per postsynaptic neuron: `[O]`.
        Neuron = "neuron",
        /// One for the layer.
        Layer = "layer",
    }
}

/// The plasticity rate `η` of a plastic layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rate {
    /// The value where no `layerN.rate` tensor is given, and the initial value in training.
    pub value: f64,
    /// How many rates there are.
    #[serde(default)]
    pub per: RatePer,
    /// Whether the outer loop learns it.
    #[serde(default)]
    pub learned: bool,
}

impl Default for Rate {
    /// 0.01, one for the layer, not learned.
    fn default() -> Self {
        Self::fixed(0.01)
    }
}

impl Rate {
    /// One rate for the layer, not learned.
    pub fn fixed(value: f64) -> Self {
        Self {
            value,
            per: RatePer::default(),
            learned: bool::default(),
        }
    }

    /// One rate for the layer, learned from an initial value.
    pub fn learned(value: f64) -> Self {
        Self {
            learned: true,
            ..Self::fixed(value)
        }
    }

    /// The same with one rate per postsynaptic neuron.
    #[must_use]
    pub fn per_neuron(self) -> Self {
        Self {
            per: RatePer::Neuron,
            ..self
        }
    }
}

named! {
    /// How many plasticity rates a layer has.
    #[derive(Default)]
    #[non_exhaustive]
    pub enum RatePer ("rate.per") {
        /// One for the layer.
        #[default]
        Layer = "layer",
        /// One per postsynaptic neuron: `[O]`.
        Neuron = "neuron",
    }
}

/// Whether a layer has a bias where nothing is said.
pub(super) fn has_bias() -> bool {
    true
}

impl Layer {
    /// Presynaptic neurons `I`.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Plastic(layer) => layer.inputs,
            Self::Dense(layer) => layer.inputs,
            Self::Bias(layer) => layer.inputs,
        }
    }

    /// Postsynaptic neurons `O`.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Plastic(layer) => layer.outputs,
            Self::Dense(layer) => layer.outputs,
            Self::Bias(layer) => layer.outputs,
        }
    }

    /// The activation.
    pub fn activation(&self) -> Activation {
        match self {
            Self::Plastic(layer) => layer.activation,
            Self::Dense(layer) => layer.activation,
            Self::Bias(layer) => layer.activation,
        }
    }

    /// Whether there is a bias.
    pub fn has_bias(&self) -> bool {
        match self {
            Self::Plastic(layer) => layer.bias,
            Self::Dense(layer) => layer.bias,
            Self::Bias(layer) => layer.bias,
        }
    }

    /// The plastic layer, if it is one.
    pub fn as_plastic(&self) -> Option<&Plastic> {
        match self {
            Self::Plastic(layer) => Some(layer),
            _ => None,
        }
    }
}
