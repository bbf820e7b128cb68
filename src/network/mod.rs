//! The description of a network: a value that can be built in Rust or written as TOML.
//!
//! ```toml
//! [loss]
//! kind = "softmax-cross-entropy"
//!
//! [[layer]]
//! kind = "plastic"
//! inputs = 10
//! outputs = 2
//! activation = "tanh"
//! rule = "hebb" # or { trace = "…" }, see `Rule`
//! plasticity = "connection"
//! rate = { value = 0.02, per = "layer", learned = false }
//! bias = true
//!
//! [[layer]]
//! kind = "dense"
//! inputs = 2
//! outputs = 2
//! activation = "linear"
//! ```
//!
//! A recurrent layer, and what both kinds of plastic layers may have beside:
//!
//! ```toml
//! [[layer]]
//! kind = "recurrent"
//! inputs = 20
//! outputs = 100
//! input = "matrix"          # learned weights; or "identity": as many inputs as outputs, each to its neuron
//! activation = "tanh"
//! plasticity = "connection" # "none": an ordinary recurrent layer
//! plastic_bias = true       # one more presynaptic neuron, the last, which is always 1
//! rule = { trace = "h + m * e", eligibility = "a * e + rate * y * x" }
//! coefficients = { a = { value = 0.9, per = "connection", learned = true } }
//! bound = 1.0               # the trace is held to ±1
//! rate = { value = 0.1, per = "layer", learned = true }
//! modulation = { from = "network", per = "layer" } # or "episodes"; or per = "neuron"
//! bias = true
//! ```

mod activation;
mod build;
mod check;
mod dynamics;
mod layer;
mod loss;
mod resize;
mod table;
pub(crate) mod tensors;

pub use activation::Activation;
pub use dynamics::Dynamic;
pub use layer::{
    Bias, Coefficient, CoefficientPer, Dense, Layer, Modulation, ModulatorFrom, Plastic,
    Plasticity, Rate, RatePer, Recurrent, RecurrentInput,
};
pub use loss::Loss;
pub(crate) use loss::LossStep;
#[cfg(feature = "gpu")]
pub(crate) use tensors::{Extents, TensorSpec};

use crate::error::{Error, Result};
use crate::number::{Real, require_in_range};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The most neurons that a layer may have on either side, so that every index fits the shaders' 32-bit integers.
pub const MAX_NEURONS: usize = 1 << 24;

/// A stack of layers and the loss on its output. A recurrent layer hears its own last output; no layer hears one above it.
///
/// Parameters live apart from it ([`crate::parameters::Parameters`]): one description serves a population of `P` networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Description")]
pub struct Network {
    loss: LossTable,
    #[serde(rename = "layer")]
    layers: Vec<Layer>,
}

/// The TOML form, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    #[serde(default)]
    loss: LossTable,
    #[serde(default)]
    layer: Vec<Layer>,
}

impl TryFrom<Description> for Network {
    type Error = Error;

    fn try_from(description: Description) -> Result<Self> {
        Self::new(description.loss.kind, description.layer)
    }
}

/// `[loss]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LossTable {
    kind: Loss,
}

/// The TOML form.
impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_toml(text, "network")
    }
}

impl Network {
    /// A network of these layers.
    ///
    /// # Errors
    /// If there is no layer, a size is zero or beyond [`MAX_NEURONS`], neighbouring layers disagree on their size, a
    /// bias layer changes the number of neurons or has no bias, or a rate is not finite.
    pub fn new(loss: Loss, layers: impl IntoIterator<Item: Into<Layer>>) -> Result<Self> {
        let network = Self {
            loss: LossTable { kind: loss },
            layers: layers.into_iter().map(Into::into).collect(),
        };
        network.check()?;
        Ok(network)
    }

