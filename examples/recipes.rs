//! How many of 100 networks have solved each of the paper's tasks after how many episodes, recipe by recipe: those whose
//! mean error over the last 500 episodes is below the task's threshold.
//!
//! ```sh
//! cargo run --release --example recipes > docs/recipes.svg
//! ```

use metaplastic::optimiser::Schedule;
use metaplastic::parameters::Sign;
use metaplastic::runs::figure::style::{Canvas, Drawn, INK, NAMED, font, mesh, px};
use metaplastic::runs::figure::{Axis, Frame, Mark};
use metaplastic::tasks::{self, Task};
use metaplastic::training::{Recipe, Report, Training};
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
        ("paper", NAMED[0], paper()),
        ("cosine schedule", NAMED[1], cosine),
        ("larger plasticity", NAMED[2], large),
        ("negative plasticity", NAMED[3], negative),
        ("reliable", NAMED[4], reliable),
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
        let starts = std::iter::once(0).chain(reports.iter().map(|report| report.episode));
        // Reports within the window, this one included, each with its episodes there.
        let window: Vec<_> = reports[..=end]
            .iter()
            .zip(starts)
            .filter(|(earlier, _)| earlier.episode > from)
            .map(|(earlier, start)| (earlier, (earlier.episode - start.max(from)) as f64))
            .collect();
        let episodes: f64 = window.iter().map(|(_, episodes)| episodes).sum();
        let below = |network: &usize| {
            let error = |(report, episodes): &(&Report, f64)| report.error[*network] * episodes;
            window.iter().map(error).sum::<f64>() / episodes < threshold
        };
        let count = (0..recipe.population).filter(below).count();
        let fraction = count as f64 / recipe.population as f64;
        curve.push((report.episode as f64, fraction));
    }
    Ok((curve, trained.solved()))
}

/// A recipe's curve: the colour and the points.
type Curve = (RGBColor, Vec<(f64, f64)>);

/// A panel: the task and its curves, with the episodes that they go over.
type Panel = (String, f64, Vec<Curve>);

fn panel(task: &Arc<dyn Task>) -> Result<Panel> {
    let recipes = recipes(task)?;
    let episodes = recipes[0].2.episodes as f64;
    let curves = recipes.into_iter().map(|(name, colour, recipe)| {
        let (curve, frozen) = solved(&recipe)?;
        eprintln!("{} {name}: {frozen} of {NETWORKS}", task.name());
        Ok((colour, curve))
    });
    let curves = curves.collect::<Result<_>>()?;
    Ok((task.name().to_owned(), episodes, curves))
}

fn main() -> Result<()> {
    let tasks = tasks::all();
    let panels = tasks
        .iter()
        .take(3)
        .map(panel)
        .collect::<Result<Vec<_>>>()?;
    let named = recipes(&tasks[0])?.into_iter();
    let frame = Frame {
        title: "Networks that have solved the task, by recipe".to_owned(),
        about: format!("of {NETWORKS} for each; error over the last {WINDOW} episodes"),
        key: named
            .map(|(name, colour, _)| (Mark::Line(colour.stroke_width(px(2))), name.to_owned()))
            .collect(),
        size: (900, 320),
        ..Frame::default()
    };
    let svg = frame.draw(|area| {
        let areas = area.split_evenly((1, panels.len()));
        let mut panels = areas.iter().zip(&panels);
        panels.try_for_each(|(area, panel)| draw(area, panel))
    });
    println!("{svg}");
    Ok(())
}

fn draw(area: &Canvas<'_>, (name, episodes, curves): &Panel) -> Drawn {
    let percent = Axis::linear(1.0, 5).labelled(|part| format!("{:.0} %", 100.0 * part));
    let mut chart = ChartBuilder::on(area)
        .caption(name, font(15, &INK))
        .margin(px(10))
        .margin_right(px(26))
        .x_label_area_size(px(44))
        .y_label_area_size(px(52))
        .build_cartesian_2d(Axis::linear(*episodes, 3), percent)?;
    mesh(&mut chart).x_desc("episodes seen").draw()?;
    for (colour, curve) in curves {
        let style = colour.stroke_width(px(2));
        chart.draw_series(LineSeries::new(curve.iter().copied(), style))?;
    }
    Ok(())
}
