//! Order statistics over a population.

use serde::Serialize;

/// Median, quartiles and worst of a population's errors.
///
/// Quantiles interpolate linearly between neighbours. A NaN counts as infinitely bad, so that it can make a figure
/// worse but never vanish from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// The middle.
    pub median: f64,
    /// A quarter of the networks are better.
    pub q25: f64,
    /// A quarter of the networks are worse.
    pub q75: f64,
    /// The largest error.
    pub worst: f64,
}

impl Statistics {
    /// The statistics of `errors`; `None` if there are none.
    pub fn of(errors: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = errors
            .iter()
            .map(|&error| if error.is_nan() { f64::INFINITY } else { error })
            .collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5),
            q25: quantile(&sorted, 0.25),
            q75: quantile(&sorted, 0.75),
            worst: *sorted.last()?,
        })
    }
}

fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = fraction * last as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    // Two equal infinities have no difference.
    if below == above {
        below
    } else {
        below + (above - below) * position.fract()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbouring_values() {
        let statistics = Statistics::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            (statistics.q25, statistics.median, statistics.q75),
            (1.75, 2.5, 3.25)
        );
        assert_eq!(statistics.worst, 4.0);
        assert_eq!(Statistics::of(&[7.0]).unwrap().q25, 7.0);
        assert_eq!(Statistics::of(&[]), None);
    }

    #[test]
    fn what_is_not_a_number_is_worst() {
        let statistics = Statistics::of(&[f64::NAN, 1.0, 2.0]).unwrap();
        assert_eq!((statistics.q25, statistics.median), (1.5, 2.0));
        assert_eq!(statistics.worst, f64::INFINITY);
        let statistics = Statistics::of(&[f64::NAN, f64::INFINITY, f64::NAN]).unwrap();
        assert_eq!(statistics.median, f64::INFINITY);
    }
}
