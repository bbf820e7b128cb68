//! Parameters and their gradients as the kernels take them: a row of synapses per postsynaptic neuron, every granularity of
//! plasticity and rate spread out to its synapses and rows. They are of one network, whose rows are padded to whole pairs of
//! vectors, or of as many networks as a pair has lanes, which lie side by side as the last axis.

use super::table::table;
use crate::network::{Activation, Layer, Network, Plasticity, RatePer};
use crate::number::Real;
use crate::number::{Aligned, padded};
use crate::parameters::{Layout, Role};
use crate::rule::{Row, Rule};
use crate::zip::zip_eq;

/// What the kernels need to know of a layer, without its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub inputs: usize,
    pub outputs: usize,
    /// Elements of a padded row.
    pub row: usize,
    pub kind: Kind,
    pub activation: Activation,
    /// Whether the gradient of the retention is needed: the rate is learned, or the rule's retention depends on the
    /// output.
    pub retention_gradient: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plastic(Rule),
    Dense,
    Bias,
}

impl Shape {
    pub fn all(network: &Network) -> Vec<Self> {
        network
            .layers()
            .iter()
            .map(|layer| {
                let (kind, retention_gradient) = match layer {
                    Layer::Plastic(plastic) => (
                        Kind::Plastic(plastic.rule.clone()),
                        plastic.rate.learned
                            || plastic
                                .rule
                                .row()
                                .is_some_and(Row::retention_depends_on_output),
                    ),
                    Layer::Dense(_) => (Kind::Dense, false),
                    Layer::Bias(_) => (Kind::Bias, false),
                };
                Self {
                    inputs: layer.inputs(),
                    outputs: layer.outputs(),
                    row: padded(layer.inputs()),
                    kind,
                    activation: layer.activation(),
                    retention_gradient,
                }
            })
            .collect()
    }

    /// Elements of the layer's padded synapses.
    pub fn synapses(&self) -> usize {
        match self.kind {
            Kind::Bias => 0,
            _ => self.outputs * self.row,
        }
    }

    /// Elements of a row of synapses of so many networks.
    fn row_of(&self, networks: usize) -> usize {
        row(self.inputs, networks)
    }

    pub fn is_plastic(&self) -> bool {
        matches!(self.kind, Kind::Plastic(_))
    }
}

table! {
    /// A layer's values, or their gradients.
    SynapseArrays {
        /// `[O, row]`, or `[O, I, networks]`; empty where the layer adds a bias alone.
        weight,
        /// `[O, row]`, or `[O, I, networks]`; empty unless plastic.
        plasticity,
        /// `[O, networks]`.
        bias,
        /// `[O, networks]`; empty unless plastic.
        rate,
    }
}

pub(super) type Synapses<R> = SynapseArrays<Aligned<R>>;

impl SynapseArrays<u128> {
    /// Elements of every array, of so many networks.
    pub fn sizes(shape: &Shape, networks: usize) -> Self {
        let (outputs, row) = (shape.outputs as u128, shape.row_of(networks) as u128);
        let rows = outputs * networks as u128;
        let synapses = match shape.kind {
            Kind::Bias => 0,
            _ => outputs * row,
        };
        let plastic = u128::from(shape.is_plastic());
        Self {
            weight: synapses,
            plasticity: plastic * synapses,
            bias: rows,
            rate: plastic * rows,
        }
    }
}

impl<R: Real> Synapses<R> {
    pub fn zeros(shape: &Shape, networks: usize) -> Self {
        SynapseArrays::sizes(shape, networks).arrays()
    }

    fn parts(&mut self) -> [&mut Aligned<R>; 4] {
        [
            &mut self.weight,
            &mut self.plasticity,
            &mut self.bias,
            &mut self.rate,
        ]
    }

    pub fn clear(&mut self) {
        for part in self.parts() {
            part.fill(R::zero());
        }
    }

    /// Elements of all arrays together.
    pub fn len(&self) -> usize {
        self.all().map(<[R]>::len).sum()
    }

    fn all(&self) -> impl Iterator<Item = &[R]> {
        let parts = [&self.weight, &self.plasticity, &self.bias, &self.rate];
        parts.into_iter().map(|part| &**part)
    }

    /// Every element, to the first of `flat`; returns the others.
    pub fn write_to<'a>(&self, mut flat: &'a mut [R]) -> &'a mut [R] {
        for part in self.all() {
            let (to, rest) = flat.split_at_mut(part.len());
            to.copy_from_slice(part);
            flat = rest;
        }
        flat
    }

    /// Adds the first elements of `flat`, as [`Synapses::write_to`] leaves them; returns the others.
    pub fn add<'a>(&mut self, mut flat: &'a [R]) -> &'a [R] {
        for sum in self.parts() {
            let (part, rest) = flat.split_at(sum.len());
            for (sum, part) in zip_eq(&mut **sum, part) {
                *sum += *part;
            }
            flat = rest;
        }
        flat
    }
}

/// Elements of a row of synapses of so many networks.
fn row(inputs: usize, networks: usize) -> usize {
    match networks {
        1 => padded(inputs),
        _ => inputs * networks,
    }
}

