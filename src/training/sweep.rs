//! Sweeps: recipes in which a setting has several values, and several such settings make a grid.
//!
//! In a recipe's text a list stands where one value would: `learning_rate = [0.001, 0.003]`. Every combination of the values is
//! a *point* of the grid. Settings of the optimiser, initial parameters and initial rates may differ between networks of one
//! population; points that differ in anything else are populations of their own.

use super::axes::{Axis, LAYERS, differing, find, together};
use super::recipe::Recipe;
use super::statistics::Statistics;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use std::cmp::Ordering;
use std::ops::Range;
use toml::{Table, Value};

/// Points that a grid may have.
const MOST_POINTS: usize = 10_000;

/// A recipe of networks that are trained as one population.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Population {
    /// What tells it from others of the same sweep: settings, as they are called, and their values.
    pub values: Vec<(String, String)>,
    /// The recipe.
    pub recipe: Recipe,
}

impl Population {
    /// One of several that differ in these values.
    pub fn new(values: Vec<(String, String)>, recipe: Recipe) -> Self {
        Self { values, recipe }
    }
}

/// What came of the networks of one point of a sweep.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PointResult {
    /// Which networks they are.
    pub networks: Range<usize>,
    /// How many of them solved the task.
    pub solved: usize,
    /// Statistics of their final errors; `None` where none of them has one.
    pub final_error: Option<Statistics>,
}

impl PointResult {
    /// Of each point of a recipe, in order, from the final errors of all networks, and which of them solved the task. Where some
    /// errors of a point are known, those that are not count as infinite.
    ///
    /// # Panics
    /// If there are fewer of either than networks.
    pub fn of_each(recipe: &Recipe, errors: &[Option<f64>], solved: &[bool]) -> Vec<Self> {
        let points = 0..recipe.point_count();
        let of_point = points.map(|point| {
            let networks = recipe.networks_of(point);
            let own = &errors[networks.clone()];
            let known = own.iter().any(Option::is_some);
            let own: Vec<f64> = own.iter().map(|error| error.unwrap_or(f64::NAN)).collect();
            Self {
                solved: solved[networks.clone()].iter().filter(|it| **it).count(),
                final_error: Statistics::of(&own).filter(|_| known),
                networks,
            }
        });
        of_point.collect()
    }

    /// The best one: most of its networks solved the task; of several, that with the least median error. `None` where no network
    /// has a final error.
    pub fn best(results: &[Self]) -> Option<usize> {
        let known = (0..results.len()).filter(|&index| results[index].final_error.is_some());
        known.min_by(|&one, &other| Self::order(&results[one], &results[other]))
    }

    /// The better one is less.
    pub(crate) fn order(one: &Self, other: &Self) -> Ordering {
        let median = |it: &Self| it.final_error.map_or(f64::INFINITY, |error| error.median);
        let solved = other.solved.cmp(&one.solved);
        solved.then(median(one).total_cmp(&median(other)))
    }
}

impl Recipe {
    /// Points of the sweep's grid; 1 where nothing is swept.
    pub fn point_count(&self) -> usize {
        let lengths = self.sweep.iter().map(|axis| axis.values.len());
        lengths.fold(1, usize::saturating_mul)
    }

    /// Networks in all: those of every point.
    pub fn networks(&self) -> usize {
        self.population.saturating_mul(self.point_count())
    }

    /// The networks of a point.
    pub fn networks_of(&self, point: usize) -> Range<usize> {
        point * self.population..(point + 1) * self.population
    }

    /// The point that a network belongs to.
    pub fn point_of(&self, network: usize) -> usize {
        network / self.population.max(1)
    }

    /// The seed of a network: those of every point have the same.
    pub fn seed_of(&self, network: usize) -> u64 {
        let index = network % self.population.max(1);
        self.seed.wrapping_add(index as u64)
    }

    /// Of a point, which value each axis has. The last axis changes first.
    pub fn indices(&self, mut point: usize) -> Vec<usize> {
        let mut indices = vec![0; self.sweep.len()];
        for (index, axis) in indices.iter_mut().zip(&self.sweep).rev() {
            *index = point % axis.values.len();
            point /= axis.values.len();
        }
        indices
    }

