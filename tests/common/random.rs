//! Reproducible numbers for the tests: SplitMix64 (Steele, Lea and Flood 2014), independent of the crate's generator.

use ndarray::Array4;

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1))
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.word()) * bound as u128) >> 64) as usize
    }

    /// One of `choices`.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// True in one of `of` draws.
    pub fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// From `low` to `high`, exact in `f32`, so that both precisions compute on the same numbers.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        let fraction = (self.word() >> 11) as f64 / (1u64 << 53) as f64;
        f64::from((low + fraction * (high - low)) as f32)
    }

    /// An array of values from `-scale` to `scale`.
    pub fn array(&mut self, shape: [usize; 4], scale: f64) -> Array4<f64> {
        Array4::from_shape_simple_fn(shape, || self.between(-scale, scale))
    }
}
