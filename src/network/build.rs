//! Layers, setting by setting: what is not said is what it is in TOML.

use super::layer::has_bias;
use super::{
    Activation, Bias, Coefficient, Dense, Layer, Modulation, Plastic, Plasticity, Rate, Recurrent,
    RecurrentInput,
};
use crate::rule::Rule;
use std::collections::BTreeMap;

/// The settings that plastic and recurrent layers have in common.
macro_rules! plastic_settings {
    () => {
        /// The same with another activation.
        #[must_use]
        pub fn activation(self, activation: Activation) -> Self {
            self.map(|layer| Plastic {
                activation,
                ..layer
            })
        }

        /// The same with another rule for the trace.
        #[must_use]
        pub fn rule(self, rule: Rule) -> Self {
            self.map(|layer| Plastic { rule, ..layer })
        }

        /// The same with another number of plasticity coefficients. With none there is no trace: rule, rate, bound, modulation and
        /// coefficients are given up, and a plastic bias is an ordinary one.
        #[must_use]
        pub fn plasticity(self, plasticity: Plasticity) -> Self {
            self.map(|layer| layer.with_plasticity(plasticity))
        }

        /// The same with another rate.
        #[must_use]
        pub fn rate(self, rate: Rate) -> Self {
            self.map(|layer| Plastic { rate, ..layer })
        }

        /// The same with one more presynaptic neuron, which is always 1.
        #[must_use]
        pub fn plastic_bias(self) -> Self {
            self.map(|layer| Plastic {
                plastic_bias: true,
                ..layer
            })
        }

        /// The same with the trace held to `±bound` after each update.
        #[must_use]
        pub fn bound(self, bound: f64) -> Self {
            self.map(|layer| Plastic {
                bound: Some(bound),
                ..layer
            })
        }

        /// The same with a modulator.
        #[must_use]
        pub fn modulation(self, modulation: Modulation) -> Self {
            self.map(|layer| Plastic {
                modulation: Some(modulation),
                ..layer
            })
        }

        /// The same with a coefficient of the rule's own.
        #[must_use]
        pub fn coefficient(self, name: impl Into<String>, coefficient: Coefficient) -> Self {
            self.map(|mut layer| {
                layer.coefficients.insert(name.into(), coefficient);
                layer
            })
        }

        /// The same without a bias.
        #[must_use]
        pub fn without_bias(self) -> Self {
            self.map(|layer| Plastic {
                bias: false,
                ..layer
            })
        }
    };
}

impl Plastic {
    /// A plastic layer with a bias: linear, decaying Hebb, one plasticity coefficient per connection.
    pub fn new(inputs: usize, outputs: usize, rate: Rate) -> Self {
        Self {
            inputs,
            outputs,
            activation: Activation::default(),
            rule: Rule::default(),
            plasticity: Plasticity::default(),
            plastic_bias: false,
            bound: None,
            rate,
            modulation: None,
            coefficients: BTreeMap::new(),
            bias: has_bias(),
        }
    }

    plastic_settings!();

    fn map(self, change: impl FnOnce(Self) -> Self) -> Self {
        change(self)
    }

    pub(crate) fn with_plasticity(self, plasticity: Plasticity) -> Self {
        let kept = match plasticity {
            Plasticity::None => Self {
                activation: self.activation,
                bias: self.bias || self.plastic_bias,
                ..Self::new(self.inputs, self.outputs, Rate::default())
            },
            _ => self,
        };
        Self { plasticity, ..kept }
    }
}

impl Recurrent {
    /// A recurrent layer with a bias, whose input comes in through weights: linear, decaying Hebb, one plasticity coefficient
    /// per connection.
    pub fn new(inputs: usize, outputs: usize, rate: Rate) -> Self {
        Self {
            inputs,
            input: RecurrentInput::default(),
            synapses: Plastic::new(outputs, outputs, rate),
        }
    }

    /// The same whose input goes to the neurons as it is: one input for each.
    #[must_use]
    pub fn identity_input(self) -> Self {
        Self {
            input: RecurrentInput::Identity,
            ..self
        }
    }

    plastic_settings!();

    fn map(self, change: impl FnOnce(Plastic) -> Plastic) -> Self {
        Self {
            synapses: change(self.synapses),
            ..self
        }
    }
}

impl Dense {
    /// A dense layer with a bias, linear.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            activation: Activation::default(),
            bias: has_bias(),
        }
    }

    /// The same with another activation.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// The same without a bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self {
            bias: false,
            ..self
        }
    }
}

impl Bias {
    /// A bias layer, linear.
    pub fn new(neurons: usize) -> Self {
        Self {
            inputs: neurons,
            outputs: neurons,
            activation: Activation::default(),
            bias: has_bias(),
        }
    }

    /// The same with another activation.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }
}

impl From<Plastic> for Layer {
    fn from(layer: Plastic) -> Self {
        Self::Plastic(layer)
    }
}

impl From<Recurrent> for Layer {
    fn from(layer: Recurrent) -> Self {
        Self::Recurrent(layer)
    }
}

impl From<Dense> for Layer {
    fn from(layer: Dense) -> Self {
        Self::Dense(layer)
    }
}

impl From<Bias> for Layer {
    fn from(layer: Bias) -> Self {
        Self::Bias(layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Loss, Network};

    #[test]
    fn rates_are_what_they_are_in_toml_where_nothing_is_said() {
        let read = |text| toml::from_str::<Rate>(text).unwrap();
        assert_eq!(read("value = 0.5"), Rate::fixed(0.5));
        assert_eq!(read("value = 0.5\nlearned = true"), Rate::learned(0.5));
        let per_neuron = Rate::fixed(0.5).per_neuron();
        assert_eq!(read("value = 0.5\nper = \"neuron\""), per_neuron);
    }

    #[test]
    fn layers_are_what_they_are_in_toml_where_nothing_is_said() {
        let written = Network::from_toml(
            r#"
            layer = [
                { kind = "plastic", inputs = 3, outputs = 2 },
                { kind = "dense", inputs = 2, outputs = 4 },
                { kind = "bias", inputs = 4, outputs = 4 },
                { kind = "recurrent", inputs = 4, outputs = 5 },
            ]
            "#,
            "network",
        );
        let layers: [Layer; 4] = [
            Plastic::new(3, 2, Rate::default()).into(),
            Dense::new(2, 4).into(),
            Bias::new(4).into(),
            Recurrent::new(4, 5, Rate::default()).into(),
        ];
        assert_eq!(
            Network::new(Loss::default(), layers).unwrap(),
            written.unwrap()
        );
    }

    #[test]
    fn every_builder_sets_what_it_names() {
        let plastic = Plastic::new(3, 2, Rate::fixed(0.5))
            .activation(Activation::Tanh)
            .rule(Rule::oja())
            .plasticity(Plasticity::Neuron)
            .without_bias();
        assert_eq!(plastic.activation, Activation::Tanh);
        assert_eq!((&plastic.rule, plastic.bias), (&Rule::oja(), false));
        assert_eq!(plastic.plasticity, Plasticity::Neuron);
        let control = plastic.plastic_bias().plasticity(Plasticity::None);
        assert!(control.bias && !control.plastic_bias && !control.has_trace());
        let dense = Dense::new(2, 2).activation(Activation::Relu).without_bias();
        assert_eq!((dense.activation, dense.bias), (Activation::Relu, false));
        assert_eq!(
            Bias::new(2).activation(Activation::Relu).activation,
            Activation::Relu
        );
    }
}
