//! Episodes in and out of the layout that the kernels work in, and one layer's output as the next one's input.

use super::parts::{part, part_mut};
use crate::cpu::along::{Along, MOST_LANES};
use crate::cpu::chunks::CHUNK;
use crate::cpu::shape::Shape;
use crate::cpu::source::Values;
use crate::number::{Kernel, Pair, Real, SQUARE, vectorise};
use crate::zip::zip_eq;
use pulp::Simd;
use std::ops::Range;

/// Takes rows of `columns` elements of each of `count` episodes, `[rows, columns]`, into `[rows, padded, E]`: of one episode
/// that goes by itself, or of as many as there are, with what `empty` says in the other lanes. The padding stays as it is.
pub(crate) fn take_in<R: Real>(
    along: Along,
    from: Values<'_, R>,
    count: usize,
    [columns, padded]: [usize; 2],
    empty: Empty,
    to: &mut [R],
) {
    match (along, from) {
        (Along::Synapses | Along::Rows, Values::Rows { values, .. }) => {
            for (to, from) in zip_eq(to.chunks_exact_mut(padded), values.chunks_exact(columns)) {
                to[..columns].copy_from_slice(from);
            }
        }
        (_, Values::Rows { values, apart }) => vectorise(Interleave {
            from: values,
            apart,
            count,
            empty,
            to,
        }),
        (_, Values::Lanes(values)) => {
            for (to, &value) in zip_eq(to, values) {
                *to = R::from_f64(f64::from(value));
            }
        }
    }
}

/// The inverse of [`take_in`], to where lanes are `apart` elements apart; nothing where there is nowhere to.
pub(crate) fn bring_out<R: Real>(
    along: Along,
    from: &[R],
    count: usize,
    [columns, padded]: [usize; 2],
    (to, apart): (&mut [R], usize),
) {
    match along {
        _ if to.is_empty() => {}
        Along::Synapses | Along::Rows => {
            for (to, from) in zip_eq(to.chunks_exact_mut(columns), from.chunks_exact(padded)) {
                to.copy_from_slice(&from[..columns]);
            }
        }
        Along::Episodes | Along::Networks => vectorise(Deinterleave {
            from,
            count,
            to,
            apart,
        }),
    }
}

/// Takes traces of a layer of each of `count` episodes, `[O, I]`, into `[O, C, W]`, as [`take_in`] takes activities. Where rows
/// lie along the lanes, `empty` says what lanes without a row hold.
pub(crate) fn take_traces_in<R: Real>(
    shape: &Shape,
    from: Values<'_, R>,
    count: usize,
    empty: Empty,
    to: &mut [R],
) {
    let (along, inputs) = (shape.along, shape.inputs);
    match (along, from) {
        (Along::Rows, Values::Rows { values, .. }) => {
            let block = inputs * along.rows::<R>();
            let blocks = zip_eq(values.chunks(block), to.chunks_exact_mut(block));
            for (from, to) in blocks {
                vectorise(Interleave {
                    from,
                    apart: inputs,
                    count: from.len() / inputs,
                    empty,
                    to,
                });
            }
        }
        _ => take_in(
            along,
            from,
            count,
            [inputs, along.columns(shape)],
            empty,
            to,
        ),
    }
}

/// The inverse of [`take_traces_in`], to where episodes are `apart` elements apart; nothing where there is nowhere to.
pub(crate) fn bring_traces_out<R: Real>(
    shape: &Shape,
    from: &[R],
    count: usize,
    (to, apart): (&mut [R], usize),
) {
    let (along, inputs) = (shape.along, shape.inputs);
    match along {
        Along::Rows if !to.is_empty() => {
            let block = inputs * along.rows::<R>();
            for (from, to) in zip_eq(from.chunks_exact(block), to.chunks_mut(block)) {
                vectorise(Deinterleave {
                    from,
                    count: to.len() / inputs,
                    to,
                    apart: inputs,
                });
            }
        }
        _ => bring_out(
            along,
            from,
            count,
            [inputs, along.columns(shape)],
            (to, apart),
        ),
    }
}

/// The `steps` of what a layer's rows have, `[O, room, W]`, to the neurons of a step, `[steps, row, E]`.
pub(crate) fn by_step<R: Real>(
    shape: &Shape,
    (from, room): (&[R], usize),
    steps: Range<usize>,
    (to, row): (&mut [R], usize),
) {
    match shape.along {
        Along::Rows => vectorise(BlocksByStep {
            outputs: shape.outputs,
            from,
            room,
            steps,
            to,
            row,
        }),
        along => vectorise(Transpose {
            along,
            from,
            from_row: room,
            columns: steps,
            to,
            to_row: row,
        }),
    }
}

