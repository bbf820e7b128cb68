//! Training in double precision, on the CPU engine (`cargo run --release --example double_precision`).

use metaplastic::number::Real;
use metaplastic::{Activation, Engine, Episodes, Initial, Loss, Network, Optimiser, Parameters};
use metaplastic::{Plastic, Rate};
use ndarray::Array4;

fn main() -> metaplastic::Result<()> {
    println!("f32: loss {:.12}", train::<f32>()?.as_f64());
    println!("f64: loss {:.12}", train::<f64>()?.as_f64());
    Ok(())
}

/// The loss after some meta-steps of the same training in either precision.
pub(crate) fn train<R: Real>() -> metaplastic::Result<R> {
    let layer = Plastic::new(4, 3, Rate::learned(0.1)).activation(Activation::Tanh);
    let network = Network::new(Loss::SquaredError, [layer])?;
    let parameters = Parameters::<R>::initialise(&network, &Initial::default(), 1, 0)?;
    let wave = |scale: f64| {
        move |(_, b, t, i): (usize, usize, usize, usize)| {
            R::from_f64(((b + 2 * t + 5 * i) as f64 * scale).sin())
        }
    };
    let input = Array4::from_shape_fn((1, 8, 20, 4), wave(0.9));
    let target = Array4::from_shape_fn((1, 8, 20, 3), wave(1.3));
    let episodes = Episodes::new(&input).with_target(&target);
    let mut learner = Engine::cpu().learner(&network, &parameters, &[Optimiser::adam(0.01)])?;
    let mut loss = R::zero();
    for _ in 0..100 {
        loss = learner.step(&episodes)?[0];
    }
    Ok(loss)
}
