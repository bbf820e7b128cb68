//! The recipes that come with the crate, by name, and recipes as variations of others.

use super::recipe::Recipe;
use crate::error::{Error, Result};
use crate::tasks::Task;
use std::sync::Arc;
use toml::{Table, Value};

/// The recipe that every other one is a variation of.
const PAPER: &str = "paper";

/// The recipe that solves the tasks from every seed.
const RELIABLE: &str = "reliable";

impl Recipe {
    /// The names of the recipes. Every task that comes with the crate has the first.
    ///
    /// `paper` has the settings of the task's paper. `reliable` solves the tasks of Miconi 2016 from every one of 1,000 seeds
    /// and more, with the paper's networks and its number of episodes. Its schedules fit that number: a recipe with another
    /// one needs another `updates` or `every`, and with ten times as many also a smaller `l1`, which shrinks parameters at
    /// every update, whatever the learning rate is by then.
    pub const NAMES: [&str; 2] = [PAPER, RELIABLE];

    /// The recipe of a name for a task, if there is one.
    ///
    /// # Errors
    /// As [`Recipe::new`].
    pub fn named(task: Arc<dyn Task>, name: &str) -> Result<Option<Self>> {
        let setup = match name {
            PAPER => Some(task.setup()),
            RELIABLE => task.reliable_setup(),
            _ => None,
        };
        let setup = setup.transpose()?;
        Ok(setup.map(|setup| Self::with(task, setup)))
    }

    /// This recipe with the settings of a TOML text in the place of its own; what the text leaves out stays. A table
    /// whose `kind` differs is replaced whole, and so is the list of layers. Where the text gives no layers, the
    /// network's ends follow the task's sizes. `origin` names the text in errors.
    ///
    /// # Errors
    /// If the text is not TOML, has unknown keys, is for another task, or the settings are not valid together (see
    /// [`Recipe::check`]).
    ///
    /// # Panics
    /// As [`Recipe::to_toml`].
    pub fn variation(&self, text: &str, origin: &str) -> Result<Self> {
        let invalid = |source| Error::Toml {
            origin: origin.to_owned(),
            source: Box::new(source),
        };
        let changes: Table = text.parse().map_err(invalid)?;
        let mut table = self.to_table();
        overlay(&mut table, &changes);
        let recipe = Self::from_table_for(&self.task, table, origin)?;
        self.complete(recipe, &changes)
            .map_err(|error| error.within(origin))
    }

    /// Fits and checks `recipe`, which is this one with `changes`.
    fn complete(&self, mut recipe: Self, changes: &Table) -> Result<Self> {
        // What no setting has read would be ignored without a word.
        if let Some(key) = first_unknown(changes, &recipe.to_table(), "") {
            return Err(Error::setting(key, "an unknown setting"));
        }
        let network = changes.get("network").and_then(Value::as_table);
        if !network.is_some_and(|network| network.contains_key("layer")) {
            recipe.fit_network()?;
        }
        recipe.check()?;
        Ok(recipe)
    }
}

fn overlay(table: &mut Table, changes: &Table) {
    for (key, change) in changes {
        match (table.get_mut(key), change) {
            (Some(Value::Table(old)), Value::Table(new)) if same_kind(old, new) => {
                overlay(old, new);
            }
            _ => {
                table.insert(key.clone(), change.clone());
            }
        }
    }
}

fn same_kind(old: &Table, new: &Table) -> bool {
    new.get("kind")
        .is_none_or(|kind| old.get("kind") == Some(kind))
}

