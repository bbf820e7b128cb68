//! The learning curves of a sweep, as an SVG drawing: a line for each point.

use super::bins::{Bin, bins};
use super::compare::{Chart, Compared, Line, POINTS, threshold};
use super::style::{capitalised, grouped};
use crate::runs::decimal::decimal;
use crate::training::{PointResult, Statistics};
use plotters::style::{HSLColor, RGBColor};
use std::ops::RangeInclusive;

/// Lines at most: more are not told apart.
const MOST: usize = 12;
/// Hues of the first and the last line, from blue to red; all can be seen on white and on black.
const HUES: RangeInclusive<f64> = 0.0..=0.68;
const SATURATION: f64 = 0.62;
const LIGHTNESS: f64 = 0.46;

/// A point of one of the runs.
struct Point<'a> {
    run: &'a Compared<'a>,
    index: usize,
    result: PointResult,
}

impl Point<'_> {
    /// `batch 4, learning_rate 0.01`.
    fn name(&self) -> String {
        let own = self.run.recipe.describe_point(self.index);
        let names = [self.run.name, &own]
            .into_iter()
            .filter(|name| !name.is_empty());
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The points of one run or several: the median error of each point's networks, and their quartiles, against the episodes that each
/// network has seen. Of more points than can be told apart, the best ones.
pub fn sweep(runs: &[Compared<'_>]) -> String {
    let points: Vec<_> = runs.iter().flat_map(points).collect();
    let results: Vec<_> = points.iter().map(|point| point.result.clone()).collect();
    let best = PointResult::best(&results);
    let drawn = drawn(&results);
    let lines = drawn.iter().enumerate().map(|(place, &index)| {
        let Point { run, result, .. } = &points[index];
        let bins = bins(&run.trained.history, POINTS);
        let colour = colour(place, drawn.len());
        let own = |bin: &'_ Bin| Statistics::of(&bin.error[result.networks.clone()]);
        let line = Line::of(&points[index].name(), colour, &bins, own);
        match best == Some(index) {
            true => Line { width: 4, ..line },
            false => line,
        }
    });
    let all = grouped(results.len() as u64);
    let left_out = (drawn.len() < results.len())
        .then(|| format!("The {MOST} best of {all} points are drawn."));
    let failures: usize = runs.iter().map(|run| run.trained.failures.len()).sum();
    let failed = (failures > 0).then(|| {
        let count = grouped(failures as u64);
        format!("Networks that failed, since a loss or a gradient was not finite: {count}.")
    });
    let last = runs.iter().filter_map(|run| run.trained.history.last());
    let task = runs.first().map_or("", |run| run.recipe.task.name());
    let chart = Chart {
        title: format!("{} · {all} points of a sweep", capitalised(task)),
        about: about(runs, best.map(|best| &points[best])),
        lines: lines.collect(),
        episodes: last.map(|report| report.episode).max().unwrap_or(0),
        threshold: threshold(runs),
        notes: left_out.into_iter().chain(failed).collect(),
    };
    chart.svg()
}

fn points<'a>(run: &'a Compared<'a>) -> impl Iterator<Item = Point<'a>> {
    let results = run.trained.points(run.recipe).into_iter();
    results
        .enumerate()
        .map(move |(index, result)| Point { run, index, result })
}

/// The points that are drawn, in order.
fn drawn(results: &[PointResult]) -> Vec<usize> {
    let mut left: Vec<_> = (0..results.len()).collect();
    if left.len() > MOST {
        left.sort_by(|&one, &other| PointResult::order(&results[one], &results[other]));
        left.truncate(MOST);
        left.sort_unstable();
    }
    left
}

/// The colour of one of so many lines.
fn colour(place: usize, count: usize) -> RGBColor {
    let (first, last) = (*HUES.end(), *HUES.start());
    let part = place as f64 / count.saturating_sub(1).max(1) as f64;
    let hue = first + part * (last - first);
    let (red, green, blue) =
        plotters::style::Color::to_backend_color(&HSLColor(hue, SATURATION, LIGHTNESS)).rgb;
    RGBColor(red, green, blue)
}

fn about(runs: &[Compared<'_>], best: Option<&Point<'_>>) -> String {
    let Some(point) = best else {
        return "stopped before the first update".to_owned();
    };
    let stopped = match runs.iter().any(|run| run.trained.stopped) {
        true => "stopped; so far ",
        false => "",
    };
    let median = point
        .result
        .final_error
        .map_or(f64::NAN, |error| error.median);
    let median = match median.is_finite() {
        true => format!(", median error {}", decimal(median)),
        false => String::new(),
    };
    format!(
        "median and quartiles of each point's networks; {stopped}best: {}, {} of {} solved{median}",
        point.name(),
        point.result.solved,
        point.result.networks.len(),
    )
}
