//! A group of episodes along the lanes of a pair of vectors, and the few loops over one row of synapses.

use crate::cpu::layers::Shape;
use crate::cpu::segments;
use crate::number::Real;
use crate::number::{Kernel, Pair, SQUARE, pair_width};
use crate::zip::zip_eq;
use pulp::Simd;

/// The most episodes of a group: `f32` with AVX-512.
pub(super) const MOST: usize = 32;

/// Rows of synapses that the reverse sweep keeps: the adjoint trace and the gradient by plasticity.
pub(super) const KEPT: usize = 2;

/// What the reverse sweep keeps of a row beside its synapses.
pub(super) const STATE: usize = 6;

/// Elements of a row of synapses, `[I, W]`.
pub(super) fn row<R: Real>(shape: &Shape) -> usize {
    shape.inputs * pair_width::<R>()
}

/// Elements of scratch for one row of the layer in each episode: `[KEPT, I]`, then `[STATE]`.
pub(super) fn scratch_row(inputs: usize) -> usize {
    KEPT * inputs + STATE
}

/// Elements of scratch for one chunk of rows: for every row where it waits for the next segment of steps, or for one.
pub(super) fn scratch<R: Real>(shape: &Shape, steps: usize) -> usize {
    let rows = segments::waiting::<R>(shape.outputs, steps, row::<R>(shape));
    rows.max(1) * scratch_row(shape.inputs) * pair_width::<R>()
}

/// The part of a chunk's scratch for its row number `local`.
#[inline(always)]
pub(super) fn of_waiting<R>(
    scratch: &mut [R],
    local: usize,
    inputs: usize,
    width: usize,
) -> &mut [R] {
    let size = scratch_row(inputs) * width;
    let at = if scratch.len() == size { 0 } else { local };
    of_mut(scratch, at, size)
}

/// Part `index` of `values`, `[…, size]`.
#[inline(always)]
pub(super) fn of<R>(values: &[R], index: usize, size: usize) -> &[R] {
    &values[index * size..][..size]
}

/// Part `index` of `values`, `[…, size]`, to be changed.
#[inline(always)]
pub(super) fn of_mut<R>(values: &mut [R], index: usize, size: usize) -> &mut [R] {
    &mut values[index * size..][..size]
}

/// Row `i` of `values`, `[O, row]`, without its padding.
#[inline(always)]
pub(super) fn of_row<'a, R>(values: &'a [R], i: usize, shape: &Shape) -> &'a [R] {
    &values[i * shape.row..][..shape.inputs]
}

/// `Σ_j a_j x_j` in each episode: `a` is `[I]`, `x` `[I, W]`.
#[inline(always)]
pub(super) fn dot<S: Simd, R: Real>(simd: S, a: &[R], x: &[R]) -> Pair<S, R> {
    let mut sum = Pair::new(simd, [R::splat(simd, R::zero()); 2]);
    for (&a, &x) in zip_eq(a, R::pairs::<S>(x)) {
        sum = Pair::new(simd, x).multiply_add(sum.splat(a), sum);
    }
    sum
}

/// `sums_j += Σ_e values_je` over the first `count` episodes: `sums` is `[I]`, `values` `[I, W]`.
#[inline(always)]
pub(super) fn add_over_episodes<S: Simd, R: Real>(
    simd: S,
    values: &[R],
    count: usize,
    sums: &mut [R],
) {
    for (sum, &lanes) in zip_eq(sums, R::pairs::<S>(values)) {
        let mut lanes = lanes;
        if count < R::pair_width::<S>() {
            R::elements_mut::<S>(&mut lanes)[count..].fill(R::zero());
        }
        *sum += R::sum_lanes(simd, lanes[0], lanes[1]);
    }
}

/// Columns of a tile that stays in the nearest cache.
const TILE: usize = 256;

/// What lanes without an episode hold.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Empty {
    /// What the first lane holds: they do what its episode does, and go beyond every number only if it does.
    First,
    /// Zeros: gradients that nothing comes of.
    Zero,
}

/// `[count, size]` to `[size, W]`: a kernel, for its vectors.
pub(super) struct Interleave<'a, R> {
    pub from: &'a [R],
    pub count: usize,
    /// The lanes from `count` on.
    pub empty: Empty,
    pub to: &'a mut [R],
}

impl<R: Real> Kernel for Interleave<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = R::pair_width::<S>();
        let size = self.from.len() / self.count;
        let whole = self.count / SQUARE * SQUARE;
        for (tile, to) in self.to.chunks_mut(TILE * width).enumerate() {
            let columns = to.len() / width;
            let row = |n: usize| &self.from[n * size + tile * TILE..][..columns];
            for first in (0..whole).step_by(SQUARE) {
                let rows: [&[R]; SQUARE] = std::array::from_fn(|n| row(first + n));
                let squares = rows.map(|row| row.as_chunks::<SQUARE>().0);
                let mut tiles = to.chunks_exact_mut(SQUARE * width);
                for (square, to) in tiles.by_ref().enumerate() {
                    let mut rows = [[R::zero(); SQUARE]; SQUARE];
                    for (row, squares) in rows.iter_mut().zip(&squares) {
                        *row = squares[square];
                    }
                    let columns = R::transposed(simd, rows);
                    for (to, column) in to.chunks_exact_mut(width).zip(&columns) {
                        to[first..first + SQUARE].copy_from_slice(column);
                    }
                }
                let rest = tiles.into_remainder().chunks_exact_mut(width);
                for (k, to) in (columns / SQUARE * SQUARE..).zip(rest) {
                    to[first..first + SQUARE].copy_from_slice(&rows.map(|row| row[k]));
                }
            }
            for lane in whole..self.count {
                put_lane(row(lane), to, width, lane);
            }
            if self.count < width {
                for to in to.chunks_exact_mut(width) {
                    let value = match self.empty {
                        Empty::First => to[0],
                        Empty::Zero => R::zero(),
                    };
                    to[self.count..].fill(value);
                }
            }
        }
    }
}

