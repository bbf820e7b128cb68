//! One optimiser update of one network; the twin of `shaders/check.wgsl` and `shaders/optimiser.wgsl`.

use crate::optimiser::{Optimiser, Update};
use crate::parameters::{Layout, Role, Tensor};
use crate::zip::zip_eq;

/// Parameters whose steps are taken at once.
const CHUNK: usize = 64;

/// An optimiser's memory of one network.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// What the method remembers of each parameter; the second is empty where it remembers one number.
    moments: [Vec<f32>; 2],
    /// What the learning rate is multiplied by, of each tensor; 0 where it stays as it is.
    factors: Vec<f32>,
    /// Updates made.
    updates: u32,
}

impl Moments {
    pub fn new(optimiser: &Optimiser, layout: &Layout) -> Self {
        let used = optimiser.method.entry().moments;
        Self {
            moments: [0, 1].map(|index| vec![0.0; if index < used { layout.size() } else { 0 }]),
            factors: optimiser.factors(layout),
            updates: 0,
        }
    }

    /// The tensors that are learned.
    pub fn learned<'a>(&'a self, layout: &'a Layout) -> impl Iterator<Item = &'a Tensor> + Clone {
        let tensors = zip_eq(layout.tensors(), &self.factors);
        tensors
            .filter(|(_, factor)| **factor != 0.0)
            .map(|(tensor, _)| tensor)
    }

    /// Changes `values` by one update with `gradient`.
    pub fn update(
        &mut self,
        optimiser: &Optimiser,
        layout: &Layout,
        values: &mut [f32],
        gradient: &[f32],
    ) {
        let scale = match optimiser.max_gradient_norm {
            Some(largest) => clip_factor(self.learned(layout), gradient, largest),
            None => 1.0,
        };
        let rate = (optimiser.learning_rate * optimiser.schedule.factor(self.updates)) as f32;
        self.updates += 1;
        let step = optimiser.method.entry().step;
        let constants = optimiser.method.values();
        let max_step = optimiser.max_step.map_or(f32::MAX, |step| step as f32);
        let (l1, l2) = (optimiser.l1 as f32, optimiser.l2 as f32);
        for (tensor, &factor) in zip_eq(layout.tensors(), &self.factors) {
            if factor == 0.0 {
                continue;
            }
            let update = Update {
                count: self.updates,
                rate: rate * factor,
            };
            let penalised = matches!(tensor.role, Role::Weight | Role::Plasticity);
            let [low, high] = match tensor.role {
                Role::Rate => optimiser.rate_bounds,
                Role::Plasticity => optimiser.plasticity_bounds(),
                Role::Weight | Role::Bias => [f64::NEG_INFINITY, f64::INFINITY],
            }
            .map(|bound| bound as f32);
            for start in tensor.range().step_by(CHUNK) {
                let chunk = start..tensor.range().end.min(start + CHUNK);
                let mut steps = [0.0; CHUNK];
                let steps = &mut steps[..chunk.len()];
                for (g, gradient) in zip_eq(&mut *steps, &gradient[chunk.clone()]) {
                    *g = gradient * scale;
                }
                let moments = self.moments.each_mut().map(|all| match all.is_empty() {
                    true => &mut [][..],
                    false => &mut all[chunk.clone()],
                });
                step(&constants, update, steps, moments);
                for (value, step) in zip_eq(&mut values[chunk], steps) {
                    let step = step.clamp(-max_step, max_step);
                    let mut new = (*value - step).clamp(-f32::MAX, f32::MAX);
                    if penalised {
                        let sign = if new == 0.0 { 0.0 } else { new.signum() };
                        new -= l1 * sign + l2 * new;
                    }
                    *value = new.clamp(low, high);
                }
            }
        }
    }
}

/// What scales the learned tensors' gradient down to the norm `largest`; 1 where it is smaller. Divides by the largest
/// element first, so that squares do not overflow.
fn clip_factor<'a>(
    tensors: impl Iterator<Item = &'a Tensor> + Clone,
    gradient: &[f32],
    largest: f64,
) -> f32 {
    let learned = || tensors.clone().flat_map(|tensor| &gradient[tensor.range()]);
    let peak = learned().fold(0.0f32, |peak, g| peak.max(g.abs()));
    if peak == 0.0 {
        return 1.0;
    }
    let norm = f64::from(peak)
        * learned()
            .map(|&g| f64::from(g / peak).powi(2))
            .sum::<f64>()
            .sqrt();
    if norm > largest {
        (largest / norm) as f32
    } else {
        1.0
    }
}
