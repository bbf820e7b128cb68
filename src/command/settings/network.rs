//! The sizes of the task and of the network, which must fit each other, and what its plastic layers are.

use crate::command::number::whole;
use crate::command::task::TaskSettings;
use crate::command::values::{Lists, Several, list, one_of, real, set, several};
use clap::Args;
use clap::builder::BoolValueParser;
use metaplastic::network::{Plasticity, RatePer};
use metaplastic::tasks::Task;
use metaplastic::training::Recipe;
use metaplastic::{Activation, Error, Network, Result, Rule};
use std::sync::Arc;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Task and network")]
pub(super) struct NetworkSettings {
    #[command(flatten)]
    task: TaskSettings,

    /// Neurons of each hidden layer
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, value_parser = several(whole::<usize>))]
    hidden: Option<Several<usize>>,

    /// Plasticity rate; where it is learned, its start
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    rate: Option<Several<f64>>,

    /// Whether the plasticity rate is learned
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = several(BoolValueParser::new()))]
    rate_learned: Option<Several<bool>>,

    /// How many plasticity rates there are
    #[arg(long, value_name = "PER", value_parser = several(one_of(RatePer::ALL.map(|one| (one.name(), one)))))]
    rate_per: Option<Several<RatePer>>,

    /// How traces follow activity: hebb, oja, additive, or what h becomes, as in "0.9 * h + rate * tanh(y) * x"
    #[arg(long, value_name = "RULE", allow_hyphen_values = true)]
    rule: Option<Rule>,

    /// Activation of the plastic layers, and of recurrent ones
    #[arg(long, value_name = "NAME", value_parser = several(one_of(Activation::ALL.map(|one| (one.name(), one)))))]
    activation: Option<Several<Activation>>,

    /// How many plasticity coefficients there are: one per connection, per postsynaptic neuron, for the layer, or none
    #[arg(long, value_name = "PER", value_parser = several(one_of(Plasticity::ALL.map(|one| (one.name(), one)))))]
    plasticity: Option<Several<Plasticity>>,
}

impl NetworkSettings {
    /// Fails if something is said of a trace that there is not.
    fn require_no_trace(&self) -> Result<()> {
        let said = [
            ("--rate", self.rate.is_some()),
            ("--rate-learned", self.rate_learned.is_some()),
            ("--rate-per", self.rate_per.is_some()),
            ("--rule", self.rule.is_some()),
        ];
        match said.into_iter().find(|(_, is_said)| *is_said) {
            None => Ok(()),
            Some((field, _)) => Err(Error::Setting {
                field: field.into(),
                reason: "given with --plasticity none, where there is no trace".into(),
            }),
        }
    }

    /// The options that may have several values.
    pub fn lists(&mut self) -> Lists<'_> {
        let own = [
            list("hidden", &mut self.hidden),
            list("rate", &mut self.rate),
            list("rate-learned", &mut self.rate_learned),
            list("rate-per", &mut self.rate_per),
            list("activation", &mut self.activation),
            list("plasticity", &mut self.plasticity),
        ];
        let mut all = self.task.lists();
        all.extend(own.into_iter().flatten());
        all
    }

    /// The task with the settings that are given.
    pub fn task(&self, task: Arc<dyn Task>) -> Result<Arc<dyn Task>> {
        self.task.apply(task)
    }

    pub fn apply(&self, recipe: &mut Recipe) -> Result<()> {
        let (inputs, outputs) = (recipe.task.inputs(), recipe.task.outputs());
        recipe.task = self.task(recipe.task.clone())?;
        if (inputs, outputs) != (recipe.task.inputs(), recipe.task.outputs()) {
            recipe.fit_network()?;
        }
        if let Some(hidden) = &self.hidden {
            recipe.network = recipe.network.with_hidden(hidden.first())?;
        }
        let plasticity = self.plasticity.as_ref().map(Several::first);
        if plasticity == Some(Plasticity::None) {
            self.require_no_trace()?;
        }
        let mut layers = recipe.network.layers().to_vec();
        for layer in &mut layers {
            if let Some(plastic) = layer.as_plastic_mut() {
                set(&mut plastic.rate.value, &self.rate);
                set(&mut plastic.rate.learned, &self.rate_learned);
                set(&mut plastic.rate.per, &self.rate_per);
                if let Some(rule) = &self.rule {
                    plastic.rule = rule.clone();
                }
                set(&mut plastic.activation, &self.activation);
                if let Some(plasticity) = plasticity {
                    *plastic = plastic.clone().plasticity(plasticity);
                }
            }
        }
        recipe.network = Network::new(recipe.network.loss(), layers)?;
        Ok(())
    }
}