/// Spreads one network's parameters out to the layers' rows.
pub(super) fn pack<R: Real>(
    network: &Network,
    layout: &Layout,
    values: &[R],
    layers: &mut [Synapses<R>],
) {
    pack_networks(network, layout, 1, values, layers);
}

/// The same for so many networks, of which there are `[parameters, networks]`.
#[inline(always)]
pub(super) fn pack_networks<R: Real>(
    network: &Network,
    layout: &Layout,
    networks: usize,
    values: &[R],
    layers: &mut [Synapses<R>],
) {
    for (index, (layer, packed)) in zip_eq(network.layers(), layers).enumerate() {
        let (row, used) = (row(layer.inputs(), networks), layer.inputs() * networks);
        let tensor = |role| {
            layout.find(index, role).map(|tensor| {
                let range = tensor.range();
                &values[range.start * networks..range.end * networks]
            })
        };
        let copy_rows = |from: &[R], to: &mut [R]| {
            for (from, to) in zip_eq(from.chunks_exact(used), to.chunks_exact_mut(row)) {
                to[..used].copy_from_slice(from);
            }
        };
        let fill = |to: &mut [R], value: &[R]| {
            for to in to[..used].chunks_exact_mut(networks) {
                to.copy_from_slice(value);
            }
        };
        if let Some(weight) = tensor(Role::Weight) {
            copy_rows(weight, &mut packed.weight);
        }
        if let Some(bias) = tensor(Role::Bias) {
            packed.bias.copy_from_slice(bias);
        }
        if let (Layer::Plastic(plastic), Some(coefficients), Some(rates)) =
            (layer, tensor(Role::Plasticity), tensor(Role::Rate))
        {
            match plastic.plasticity {
                Plasticity::Connection => copy_rows(coefficients, &mut packed.plasticity),
                Plasticity::Neuron => {
                    let rows = packed.plasticity.chunks_exact_mut(row);
                    for (value, to) in zip_eq(coefficients.chunks_exact(networks), rows) {
                        fill(to, value);
                    }
                }
                Plasticity::Layer => {
                    for to in packed.plasticity.chunks_exact_mut(row) {
                        fill(to, coefficients);
                    }
                }
            }
            match plastic.rate.per {
                RatePer::Neuron => packed.rate.copy_from_slice(rates),
                RatePer::Layer => {
                    for rate in packed.rate.chunks_exact_mut(networks) {
                        rate.copy_from_slice(rates);
                    }
                }
            }
        }
    }
}

/// Collects one network's gradients from the layers' rows: the inverse of [`pack`], a sum where `pack` spreads.
pub(super) fn unpack<R: Real>(
    network: &Network,
    layout: &Layout,
    layers: &[Synapses<R>],
    values: &mut [R],
) {
    unpack_networks(network, layout, 1, layers, values);
}

/// The same for so many networks: the inverse of [`pack_networks`].
#[inline(always)]
pub(super) fn unpack_networks<R: Real>(
    network: &Network,
    layout: &Layout,
    networks: usize,
    layers: &[Synapses<R>],
    values: &mut [R],
) {
    for tensor in layout.tensors() {
        let layer = &network.layers()[tensor.layer];
        let packed = &layers[tensor.layer];
        let (row, used) = (row(layer.inputs(), networks), layer.inputs() * networks);
        let range = tensor.range();
        let to = &mut values[range.start * networks..range.end * networks];
        let sum = |from: &[R], to: &mut [R]| {
            to.fill(R::zero());
            for from in from.chunks_exact(networks) {
                for (to, &from) in zip_eq(&mut *to, from) {
                    *to += from;
                }
            }
        };
        let row_sums = |from: &[R], to: &mut [R]| {
            for (from, to) in zip_eq(from.chunks_exact(row), to.chunks_exact_mut(networks)) {
                sum(&from[..used], to);
            }
        };
        let copy_rows = |from: &[R], to: &mut [R]| {
            for (from, to) in zip_eq(from.chunks_exact(row), to.chunks_exact_mut(used)) {
                to.copy_from_slice(&from[..used]);
            }
        };
        match (tensor.role, layer) {
            (Role::Weight, _) => copy_rows(&packed.weight, to),
            (Role::Bias, _) => to.copy_from_slice(&packed.bias),
            (Role::Plasticity, Layer::Plastic(plastic)) => match plastic.plasticity {
                Plasticity::Connection => copy_rows(&packed.plasticity, to),
                Plasticity::Neuron => row_sums(&packed.plasticity, to),
                Plasticity::Layer => {
                    let mut rows = vec![R::zero(); layer.outputs() * networks];
                    row_sums(&packed.plasticity, &mut rows);
                    sum(&rows, to);
                }
            },
            (Role::Rate, Layer::Plastic(plastic)) if tensor.learned => match plastic.rate.per {
                RatePer::Neuron => to.copy_from_slice(&packed.rate),
                RatePer::Layer => sum(&packed.rate, to),
            },
            _ => to.fill(R::zero()),
        }
    }
}
