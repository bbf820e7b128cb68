//! A group of episodes along the lanes of a pair of vectors, and the few loops over one row of synapses.

use crate::Real;
use crate::cpu::EPISODE_BLOCK;
use crate::cpu::layers::Shape;
use crate::cpu::simd::{Kernel, pair_width};
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

/// `Σ_j a_j x_j` in each episode: `a` is `[I]`, `x` `[I, W]`.
#[inline(always)]
pub(super) fn dot<S: Simd, R: Real>(simd: S, a: &[R], x: &[R]) -> [R::Vector<S>; 2] {
    let mut sum = [R::splat(simd, R::zero()); 2];
    for (&a, x) in a.iter().zip(R::pairs::<S>(x)) {
        let a = R::splat(simd, a);
        for k in 0..2 {
            sum[k] = R::multiply_add(simd, a, x[k], sum[k]);
        }
    }
    sum
}

/// `y_j += a x_j` in each episode: `a` is `[W]`, `x` and `y` are `[I, W]`.
#[inline(always)]
pub(super) fn add_scaled<S: Simd, R: Real>(simd: S, a: &[R], x: &[R], y: &mut [R]) {
    let a = R::pairs::<S>(a)[0];
    for (y, x) in R::pairs_mut::<S>(y).iter_mut().zip(R::pairs::<S>(x)) {
        for k in 0..2 {
            y[k] = R::multiply_add(simd, a[k], x[k], y[k]);
        }
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

/// A group's values of one row and step, in an array of its own: compilers can tell that it overlaps no other, and make
/// vectors of the loops over it.
#[inline(always)]
pub(super) fn load<S: Simd, R: Real>(values: &[R]) -> [R; BLOCK] {
    let width = R::pair_width::<S>();
    let mut lanes = [R::zero(); BLOCK];
    lanes[..width].copy_from_slice(&values[..width]);
    lanes
}

/// Rows that are interleaved at a time; compilers know how to do four.
const STRANDS: usize = 4;

/// `[width, size]` to `[size, width]`: a kernel, for its vectors.
pub(super) struct Interleave<'a, R> {
    pub from: &'a [R],
    pub to: &'a mut [R],
    pub width: usize,
}

impl<R: Real> Kernel for Interleave<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { from, to, width } = self;
        let size = from.len() / width;
        let strands = STRANDS.min(width);
        // Tiles that stay in the nearest cache; `braid` holds four rows of one, interleaved.
        let mut braid = [R::zero(); STRANDS * TILE];
        for (tile, to) in to.chunks_mut(TILE * width).enumerate() {
            let columns = to.len() / width;
            for first in (0..width).step_by(strands) {
                let row = |n: usize| &from[(first + n) * size + tile * TILE..][..columns];
                if strands == STRANDS {
                    let rows = [row(0), row(1), row(2), row(3)];
                    for (k, four) in braid.as_chunks_mut::<STRANDS>().0[..columns]
                        .iter_mut()
                        .enumerate()
                    {
                        *four = [rows[0][k], rows[1][k], rows[2][k], rows[3][k]];
                    }
                } else {
                    for n in 0..strands {
                        for (k, &value) in row(n).iter().enumerate() {
                            braid[k * strands + n] = value;
                        }
                    }
                }
                let braided = braid.chunks_exact(strands);
                for (to, four) in to.chunks_exact_mut(width).zip(braided) {
                    to[first..first + strands].copy_from_slice(four);
                }
            }
        }
    }
}

/// `[size, width]` to `[width, size]`, the inverse of [`Interleave`].
pub(super) struct Deinterleave<'a, R> {
    pub from: &'a [R],
    pub to: &'a mut [R],
    pub width: usize,
}

impl<R: Real> Kernel for Deinterleave<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { from, to, width } = self;
        let size = from.len() / width;
        for (tile, from) in from.chunks(TILE * width).enumerate() {
            for lane in 0..width {
                let row = &mut to[lane * size + tile * TILE..];
                for (to, from) in row.iter_mut().zip(from.chunks_exact(width)) {
                    *to = from[lane];
                }
            }
        }
    }
}

/// Columns of a tile of the two.
const TILE: usize = 64;

/// `[size]` to one lane of `to`, `[size, width]`.
pub(super) fn put_lane<R: Copy>(from: &[R], to: &mut [R], width: usize, lane: usize) {
    for (to, &from) in to.chunks_exact_mut(width).zip(from) {
        to[lane] = from;
    }
}

/// One lane of `from`, `[size, width]`, to `[size]`.
pub(super) fn take_lane<R: Copy>(from: &[R], width: usize, lane: usize, to: &mut [R]) {
    for (to, from) in to.iter_mut().zip(from.chunks_exact(width)) {
        *to = from[lane];
    }
}