    /// `learning_rate 0.003, l1 0`; empty where nothing is swept.
    pub fn describe_point(&self, point: usize) -> String {
        let pairs = self.sweep.iter().zip(self.indices(point));
        let pairs = pairs.map(|(axis, index)| format!("{} {}", axis.name(), axis.text(index)));
        pairs.collect::<Vec<_>>().join(", ")
    }

    /// The recipe of every point, in order: each a recipe without a sweep, for as many networks as this one has for each point.
    ///
    /// # Errors
    /// If there are too many, or the settings of one cannot be together.
    pub fn points(&self) -> Result<Vec<Self>> {
        if self.sweep.is_empty() {
            return Ok(vec![self.clone()]);
        }
        let count = self.point_count();
        if count > MOST_POINTS {
            let reason =
                format!("{count} combinations of values, at most {MOST_POINTS} are supported");
            return Err(Error::setting("sweep", reason));
        }
        self.require_table()?;
        let base = self.plain_table();
        (0..count).map(|point| self.at(&base, point)).collect()
    }

    /// Fails unless all numbers can be written as TOML.
    fn require_table(&self) -> Result<()> {
        let numbers = [
            ("seed", self.seed),
            ("population", self.population as u64),
            ("episodes", self.episodes),
            ("batch", self.batch as u64),
            ("frozen", self.frozen.unwrap_or(0)),
        ];
        match numbers
            .into_iter()
            .find(|(_, number)| *number > i64::MAX as u64)
        {
            None => Ok(()),
            Some((name, number)) => {
                let reason = format!("{number}, at most {} is supported", i64::MAX);
                Err(Error::setting(name, reason))
            }
        }
    }

    fn at(&self, base: &Table, point: usize) -> Result<Self> {
        let within = |error: Error| error.within(&self.describe_point(point));
        let mut table = base.clone();
        for (axis, index) in self.sweep.iter().zip(self.indices(point)) {
            for key in &axis.keys {
                let place = find(&mut table, key);
                let missing = || Error::setting(key.clone(), "no setting that can be swept");
                *place.ok_or_else(missing).map_err(within)? = axis.values[index].clone();
            }
        }
        let origin = self.describe_point(point);
        let mut recipe = Self::from_table_for(&self.task, table, &origin)?;
        let keys = self.sweep.iter().flat_map(|axis| &axis.keys);
        if keys.clone().any(|key| key.starts_with("task."))
            && !keys.clone().any(|key| key == LAYERS)
        {
            recipe.fit_network().map_err(within)?;
        }
        Ok(recipe)
    }

    /// The key in this recipe of a setting, as [`Population::values`] call it: `task.steps` for `steps`. What is no one setting, such as the
    /// sizes of all hidden layers, keeps its name.
    #[cfg(feature = "runs")]
    pub(crate) fn key_of(&self, name: &str) -> String {
        let table = self.plain_table();
        let is_in = |part: &str| {
            let part = table.get(part).and_then(Value::as_table);
            part.is_some_and(|part| part.contains_key(name))
        };
        match name.split_once('.') {
            _ if table.contains_key(name) => name.to_owned(),
            _ if is_in("task") => format!("task.{name}"),
            _ if is_in("network") || name.starts_with("layer") => format!("network.{name}"),
            Some(("loss", _)) => format!("network.{name}"),
            _ => name.to_owned(),
        }
    }

    /// The recipes with each of the values of one axis, and the first one of the others; without a sweep.
    ///
    /// # Errors
    /// As [`Recipe::points`].
    pub fn along(&self, axis: &Axis) -> Result<Vec<Self>> {
        let mut first = self.clone();
        first.sweep.retain(|other| other != axis);
        let firsts = first.sweep.iter_mut();
        firsts.for_each(|other| other.values.truncate(1));
        let base = first.points()?.swap_remove(0);
        let sweep = vec![axis.clone()];
        Self { sweep, ..base }.points()
    }

    /// This recipe with more settings that have several values: for each of them, recipes without a sweep that differ in it
    /// alone, the first of them being this one.
    ///
    /// # Errors
    /// If they cannot be told apart by lists in the places of settings.
    pub fn swept(&self, settings: &[Vec<Self>]) -> Result<Self> {
        if settings.is_empty() {
            return Ok(self.clone());
        }
        self.require_table()?;
        let mut swept = self.clone();
        for alternatives in settings {
            swept.sweep.extend(axis_between(alternatives)?);
        }
        let count = swept.sweep.len();
        let read = Self::from_table_for(&self.task, swept.to_table(), "sweep")?;
        match read.sweep.len() == count && read.point_count() == swept.point_count() {
            true => Ok(read),
            false => {
                let names: Vec<_> = swept.sweep.iter().map(Axis::name).collect();
                let reason =
                    "these settings cannot all have several values: one is part of another";
                Err(Error::setting(names.join(", "), reason))
            }
        }
    }

