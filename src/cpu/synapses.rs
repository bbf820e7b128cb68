//! The arrays of a layer's parameters and their gradients.

use super::table::table;
use crate::number::{Aligned, Real};
use crate::zip::zip_eq;

table! {
    /// A layer's values, or their gradients: rows of synapses of as many networks as go together, or blocks of rows that do.
    SynapseArrays {
        /// `[O, C, networks]`, or `[blocks, C, rows]`; empty where the layer adds a bias alone.
        weight,
        /// The same; empty unless plastic.
        plasticity,
        /// `[O, networks]`, or `[blocks, rows]`.
        bias,
        /// The same; empty unless plastic.
        rate,
        /// Of a layer whose rows step together (`cells.rs`), as the next: the weights of its input.
        input_weight,
        /// The rule's coefficients.
        coefficients,
        /// The modulator's weights and, after them, its bias.
        modulator,
        /// The weights of each row's modulator and, after them, their biases.
        fan_out,
    }
}

pub(super) type Synapses<R> = SynapseArrays<Aligned<R>>;

impl<R: Real> Synapses<R> {
    /// Every array, in the order of the table.
    pub fn parts(&mut self) -> [&mut Aligned<R>; 8] {
        [
            &mut self.weight,
            &mut self.plasticity,
            &mut self.bias,
            &mut self.rate,
            &mut self.input_weight,
            &mut self.coefficients,
            &mut self.modulator,
            &mut self.fan_out,
        ]
    }

    pub fn clear(&mut self) {
        for part in self.parts() {
            part.fill(R::zero());
        }
    }

    /// Adds the sums over the first `count` of so many lanes to `sums`, and clears what was there.
    pub fn bring_lanes(&mut self, lanes: usize, count: usize, sums: &mut Self) {
        for (from, to) in zip_eq(self.parts(), sums.parts()) {
            for (from, to) in zip_eq(from.chunks_exact_mut(lanes), &mut **to) {
                *to += from[..count].iter().copied().sum::<R>();
                from.fill(R::zero());
            }
        }
    }

    /// Elements of all arrays together.
    pub fn len(&self) -> usize {
        self.all().map(<[R]>::len).iter().sum()
    }

    /// Every array, in the order of the table.
    pub fn all(&self) -> [&[R]; 8] {
        [
            &self.weight,
            &self.plasticity,
            &self.bias,
            &self.rate,
            &self.input_weight,
            &self.coefficients,
            &self.modulator,
            &self.fan_out,
        ]
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
