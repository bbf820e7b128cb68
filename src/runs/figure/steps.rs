//! What networks do at each step of an episode.

use super::axis::Axis;
use super::frame::{Frame, Mark};
use super::lines::{Lines, median};
use super::style::{
    BAND, Canvas, Drawn, FAINT, INK, PAPER, SHADE, capitalised, font, grouped, mesh, px,
};
use crate::network::Loss;
use crate::tasks::Task;
use crate::training::{Evaluation, Statistics};
use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const SIZE: (u32, u32) = (760, 560);
/// Space at the top of a panel, for the names of what changes.
const TOP: u32 = 26;
/// An error so many times the largest upper quartile is drawn at the edge.
const BEYOND: f64 = 100.0;
/// Steps with labels, at most.
const LABELS: usize = 20;

/// Error above, right answers below, against the steps of an episode of `task`; and where the task changes, and what guessing
/// comes to.
///
/// # Panics
/// If the evaluation is of another task.
pub fn steps(task: &dyn Task, evaluation: &Evaluation, title: &str, subtitle: &str) -> String {
    assert_eq!(task.steps(), evaluation.counted.len(), "another task");
    let (errors, solved) = (evaluation.mean_error(), evaluation.solved(task));
    let lines = Lines::new(&errors, &solved);
    let chance = match task.loss() {
        Loss::SoftmaxCrossEntropy => Some((task.outputs() as f64).ln()),
        Loss::SquaredError | Loss::None => None,
    };
    let panels = [
        Panel {
            name: "error",
            axis: errors_axis(evaluation, &lines, chance),
            values: &evaluation.error,
            chance,
            task,
            evaluation,
            lines: &lines,
        },
        Panel {
            name: "right answers",
            axis: Axis::linear(1.0, 5),
            values: &evaluation.accuracy,
            chance: task.chance(),
            task,
            evaluation,
            lines: &lines,
        },
    ];
    let mut key = lines.key();
    if panels.iter().any(|panel| panel.chance.is_some()) {
        key.push((Mark::Dashes, "chance".to_owned()));
    }
    if evaluation.counted.contains(&false) {
        key.push((Mark::Patch(SHADE), "not counted".to_owned()));
    }
    let failed = errors.iter().filter(|error| !error.is_finite()).count();
    let failed = (failed > 0).then(|| {
        let count = grouped(failed as u64);
        format!("Not finite in {count} of the networks: they have no line there, and the median takes them for infinite.")
    });
    let frame = Frame {
        title: capitalised(title),
        about: subtitle.to_owned(),
        key,
        notes: [failed, lines.note()].into_iter().flatten().collect(),
        size: SIZE,
    };
    frame.draw(|area| {
        let (above, below) = area.split_vertically(px(SIZE.1 / 2));
        panels[0].draw(&above)?;
        panels[1].draw(&below)
    })
}

/// Of the counted steps of all lines, and chance.
fn errors_axis(evaluation: &Evaluation, lines: &Lines<'_>, chance: Option<f64>) -> Axis {
    let all = summaries(&evaluation.error);
    let counted = || (0..evaluation.counted.len()).filter(|&step| evaluation.counted[step]);
    let quartiles = counted().map(|step| all[step].q75);
    let most = quartiles.filter(|q75| q75.is_finite()).fold(0.0, f64::max);
    let of_step = |step| {
        lines
            .drawn
            .iter()
            .map(move |&index| evaluation.error[[index, step]])
    };
    // What guessing comes to leaves room above.
    let chance = chance.map(|chance| 1.1 * chance);
    Axis::of_errors(
        counted().flat_map(of_step).chain(chance),
        BEYOND * most.max(chance.unwrap_or(1e-3)),
    )
}

/// Statistics over the networks, for each step.
fn summaries(values: &Array2<f64>) -> Vec<Statistics> {
    let columns = values.columns().into_iter();
    columns
        .filter_map(|column| Statistics::of(&column.to_vec()))
        .collect()
}

struct Panel<'a> {
    name: &'a str,
    axis: Axis,
    /// `[P, T]`
    values: &'a Array2<f64>,
    chance: Option<f64>,
    task: &'a dyn Task,
    evaluation: &'a Evaluation,
    lines: &'a Lines<'a>,
}

