//! The same network in other sizes.

use super::{Layer, Network, RecurrentInput};
use crate::error::{Error, Result};

impl Network {
    /// The same network with `inputs` presynaptic neurons and `outputs` postsynaptic ones at its ends. Layers there that keep
    /// the number of neurons change with their neighbours.
    ///
    /// # Errors
    /// If a size is zero or too large, or bias layers alone would have to change the number of neurons.
    pub fn with_ends(&self, inputs: usize, outputs: usize) -> Result<Self> {
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            layer.set_inputs(inputs);
            if !layer.keeps_size() {
                break;
            }
            layer.set_outputs(inputs);
        }
        for layer in layers.iter_mut().rev() {
            layer.set_outputs(outputs);
            if !layer.keeps_size() {
                break;
            }
            layer.set_inputs(outputs);
        }
        let network = Self::new(self.loss(), layers)?;
        if network.inputs() != inputs {
            let reason = format!(
                "{inputs}, but layers that keep the number of neurons have {outputs} outputs"
            );
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
        let changes = |layer: &Layer| !layer.keeps_size();
        let first = layers.iter().position(changes);
        let last = layers.iter().rposition(changes);
        let (first, last) = match (first, last) {
            (Some(first), Some(last)) if first < last => (first, last),
            _ => return Err(Error::setting("hidden", "the network has no hidden layer")),
        };
        for (index, layer) in layers.iter_mut().enumerate() {
            if (first + 1..=last).contains(&index) {
                layer.set_inputs(neurons);
            }
            if (first..last).contains(&index) {
                layer.set_outputs(neurons);
            }
        }
        Self::new(self.loss(), layers)
    }
}

impl Layer {
    /// Whether it has as many outputs as inputs, whatever their number: a bias layer, or a recurrent one that takes its input
    /// as it is.
    fn keeps_size(&self) -> bool {
        match self {
            Self::Bias(_) => true,
            Self::Recurrent(layer) => layer.input == RecurrentInput::Identity,
            Self::Plastic(_) | Self::Dense(_) => false,
        }
    }

    fn set_inputs(&mut self, neurons: usize) {
        match self {
            Self::Plastic(layer) => layer.inputs = neurons,
            Self::Recurrent(layer) => layer.inputs = neurons,
            Self::Dense(layer) => layer.inputs = neurons,
            Self::Bias(layer) => layer.inputs = neurons,
        }
    }

    fn set_outputs(&mut self, neurons: usize) {
        match self {
            Self::Plastic(layer) => layer.outputs = neurons,
            Self::Recurrent(layer) => {
                layer.synapses.inputs = neurons;
                layer.synapses.outputs = neurons;
            }
            Self::Dense(layer) => layer.outputs = neurons,
            Self::Bias(layer) => layer.outputs = neurons,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Bias, Dense, Loss, Plastic, Rate};

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
