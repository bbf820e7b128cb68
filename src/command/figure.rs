//! The learning curve, as an SVG drawing.

use metaplastic::training::{Phase, Recipe, Statistics, Trained};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (880, 500);
const INK: RGBColor = RGBColor(0x2b, 0x2f, 0x36);
const FAINT: RGBColor = RGBColor(0x8a, 0x90, 0x99);
const GRID: RGBColor = RGBColor(0xe9, 0xeb, 0xee);
const LINE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const BAND: RGBColor = RGBColor(0xc9, 0xdc, 0xf1);
const FROZEN: RGBColor = RGBColor(0xf4, 0xf4, 0xf1);

/// Median and quartiles of the error over the population, against episodes.
pub(super) fn curve(recipe: &Recipe, trained: &Trained) -> String {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(&area, recipe, trained).expect("drawing into a string does not fail");
    }
    text
}

/// A point of the curve: the error's statistics over one report, at its middle.
struct Point {
    episode: f64,
    error: Statistics,
}

fn points(trained: &Trained) -> Vec<Point> {
    let mut start = 0;
    let mut points = Vec::new();
    for report in &trained.history {
        let middle = (start + report.episode) as f64 / 2.0;
        start = report.episode;
        let statistics = Statistics::of(&report.error);
        // A population whose upper quartile has failed has no place on a finite axis.
        if let Some(error) = statistics.filter(|error| error.q75.is_finite()) {
            points.push(Point {
                episode: middle,
                error,
            });
        }
    }
    points
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    recipe: &Recipe,
    trained: &Trained,
) -> Result<()> {
    area.fill(&WHITE)?;
    let points = points(trained);
    let episodes = u64::from(recipe.meta_steps()) * recipe.batch as u64;
    let frozen = u64::from(recipe.meta_steps() - recipe.frozen_meta_steps()) * recipe.batch as u64;
    let threshold = recipe.task.solved_below();
    let highest = points
        .iter()
        .map(|point| point.error.q75)
        .fold(1.5 * threshold, f64::max);
    let step = nice_step(highest / 5.0);
    let top = (highest / step).ceil() * step;

    let small = ("sans-serif", 14).into_font().color(&FAINT);
    let title = format!(
        "{} · {} network{}",
        capitalised(recipe.task.name()),
        recipe.population,
        if recipe.population == 1 { "" } else { "s" }
    );
    area.draw_text(
        &title,
        &("sans-serif", 21).into_font().color(&INK),
        (70, 20),
    )?;
    area.draw_text(&subtitle(recipe, trained), &small, (70, 48))?;

    let mut chart = ChartBuilder::on(area)
        .margin_top(78)
        .margin_right(30)
        .margin_bottom(8)
        .margin_left(8)
        .x_label_area_size(52)
        .y_label_area_size(62)
        .build_cartesian_2d(0.0..episodes as f64, 0.0..top)?;
    let x_step = nice_step(episodes as f64 / 6.0);

    chart.draw_series([Rectangle::new(
        [(frozen as f64, 0.0), (episodes as f64, top)],
        FROZEN.filled(),
    )])?;
    let label = ("sans-serif", 14).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .label_style(label.clone())
        .axis_desc_style(("sans-serif", 15).into_font().color(&INK))
        .x_desc("episodes seen by each network")
        .y_desc("error per counted step")
        .x_labels(((episodes as f64 / x_step).floor() as usize + 1).max(2))
        .y_labels((top / step).round() as usize + 1)
        .x_label_formatter(&|value| grouped(value.round() as u64))
        .y_label_formatter(&|value| format!("{value:.*}", decimals(step)))
        .draw()?;

    chart.draw_series(DashedLineSeries::new(
        [(0.0, threshold), (episodes as f64, threshold)],
        5,
        4,
        FAINT.stroke_width(1),
    ))?;
    let band = points.iter().map(|p| (p.episode, p.error.q75));
    let back = points.iter().rev().map(|p| (p.episode, p.error.q25));
    chart.draw_series([Polygon::new(
        band.chain(back).collect::<Vec<_>>(),
        BAND.filled(),
    )])?;
    chart.draw_series(LineSeries::new(
        points.iter().map(|p| (p.episode, p.error.median)),
        LINE.stroke_width(2),
    ))?;

    // A legend in the empty corner: learning curves fall.
    let (right, upper) = (SIZE.0 as i32 - 30, 78);
    let frozen_x = chart.backend_coord(&(frozen as f64, top)).0;
    let x = frozen_x.min(right - 40) - 190;
    let entry = |y| upper + y;
    let key = small.clone().color(&INK);
    area.draw(&PathElement::new(
        [(x, entry(21)), (x + 26, entry(21))],
        LINE.stroke_width(2),
    ))?;
    area.draw_text("median", &key, (x + 36, entry(14)))?;
    area.draw(&Rectangle::new(
        [(x, entry(36)), (x + 26, entry(50))],
        BAND.filled(),
    ))?;
    area.draw_text("quartiles", &key, (x + 36, entry(36)))?;
    area.draw(&PathElement::new(
        [(x, entry(65)), (x + 11, entry(65))],
        FAINT.stroke_width(1),
    ))?;
    area.draw(&PathElement::new(
        [(x + 15, entry(65)), (x + 26, entry(65))],
        FAINT.stroke_width(1),
    ))?;
    area.draw_text(
        &format!("solved below {threshold}"),
        &key,
        (x + 36, entry(58)),
    )?;
    let frozen_style = small.pos(Pos::new(HPos::Right, VPos::Bottom));
    area.draw_text("frozen", &frozen_style, (right, upper - 4))?;
    area.present()?;
    Ok(())
}

fn subtitle(recipe: &Recipe, trained: &Trained) -> String {
    let frozen = trained
        .history
        .iter()
        .filter(|report| report.phase == Phase::Frozen)
        .count();
    match trained.final_error() {
        Some(error) if error.median.is_finite() && frozen > 0 => format!(
            "{} solved; median final error {:.4}, over the last {} episodes with frozen parameters",
            trained.solved(),
            error.median,
            grouped(u64::from(recipe.frozen_meta_steps()) * recipe.batch as u64),
        ),
        _ => "stopped before the end".to_owned(),
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&nice| nice >= step)
        .unwrap_or(10.0 * power)
}

fn decimals(step: f64) -> usize {
    (-step.log10().floor()).clamp(0.0, 9.0) as usize
}

/// `10000` as `10,000`.
fn grouped(value: u64) -> String {
    indicatif::HumanCount(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        let steps = [0.13, 0.2, 0.7, 3.1, 1_667.0].map(nice_step);
        let expected = [0.2, 0.2, 1.0, 5.0, 2_000.0];
        for (step, expected) in steps.into_iter().zip(expected) {
            assert!((step / expected - 1.0).abs() < 1e-9, "{step} {expected}");
        }
        assert_eq!(decimals(0.2), 1);
        assert_eq!(decimals(20.0), 0);
    }
}
