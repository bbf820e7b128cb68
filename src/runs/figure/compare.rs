//! The learning curves of several runs together, as an SVG drawing.

use super::axis::Axis;
use super::bins::{Bin, bins};
use super::frame::{Frame, Mark};
use super::style::{Canvas, Drawn, FAINT, NAMED, font, grouped, mesh, px};
use crate::training::{Recipe, Report, Statistics, Trained};
use plotters::prelude::*;

const SIZE: (u32, u32) = (760, 400);
/// Points of a line at most.
pub(super) const POINTS: usize = 200;
/// How much of a line's colour the quartiles have, and that of all lines together at most.
const BAND: f64 = 0.15;
const BANDS: f64 = 0.6;

/// A run among others.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// What the figure calls it.
    pub name: &'a str,
    /// Its settings.
    pub recipe: &'a Recipe,
    /// What came of it.
    pub trained: &'a Trained,
}

/// A line: medians with their quartiles.
pub(super) struct Line {
    pub colour: RGBColor,
    pub name: String,
    /// In pixels.
    pub width: u32,
    pub points: Vec<(f64, Statistics)>,
}

/// Several lines in one chart.
pub(super) struct Chart {
    pub title: String,
    pub about: String,
    pub lines: Vec<Line>,
    /// Episodes that are shown.
    pub episodes: u64,
    pub threshold: Option<f64>,
    pub notes: Vec<String>,
}

/// The median error of each run's networks, and their quartiles, against the episodes that each of them has seen.
pub fn compare(runs: &[Compared<'_>]) -> String {
    let colours = NAMED.iter().rev().cycle();
    let lines = runs.iter().zip(colours);
    let lines = lines.map(|(run, colour)| Line::new(run.name, *colour, &run.trained.history));
    let last = runs.iter().filter_map(|run| run.trained.history.last());
    let repeated = (runs.len() > NAMED.len())
        .then(|| "Colours come again, in the order of the key.".to_owned());
    let chart = Chart {
        title: format!("{} runs", grouped(runs.len() as u64)),
        about: "median error of each run's networks, and its quartiles".to_owned(),
        lines: lines.collect(),
        episodes: last.map(|report| report.episode).max().unwrap_or(0),
        threshold: threshold(runs),
        notes: repeated.into_iter().collect(),
    };
    chart.svg()
}

impl Chart {
    pub fn svg(self) -> String {
        let Self {
            title,
            about,
            lines,
            episodes,
            threshold,
            notes,
        } = self;
        let errors = lines.iter().flat_map(|line| &line.points);
        let errors = errors.flat_map(|(_, error)| [error.q25, error.median, error.q75]);
        let errors = Axis::of_errors(errors.chain(threshold), f64::INFINITY);
        let mut key: Vec<_> = lines.iter().map(Line::entry).collect();
        if let Some(threshold) = threshold {
            key.push((Mark::Dashes, format!("solved below {threshold}")));
        }
        let frame = Frame {
            title,
            about,
            key,
            notes,
            size: SIZE,
        };
        frame.draw(|area| draw(area, &lines, episodes as f64, errors, threshold))
    }
}

/// The error below which a network has solved the task, where that is one for all.
pub(super) fn threshold(runs: &[Compared<'_>]) -> Option<f64> {
    let mut all = runs.iter().map(|run| {
        let task = &run.recipe.task;
        (!task.is_judged_by_answers()).then(|| task.solved_below())
    });
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}

impl Line {
    /// Of all networks of a run's reports.
    pub fn new(name: &str, colour: RGBColor, history: &[Report]) -> Self {
        let all = |bin: &Bin| Statistics::of(&bin.error);
        Self::of(name, colour, &bins(history, POINTS), all)
    }

    /// Of what is to be shown of each bin.
    pub fn of(
        name: &str,
        colour: RGBColor,
        bins: &[Bin],
        shown: impl Fn(&Bin) -> Option<Statistics>,
    ) -> Self {
        let points = bins.iter().filter_map(|bin| {
            let error = shown(bin).filter(|error| error.q75.is_finite());
            Some((bin.episode, error?))
        });
        Self {
            colour,
            name: name.to_owned(),
            width: 2,
            points: points.collect(),
        }
    }

    fn entry(&self) -> (Mark, String) {
        (
            Mark::Line(self.colour.stroke_width(px(self.width))),
            self.name.clone(),
        )
    }
}

fn draw(
    area: &Canvas<'_>,
    lines: &[Line],
    episodes: f64,
    errors: Axis,
    threshold: Option<f64>,
) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_top(px(18))
        .margin_right(px(30))
        .margin_bottom(px(6))
        .margin_left(px(8))
        .x_label_area_size(px(50))
        .y_label_area_size(px(66))
        .build_cartesian_2d(Axis::linear(episodes, 6), errors)?;
    mesh(&mut chart)
        .x_desc("episodes seen by each network")
        .y_desc("error per counted step")
        .draw()?;
    let band = BAND.min(BANDS / lines.len().max(1) as f64);
    for line in lines {
        let upper = line.points.iter().map(|(episode, it)| (*episode, it.q75));
        let lower = line.points.iter().map(|(episode, it)| (*episode, it.q25));
        let edge: Vec<_> = upper.chain(lower.rev()).collect();
        chart.draw_series([Polygon::new(edge, line.colour.mix(band).filled())])?;
    }
    for line in lines {
        let median = line
            .points
            .iter()
            .map(|(episode, it)| (*episode, it.median));
        chart.draw_series(LineSeries::new(
            median,
            line.colour.stroke_width(px(line.width)),
        ))?;
    }
    if let Some(threshold) = threshold {
        let ends = [(0.0, threshold), (episodes, threshold)];
        let style = FAINT.stroke_width(px(1));
        chart.draw_series(DashedLineSeries::new(ends, px(5), px(4), style))?;
    }
    if lines.iter().all(|line| line.points.is_empty()) {
        let style = font(14, &FAINT);
        area.draw_text("no finite errors", &style, (px(100) as i32, px(100) as i32))?;
    }
    Ok(())
}