impl Panel<'_> {
    fn draw(&self, area: &Canvas<'_>) -> Drawn {
        let counted = &self.evaluation.counted;
        let steps = counted.len();
        let (bottom, top) = (self.axis.low(), self.axis.high());
        let names = Axis::places((0..steps).map(|step| step.to_string()));
        let mut chart = ChartBuilder::on(area)
            .margin_top(px(TOP))
            .margin_right(px(30))
            .margin_left(px(8))
            .margin_bottom(px(6))
            .x_label_area_size(px(46))
            .y_label_area_size(px(66))
            .build_cartesian_2d(names.every(steps.div_ceil(LABELS)), self.axis.clone())?;
        for stretch in stretches(counted, false) {
            let [from, to] = ends(&stretch);
            let corners = [(from, bottom), (to, top)];
            chart.draw_series([Rectangle::new(corners, SHADE.filled())])?;
        }
        mesh(&mut chart)
            .x_desc("step of the episode")
            .y_desc(self.name)
            .draw()?;
        if let Some(chance) = self.chance {
            let ends = [(-0.5, chance), (steps as f64 - 0.5, chance)];
            let style = FAINT.stroke_width(px(1));
            chart.draw_series(DashedLineSeries::new(ends, px(5), px(4), style))?;
        }
        for (step, words) in self.task.changes() {
            let x = step as f64 - 0.5;
            let style = INK.stroke_width(px(1));
            chart.draw_series([PathElement::new([(x, bottom), (x, top)], style)])?;
            let above = font(14, &INK).pos(Pos::new(HPos::Center, VPos::Bottom));
            let place = chart.backend_coord(&(x, top));
            let origin = area.get_base_pixel();
            let place = (place.0 - origin.0, place.1 - origin.1 - px(3) as i32);
            area.draw_text(&words, &above, place)?;
        }
        let all = summaries(self.values);
        for steps in stretches(counted, true) {
            let line = |value: &dyn Fn(usize) -> f64| self.line(steps.clone(), value);
            if self.lines.is_selection() {
                let (low, high) = (line(&|step| all[step].q25), line(&|step| all[step].q75));
                for (low, mut high) in low.into_iter().zip(high) {
                    high.extend(low.into_iter().rev());
                    chart.draw_series([Polygon::new(high, BAND.filled())])?;
                }
            }
            for &index in &self.lines.drawn {
                let style = self.lines.style(index);
                for line in line(&|step| self.values[[index, step]]) {
                    // One point makes no line.
                    match line.as_slice() {
                        &[point] => {
                            chart.draw_series([Circle::new(point, px(3), style)])?;
                        }
                        _ => {
                            chart.draw_series(LineSeries::new(line, style))?;
                        }
                    }
                }
            }
            if self.values.nrows() == 1 {
                continue;
            }
            for line in line(&|step| all[step].median) {
                let dots = line.iter().map(|&point| {
                    EmptyElement::at(point)
                        + Circle::new((0, 0), px(4), PAPER.filled())
                        + Circle::new((0, 0), px(3), INK.filled())
                });
                chart.draw_series(LineSeries::new(line.iter().copied(), median()))?;
                chart.draw_series(dots)?;
            }
        }
        Ok(())
    }

    /// The stretches of a line over some steps where its value is finite.
    fn line(
        &self,
        steps: std::ops::Range<usize>,
        value: &dyn Fn(usize) -> f64,
    ) -> Vec<Vec<(f64, f64)>> {
        let finite: Vec<bool> = steps.clone().map(|step| value(step).is_finite()).collect();
        let point = |k: usize| {
            let step = steps.start + k;
            (step as f64, value(step))
        };
        let stretches = stretches(&finite, true).into_iter();
        stretches.map(|part| part.map(point).collect()).collect()
    }
}

fn ends(stretch: &std::ops::Range<usize>) -> [f64; 2] {
    [stretch.start, stretch.end].map(|end| end as f64 - 0.5)
}

/// The stretches that are `value`.
fn stretches(all: &[bool], value: bool) -> Vec<std::ops::Range<usize>> {
    let mut stretches: Vec<std::ops::Range<usize>> = Vec::new();
    for step in (0..all.len()).filter(|&step| all[step] == value) {
        match stretches.last_mut() {
            Some(last) if last.end == step => last.end = step + 1,
            _ => stretches.push(step..step + 1),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Association, Completion};

    fn evaluation(task: &dyn Task, population: usize, value: f64) -> Evaluation {
        Evaluation {
            episodes: 1,
            error: Array2::from_elem((population, task.steps()), value),
            accuracy: Array2::from_elem((population, task.steps()), 0.5),
            counted: (0..task.steps()).map(|step| task.counts(step)).collect(),
            counts: None,
        }
    }

    fn draw(task: &dyn Task, population: usize, value: f64) -> String {
        steps(task, &evaluation(task, population, value), "t", "s")
    }

    #[test]
    fn few_networks_are_drawn_one_by_one_and_of_many_some_are() {
        let lines = |population| {
            let figure = draw(&Association::ONE_SHOT, population, 0.3);
            figure.matches("<polyline").count()
        };
        let [one, two, ten, many] = [1, 2, 10, 1_000].map(lines);
        // A line in each panel and in the key; the median of one is that one.
        assert_eq!(ten - two, 2 * 8);
        assert_eq!(two - one, 2 + 2 + 1);
        assert_eq!(many - ten, 2 * 50);
        let figure = draw(&Association::ONE_SHOT, 1_000, 0.3);
        assert!(figure.contains("60 of 1,000") && figure.contains("quartiles"));
    }

    #[test]
    fn the_swap_and_chance_are_marked() {
        let reversal = draw(&Association::REVERSAL, 3, 0.3);
        assert_eq!(reversal.matches("labels swap").count(), 2);
        assert!(reversal.contains("chance") && reversal.contains("not counted"));
        let one_shot = draw(&Association::ONE_SHOT, 3, 0.3);
        assert!(!one_shot.contains("labels swap") && one_shot.contains("chance"));
        assert!(draw(&Completion::PAPER, 3, 0.3).contains("chance"));
    }

    #[test]
    fn networks_are_told_apart_by_what_they_reach() {
        let task = &Association::ONE_SHOT;
        let mut evaluation = evaluation(task, 3, 0.3);
        evaluation.error.row_mut(1).fill(0.01);
        let figure = steps(task, &evaluation, "t", "s");
        assert!(figure.contains("solved (1)") && figure.contains("not solved (2)"));
    }

    #[test]
    fn steps_that_do_not_count_part_the_lines() {
        let counted = [false, true, true, false, false, true];
        assert_eq!(stretches(&counted, true), [1..3, 5..6]);
        assert_eq!(stretches(&counted, false), [0..1, 3..5]);
        assert!(stretches(&[false], true).is_empty());
    }

    #[test]
    fn what_is_not_finite_is_drawn_too() {
        for value in [f64::NAN, f64::INFINITY, 0.0, 1e300] {
            let figure = draw(&Completion::PAPER, 3, value);
            assert!(figure.trim_end().ends_with("</svg>") && !figure.contains("NaN"));
            assert_eq!(figure.contains("Not finite in 3"), !value.is_finite());
        }
    }
}
