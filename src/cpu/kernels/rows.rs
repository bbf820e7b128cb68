//! Rows of a layer, or blocks of them, and how a sweep goes through them. Where no rows lie along the lanes of vectors, each is a
//! block of its own: what is said here of rows is said of blocks.

use super::way::Way;
use crate::cpu::along::ScratchSize;
use std::ops::Range;

/// Consecutive rows of `N` arrays that have one row for each postsynaptic neuron, or block of them; an array that is empty has empty rows.
pub(super) struct RowsMut<'a, R, const N: usize> {
    /// Number of the first row in its layer.
    pub first: usize,
    pub count: usize,
    pub arrays: [&'a mut [R]; N],
    /// Elements of a row of each.
    sizes: [usize; N],
}

impl<'a, R, const N: usize> RowsMut<'a, R, N> {
    /// All `count` rows of a layer.
    pub fn new(count: usize, arrays: [&'a mut [R]; N]) -> Self {
        let sizes = arrays.each_ref().map(|array| array.len() / count);
        Self {
            first: 0,
            count,
            arrays,
            sizes,
        }
    }

    /// Takes the first `count` rows off, or as many as there are.
    #[inline(always)]
    pub fn split_rows(&mut self, count: usize) -> Option<Self> {
        let count = count.min(self.count);
        if count == 0 {
            return None;
        }
        let sizes = self.sizes;
        let arrays = std::array::from_fn(|k| {
            let part = self.arrays[k].split_off_mut(..count * sizes[k]);
            part.expect("arrays have all rows")
        });
        let rows = Self {
            first: self.first,
            count,
            arrays,
            sizes,
        };
        self.first += count;
        self.count -= count;
        Some(rows)
    }

    /// The chunks of a layer's rows, of so many each.
    pub fn chunks(mut self, size: usize) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || self.split_rows(size))
    }

    #[inline(always)]
    pub fn reborrow(&mut self) -> RowsMut<'_, R, N> {
        RowsMut {
            first: self.first,
            count: self.count,
            arrays: self.arrays.each_mut().map(|array| &mut **array),
            sizes: self.sizes,
        }
    }
}

/// What the sweep of one chunk keeps of its rows.
pub(super) struct Scratch<'a, R> {
    pub values: &'a mut [R],
    pub size: ScratchSize,
}

impl<R> Scratch<'_, R> {
    /// The slots of a chunk's rows from number `local` on, in a chunk of `rows`.
    #[inline(always)]
    fn slots(&mut self, local: usize, rows: usize) -> std::slice::ChunksExactMut<'_, R> {
        let first = if self.size.slots < rows { 0 } else { local };
        self.values[first * self.size.slot..].chunks_exact_mut(self.size.slot)
    }

    /// The slot of row `local`.
    #[inline(always)]
    pub fn slot(&mut self, local: usize, rows: usize) -> &mut [R] {
        let mut slots = self.slots(local, rows);
        slots.next().expect("a slot for every row")
    }
}

/// The parts of a layer's scratch for its chunks of rows.
pub(super) fn split_scratch<R>(
    values: &mut [R],
    size: ScratchSize,
) -> impl Iterator<Item = Scratch<'_, R>> {
    let parts = values.chunks_exact_mut(size.elements());
    parts.map(move |values| Scratch { values, size })
}

/// A sweep in which no row needs another one. It holds what all rows share.
pub(super) trait RowSweep<W: Way, const N: usize> {
    /// A row on its way through a segment of steps.
    type Row<'b>
    where
        Self: 'b;

    /// Whether steps are taken from the last to the first.
    const BACKWARDS: bool;

    /// A row, single, before the first step of the segment that is taken.
    fn begin<'b>(
        &'b self,
        row: RowsMut<'b, W::Real, N>,
        scratch: &'b mut [W::Real],
        segment: &Range<usize>,
    ) -> Self::Row<'b>;

    fn step<'b>(&'b self, row: &mut Self::Row<'b>, t: usize);

    /// After the segment.
    fn end<'b>(&'b self, row: Self::Row<'b>, segment: &Range<usize>);
}

/// The most rows that go together.
const MOST: usize = 4;

/// Takes a chunk's rows through a segment of steps.
#[inline(always)]
pub(super) fn sweep<W: Way, T: RowSweep<W, N>, const N: usize>(
    sweep: &T,
    mut rows: RowsMut<'_, W::Real, N>,
    scratch: &mut Scratch<'_, W::Real>,
    segment: Range<usize>,
) {
    const { assert!(W::TOGETHER <= MOST) };
    let (first, count) = (rows.first, rows.count);
    let steps = segment.len();
    let at = |n: usize| match T::BACKWARDS {
        false => segment.start + n,
        true => segment.end - 1 - n,
    };
    while let Some(mut group) = rows.split_rows(W::TOGETHER) {
        let mut slots = scratch.slots(group.first - first, count);
        if W::TOGETHER == 1 {
            let slot = slots.next().expect("a slot for every row");
            let mut row = sweep.begin(group, slot, &segment);
            for n in 0..steps {
                sweep.step(&mut row, at(n));
            }
            sweep.end(row, &segment);
            continue;
        }
        let mut together: [Option<T::Row<'_>>; MOST] = [const { None }; MOST];
        for (place, slot) in together.iter_mut().zip(slots) {
            if let Some(row) = group.split_rows(1) {
                *place = Some(sweep.begin(row, slot, &segment));
            }
        }
        for n in 0..steps {
            for row in together.iter_mut().flatten() {
                sweep.step(row, at(n));
            }
        }
        for row in together.into_iter().flatten() {
            sweep.end(row, &segment);
        }
    }
}
