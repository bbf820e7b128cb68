//! What episodes are given, in the layout of blocks, and results on their way back.

use crate::cpu::cells::Cell;
use crate::cpu::kernels::Empty;
use crate::cpu::source::Values;
use crate::number::Real;

/// Where element `j` of row `i` of lane `n` lies in `[blocks, columns, L]`.
fn at(cell: &Cell<'_>, [i, j, n]: [usize; 3], columns: usize) -> usize {
    match cell.rows {
        1 => (i * columns + j) * cell.lanes + n,
        rows => (i / rows * columns + j) * cell.lanes + i % rows,
    }
}

/// An episode's elements, which it has in its lane or in all of them. Where there is no such episode, the first one's, or none.
fn of_lane<'a, R>(
    from: &Values<'a, R>,
    lane: usize,
    count: usize,
    empty: Empty,
) -> Option<&'a [R]> {
    let Values::Rows { values, apart } = from else {
        unreachable!("tasks give inputs and targets");
    };
    match (lane < count, empty) {
        (true, _) => Some(&values[lane * apart..]),
        (false, Empty::First) => Some(values),
        (false, Empty::Zero) => None,
    }
}

/// Takes `[O, columns]` of each of `count` episodes to `[blocks, columns, L]`. Rows and episodes that there are not have the
/// first one's values, or none.
pub(crate) fn take_state<R: Real>(
    cell: &Cell<'_>,
    from: Values<'_, R>,
    count: usize,
    columns: usize,
    empty: Empty,
    to: &mut [R],
) {
    to.fill(R::zero());
    for n in 0..cell.episodes() {
        let Some(from) = of_lane(&from, n, count, empty) else {
            continue;
        };
        for (i, source) in cell.filled_rows() {
            for j in 0..columns {
                let is_there = i == source || matches!(empty, Empty::First);
                if is_there {
                    to[at(cell, [i, j, n], columns)] = from[source * columns + j];
                }
            }
        }
    }
}

/// The inverse of [`take_state`], to where episodes are `apart` elements apart.
pub(crate) fn bring_state<R: Real>(
    cell: &Cell<'_>,
    from: &[R],
    count: usize,
    columns: usize,
    (to, apart): (&mut [R], usize),
) {
    for n in 0..count {
        let to = &mut to[n * apart..];
        for i in 0..cell.outputs {
            for j in 0..columns {
                to[i * columns + j] = from[at(cell, [i, j, n], columns)];
            }
        }
    }
}

/// Takes the modulators of some steps, `[T]` or `[T, O]` of each episode, to `[T, blocks, L]`.
pub(crate) fn take_modulators<R: Real>(
    cell: &Cell<'_>,
    from: Values<'_, R>,
    count: usize,
    to: &mut [R],
) {
    let columns = match cell.is_fanned_out() {
        true => cell.outputs,
        false => 1,
    };
    for n in 0..cell.episodes() {
        let from = of_lane(&from, n, count, Empty::First).expect("the first is there");
        let steps = to.chunks_exact_mut(cell.values());
        for (to, from) in steps.zip(from.chunks(columns)) {
            for (i, source) in cell.filled_rows() {
                to[at(cell, [i, 0, n], 1)] = from[if columns == 1 { 0 } else { source }];
            }
        }
    }
}

/// The gradient on the modulators of `steps` steps, from that of each row, `[T, blocks, L]`, to `[T]` or `[T, O]`.
pub(crate) fn bring_modulator_gradient<R: Real>(
    cell: &Cell<'_>,
    from: &[R],
    (count, steps): (usize, usize),
    to: &mut [R],
) {
    let columns = match cell.is_fanned_out() {
        true => cell.outputs,
        false => 1,
    };
    for (n, to) in to.chunks_exact_mut(steps * columns).enumerate().take(count) {
        let rows = from.chunks_exact(cell.values());
        for (to, from) in to.chunks_exact_mut(columns).zip(rows) {
            to.fill(R::zero());
            for i in 0..cell.outputs {
                to[if columns == 1 { 0 } else { i }] += from[at(cell, [i, 0, n], 1)];
            }
        }
    }
}
