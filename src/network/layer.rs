//! The layers of a network, as values.

use super::Activation;
use super::table::{PlasticTable, RecurrentTable};
use crate::named::named;
use crate::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One layer of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layer {
    /// Connections with a fixed weight and a Hebbian trace.
    Plastic(Plastic),
    /// Plastic connections among the layer's own neurons.
    Recurrent(Recurrent),
    /// Connections with a fixed weight alone.
    Dense(Dense),
    /// A learned vector added to the input.
    Bias(Bias),
}

/// A plastic layer: `y_i(t) = f(b_i + Σ_j (w_ij + α_ij H_ij(t)) x_j(t))`, then `H(t+1)` by the [`Rule`] (Miconi 2016, eqs. 1
/// and 2).
///
/// A rule's modulator `m` is 1, unless the network computes one ([`Modulation`]) or episodes are given one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PlasticTable", into = "PlasticTable")]
#[non_exhaustive]
pub struct Plastic {
    /// Presynaptic neurons `I`.
    pub inputs: usize,
    /// Postsynaptic neurons `O`.
    pub outputs: usize,
    /// The activation `f`.
    pub activation: Activation,
    /// How the trace follows activity.
    pub rule: Rule,
    /// How many plasticity coefficients `α` there are; none where nothing is plastic.
    pub plasticity: Plasticity,
    /// Whether there is one more presynaptic neuron, the last one, whose activity is always 1.
    pub plastic_bias: bool,
    /// What the trace is held to after each update, on either side of 0; its gradient beyond is 0.
    pub bound: Option<f64>,
    /// The plasticity rate `η`.
    pub rate: Rate,
    /// Where the modulator comes from.
    pub modulation: Option<Modulation>,
    /// The rule's own coefficients, by name.
    pub coefficients: BTreeMap<String, Coefficient>,
    /// Whether there is a bias `b`.
    pub bias: bool,
}

/// A recurrent layer: `y_i(t) = f(b_i + Σ_k U_ik u_k(t) + Σ_j (w_ij + α_ij H_ij(t)) y_j(t−1))`, then `H(t+1)` by the
/// [`Rule`] (Miconi, Stanley and Clune 2018, eqs. 1 and 2, with plastic connections among `O` neurons).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RecurrentTable", into = "RecurrentTable")]
#[non_exhaustive]
pub struct Recurrent {
    /// Neurons `I` whose activity `u` comes in.
    pub inputs: usize,
    /// How it comes in.
    pub input: RecurrentInput,
    /// The synapses among the layer's own neurons, and what else these neurons have. It has as many inputs as outputs.
    pub synapses: Plastic,
}

named! {
    /// How a recurrent layer takes its input in.
    #[derive(Default)]
    #[non_exhaustive]
    pub enum RecurrentInput ("input") {
        /// Through learned weights `U`, `[O, I]`.
        #[default]
        Matrix = "matrix",
        /// As it is: `u_i(t)` goes to neuron `i`.
        Identity = "identity",
    }
}

/// Where a layer's modulator comes from, and how many there are.
///
/// That of the network is `μ(t) = tanh(c + Σ_i v_i y_i(t))`; per neuron it is fanned out, `m_i = φ_i μ + β_i` (Miconi et al.
/// 2019, "simple neuromodulation"). With a rule that has an eligibility trace it is their "retroactive neuromodulation".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Modulation {
    /// Where it comes from.
    pub from: ModulatorFrom,
    /// How many modulators there are.
    #[serde(default)]
    pub per: RatePer,
}

impl Modulation {
    /// One modulator, which the network computes.
    pub fn from_network() -> Self {
        Self {
            from: ModulatorFrom::Network,
            per: RatePer::Layer,
        }
    }

    /// One modulator, which episodes are given.
    pub fn from_episodes() -> Self {
        Self {
            from: ModulatorFrom::Episodes,
            ..Self::from_network()
        }
    }

    /// The same with one modulator per postsynaptic neuron.
    #[must_use]
    pub fn per_neuron(self) -> Self {
        Self {
            per: RatePer::Neuron,
            ..self
        }
    }
}

named! {
    /// Where a modulator comes from.
    #[non_exhaustive]
    pub enum ModulatorFrom ("modulation.from") {
        /// The network computes it from the layer's output.
        Network = "network",
        /// Episodes are given it, for every step.
        Episodes = "episodes",
    }
}

/// A coefficient of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Coefficient {
    /// The value where no tensor is given, and the initial value in training.
    pub value: f64,
    /// How many there are.
    #[serde(default)]
    pub per: CoefficientPer,
    /// Whether the outer loop learns it.
    #[serde(default)]
    pub learned: bool,
}

impl Coefficient {
    /// One for each connection, not learned.
    pub fn fixed(value: f64) -> Self {
        Self {
            value,
            per: CoefficientPer::default(),
            learned: false,
        }
    }

