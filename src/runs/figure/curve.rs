//! The learning curve, as an SVG drawing.

use super::axis::Axis;
use super::bins::{Bin, bins};
use super::compare::Compared;
use super::frame::{Frame, Mark};
use super::lines::{Lines, median};
use super::style::{
    BAND, Canvas, Drawn, FAINT, SHADE, at, capitalised, font, grouped, mesh, number, px,
};
use super::sweep::sweep;
use crate::runs::decimal::decimal;
use crate::training::{Recipe, Statistics, Trained};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const SIZE: (u32, u32) = (760, 400);
const TOP: u32 = 18;
const RIGHT: u32 = 30;
/// Points of a line, and of all lines together, at most: a drawing of many networks is no larger than one of some.
const MOST_POINTS: usize = 200;
const FEWEST_POINTS: usize = 60;
const ALL_POINTS: usize = 6_000;
/// An error so many times the largest upper quartile is drawn at the edge.
const BEYOND: f64 = 100.0;
/// Seeds that a note names.
const MOST_SEEDS: usize = 8;

/// The error of every network, and their median, against the episodes that each of them has seen; of a sweep, median and
/// quartiles of each point.
pub fn curve(recipe: &Recipe, trained: &Trained) -> String {
    if !recipe.sweep.is_empty() {
        return sweep(&[Compared {
            name: "",
            recipe,
            trained,
        }]);
    }
    let errors: Vec<f64> = trained
        .networks
        .iter()
        .map(|network| network.final_error.unwrap_or(f64::NAN))
        .collect();
    let solved: Vec<bool> = trained.networks.iter().map(|n| n.solved).collect();
    let lines = Lines::new(&errors, &solved);
    let points = ALL_POINTS / lines.drawn.len().max(1);
    let bins = bins(&trained.history, points.clamp(FEWEST_POINTS, MOST_POINTS));
    let statistics: Vec<_> = bins.iter().map(|bin| Statistics::of(&bin.error)).collect();
    // A threshold for other values than errors has no place in the chart.
    let task = &recipe.task;
    let threshold = (!task.is_judged_by_answers()).then(|| task.solved_below());
    let most = statistics.iter().flatten().map(|s| s.q75);
    let most = most.filter(|q75| q75.is_finite()).reduce(f64::max);
    let most = most.map_or(f64::INFINITY, |q75| {
        BEYOND * q75.max(threshold.unwrap_or(0.0))
    });
    let plot = Plot {
        episodes: shown(recipe, trained) as f64,
        frozen: (u64::from(recipe.meta_steps() - recipe.frozen_meta_steps()) * recipe.batch as u64)
            as f64,
        errors: Axis::of_errors(drawn(&bins, &lines).chain(threshold), most),
        threshold,
        bins: &bins,
        statistics: &statistics,
        lines: &lines,
    };
    let mut key = lines.key();
    if let Some(threshold) = threshold {
        key.push((Mark::Dashes, format!("solved below {threshold}")));
    }
    let is_beyond = |error: f64| error > plot.errors.high() && error.is_finite();
    let beyond = drawn(&bins, &lines).any(is_beyond).then(|| {
        let most = match plot.errors.high() {
            high if high < 1e3 => number(high),
            high => format!("{high:.1e}"),
        };
        format!("Errors above {most} are drawn at the upper edge.")
    });
    let notes = [failures(trained), lines.note(), beyond];
    let networks = match recipe.networks() {
        1 => "1 network".to_owned(),
        count => format!("{} networks", grouped(count as u64)),
    };
    let frame = Frame {
        title: format!("{} · {networks}", capitalised(task.name())),
        about: about(recipe, trained),
        key,
        notes: notes.into_iter().flatten().collect(),
        size: SIZE,
    };
    frame.draw(|area| plot.draw(area))
}

/// The errors of all lines.
fn drawn<'a>(bins: &'a [Bin], lines: &'a Lines<'_>) -> impl Iterator<Item = f64> + 'a {
    let of_bin = |bin: &'a Bin| lines.drawn.iter().map(|&index| bin.error[index]);
    bins.iter().flat_map(of_bin)
}