/// The inverse: the neurons of some steps, `[steps, row, E]`, to the first steps of what a layer's rows have, `[O, room, W]`. Of
/// lanes without a row, `empty` says what they hold.
pub(crate) fn by_row<R: Real>(
    shape: &Shape,
    (from, row): (&[R], usize),
    (to, room): (&mut [R], usize),
    empty: Empty,
) {
    match shape.along {
        Along::Rows => vectorise(BlocksByRow {
            outputs: shape.outputs,
            from,
            row,
            to,
            room,
            empty,
        }),
        along => vectorise(Transpose {
            along,
            from,
            from_row: row,
            columns: 0..shape.outputs,
            to,
            to_row: room,
        }),
    }
}

/// Takes the modulators of some steps, `[steps]` or `[steps, O]` of each of `count` episodes, to each row's, the first steps of
/// `[O, room, W]`. `between` has room for a layer's step by step. Lanes without an episode or a row have the first one's.
pub(crate) fn take_modulators_in<R: Real>(
    (along, shape): (Along, &Shape),
    (from, columns): (Values<'_, R>, usize),
    (count, steps): (usize, usize),
    between: &mut [R],
    (to, room): (&mut [R], usize),
) {
    let (width, beside) = (shape.along.width::<R>(), along.beside::<R>());
    let between = &mut between[..steps * columns * beside];
    take_in(along, from, count, [columns; 2], Empty::First, between);
    if columns == shape.outputs {
        return by_row(shape, (between, columns), (to, room), Empty::First);
    }
    for to in to.chunks_mut(room * width) {
        match width == beside {
            true => to[..between.len()].copy_from_slice(between),
            false => {
                for (to, &value) in to.chunks_exact_mut(width).zip(&*between) {
                    to.fill(value);
                }
            }
        }
    }
}

/// Brings the gradients on some steps' modulators, from each row's, `[O, room, W]`, to `[steps]` or `[steps, O]` of each of `count`
/// episodes: where there is one for all rows, the sum over chunks of them, in order.
pub(crate) fn bring_modulators_out<R: Real>(
    (along, shape): (Along, &Shape),
    (from, room): (&[R], usize),
    between: &mut [R],
    (to, columns): (&mut [R], usize),
    (count, steps): (usize, usize),
) {
    let (outputs, beside) = (shape.outputs, along.beside::<R>());
    let between = &mut between[..steps * outputs * beside];
    by_step(shape, (from, room), 0..steps, (between, outputs));
    if columns < outputs {
        // Each step's sum takes the place of the first rows of an earlier step, or of its own.
        let mut sums = [[R::zero(); MOST_LANES]; 2];
        let [sum, of_chunk] = sums.each_mut().map(|sum| &mut sum[..beside]);
        for t in 0..steps {
            let rows = part(between, t, outputs * beside);
            sum.fill(R::zero());
            for chunk in rows.chunks(CHUNK * beside) {
                of_chunk.fill(R::zero());
                for row in chunk.chunks_exact(beside) {
                    zip_eq(&mut *of_chunk, row).for_each(|(sum, &value)| *sum += value);
                }
                zip_eq(&mut *sum, &*of_chunk).for_each(|(sum, &value)| *sum += value);
            }
            part_mut(between, t, beside).copy_from_slice(sum);
        }
    }
    let between = &between[..steps * columns * beside];
    let apart = steps * columns;
    bring_out(along, between, count, [columns; 2], (to, apart));
}

/// Columns of a tile that stays in the nearest cache.
const TILE: usize = 256;

/// What lanes without an episode hold.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Empty {
    /// What the first lane holds: they do what its episode does, and go beyond every number only if it does.
    First,
    /// Zeros: gradients that nothing comes of.
    Zero,
}

/// `count` rows of `size` elements, `apart` elements apart, to `[size, W]`: a kernel, for its vectors.
pub(crate) struct Interleave<'a, R> {
    pub from: &'a [R],
    pub apart: usize,
    pub count: usize,
    /// The lanes from `count` on.
    pub empty: Empty,
    pub to: &'a mut [R],
}

