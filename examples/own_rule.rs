//! A plasticity rule of one's own, as a text: differentiated symbolically and run on any engine
//! (`cargo run --release --example own_rule`).

use metaplastic::random::Purpose;
use metaplastic::tasks::{Association, EpisodeSource};
use metaplastic::{Activation, Dense, Engine, Initial, Layer, Loss, Network, Optimiser};
use metaplastic::{Parameters, Plastic, Rate, Rule};
use std::sync::Arc;

fn main() -> metaplastic::Result<()> {
    // What the trace h becomes, from presynaptic x, postsynaptic y and the rate: a trace that forgets slowly, and that a
    // neuron far from rest changes less.
    let text = "(1 - 0.2 * rate) * h + rate * y * (1 - y ^ 2) * x";
    for (name, rule) in [("hebb", Rule::hebb()), ("one's own", Rule::parse(text)?)] {
        println!("{name}: error {:.4}", error(rule)?);
    }
    // What is wrong with a text is shown where it is wrong.
    println!(
        "{}",
        Rule::parse("h + rate * y * z").expect_err("there is no z")
    );
    Ok(())
}

/// The mean error of some networks with this rule after training on one-shot learning.
pub(crate) fn error(rule: Rule) -> metaplastic::Result<f64> {
    let hidden = Plastic::new(10, 4, Rate::learned(0.1)).activation(Activation::Tanh);
    let layers: [Layer; 2] = [hidden.rule(rule).into(), Dense::new(4, 2).into()];
    let network = Network::new(Loss::SoftmaxCrossEntropy, layers)?;
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 8, 0)?;
    let mut learner = Engine::cpu().learner(&network, &parameters, &[Optimiser::adam(0.02)])?;
    let mut source = EpisodeSource {
        task: Arc::new(Association::ONE_SHOT),
        seed: 0,
        purpose: Purpose::Training,
        batch: 4,
        seeds: None,
        first: 0,
    };
    learner.train(&source, 0..1_500)?;
    source.purpose = Purpose::Evaluation;
    let errors = learner.evaluate(&source, 0..100)?;
    Ok(errors.iter().sum::<f64>() / errors.len() as f64)
}
