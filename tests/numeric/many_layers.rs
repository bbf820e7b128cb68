//! Networks of very many layers.

use metaplastic::{
    Bias, Engine, Episodes, Layer, Loss, Network, Optimiser, Parameters, Role, Want,
};
use ndarray::Array4;
use std::time::{Duration, Instant};

/// The time that `layers` layers take to be described, filled, looked up and computed with.
fn set_up(layers: usize) -> Duration {
    let start = Instant::now();
    let network =
        Network::new(Loss::SquaredError, vec![Layer::from(Bias::new(2)); layers]).unwrap();
    let network = Network::from_toml(&network.to_toml(), "layers").unwrap();
    let mut parameters = Parameters::<f32>::new(&network, 1).unwrap();
    for layer in 0..layers {
        let mut bias = parameters.view_mut(layer, Role::Bias).unwrap();
        bias.fill(1e-6 * layer as f32);
    }
    assert!(parameters.view(layers, Role::Bias).is_none());
    let (input, target) = (Array4::ones((1, 1, 2, 2)), Array4::zeros((1, 1, 2, 2)));
    let episodes = Episodes::new(input).with_target(target);
    let engine = Engine::cpu();
    engine
        .gradient(&network, &parameters, &episodes, Want::ALL)
        .unwrap();
    let optimisers = [Optimiser::sgd(0.1, 0.0)];
    let mut learner = engine.learner(&network, &parameters, &optimisers).unwrap();
    learner.step(&episodes).unwrap();
    start.elapsed()
}

#[test]
fn time_to_set_up_grows_in_proportion_to_the_layers() {
    // A second or so; with a step for every pair of layers it took minutes.
    let time = set_up(20_000);
    assert!(time < Duration::from_secs(40), "{time:?}");
}
