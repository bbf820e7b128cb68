//! What a rule's functions depend on along one row, step by step.

use super::parts::{part, part_if_any};
use super::pass::Pass;
use super::way::Way;
use crate::number::Number;
use crate::rule::{Neuron, RowRule};

/// The rate and the modulators of a row.
#[derive(Clone, Copy)]
pub(super) struct Neurons<'a, W: Way> {
    way: W,
    rate: W::Value,
    /// `[T, W]`; empty where there are none.
    modulators: &'a [W::Real],
}

impl<'a, W: Way> Neurons<'a, W> {
    /// Of row `i`, with the layer's modulators, `[O, T, W]`.
    #[inline(always)]
    pub fn new(way: W, pass: Pass<'_, W::Real>, i: usize, modulators: &'a [W::Real]) -> Self {
        Self {
            way,
            rate: way.of_row(&pass.synapses.rate, i),
            modulators: part_if_any(modulators, i, pass.room * W::width()).unwrap_or_default(),
        }
    }

    /// At step `t`, where the row's output is `y`.
    #[inline(always)]
    pub fn at<P: RowRule>(&self, _: P, t: usize, y: W::Value) -> Neuron<W::Value> {
        Neuron {
            output: y,
            modulator: match P::IS_MODULATED {
                true => self.way.load(part(self.modulators, t, W::width())),
                false => self.rate,
            },
            rate: self.rate,
        }
    }

    /// So much, in every lane.
    #[inline(always)]
    pub fn constant(&self, value: f64) -> W::Value {
        self.rate.constant(value)
    }
}
