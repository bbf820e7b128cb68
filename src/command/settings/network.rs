//! The sizes of the task and of the network, which must fit each other, and what its plastic layers are.

use super::values::{one_of, set};
use clap::Args;
use metaplastic::task::Task;
use metaplastic::training::Recipe;
use metaplastic::{
    Activation, Bias, Dense, Error, Layer, Network, Plastic, Plasticity, RatePer, Result, Rule,
};

#[derive(Args, Debug)]
#[command(next_help_heading = "Task and network")]
pub(super) struct NetworkSettings {
    /// Bits of a pattern; the network's size follows
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    bits: Option<usize>,

    /// Patterns of an episode, which are also its labels; the network's size follows
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    patterns: Option<usize>,

    /// Steps of an episode
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    steps: Option<usize>,

    /// Neurons of each hidden layer
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    hidden: Option<usize>,

    /// Plasticity rate; where it is learned, its start
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    rate: Option<f64>,

    /// Whether the plasticity rate is learned
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    rate_learned: Option<bool>,

    /// How many plasticity rates there are
    #[arg(long, value_name = "PER", value_parser = one_of([("layer", RatePer::Layer), ("neuron", RatePer::Neuron)]))]
    rate_per: Option<RatePer>,

    /// How traces follow activity
    #[arg(long, value_parser = one_of(Rule::ALL.map(|rule| (rule.name(), rule))))]
    rule: Option<Rule>,

    /// Activation of the plastic layers
    #[arg(long, value_name = "NAME", value_parser = one_of(Activation::ALL.map(|one| (one.name(), one))))]
    activation: Option<Activation>,

    /// How many plasticity coefficients there are: one per connection, per postsynaptic neuron, or for the layer
    #[arg(long, value_name = "PER", value_parser = one_of(Plasticity::ALL.map(|one| (one.name(), one))))]
    plasticity: Option<Plasticity>,
}

impl NetworkSettings {
    pub fn apply(&self, recipe: &mut Recipe) -> Result<()> {
        self.apply_to_task(&mut recipe.task)?;
        let mut layers = recipe.network.layers().to_vec();
        if self.bits.is_some() || self.patterns.is_some() {
            fit_ends(&mut layers, recipe.task.inputs(), recipe.task.outputs());
        }
        if let Some(hidden) = self.hidden {
            resize_hidden(&mut layers, hidden)?;
        }
        for layer in &mut layers {
            if let Layer::Plastic(plastic) = layer {
                set(&mut plastic.rate.value, self.rate);
                set(&mut plastic.rate.learned, self.rate_learned);
                set(&mut plastic.rate.per, self.rate_per);
                set(&mut plastic.rule, self.rule);
                set(&mut plastic.activation, self.activation);
                set(&mut plastic.plasticity, self.plasticity);
            }
        }
        recipe.network = Network::new(recipe.network.loss(), layers)?;
        Ok(())
    }

    fn apply_to_task(&self, task: &mut Task) -> Result<()> {
        match task {
            Task::Completion(completion) => {
                set(&mut completion.bits, self.bits);
                let (field, of) = match (self.patterns, self.steps) {
                    (None, None) => return Ok(()),
                    (Some(_), _) => ("--patterns", "one pattern"),
                    (None, Some(_)) => ("--steps", "two steps"),
                };
                Err(Error::Setting {
                    field: field.into(),
                    reason: format!("an episode of completion has {of}"),
                })
            }
            Task::OneShot(association) | Task::Reversal(association) => {
                set(&mut association.bits, self.bits);
                set(&mut association.patterns, self.patterns);
                set(&mut association.steps, self.steps);
                Ok(())
            }
        }
    }
}

/// The sizes of a layer.
fn sizes(layer: &mut Layer) -> (&mut usize, &mut usize) {
    match layer {
        Layer::Plastic(Plastic {
            inputs, outputs, ..
        })
        | Layer::Dense(Dense {
            inputs, outputs, ..
        })
        | Layer::Bias(Bias {
            inputs, outputs, ..
        }) => (inputs, outputs),
    }
}

/// Gives the first layer `inputs` and the last one `outputs`; bias layers pass a change on.
fn fit_ends(layers: &mut [Layer], inputs: usize, outputs: usize) {
    for layer in layers.iter_mut() {
        *sizes(layer).0 = inputs;
        if !matches!(layer, Layer::Bias(_)) {
            break;
        }
        *sizes(layer).1 = inputs;
    }
    for layer in layers.iter_mut().rev() {
        *sizes(layer).1 = outputs;
        if !matches!(layer, Layer::Bias(_)) {
            break;
        }
        *sizes(layer).0 = outputs;
    }
}

/// Gives every layer between the ends `hidden` neurons.
fn resize_hidden(layers: &mut [Layer], hidden: usize) -> Result<()> {
    let connected = |layer: &Layer| !matches!(layer, Layer::Bias(_));
    let ends = (
        layers.iter().position(connected),
        layers.iter().rposition(connected),
    );
    let (Some(first), Some(last)) = ends else {
        return Err(no_hidden());
    };
    if first == last {
        return Err(no_hidden());
    }
    for (index, layer) in layers.iter_mut().enumerate() {
        let (inputs, outputs) = sizes(layer);
        if (first + 1..=last).contains(&index) {
            *inputs = hidden;
        }
        if (first..last).contains(&index) {
            *outputs = hidden;
        }
    }
    Ok(())
}

fn no_hidden() -> Error {
    Error::Setting {
        field: "--hidden".into(),
        reason: "the network has no hidden layer".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metaplastic::Rate;

    fn shapes(layers: &[Layer]) -> Vec<(usize, usize)> {
        layers.iter().map(|l| (l.inputs(), l.outputs())).collect()
    }

    #[test]
    fn ends_and_hidden_layers_are_resized_through_bias_layers() {
        let mut layers = [
            Layer::bias(10),
            Layer::plastic(10, 2, Rate::fixed(0.1)),
            Layer::bias(2),
            Layer::dense(2, 3, Activation::Linear),
            Layer::bias(3),
        ];
        fit_ends(&mut layers, 7, 4);
        assert_eq!(shapes(&layers), [(7, 7), (7, 2), (2, 2), (2, 4), (4, 4)]);
        resize_hidden(&mut layers, 5).unwrap();
        assert_eq!(shapes(&layers), [(7, 7), (7, 5), (5, 5), (5, 4), (4, 4)]);
        assert!(resize_hidden(&mut layers[..3], 5).is_err());
        assert!(resize_hidden(&mut layers[4..], 5).is_err());
    }
}
