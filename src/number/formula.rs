//! The trait of numbers that formulas are written over.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A computation for [`Number::apart`].
#[doc(hidden)]
pub trait Apart<N> {
    /// What it computes: numbers.
    type Result;

    /// Its result; always inlined.
    fn compute(self) -> Self::Result;
}

/// What rules and activations are formulas of: one number, or one in each lane of a vector.
pub trait Number:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// `value`, in every lane that `self` has.
    fn constant(self, value: f64) -> Self;

    /// `tanh`, to six units in the last place.
    fn hyperbolic_tangent(self) -> Self;

    /// `exp`.
    fn exponential(self) -> Self;

    /// The natural logarithm.
    fn logarithm(self) -> Self;

    /// The square root.
    fn square_root(self) -> Self;

    /// What `work` computes, in code that is there once for each kind of number, not wherever it is called.
    #[doc(hidden)]
    fn apart<W: Apart<Self>>(self, work: W) -> W::Result {
        work.compute()
    }

    /// `then` where `self < bound`, `otherwise` elsewhere: also where one of the two is NaN.
    fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self;
}

/// What the CPU engine needs of a number beside formulas.
pub trait EngineNumber: Number {
    /// `self · b + c`, rounded once where the processor does that in one instruction for vectors.
    fn product_plus(self, b: Self, c: Self) -> Self;

    /// `self · b + c`, always rounded once.
    fn fused_product_plus(self, b: Self, c: Self) -> Self;

    /// Whether `self < bound`, in some lane where there are several; a lane that is NaN hides no other.
    fn is_somewhere_less(self, bound: Self) -> bool;
}
