//! A sweep: 64 learning rates as one population, on data that is given once; the best network is saved
//! (`cargo run --release --example sweep`).

use metaplastic::tensors::write_parameters;
use metaplastic::{Activation, Dense, Engine, Episodes, Initial, Layer, Loss, Network, Optimiser};
use metaplastic::{Parameters, Plastic, Rate};
use ndarray::Array4;
use std::path::Path;

const NETWORKS: usize = 64;

fn main() -> metaplastic::Result<()> {
    let (best, loss) = sweep(Path::new("best.safetensors"))?;
    println!(
        "learning rate {:.4}: loss {loss:.4}, saved in best.safetensors",
        rate(best)
    );
    Ok(())
}

/// The learning rate of network `index`: 0.0001 to 0.5, in even factors.
fn rate(index: usize) -> f64 {
    1e-4 * 5_000f64.powf(index as f64 / (NETWORKS - 1) as f64)
}

/// Trains all networks and saves the best one; which it is, and its loss.
pub(crate) fn sweep(path: &Path) -> metaplastic::Result<(usize, f32)> {
    let hidden = Plastic::new(5, 8, Rate::learned(0.05)).activation(Activation::Tanh);
    let layers: [Layer; 2] = [hidden.into(), Dense::new(8, 1).into()];
    let network = Network::new(Loss::SquaredError, layers)?;
    // All start alike.
    let start = Parameters::<f32>::initialise(&network, &Initial::default(), 1, 0)?;
    let population = start.repeat(NETWORKS)?;
    let optimisers: Vec<_> = (0..NETWORKS)
        .map(|index| Optimiser::adam(rate(index)))
        .collect();
    let mut learner = Engine::cpu().learner(&network, &population, &optimisers)?;
    // One's own data: the first axis, of networks, has length 1, so that it is there once for all of them.
    let input = Array4::from_shape_fn((1, 24, 15, 5), |(_, b, t, i)| {
        ((b * 7 + t * 3 + i) as f32).sin()
    });
    let target = Array4::from_shape_fn((1, 24, 15, 1), |(_, b, t, _)| {
        if t == 0 { 0.0 } else { input[[0, b, t - 1, 0]] }
    });
    let episodes = Episodes::new(&input).with_target(&target);
    let mut losses = Vec::new();
    for _ in 0..150 {
        losses = learner.step(&episodes)?;
    }
    // A network whose loss is not a number has stopped learning.
    let finite = |&(_, loss): &(usize, f32)| loss.is_finite();
    let all = losses.into_iter().enumerate().filter(finite);
    let (best, loss) = all
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .expect("some network learns");
    write_parameters(path, &learner.parameters()?.slice(best..best + 1))?;
    Ok((best, loss))
}
