//! A plastic layer under a loss that the crate does not know, computed outside; nothing runs forward twice
//! (`cargo run --release --example own_loss`).
//!
//! Every episode shows one pattern with noise at ten steps. The loss asks for the same answer to the same pattern and is
//! hinge-like: it has a gradient only where the margin is less than 1.

use metaplastic::{Activation, Engine, Episodes, Extent, Initial, Loss, Network, Optimiser};
use metaplastic::{Parameters, Plastic, Rate};
use ndarray::{Array4, Zip};

const BATCH: usize = 32;
const STEPS: usize = 10;
const INPUTS: usize = 6;

/// `Σ max(0, 1 − label · output)`, and its gradient on the outputs.
fn hinge(output: &Array4<f32>, label: &Array4<f32>) -> (f32, Array4<f32>) {
    let count = (BATCH * STEPS) as f32;
    let mut gradient = Array4::zeros(output.raw_dim());
    let mut loss = 0.0;
    Zip::from(&mut gradient)
        .and(output)
        .and(label)
        .for_each(|gradient, &output, &label| {
            if label * output < 1.0 {
                loss += (1.0 - label * output) / count;
                *gradient = -label / count;
            }
        });
    (loss, gradient)
}

/// Episodes whose label is the sign of the first input's mean.
fn episodes(meta_step: usize) -> (Array4<f32>, Array4<f32>) {
    let noise = |b: usize, t: usize, i: usize| {
        ((meta_step * 7919 + b * 613 + t * 89 + i * 31) as f32 * 12.9898).sin()
    };
    let sign = |b: usize| if b.is_multiple_of(2) { 1.0 } else { -1.0 };
    let input = Array4::from_shape_fn((1, BATCH, STEPS, INPUTS), |(_, b, t, i)| {
        noise(b, t, i) + if i == 0 { 0.5 * sign(b) } else { 0.0 }
    });
    let label = Array4::from_shape_fn((1, BATCH, STEPS, 1), |(_, b, _, _)| sign(b));
    (input, label)
}

fn main() -> metaplastic::Result<()> {
    let [first, last] = train()?;
    println!("loss {first:.3} at first, {last:.3} in the end");
    Ok(())
}

/// The loss at first and in the end.
pub(crate) fn train() -> metaplastic::Result<[f32; 2]> {
    let layer = Plastic::new(INPUTS, 1, Rate::learned(0.1)).activation(Activation::Tanh);
    let network = Network::new(Loss::None, [layer])?;
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 1, 0)?;
    let engine = Engine::cpu(); // or Engine::gpu(None)?
    let (optimisers, extent) = ([Optimiser::adam(0.02)], Extent::new(BATCH, STEPS));
    let mut session = engine.learning_session(&network, &parameters, &optimisers, extent)?;
    let mut losses = Vec::new();
    for meta_step in 0..200 {
        let (input, label) = episodes(meta_step);
        let outcome = session.forward(&Episodes::new(&input))?;
        let output = outcome.output.expect("a session returns the outputs");
        let (loss, gradient) = hinge(&output, &label);
        losses.push(loss);
        session.learn(&gradient)?;
    }
    Ok([losses[0], losses[losses.len() - 1]])
}
