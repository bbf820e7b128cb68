//! How many multiply-adds in `f32` a machine does, and how many a sweep needs.

use crate::engine::Engine;
use crate::error::Result;
use crate::number::dispatch;
use pulp::{Simd, WithSimd};
use std::hint::black_box;
use std::time::Instant;

/// Multiply-adds, or instructions of that cost, that a synapse of a plastic layer needs for each step at the least: 4 forward and 6
/// for the full gradient.
///
/// Forward: `w · x`, `h x`, `α · h x`, `+ (g/D) x`, where a row's trace is `H = D h` with one number `D`. Backward: `M x`,
/// `α · M x`, `g · M x`, `d M`, `+ δ x`, and `δ x` into the weight's gradient.
pub(super) const FLOOR: u64 = 10;

/// The same of a recurrent layer: 4 forward, 2 in the replay and 10 for the full gradient.
///
/// Forward: `d h`, `+ g x`, `α h + w`, `· x`, where the first two make the next step's trace, as in the replay. Backward, from the
/// gradient `λ` on that trace: `λ x`, `λ h` and `g λ` into the sums for the output, the rate and the input; `d λ`, `δ x`,
/// `+ α · δ x`; `δ x` into the weight's gradient, `δ x h` into the plasticity's; `α h + w`, and `δ` times that into the input's.
pub(super) const RECURRENT_FLOOR: u64 = 16;

/// Independent chains of multiply-adds: more than any processor has in flight, and they fit 16 registers.
const CHAINS: usize = 12;

/// Multiply-adds in `f32` per second that the engine's device reaches when it does nothing else: all threads of the CPU
/// with its widest vectors, or all lanes of the GPU. The best of several measurements.
///
/// # Errors
/// If the device fails.
pub fn multiply_adds_per_second(engine: &Engine) -> Result<f64> {
    match engine {
        Engine::Cpu(_) => Ok(on_all_threads(TURNS)),
        #[cfg(feature = "gpu")]
        Engine::Gpu(gpu) => gpu.multiply_adds_per_second(),
        Engine::Several(several) => multiply_adds_per_second(several.first()),
    }
}

/// Turns of the chains in one measurement: about 10 ms on a thread of today.
const TURNS: u64 = 4 << 20;

fn on_all_threads(turns: u64) -> f64 {
    let mut best = 0.0f64;
    // The first measurement wakes the threads.
    for _ in 0..8 {
        let start = Instant::now();
        let counts = rayon::broadcast(|_| dispatch(Chains { turns }));
        let count: u64 = counts.into_iter().sum();
        best = best.max(count as f64 / start.elapsed().as_secs_f64());
    }
    best
}

/// Runs chains of multiply-adds; returns how many there were.
struct Chains {
    turns: u64,
}

impl WithSimd for Chains {
    type Output = u64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> u64 {
        let factor = simd.splat_f32s(black_box(0.5));
        let term = simd.splat_f32s(black_box(1.0));
        let mut chains = [term; CHAINS];
        for _ in 0..self.turns {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, term);
            }
        }
        for chain in chains {
            black_box(simd.reduce_sum_f32s(chain));
        }
        self.turns * (CHAINS * S::F32_LANES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_counts() {
        let count = dispatch(Chains { turns: 10 });
        assert!(count > 0 && count.is_multiple_of(10 * CHAINS as u64));
        let rate = on_all_threads(1 << 14);
        assert!(rate > 1e6 && rate.is_finite(), "{rate:e}");
    }
}
