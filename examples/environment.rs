//! An environment whose next input depends on the network's last output: driven step by step, differentiated at the end
//! (`cargo run --release --example environment`).
//!
//! A point on a line has to be moved to 0. The network sees where it is and pushes it. How strongly a push acts differs from
//! episode to episode, so that it pays to remember what the last pushes did. The loss is the squared distance at every
//! step; its gradient on each push follows from the environment's own rule.

use metaplastic::{Activation, Dense, Engine, Extent, Initial, Layer, Loss, Network, Optimiser};
use metaplastic::{Parameters, Plastic, Rate};
use ndarray::{Array1, Array3, Array4, Axis};

const BATCH: usize = 16;
const STEPS: usize = 12;

fn main() -> metaplastic::Result<()> {
    let [first, last] = train(300)?;
    println!("mean squared distance {first:.3} at first, {last:.3} in the end");
    Ok(())
}

/// The mean squared distance at first and in the end.
pub(crate) fn train(meta_steps: usize) -> metaplastic::Result<[f32; 2]> {
    let hidden = Plastic::new(3, 12, Rate::learned(0.1)).activation(Activation::Tanh);
    let layers: [Layer; 2] = [hidden.into(), Dense::new(12, 1).into()];
    let network = Network::new(Loss::None, layers)?;
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 1, 0)?;
    let engine = Engine::cpu(); // or Engine::gpu(None)?
    let extent = Extent::new(BATCH, STEPS).step_by_step();
    let optimisers = [Optimiser::adam(0.01)];
    let mut session = engine.learning_session(&network, &parameters, &optimisers, extent)?;
    let mut distances = Vec::new();
    for meta_step in 0..meta_steps {
        let (distance, gradient) = episode(&mut session, meta_step)?;
        distances.push(distance);
        session.learn(&gradient)?;
    }
    let tail = &distances[distances.len() - 10..];
    Ok([distances[0], tail.iter().sum::<f32>() / 10.0])
}

/// Lets the networks act in the environment: the mean squared distance, and its gradient on every push.
fn episode(
    session: &mut metaplastic::Session<f32>,
    meta_step: usize,
) -> metaplastic::Result<(f32, Array4<f32>)> {
    let wave = |b: usize, k: usize| ((meta_step * 31 + b * 17 + k) as f32 * 12.9898).sin();
    let strength = Array1::from_shape_fn(BATCH, |b| 0.5 + 0.3 * wave(b, 1));
    let mut place = Array1::from_shape_fn(BATCH, |b| wave(b, 2));
    let mut push = Array1::zeros(BATCH);
    let mut gradient = Array4::zeros((1, BATCH, STEPS, 1));
    let (mut total, count) = (0.0, (BATCH * STEPS) as f32);
    session.begin();
    for step in 0..STEPS {
        let input = Array3::from_shape_fn((1, BATCH, 3), |(_, b, i)| [place[b], push[b], 1.0][i]);
        push.assign(
            &session
                .step(&input)?
                .index_axis(Axis(0), 0)
                .index_axis(Axis(1), 0),
        );
        place = &place + &(&strength * &push);
        total += place.mapv(|place| place * place).sum() / count;
        // A push moves the point at this step and all that follow.
        for b in 0..BATCH {
            for earlier in 0..=step {
                gradient[[0, b, earlier, 0]] += 2.0 * place[b] * strength[b] / count;
            }
        }
    }
    Ok((total, gradient))
}
