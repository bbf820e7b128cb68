//! The two floating-point types that the CPU engine computes in.

use super::exponential::{exponential, logarithm};
use super::formula::{Apart, EngineNumber, Number};
use super::lanes::Lanes;
use super::pair::Pair;
use super::tanh::rational_hyperbolic_tangent;
use num_traits::{Float, NumAssign};
use pulp::{NullaryFnOnce, Simd};
use std::iter::Sum;
use std::marker::PhantomData;

/// A floating-point type of the engines: `f32` or `f64`. No other type can implement it.
pub trait Real:
    EngineNumber
    + Lanes
    + Float
    + NumAssign
    + bytemuck::Pod
    + Sum
    + Default
    + Send
    + Sync
    + std::fmt::Debug
    + std::fmt::Display
    + 'static
{
    /// The type's name: `"f32"` or `"f64"`.
    const NAME: &'static str;

    /// The nearest value to `value`.
    fn from_f64(value: f64) -> Self;

    /// The value as `f64`, exactly.
    fn as_f64(self) -> f64;

    /// `tanh` in each lane.
    #[doc(hidden)]
    fn tangents<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self>;

    /// `exp` in each lane.
    #[doc(hidden)]
    fn exponentials<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self>;

    /// The natural logarithm in each lane.
    #[doc(hidden)]
    fn logarithms<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self>;

    /// Of what there is for either precision, that for this one.
    #[doc(hidden)]
    fn choose<T: PerPrecision>(single: T::Of<f32>, double: T::Of<f64>) -> T::Of<Self>;
}

/// Something that there is for `f32` and for `f64`: functions, say, so that a generic one only chooses between two that are
/// compiled in this crate, and a user's program compiles neither.
#[doc(hidden)]
pub trait PerPrecision {
    /// It, for the precision `R`.
    type Of<R: Real>;
}

/// What both floating-point types have in common as numbers.
macro_rules! number {
    ($real:ty, $tangent:expr) => {
        impl Number for $real {
            #[inline(always)]
            fn constant(self, value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn hyperbolic_tangent(self) -> Self {
                let tangent: fn(Self) -> Self = $tangent;
                tangent(self)
            }

            #[inline(always)]
            fn exponential(self) -> Self {
                self.exp()
            }

            #[inline(always)]
            fn logarithm(self) -> Self {
                self.ln()
            }

            #[inline(always)]
            fn square_root(self) -> Self {
                self.sqrt()
            }

            #[inline(never)]
            fn apart<W: Apart<Self>>(self, work: W) -> W::Result {
                work.compute()
            }

            #[inline(always)]
            fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
                if self < bound { then } else { otherwise }
            }
        }

        impl EngineNumber for $real {
            #[inline(always)]
            fn product_plus(self, b: Self, c: Self) -> Self {
                self * b + c
            }

            #[inline(always)]
            fn fused_product_plus(self, b: Self, c: Self) -> Self {
                self.mul_add(b, c)
            }

            #[inline(always)]
            fn is_somewhere_less(self, bound: Self) -> bool {
                self < bound
            }
        }
    };
}

number!(f32, |x| rational_hyperbolic_tangent(x, |a, b, c| a * b + c));
number!(f64, |x| x.tanh());

impl<S: Simd, R: Real> Number for Pair<S, R> {
    #[inline(always)]
    fn constant(self, value: f64) -> Self {
        self.splat(R::from_f64(value))
    }

    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
        R::tangents(self)
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        R::exponentials(self)
    }

    #[inline(always)]
    fn logarithm(self) -> Self {
        R::logarithms(self)
    }

    #[inline(always)]
    fn square_root(self) -> Self {
        self.map(R::sqrt)
    }

    #[inline(always)]
    fn apart<W: Apart<Self>>(self, work: W) -> W::Result {
        struct Work<W, N>(W, PhantomData<N>);
        impl<N, W: Apart<N>> NullaryFnOnce for Work<W, N> {
            type Output = W::Result;

            #[inline(always)]
            fn call(self) -> W::Result {
                self.0.compute()
            }
        }
        // A function of its own that has the instruction set.
        self.simd().vectorize(Work(work, PhantomData))
    }

    #[inline(always)]
    fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        self.choose_less(bound, then, otherwise)
    }
}

impl<S: Simd, R: Real> EngineNumber for Pair<S, R> {
    #[inline(always)]
    fn product_plus(self, b: Self, c: Self) -> Self {
        self.multiply_add(b, c)
    }

    #[inline(always)]
    fn fused_product_plus(self, b: Self, c: Self) -> Self {
        self.fused_multiply_add(b, c)
    }

    #[inline(always)]
    fn is_somewhere_less(self, bound: Self) -> bool {
        Pair::is_somewhere_less(self, bound)
    }
}

impl Real for f32 {
    const NAME: &'static str = "f32";

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn tangents<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self> {
        rational_hyperbolic_tangent(x, Pair::multiply_add)
    }

    #[inline(always)]
    fn exponentials<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self> {
        exponential(x)
    }

    #[inline(always)]
    fn logarithms<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self> {
        logarithm(x)
    }

    #[inline(always)]
    fn choose<T: PerPrecision>(single: T::Of<f32>, _: T::Of<f64>) -> T::Of<f32> {
        single
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn tangents<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self> {
        x.map(Self::tanh)
    }

    #[inline(always)]
    fn exponentials<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self> {
        x.map(Self::exp)
    }

    #[inline(always)]
    fn logarithms<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self> {
        x.map(Self::ln)
    }

    #[inline(always)]
    fn choose<T: PerPrecision>(_: T::Of<f32>, double: T::Of<f64>) -> T::Of<f64> {
        double
    }
}
