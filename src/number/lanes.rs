//! Run-time selection of the instruction set, and vectors of either precision.

use pulp::{Arch, Simd, WithSimd};
use std::marker::PhantomData;

/// A loop nest that is compiled once for every instruction set.
pub(crate) trait Kernel {
    /// The body, always inlined.
    fn run<S: Simd>(self, simd: S);
}

/// Runs `kernel` with the widest vectors that the processor has.
#[inline]
pub(crate) fn vectorise(kernel: impl Kernel) {
    struct Selected<K>(K);
    impl<K: Kernel> WithSimd for Selected<K> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.run(simd);
        }
    }
    dispatch(Selected(kernel));
}

/// Runs `work` with the instruction set whose vectors are the widest that the processor has. Where the program is compiled for
/// processors that all have it (`-C target-cpu=native`), nothing is compiled for others.
#[inline(always)]
pub(crate) fn dispatch<W: WithSimd>(work: W) -> W::Output {
    /// Of branches whose condition is a constant, one is compiled.
    #[inline(always)]
    fn known<S: Simd, W: WithSimd>(simd: Option<S>, work: W) -> W::Output {
        let simd = simd.expect("the program was compiled for processors that have it");
        simd.vectorize(work)
    }
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        const AVX2: bool = cfg!(all(
            target_feature = "avx2",
            target_feature = "fma",
            target_feature = "bmi1",
            target_feature = "bmi2",
            target_feature = "lzcnt"
        ));
        const AVX512: bool = cfg!(all(
            target_feature = "avx512f",
            target_feature = "avx512bw",
            target_feature = "avx512cd",
            target_feature = "avx512dq",
            target_feature = "avx512vl"
        ));
        if AVX2 && AVX512 {
            return known(V4::try_new(), work);
        }
        if AVX2 {
            return known(V3::try_new(), work);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if cfg!(target_feature = "neon") {
        return known(pulp::aarch64::Neon::try_new(), work);
    }
    Arch::new().dispatch(work)
}

/// Whether the instruction set has vectors, of more than one element.
pub(crate) const fn has_vectors<S: Simd>() -> bool {
    S::F64_LANES > 1
}

/// Elements of a pair of the vectors that [`vectorise`] selects.
pub(crate) fn pair_width<R: Lanes>() -> usize {
    struct Width<R>(PhantomData<R>);
    impl<R: Lanes> WithSimd for Width<R> {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            R::pair_width::<S>()
        }
    }
    dispatch(Width::<R>(PhantomData))
}

/// A floating-point type that has vectors.
pub trait Lanes: Copy {
    /// A vector of the instruction set `S`.
    type Vector<S: Simd>: Copy;

    /// Elements of a pair of vectors.
    fn pair_width<S: Simd>() -> usize;

    /// Every lane is `value`.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;

    /// `a · b + c`, rounded once where the processor does that in one instruction.
    fn multiply_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// `a + b`.
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// `a · b + c`, always rounded once.
    fn fused_multiply_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// `a - b`.
    fn subtract<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// `a / b`.
    fn divide<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// `then` in the lanes where `a < b`, `otherwise` in the others.
    fn choose_less<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        then: Self::Vector<S>,
        otherwise: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// `a · b`.
    fn multiply<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// The least of all lanes of `a` and `b`.
    fn least<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self;

    /// The sum over the lanes of `a + b`, always in the same order.
    fn sum_lanes<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self;

    /// Eight rows of eight elements, transposed.
    #[inline(always)]
    fn transposed<S: Simd>(simd: S, rows: [[Self; SQUARE]; SQUARE]) -> [[Self; SQUARE]; SQUARE] {
        let _ = simd;
        std::array::from_fn(|k| rows.map(|row| row[k]))
    }

    /// The elements of a pair.
    fn elements_mut<S: Simd>(pair: &mut [Self::Vector<S>; 2]) -> &mut [Self];

    /// A padded row, or a whole number of pairs, as pairs of vectors.
    fn pairs<S: Simd>(row: &[Self]) -> &[[Self::Vector<S>; 2]];

    /// A padded row as pairs of vectors, to be changed.
    fn pairs_mut<S: Simd>(row: &mut [Self]) -> &mut [[Self::Vector<S>; 2]];
}

/// Rows and columns of what [`Lanes::transposed`] transposes.
pub(crate) const SQUARE: usize = 8;

