//! Which parameter tensors a layer has, as data: parameters, files and engines go by this list.

use super::layer::{
    Coefficient, CoefficientPer, Layer, ModulatorFrom, Plastic, Plasticity, RatePer, RecurrentInput,
};
use crate::named::named;

named! {
    /// What a parameter tensor is to its layer.
    #[non_exhaustive]
    pub enum Role ("role") {
        /// The fixed weight `w`, `[O, J]`, `J` presynaptic neurons.
        Weight = "weight",
        /// The plasticity coefficient `α`, `[O, J]`, `[O]` or a scalar.
        Plasticity = "plasticity",
        /// The bias `b`, `[O]`.
        Bias = "bias",
        /// The plasticity rate `η`, a scalar or `[O]`.
        Rate = "rate",
        /// The weight `U` of a recurrent layer's input, `[O, I]`.
        InputWeight = "input_weight",
        /// A coefficient of the rule's own, `[O, J]`, `[O]` or a scalar.
        Coefficient = "coefficient",
        /// The weight `v` with which a layer's output makes the modulator, `[O]`.
        ModulatorWeight = "modulator_weight",
        /// The bias `c` of the modulator, a scalar.
        ModulatorBias = "modulator_bias",
        /// The weight `φ` of the modulator to each neuron, `[O]`.
        FanOutWeight = "fan_out_weight",
        /// The bias `β` of each neuron's modulator, `[O]`.
        FanOutBias = "fan_out_bias",
    }
}

/// How many elements a parameter tensor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extents {
    /// One for each connection, `[O, J]`.
    Connections,
    /// One for each connection from an input, `[O, I]`.
    Inputs,
    /// One for each postsynaptic neuron, `[O]`.
    Neurons,
    /// One for the layer, a scalar.
    One,
}

/// One parameter tensor of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorSpec {
    pub role: Role,
    /// Of a coefficient, its name.
    pub coefficient: Option<String>,
    pub extents: Extents,
    /// Whether the outer loop learns it.
    pub learned: bool,
    /// The value of all its elements where none is given; `None` where they are zero or drawn.
    pub value: Option<f64>,
}

impl TensorSpec {
    /// Learned from what is drawn.
    fn drawn(role: Role, extents: Extents) -> Self {
        Self {
            role,
            coefficient: None,
            extents,
            learned: true,
            value: None,
        }
    }

    /// Learned from `value`.
    fn from_value(role: Role, extents: Extents, value: f64) -> Self {
        Self {
            value: Some(value),
            ..Self::drawn(role, extents)
        }
    }

    /// The name within its layer: `weight`, `coefficient.a`.
    pub fn name(&self) -> String {
        name(self.role, self.coefficient.as_deref())
    }

    /// The shape for one network.
    pub fn shape(&self, layer: &Layer) -> Vec<usize> {
        let presynaptic = layer
            .as_plastic()
            .map_or(layer.inputs(), Plastic::presynaptic);
        match self.extents {
            Extents::Connections => vec![layer.outputs(), presynaptic],
            Extents::Inputs => vec![layer.outputs(), layer.inputs()],
            Extents::Neurons => vec![layer.outputs()],
            Extents::One => Vec::new(),
        }
    }
}

/// The name within its layer of a tensor, which is that of a coefficient if it has one.
pub(crate) fn name(role: Role, coefficient: Option<&str>) -> String {
    match coefficient {
        Some(coefficient) => format!("{role}.{coefficient}"),
        None => role.to_string(),
    }
}

impl Layer {
    /// The layer's parameter tensors, in the order of [`Role`].
    pub(crate) fn tensors(&self) -> Vec<TensorSpec> {
        let plastic = self.with_trace();
        let mut tensors = Vec::new();
        if !matches!(self, Self::Bias(_)) {
            tensors.push(TensorSpec::drawn(Role::Weight, Extents::Connections));
        }
        if let Some(extents) = plastic.and_then(|it| extents_of(it.plasticity)) {
            tensors.push(TensorSpec::drawn(Role::Plasticity, extents));
        }
        if self.has_bias() {
            tensors.push(TensorSpec::drawn(Role::Bias, Extents::Neurons));
        }
        if let Some(plastic) = plastic {
            tensors.push(TensorSpec {
                learned: plastic.rate.learned,
                ..TensorSpec::from_value(Role::Rate, per(plastic.rate.per), plastic.rate.value)
            });
        }
        if self
            .as_recurrent()
            .is_some_and(|layer| layer.input == RecurrentInput::Matrix)
        {
            tensors.push(TensorSpec::drawn(Role::InputWeight, Extents::Inputs));
        }
        if let Some(plastic) = plastic {
            let coefficients = plastic.coefficients.iter();
            tensors.extend(coefficients.map(|(name, it)| coefficient(name, it)));
            tensors.extend(modulator(plastic));
        }
        tensors
    }
}

fn extents_of(plasticity: Plasticity) -> Option<Extents> {
    match plasticity {
        Plasticity::Connection => Some(Extents::Connections),
        Plasticity::Neuron => Some(Extents::Neurons),
        Plasticity::Layer => Some(Extents::One),
        Plasticity::None => None,
    }
}

fn per(per: RatePer) -> Extents {
    match per {
        RatePer::Layer => Extents::One,
        RatePer::Neuron => Extents::Neurons,
    }
}

fn coefficient(name: &str, coefficient: &Coefficient) -> TensorSpec {
    let extents = match coefficient.per {
        CoefficientPer::Connection => Extents::Connections,
        CoefficientPer::Neuron => Extents::Neurons,
        CoefficientPer::Layer => Extents::One,
    };
    TensorSpec {
        coefficient: Some(name.to_owned()),
        learned: coefficient.learned,
        ..TensorSpec::from_value(Role::Coefficient, extents, coefficient.value)
    }
}

/// What makes the modulator. Each neuron starts with the layer's.
fn modulator(plastic: &Plastic) -> Vec<TensorSpec> {
    if !plastic.is_modulated_from(ModulatorFrom::Network) {
        return Vec::new();
    }
    let mut tensors = vec![
        TensorSpec::drawn(Role::ModulatorWeight, Extents::Neurons),
        TensorSpec::drawn(Role::ModulatorBias, Extents::One),
    ];
    if plastic
        .modulation
        .is_some_and(|it| it.per == RatePer::Neuron)
    {
        tensors.extend([
            TensorSpec::from_value(Role::FanOutWeight, Extents::Neurons, 1.0),
            TensorSpec::from_value(Role::FanOutBias, Extents::Neurons, 0.0),
        ]);
    }
    tensors
}
