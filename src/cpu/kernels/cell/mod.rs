//! The sweeps over a layer whose rows step together: recurrent, bounded, modulated, or by a rule that no row follows alone.
//!
//! Going forward, a state is kept every so many steps; going back, the steps between two of them are replayed.

mod backward;
mod episodes;
mod forward;
mod lanes;
mod update;

pub(crate) use backward::backward;
pub(crate) use episodes::{bring_modulator_gradient, bring_state, take_modulators, take_state};
pub(crate) use forward::forward;

use crate::cpu::cells::Cell;
use crate::number::{Lanes as _, Pair, Real};
use lanes::Lanes;
use pulp::Simd;

/// What a block has, and zero in the lanes that have no row.
#[inline(always)]
fn mask_of<S: Simd, R: Real>(cell: &Cell<'_>, block: usize, value: Pair<S, R>) -> Pair<S, R> {
    let rows = cell.rows_of(block);
    if rows == cell.rows {
        return value;
    }
    let mut value = value;
    R::elements_mut::<S>(&mut value.vectors)[rows..].fill(R::zero());
    value
}

/// The sum over all rows of each episode, in every lane that the episode has, from the sum over blocks.
#[inline(always)]
fn total<L: Lanes>(
    lanes: L,
    cell: &Cell<'_>,
    sum: Pair<L::Simd, L::Real>,
) -> Pair<L::Simd, L::Real> {
    match cell.rows {
        1 => sum,
        _ => lanes.constant(L::Real::sum_lanes(
            lanes.simd(),
            sum.vectors[0],
            sum.vectors[1],
        )),
    }
}

/// Adds `from` to `to`, element by element.
fn add_all<R: Real>(to: &mut [R], from: &[R]) {
    for (to, &from) in crate::zip::zip_eq(to, from) {
        *to += from;
    }
}
