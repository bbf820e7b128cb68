//! The losses of a group of episodes that lie side by side.

use super::parts::part;
use crate::cpu::along::MOST_LANES;
use crate::network::{Loss, LossStep};
use crate::number::{Kernel, Number, Pair, Real, vectorise};
use pulp::Simd;

/// What the losses of a group are taken of, with `W` lanes.
pub(crate) struct Objective<'a, R> {
    pub loss: Loss,
    /// The last layer's, `[O, room, W]`.
    pub output: &'a [R],
    /// Steps that `output` has room for.
    pub room: usize,
    /// `[T, O, W]`.
    pub target: &'a [R],
    /// How much a step's loss counts, `[T, W]`; zero in lanes without an episode.
    pub mask: &'a [R],
    /// Episodes of a network's batch, over which losses are averaged.
    pub batch: usize,
    /// The gradient on the output, `[T, O, W]`: written.
    pub gradient: &'a mut [R],
    /// Of the lanes that have an episode: added to.
    pub losses: &'a mut [f64],
}

impl<R: Real> Objective<'_, R> {
    /// Adds the losses up, and writes the gradients on the output.
    pub fn run(self) {
        vectorise(self);
    }
}

impl<R: Real> Kernel for Objective<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = R::pair_width::<S>();
        let (steps, batch) = (self.mask.len() / width, R::from_f64(self.batch as f64));
        let size = self.target.len() / steps;
        let zero = Pair::new(simd, [R::splat(simd, R::zero()); 2]);
        let mut parts = [R::zero(); MOST_LANES];
        for (t, gradient) in self.gradient.chunks_exact_mut(size).enumerate().take(steps) {
            let mask = part(self.mask, t, width);
            if mask.iter().all(|&mask| mask == R::zero()) {
                gradient.fill(R::zero());
                continue;
            }
            let mask = Pair::load(simd, mask);
            let mut step = LanesStep {
                simd,
                output: &self.output[t * width..],
                apart: self.room * width,
                target: part(self.target, t, size),
                gradient,
            };
            let loss = self.loss.formula(mask / zero.splat(batch), &mut step);
            // Positive where the step counts.
            let counts = mask.where_less(zero, -mask, mask);
            for o in 0..step.outputs() {
                // What does not count may be beyond every number.
                let counted = zero.where_less(counts, step.gradient(o), zero);
                step.set_gradient(o, counted);
            }
            let counted = zero.where_less(counts, mask * loss, zero);
            counted.store(&mut parts[..width]);
            for (loss, part) in self.losses.iter_mut().zip(&parts) {
                *loss += part.as_f64();
            }
        }
    }
}

/// One step of every lane.
struct LanesStep<'a, S, R> {
    simd: S,
    /// `[O, …, W]`, from this step on.
    output: &'a [R],
    /// Elements from one output neuron to the next.
    apart: usize,
    /// `[O, W]`.
    target: &'a [R],
    /// `[O, W]`.
    gradient: &'a mut [R],
}

impl<S: Simd, R: Real> LossStep<Pair<S, R>> for LanesStep<'_, S, R> {
    #[inline(always)]
    fn outputs(&self) -> usize {
        self.target.len() / R::pair_width::<S>()
    }

    #[inline(always)]
    fn output(&self, o: usize) -> Pair<S, R> {
        Pair::load(self.simd, &self.output[o * self.apart..])
    }

    #[inline(always)]
    fn target(&self, o: usize) -> Pair<S, R> {
        Pair::load(self.simd, &self.target[o * R::pair_width::<S>()..])
    }

    #[inline(always)]
    fn gradient(&self, o: usize) -> Pair<S, R> {
        Pair::load(self.simd, &self.gradient[o * R::pair_width::<S>()..])
    }

    #[inline(always)]
    fn set_gradient(&mut self, o: usize, gradient: Pair<S, R>) {
        gradient.store(&mut self.gradient[o * R::pair_width::<S>()..]);
    }
}
