//! One-shot learning beyond the paper's sizes: accuracy on fresh episodes against the number of patterns, the length of
//! an episode and the bits of a pattern, at the paper's recipe. Hidden neurons are as many as patterns.
//!
//! ```sh
//! cargo run --release --example generalisation > docs/generalisation.svg
//! ```

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
type Axis = (&'static str, Vec<(usize, Sizes)>);

fn axes() -> [Axis; 3] {
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

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (960, 340)).into_drawing_area();
        area.fill(&WHITE)?;
        let title = "One-shot learning: right answers of 20 networks, median and quartiles";
        let area = area.titled(title, ("sans-serif", 19))?;
        for (panel, (name, sizes)) in area.split_evenly((1, 3)).iter().zip(axes()) {
            draw(panel, name, &sizes)?;
        }
        area.present()?;
    }
    println!("{text}");
    Ok(())
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    name: &str,
    sizes: &[(usize, Sizes)],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let line = RGBColor(0x1f, 0x5f, 0xa8);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(-0.3..sizes.len() as f64 - 0.7, 0.0..1.0)?;
    // The sizes stand side by side, whatever lies between them.
    let names = |place: &f64| {
        let near = (place - place.round()).abs() < 0.01;
        let size = sizes.get(place.round().max(0.0) as usize).filter(|_| near);
        size.map_or(String::new(), |(value, _)| value.to_string())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(0xe9, 0xeb, 0xee))
        .label_style(("sans-serif", 14))
        .x_desc(name)
        .x_labels(sizes.len())
        .x_label_formatter(&names)
        .y_labels(6)
        .y_label_formatter(&|value| format!("{:.0} %", 100.0 * value))
        .draw()?;
    let (mut medians, mut chances) = (Vec::new(), Vec::new());
    for (place, (value, sizes)) in sizes.iter().enumerate() {
        let place = place as f64;
        let Statistics {
            median, q25, q75, ..
        } = Statistics::of(&accuracy(*sizes)?).expect("there are networks");
        eprintln!(
            "{name} {value}: {:.1} % ({:.1} to {:.1})",
            100.0 * median,
            100.0 * q25,
            100.0 * q75
        );
        let whisker = [(place, q25), (place, q75)];
        chart.draw_series(LineSeries::new(whisker, line.mix(0.35).stroke_width(8)))?;
        medians.push((place, median));
        chances.push((place, 1.0 / sizes[1] as f64));
    }
    let grey = RGBColor(0x8a, 0x90, 0x99);
    chart.draw_series(DashedLineSeries::new(
        chances.clone(),
        5,
        4,
        grey.stroke_width(1),
    ))?;
    if let Some(&(place, chance)) = chances.first() {
        let style = ("sans-serif", 13).into_font().color(&grey);
        chart.draw_series([Text::new("chance", (place, chance + 0.07), style)])?;
    }
    chart.draw_series(LineSeries::new(medians.clone(), line.stroke_width(2)))?;
    chart.draw_series(
        medians
            .into_iter()
            .map(|at| Circle::new(at, 4, line.filled())),
    )?;
    Ok(())
}
