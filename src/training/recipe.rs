//! Every setting of a training run.

use super::axes::{Axis, LAYERS, put_sweep, take_sweep};
use super::data::Data;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::parameters::{Initial, Layout};
use crate::random::Purpose;
use crate::tasks::{
    EpisodeSource, Setup, Task, all, check_loss, check_network, frozen_episodes, read_table,
    table_of,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;
use toml::{Table, Value};

/// Every setting of a training run; together with the version and the engine it determines the result.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Seed of network 0; network `n` is network 0 of seed `seed + n`. Of a sweep, those of every point begin with it.
    pub seed: u64,
    /// Networks that are trained side by side `P`; of a sweep, for each point.
    pub population: usize,
    /// Episodes that each network sees, the frozen ones included; rounded up to whole batches.
    pub episodes: u64,
    /// Episodes per network and update `B`.
    pub batch: usize,
    /// Episodes at the end that run with frozen parameters and measure the final error, rounded up to whole batches. If
    /// not given: 500, or the last tenth of fewer than 1,000 episodes.
    pub frozen: Option<u64>,
    /// The distribution of episodes. From a text only a task that comes with the crate can be read: see
    /// [`Recipe::from_toml_for`].
    pub task: Arc<dyn Task>,
    /// How parameters start.
    pub initial: Initial,
    /// How parameters follow their gradients.
    pub optimiser: Optimiser,
    /// The network.
    pub network: Network,
    /// The settings that have several values; whatever the fields above say of those is not looked at. In files a list stands
    /// where the setting is.
    pub sweep: Vec<Axis>,
}