impl<R: Real> Kernel for Interleave<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = R::pair_width::<S>();
        let whole = self.count / SQUARE * SQUARE;
        for (tile, to) in self.to.chunks_mut(TILE * width).enumerate() {
            let columns = to.len() / width;
            let row = |n: usize| &self.from[n * self.apart + tile * TILE..][..columns];
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

/// `[size, W]` to `count` rows, `apart` elements apart: the inverse of [`Interleave`].
pub(crate) struct Deinterleave<'a, R> {
    pub from: &'a [R],
    pub count: usize,
    pub to: &'a mut [R],
    pub apart: usize,
}

impl<R: Real> Kernel for Deinterleave<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = R::pair_width::<S>();
        let whole = self.count / SQUARE * SQUARE;
        for (tile, from) in self.from.chunks(TILE * width).enumerate() {
            let columns = from.len() / width;
            let at = |n: usize| n * self.apart + tile * TILE;
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
                let to = self.to[at(lane)..][..columns].iter_mut();
                for (to, from) in to.zip(from.chunks_exact(width)) {
                    *to = from[lane];
                }
            }
        }
    }
}

struct Transpose<'a, R> {
    along: Along,
    from: &'a [R],
    from_row: usize,
    columns: Range<usize>,
    to: &'a mut [R],
    to_row: usize,
}

impl<R: Real> Kernel for Transpose<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        // Widths that are known when this is compiled.
        match self.along {
            Along::Synapses | Along::Rows => self.of_width(1),
            Along::Episodes | Along::Networks => self.of_width(R::pair_width::<S>()),
        }
    }
}

impl<R: Real> Transpose<'_, R> {
    #[inline(always)]
    fn of_width(self, width: usize) {
        // A tile of columns at a time goes to as many pages of memory as the processor knows at once.
        let Range { start, end } = self.columns;
        for first in (start..end).step_by(TILE) {
            let last = (first + TILE).min(end);
            for (i, from) in self.from.chunks_exact(self.from_row * width).enumerate() {
                let tile = from[first * width..last * width].chunks_exact(width);
                for (k, from) in (first - start..).zip(tile) {
                    part_mut(self.to, k * self.to_row + i, width).copy_from_slice(from);
                }
            }
        }
    }
}

/// What blocks of rows have, `[blocks, room, W]`, to the rows of each step, `[steps, row]`.
struct BlocksByStep<'a, R> {
    outputs: usize,
    from: &'a [R],
    room: usize,
    steps: Range<usize>,
    to: &'a mut [R],
    row: usize,
}

impl<R: Real> Kernel for BlocksByStep<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = R::pair_width::<S>();
        for (block, from) in self.from.chunks_exact(self.room * width).enumerate() {
            let count = width.min(self.outputs - block * width);
            for (t, to) in self.steps.clone().zip(self.to.chunks_exact_mut(self.row)) {
                let (from, to) = (part(from, t, width), &mut to[block * width..]);
                if count == width {
                    // Vectors, not a call of a function that copies.
                    Pair::load(simd, from).store(to);
                } else {
                    to[..count].copy_from_slice(&from[..count]);
                }
            }
        }
    }
}

/// The rows of each step, `[T, row]`, to what blocks of them have, `[blocks, room, W]`.
struct BlocksByRow<'a, R> {
    outputs: usize,
    from: &'a [R],
    row: usize,
    to: &'a mut [R],
    room: usize,
    /// In lanes without a row.
    empty: Empty,
}

impl<R: Real> Kernel for BlocksByRow<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = R::pair_width::<S>();
        for (block, to) in self.to.chunks_mut(self.room * width).enumerate() {
            let count = width.min(self.outputs - block * width);
            let steps = self.from.chunks_exact(self.row);
            for (from, to) in steps.zip(to.chunks_exact_mut(width)) {
                let from = &from[block * width..];
                if count == width {
                    Pair::load(simd, from).store(to);
                } else {
                    to[..count].copy_from_slice(&from[..count]);
                    to[count..].fill(match self.empty {
                        Empty::First => from[0],
                        Empty::Zero => R::zero(),
                    });
                }
            }
        }
    }
}

/// `[size]` to one lane of `to`, `[size, width]`.
#[inline(always)]
pub(crate) fn put_lane<R: Copy>(from: &[R], to: &mut [R], width: usize, lane: usize) {
    for (to, &from) in zip_eq(to.chunks_exact_mut(width), from) {
        to[lane] = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::pair_width;

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
                    apart: size,
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
                    apart: size,
                });
                assert_eq!(back, rows.concat(), "{size}, {count} rows");
            }
        }
    }

    #[test]
    fn interleaving_can_be_undone() {
        rows_come_back::<f32>();
        rows_come_back::<f64>();
    }
}
