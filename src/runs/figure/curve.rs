//! The learning curve, as an SVG drawing.

use super::style::{
    BAND, Canvas, FAINT, GRID, INK, LINE, SHADE, at, capitalised, chart, decimals, font, grouped,
    nice_step, px,
};
use crate::runs::decimal::decimal;
use crate::training::{Recipe, Statistics, Trained};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (880, 500);
/// Margins of the plot, in pixels.
const TOP: u32 = 78;
const RIGHT: u32 = 34;

/// Median and quartiles of the error over the population, against episodes.
pub fn curve(recipe: &Recipe, trained: &Trained) -> String {
    chart(SIZE, |area| draw(area, recipe, trained))
}

/// A point of the curve: the error's statistics over one report, at its middle.
struct Point {
    episode: f64,
    error: Statistics,
}

fn points(trained: &Trained) -> Vec<Point> {
    let mut start = 0;
    let mut points = Vec::new();
    // A single report is a line from its start to its end.
    let is_single = trained.history.len() == 1;
    for report in &trained.history {
        let end = report.episode;
        let statistics = Statistics::of(&report.error);
        // A population whose upper quartile has failed has no place on a finite axis.
        if let Some(error) = statistics.filter(|error| error.q75.is_finite()) {
            let episodes = match is_single {
                true => vec![start as f64, end as f64],
                false => vec![(start + end) as f64 / 2.0],
            };
            points.extend(episodes.into_iter().map(|episode| Point { episode, error }));
        }
        start = end;
    }
    points
}

/// Episodes that the chart shows: all of the run, or those until it was stopped.
fn shown(recipe: &Recipe, trained: &Trained) -> u64 {
    let all = u64::from(recipe.meta_steps()) * recipe.batch as u64;
    match trained.history.last() {
        Some(last) if trained.stopped => last.episode,
        _ => all,
    }
}

fn draw(area: &Canvas<'_>, recipe: &Recipe, trained: &Trained) -> Result<()> {
    let points = points(trained);
    let episodes = shown(recipe, trained);
    let frozen = u64::from(recipe.meta_steps() - recipe.frozen_meta_steps()) * recipe.batch as u64;
    // A threshold for other values than errors has no place in the chart.
    let task = &recipe.task;
    let threshold = (!task.is_judged_by_answers()).then(|| task.solved_below());
    let errors = points.iter().map(|point| point.error.q75);
    let highest = errors.fold(threshold.map_or(0.0, |error| 1.5 * error), f64::max);
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let step = nice_step(highest / 5.0);
    let top = (highest / step).ceil() * step;

    let small = font(15, &FAINT);
    let title = format!(
        "{} · {} network{}",
        capitalised(recipe.task.name()),
        recipe.population,
        if recipe.population == 1 { "" } else { "s" }
    );
    area.draw_text(&title, &font(22, &INK), at(70, 20))?;
    area.draw_text(&subtitle(recipe, trained), &small, at(70, 48))?;

    let mut chart = ChartBuilder::on(area)
        .margin_top(px(TOP))
        .margin_right(px(RIGHT))
        .margin_bottom(px(8))
        .margin_left(px(8))
        .x_label_area_size(px(52))
        .y_label_area_size(px(62))
        .build_cartesian_2d(0.0..episodes as f64, 0.0..top)?;
    let x_step = nice_step(episodes as f64 / 6.0);

    let has_frozen = frozen < episodes;
    if has_frozen {
        chart.draw_series([Rectangle::new(
            [(frozen as f64, 0.0), (episodes as f64, top)],
            SHADE.filled(),
        )])?;
    }
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(px(1)))
        .axis_style(FAINT.stroke_width(px(1)))
        .set_all_tick_mark_size(px(5))
        .label_style(font(15, &INK))
        .axis_desc_style(font(16, &INK))
        .x_desc("episodes seen by each network")
        .y_desc("error per counted step")
        .x_labels(((episodes as f64 / x_step).floor() as usize + 1).max(2))
        .y_labels((top / step).round() as usize + 1)
        .x_label_formatter(&|value| grouped(value.round() as u64))
        .y_label_formatter(&|value| format!("{value:.*}", decimals(step)))
        .draw()?;

    let dashes = FAINT.stroke_width(px(1));
    if let Some(threshold) = threshold {
        chart.draw_series(DashedLineSeries::new(
            [(0.0, threshold), (episodes as f64, threshold)],
            px(5),
            px(4),
            dashes,
        ))?;
    }
    let band = points.iter().map(|p| (p.episode, p.error.q75));
    let back = points.iter().rev().map(|p| (p.episode, p.error.q25));
    chart.draw_series([Polygon::new(
        band.chain(back).collect::<Vec<_>>(),
        BAND.filled(),
    )])?;
    let line = LINE.stroke_width(px(2));
    chart.draw_series(LineSeries::new(
        points.iter().map(|p| (p.episode, p.error.median)),
        line,
    ))?;

    let right = SIZE.0 - RIGHT;
    if has_frozen {
        let label = small.pos(Pos::new(HPos::Right, VPos::Bottom));
        area.draw_text("frozen", &label, at(right, TOP - 4))?;
    }

    // The legend stands beside the title, where no curve can reach it.
    let key = font(15, &INK).pos(Pos::new(HPos::Left, VPos::Center));
    let (y, columns) = match threshold {
        Some(_) => (30, [right - 372, right - 272, right - 162]),
        // The last one is left out.
        None => (30, [right - 210, right - 110, right]),
    };
    let [x, ..] = columns;
    area.draw(&PathElement::new([at(x, y), at(x + 24, y)], line))?;
    let [_, x, _] = columns;
    let corners = [at(x, y - 7), at(x + 24, y + 7)];
    area.draw(&Rectangle::new(corners, BAND.filled()))?;
    let mut texts = vec!["median".to_owned(), "quartiles".to_owned()];
    if let Some(threshold) = threshold {
        let [.., x] = columns;
        for dash in [x, x + 9, x + 18] {
            area.draw(&PathElement::new([at(dash, y), at(dash + 6, y)], dashes))?;
        }
        texts.push(format!("solved below {threshold}"));
    }
    for (text, x) in texts.iter().zip(columns) {
        area.draw_text(text, &key, at(x + 32, y))?;
    }
    Ok(())
}

fn subtitle(recipe: &Recipe, trained: &Trained) -> String {
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

    #[test]
    fn a_run_without_a_finite_error_is_drawn_too() {
        use crate::engine::Engine;
        use crate::tasks::Completion;
        use crate::training::Training;
        use std::ops::ControlFlow;
        let recipe = Recipe {
            episodes: 40,
            initial: crate::parameters::Initial {
                scale: 1e25,
                ..Default::default()
            },
            ..Recipe::new(std::sync::Arc::new(Completion::PAPER)).unwrap()
        };
        let training = Training::new(&Engine::cpu(), &recipe).unwrap();
        let trained = training.run(|_| ControlFlow::Continue(())).unwrap();
        assert!(points(&trained).is_empty());
        assert!(curve(&recipe, &trained).contains("no median"));
    }
}
