//! A learning curve in no more points than a reader can tell apart.

use crate::training::Report;

/// The mean over some reports that follow each other.
pub(super) struct Bin {
    /// The middle of the reports' episodes.
    pub episode: f64,
    /// Each network's error; NaN where one of the reports has it.
    pub error: Vec<f64>,
}

/// The reports in at most `most` bins, equally wide in episodes. A single report is two: its start and its end.
pub(super) fn bins(history: &[Report], most: usize) -> Vec<Bin> {
    let last = history.last().map_or(0, |report| report.episode);
    let mut bins: Vec<(usize, Weighted)> = Vec::new();
    let mut start = 0;
    for report in history {
        let middle = (start as f64 + report.episode as f64) / 2.0;
        let place = (middle / last as f64 * most as f64) as usize;
        let weight = report.episode.saturating_sub(start) as f64;
        match bins.last_mut() {
            Some((same, bin)) if *same == place => bin.add(middle, weight, &report.error),
            _ => {
                let mut bin = Weighted::new(report.error.len());
                bin.add(middle, weight, &report.error);
                bins.push((place, bin));
            }
        }
        start = report.episode;
    }
    let bins: Vec<_> = bins.into_iter().map(|(_, bin)| bin.mean()).collect();
    match <[Bin; 1]>::try_from(bins) {
        Ok([Bin { error, .. }]) => [0.0, last as f64]
            .map(|episode| Bin {
                episode,
                error: error.clone(),
            })
            .into(),
        Err(bins) => bins,
    }
}

/// Sums on the way to a mean.
struct Weighted {
    weight: f64,
    episode: f64,
    error: Vec<f64>,
}

impl Weighted {
    fn new(networks: usize) -> Self {
        Self {
            weight: 0.0,
            episode: 0.0,
            error: vec![0.0; networks],
        }
    }

    fn add(&mut self, episode: f64, weight: f64, error: &[f64]) {
        self.weight += weight;
        self.episode += weight * episode;
        for (sum, error) in self.error.iter_mut().zip(error) {
            *sum += weight * error;
        }
    }

    fn mean(self) -> Bin {
        Bin {
            episode: self.episode / self.weight,
            error: self.error.iter().map(|sum| sum / self.weight).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Phase;

    fn report(episode: u64, error: [f64; 2]) -> Report {
        Report {
            episode,
            phase: Phase::Training,
            error: error.to_vec(),
            failed: 0,
        }
    }

    #[test]
    fn reports_of_one_bin_count_by_their_episodes() {
        let history = [
            report(10, [1.0, f64::NAN]),
            report(40, [5.0, 1.0]),
            report(100, [2.0, 3.0]),
        ];
        let [first, second] = <[Bin; 2]>::try_from(bins(&history, 2)).ok().unwrap();
        assert_eq!((first.error[0], second.error[0]), (4.0, 2.0));
        assert!(first.error[1].is_nan() && second.error[1] == 3.0);
        assert_eq!((first.episode, second.episode), (20.0, 70.0));
        assert_eq!(bins(&history, 1_000).len(), 3);
    }

    #[test]
    fn one_report_is_a_line_and_none_is_nothing() {
        let [start, end] = <[Bin; 2]>::try_from(bins(&[report(8, [1.0, 2.0])], 5))
            .ok()
            .unwrap();
        assert_eq!((start.episode, end.episode), (0.0, 8.0));
        assert!(bins(&[], 5).is_empty());
    }
}
