//! Parameters and their gradients as the kernels take them: a row of synapses per postsynaptic neuron, every granularity of
//! plasticity and rate spread out to its synapses and rows. They are of one network, whose rows are padded to whole pairs of
//! vectors, or of as many networks, or rows, as a pair has lanes, which lie side by side as the last axis.

use super::cells::Cell;
use super::kernels::{Deinterleave, Empty, Interleave};
use super::shape::{Kind, Shape};
use super::synapses::{SynapseArrays, Synapses};
use crate::network::{Network, Plasticity, RatePer};
use crate::number::{Real, vectorise};
use crate::parameters::{Layout, Role, Tensor};
use crate::zip::zip_eq;

impl SynapseArrays<u128> {
    /// Elements of every array.
    pub fn sizes<R: Real>(shape: &Shape) -> Self {
        if let Some(cell) = Cell::of::<R>(shape) {
            return cell.sizes(cell.rows);
        }
        let blocks = shape.along.blocks::<R>(shape.outputs) as u128;
        let lie = Lie::of::<R>(shape);
        let synapses = match shape.kind {
            Kind::Bias => 0,
            _ => blocks * lie.row as u128,
        };
        let plastic = u128::from(shape.is_plastic());
        let values = blocks * lie.lanes as u128;
        Self {
            weight: synapses,
            plasticity: plastic * synapses,
            bias: values,
            rate: plastic * values,
            input_weight: 0,
            coefficients: 0,
            modulator: 0,
            fan_out: 0,
        }
    }
}

impl<R: Real> Synapses<R> {
    pub fn zeros(shape: &Shape) -> Self {
        SynapseArrays::sizes::<R>(shape).arrays()
    }
}

/// How a layer's synapses lie.
#[derive(Clone, Copy)]
struct Lie {
    inputs: usize,
    /// Networks that go together, or rows that do: the last axis.
    lanes: usize,
    networks: usize,
    rows: usize,
    /// Elements of a row of so many networks, or of a block of so many rows.
    row: usize,
}

impl Lie {
    fn of<R: Real>(shape: &Shape) -> Self {
        let along = shape.along;
        let (networks, rows) = (along.networks::<R>(), along.rows::<R>());
        let lanes = networks * rows;
        Self {
            inputs: shape.inputs,
            lanes,
            networks,
            rows,
            row: match lanes {
                1 => shape.row,
                _ => shape.inputs * lanes,
            },
        }
    }

    /// Elements of a row, or block, that are no padding.
    fn used(self) -> usize {
        self.inputs * self.lanes
    }

    /// `[O, I, networks]` to where synapses lie.
    #[inline(always)]
    fn put_rows<R: Real>(self, from: &[R], to: &mut [R]) {
        let Self { inputs, row, .. } = self;
        let used = self.used();
        let blocks = zip_eq(from.chunks(used), to.chunks_exact_mut(row));
        for (from, to) in blocks {
            if self.rows == 1 {
                to[..used].copy_from_slice(from);
            } else {
                vectorise(Interleave {
                    from,
                    apart: inputs,
                    count: from.len() / inputs,
                    empty: Empty::First,
                    to,
                });
            }
        }
    }

    /// The inverse.
    #[inline(always)]
    fn take_rows<R: Real>(self, from: &[R], to: &mut [R]) {
        let Self { inputs, row, .. } = self;
        let used = self.used();
        let blocks = zip_eq(from.chunks_exact(row), to.chunks_mut(used));
        for (from, to) in blocks {
            if self.rows == 1 {
                to.copy_from_slice(&from[..used]);
            } else {
                vectorise(Deinterleave {
                    from,
                    count: to.len() / inputs,
                    to,
                    apart: inputs,
                });
            }
        }
    }

    /// Values of one row or block, to its lanes; those without a row have what the first has.
    #[inline(always)]
    fn put_lanes<R: Real>(from: &[R], to: &mut [R]) {
        let (with, without) = to.split_at_mut(from.len());
        with.copy_from_slice(from);
        without.fill(from[0]);
    }

    /// Values of one row or block, to each of its synapses.
    #[inline(always)]
    fn fill<R: Real>(self, to: &mut [R], values: &[R]) {
        for to in to[..self.used()].chunks_exact_mut(self.lanes) {
            Self::put_lanes(values, to);
        }
    }

    /// The inverse of [`Lie::fill`], of every row: `[O, networks]`.
    #[inline(always)]
    fn row_sums<R: Real>(self, from: &[R], to: &mut [R]) {
        for (from, to) in zip_eq(from.chunks_exact(self.row), to.chunks_mut(self.lanes)) {
            sum(&from[..self.used()], self.lanes, to);
        }
    }
}