/// A recipe in files, but for what is swept.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Recipe", deny_unknown_fields)]
struct Plain {
    seed: u64,
    population: usize,
    episodes: u64,
    batch: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frozen: Option<u64>,
    #[serde(with = "super::written")]
    task: Arc<dyn Task>,
    initial: Initial,
    optimiser: Optimiser,
    network: Network,
    #[serde(skip)]
    sweep: Vec<Axis>,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct AsPlain(#[serde(with = "Plain")] Recipe);

impl Serialize for Recipe {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.sweep.is_empty() {
            true => Plain::serialize(self, to),
            false => self.to_table().serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut table = Table::deserialize(from)?;
        let sweep = take_sweep(&mut table).map_err(D::Error::custom)?;
        let AsPlain(recipe) = table.try_into().map_err(D::Error::custom)?;
        Ok(Self { sweep, ..recipe })
    }
}

impl PartialEq for Recipe {
    fn eq(&self, other: &Self) -> bool {
        // So that no field is forgotten.
        let Self {
            seed,
            population,
            episodes,
            batch,
            frozen,
            task,
            initial,
            optimiser,
            network,
            sweep,
        } = other;
        (self.seed, self.population, self.episodes, self.batch)
            == (*seed, *population, *episodes, *batch)
            && self.frozen == *frozen
            && *self.task == **task
            && self.initial == *initial
            && self.optimiser == *optimiser
            && self.network == *network
            && self.sweep == *sweep
    }
}

impl Recipe {
    /// What the task proposes. For the tasks that come with the crate, that is what their paper has.
    ///
    /// # Errors
    /// If the task has no network.
    pub fn new(task: Arc<dyn Task>) -> Result<Self> {
        let setup = task.setup()?;
        Ok(Self::with(task, setup))
    }

    /// The task with a network that is given: plain settings, which may not suit it.
    pub fn for_network(task: Arc<dyn Task>, network: Network) -> Self {
        Self::with(task, Data::setup_for(network))
    }

    /// The settings of a setup.
    pub(super) fn with(task: Arc<dyn Task>, setup: Setup) -> Self {
        Self {
            seed: 0,
            population: setup.population,
            episodes: setup.episodes,
            batch: setup.batch,
            frozen: None,
            task,
            initial: setup.initial,
            optimiser: setup.optimiser,
            network: setup.network,
            sweep: Vec::new(),
        }
    }

    /// Fails unless every setting is in its range and they fit each other; of a sweep, at every point.
    ///
    /// # Errors
    /// Names the first setting that is not.
    pub fn check(&self) -> Result<()> {
        if self.sweep.is_empty() {
            return self.check_one();
        }
        let points = self.points()?;
        points.iter().enumerate().try_for_each(|(index, point)| {
            let checked = point.check_one();
            checked.map_err(|error| error.within(&self.describe_point(index)))
        })
    }

    fn check_one(&self) -> Result<()> {
        for (field, size) in [
            ("population", self.population as u64),
            ("episodes", self.episodes),
            ("batch", self.batch as u64),
        ] {
            if size == 0 {
                return Err(Error::ZeroSize {
                    field: field.into(),
                });
            }
        }
        // So that every seed can be written as TOML.
        if self.seed > i64::MAX as u64 {
            return Err(Error::setting(
                "seed",
                format!("{}, at most {} is supported", self.seed, i64::MAX),
            ));
        }
        self.source(Purpose::Training).check_sizes()?;
        check_network(&*self.task, &self.network)?;
        check_loss(&*self.task, &self.network)?;
        self.initial.check()?;
        self.optimiser.check()?;
        self.optimiser
            .check_parameters(&Layout::new(&self.network)?)?;
        self.network.require_range::<f32>()?;
        let batches = self.episodes.div_ceil(self.batch as u64);
        if batches > u64::from(u32::MAX) {
            return Err(Error::setting(
                "episodes",
                format!(
                    "{} are {batches} batches of {}, at most {} are supported",
                    self.episodes,
                    self.batch,
                    u32::MAX
                ),
            ));
        }
        let frozen = self.frozen_batches();
        if frozen == 0 {
            return Err(Error::ZeroSize {
                field: "frozen".into(),
            });
        }
        if frozen >= batches {
            return Err(Error::setting(
                "episodes",
                format!(
                    "{} are {batches} batches of {}, of which {frozen} run frozen: none is left to learn from",
                    self.episodes, self.batch
                ),
            ));
        }
        Ok(())
    }

    /// Gives the network the inputs and outputs that the task has.
    ///
    /// # Errors
    /// If the network cannot have such ends.
    pub fn fit_network(&mut self) -> Result<()> {
        self.network = self
            .network
            .with_ends(self.task.inputs(), self.task.outputs())?;
        Ok(())
    }

    /// Meta-steps in all, the frozen ones included.
    pub fn meta_steps(&self) -> u32 {
        let batches = self.episodes.div_ceil(self.batch.max(1) as u64);
        u32::try_from(batches).unwrap_or(u32::MAX)
    }

    /// Meta-steps with frozen parameters, the last ones.
    pub fn frozen_meta_steps(&self) -> u32 {
        u32::try_from(self.frozen_batches()).unwrap_or(u32::MAX)
    }

    /// Episodes that each network learns from; the frozen ones follow.
    pub fn learned_episodes(&self) -> u64 {
        let learned = self.meta_steps().saturating_sub(self.frozen_meta_steps());
        u64::from(learned) * self.batch as u64
    }

    fn frozen_batches(&self) -> u64 {
        self.frozen
            .unwrap_or_else(|| frozen_episodes(self.episodes))
            .div_ceil(self.batch.max(1) as u64)
    }

    /// Synapse-steps of one meta-step over the whole population, `P·B·T·Σ O·I`.
    pub fn synapse_steps(&self) -> u64 {
        [self.batch, self.task.steps(), self.network.synapses()]
            .iter()
            .fold(self.networks() as u64, |product, &size| {
                product.saturating_mul(size as u64)
            })
    }

    /// Where the episodes come from.
    pub fn source(&self, purpose: Purpose) -> EpisodeSource {
        EpisodeSource {
            task: self.task.clone(),
            seed: self.seed,
            purpose,
            batch: self.batch,
            seeds: self.seeds(),
            first: 0,
        }
    }

    /// After how many networks their seeds begin again; never where nothing is swept.
    pub(super) fn seeds(&self) -> Option<usize> {
        (!self.sweep.is_empty()).then_some(self.population)
    }

    /// The table of the TOML form.
    pub(super) fn to_table(&self) -> Table {
        let mut table = self.plain_table();
        put_sweep(&mut table, &self.sweep);
        table
    }

    /// The same, of what is swept one value.
    pub(super) fn plain_table(&self) -> Table {
        let plain = AsPlain(self.clone());
        Table::try_from(plain).expect("counts and seed are within the range of TOML")
    }

    /// The TOML form, every setting written out.
    ///
    /// # Panics
    /// If a count or the seed is beyond 2⁶³ − 1, which TOML cannot write.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("counts and seed are within the range of TOML")
    }

    /// Reads the TOML form; `origin` names the text in errors.
    ///
    /// # Errors
    /// If the text is not TOML, has unknown or missing keys, or its settings are not valid (see [`Recipe::check`]).
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let invalid = |source| Error::Toml {
            origin: origin.to_owned(),
            source: Box::new(source),
        };
        let mut table: Table = text.parse().map_err(invalid)?;
        let sweep = take_sweep(&mut table).map_err(|error| error.within(origin))?;
        // An error in the text itself has a line.
        let read = match sweep.is_empty() {
            true => toml::from_str(text),
            false => table.try_into(),
        };
        let AsPlain(recipe) = read.map_err(invalid)?;
        let recipe = Self { sweep, ..recipe };
        recipe.check().map_err(|error| error.within(origin))?;
        Ok(recipe)
    }

