//! Episodes of one's own, and the network that learns them.

use crate::command::input::{read_network, read_table};
use crate::command::values::real;
use clap::Args;
use metaplastic::network::Network;
use metaplastic::training::{Data, Recipe};
use metaplastic::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::{Table, Value};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Episodes of one's own")]
pub(super) struct DataSettings {
    /// Episodes to learn from, as `gradient` takes them, in the place of a task: input, target, mask
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "task")]
    data: Option<PathBuf>,

    /// Episodes that the final error is measured on [default: more of those to learn from]
    #[arg(
        long,
        value_name = "FILE.safetensors",
        requires = "data",
        conflicts_with = "task"
    )]
    validation: Option<PathBuf>,

    /// The network that learns them, as TOML [default: that of --recipe FILE.toml or --from]
    #[arg(
        long,
        value_name = "FILE.toml",
        requires = "data",
        conflicts_with = "task"
    )]
    network: Option<PathBuf>,

    /// Error per counted step below which a network counts as having solved the task [default: 0.1]
    #[arg(long, value_name = "VALUE", requires = "data", conflicts_with = "task", allow_negative_numbers = true, value_parser = real)]
    solved_below: Option<f64>,
}

impl DataSettings {
    /// Whether episodes are given.
    pub fn is_given(&self) -> bool {
        self.data.is_some()
    }

    /// The recipe with the episodes that are given, if there are any, in the place of its task, and the network.
    pub fn apply(&self, recipe: Recipe) -> Result<Recipe> {
        let Some(path) = &self.data else {
            return Ok(recipe);
        };
        let network = self.network()?.unwrap_or_else(|| recipe.network.clone());
        let task = Arc::new(self.read(path, &network)?);
        Ok(Recipe {
            task,
            network,
            ..recipe
        })
    }

    /// The recipe of a text on episodes of one's own; without a text, what networks learn them with where nothing is said.
    pub fn recipe(&self, text: Option<(&str, &str)>) -> Result<Recipe> {
        let (text, origin) = text.unwrap_or_default();
        let within = |error: Error| match origin {
            "" => error,
            origin => Error::In {
                origin: origin.to_owned(),
                source: Box::new(error),
            },
        };
        let mut table = read_table(text, origin)?;
        let network = match self.network()? {
            Some(network) => {
                table.remove("network");
                network
            }
            None => network_of(&table).map_err(within)?,
        };
        let task = match &self.data {
            Some(path) => {
                table.remove("task");
                self.read(path, &network)?
            }
            None => Data::of_recipe(&table).map_err(within)?,
        };
        let base = Recipe::for_network(Arc::new(task), network);
        base.variation(&table.to_string(), origin)
    }

    fn read(&self, path: &Path, network: &Network) -> Result<Data> {
        let data = Data::read(path, self.validation.as_deref(), network)?;
        Ok(match self.solved_below {
            None => data,
            Some(error) if error.is_finite() => data.solved_below(error),
            Some(error) => {
                return Err(Error::Setting {
                    field: "--solved-below".into(),
                    reason: format!("{error}, expected a number"),
                });
            }
        })
    }

    fn network(&self) -> Result<Option<Network>> {
        let path = self.network.as_deref();
        path.map(read_network::<f32>).transpose()
    }
}

/// The network of a recipe's text.
fn network_of(table: &Table) -> Result<Network> {
    let Some(Value::Table(network)) = table.get("network") else {
        return Err(Error::Setting {
            field: "--network".into(),
            reason: "missing: a description of the network that learns the episodes, as TOML"
                .into(),
        });
    };
    Network::from_toml(&network.to_string(), "network")
}
