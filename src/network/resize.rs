//! The same network in other sizes.

use super::{Bias, Dense, Layer, Network, Plastic};
use crate::error::{Error, Result};

impl Network {
    /// The same network with `inputs` presynaptic neurons and `outputs` postsynaptic ones at its ends. Bias layers there
    /// change with their neighbours.
    ///
    /// # Errors
    /// If a size is zero or too large, or bias layers alone would have to change the number of neurons.
    pub fn with_ends(&self, inputs: usize, outputs: usize) -> Result<Self> {
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            *sizes(layer).0 = inputs;
            if !matches!(layer, Layer::Bias(_)) {
                break;
            }
            *sizes(layer).1 = inputs;
        }
        for layer in layers.iter_mut().rev() {
            *sizes(layer).1 = outputs;
            if !matches!(layer, Layer::Bias(_)) {
                break;
            }
            *sizes(layer).0 = outputs;
        }
        let network = Self::new(self.loss(), layers)?;
        if network.inputs() != inputs {
            let reason = format!("{inputs}, but bias layers alone keep {outputs} neurons");
            return Err(Error::setting("inputs of the network", reason));
        }
        Ok(network)
    }

    /// The same network with `neurons` between each two layers with connections.
    ///
    /// # Errors
    /// If the size is zero or too large, or there are no two such layers.
    pub fn with_hidden(&self, neurons: usize) -> Result<Self> {
        let mut layers = self.layers.clone();
        let connected = |layer: &Layer| !matches!(layer, Layer::Bias(_));
        let first = layers.iter().position(connected);
        let last = layers.iter().rposition(connected);
        let (first, last) = match (first, last) {
            (Some(first), Some(last)) if first < last => (first, last),
            _ => return Err(Error::setting("hidden", "the network has no hidden layer")),
        };
        for (index, layer) in layers.iter_mut().enumerate() {
            let (inputs, outputs) = sizes(layer);
            if (first + 1..=last).contains(&index) {
                *inputs = neurons;
            }
            if (first..last).contains(&index) {
                *outputs = neurons;
            }
        }
        Self::new(self.loss(), layers)
    }
}

/// The sizes of a layer.
fn sizes(layer: &mut Layer) -> (&mut usize, &mut usize) {
    match layer {
        Layer::Plastic(Plastic {
            inputs, outputs, ..
        })
        | Layer::Dense(Dense {
            inputs, outputs, ..
        })
        | Layer::Bias(Bias {
            inputs, outputs, ..
        }) => (inputs, outputs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Loss, Rate};

    fn shapes(network: &Network) -> Vec<(usize, usize)> {
        let layers = network.layers().iter();
        layers.map(|l| (l.inputs(), l.outputs())).collect()
    }

    #[test]
    fn ends_and_hidden_layers_are_resized_through_bias_layers() {
        let layers = [
            Layer::from(Bias::new(10)),
            Layer::from(Plastic::new(10, 2, Rate::fixed(0.1)).activation(Activation::Tanh)),
            Layer::from(Bias::new(2)),
            Layer::from(Dense::new(2, 3)),
            Layer::from(Bias::new(3)),
        ];
        let network = Network::new(Loss::None, layers.clone()).unwrap();
        let ends = network.with_ends(7, 4).unwrap();
        assert_eq!(shapes(&ends), [(7, 7), (7, 2), (2, 2), (2, 4), (4, 4)]);
        let hidden = ends.with_hidden(5).unwrap();
        assert_eq!(shapes(&hidden), [(7, 7), (7, 5), (5, 5), (5, 4), (4, 4)]);
        for layers in [&layers[..3], &layers[4..]] {
            let network = Network::new(Loss::None, layers.to_vec()).unwrap();
            network.with_hidden(5).unwrap_err();
        }
        network.with_ends(0, 4).unwrap_err();
        let bias = Network::new(Loss::None, [Layer::from(Bias::new(3))]).unwrap();
        assert_eq!(shapes(&bias.with_ends(4, 4).unwrap()), [(4, 4)]);
        bias.with_ends(4, 5).unwrap_err();
    }
}