    /// As [`Recipe::from_toml`], of a recipe for a task of the kind of `task`, which need not come with the crate.
    ///
    /// # Errors
    /// As [`Recipe::from_toml`], or if the recipe is for another kind of task.
    pub fn from_toml_for(task: &Arc<dyn Task>, text: &str, origin: &str) -> Result<Self> {
        let invalid = |source| Error::Toml {
            origin: origin.to_owned(),
            source: Box::new(source),
        };
        let table: Table = text.parse().map_err(invalid)?;
        let recipe = Self::from_table_for(task, table, origin)?;
        recipe.check().map_err(|error| error.within(origin))?;
        Ok(recipe)
    }

    /// The same from a table, not checked.
    pub(crate) fn from_table_for(
        task: &Arc<dyn Task>,
        mut table: Table,
        origin: &str,
    ) -> Result<Self> {
        let sweep = take_sweep(&mut table).map_err(|error| error.within(origin))?;
        require_counts("", &table).map_err(|error| error.within(origin))?;
        let own = table.remove("task");
        if let Some(Value::Table(own)) = &own {
            let own = own.clone();
            // One that can be read stands in its place meanwhile.
            let other = all().first().map(|task| table_of(&**task));
            table.insert("task".to_owned(), Value::Table(other.unwrap_or_default()));
            let AsPlain(recipe) = table.try_into().map_err(|source| Error::Toml {
                origin: origin.to_owned(),
                source: Box::new(source),
            })?;
            let task = read_table(task, own).map_err(|error| error.within(origin))?;
            return Ok(Self {
                task,
                sweep,
                ..recipe
            });
        }
        let found = own.map_or("missing".to_owned(), |other| other.to_string());
        let reason = format!("{found}, expected a table with the kind of task");
        Err(Error::setting("task", reason).within(origin))
    }
}

/// Settings that count something, wherever they are in a recipe.
const COUNTS: [&str; 9] = [
    "seed",
    "population",
    "episodes",
    "batch",
    "frozen",
    "updates",
    "every",
    "inputs",
    "outputs",
];

