//! Which parameter tensors a layer has, as data: parameters, files and engines go by this list.

use super::layer::{Layer, Plasticity, RatePer};
use crate::named::named;

named! {
    /// What a parameter tensor is to its layer.
    #[non_exhaustive]
    pub enum Role ("role") {
        /// The fixed weight `w`, `[O, I]`.
        Weight = "weight",
        /// The plasticity coefficient `α`, `[O, I]`, `[O]` or a scalar.
        Plasticity = "plasticity",
        /// The bias `b`, `[O]`.
        Bias = "bias",
        /// The plasticity rate `η`, a scalar or `[O]`.
        Rate = "rate",
    }
}

/// How many elements a parameter tensor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extents {
    /// One for each connection, `[O, I]`.
    Connections,
    /// One for each postsynaptic neuron, `[O]`.
    Neurons,
    /// One for the layer, a scalar.
    One,
}

/// One parameter tensor of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TensorSpec {
    pub role: Role,
    pub extents: Extents,
    /// Whether the outer loop learns it.
    pub learned: bool,
    /// The value of all its elements where none is given; `None` where they are zero or drawn.
    pub value: Option<f64>,
}

impl TensorSpec {
    /// The shape for one network.
    pub fn shape(&self, layer: &Layer) -> Vec<usize> {
        match self.extents {
            Extents::Connections => vec![layer.outputs(), layer.inputs()],
            Extents::Neurons => vec![layer.outputs()],
            Extents::One => Vec::new(),
        }
    }
}

impl Layer {
    /// The layer's parameter tensors, in the order of [`Role`].
    pub(crate) fn tensors(&self) -> Vec<TensorSpec> {
        let learned = |role, extents| TensorSpec {
            role,
            extents,
            learned: true,
            value: None,
        };
        let mut tensors = Vec::new();
        if !matches!(self, Self::Bias(_)) {
            tensors.push(learned(Role::Weight, Extents::Connections));
        }
        if let Self::Plastic(plastic) = self {
            let extents = match plastic.plasticity {
                Plasticity::Connection => Extents::Connections,
                Plasticity::Neuron => Extents::Neurons,
                Plasticity::Layer => Extents::One,
            };
            tensors.push(learned(Role::Plasticity, extents));
        }
        if self.has_bias() {
            tensors.push(learned(Role::Bias, Extents::Neurons));
        }
        if let Self::Plastic(plastic) = self {
            tensors.push(TensorSpec {
                role: Role::Rate,
                extents: match plastic.rate.per {
                    RatePer::Layer => Extents::One,
                    RatePer::Neuron => Extents::Neurons,
                },
                learned: plastic.rate.learned,
                value: Some(plastic.rate.value),
            });
        }
        tensors
    }
}