/// Episodes that the chart shows: all of the run, or those until it was stopped.
fn shown(recipe: &Recipe, trained: &Trained) -> u64 {
    let all = u64::from(recipe.meta_steps()) * recipe.batch as u64;
    match trained.history.last() {
        Some(last) if trained.stopped => last.episode,
        _ => all,
    }
}

struct Plot<'a> {
    episodes: f64,
    /// The episode from which parameters are frozen.
    frozen: f64,
    errors: Axis,
    threshold: Option<f64>,
    bins: &'a [Bin],
    statistics: &'a [Option<Statistics>],
    lines: &'a Lines<'a>,
}

impl Plot<'_> {
    fn draw(&self, area: &Canvas<'_>) -> Drawn {
        let mut chart = ChartBuilder::on(area)
            .margin_top(px(TOP))
            .margin_right(px(RIGHT))
            .margin_bottom(px(6))
            .margin_left(px(8))
            .x_label_area_size(px(50))
            .y_label_area_size(px(66))
            .build_cartesian_2d(Axis::linear(self.episodes, 6), self.errors.clone())?;
        let has_frozen = self.frozen < self.episodes;
        if has_frozen {
            let corners = [
                (self.frozen, self.errors.low()),
                (self.episodes, self.errors.high()),
            ];
            chart.draw_series([Rectangle::new(corners, SHADE.filled())])?;
        }
        mesh(&mut chart)
            .x_desc("episodes seen by each network")
            .y_desc("error per counted step")
            .draw()?;
        if self.lines.is_selection() {
            let band = self.line(|k| self.statistics[k].map(|s| s.q75));
            let back = self.line(|k| self.statistics[k].map(|s| s.q25));
            for (mut band, back) in band.into_iter().zip(back) {
                band.extend(back.into_iter().rev());
                chart.draw_series([Polygon::new(band, BAND.filled())])?;
            }
        }
        for &index in &self.lines.drawn {
            let style = self.lines.style(index);
            for line in self.line(|k| Some(self.bins[k].error[index])) {
                chart.draw_series(LineSeries::new(line, style))?;
            }
        }
        if let Some(threshold) = self.threshold {
            let ends = [(0.0, threshold), (self.episodes, threshold)];
            let style = FAINT.stroke_width(px(1));
            chart.draw_series(DashedLineSeries::new(ends, px(5), px(4), style))?;
        }
        // Of one network, its line is all there is.
        if self.bins.first().is_some_and(|bin| bin.error.len() > 1) {
            for line in self.line(|k| self.statistics[k].map(|s| s.median)) {
                chart.draw_series(LineSeries::new(line, median()))?;
            }
        }
        if has_frozen {
            let label = font(14, &FAINT).pos(Pos::new(HPos::Right, VPos::Bottom));
            area.draw_text("frozen", &label, at(SIZE.0 - RIGHT, TOP - 2))?;
        }
        Ok(())
    }

    /// The stretches of a line over the bins where its value is finite.
    fn line(&self, value: impl Fn(usize) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
        let mut stretches = vec![Vec::new()];
        for (k, bin) in self.bins.iter().enumerate() {
            match value(k).filter(|value| value.is_finite()) {
                Some(value) => {
                    let last = stretches.last_mut().expect("there is one");
                    last.push((bin.episode, value));
                }
                None => stretches.push(Vec::new()),
            }
        }
        stretches.retain(|stretch| stretch.len() > 1);
        stretches
    }
}

