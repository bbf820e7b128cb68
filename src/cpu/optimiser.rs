//! One optimiser update of one network; the twin of `shaders/check.wgsl` and `shaders/optimiser.wgsl`.

use crate::number::Real;
use crate::optimiser::{Optimiser, Update};
use crate::parameters::{Layout, Role, Tensor};
use crate::zip::zip_eq;
use num_traits::clamp;

/// Parameters whose steps are taken at once.
const CHUNK: usize = 64;

/// An optimiser's memory of one network.
#[derive(Clone, Debug)]
pub(super) struct Moments<R> {
    /// What the method remembers of each parameter; the second is empty where it remembers one number.
    moments: [Vec<R>; 2],
    /// What the learning rate is multiplied by, of each tensor; 0 where it stays as it is.
    factors: Vec<f64>,
    /// Updates made.
    updates: u32,
}

impl<R: Real> Moments<R> {
    pub fn new(optimiser: &Optimiser, layout: &Layout) -> Self {
        let used = optimiser.method.entry().moments;
        Self {
            moments: [0, 1]
                .map(|index| vec![R::zero(); if index < used { layout.size() } else { 0 }]),
            factors: optimiser.factors(layout),
            updates: 0,
        }
    }

    /// What is remembered of every parameter: the first number, or the second; nothing where the method has no such.
    pub fn get(&self, which: usize) -> Option<&[R]> {
        let moments = &self.moments[which];
        (!moments.is_empty()).then_some(moments)
    }

    /// Updates made.
    pub fn updates(&self) -> u32 {
        self.updates
    }

    /// Goes on from what was remembered after so many updates.
    pub fn set(&mut self, moments: [&[R]; 2], updates: u32) {
        for (to, from) in zip_eq(&mut self.moments, moments) {
            if !to.is_empty() {
                to.copy_from_slice(from);
            }
        }
        self.updates = updates;
    }

    /// The tensors that are learned, with their numbers.
    pub fn learned<'a>(
        &'a self,
        layout: &'a Layout,
    ) -> impl Iterator<Item = (usize, &'a Tensor)> + Clone {
        let tensors = zip_eq(layout.tensors(), &self.factors).enumerate();
        tensors
            .filter(|(_, (_, factor))| **factor != 0.0)
            .map(|(number, (tensor, _))| (number, tensor))
    }

    /// Changes `values` by one update with `gradient`.
    pub fn update(
        &mut self,
        optimiser: &Optimiser,
        layout: &Layout,
        values: &mut [R],
        gradient: &[R],
    ) {
        let scale = match optimiser.max_gradient_norm {
            Some(largest) => clip_factor(
                self.learned(layout).map(|(_, tensor)| tensor),
                gradient,
                largest,
            ),
            None => R::one(),
        };
        let rate = R::from_f64(optimiser.learning_rate * optimiser.schedule.factor(self.updates));
        self.updates += 1;
        let step = optimiser.method.entry().step::<R>();
        let constants = optimiser.method.values();
        let most = R::max_value();
        let max_step = optimiser.max_step.map_or(most, R::from_f64);
        let (l1, l2) = (R::from_f64(optimiser.l1), R::from_f64(optimiser.l2));
        for (tensor, &factor) in zip_eq(layout.tensors(), &self.factors) {
            if factor == 0.0 {
                continue;
            }
            let update = Update {
                count: self.updates,
                rate: rate * R::from_f64(factor),
            };
            let penalised = matches!(tensor.role, Role::Weight | Role::Plasticity);
            let [low, high] = match tensor.role {
                Role::Rate => optimiser.rate_bounds,
                Role::Plasticity => optimiser.plasticity_bounds(),
                Role::Weight | Role::Bias => [f64::NEG_INFINITY, f64::INFINITY],
            }
            .map(R::from_f64);
            for start in tensor.range().step_by(CHUNK) {
                let chunk = start..tensor.range().end.min(start + CHUNK);
                let mut steps = [R::zero(); CHUNK];
                let steps = &mut steps[..chunk.len()];
                for (g, gradient) in zip_eq(&mut *steps, &gradient[chunk.clone()]) {
                    *g = *gradient * scale;
                }
                let moments = self.moments.each_mut().map(|all| match all.is_empty() {
                    true => &mut [][..],
                    false => &mut all[chunk.clone()],
                });
                step(&constants, update, steps, moments);
                for (value, step) in zip_eq(&mut values[chunk], steps) {
                    let step = clamp(*step, -max_step, max_step);
                    let mut new = clamp(*value - step, -most, most);
                    if penalised {
                        let sign = match new == R::zero() {
                            true => R::zero(),
                            false => new.signum(),
                        };
                        new -= l1 * sign + l2 * new;
                    }
                    *value = clamp(new, low, high);
                }
            }
        }
    }
}

/// What scales the learned tensors' gradient down to the norm `largest`; 1 where it is smaller. Divides by the largest
/// element first, so that squares do not overflow.
fn clip_factor<'a, R: Real>(
    tensors: impl Iterator<Item = &'a Tensor> + Clone,
    gradient: &[R],
    largest: f64,
) -> R {
    let learned = || tensors.clone().flat_map(|tensor| &gradient[tensor.range()]);
    let peak = learned().fold(R::zero(), |peak, g| peak.max(g.abs()));
    if peak == R::zero() {
        return R::one();
    }
    let norm = peak.as_f64()
        * learned()
            .map(|&g| (g / peak).as_f64().powi(2))
            .sum::<f64>()
            .sqrt();
    if norm > largest {
        R::from_f64(largest / norm)
    } else {
        R::one()
    }
}
