//! Optimiser updates of networks that lie side by side: [`Moments::update`] of each, in its lane.

use super::learning::NetworkLearning;
use super::optimiser::{Limits, clip, numbers_of_update};
use crate::cpu::along::MOST_LANES;
use crate::number::{Aligned, Kernel, Number, Pair, Real, vectorise, zeros};
use crate::optimiser::{Formula, Method, NUMBERS, Update, WithFormula};
use crate::parameters::Layout;
use pulp::Simd;
use std::mem::discriminant;

/// The settings of a group of networks as vectors, with `W` lanes.
pub(super) struct Lockstep<R> {
    width: usize,
    /// By lane, the method's constants.
    constants: Vec<Vec<f64>>,
    /// By lane, whether method, learning rate and schedule are those of the lane before.
    same: Vec<bool>,
    /// By tensor, what its learning rate is multiplied by and its [`Limits`], `[tensors, SETTINGS, W]`.
    settings: Aligned<R>,
    /// Of one update, `[UPDATE, W]`: the method's numbers, the learning rate, what gradients are multiplied by, and whether
    /// the lane's network is updated, 0 or 1.
    update: Aligned<R>,
}

/// Settings of a tensor: the factor, and five limits.
const SETTINGS: usize = 6;

const RATE: usize = NUMBERS;
const SCALE: usize = RATE + 1;
const TAKES_PART: usize = SCALE + 1;
const UPDATE: usize = TAKES_PART + 1;

impl<R: Real> Lockstep<R> {
    pub fn new(layout: &Layout, width: usize, learning: &[NetworkLearning<R>]) -> Self {
        let tensors = layout.tensors();
        let mut settings = zeros(tensors.len() * SETTINGS * width);
        for (lane, learning) in learning.iter().enumerate() {
            let factors = learning.moments.factors();
            let of_tensors = settings.chunks_exact_mut(SETTINGS * width);
            for (to, (tensor, &factor)) in of_tensors.zip(tensors.iter().zip(factors)) {
                let limits = Limits::of(&learning.optimiser, tensor).rounded::<R>();
                let Limits {
                    max_step,
                    most: _,
                    l1,
                    l2,
                    low,
                    high,
                } = limits;
                let numbers = [R::from_f64(factor), max_step, l1, l2, low, high];
                for (to, number) in to.chunks_exact_mut(width).zip(numbers) {
                    to[lane] = number;
                }
            }
        }
        let same = |lane: usize| lane > 0 && is_same(learning, lane);
        Self {
            width,
            constants: learning
                .iter()
                .map(|it| it.optimiser.method.values())
                .collect(),
            same: (0..learning.len()).map(same).collect(),
            settings,
            update: zeros(UPDATE * width),
        }
    }

    /// One update of every network that has not failed.
    pub fn update(
        &mut self,
        layout: &Layout,
        learning: &mut [NetworkLearning<R>],
        values: &mut [R],
        gradient: &[R],
        moments: &mut [Aligned<R>; 2],
    ) {
        self.numbers(layout, learning, gradient);
        let methods = Method::ALL.into_iter();
        for method in methods {
            let takes_part = &mut self.update[TAKES_PART * self.width..];
            let mut some = false;
            for (takes_part, learning) in takes_part.iter_mut().zip(&*learning) {
                let is_method = discriminant(&learning.optimiser.method) == discriminant(&method);
                let is_in = is_method && learning.failure.is_none();
                *takes_part = if is_in { R::one() } else { R::zero() };
                some |= is_in;
            }
            if some {
                let [first, second] = moments;
                vectorise(OfLanes {
                    method,
                    layout,
                    settings: &self.settings,
                    update: &self.update,
                    values,
                    gradient,
                    moments: [first, second],
                });
            }
        }
        for learning in learning.iter_mut().filter(|it| it.failure.is_none()) {
            learning.moments.count_update();
        }
    }