    /// One for each connection, learned from an initial value.
    pub fn learned(value: f64) -> Self {
        Self {
            learned: true,
            ..Self::fixed(value)
        }
    }

    /// The same with another number of them.
    #[must_use]
    pub fn per(self, per: CoefficientPer) -> Self {
        Self { per, ..self }
    }
}

named! {
    /// How many values a rule's coefficient has.
    #[derive(Default)]
    #[non_exhaustive]
    pub enum CoefficientPer ("coefficients.per") {
        /// One per connection: `[O, J]`.
        #[default]
        Connection = "connection",
        /// One per postsynaptic neuron: `[O]`.
        Neuron = "neuron",
        /// One for the layer.
        Layer = "layer",
    }
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
        /// One per connection: `[O, J]`, `J` presynaptic neurons.
        #[default]
        Connection = "connection",
        /// One per postsynaptic neuron: `[O]`.
        Neuron = "neuron",
        /// One for the layer.
        Layer = "layer",
        /// None: there is no trace.
        None = "none",
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

impl Plastic {
    /// Presynaptic neurons `J`: the inputs, and the one that is always 1 where there is a plastic bias.
    pub fn presynaptic(&self) -> usize {
        self.inputs + usize::from(self.plastic_bias)
    }

    /// Whether synapses have a trace.
    pub fn has_trace(&self) -> bool {
        self.plasticity != Plasticity::None
    }

    /// Whether synapses have an eligibility trace beside.
    pub fn has_eligibility(&self) -> bool {
        self.has_trace() && self.rule.eligibility().is_some()
    }

    /// Whether the modulator comes from there.
    pub(crate) fn is_modulated_from(&self, from: ModulatorFrom) -> bool {
        self.modulation.is_some_and(|it| it.from == from)
    }
}

impl Layer {
    /// Presynaptic neurons `I`; of a recurrent layer, those whose activity comes in.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Plastic(layer) => layer.inputs,
            Self::Recurrent(layer) => layer.inputs,
            Self::Dense(layer) => layer.inputs,
            Self::Bias(layer) => layer.inputs,
        }
    }

    /// Postsynaptic neurons `O`.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Plastic(layer) => layer.outputs,
            Self::Recurrent(layer) => layer.synapses.outputs,
            Self::Dense(layer) => layer.outputs,
            Self::Bias(layer) => layer.outputs,
        }
    }

    /// The activation.
    pub fn activation(&self) -> Activation {
        match self {
            Self::Plastic(layer) => layer.activation,
            Self::Recurrent(layer) => layer.synapses.activation,
            Self::Dense(layer) => layer.activation,
            Self::Bias(layer) => layer.activation,
        }
    }

    /// Whether there is a bias.
    pub fn has_bias(&self) -> bool {
        match self {
            Self::Plastic(layer) => layer.bias,
            Self::Recurrent(layer) => layer.synapses.bias,
            Self::Dense(layer) => layer.bias,
            Self::Bias(layer) => layer.bias,
        }
    }

    /// What plastic and recurrent layers have in common; `None` of the others.
    pub fn as_plastic(&self) -> Option<&Plastic> {
        match self {
            Self::Plastic(layer) => Some(layer),
            Self::Recurrent(layer) => Some(&layer.synapses),
            Self::Dense(_) | Self::Bias(_) => None,
        }
    }

    /// As [`Layer::as_plastic`], to be changed.
    pub fn as_plastic_mut(&mut self) -> Option<&mut Plastic> {
        match self {
            Self::Plastic(layer) => Some(layer),
            Self::Recurrent(layer) => Some(&mut layer.synapses),
            Self::Dense(_) | Self::Bias(_) => None,
        }
    }

    /// The recurrent layer, if it is one.
    pub fn as_recurrent(&self) -> Option<&Recurrent> {
        match self {
            Self::Recurrent(layer) => Some(layer),
            _ => None,
        }
    }

    /// The plastic layer or the recurrent one, if its synapses have a trace.
    pub(crate) fn with_trace(&self) -> Option<&Plastic> {
        self.as_plastic().filter(|plastic| plastic.has_trace())
    }

    /// Synapses of one network: `O·J`, and `O·I` where a matrix takes the input in.
    pub fn synapses(&self) -> usize {
        let of_input = |layer: &Recurrent| match layer.input {
            RecurrentInput::Matrix => layer.inputs,
            RecurrentInput::Identity => 0,
        };
        let columns = match self {
            Self::Plastic(layer) => layer.presynaptic(),
            Self::Recurrent(layer) => layer.synapses.presynaptic() + of_input(layer),
            Self::Dense(layer) => layer.inputs,
            Self::Bias(_) => 0,
        };
        self.outputs() * columns
    }
}
