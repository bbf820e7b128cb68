//! What networks do at each step of an episode.

use super::style::{
    BAND, Canvas, FAINT, GRID, INK, LINE, SHADE, at, capitalised, chart, decimals, font, nice_step,
    px,
};
use crate::training::{Evaluation, Statistics};
use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (880, 640);
const TOP: u32 = 78;
const RIGHT: u32 = 34;
/// Networks that are drawn one by one.
const MOST_SINGLE: usize = 40;

/// Error above, accuracy below, against the steps of an episode.
pub fn steps(evaluation: &Evaluation, title: &str, subtitle: &str) -> String {
    chart(SIZE, |area| {
        area.draw_text(&capitalised(title), &font(21, &INK), at(30, 18))?;
        area.draw_text(subtitle, &font(14, &FAINT), at(30, 48))?;
        let (_, rest) = area.split_vertically(px(TOP));
        let (above, below) = rest.split_vertically(px((SIZE.1 - TOP) / 2));
        let highest = highest(evaluation);
        panel(&above, evaluation, &evaluation.error, highest, "error")?;
        panel(
            &below,
            evaluation,
            &evaluation.accuracy,
            1.0,
            "right answers",
        )?;
        legend(area)
    })
}

/// Statistics over the networks, for each step.
fn summaries(values: &Array2<f64>) -> Vec<Statistics> {
    let columns = values.columns().into_iter();
    columns
        .filter_map(|column| Statistics::of(&column.to_vec()))
        .collect()
}

fn panel(
    area: &Canvas<'_>,
    evaluation: &Evaluation,
    values: &Array2<f64>,
    highest: f64,
    name: &str,
) -> Result<()> {
    let steps = evaluation.counted.len();
    let step = nice_step(highest / 4.0);
    let top = (highest / step).ceil() * step;
    let mut chart = ChartBuilder::on(area)
        .margin_top(px(10))
        .margin_right(px(RIGHT))
        .margin_left(px(14))
        .margin_bottom(px(8))
        .x_label_area_size(px(44))
        .y_label_area_size(px(66))
        .build_cartesian_2d(-0.5..steps as f64 - 0.5, 0.0..top)?;
    for (step, _) in evaluation
        .counted
        .iter()
        .enumerate()
        .filter(|(_, counted)| !**counted)
    {
        let middle = step as f64;
        let corners = [(middle - 0.5, 0.0), (middle + 0.5, top)];
        chart.draw_series([Rectangle::new(corners, SHADE.filled())])?;
    }
    let every = steps.div_ceil(20).max(1);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(px(1)))
        .axis_style(FAINT.stroke_width(px(1)))
        .set_all_tick_mark_size(px(4))
        .label_style(font(14, &INK))
        .axis_desc_style(font(15, &INK))
        .x_desc("step of the episode")
        .y_desc(name)
        .x_labels(steps.div_ceil(every).clamp(2, 24))
        .y_labels((top / step).round() as usize + 1)
        .x_label_formatter(&|value| {
            let whole = value.round();
            if (value - whole).abs() < 1e-6 {
                format!("{whole:.0}")
            } else {
                String::new()
            }
        })
        .y_label_formatter(&|value| format!("{value:.*}", decimals(step)))
        .draw()?;

    let all = summaries(values);
    let point = |step: usize, value: f64| (step as f64, finite(value, top).clamp(0.0, top));
    for steps in stretches(&evaluation.counted) {
        let line = |value: fn(&Statistics) -> f64| -> Vec<(f64, f64)> {
            let points = steps.clone().map(|step| point(step, value(&all[step])));
            points.collect()
        };
        let (low, high) = (line(|s| s.q25), line(|s| s.q75));
        let corners: Vec<_> = high.iter().chain(low.iter().rev()).copied().collect();
        chart.draw_series([Polygon::new(corners, BAND.filled())])?;
        if values.nrows() <= MOST_SINGLE {
            for row in values.rows() {
                let points = steps.clone().map(|step| point(step, row[step]));
                let style = FAINT.mix(0.55);
                // One point makes no line.
                if steps.len() == 1 {
                    chart.draw_series(points.map(|at| Circle::new(at, px(3), style.filled())))?;
                } else {
                    chart.draw_series(LineSeries::new(points, style.stroke_width(px(1))))?;
                }
            }
        }
        let medians = line(|s| s.median);
        chart.draw_series(LineSeries::new(medians.clone(), LINE.stroke_width(px(2))))?;
        let dots = medians.into_iter();
        chart.draw_series(dots.map(|place| Circle::new(place, px(3), LINE.filled())))?;
    }
    Ok(())
}

