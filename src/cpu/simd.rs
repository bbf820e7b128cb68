//! Run-time selection of the instruction set.

use crate::Real;
use pulp::{Arch, Simd, WithSimd};

/// Rows of synapses are padded to a multiple of this many elements, so that inner loops have no remainder.
pub(super) const LANES: usize = 16;

/// `size` rounded up to whole lanes.
pub(super) fn padded(size: usize) -> usize {
    size.next_multiple_of(LANES)
}

/// A loop nest that is compiled once for every instruction set.
pub(super) trait Kernel {
    /// The body, always inlined; `FUSED` says that the processor multiplies and adds in one instruction.
    fn run<const FUSED: bool>(self);
}

/// Runs `kernel` with the widest vectors that the processor has.
#[inline]
pub(super) fn vectorise(kernel: impl Kernel) {
    struct Selected<K>(K);
    impl<K: Kernel> WithSimd for Selected<K> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            if S::IS_SCALAR {
                self.0.run::<false>();
            } else {
                self.0.run::<true>();
            }
        }
    }
    Arch::new().dispatch(Selected(kernel));
}

/// `a · b + c`.
#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool, R: Real>(a: R, b: R, c: R) -> R {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The sum over lanes, always in the same order.
#[inline(always)]
pub(super) fn sum<R: Real>(lanes: [R; LANES]) -> R {
    let mut sums = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            let other = sums[lane + width];
            sums[lane] += other;
        }
        width /= 2;
    }
    sums[0]
}

/// The instruction set in use, for people.
pub(super) fn instruction_set() -> &'static str {
    match format!("{:?}", Arch::new()) {
        text if text.starts_with("V4") => "AVX-512",
        text if text.starts_with("V3") => "AVX2 and FMA",
        text if text.contains("Neon") => "NEON",
        text if text.contains("Scalar") => "scalar",
        _ => "portable",
    }
}
