//! The sweeps over one layer, each written once: over a [`Way`](way::Way) to fill a vector, a plasticity rule and a precision.
//!
//! Every loop nest is compiled once per instruction set, so everything beneath [`way::run`] and
//! [`vectorise`](crate::number::vectorise) is inlined: code that is left by itself, closures included, would be compiled
//! without the instruction set.

mod backward;
pub(super) mod cell;
mod compensated;
mod forward;
mod input_gradient;
mod lookback;
mod neurons;
mod objective;
mod parts;
mod pass;
mod rows;
mod transpose;
mod way;
mod weight_gradient;

pub(super) use backward::backward;
pub(super) use forward::forward;
pub(super) use input_gradient::input_gradient;
pub(super) use objective::Objective;
pub(super) use pass::Pass;
pub(super) use transpose::{
    Deinterleave, Empty, Interleave, bring_modulators_out, bring_out, bring_traces_out, by_row,
    by_step, take_in, take_modulators_in, take_traces_in,
};