/// The first key of `given` that is not in `known`.
fn first_unknown(given: &Table, known: &Table, path: &str) -> Option<String> {
    given.iter().find_map(|(key, value)| {
        let path = format!("{path}{key}");
        match (value, known.get(key)) {
            (_, None) => Some(path),
            (Value::Table(given), Some(Value::Table(known))) => {
                first_unknown(given, known, &format!("{path}."))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Association, all};

    fn reversal() -> Recipe {
        Recipe::new(Arc::new(Association::REVERSAL)).unwrap()
    }
    use crate::optimiser::{Method, Schedule};

    #[test]
    fn every_recipe_by_name_is_valid_and_for_its_task() {
        for task in all() {
            for name in Recipe::NAMES {
                let Some(recipe) = Recipe::named(task.clone(), name).unwrap() else {
                    assert_eq!((task.name(), name), ("pattern-memory", "reliable"));
                    continue;
                };
                recipe.check().unwrap();
                assert!(*recipe.task == *task);
            }
            assert_eq!(Recipe::named(task, "no-such-recipe").unwrap(), None);
        }
    }

    #[test]
    fn a_variation_changes_what_it_names_and_nothing_else() {
        let paper = reversal();
        assert_eq!(paper.variation("", "none").unwrap(), paper);
        let text = "batch = 4\n[optimiser]\nplasticity_min = 0\nmethod = { kind = \"adam\" }\n";
        let changed = paper.variation(text, "test").unwrap();
        assert_eq!(changed.batch, 4);
        assert_eq!(changed.optimiser.plasticity_min, Some(0.0));
        assert!(matches!(changed.optimiser.method, Method::Adam { .. }));
        let mut rest = changed;
        rest.batch = paper.batch;
        rest.optimiser.plasticity_min = None;
        rest.optimiser.method = paper.optimiser.method;
        assert_eq!(rest, paper);

        let text = "[optimiser.method]\nmean_rate = 0.1\n[optimiser.schedule]\nkind = \"cosine\"\nupdates = 9\n";
        let changed = paper.variation(text, "test").unwrap();
        let method = Method::Rmsprop {
            mean_rate: 0.1,
            epsilon: 1e-8,
        };
        assert_eq!(changed.optimiser.method, method);
        let schedule = Schedule::Cosine {
            updates: 9,
            floor: 0.0,
        };
        assert_eq!(changed.optimiser.schedule, schedule);
    }

    #[test]
    fn the_networks_ends_follow_the_tasks_sizes() {
        for task in all() {
            let paper = Recipe::new(task).unwrap();
            let wide = paper.variation("[task]\nbits = 16", "test").unwrap();
            assert_eq!(wide.network.inputs(), wide.task.inputs());
            assert_eq!(wide.network.outputs(), wide.task.outputs());
            assert_eq!(wide.task.pattern_inputs(), 16);
            let mut by_hand = paper.clone();
            by_hand.task = wide.task.clone();
            by_hand.fit_network().unwrap();
            assert_eq!(wide, by_hand);
        }
    }

    #[test]
    fn what_is_no_recipe_is_named() {
        let paper = reversal();
        for (text, parts) in [
            ("bathc = 4", ["bathc", "unknown"]),
            ("[optimiser]\nspeed = 4", ["speed", "unknown"]),
            ("[optimiser.schedule]\nfloor = 1", ["floor", "unknown"]),
            ("[task]\nkind = \"reversal\"\nsize = 4", ["size", "unknown"]),
            (
                "[task]\nkind = \"one-shot\"\nbits = 8\npatterns = 2\nsteps = 20",
                ["one-shot", "reversal"],
            ),
            ("[task]\nbits = 129", ["origin: task.bits", "129"]),
            (
                "[task]\nbits = 9\n[[network.layer]]\nkind = \"dense\"\ninputs = 10\noutputs = 2",
                ["inputs of the network", "11"],
            ),
            ("batch = 0", ["batch", "zero"]),
            ("batch = -1", ["origin", "-1"]),
            ("batch = ", ["origin", "line 1"]),
            ("optimiser = 3", ["origin", "optimiser"]),
            ("[initial]\nscale = nan", ["initial.scale", "NaN"]),
        ] {
            let error = paper.variation(text, "origin").unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
