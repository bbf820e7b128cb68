//! An environment whose next input depends on the network's last output: driven step by step, differentiated at the end
//! (`cargo run --release --example environment`).
//!
//! A point on a line has to be moved to 0. The network sees where it is and pushes it. How strongly a push acts differs from
//! episode to episode, so that it pays to remember what the last pushes did. The loss is the mean squared distance; its
//! gradient on each push follows from the environment's own rule. A point that is far out is lost: its episode ends.

use metaplastic::tasks::{Draw, Draws, Environment};
use metaplastic::{Activation, Dense, Engine, Extent, Initial, Layer, Loss, Network, Optimiser};
use metaplastic::{Parameters, Plastic, Rate};
use std::ops::ControlFlow::{self, Break, Continue};

const STEPS: usize = 12;

struct Line;

type Point = (f32, Vec<f32>); // how strongly a push acts, and where the point has been

impl Environment for Line {
    type Episode = Point;
    fn inputs(&self) -> usize {
        3
    }
    fn outputs(&self) -> usize {
        1
    }
    fn steps(&self) -> usize {
        STEPS
    }
    fn begin(&self, draw: Draw, input: &mut [f32]) -> Point {
        let mut random = draw.sequence();
        let (strength, place) = (0.2 + 0.6 * random.unit(), 2.0 * random.unit() - 1.0);
        input.copy_from_slice(&[place, 0.0, 1.0]); // the place, the last push, and a 1
        (strength, vec![place])
    }
    fn respond(&self, point: &mut Point, push: &[f32], input: &mut [f32]) -> ControlFlow<()> {
        let place = point.1[point.1.len() - 1] + point.0 * push[0];
        point.1.push(place);
        input.copy_from_slice(&[place, push[0], 1.0]);
        let is_lost = place.abs() > 10.0;
        if is_lost { Break(()) } else { Continue(()) }
    }
    fn end(&self, (strength, places): Point, _: &[f32], gradient: &mut [f32]) -> f32 {
        let places = &places[1..];
        // A push moves the point at its step and at all that follow.
        let mut later = 0.0;
        for (place, gradient) in places.iter().zip(gradient).rev() {
            later += 2.0 * place * strength / STEPS as f32;
            *gradient = later;
        }
        places.iter().map(|place| place * place).sum::<f32>() / STEPS as f32
    }
}

fn main() -> metaplastic::Result<()> {
    let [first, last] = train(300)?;
    println!("mean squared distance {first:.3} at first, {last:.3} in the end");
    Ok(())
}

/// The mean squared distance at first and in the end.
pub(crate) fn train(meta_steps: u32) -> metaplastic::Result<[f32; 2]> {
    let hidden = Plastic::new(3, 12, Rate::learned(0.1)).activation(Activation::Tanh);
    let layers: [Layer; 2] = [hidden.into(), Dense::new(12, 1).into()];
    let network = Network::new(Loss::None, layers)?;
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 1, 0)?;
    let engine = Engine::cpu(); // or Engine::gpu(None)?
    let (extent, adam) = (Extent::new(16, STEPS), Optimiser::adam(0.01));
    let extent = extent.step_by_step();
    let mut session = engine.learning_session(&network, &parameters, &[adam], extent)?;
    let mut distances = Vec::new();
    for meta_step in 0..meta_steps {
        let acted = session.act(&Line, Draws::training(0), meta_step)?;
        distances.push(acted.loss[0]);
        session.learn(&acted.output_gradient)?;
    }
    let tail: f32 = distances.iter().rev().take(10).sum();
    Ok([distances[0], tail / 10.0])
}