    /// Whether the networks of both recipes can be one population.
    pub fn shares_population_with(&self, other: &Self) -> bool {
        let mut alike = Self {
            optimiser: other.optimiser.clone(),
            initial: other.initial,
            ..self.clone()
        };
        alike.network = with_rates(&self.network, &other.network);
        alike == *other
    }

    /// The recipes whose populations are trained one after the other, each with what can be swept within it; with the values,
    /// by name, that tell them apart. One without any where everything can be swept within a population.
    ///
    /// # Errors
    /// As [`Recipe::points`].
    pub fn populations(&self) -> Result<Vec<Population>> {
        // An axis can be swept within a population if going along it never leaves one.
        let (mut within, mut apart) = (Vec::new(), Vec::new());
        for axis in &self.sweep {
            let along = self.along(axis)?;
            let stays = along.iter().all(|it| it.shares_population_with(&along[0]));
            let side = if stays { &mut within } else { &mut apart };
            side.push(axis.clone());
        }
        let outer = Self {
            sweep: apart,
            ..self.clone()
        };
        let populations = outer
            .points()?
            .into_iter()
            .enumerate()
            .map(|(point, recipe)| {
                let pairs = outer.sweep.iter().zip(outer.indices(point));
                let named = pairs.map(|(axis, index)| (axis.name().to_owned(), axis.text(index)));
                let sweep = within.clone();
                Population::new(named.collect(), Self { sweep, ..recipe })
            });
        Ok(populations.collect())
    }

    /// Fails unless all networks can be trained as one population.
    pub(super) fn require_one_population(&self) -> Result<()> {
        if self.sweep.is_empty() {
            return Ok(());
        }
        let populations = self.populations()?;
        let values = populations.first().map(|first| &first.values[..]);
        let names: Vec<_> = values
            .unwrap_or_default()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        match names.is_empty() {
            true => Ok(()),
            false => {
                let reason =
                    "has several values, but cannot differ between the networks of a population";
                Err(Error::setting(names.join(", "), reason))
            }
        }
    }

    /// The optimisers of all networks: one for all where nothing is swept, else one for each.
    pub(super) fn optimisers(&self) -> Result<Vec<Optimiser>> {
        if self.sweep.is_empty() {
            return Ok(vec![self.optimiser.clone()]);
        }
        let points = self.points()?.into_iter();
        let each = points.flat_map(|point| std::iter::repeat_n(point.optimiser, self.population));
        Ok(each.collect())
    }

    /// The parameters that all networks start with: those of a point as though it were alone.
    pub(super) fn initial_parameters(&self) -> Result<Parameters<f32>> {
        let initialise = |point: &Self| {
            let Self {
                network, initial, ..
            } = point;
            Parameters::initialise(network, initial, self.population, self.seed)
        };
        if self.sweep.is_empty() {
            return initialise(self);
        }
        let mut all = Parameters::new(&self.network, self.networks())?;
        let size = self.population * all.layout().size();
        for (index, point) in self.points()?.iter().enumerate() {
            all.values_mut()[index * size..][..size].copy_from_slice(initialise(point)?.values());
        }
        Ok(all)
    }
}

/// The axis along which recipes lie: the places where they differ, as one. None where they do not.
fn axis_between(recipes: &[Recipe]) -> Result<Option<Axis>> {
    let tables: Vec<_> = recipes
        .iter()
        .map(|it| Value::Table(it.plain_table()))
        .collect();
    let mut found = Vec::new();
    differing("", &tables.iter().collect::<Vec<_>>(), &mut found);
    let axes = together(found);
    match axes.len() {
        0 => Ok(None),
        1 => Ok(axes.into_iter().next()),
        _ => {
            let names: Vec<_> = axes.iter().map(Axis::name).collect();
            let reason =
                "these settings depend on each other, and cannot be swept in one population";
            Err(Error::setting(names.join(", "), reason))
        }
    }
}

