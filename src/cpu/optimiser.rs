//! One optimiser update of one network; the twin of `shaders/check.wgsl` and `shaders/optimiser.wgsl`.

use crate::number::{Number, Real};
use crate::optimiser::{Formula, NUMBERS, Optimiser, Update, WithFormula, clamp};
use crate::parameters::{Layout, Role, Tensor};
use crate::zip::zip_eq;

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

    /// The same, to be changed.
    pub fn get_mut(&mut self, which: usize) -> Option<&mut [R]> {
        let moments = &mut self.moments[which];
        (!moments.is_empty()).then_some(moments)
    }

    /// Updates made.
    pub fn updates(&self) -> u32 {
        self.updates
    }

    /// One more update has been made.
    pub fn count_update(&mut self) {
        self.updates = self.updates.saturating_add(1);
    }

    /// What the learning rate is multiplied by, of each tensor; 0 where it stays as it is.
    pub fn factors(&self) -> &[f64] {
        &self.factors
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
            Some(largest) => {
                let learned = self.learned(layout);
                let learned = learned.flat_map(|(_, tensor)| &gradient[tensor.range()]);
                clip(learned.copied(), largest)
            }
            None => R::one(),
        };
        let constants = optimiser.method.values();
        let (numbers, rate) = numbers_of_update(optimiser, &constants, self.updates);
        self.updates = self.updates.saturating_add(1);
        optimiser.method.with_formula(OfOne {
            moments: self,
            optimiser,
            layout,
            values,
            gradient,
            scale,
            numbers,
            rate,
        });
    }
}

/// The method's numbers of an update, and its learning rate, after so many updates.
pub(super) fn numbers_of_update<R: Real>(
    optimiser: &Optimiser,
    constants: &[f64],
    updates: u32,
) -> ([R; NUMBERS], R) {
    struct Numbers<'a>(&'a [f64], u32, &'a mut [f64; NUMBERS]);
    impl WithFormula for Numbers<'_> {
        fn run<F: Formula>(self) {
            *self.2 = F::numbers(self.0, self.1);
        }
    }
    let mut numbers = [0.0; NUMBERS];
    let count = updates.saturating_add(1);
    let method = &optimiser.method;
    method.with_formula(Numbers(constants, count, &mut numbers));
    let rate = optimiser.learning_rate * optimiser.schedule.factor(updates);
    (numbers.map(R::from_f64), R::from_f64(rate))
}

/// An update of one network.
struct OfOne<'a, R> {
    moments: &'a mut Moments<R>,
    optimiser: &'a Optimiser,
    layout: &'a Layout,
    values: &'a mut [R],
    gradient: &'a [R],
    scale: R,
    numbers: [R; NUMBERS],
    rate: R,
}

impl<R: Real> WithFormula for OfOne<'_, R> {
    fn run<F: Formula>(self) {
        let Self {
            optimiser, scale, ..
        } = self;
        let Moments {
            moments: [first, second],
            factors,
            updates: _,
        } = self.moments;
        for (tensor, &factor) in zip_eq(self.layout.tensors(), &*factors) {
            if factor == 0.0 {
                continue;
            }
            let update = Update {
                numbers: self.numbers,
                rate: self.rate * R::from_f64(factor),
                most: R::max_value(),
            };
            let limits = Limits::of(optimiser, tensor).rounded::<R>();
            let gradient = &self.gradient[tensor.range()];
            let values = zip_eq(&mut self.values[tensor.range()], gradient);
            let first = &mut first[tensor.range()];
            if F::MOMENTS == 1 {
                for ((value, &gradient), moment) in zip_eq(values, first) {
                    let moments = [*moment, R::zero()];
                    let (step, moments) = F::step(&update, gradient * scale, moments);
                    *value = limits.change(*value, step);
                    *moment = moments[0];
                }
            } else {
                let moments = zip_eq(first, &mut second[tensor.range()]);
                for ((value, &gradient), (first, second)) in zip_eq(values, moments) {
                    let moments = [*first, *second];
                    let (step, moments) = F::step(&update, gradient * scale, moments);
                    *value = limits.change(*value, step);
                    [*first, *second] = moments;
                }
            }
        }
    }
}

/// What bounds a tensor's steps and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<N> {
    /// The largest step, and the largest value.
    pub max_step: N,
    pub most: N,
    pub l1: N,
    pub l2: N,
    pub low: N,
    pub high: N,
}

impl Limits<f64> {
    /// Of a tensor; infinite where there is none.
    pub fn of(optimiser: &Optimiser, tensor: &Tensor) -> Self {
        let [low, high] = match tensor.role {
            Role::Rate => optimiser.rate_bounds,
            Role::Plasticity => optimiser.plasticity_bounds(),
            _ => [f64::NEG_INFINITY, f64::INFINITY],
        };
        let [l1, l2] = match tensor.role {
            Role::Weight | Role::InputWeight | Role::Plasticity => [optimiser.l1, optimiser.l2],
            _ => [0.0; 2],
        };
        Self {
            max_step: optimiser.max_step.unwrap_or(f64::INFINITY),
            most: f64::INFINITY,
            l1,
            l2,
            low,
            high,
        }
    }

    /// In a precision, in which no step and no value is beyond the largest float.
    pub fn rounded<R: Real>(self) -> Limits<R> {
        let most = R::max_value();
        Limits {
            max_step: R::from_f64(self.max_step).min(most),
            most,
            l1: R::from_f64(self.l1),
            l2: R::from_f64(self.l2),
            low: R::from_f64(self.low),
            high: R::from_f64(self.high),
        }
    }
}

impl<N: Number> Limits<N> {
    /// What `value` becomes by a step. A penalty of zero changes no bit.
    #[inline(always)]
    pub fn change(&self, value: N, step: N) -> N {
        let step = clamp(step, -self.max_step, self.max_step);
        let new = clamp(value - step, -self.most, self.most);
        let (zero, one) = (value.constant(0.0), value.constant(1.0));
        let sign = new.where_less(zero, -one, zero.where_less(new, one, zero));
        let new = new - (self.l1 * sign + self.l2 * new);
        clamp(new, self.low, self.high)
    }
}

/// What scales a gradient down to the norm `largest`; 1 where it is smaller. Divides by the largest element first, so that
/// squares do not overflow.
pub(super) fn clip<R: Real>(gradient: impl Iterator<Item = R> + Clone, largest: f64) -> R {
    let peak = gradient
        .clone()
        .fold(R::zero(), |peak, g| peak.max(g.abs()));
    if peak == R::zero() {
        return R::one();
    }
    let norm = peak.as_f64()
        * gradient
            .map(|g| (g / peak).as_f64().powi(2))
            .sum::<f64>()
            .sqrt();
    if norm > largest {
        R::from_f64(largest / norm)
    } else {
        R::one()
    }
}
