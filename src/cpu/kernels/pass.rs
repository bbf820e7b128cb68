//! What the sweeps of a layer have in common.

use super::rows::{Scratch, split_scratch};
use super::way::Way;
use crate::cpu::along::ScratchSize;
use crate::cpu::chunks::CHUNK;
use crate::cpu::segments;
use crate::cpu::shape::Shape;
use crate::cpu::synapses::Synapses;
use crate::number::Real;
use std::ops::Range;

/// A layer, and how it is swept over.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a, R> {
    pub shape: &'a Shape,
    pub synapses: &'a Synapses<R>,
    /// Steps that arrays have room for.
    pub room: usize,
    /// Of them, the first that is swept over, and the one after the last.
    pub first: usize,
    pub end: usize,
    /// Whether rows are split over threads.
    pub parallel: bool,
}

impl<'a, R: Real> Pass<'a, R> {
    /// Scratch for each chunk of rows.
    pub(super) fn scratch<'b>(
        &self,
        values: &'b mut [R],
    ) -> impl Iterator<Item = Scratch<'b, R>> + use<'a, 'b, R> {
        let size: ScratchSize = self.shape.along.scratch::<R>(self.shape, self.room);
        split_scratch(values, size)
    }

    /// Blocks of the layer's rows.
    pub(super) fn blocks(&self) -> usize {
        self.shape.along.blocks::<R>(self.shape.outputs)
    }

    /// Of a chunk of rows, the blocks.
    pub(super) fn chunk(&self) -> usize {
        self.shape.along.blocks::<R>(CHUNK)
    }

    /// The segments of the steps that are swept over, in order.
    #[inline(always)]
    pub(super) fn segments<W: Way<Real = R>>(
        &self,
    ) -> impl DoubleEndedIterator<Item = Range<usize>> + Clone + use<W, R> {
        segments::ranges::<R>(self.first..self.end, W::input_row(self.shape))
    }
}