/// A square of `f32`s, transposed in registers: compilers do it element by element.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transposed_in_registers<S: Simd>(
    simd: S,
    rows: [[f32; SQUARE]; SQUARE],
) -> Option<[[f32; SQUARE]; SQUARE]> {
    use pulp::core_arch::x86::Avx;
    use std::any::Any;

    type Row = std::arch::x86_64::__m256;

    // Pairs of rows, then fours, within each half of a vector. No closures: they would not get the instruction set.
    #[inline(always)]
    fn four(avx: Avx, [a, b, c, d]: [Row; 4]) -> [Row; 4] {
        let [low, high] = [avx._mm256_unpacklo_ps(a, b), avx._mm256_unpackhi_ps(a, b)];
        let [next_low, next_high] = [avx._mm256_unpacklo_ps(c, d), avx._mm256_unpackhi_ps(c, d)];
        [
            avx._mm256_shuffle_ps::<0b01_00_01_00>(low, next_low),
            avx._mm256_shuffle_ps::<0b11_10_11_10>(low, next_low),
            avx._mm256_shuffle_ps::<0b01_00_01_00>(high, next_high),
            avx._mm256_shuffle_ps::<0b11_10_11_10>(high, next_high),
        ]
    }

    // A square is half as wide as a vector of AVX-512, which has these instructions too.
    let simd: &dyn Any = &simd;
    let avx = match simd.downcast_ref::<pulp::x86::V4>() {
        Some(simd) => simd.avx,
        None => simd.downcast_ref::<pulp::x86::V3>()?.avx,
    };
    let [a, b, c, d, e, f, g, h]: [Row; SQUARE] = pulp::cast(rows);
    let [a, b, c, d] = four(avx, [a, b, c, d]);
    let [e, f, g, h] = four(avx, [e, f, g, h]);
    // Then the halves.
    Some(pulp::cast([
        avx._mm256_permute2f128_ps::<0x20>(a, e),
        avx._mm256_permute2f128_ps::<0x20>(b, f),
        avx._mm256_permute2f128_ps::<0x20>(c, g),
        avx._mm256_permute2f128_ps::<0x20>(d, h),
        avx._mm256_permute2f128_ps::<0x31>(a, e),
        avx._mm256_permute2f128_ps::<0x31>(b, f),
        avx._mm256_permute2f128_ps::<0x31>(c, g),
        avx._mm256_permute2f128_ps::<0x31>(d, h),
    ]))
}

#[cfg(not(target_arch = "x86_64"))]
fn transposed_in_registers<S: Simd>(
    _: S,
    _: [[f32; SQUARE]; SQUARE],
) -> Option<[[f32; SQUARE]; SQUARE]> {
    None
}

macro_rules! lanes {
    ($real:ty, $lanes:ident, $vector:ident, $splat:ident, $multiply_add:ident, $fused:ident, $multiply:ident, $add:ident,
     $subtract:ident, $divide:ident, $less:ident, $select:ident, $min:ident, $least:ident, $sum:ident, $slice:ident, $slice_mut:ident
     $(, $special:item)?) => {
        impl Lanes for $real {
            $($special)?

            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn pair_width<S: Simd>() -> usize {
                2 * S::$lanes
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }

            #[inline(always)]
            fn multiply_add<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                c: S::$vector,
            ) -> S::$vector {
                simd.$multiply_add(a, b, c)
            }

            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn fused_multiply_add<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                c: S::$vector,
            ) -> S::$vector {
                simd.$fused(a, b, c)
            }

            #[inline(always)]
            fn subtract<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$subtract(a, b)
            }

            #[inline(always)]
            fn divide<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$divide(a, b)
            }

            #[inline(always)]
            fn choose_less<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                then: S::$vector,
                otherwise: S::$vector,
            ) -> S::$vector {
                simd.$select(simd.$less(a, b), then, otherwise)
            }

            #[inline(always)]
            fn multiply<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$multiply(a, b)
            }

            #[inline(always)]
            fn least<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> Self {
                simd.$least(simd.$min(a, b))
            }

            #[inline(always)]
            fn sum_lanes<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> Self {
                simd.$sum(simd.$add(a, b))
            }

            #[inline(always)]
            fn elements_mut<S: Simd>(pair: &mut [S::$vector; 2]) -> &mut [Self] {
                bytemuck::cast_slice_mut(pair)
            }

            #[inline(always)]
            fn pairs<S: Simd>(row: &[Self]) -> &[[S::$vector; 2]] {
                assert!(row.len().is_multiple_of(Self::pair_width::<S>()));
                S::$slice(row).0.as_chunks::<2>().0
            }

            #[inline(always)]
            fn pairs_mut<S: Simd>(row: &mut [Self]) -> &mut [[S::$vector; 2]] {
                assert!(row.len().is_multiple_of(Self::pair_width::<S>()));
                S::$slice_mut(row).0.as_chunks_mut::<2>().0
            }
        }
    };
}

lanes!(
    f32,
    F32_LANES,
    f32s,
    splat_f32s,
    mul_add_e_f32s,
    mul_add_f32s,
    mul_f32s,
    add_f32s,
    sub_f32s,
    div_f32s,
    less_than_f32s,
    select_f32s,
    min_f32s,
    reduce_min_f32s,
    reduce_sum_f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    #[inline(always)]
    fn transposed<S: Simd>(simd: S, rows: [[f32; SQUARE]; SQUARE]) -> [[f32; SQUARE]; SQUARE] {
        match transposed_in_registers(simd, rows) {
            Some(columns) => columns,
            None => std::array::from_fn(|k| rows.map(|row| row[k])),
        }
    }
);
lanes!(
    f64,
    F64_LANES,
    f64s,
    splat_f64s,
    mul_add_e_f64s,
    mul_add_f64s,
    mul_f64s,
    add_f64s,
    sub_f64s,
    div_f64s,
    less_than_f64s,
    select_f64s,
    min_f64s,
    reduce_min_f64s,
    reduce_sum_f64s,
    as_simd_f64s,
    as_mut_simd_f64s
);

/// The instruction set in use, for people.
pub(crate) fn instruction_set() -> &'static str {
    struct Name;
    impl WithSimd for Name {
        type Output = &'static str;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> &'static str {
            std::any::type_name::<S>()
        }
    }
    match dispatch(Name) {
        name if name.ends_with("V4") => "AVX-512",
        name if name.ends_with("V3") => "AVX2 and FMA",
        name if name.contains("Neon") => "NEON",
        name if name.contains("Scalar") => "scalar",
        _ => "portable",
    }
}
