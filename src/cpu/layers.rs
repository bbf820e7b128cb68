//! One network's parameters and their gradients as the kernels take them: a row of synapses per postsynaptic neuron,
//! padded to whole pairs of vectors, every granularity of plasticity and rate spread out to its synapses and rows.

use super::table::table;
use crate::network::{Activation, Layer, Network, Plasticity, RatePer};
use crate::number::Real;
use crate::number::{Aligned, padded, zeros};
use crate::parameters::{Layout, Role};
use crate::rule::Rule;
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
                        plastic.rate.learned || plastic.rule.retention_depends_on_output(),
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

    pub fn is_plastic(&self) -> bool {
        matches!(self.kind, Kind::Plastic(_))
    }
}

table! {
    /// A layer's values, or their gradients.
    SynapseArrays {
        /// `[O, row]`; empty where the layer adds a bias alone.
        weight,
        /// `[O, row]`; empty unless plastic.
        plasticity,
        /// `[O]`.
        bias,
        /// `[O]`; empty unless plastic.
        rate,
    }
}

pub(super) type Synapses<R> = SynapseArrays<Aligned<R>>;

impl SynapseArrays<u128> {
    /// Elements of every array.
    pub fn sizes(shape: &Shape) -> Self {
        let (synapses, rows) = (shape.synapses() as u128, shape.outputs as u128);
        let plastic = u128::from(shape.is_plastic());
        Self {
            weight: synapses,
            plasticity: plastic * synapses,
            bias: rows,
            rate: plastic * rows,
        }
    }

    /// Elements of all arrays together.
    pub fn elements(self) -> u128 {
        let mut sum = 0;
        self.map(&mut |size| sum += size);
        sum
    }
}

impl<R: Real> Synapses<R> {
    pub fn zeros(shape: &Shape) -> Self {
        SynapseArrays::sizes(shape).map(&mut |size| zeros(size as usize))
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

/// Spreads one network's parameters out to the layers' rows.
pub(super) fn pack<R: Real>(
    network: &Network,
    layout: &Layout,
    values: &[R],
    layers: &mut [Synapses<R>],
) {
    for (index, (layer, packed)) in zip_eq(network.layers(), layers).enumerate() {
        let (inputs, outputs, row) = (layer.inputs(), layer.outputs(), padded(layer.inputs()));
        let tensor = |role| {
            layout
                .find(index, role)
                .map(|tensor| &values[tensor.range()])
        };
        let copy_rows = |from: &[R], to: &mut [R]| {
            for (from, to) in zip_eq(from.chunks_exact(inputs), to.chunks_exact_mut(row)) {
                to[..inputs].copy_from_slice(from);
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
                    for (&coefficient, to) in zip_eq(coefficients, rows) {
                        to[..inputs].fill(coefficient);
                    }
                }
                Plasticity::Layer => {
                    for to in packed.plasticity.chunks_exact_mut(row) {
                        to[..inputs].fill(coefficients[0]);
                    }
                }
            }
            for (i, rate) in packed.rate.iter_mut().enumerate().take(outputs) {
                *rate = match plastic.rate.per {
                    RatePer::Neuron => rates[i],
                    RatePer::Layer => rates[0],
                };
            }
        }
    }
}

/// Gathers gradients from the layers' rows: the inverse of [`pack`], a sum where `pack` spreads.
pub(super) fn unpack<R: Real>(
    network: &Network,
    layout: &Layout,
    layers: &[Synapses<R>],
    values: &mut [R],
) {
    for tensor in layout.tensors() {
        let layer = &network.layers()[tensor.layer];
        let packed = &layers[tensor.layer];
        let (inputs, row) = (layer.inputs(), padded(layer.inputs()));
        let to = &mut values[tensor.range()];
        let row_sums = |from: &[R], to: &mut [R]| {
            for (from, to) in zip_eq(from.chunks_exact(row), to) {
                *to = from[..inputs].iter().copied().sum();
            }
        };
        let copy_rows = |from: &[R], to: &mut [R]| {
            for (from, to) in zip_eq(from.chunks_exact(row), to.chunks_exact_mut(inputs)) {
                to.copy_from_slice(&from[..inputs]);
            }
        };
        match (tensor.role, layer) {
            (Role::Weight, _) => copy_rows(&packed.weight, to),
            (Role::Bias, _) => to.copy_from_slice(&packed.bias),
            (Role::Plasticity, Layer::Plastic(plastic)) => match plastic.plasticity {
                Plasticity::Connection => copy_rows(&packed.plasticity, to),
                Plasticity::Neuron => row_sums(&packed.plasticity, to),
                Plasticity::Layer => {
                    let mut rows = vec![R::zero(); layer.outputs()];
                    row_sums(&packed.plasticity, &mut rows);
                    to[0] = rows.into_iter().sum();
                }
            },
            (Role::Rate, Layer::Plastic(plastic)) if tensor.learned => match plastic.rate.per {
                RatePer::Neuron => to.copy_from_slice(&packed.rate),
                RatePer::Layer => to[0] = packed.rate.iter().copied().sum(),
            },
            _ => to.fill(R::zero()),
        }
    }
}
