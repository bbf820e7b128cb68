//! How many of 100 networks have solved each of the paper's tasks after how many episodes, recipe by recipe: those whose
//! mean error over the last 500 episodes is below the task's threshold.
//!
//! ```sh
//! cargo run --release --example recipes > docs/recipes.svg
//! ```

use metaplastic::optimiser::Schedule;
use metaplastic::parameters::Sign;
use metaplastic::tasks::{self, Task};
use metaplastic::training::{Recipe, Training};
use metaplastic::{Engine, Initial, Result};
use plotters::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;

const NETWORKS: usize = 100;

/// Episodes over which an error is averaged.
const WINDOW: u64 = 500;

/// A recipe's name and line colour.
type Named = (&'static str, RGBColor, Recipe);

fn recipes(task: &Arc<dyn Task>) -> Result<Vec<Named>> {
    let of_paper = Recipe {
        population: NETWORKS,
        ..Recipe::new(task.clone())?
    };
    let paper = || of_paper.clone();
    let mut cosine = paper();
    cosine.optimiser.schedule = Schedule::Cosine {
        updates: cosine.meta_steps() - cosine.frozen_meta_steps(),
        floor: 0.0,
    };
    let large = Recipe {
        initial: Initial {
            plasticity_scale: Some(1.0),
            ..paper().initial
        },
        ..paper()
    };
    let negative = Recipe {
        initial: Initial {
            plasticity_sign: Sign::Negative,
            ..paper().initial
        },
        ..paper()
    };
    let reliable = Recipe {
        population: NETWORKS,
        ..Recipe::named(task.clone(), "reliable")?.unwrap_or_else(paper)
    };
    Ok(vec![
        ("paper", RGBColor(0x5a, 0x61, 0x6b), paper()),
        ("cosine schedule", RGBColor(0xc9, 0x8a, 0x1b), cosine),
        ("larger plasticity", RGBColor(0x8e, 0x5a, 0xa8), large),
        ("negative plasticity", RGBColor(0xb8, 0x3a, 0x3a), negative),
        ("reliable", RGBColor(0x1f, 0x5f, 0xa8), reliable),
    ])
}

/// Episodes seen, and the fraction of networks that have solved the task by then; and how many have at the end, with
/// frozen parameters.
fn solved(recipe: &Recipe) -> Result<(Vec<(f64, f64)>, usize)> {
    let trained = Training::new(&Engine::cpu(), recipe)?.run(|_| ControlFlow::Continue(()))?;
    let threshold = recipe.task.solved_below();
    let reports = &trained.history;
    let mut curve = Vec::new();
    for (end, report) in reports.iter().enumerate() {
        let from = report.episode.saturating_sub(WINDOW);
        // Reports of equal length within the window, this one included.
        let window: Vec<_> = reports[..=end]
            .iter()
            .filter(|earlier| earlier.episode > from)
            .collect();
        let below = |network: &usize| {
            let sum: f64 = window.iter().map(|report| report.error[*network]).sum();
            sum / (window.len() as f64) < threshold
        };
        let count = (0..recipe.population).filter(below).count();
        let fraction = count as f64 / recipe.population as f64;
        curve.push((report.episode as f64, fraction));
    }
    Ok((curve, trained.solved()))
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (960, 360)).into_drawing_area();
        area.fill(&WHITE)?;
        let title = format!("Networks of {NETWORKS} that have solved the task, by recipe");
        let area = area.titled(&title, ("sans-serif", 19))?;
        let panels = area.split_evenly((1, 3));
        for (place, (panel, task)) in panels.iter().zip(tasks::all()).enumerate() {
            // One legend serves all panels; the first has room for it.
            draw(panel, &task, place == 0)?;
        }
        area.present()?;
    }
    println!("{text}");
    Ok(())
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    task: &Arc<dyn Task>,
    has_legend: bool,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let recipes = recipes(task)?;
    let episodes = recipes[0].2.episodes as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(task.name(), ("sans-serif", 16))
        .margin(12)
        .margin_right(26)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..episodes, 0.0..1.02)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(0xe9, 0xeb, 0xee))
        .label_style(("sans-serif", 13))
        .x_desc("episodes seen")
        .x_labels(4)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_labels(6)
        .y_label_formatter(&|value| format!("{:.0} %", 100.0 * value))
        .draw()?;
    for (name, colour, recipe) in recipes {
        let (curve, frozen) = solved(&recipe)?;
        eprintln!("{} {name}: {frozen} of {NETWORKS}", task.name());
        chart
            .draw_series(LineSeries::new(curve, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
    }
    if !has_legend {
        return Ok(());
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font(("sans-serif", 13))
        .background_style(WHITE.mix(0.85))
        .draw()?;
    Ok(())
}