/// The sum over the first axis of `[…, lanes]`, of as many lanes as are wanted.
#[inline(always)]
fn sum<R: Real>(from: &[R], lanes: usize, to: &mut [R]) {
    to.fill(R::zero());
    for from in from.chunks_exact(lanes) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }
}

/// Spreads parameters out to the layers' rows: of as many networks as go together, `[parameters, networks]`.
#[inline(always)]
pub(super) fn pack<R: Real>(
    network: &Network,
    layout: &Layout,
    shapes: &[Shape],
    values: &[R],
    layers: &mut [Synapses<R>],
) {
    let layers = zip_eq(zip_eq(network.layers(), shapes), layers);
    for (index, ((layer, shape), packed)) in layers.enumerate() {
        if let Some(cell) = Cell::of::<R>(shape) {
            cell.pack(layout, index, values, packed);
            continue;
        }
        let lie = Lie::of::<R>(shape);
        let Lie {
            lanes,
            networks,
            row,
            ..
        } = lie;
        let tensor = |role| {
            layout.find(index, role).map(|tensor| {
                let range = tensor.range();
                &values[range.start * networks..range.end * networks]
            })
        };
        let put_values = |from: &[R], to: &mut [R]| {
            for (from, to) in zip_eq(from.chunks(lanes), to.chunks_exact_mut(lanes)) {
                Lie::put_lanes(from, to);
            }
        };
        if let Some(weight) = tensor(Role::Weight) {
            lie.put_rows(weight, &mut packed.weight);
        }
        if let Some(bias) = tensor(Role::Bias) {
            put_values(bias, &mut packed.bias);
        }
        if let (Some(plastic), Some(coefficients), Some(rates)) = (
            layer.with_trace(),
            tensor(Role::Plasticity),
            tensor(Role::Rate),
        ) {
            let rows = packed.plasticity.chunks_exact_mut(row);
            match plastic.plasticity {
                Plasticity::Connection => lie.put_rows(coefficients, &mut packed.plasticity),
                Plasticity::Neuron => {
                    for (values, to) in zip_eq(coefficients.chunks(lanes), rows) {
                        lie.fill(to, values);
                    }
                }
                Plasticity::Layer => rows.for_each(|to| lie.fill(to, coefficients)),
                Plasticity::None => {}
            }
            match plastic.rate.per {
                RatePer::Neuron => put_values(rates, &mut packed.rate),
                RatePer::Layer => {
                    for to in packed.rate.chunks_exact_mut(lanes) {
                        Lie::put_lanes(rates, to);
                    }
                }
            }
        }
    }
}

/// Collects gradients from the layers' rows: the inverse of [`pack`], a sum where `pack` spreads.
#[inline(always)]
pub(super) fn unpack<R: Real>(
    network: &Network,
    layout: &Layout,
    shapes: &[Shape],
    layers: &[Synapses<R>],
    values: &mut [R],
) {
    for (index, (shape, packed)) in zip_eq(shapes, layers).enumerate() {
        if let Some(cell) = Cell::of::<R>(shape) {
            cell.unpack(layout, index, packed, values);
        }
    }
    let of_rows = |tensor: &&Tensor| network.layers()[tensor.layer].is_row_affine();
    for tensor in layout.tensors().iter().filter(of_rows) {
        let layer = &network.layers()[tensor.layer];
        let packed = &layers[tensor.layer];
        let lie = Lie::of::<R>(&shapes[tensor.layer]);
        let networks = lie.networks;
        let range = tensor.range();
        let to = &mut values[range.start * networks..range.end * networks];
        // Lanes without a row are the last.
        let of_rows = layer.outputs() * networks;
        match (tensor.role, layer.with_trace()) {
            (Role::Weight, _) => lie.take_rows(&packed.weight, to),
            (Role::Bias, _) => to.copy_from_slice(&packed.bias[..of_rows]),
            (Role::Plasticity, Some(plastic)) => match plastic.plasticity {
                Plasticity::Connection => lie.take_rows(&packed.plasticity, to),
                Plasticity::Neuron => lie.row_sums(&packed.plasticity, to),
                Plasticity::Layer => {
                    let mut rows = vec![R::zero(); of_rows];
                    lie.row_sums(&packed.plasticity, &mut rows);
                    sum(&rows, networks, to);
                }
                Plasticity::None => {}
            },
            (Role::Rate, Some(plastic)) if tensor.learned => match plastic.rate.per {
                RatePer::Neuron => to.copy_from_slice(&packed.rate[..of_rows]),
                RatePer::Layer => sum(&packed.rate[..of_rows], networks, to),
            },
            _ => to.fill(R::zero()),
        }
    }
}