/// `[size, W]` to `[count, size]`: the inverse of [`Interleave`].
pub(super) struct Deinterleave<'a, R> {
    pub from: &'a [R],
    pub count: usize,
    pub to: &'a mut [R],
}

impl<R: Real> Kernel for Deinterleave<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = R::pair_width::<S>();
        let size = self.from.len() / width;
        let whole = self.count / SQUARE * SQUARE;
        for (tile, from) in self.from.chunks(TILE * width).enumerate() {
            let columns = from.len() / width;
            let at = |n: usize| n * size + tile * TILE;
            for first in (0..whole).step_by(SQUARE) {
                let tiles = from.chunks_exact(SQUARE * width);
                let rest = tiles.remainder().chunks_exact(width);
                for (square, from) in tiles.enumerate() {
                    let mut columns = [[R::zero(); SQUARE]; SQUARE];
                    for (column, from) in columns.iter_mut().zip(from.chunks_exact(width)) {
                        column.copy_from_slice(&from[first..first + SQUARE]);
                    }
                    for (n, row) in R::transposed(simd, columns).iter().enumerate() {
                        self.to[at(first + n) + square * SQUARE..][..SQUARE].copy_from_slice(row);
                    }
                }
                for (k, from) in (columns / SQUARE * SQUARE..).zip(rest) {
                    for (n, &value) in from.iter().enumerate().skip(first).take(SQUARE) {
                        self.to[at(n) + k] = value;
                    }
                }
            }
            for lane in whole..self.count {
                let to = self.to[at(lane)..].iter_mut();
                for (to, from) in to.zip(from.chunks_exact(width)) {
                    *to = from[lane];
                }
            }
        }
    }
}

/// `[rows, columns, W]` to `[columns, rows, W]`.
pub(super) struct Transpose<'a, R> {
    pub from: &'a [R],
    pub columns: usize,
    pub to: &'a mut [R],
}

impl<R: Real> Kernel for Transpose<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let width = R::pair_width::<S>();
        let rows = self.from.len() / (self.columns * width);
        // A tile of columns at a time goes to as many pages of memory as the processor knows at once.
        for first in (0..self.columns).step_by(TILE) {
            let last = (first + TILE).min(self.columns);
            for (i, from) in self.from.chunks_exact(self.columns * width).enumerate() {
                let tile = from[first * width..last * width].chunks_exact(width);
                for (k, from) in (first..).zip(tile) {
                    of_mut(self.to, k * rows + i, width).copy_from_slice(from);
                }
            }
        }
    }
}

/// `[size]` to one lane of `to`, `[size, width]`.
#[inline(always)]
pub(super) fn put_lane<R: Copy>(from: &[R], to: &mut [R], width: usize, lane: usize) {
    for (to, &from) in zip_eq(to.chunks_exact_mut(width), from) {
        to[lane] = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::vectorise;

    fn rows_come_back<R: Real>() {
        let width = pair_width::<R>();
        for size in [1, 7, 8, 9, 33, TILE - 1, TILE, 2 * TILE + 11] {
            let number = |lane: usize, at: usize| R::from_f64((1000 * lane + at) as f64);
            let rows: Vec<Vec<R>> = (0..width)
                .map(|lane| (0..size).map(|at| number(lane, at)).collect())
                .collect();
            // Some pairs of vectors are narrower than a square.
            let counts = [1, SQUARE.min(width), width - 1, width];
            for (count, empty) in counts
                .map(|count| (count, Empty::Zero))
                .into_iter()
                .chain([(1.max(width / 2 - 1), Empty::First)])
            {
                let rows = &rows[..count];
                let mut interleaved = vec![R::nan(); size * width];
                vectorise(Interleave {
                    from: &rows.concat(),
                    count,
                    empty,
                    to: &mut interleaved,
                });
                for (k, value) in interleaved.iter().enumerate() {
                    let lane = k % width;
                    let expected = match rows.get(lane) {
                        Some(row) => row[k / width],
                        None if empty == Empty::First => rows[0][k / width],
                        None => R::zero(),
                    };
                    assert_eq!(*value, expected, "{size}, {count} rows: {k}");
                }
                let mut back = vec![R::nan(); count * size];
                vectorise(Deinterleave {
                    from: &interleaved,
                    count,
                    to: &mut back,
                });
                assert_eq!(back, rows.concat(), "{size}, {count} rows");
            }
        }
    }

    #[test]
    fn interleaved_rows_come_back() {
        rows_come_back::<f32>();
        rows_come_back::<f64>();
    }
}