/// The largest value that is drawn.
fn highest(evaluation: &Evaluation) -> f64 {
    let values = &evaluation.error;
    let all = summaries(values);
    let counted = (0..evaluation.counted.len()).filter(|&step| evaluation.counted[step]);
    let of_step = |step: usize| -> f64 {
        let single = values.nrows() <= MOST_SINGLE;
        let drawn = values
            .column(step)
            .into_iter()
            .filter(|value| single && value.is_finite());
        drawn.copied().fold(finite(all[step].q75, 0.0), f64::max)
    };
    counted.map(of_step).fold(0.02, f64::max)
}

/// The stretches of steps that count.
fn stretches(counted: &[bool]) -> Vec<std::ops::Range<usize>> {
    let mut stretches: Vec<std::ops::Range<usize>> = Vec::new();
    for step in (0..counted.len()).filter(|&step| counted[step]) {
        match stretches.last_mut() {
            Some(last) if last.end == step => last.end = step + 1,
            _ => stretches.push(step..step + 1),
        }
    }
    stretches
}

fn finite(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() { value } else { otherwise }
}

fn legend(area: &Canvas<'_>) -> Result<()> {
    let key = font(14, &INK).pos(Pos::new(HPos::Left, VPos::Center));
    let right = SIZE.0 - RIGHT;
    let y = 28;
    let [median, quartiles, single, label] = [right - 424, right - 324, right - 210, right - 100];
    let line = |x| [at(x, y), at(x + 22, y)];
    let square = |x| [at(x, y - 7), at(x + 22, y + 7)];
    area.draw(&PathElement::new(line(median), LINE.stroke_width(px(2))))?;
    area.draw(&Rectangle::new(square(quartiles), BAND.filled()))?;
    area.draw(&PathElement::new(
        line(single),
        FAINT.mix(0.6).stroke_width(px(1)),
    ))?;
    area.draw(&Rectangle::new(square(label), SHADE.filled()))?;
    for (x, text) in [
        (median, "median"),
        (quartiles, "quartiles"),
        (single, "a network"),
        (label, "not counted"),
    ] {
        area.draw_text(text, &key, at(x + 28, y))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(population: usize, counted: Vec<bool>, value: f64) -> Evaluation {
        let steps = counted.len();
        Evaluation {
            episodes: 1,
            error: Array2::from_elem((population, steps), value),
            accuracy: Array2::from_elem((population, steps), 0.5),
            counted,
        }
    }

    #[test]
    fn few_networks_are_drawn_one_by_one_and_many_are_not() {
        let lines = |population| {
            let figure = steps(&evaluation(population, vec![true; 6], 0.3), "t", "s");
            figure.matches("<polyline").count()
        };
        let [one, few, many] = [1, 10, 100].map(lines);
        assert_eq!(few - one, 2 * 9);
        assert_eq!(one - many, 2);
    }

    #[test]
    fn steps_that_do_not_count_part_the_lines() {
        let counted = [false, true, true, false, false, true];
        assert_eq!(stretches(&counted), [1..3, 5..6]);
        assert!(stretches(&[false]).is_empty());
    }

    #[test]
    fn what_is_not_finite_is_drawn_too() {
        for value in [f64::NAN, f64::INFINITY, 0.0, 1e300] {
            let figure = steps(&evaluation(3, vec![false, true], value), "t", "s");
            assert!(figure.trim_end().ends_with("</svg>") && !figure.contains("NaN"));
        }
    }
}
