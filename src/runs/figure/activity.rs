//! What is inside a network over an episode, as coloured squares: a row for each neuron, a column for each step.

use super::heat_map::{Blocks, shade};
use super::style::{FAINT, INK, hex, number};
use super::svg::{Anchor, Svg};
use crate::network::Network;
use crate::training::Recording;
use ndarray::{Array2, ArrayViewD, Axis, Ix2};

/// Rows and columns of squares: where there is more, a square stands for several neurons or steps.
const MOST: (usize, usize) = (32, 200);
const LEFT: f64 = 24.0;
/// Where squares begin, and how wide all of them are.
const SQUARES: f64 = 200.0;
const WIDTH: f64 = 500.0;
/// The height of a row of few and of many neurons, and of what is one row.
const ROW: (f64, f64) = (6.0, 14.0);
const GAP: f64 = 30.0;
const TOP: f64 = 84.0;

/// A network of a recording.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// What was recorded.
    pub recording: &'a Recording,
    /// The network's description.
    pub network: &'a Network,
    /// Which network of the population, and which episode.
    pub place: (usize, usize),
    /// The heading.
    pub title: &'a str,
    /// What is said below it.
    pub about: &'a str,
}

/// Input, activity of every layer, modulators, and the mean size of traces, over one episode.
///
/// # Panics
/// If there is no such network or episode.
pub fn activity(recorded: &Recorded<'_>) -> String {
    let mut svg = Svg::default();
    svg.text((LEFT, 30.0), Anchor::Start, 21, INK, recorded.title);
    svg.text((LEFT, 56.0), Anchor::Start, 14, FAINT, recorded.about);
    let mut y = TOP;
    let mut steps = 1;
    for (name, values) in recorded.rows() {
        steps = values.ncols().max(steps);
        y = panel(&mut svg, y, &name, &values);
    }
    // The steps, below the last.
    for step in [0, (steps - 1) / 2, steps - 1] {
        let x = SQUARES + WIDTH * (step as f64 + 0.5) / steps as f64;
        svg.text((x, y - 8.0), Anchor::Middle, 13, INK, &step.to_string());
    }
    let middle = SQUARES + WIDTH / 2.0;
    svg.text((middle, y + 12.0), Anchor::Middle, 14, INK, "step");
    let size = (SQUARES + WIDTH + 70.0, y + 32.0);
    svg.finish(size, recorded.title, recorded.about)
}

impl Recorded<'_> {
    /// What is drawn, from input to output: names, and `[rows, T]`.
    fn rows(&self) -> Vec<(String, Array2<f64>)> {
        let mut rows = Vec::new();
        rows.extend(self.of("input").map(|it| ("input".to_owned(), it)));
        for index in 0..self.network.layers().len() {
            for (name, title) in [("activity", "activity"), ("modulator", "modulator")] {
                let own = self.of(&format!("layer{index}.{name}"));
                rows.extend(own.map(|it| (format!("layer {index}: {title}"), it)));
            }
            for (name, title) in [
                ("trace", "mean |trace|"),
                ("eligibility", "mean |eligibility|"),
            ] {
                let own = self.sizes(&format!("layer{index}.{name}"));
                rows.extend(own.map(|it| (format!("layer {index}: {title}"), it)));
            }
        }
        rows.extend(self.of("target").map(|it| ("target".to_owned(), it)));
        rows
    }

    /// A tensor's values of the episode.
    fn episode(&self, name: &str) -> Option<ArrayViewD<'_, f32>> {
        let all = self.recording.get(name)?.view();
        let own = all.index_axis_move(Axis(0), self.place.0);
        Some(own.index_axis_move(Axis(0), self.place.1))
    }

    fn of(&self, name: &str) -> Option<Array2<f64>> {
        let values = self.episode(name)?.mapv(f64::from);
        let values = match values.ndim() {
            1 => values.insert_axis(Axis(1)),
            _ => values,
        };
        let values = values.into_dimensionality::<Ix2>().ok()?;
        Some(values.reversed_axes().as_standard_layout().into_owned())
    }

    /// The mean absolute value at each step; NaN at those that were not kept. None where one step was.
    fn sizes(&self, name: &str) -> Option<Array2<f64>> {
        let values = self.episode(name)?;
        let steps = self.recording.get("input")?.shape()[2];
        let mut sizes = Array2::from_elem((1, steps), f64::NAN);
        for (place, &step) in self.recording.steps.iter().enumerate() {
            let here = values.index_axis(Axis(0), place);
            let sum: f64 = here.iter().map(|value| f64::from(value.abs())).sum();
            sizes[[0, step]] = sum / here.len().max(1) as f64;
        }
        (self.recording.steps.len() > 1).then_some(sizes)
    }
}

/// Draws squares from `y` on, and returns where the next ones begin.
fn panel(svg: &mut Svg, y: f64, name: &str, values: &Array2<f64>) -> f64 {
    let known = values.iter().copied().filter(|value| !value.is_nan());
    let largest = known.map(f64::abs).fold(0.0, f64::max);
    let Blocks {
        values: shown,
        size,
    } = Blocks::of(values, MOST);
    let (rows, columns) = shown.dim();
    let height = (96.0 / rows as f64).clamp(ROW.0, ROW.1);
    let width = WIDTH / columns as f64;
    svg.text((LEFT, y + 7.0), Anchor::Start, 13, INK, name);
    if size.0 > 1 {
        let about = format!("largest of {} each", size.0);
        svg.text((LEFT, y + 24.0), Anchor::Start, 12, FAINT, &about);
    }
    let end = SQUARES + WIDTH + 8.0;
    svg.text(
        (end, y + 7.0),
        Anchor::Start,
        12,
        FAINT,
        &format!("±{}", number(largest)),
    );
    for ((row, column), &value) in shown.indexed_iter() {
        if value.is_nan() {
            continue;
        }
        let place = (SQUARES + width * column as f64, y + height * row as f64);
        let gap = if width > 6.0 { 1.0 } else { -0.2 };
        let square = (width - gap, height - gap.clamp(0.0, 1.0));
        svg.rectangle(place, square, &hex(shade(value, largest)));
    }
    y + height * rows as f64 + GAP
}