    /// What the update takes of each network, beside whether it takes part.
    fn numbers(&mut self, layout: &Layout, learning: &[NetworkLearning<R>], gradient: &[R]) {
        let mut last = ([R::zero(); NUMBERS], R::zero(), u32::MAX);
        for (lane, learning) in learning.iter().enumerate() {
            let updates = learning.moments.updates();
            if !self.same[lane] || last.2 != updates {
                let constants = &self.constants[lane];
                let (numbers, rate) = numbers_of_update(&learning.optimiser, constants, updates);
                last = (numbers, rate, updates);
            }
            let (numbers, rate, _) = last;
            let numbers = numbers.into_iter().chain([rate, R::one()]);
            for (to, number) in self.update.chunks_exact_mut(self.width).zip(numbers) {
                to[lane] = number;
            }
            let largest = learning.optimiser.max_gradient_norm;
            if let Some(largest) = largest.filter(|_| learning.failure.is_none()) {
                let tensors = learning.moments.learned(layout);
                let learned = tensors.flat_map(|(_, tensor)| tensor.range());
                let gradient = learned.map(|index| gradient[index * self.width + lane]);
                self.update[SCALE * self.width + lane] = clip(gradient, largest);
            }
        }
    }
}

/// Whether the steps of lane `lane` are made of the same numbers as those of the lane before, after as many updates.
fn is_same<R: Real>(learning: &[NetworkLearning<R>], lane: usize) -> bool {
    let [one, other] = [lane - 1, lane].map(|lane| &learning[lane].optimiser);
    one.method == other.method
        && one.learning_rate == other.learning_rate
        && one.schedule == other.schedule
}

/// An update of the networks that have one method.
struct OfLanes<'a, R> {
    method: Method,
    layout: &'a Layout,
    settings: &'a [R],
    update: &'a [R],
    values: &'a mut [R],
    gradient: &'a [R],
    moments: [&'a mut [R]; 2],
}

impl<R: Real> Kernel for OfLanes<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let method = self.method;
        method.with_formula(InLanes(simd, self));
    }
}

struct InLanes<'a, S, R>(S, OfLanes<'a, R>);

impl<S: Simd, R: Real> WithFormula for InLanes<'_, S, R> {
    #[inline(always)]
    fn run<F: Formula>(self) {
        let (simd, it) = (self.0, self.1);
        let width = R::pair_width::<S>();
        let load = |values: &[R], index: usize| Pair::load(simd, &values[index * width..]);
        let zero = Pair::new(simd, [R::splat(simd, R::zero()); 2]);
        let most = zero.splat(R::max_value());
        let mut numbers = [zero; NUMBERS];
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = load(it.update, index);
        }
        let [rate, scale, takes_part] =
            [RATE, SCALE, TAKES_PART].map(|index| load(it.update, index));
        let of_tensors = it.settings.chunks_exact(SETTINGS * width);
        for (tensor, settings) in it.layout.tensors().iter().zip(of_tensors) {
            if settings[..width].iter().all(|&factor| factor == R::zero()) {
                continue;
            }
            let factor = load(settings, 0);
            let limits = Limits {
                max_step: load(settings, 1),
                most,
                l1: load(settings, 2),
                l2: load(settings, 3),
                low: load(settings, 4),
                high: load(settings, 5),
            };
            let update = Update {
                numbers,
                rate: rate * factor,
                most,
            };
            // Where the tensor is frozen, the factor is zero.
            let changes = zero.where_less(factor, takes_part, zero);
            for index in tensor.range() {
                let mut moments = [zero; 2];
                for (which, moment) in moments.iter_mut().enumerate().take(F::MOMENTS) {
                    *moment = load(it.moments[which], index);
                }
                let value = load(it.values, index);
                let gradient = load(it.gradient, index) * scale;
                let (step, remembered) = F::step(&update, gradient, moments);
                let new = zero.where_less(changes, limits.change(value, step), value);
                new.store(&mut it.values[index * width..]);
                for which in 0..F::MOMENTS {
                    let moment = zero.where_less(changes, remembered[which], moments[which]);
                    moment.store(&mut it.moments[which][index * width..]);
                }
            }
        }
    }
}

/// Finds which lanes of `values`, `[…, W]`, are finite.
pub(super) fn find_finite<R: Real>(values: &[R], finite: &mut [bool]) {
    vectorise(Finite { values, finite });
}

struct Finite<'a, R> {
    values: &'a [R],
    finite: &'a mut [bool],
}

impl<R: Real> Kernel for Finite<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let zero = Pair::new(simd, [R::splat(simd, R::zero()); 2]);
        let mut sum = zero;
        for &value in R::pairs::<S>(self.values) {
            // Nothing, or NaN.
            sum = sum + zero * Pair::new(simd, value);
        }
        let mut sums = [R::zero(); MOST_LANES];
        sum.store(&mut sums);
        for (finite, sum) in self.finite.iter_mut().zip(sums) {
            *finite = sum == R::zero();
        }
    }
}
