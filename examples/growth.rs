//! How the time of forward and full gradient grows with episodes, steps, synapses and networks: one plastic layer (tanh,
//! Hebb's rule, a learned rate). The CPU engine, and the GPU that METAPLASTIC_DEVICE names, if it is set.
//!
//! ```sh
//! cargo run --release --example growth > docs/growth.svg
//! ```

use metaplastic::measure::{Problem, Run, Shape, Sweep};
use metaplastic::{Engine, Result};
use plotters::prelude::*;

const BASE: Shape = Shape {
    population: 1,
    episodes: 32,
    steps: 20,
    inputs: 64,
    outputs: 64,
    recurrent: false,
};

/// The shapes along one axis, with its name; the number is what the axis counts.
type Axis = (&'static str, Vec<(usize, Shape)>);

fn axes() -> [Axis; 4] {
    let along = |values: &[usize], shape: fn(usize) -> (usize, Shape)| {
        values.iter().map(|&value| shape(value)).collect()
    };
    [
        (
            "episodes B",
            along(&[32, 128, 512, 2048, 8192], |episodes| {
                (episodes, Shape { episodes, ..BASE })
            }),
        ),
        (
            "steps T",
            along(&[20, 80, 320, 1280, 5120], |steps| {
                (steps, Shape { steps, ..BASE })
            }),
        ),
        (
            "synapses N × N",
            along(&[16, 32, 64, 128, 256, 512, 1024], |neurons| {
                let shape = Shape {
                    inputs: neurons,
                    outputs: neurons,
                    ..BASE
                };
                (neurons * neurons, shape)
            }),
        ),
        (
            "networks P",
            along(&[1, 4, 16, 64, 256], |population| {
                (population, Shape { population, ..BASE })
            }),
        ),
    ]
}

/// An engine's seconds for each shape along each axis.
fn measure(engine: &Engine) -> Result<Vec<Vec<(f64, f64)>>> {
    let mut all = Vec::new();
    for (name, shapes) in axes() {
        let mut points = Vec::new();
        for (value, shape) in shapes {
            let problem = Problem::new(shape)?;
            let median = Run::new(engine, &problem, Sweep::Gradient)?.median()?;
            let seconds = median.sample.wall.as_secs_f64();
            eprintln!(
                "{}: {name} = {value}: {seconds:.3e} s, {:.2e} synapse-steps/s",
                engine.kind(),
                shape.synapse_steps() as f64 / seconds
            );
            points.push((value as f64, seconds));
        }
        all.push(points);
    }
    Ok(all)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut engines = vec![Engine::cpu()];
    if let Ok(device) = std::env::var("METAPLASTIC_DEVICE") {
        engines.push(Engine::gpu(Some(&device))?);
    }
    let measured: Vec<_> = engines.iter().map(measure).collect::<Result<_>>()?;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (960, 640)).into_drawing_area();
        area.fill(&WHITE)?;
        let title = "Seconds for forward and full gradient; grey: in proportion";
        let area = area.titled(title, ("sans-serif", 19))?;
        for (axis, (panel, (name, _))) in area.split_evenly((2, 2)).iter().zip(axes()).enumerate() {
            let lines: Vec<_> = measured.iter().map(|engine| &engine[axis]).collect();
            draw(panel, name, &engines, &lines)?;
        }
        area.present()?;
    }
    println!("{text}");
    Ok(())
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    name: &str,
    engines: &[Engine],
    lines: &[&Vec<(f64, f64)>],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let colours = [RGBColor(0x1f, 0x5f, 0xa8), RGBColor(0xb4, 0x5f, 0x06)];
    let seconds = || lines.iter().flat_map(|line| line.iter().map(|at| at.1));
    let (least, most) = (
        seconds().fold(f64::INFINITY, f64::min) / 2.0,
        seconds().fold(0.0, f64::max) * 2.0,
    );
    let (first, last) = (lines[0][0].0, lines[0][lines[0].len() - 1].0);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (first / 1.3..last * 1.3).log_scale(),
            (least..most).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(0xe9, 0xeb, 0xee))
        .label_style(("sans-serif", 14))
        .x_desc(name)
        .x_label_formatter(&|value| format!("{value}"))
        .y_label_formatter(&|value| format!("{value:.0e} s"))
        .draw()?;
    let grey = RGBColor(0x8a, 0x90, 0x99);
    for ((line, engine), colour) in lines.iter().zip(engines).zip(colours) {
        // In proportion to the last, where what is fixed no longer counts.
        let (end, at_end) = line[line.len() - 1];
        let proportional = line.iter().map(|&(value, _)| (value, at_end * value / end));
        let guide = proportional.filter(|at| at.1 > least);
        chart.draw_series(DashedLineSeries::new(guide, 5, 4, grey.stroke_width(1)))?;
        chart.draw_series(LineSeries::new(
            line.iter().copied(),
            colour.stroke_width(2),
        ))?;
        chart.draw_series(line.iter().map(|&at| Circle::new(at, 4, colour.filled())))?;
        let style = ("sans-serif", 14).into_font().color(&colour);
        // Above the first point.
        let at = (line[0].0, line[0].1 * 2.6);
        chart.draw_series([Text::new(engine.kind(), at, style)])?;
    }
    Ok(())
}