/// Which networks stopped learning.
fn failures(trained: &Trained) -> Option<String> {
    let failed = &trained.failures;
    if failed.is_empty() {
        return None;
    }
    let named = failed.iter().take(MOST_SEEDS);
    let seeds: Vec<_> = named
        .map(|failure| trained.networks[failure.network].seed.to_string())
        .collect();
    let more = match failed.len().saturating_sub(MOST_SEEDS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (networks, lines) = match failed.len() {
        1 => ("network", "its line ends"),
        _ => ("networks", "their lines end"),
    };
    Some(format!(
        "{} {networks} failed (seed {}{more}): a loss or a gradient was not finite. Where errors are not, {lines}, and the \
         median takes them for infinite.",
        failed.len(),
        seeds.join(", "),
    ))
}

fn about(recipe: &Recipe, trained: &Trained) -> String {
    let frozen = u64::from(recipe.frozen_meta_steps()) * recipe.batch as u64;
    match trained.final_error() {
        None => "stopped before the first update".to_owned(),
        Some(error) if trained.stopped => format!(
            "stopped after {} episodes; {}median of the last error {}",
            grouped(shown(recipe, trained)),
            solved_so_far(recipe, trained),
            decimal(error.median),
        ),
        Some(error) if error.median.is_finite() => format!(
            "{} solved; {}median final error {}, over the last {} episodes with frozen parameters",
            trained.solved(),
            median_of_wrong_answers(trained),
            decimal(error.median),
            grouped(frozen),
        ),
        Some(_) => format!(
            "{} solved; no median final error: {} networks failed",
            trained.solved(),
            trained.failures.len()
        ),
    }
}

/// Wrong answers are only counted at the end of a run.
fn solved_so_far(recipe: &Recipe, trained: &Trained) -> String {
    match recipe.task.is_judged_by_answers() {
        true => String::new(),
        false => format!("{} solved so far; ", trained.solved()),
    }
}

/// Where networks are judged by that.
fn median_of_wrong_answers(trained: &Trained) -> String {
    let wrong: Option<Vec<f64>> = trained.networks.iter().map(|n| n.wrong).collect();
    let median = wrong.and_then(|wrong| Some(Statistics::of(&wrong)?.median));
    median.map_or(String::new(), |median| {
        format!("{:.2} % wrong; ", 100.0 * median)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::tasks::Completion;
    use crate::training::Training;
    use std::ops::ControlFlow;

    fn trained(population: usize, scale: f64) -> (Recipe, Trained) {
        let recipe = Recipe {
            episodes: 40,
            population,
            initial: crate::parameters::Initial {
                scale,
                ..Default::default()
            },
            ..Recipe::new(std::sync::Arc::new(Completion::PAPER)).unwrap()
        };
        let training = Training::new(&Engine::cpu(), &recipe).unwrap();
        let trained = training.run(|_| ControlFlow::Continue(())).unwrap();
        (recipe, trained)
    }

    #[test]
    fn a_run_without_a_finite_error_is_drawn_too_and_says_so() {
        let (recipe, trained) = trained(20, 1e25);
        let figure = curve(&recipe, &trained);
        assert!(figure.contains("no median") && figure.contains("20 networks failed"));
        assert!(!figure.contains("NaN") && !figure.contains("inf,"));
    }

    #[test]
    fn every_network_has_a_line_in_the_colour_of_what_it_reached() {
        let (recipe, mut trained) = trained(5, 0.01);
        for (index, network) in trained.networks.iter_mut().enumerate() {
            network.solved = index < 2;
        }
        let figure = curve(&recipe, &trained);
        let lines = |colour: &str| {
            let lines = figure.lines().filter(|line| line.starts_with("<polyline"));
            let points = |line: &&str| line.matches(',').count() > 10;
            lines
                .filter(points)
                .filter(|line| line.contains(colour))
                .count()
        };
        assert_eq!(
            [lines("#1F5FA8"), lines("#D4761C"), lines("#2B2F36")],
            [2, 3, 1]
        );
        for text in [
            "median of 5",
            "solved (2)",
            "not solved (3)",
            "solved below 0.1",
        ] {
            assert!(figure.contains(text), "{text}");
        }
    }

    #[test]
    fn a_thousand_networks_are_a_small_drawing() {
        let (recipe, trained) = trained(1_000, 0.01);
        let figure = curve(&recipe, &trained);
        assert!(figure.len() < 120_000, "{}", figure.len());
        assert!(figure.contains("60 of 1,000 networks") && figure.contains("quartiles"));
    }
}
