//! One-shot learning beyond the paper's sizes: accuracy on fresh episodes against the number of patterns, the length of
//! an episode and the bits of a pattern, at the paper's recipe. Hidden neurons are as many as patterns.
//!
//! ```sh
//! cargo run --release --example generalisation > docs/generalisation.svg
//! ```

use metaplastic::runs::figure::style::{BAND, Canvas, Drawn, FAINT, INK, mesh, px};
use metaplastic::runs::figure::{Axis, Frame, Mark};
use metaplastic::tasks::{Association, Task};
use metaplastic::training::{Evaluation, Recipe, Statistics, Training};
use metaplastic::{Activation, Dense, Engine, Layer, Network, Plastic, Rate, Result};
use plotters::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;

const NETWORKS: usize = 20;
const EPISODES: u64 = 1_000;

/// Bits, patterns and steps.
type Sizes = [usize; 3];

/// The sizes along one axis, with its name.
type Along = (&'static str, Vec<(usize, Sizes)>);

fn axes() -> [Along; 3] {
    let along = |values: &[usize], sizes: fn(usize) -> Sizes| {
        values.iter().map(|&value| (value, sizes(value))).collect()
    };
    [
        (
            "patterns",
            along(&[2, 3, 4, 6], |patterns| [8, patterns, 20]),
        ),
        ("steps", along(&[20, 30, 40, 60, 80], |steps| [8, 2, steps])),
        ("bits", along(&[8, 16, 32, 64], |bits| [bits, 2, 20])),
    ]
}

/// The fraction of right answers of every network, trained and evaluated at these sizes.
fn accuracy([bits, patterns, steps]: Sizes) -> Result<Vec<f64>> {
    let task = Association::one_shot(bits, patterns, steps)?;
    let layers = [
        Layer::from(
            Plastic::new(task.inputs(), patterns, Rate::fixed(0.02)).activation(Activation::Tanh),
        ),
        Layer::from(Dense::new(patterns, task.outputs())),
    ];
    let recipe = Recipe {
        population: NETWORKS,
        network: Network::new(task.loss(), layers)?,
        ..Recipe::new(Arc::new(task))?
    };
    let engine = Engine::cpu();
    let trained = Training::new(&engine, &recipe)?.run(|_| ControlFlow::Continue(()))?;
    let (network, parameters, task) = (&recipe.network, &trained.parameters, &recipe.task);
    let evaluation = Evaluation::new(&engine, network, parameters, task, recipe.seed, EPISODES)?;
    Ok(evaluation.mean_accuracy())
}

fn main() -> Result<()> {
    let panels = axes().map(|(name, sizes)| {
        let points = sizes.into_iter().map(|(value, sizes)| {
            let statistics = Statistics::of(&accuracy(sizes)?).expect("there are networks");
            let [median, low, high] =
                [statistics.median, statistics.q25, statistics.q75].map(|part| 100.0 * part);
            eprintln!("{name} {value}: {median:.1} % ({low:.1} to {high:.1})");
            Ok((value, statistics, 1.0 / sizes[1] as f64))
        });
        Ok((name, points.collect::<Result<Vec<_>>>()?))
    });
    let panels = panels.into_iter().collect::<Result<Vec<_>>>()?;
    let frame = Frame {
        title: format!("One-shot learning: right answers of {NETWORKS} networks"),
        about: "trained at the size that stands below, on fresh episodes".to_owned(),
        key: vec![
            (Mark::Line(INK.stroke_width(px(2))), "median".to_owned()),
            (Mark::Patch(BAND), "quartiles".to_owned()),
            (Mark::Dashes, "chance".to_owned()),
        ],
        size: (900, 300),
        ..Frame::default()
    };
    let svg = frame.draw(|area| {
        let areas = area.split_evenly((1, panels.len()));
        let mut panels = areas.iter().zip(&panels);
        panels.try_for_each(|(area, (name, points))| draw(area, name, points))
    });
    println!("{svg}");
    Ok(())
}

/// The size, right answers and chance.
type Point = (usize, Statistics, f64);

fn draw(area: &Canvas<'_>, name: &str, points: &[Point]) -> Drawn {
    // The sizes stand side by side, whatever lies between them.
    let names = points.iter().map(|(value, ..)| value.to_string());
    let percent = Axis::linear(1.0, 5).labelled(|part| format!("{:.0} %", 100.0 * part));
    let mut chart = ChartBuilder::on(area)
        .margin(px(10))
        .x_label_area_size(px(44))
        .y_label_area_size(px(52))
        .build_cartesian_2d(Axis::places(names), percent)?;
    mesh(&mut chart).x_desc(name).draw()?;
    let at = |place: usize, value: f64| (place as f64, value);
    let places = || points.iter().enumerate();
    for (place, (_, statistics, _)) in places() {
        let quartiles = [at(place, statistics.q25), at(place, statistics.q75)];
        chart.draw_series(LineSeries::new(quartiles, BAND.stroke_width(px(10))))?;
    }
    let chances = places().map(|(place, (.., chance))| at(place, *chance));
    chart.draw_series(DashedLineSeries::new(
        chances,
        px(5),
        px(4),
        FAINT.stroke_width(px(1)),
    ))?;
    let medians = || places().map(|(place, (_, statistics, _))| at(place, statistics.median));
    chart.draw_series(LineSeries::new(medians(), INK.stroke_width(px(2))))?;
    chart.draw_series(medians().map(|at| Circle::new(at, px(4), INK.filled())))?;
    Ok(())
}