/// A network with the initial rates of another, where they have the same layers.
fn with_rates(network: &Network, other: &Network) -> Network {
    let mut layers = network.layers().to_vec();
    for (layer, other) in layers.iter_mut().zip(other.layers()) {
        if let (Some(plastic), Some(other)) = (layer.as_plastic_mut(), other.as_plastic()) {
            plastic.rate.value = other.rate.value;
        }
    }
    Network::new(network.loss(), layers).unwrap_or_else(|_| network.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::tasks::{Association, PatternMemory, Task};
    use crate::training::{Checkpoint, Event, Trained, Training};
    use std::ops::ControlFlow;
    use std::sync::Arc;

    fn one_shot() -> Recipe {
        Recipe {
            population: 2,
            episodes: 30,
            ..Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap()
        }
    }

    fn varied(text: &str) -> Recipe {
        one_shot().variation(text, "test").unwrap()
    }

    /// Several settings of each kind that can be swept within a population.
    fn grid() -> Recipe {
        varied(
            "[optimiser]\nlearning_rate = [0.01, 0.03]\nmethod = [{ kind = \"adam\" , beta1 = 0.9, beta2 = 0.999, \
             epsilon = 1e-8 }, { kind = \"sgd\", momentum = 0.5 }]\nmax_step = [\"none\", 1e-4]\n\
             [initial]\nscale = [0.1, 0.5]",
        )
    }

    fn run(training: Training) -> (Trained, Vec<Checkpoint>) {
        let mut checkpoints = Vec::new();
        let trained = training.run_watched(|event| {
            if let Event::Pause(pause) = event {
                checkpoints.push(pause.checkpoint().unwrap());
            }
            ControlFlow::Continue(())
        });
        (trained.unwrap(), checkpoints)
    }

    fn trained(recipe: &Recipe) -> Trained {
        run(Training::new(&Engine::cpu(), recipe).unwrap()).0
    }

    #[test]
    fn a_list_is_a_sweep_and_comes_back_from_every_form() {
        let recipe = varied("[optimiser]\nlearning_rate = [0.01, 0.003]\nl1 = [0, 1e-5, 1e-4]");
        assert_eq!((recipe.point_count(), recipe.networks()), (6, 12));
        let names: Vec<_> = recipe.sweep.iter().map(Axis::name).collect();
        assert_eq!(names, ["l1", "learning_rate"]);
        assert_eq!(recipe.describe_point(3), "l1 1e-5, learning_rate 0.003");
        assert_eq!((recipe.point_of(7), recipe.seed_of(7)), (3, 1));
        let points = recipe.points().unwrap();
        let rates: Vec<_> = points.iter().map(|it| it.optimiser.learning_rate).collect();
        assert_eq!(rates, [0.01, 0.003, 0.01, 0.003, 0.01, 0.003]);
        assert_eq!(points[4].optimiser.l1, 1e-4);
        assert!(points.iter().all(|point| point.sweep.is_empty()));
        let lists = varied(
            "[optimiser]\nrate_bounds = [[0.0, 1.0], [0.0, 0.5]]\nfrozen = [[], [\"bias\"]]",
        );
        assert_eq!(
            (lists.point_count(), lists.populations().unwrap().len()),
            (4, 1)
        );
        assert_eq!(lists.points().unwrap()[3].optimiser.rate_bounds, [0.0, 0.5]);
        for recipe in [recipe, grid(), lists] {
            for text in [recipe.to_toml(), recipe.to_commented_toml()] {
                assert_eq!(Recipe::from_toml(&text, "test").unwrap(), recipe, "{text}");
                assert_eq!(one_shot().variation(&text, "test").unwrap(), recipe);
            }
            let read: Recipe = toml::from_str(&recipe.to_toml()).unwrap();
            assert_eq!(read, recipe);
        }
        // One value is no sweep, and a sweep is taken back by one.
        let one = varied("[optimiser]\nlearning_rate = [0.5]");
        assert_eq!(one, varied("[optimiser]\nlearning_rate = 0.5"));
        let back = grid().variation("[initial]\nscale = 0.1", "test").unwrap();
        assert_eq!(back.point_count(), 8);
    }

    #[test]
    fn a_network_of_a_sweep_has_the_bits_of_a_plain_run() {
        let recipe = grid();
        let swept = trained(&recipe);
        assert_eq!(swept.parameters.population(), 32);
        let mut different = std::collections::BTreeSet::new();
        for (index, point) in recipe.points().unwrap().iter().enumerate() {
            let plain = trained(point);
            for network in 0..2 {
                let own = recipe.networks_of(index).start + network;
                assert_eq!(
                    swept.parameters.network(own),
                    plain.parameters.network(network)
                );
                assert_eq!(swept.networks[own], plain.networks[network]);
                for (all, one) in swept.history.iter().zip(&plain.history) {
                    assert_eq!(all.error[own], one.error[network]);
                }
                let values = plain.parameters.network(network).iter();
                different.insert(values.map(|value| value.to_bits()).collect::<Vec<_>>());
            }
        }
        assert_eq!(different.len(), 32);
        let alone = trained(&Recipe {
            seed: 1,
            population: 1,
            ..recipe.points().unwrap()[5].clone()
        });
        assert_eq!(alone.parameters.network(0), swept.parameters.network(11));
        let results = swept.points(&recipe);
        assert_eq!(results[5].networks, 10..12);
        let errors = [10, 11].map(|network| swept.networks[network].final_error.unwrap());
        assert_eq!(results[5].final_error, Statistics::of(&errors));
    }

    #[test]
    fn rates_are_swept_in_all_layers_together() {
        let task = Association::ONE_SHOT;
        let mut recipe = one_shot();
        let layer = recipe.network.layers()[0].clone();
        let mut second = layer.clone();
        let plastic = second.as_plastic_mut().unwrap();
        (plastic.inputs, plastic.outputs) = (2, task.outputs());
        recipe.network = Network::new(task.loss(), [layer, second]).unwrap();
        let mut text = recipe.to_toml();
        let value = recipe.network.layers()[0].as_plastic().unwrap().rate.value;
        assert_eq!(
            text.matches(&format!("value = {value:?}")).count(),
            2,
            "{text}"
        );
        text = text.replace(&format!("value = {value:?}"), "value = [0.1, 0.2]");
        let swept = Recipe::from_toml(&text, "test").unwrap();
        assert_eq!(swept.point_count(), 2);
        assert_eq!(swept.sweep[0].keys.len(), 2);
        assert_eq!(Recipe::from_toml(&swept.to_toml(), "test").unwrap(), swept);
        assert_eq!(swept.populations().unwrap().len(), 1);
        let all = trained(&swept);
        for (index, point) in swept.points().unwrap().iter().enumerate() {
            assert_eq!(
                all.parameters.network(2 * index),
                trained(point).parameters.network(0)
            );
        }
        // With other values they are a grid.
        let text = text.replacen("value = [0.1, 0.2]", "value = [0.1, 0.3]", 1);
        assert_eq!(Recipe::from_toml(&text, "test").unwrap().point_count(), 4);
    }

    #[test]
    fn what_cannot_differ_within_a_population_is_trained_apart() {
        let recipe = varied(
            "batch = [1, 2]\n[task]\nsteps = [20, 25]\nbits = [8, 9]\n[optimiser]\nl1 = [0, 1e-4]",
        );
        let error = Training::new(&Engine::cpu(), &recipe)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("batch") && error.contains("population"),
            "{error}"
        );
        let populations = recipe.populations().unwrap();
        assert_eq!(populations.len(), 8);
        let Population {
            values,
            recipe: last,
        } = &populations[7];
        let expected = [("batch", "2"), ("bits", "9"), ("steps", "25")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(values[..], expected);
        assert_eq!((last.batch, last.task.steps(), last.networks()), (2, 25, 4));
        assert_eq!(last.network.inputs(), last.task.inputs());
        last.check().unwrap();
        for population in &populations {
            assert_eq!(population.recipe.populations().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_sweep_goes_on_with_the_same_bits() {
        let recipe = grid();
        let engine = Engine::cpu();
        let (whole, checkpoints) = run(Training::new(&engine, &recipe).unwrap());
        let midst = checkpoints.len() / 2;
        for checkpoint in [0, midst, checkpoints.len() - 1] {
            let checkpoint = checkpoints[checkpoint].clone();
            let (trained, _) = run(Training::resume(&engine, checkpoint).unwrap());
            assert_eq!(trained.parameters, whole.parameters);
            assert_eq!(trained.networks, whole.networks);
        }
    }

    #[test]
    fn wrong_answers_are_counted_with_the_seeds_of_each_point() {
        let task = PatternMemory::SMALL.with_settings(&"bits = 4".parse().unwrap());
        let recipe = Recipe {
            population: 2,
            episodes: 12,
            ..Recipe::new(task.unwrap()).unwrap()
        };
        let recipe = recipe.variation("[optimiser]\nlearning_rate = [0.01, 0.02]", "test");
        let recipe = recipe.unwrap();
        let swept = trained(&recipe);
        let plain = trained(&recipe.points().unwrap()[1]);
        assert_eq!(swept.networks[2..], plain.networks);
    }

    #[test]
    fn recipes_that_differ_in_one_setting_are_swept() {
        let base = one_shot();
        let with = |change: fn(&mut Recipe, f64), values: [f64; 2]| {
            let each = values.map(|value| {
                let mut recipe = base.clone();
                change(&mut recipe, value);
                recipe
            });
            each.to_vec()
        };
        let rates = with(|it, value| it.optimiser.learning_rate = value, [0.01, 0.5]);
        let scales = with(
            |it, value| it.initial.plasticity_scale = Some(value),
            [0.1, 0.2],
        );
        let swept = base.swept(&[rates.clone(), scales]).unwrap();
        assert_eq!(
            swept.describe_point(3),
            "plasticity_scale 0.2, learning_rate 0.5"
        );
        assert_eq!(swept.points().unwrap()[1].optimiser.learning_rate, 0.5);
        assert_eq!(base.swept(&[]).unwrap(), base);
        // What no file can hold is no panic.
        let huge = Recipe {
            population: usize::MAX,
            ..base.clone()
        };
        huge.swept(&[]).unwrap();
        let error = huge
            .swept(std::slice::from_ref(&rates))
            .unwrap_err()
            .to_string();
        assert!(error.contains("population"), "{error}");
        let sweep = swept.sweep.clone();
        Recipe { sweep, ..huge }.check().unwrap_err();
        let methods = [Optimiser::adam(0.01), Optimiser::sgd(0.01, 0.5)].map(|optimiser| Recipe {
            optimiser: Optimiser {
                method: optimiser.method,
                ..base.optimiser.clone()
            },
            ..base.clone()
        });
        let swept = base.swept(&[methods.to_vec(), rates]).unwrap();
        assert_eq!(swept.describe_point(2), "learning_rate 0.5, method adam");
    }

    #[test]
    fn what_is_no_sweep_is_named() {
        for (text, parts) in [
            (
                "[optimiser]\nlearning_rate = []",
                ["learning_rate", "without a value"],
            ),
            (
                "[optimiser]\nlearning_rate = [0.1, 0.1]",
                ["learning_rate", "twice"],
            ),
            (
                "[optimiser]\nlearning_rate = [0.1, -1]",
                ["learning_rate -1", "optimiser.learning_rate"],
            ),
            (
                "[optimiser]\nlearning_rate = [0.1, \"x\"]",
                ["learning_rate x", "optimiser"],
            ),
            ("[optimiser]\nspeed = [1, 2]", ["speed", "unknown"]),
            ("batch = [1, 0]", ["batch", "zero"]),
        ] {
            let error = one_shot().variation(text, "test").unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let many: Vec<String> = (0..200).map(|k| format!("{k}e-5")).collect();
        let many = many.join(", ");
        let text = format!("[optimiser]\nlearning_rate = [{many}]\nl2 = [{many}]");
        let error = one_shot().variation(&text, "test").unwrap_err().to_string();
        assert!(error.contains("40000 combinations"), "{error}");
    }

    #[test]
    fn the_best_point_is_where_most_are_solved_and_then_the_median_is_least() {
        let recipe = varied("[optimiser]\nlearning_rate = [0.1, 0.2, 0.3]");
        let best = |errors: [Option<f64>; 6], solved: [bool; 6]| {
            PointResult::best(&PointResult::of_each(&recipe, &errors, &solved))
        };
        let errors = [0.3, 0.3, 0.1, 0.4, 0.2, 0.2].map(Some);
        assert_eq!(best(errors, [false; 6]), Some(2));
        assert_eq!(
            best(errors, [true, false, false, false, false, false]),
            Some(0)
        );
        // What is not known is no good error.
        let one = [None, None, None, Some(0.0), Some(9.0), Some(9.0)];
        assert_eq!(best(one, [false; 6]), Some(2));
        assert_eq!(best([None; 6], [false; 6]), None);
    }
}
