//! Axes: from where to where, where their labels stand, and whether they count in powers of ten.

use super::style::grouped;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// From this ratio of the largest to the least error on, an axis is logarithmic.
const DECADES: f64 = 30.0;
/// The largest ratio that a logarithmic axis of errors shows.
const MOST: f64 = 1e6;

/// An axis of a chart. What lies beyond an end is drawn at that end.
#[derive(Clone, Debug)]
pub struct Axis {
    is_log: bool,
    low: f64,
    high: f64,
    /// The values that have labels.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to `high`, with about so many labels.
    pub fn linear(high: f64, labels: usize) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = nice_step(high / labels as f64);
        // A tick that rounding puts beyond the end is there too.
        let count = (high / step * (1.0 + 1e-9)).floor() as usize;
        let label = |value: f64| match decimals(step) {
            _ if value >= 1e9 => format!("{value:.1e}"),
            0 => grouped(value.round() as u64),
            decimals => format!("{value:.decimals$}"),
        };
        let ticks = (0..=count).map(|k| k as f64 * step);
        Self {
            is_log: false,
            low: 0.0,
            high,
            ticks: ticks.map(|tick| (tick, label(tick))).collect(),
        }
    }

    /// From `low` to `high`, both above 0, in powers of ten.
    pub fn logarithmic(low: f64, high: f64) -> Self {
        let decades = (high / low).log10();
        let factors: &[f64] = if decades < 2.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let every = (decades / 6.0).ceil().max(1.0) as i32;
        let exponents = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let ticks = exponents
            .filter(|exponent| exponent % every == 0)
            .flat_map(|exponent| factors.iter().map(move |f| f * 10f64.powi(exponent)));
        let inside = low * (1.0 - 1e-9)..=high * (1.0 + 1e-9);
        let ticks = ticks.filter(|tick| inside.contains(tick));
        Self {
            is_log: true,
            low,
            high,
            ticks: ticks.map(|tick| (tick, label_of_power(tick))).collect(),
        }
    }

    /// Places 0, 1, 2, …, with these names.
    pub fn places(names: impl IntoIterator<Item = String>) -> Self {
        let ticks: Vec<_> = names
            .into_iter()
            .enumerate()
            .map(|(place, name)| (place as f64, name))
            .collect();
        Self {
            is_log: false,
            low: -0.5,
            high: ticks.len() as f64 - 0.5,
            ticks,
        }
    }

    /// The same with fewer labels: each `every`-th.
    #[must_use]
    pub fn every(mut self, every: usize) -> Self {
        self.ticks = self.ticks.into_iter().step_by(every.max(1)).collect();
        self
    }

    /// The same with labels that `label` makes of the values.
    #[must_use]
    pub fn labelled(mut self, label: impl Fn(f64) -> String) -> Self {
        for (value, text) in &mut self.ticks {
            *text = label(*value);
        }
        self
    }

    /// For errors: logarithmic where they span decades, and at most up to `most`.
    pub(super) fn of_errors(errors: impl Iterator<Item = f64>, most: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0f64);
        for error in errors.filter(|error| *error > 0.0 && error.is_finite()) {
            low = low.min(error);
            high = high.max(error.min(most));
        }
        if high > DECADES * low {
            Self::logarithmic(low.max(high / MOST) / 1.15, high * 1.15)
        } else {
            let step = nice_step(if high > 0.0 { high / 5.0 } else { 0.2 });
            Self::linear((high / step).ceil().max(1.0) * step, 5)
        }
    }

    /// Where it begins.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// Where it ends.
    pub fn high(&self) -> f64 {
        self.high
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.is_log { value.log10() } else { value }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let value = if value.is_nan() { self.high } else { *value };
        let [low, value, high] =
            [self.low, value.clamp(self.low, self.high), self.high].map(|v| self.scaled(v));
        start + (f64::from(end - start) * (value - low) / (high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let own = self.ticks.iter().find(|(tick, _)| tick == value);
        own.map_or(String::new(), |(_, label)| label.clone())
    }
}

fn label_of_power(value: f64) -> String {
    match value {
        _ if !(0.99e-4..0.99e6).contains(&value) => format!("{value:.0e}").replace('-', "−"),
        _ if value >= 0.99 => grouped(value.round() as u64),
        // As many decimals as the first digit needs.
        _ => format!("{value:.*}", decimals(value)),
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&nice| nice >= step * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

fn decimals(step: f64) -> usize {
    (-(step * (1.0 + 1e-9)).log10().floor()).clamp(0.0, 9.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        let ticks = axis.key_points(9).into_iter();
        ticks.map(|tick| axis.format_ext(&tick)).collect()
    }

    #[test]
    fn steps_of_an_axis_are_round_numbers() {
        let steps = [0.13, 0.2, 0.7, 3.1, 1_667.0].map(nice_step);
        let expected = [0.2, 0.2, 1.0, 5.0, 2_000.0];
        for (step, expected) in steps.into_iter().zip(expected) {
            assert!((step / expected - 1.0).abs() < 1e-9, "{step} {expected}");
        }
        assert_eq!(decimals(0.2), 1);
        assert_eq!(decimals(20.0), 0);
        assert_eq!(
            labels(&Axis::linear(10_000.0, 5)),
            ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]
        );
        assert_eq!(labels(&Axis::linear(0.6, 3)), ["0.0", "0.2", "0.4", "0.6"]);
    }

    #[test]
    fn errors_that_span_decades_have_a_logarithmic_axis() {
        let axis = Axis::of_errors([0.69, 0.001, f64::NAN, 0.0].into_iter(), 1e9);
        assert!(axis.is_log);
        assert_eq!(labels(&axis), ["0.001", "0.01", "0.1"]);
        let axis = Axis::of_errors([0.69, 0.1].into_iter(), 1e9);
        assert!(!axis.is_log);
        assert_eq!(labels(&axis)[..2], ["0.0", "0.2"]);
        let axis = Axis::logarithmic(0.02, 1.0);
        assert_eq!(labels(&axis), ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        let axis = Axis::logarithmic(1e-7, 1.0);
        assert_eq!(labels(&axis), ["1e−6", "0.0001", "0.01", "1"]);
    }

    #[test]
    fn whatever_the_errors_there_is_an_axis() {
        for errors in [vec![], vec![0.0], vec![f64::NAN], vec![1e300, 1e-300]] {
            let axis = Axis::of_errors(errors.into_iter(), 1e250);
            assert!(axis.high() > 0.0 && !axis.ticks.is_empty());
            for beyond in [f64::NAN, -1.0, 1e308, f64::INFINITY] {
                assert!((0..=800).contains(&axis.map(&beyond, (0, 800))));
            }
        }
    }
}