/// Fails at the first count that is no whole number from 0, by its whole name: what reads a table with a kind names the table only.
fn require_counts(prefix: &str, table: &Table) -> Result<()> {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        let is_wrong = match value {
            Value::Integer(number) => *number < 0,
            Value::Float(_) | Value::String(_) | Value::Boolean(_) => true,
            // Another kind of value is another setting.
            _ => false,
        };
        if is_wrong && COUNTS.contains(&key.as_str()) {
            let reason = format!("{value}, expected a whole number, at least 0");
            return Err(Error::setting(path, reason));
        }
        match value {
            // A task reads its own settings, and what is no table of a recipe is refused as that.
            Value::Table(inner)
                if ["optimiser", "optimiser.schedule", "network"].contains(&&*path) =>
            {
                require_counts(&format!("{path}."), inner)?;
            }
            Value::Array(items) if path == LAYERS => {
                for (index, inner) in items.iter().enumerate() {
                    if let Value::Table(inner) = inner {
                        require_counts(&format!("{path}{index}."), inner)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Layer, Loss, Plastic, Rate};
    use crate::tasks::Association;

    fn one_shot() -> Recipe {
        Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap()
    }

    #[test]
    fn the_recipes_are_valid_and_survive_toml() {
        for task in all() {
            for name in Recipe::NAMES {
                let Some(recipe) = Recipe::named(task.clone(), name).unwrap() else {
                    assert_eq!((task.name(), name), ("pattern-memory", "reliable"));
                    continue;
                };
                recipe.check().unwrap();
                let text = recipe.to_toml();
                assert_eq!(Recipe::from_toml(&text, "test").unwrap(), recipe, "{text}");
            }
        }
    }

    #[test]
    fn the_reliable_recipes_keep_the_papers_tasks_sizes_and_episodes() {
        for task in all() {
            let [Some(paper), Some(reliable)] =
                Recipe::NAMES.map(|name| Recipe::named(task.clone(), name).unwrap())
            else {
                continue;
            };
            assert!(*reliable.task == *paper.task);
            assert_eq!(reliable.synapse_steps(), paper.synapse_steps());
            assert_eq!(reliable.meta_steps(), paper.meta_steps());
        }
    }

    #[test]
    fn how_many_episodes_run_frozen() {
        let frozen = |episodes, batch, frozen| {
            let recipe = Recipe {
                episodes,
                batch,
                frozen,
                ..one_shot()
            };
            (recipe.frozen_meta_steps(), recipe.meta_steps())
        };
        assert_eq!(frozen(10_000, 1, None), (500, 10_000));
        assert_eq!(frozen(1_000, 1, None), (500, 1_000));
        assert_eq!(frozen(999, 1, None), (99, 999));
        assert_eq!(frozen(2, 1, None), (1, 2));
        assert_eq!(frozen(100, 16, None), (1, 7));
        assert_eq!(frozen(10_000, 8, Some(9)), (2, 1_250));
    }

    #[test]
    fn settings_out_of_range_are_named_with_their_numbers() {
        type Change = fn(&mut Recipe);
        let bad: [(&[&str], Change); 12] = [
            (&["population", "zero"], |r| r.population = 0),
            (&["episodes", "zero"], |r| r.episodes = 0),
            (&["episodes", "none is left"], |r| r.episodes = 1),
            (&["batch", "zero"], |r| r.batch = 0),
            (&["frozen", "zero"], |r| r.frozen = Some(0)),
            (&["episodes", "1099511627776"], |r| r.episodes = 1 << 40),
            (&["seed", "18446744073709551615"], |r| r.seed = u64::MAX),
            (&["initial.scale", "1e39", "range of f32"], |r| {
                r.initial.scale = 1e39
            }),
            (&["initial.plasticity_scale", "1e38", "draws"], |r| {
                r.initial.plasticity_scale = Some(1e38)
            }),
            (&["layer0.rate.value", "1e300", "range of f32"], |r| {
                let layer = Layer::from(
                    Plastic::new(10, 2, Rate::fixed(1e300)).activation(Activation::Tanh),
                );
                r.network = Network::new(Loss::SoftmaxCrossEntropy, [layer]).unwrap()
            }),
            (&["inputs of the network", "10", "11"], |r| {
                r.task = Arc::new(Association::one_shot(9, 2, 20).unwrap())
            }),
            // The threshold is one of cross-entropy.
            (&["loss.kind", "squared-error", "cross-entropy"], |r| {
                let layers = r.network.layers().to_vec();
                r.network = Network::new(Loss::SquaredError, layers).unwrap();
            }),
        ];
        for (parts, change) in bad {
            let mut recipe = one_shot();
            change(&mut recipe);
            let error = recipe.check().unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