    /// Reads the TOML form; `origin` names the text in errors.
    ///
    /// # Errors
    /// If the text is not TOML, has unknown or missing keys, or describes no valid network (see [`Network::new`]).
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let description: Description = toml::from_str(text).map_err(|source| Error::Toml {
            origin: origin.to_owned(),
            source: Box::new(source),
        })?;
        Self::try_from(description).map_err(|error| error.within(origin))
    }

    /// The TOML form, every key written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a network is always representable as TOML")
    }

    /// The loss on the last layer's output.
    pub fn loss(&self) -> Loss {
        self.loss.kind
    }

    /// The layers, from input to output.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Presynaptic neurons of the first layer.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// Postsynaptic neurons of the last layer.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs()
    }

    /// Synapses of one network, `Σ O·J` over its layers with connections: the unit of all throughput figures.
    pub fn synapses(&self) -> usize {
        self.layers.iter().map(Layer::synapses).sum()
    }

    /// What its layers have that goes on from step to step, in order: layer, kind, and shape for one episode.
    ///
    /// ```
    /// use metaplastic::{Dynamic, Loss, Network, Rate, Recurrent};
    ///
    /// let network = Network::new(Loss::None, [Recurrent::new(3, 2, Rate::fixed(0.1))])?;
    /// let states: Vec<_> = network.states().collect();
    /// assert_eq!(states, [(0, Dynamic::Trace, vec![2, 2]), (0, Dynamic::Activity, vec![2])]);
    /// # Ok::<(), metaplastic::Error>(())
    /// ```
    pub fn states(&self) -> impl Iterator<Item = (usize, Dynamic, Vec<usize>)> {
        let layers = self.layers.iter().enumerate();
        layers.flat_map(|(index, layer)| {
            layer
                .states()
                .map(move |(state, shape)| (index, state, shape))
        })
    }

    /// Fails unless precision `R` has every setting. Descriptions are in `f64`.
    ///
    /// # Errors
    /// If a rate is beyond the range of `R`.
    pub fn require_range<R: Real>(&self) -> Result<()> {
        for (index, layer) in self.layers.iter().enumerate() {
            for tensor in layer.tensors() {
                if let Some(value) = tensor.value {
                    require_in_range::<R>(&format!("layer{index}.{}.value", tensor.name()), value)?;
                }
            }
            if let Some(bound) = layer.as_plastic().and_then(|plastic| plastic.bound) {
                require_in_range::<R>(&format!("layer{index}.bound"), bound)?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.layers.is_empty() {
            return Err(Error::ZeroSize {
                field: "layer (number of layers)".into(),
            });
        }
        for (index, layer) in self.layers.iter().enumerate() {
            for (side, size) in [("inputs", layer.inputs()), ("outputs", layer.outputs())] {
                let field = format!("layer{index}.{side}");
                if size == 0 {
                    return Err(Error::ZeroSize { field });
                }
                if size > MAX_NEURONS {
                    return Err(Error::setting(
                        field,
                        format!("{size}, at most {MAX_NEURONS} are supported"),
                    ));
                }
            }
            if let Layer::Bias(bias) = layer {
                if bias.inputs != bias.outputs {
                    return Err(Error::setting(
                        format!("layer{index}.outputs"),
                        format!(
                            "{}, but a bias layer keeps its {} inputs",
                            bias.outputs, bias.inputs
                        ),
                    ));
                }
                if !bias.bias {
                    return Err(Error::setting(
                        format!("layer{index}.bias"),
                        "false, but a bias layer is nothing else",
                    ));
                }
            }
            if let Layer::Recurrent(recurrent) = layer {
                recurrent.check().map_err(|error| error.of_layer(index))?;
            }
            if let Some(plastic) = layer.as_plastic() {
                plastic.check().map_err(|error| error.of_layer(index))?;
            }
        }
        for (index, pair) in self.layers.windows(2).enumerate() {
            if pair[0].outputs() != pair[1].inputs() {
                return Err(Error::setting(
                    format!("layer{}.inputs", index + 1),
                    format!(
                        "{}, but layer{index} has {} outputs",
                        pair[1].inputs(),
                        pair[0].outputs()
                    ),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_shot() -> Network {
        Network::new(
            Loss::SoftmaxCrossEntropy,
            [
                Layer::from(Plastic::new(10, 2, Rate::fixed(0.02)).activation(Activation::Tanh)),
                Layer::from(Dense::new(2, 2)),
            ],
        )
        .unwrap()
    }

    #[test]
    fn a_network_written_as_toml_reads_back_equal() {
        let network = one_shot();
        assert_eq!(
            Network::from_toml(&network.to_toml(), "test").unwrap(),
            network
        );
    }

    #[test]
    fn bad_descriptions_are_refused_by_name() {
        let layer = "[[layer]]\nkind = \"dense\"\ninputs = 3\noutputs = 2\n";
        for (text, part) in [
            (String::new(), "number of layers"),
            (layer.replace('3', "0"), "layer0.inputs"),
            (layer.replace('2', "99999999999"), "layer0.outputs"),
            (format!("{layer}{layer}"), "layer1.inputs"),
            (format!("{layer}speed = 3\n"), "speed"),
            (format!("{layer}activation = \"sine\"\n"), "sine"),
            (layer.replace("dense", "bias"), "layer0.outputs"),
            (layer.replace("dense", "quick"), "quick"),
            (layer.replace("outputs", "output"), "output"),
            (layer.replace("3", "-3"), "-3"),
            (format!("{layer}rule = \"hebb\"\n"), "rule"),
            (format!("top = 1\n{layer}"), "top"),
            (
                format!("[loss]\nkind = \"none\"\nsize = 1\n{layer}"),
                "size",
            ),
            (
                layer.replace("dense", "plastic") + "rate = { value = nan }\n",
                "layer0.rate.value",
            ),
            (
                layer.replace("dense", "plastic") + "rate = { value = 0.1, by = \"x\" }\n",
                "by",
            ),
        ] {
            let error = Network::from_toml(&text, "net.toml").unwrap_err();
            assert!(error.to_string().contains(part), "{text}\n{error}");
        }
    }
}
