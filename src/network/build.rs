//! Layers, setting by setting: what is not said is what it is in TOML.

use super::layer::has_bias;
use super::{Activation, Bias, Dense, Layer, Plastic, Plasticity, Rate};
use crate::rule::Rule;

impl Plastic {
    /// A plastic layer with a bias: linear, decaying Hebb, one plasticity coefficient per connection.
    pub fn new(inputs: usize, outputs: usize, rate: Rate) -> Self {
        Self {
            inputs,
            outputs,
            activation: Activation::default(),
            rule: Rule::default(),
            plasticity: Plasticity::default(),
            rate,
            bias: has_bias(),
        }
    }

    /// The same with another activation.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// The same with another rule for the trace.
    #[must_use]
    pub fn rule(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }

    /// The same with another number of plasticity coefficients.
    #[must_use]
    pub fn plasticity(self, plasticity: Plasticity) -> Self {
        Self { plasticity, ..self }
    }

    /// The same with another rate.
    #[must_use]
    pub fn rate(self, rate: Rate) -> Self {
        Self { rate, ..self }
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
            ]
            "#,
            "network",
        );
        let layers: [Layer; 3] = [
            Plastic::new(3, 2, Rate::default()).into(),
            Dense::new(2, 4).into(),
            Bias::new(4).into(),
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
        assert_eq!((plastic.rule, plastic.bias), (Rule::oja(), false));
        assert_eq!(plastic.plasticity, Plasticity::Neuron);
        let dense = Dense::new(2, 2).activation(Activation::Relu).without_bias();
        assert_eq!((dense.activation, dense.bias), (Activation::Relu, false));
        assert_eq!(
            Bias::new(2).activation(Activation::Relu).activation,
            Activation::Relu
        );
    }
}
