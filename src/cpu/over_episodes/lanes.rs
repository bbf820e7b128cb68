//! A group of episodes along the lanes of a pair of vectors, and the few loops over one row of synapses.

use crate::Real;
use crate::cpu::EPISODE_BLOCK;
use crate::cpu::layers::Shape;
use crate::cpu::simd::{Kernel, Pair, pair_width};
use pulp::Simd;

/// The most episodes of a group.
pub(super) const BLOCK: usize = EPISODE_BLOCK;

/// Scratch rows of a chunk: the adjoint trace and two gradients.
pub(super) const SCRATCH: usize = 3;

/// Elements of a row of synapses, `[I, W]`.
pub(super) fn row<R: Real>(shape: &Shape) -> usize {
    shape.inputs * pair_width::<R>()
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
    for (&a, &x) in a.iter().zip(R::pairs::<S>(x)) {
        sum = Pair::new(simd, x).multiply_add(sum.splat(a), sum);
    }
    sum
}

/// `y_j += a x_j` in each episode: `x` and `y` are `[I, W]`.
#[inline(always)]
pub(super) fn add_scaled<S: Simd, R: Real>(simd: S, a: Pair<S, R>, x: &[R], y: &mut [R]) {
    for (y, &x) in R::pairs_mut::<S>(y).iter_mut().zip(R::pairs::<S>(x)) {
        *y = a
            .multiply_add(Pair::new(simd, x), Pair::new(simd, *y))
            .vectors;
    }
}

/// `sums_j += Σ_e values_je` over the first `count` episodes: `sums` is `[I]`, `values` `[I, W]`.
#[inline(always)]
pub(super) fn add_over_episodes<S: Simd, R: Real>(
    simd: S,
    values: &mut [R],
    count: usize,
    sums: &mut [R],
) {
    let width = R::pair_width::<S>();
    if count < width {
        for lanes in values.chunks_exact_mut(width) {
            lanes[count..].fill(R::zero());
        }
    }
    for (sum, lanes) in sums.iter_mut().zip(R::pairs::<S>(values)) {
        *sum += R::sum_lanes(simd, lanes[0], lanes[1]);
    }
}

/// Rows that are interleaved at a time: four make one short vector.
const STRANDS: usize = 4;

/// Columns of a tile that stays in the nearest cache.
const TILE: usize = 256;

/// `W` rows of `size` elements to `[size, W]`: a kernel, for its vectors.
pub(super) struct Interleave<'a, R> {
    pub from: &'a [&'a [R]],
    pub to: &'a mut [R],
}

impl<R: Real> Kernel for Interleave<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let width = R::pair_width::<S>();
        for (tile, to) in self.to.chunks_mut(TILE * width).enumerate() {
            let columns = to.len() / width;
            let row = |n: usize| &self.from[n][tile * TILE..][..columns];
            let whole = width / STRANDS * STRANDS;
            for first in (0..whole).step_by(STRANDS) {
                let rows = [row(first), row(first + 1), row(first + 2), row(first + 3)];
                let squares = rows.map(|row| row.as_chunks::<STRANDS>().0);
                let mut tiles = to.chunks_exact_mut(STRANDS * width);
                for (square, to) in tiles.by_ref().enumerate() {
                    // Four elements of four rows: compilers see a transposition of short vectors.
                    let [a, b, c, d] = squares.map(|rows| rows[square]);
                    let to = &mut to[first..][..(STRANDS - 1) * width + STRANDS];
                    for k in 0..STRANDS {
                        let four = [a[k], b[k], c[k], d[k]];
                        to[k * width..][..STRANDS].copy_from_slice(&four);
                    }
                }
                let rest = tiles.into_remainder().chunks_exact_mut(width);
                for (k, to) in (columns / STRANDS * STRANDS..).zip(rest) {
                    to[first..][..STRANDS].copy_from_slice(&rows.map(|row| row[k]));
                }
            }
            for lane in whole..width {
                put_lane(row(lane), to, width, lane);
            }
        }
    }
}

/// `[size, W]` to `[count, size]`: the inverse of [`Interleave`] for the first lanes.
pub(super) struct Deinterleave<'a, R> {
    pub from: &'a [R],
    pub to: &'a mut [R],
}

impl<R: Real> Kernel for Deinterleave<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let width = R::pair_width::<S>();
        let size = self.from.len() / width;
        for (tile, from) in self.from.chunks(TILE * width).enumerate() {
            for (lane, row) in self.to.chunks_exact_mut(size).enumerate() {
                take_lane(from, width, lane, &mut row[tile * TILE..]);
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
        for (i, from) in self.from.chunks_exact(self.columns * width).enumerate() {
            for (k, from) in from.chunks_exact(width).enumerate() {
                of_mut(self.to, k * rows + i, width).copy_from_slice(from);
            }
        }
    }
}

/// `[size]` to one lane of `to`, `[size, width]`.
#[inline(always)]
pub(super) fn put_lane<R: Copy>(from: &[R], to: &mut [R], width: usize, lane: usize) {
    for (to, &from) in to.chunks_exact_mut(width).zip(from) {
        to[lane] = from;
    }
}

/// One lane of `from`, `[size, width]`, to `[size]`.
#[inline(always)]
pub(super) fn take_lane<R: Copy>(from: &[R], width: usize, lane: usize, to: &mut [R]) {
    for (to, from) in to.iter_mut().zip(from.chunks_exact(width)) {
        *to = from[lane];
    }
}
