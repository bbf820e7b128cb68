//! One optimiser update of one network; the twin of `shaders/check.wgsl` and `shaders/optimiser.wgsl`.

use crate::optimiser::Method;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Role};

/// An optimiser's memory of one network.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// Mean square (RMSprop), velocity (SGD) or mean (Adam).
    first: Vec<f32>,
    /// Mean square (Adam).
    second: Vec<f32>,
    /// Updates made.
    updates: u32,
}

impl Moments {
    pub fn new(optimiser: &Optimiser, layout: &Layout) -> Self {
        let second = match optimiser.method {
            Method::Adam { .. } => layout.size(),
            Method::Rmsprop { .. } | Method::Sgd { .. } => 0,
        };
        Self {
            first: vec![0.0; layout.size()],
            second: vec![0.0; second],
            updates: 0,
        }
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
            Some(largest) => clip_factor(layout, gradient, largest),
            None => 1.0,
        };
        let rate = (optimiser.learning_rate * optimiser.schedule.factor(self.updates)) as f32;
        let first_update = self.updates == 0;
        self.updates += 1;
        let correction = |beta: f64| (1.0 - beta.powi(self.updates as i32)) as f32;
        let corrections = match optimiser.method {
            Method::Adam { beta1, beta2, .. } => [beta1, beta2].map(correction),
            Method::Rmsprop { .. } | Method::Sgd { .. } => [1.0; 2],
        };
        let max_step = optimiser.max_step.map_or(f32::MAX, |step| step as f32);
        let (l1, l2) = (optimiser.l1 as f32, optimiser.l2 as f32);
        for tensor in layout.tensors().iter().filter(|tensor| tensor.learned) {
            let penalised = matches!(tensor.role, Role::Weight | Role::Plasticity);
            let [low, high] = match tensor.role {
                Role::Rate => optimiser.rate_bounds,
                Role::Plasticity => optimiser.plasticity_bounds(),
                Role::Weight | Role::Bias => [f64::NEG_INFINITY, f64::INFINITY],
            }
            .map(|bound| bound as f32);
            for index in tensor.range() {
                let g = gradient[index] * scale;
                // A square or a step beyond the largest float counts as that, so that no parameter ever stops being
                // finite.
                let square = (g * g).min(f32::MAX);
                let first = &mut self.first[index];
                let step = match optimiser.method {
                    Method::Rmsprop { mean_rate, epsilon } => {
                        *first = if first_update {
                            square
                        } else {
                            *first + mean_rate as f32 * (square - *first)
                        };
                        rate * g / (*first + epsilon as f32).sqrt()
                    }
                    Method::Sgd { momentum } => {
                        *first = (momentum as f32 * *first + g).clamp(-f32::MAX, f32::MAX);
                        rate * *first
                    }
                    Method::Adam {
                        beta1,
                        beta2,
                        epsilon,
                    } => {
                        let second = &mut self.second[index];
                        *first += (1.0 - beta1) as f32 * (g - *first);
                        *second += (1.0 - beta2) as f32 * (square - *second);
                        let mean = *first / corrections[0];
                        let mean_square = (*second / corrections[1]).min(f32::MAX);
                        rate * mean / (mean_square.sqrt() + epsilon as f32)
                    }
                };
                let step = step.clamp(-max_step, max_step);
                let mut value = (values[index] - step).clamp(-f32::MAX, f32::MAX);
                if penalised {
                    let sign = if value == 0.0 { 0.0 } else { value.signum() };
                    value -= l1 * sign + l2 * value;
                }
                values[index] = value.clamp(low, high);
            }
        }
    }
}

/// What scales the learned tensors' gradient down to the norm `largest`; 1 where it is smaller. Divides by the largest
/// element first, so that squares do not overflow.
fn clip_factor(layout: &Layout, gradient: &[f32], largest: f64) -> f32 {
    let learned = || {
        let tensors = layout.tensors().iter().filter(|tensor| tensor.learned);
        tensors.flat_map(|tensor| &gradient[tensor.range()])
    };
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
