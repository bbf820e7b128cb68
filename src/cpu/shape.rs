//! What the kernels need to know of a layer, without its values, and how large its arrays are.

use super::along::{Along, STATE, ScratchSize};
use super::segments;
use crate::network::{Activation, Dynamic, Layer, ModulatorFrom, Network};
use crate::number::{Real, padded};

/// Elements of a line of the cache, in `f32`.
const LINE: usize = 16;

/// What the kernels need to know of a layer, without its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub inputs: usize,
    pub outputs: usize,
    /// Elements of a padded row.
    pub row: usize,
    pub kind: Kind,
    /// The description.
    pub layer: Layer,
    pub activation: Activation,
    /// Whether the gradient of the retention is needed.
    pub retention_gradient: bool,
    pub along: Along,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows that go through all steps by themselves.
    Plastic,
    /// Rows that step together.
    Cell,
    Dense,
    Bias,
}

impl Shape {
    /// Of all layers, until it is decided what lies along the lanes of vectors.
    pub fn all(network: &Network) -> Vec<Self> {
        network
            .layers()
            .iter()
            .map(|layer| {
                let kind = match layer {
                    _ if !layer.is_row_affine() => Kind::Cell,
                    _ if layer.with_trace().is_some() => Kind::Plastic,
                    Layer::Bias(_) => Kind::Bias,
                    _ => Kind::Dense,
                };
                Self {
                    inputs: layer.inputs(),
                    outputs: layer.outputs(),
                    row: padded(layer.inputs()),
                    kind,
                    layer: layer.clone(),
                    activation: layer.activation(),
                    retention_gradient: layer.needs_retention_gradient(),
                    along: Along::Synapses,
                }
            })
            .collect()
    }

    /// Elements of the layer's padded synapses.
    pub fn synapses(&self) -> usize {
        match self.kind {
            Kind::Bias => 0,
            Kind::Cell => self.layer.synapses(),
            _ => self.outputs * self.row,
        }
    }

    /// The shape for one episode of what the layer has after the last of some steps, if it has it.
    pub fn final_shape(&self, dynamic: Dynamic, steps: usize) -> Option<Vec<usize>> {
        self.layer.final_shape(dynamic, steps)
    }

    /// The shape for one episode of what it may be given.
    pub fn given_shape(&self, dynamic: Dynamic, steps: usize) -> Option<Vec<usize>> {
        self.layer.given_shape(dynamic, steps)
    }

    /// Modulators that episodes give the layer's rows at each step, if they do: one for each row, or one.
    pub fn modulators(&self) -> Option<usize> {
        let shape = self.layer.modulator_shape(ModulatorFrom::Episodes, 1);
        shape.map(|shape| shape.iter().product())
    }

    pub fn is_plastic(&self) -> bool {
        self.kind == Kind::Plastic
    }
}

impl Along {
    /// Synapses of a row in each lane, `C`: padded where they lie along the lanes.
    pub fn columns(self, shape: &Shape) -> usize {
        match self {
            Self::Synapses => shape.row,
            Self::Episodes | Self::Networks | Self::Rows => shape.inputs,
        }
    }

    /// Presynaptic neurons of each episode, `N`: padded where one episode goes by itself.
    pub fn neurons(self, shape: &Shape) -> usize {
        match self {
            Self::Synapses | Self::Rows => shape.row,
            Self::Episodes | Self::Networks => shape.inputs,
        }
    }

    /// The scratch of a layer's sweeps over `steps` steps, for one chunk of rows.
    pub fn scratch<R: Real>(self, shape: &Shape, steps: usize) -> ScratchSize {
        let (columns, width) = (self.columns(shape), self.width::<R>());
        let of_step = self.neurons(shape) * self.beside::<R>();
        let waiting = segments::waiting::<R>(shape.outputs, steps, of_step);
        ScratchSize {
            slots: self.blocks::<R>(waiting).max(self.together()),
            slot: ((self.kept_rows() * columns + STATE) * width).next_multiple_of(LINE),
        }
    }
}
