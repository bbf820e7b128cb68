//! How the time of forward and full gradient grows with episodes, steps, synapses and networks: one plastic layer (tanh,
//! Hebb's rule, a learned rate). The CPU engine, and the GPU that METAPLASTIC_DEVICE names, if it is set.
//!
//! ```sh
//! cargo run --release --example growth > docs/growth.svg
//! ```

use metaplastic::measure::{Problem, Run, Shape, Sweep};
use metaplastic::runs::figure::style::{Canvas, Drawn, FAINT, LINE, UNSOLVED, mesh, px};
use metaplastic::runs::figure::{Axis, Frame, Mark};
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
type Along = (&'static str, Vec<(usize, Shape)>);

fn axes() -> [Along; 4] {
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

fn main() -> Result<()> {
    let mut engines = vec![Engine::cpu()];
    if let Ok(device) = std::env::var("METAPLASTIC_DEVICE") {
        engines.push(Engine::gpu(Some(&device))?);
    }
    let measured: Vec<_> = engines.iter().map(measure).collect::<Result<_>>()?;
    let mut key: Vec<_> = engines
        .iter()
        .zip(COLOURS)
        .map(|(engine, colour)| (line(colour), engine.kind().to_owned()))
        .collect();
    key.push((Mark::Dashes, "in proportion".to_owned()));
    let frame = Frame {
        title: "Seconds for forward and full gradient".to_owned(),
        about: "One plastic layer; what is not on the axis stays as it is at its left end."
            .to_owned(),
        key,
        size: (900, 600),
        ..Frame::default()
    };
    let svg = frame.draw(|area| {
        for (axis, (panel, (name, _))) in area.split_evenly((2, 2)).iter().zip(axes()).enumerate() {
            let lines: Vec<_> = measured.iter().map(|engine| &engine[axis]).collect();
            draw(panel, name, &lines)?;
        }
        Ok(())
    });
    println!("{svg}");
    Ok(())
}

const COLOURS: [RGBColor; 2] = [LINE, UNSOLVED];

fn line(colour: RGBColor) -> Mark {
    Mark::Line(colour.stroke_width(px(2)))
}

fn draw(area: &Canvas<'_>, name: &str, lines: &[&Vec<(f64, f64)>]) -> Drawn {
    let seconds = || lines.iter().flat_map(|line| line.iter().map(|at| at.1));
    let (least, most) = (
        seconds().fold(f64::INFINITY, f64::min) / 2.0,
        seconds().fold(0.0, f64::max) * 2.0,
    );
    let (first, last) = (lines[0][0].0, lines[0][lines[0].len() - 1].0);
    let mut chart = ChartBuilder::on(area)
        .margin(px(10))
        .x_label_area_size(px(44))
        .y_label_area_size(px(64))
        .build_cartesian_2d(
            Axis::logarithmic(first / 1.3, last * 1.3),
            Axis::logarithmic(least, most),
        )?;
    mesh(&mut chart).x_desc(name).y_desc("seconds").draw()?;
    for (line, colour) in lines.iter().zip(COLOURS) {
        // In proportion to the last, where what is fixed no longer counts.
        let (end, at_end) = line[line.len() - 1];
        let proportional = line.iter().map(|&(value, _)| (value, at_end * value / end));
        let guide = proportional.filter(|at| at.1 > least);
        let dashes = FAINT.stroke_width(px(1));
        chart.draw_series(DashedLineSeries::new(guide, px(5), px(4), dashes))?;
        let own = || line.iter().copied();
        chart.draw_series(LineSeries::new(own(), colour.stroke_width(px(2))))?;
        chart.draw_series(own().map(|at| Circle::new(at, px(4), colour.filled())))?;
    }
    Ok(())
}
