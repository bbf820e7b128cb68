//! A recipe as TOML with a comment on every setting, to be edited.

use super::recipe::Recipe;
use crate::named::listed;
use crate::network::Activation;
use crate::optimiser::Method;
use crate::parameters::Sign;
use crate::tasks::{Task, all};

/// What a setting is: its table, its key, and an account of it.
struct Setting {
    table: &'static str,
    key: &'static str,
    account: String,
    /// A value to show, commented out, where the recipe has none.
    example: Option<&'static str>,
}

impl Setting {
    /// Whether it is the one of this table and key, or a table whose keys are the user's.
    fn is(&self, table: &str, key: &str) -> bool {
        let is_this = self.table == table && self.key == key;
        is_this || table.strip_prefix(self.table) == Some(&format!(".{}", self.key))
    }

    /// The same; without an example if it is among `tables`, and so not absent.
    fn unless_a_table(self, tables: &[&str]) -> Self {
        let own = format!("{}.{}", self.table, self.key);
        let example = self.example.filter(|_| !tables.contains(&&*own));
        Self { example, ..self }
    }
}

fn setting(table: &'static str, key: &'static str, account: impl Into<String>) -> Setting {
    Setting {
        table,
        key,
        account: account.into(),
        example: None,
    }
}

fn optional(
    table: &'static str,
    key: &'static str,
    example: &'static str,
    account: &'static str,
) -> Setting {
    Setting {
        example: Some(example),
        ..setting(table, key, account)
    }
}

const LAYER: &str = "network.layer";
const RULE: &str = "network.layer.rule";
const MODULATION: &str = "network.layer.modulation";
const RATE: &str = "network.layer.rate";
const METHOD: &str = "optimiser.method";
const SCHEDULE: &str = "optimiser.schedule";

/// Every setting that a recipe may have.
fn settings(task: &dyn Task) -> Vec<Setting> {
    let kinds = all();
    let methods = Method::ALL.map(|method| {
        let constants = method.constants().into_iter();
        let constants: Vec<_> = constants.map(|(constant, _)| constant.name).collect();
        format!("\"{method}\" ({})", constants.join(", "))
    });
    let mut settings = vec![
        setting(
            "",
            "seed",
            "seed of the first network; the next ones have the seeds that follow",
        ),
        setting(
            "",
            "population",
            "networks that are trained side by side, each on its own",
        ),
        setting(
            "",
            "episodes",
            "episodes that each network sees, the frozen ones included",
        ),
        setting("", "batch", "episodes per network and update"),
        optional(
            "",
            "frozen",
            "500",
            "episodes at the end with frozen parameters [500, or a tenth of fewer than 1,000]",
        ),
        setting("task", "kind", listed(kinds.iter().map(|task| task.name()))),
        setting(
            "initial",
            "scale",
            "standard deviation of weights, plasticity coefficients and biases",
        ),
        setting(
            "initial",
            "plasticity_scale",
            "standard deviation of plasticity coefficients, or \"none\": as the others",
        ),
        setting(
            "initial",
            "plasticity_sign",
            format!(
                "of initial plasticity coefficients: {}",
                listed(Sign::ALL.map(Sign::name))
            ),
        ),
        setting(
            "initial",
            "positive_output",
            "whether a final dense layer starts at absolute values",
        ),
        setting("optimiser", "learning_rate", "before the schedule"),
        setting(
            "optimiser",
            "max_step",
            "the largest step of any parameter, or \"none\"",
        ),
        setting(
            "optimiser",
            "max_gradient_norm",
            "the largest norm of one network's whole gradient, or \"none\"",
        ),
        setting(
            "optimiser",
            "l1",
            "penalty per update on weights and plasticity: v -= l1 sign(v)",
        ),
        setting(
            "optimiser",
            "l2",
            "penalty per update on weights and plasticity: v -= l2 v",
        ),
        setting("optimiser", "rate_bounds", "bounds of learned rates"),
        setting(
            "optimiser",
            "plasticity_min",
            "least plasticity coefficient, or \"none\"",
        ),
        setting(
            "optimiser",
            "plasticity_max",
            "largest plasticity coefficient, or \"none\"",
        ),
        optional(
            "optimiser",
            "frozen",
            "[\"layer0.bias\"]",
            "parameters that stay as they are: a role, or that of a layer",
        ),
        optional(
            "optimiser",
            "factors",
            "{ \"layer0.weight\" = 1.0 }",
            "what the learning rate is multiplied by for a role, or that of a layer",
        ),
        setting(METHOD, "kind", methods.join(", ")),
        setting(
            SCHEDULE,
            "kind",
            "\"constant\", \"cosine\" (updates, floor), \"step\" (every, factor)",
        ),
        setting(SCHEDULE, "updates", "updates until the floor is reached"),
        setting(SCHEDULE, "floor", "the last factor of the learning rate"),
        setting(SCHEDULE, "every", "updates between steps"),
        setting(
            SCHEDULE,
            "factor",
            "what each step multiplies the learning rate by",
        ),
        setting(
            "network.loss",
            "kind",
            format!("the task's: \"{}\"", task.loss()),
        ),
        setting(
            LAYER,
            "kind",
            "\"plastic\", \"recurrent\", \"dense\" or \"bias\"",
        ),
        setting(
            LAYER,
            "inputs",
            "presynaptic neurons; of a recurrent layer, those whose activity comes in",
        ),
        setting(
            LAYER,
            "input",
            "how it comes in: through a learned \"matrix\", or \"identity\": as it is",
        ),
        setting(LAYER, "outputs", "postsynaptic neurons"),
        setting(
            LAYER,
            "activation",
            listed(Activation::ALL.map(Activation::name)),
        ),
        setting(
            LAYER,
            "rule",
            "\"hebb\", \"oja\", \"additive\" or { trace = \"0.9 * h + rate * y * x\" }",
        ),
        setting(
            RULE,
            "trace",
            "what the trace h becomes, from h, x, y, m and rate",
        ),
        setting(
            LAYER,
            "plasticity",
            "coefficients per \"connection\", per \"neuron\", for the \"layer\", or \"none\": no trace",
        ),
        setting(
            LAYER,
            "plastic_bias",
            "whether there is one more presynaptic neuron, which is always 1",
        ),
        setting(
            LAYER,
            "bound",
            "what traces are held to, on either side of 0",
        ),
        setting(MODULATION, "from", "the \"network\" or the \"episodes\""),
        setting(
            MODULATION,
            "per",
            "one modulator per \"layer\" or per \"neuron\"",
        ),
        setting(
            RULE,
            "eligibility",
            "what the eligibility trace e becomes, from the same and e",
        ),
        setting(LAYER, "bias", "whether neurons have a bias"),
        setting(
            RATE,
            "value",
            "the plasticity rate; where it is learned, its start",
        ),
        setting(RATE, "per", "one rate per \"layer\" or per \"neuron\""),
        setting(RATE, "learned", "whether the outer loop learns it"),
    ];
    let of_task = task.settings().into_iter();
    settings.extend(of_task.map(|it| setting("task", it.name, it.account)));
    for method in Method::ALL {
        let constants = method.constants().into_iter();
        settings.extend(constants.map(|(it, _)| setting(METHOD, it.name, it.account)));
    }
    settings
}

/// Column at which comments start, where the setting leaves room.
const COLUMN: usize = 34;

impl Recipe {
    /// The TOML form with a comment on every setting; settings that the recipe has not, as comments. Reading it gives
    /// the recipe back.
    ///
    /// # Panics
    /// As [`Recipe::to_toml`].
    pub fn to_commented_toml(&self) -> String {
        let settings = settings(&*self.task);
        let mut text = String::new();
        let mut table = String::new();
        let mut keys: Vec<String> = Vec::new();
        let plain = self.to_toml();
        let tables = plain.lines().filter(|line| line.starts_with('['));
        let tables: Vec<_> = tables.map(|line| line.trim_matches(['[', ']'])).collect();
        let settings: Vec<_> = settings
            .into_iter()
            .map(|setting| setting.unless_a_table(&tables))
            .collect();
        for line in plain.lines() {
            if line.starts_with('[') {
                push_absent(&mut text, &settings, &table, &keys);
                table = line.trim_matches(['[', ']']).to_owned();
                keys.clear();
                if !text.ends_with("\n\n") {
                    text.push('\n');
                }
                text += line;
                text.push('\n');
            } else if let Some((key, _)) = line.split_once(" = ") {
                keys.push(key.to_owned());
                let known = settings.iter().find(|setting| setting.is(&table, key));
                push(
                    &mut text,
                    line,
                    known.map_or("", |setting| &setting.account),
                );
            }
        }
        push_absent(&mut text, &settings, &table, &keys);
        text
    }
}

/// The optional settings of a table that are not among `keys`, commented out.
fn push_absent(text: &mut String, settings: &[Setting], table: &str, keys: &[String]) {
    for setting in settings {
        if let Some(example) = setting.example
            && setting.table == table
            && !keys.iter().any(|key| key == setting.key)
        {
            let line = format!("# {} = {example}", setting.key);
            push(text, &line, &setting.account);
        }
    }
}

fn push(text: &mut String, line: &str, account: &str) {
    if account.is_empty() {
        *text += line;
    } else {
        *text += &format!("{line:COLUMN$}  # {account}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimiser::{Schedule, Selector};
    use crate::parameters::Role;
    use crate::tasks::Association;
    use std::sync::Arc;

    fn one_shot() -> Recipe {
        Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap()
    }

    fn recipes() -> Vec<Recipe> {
        let papers = all().into_iter().map(Recipe::new);
        let mut recipes: Vec<_> = papers.map(Result::unwrap).collect();
        let schedules = [
            Schedule::Cosine {
                updates: 7,
                floor: 0.1,
            },
            Schedule::Step {
                every: 9,
                factor: 0.5,
            },
        ];
        let methods = [
            Method::Sgd { momentum: 0.9 },
            Method::Adam {
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-8,
            },
        ];
        for (schedule, method) in schedules.into_iter().zip(methods) {
            let mut recipe = one_shot();
            recipe.optimiser.schedule = schedule;
            recipe.optimiser.method = method;
            recipe.frozen = Some(3);
            recipe.optimiser.frozen = vec![Selector::role(Role::Bias)];
            let plasticity = Selector::tensor(0, Role::Plasticity);
            recipe.optimiser.factors.insert(plasticity, 0.5);
            recipes.push(recipe);
        }
        recipes
    }

    #[test]
    fn reading_a_commented_recipe_gives_the_recipe_back() {
        for mut recipe in recipes() {
            for max_step in [recipe.optimiser.max_step, None, Some(0.25)] {
                recipe.optimiser.max_step = max_step;
                let text = recipe.to_commented_toml();
                assert_eq!(Recipe::from_toml(&text, "test").unwrap(), recipe, "{text}");
                // Also where it is laid over another.
                let paper = Recipe::new(recipe.task.clone()).unwrap();
                let laid_over = paper.variation(&text, "test");
                assert_eq!(laid_over.unwrap(), recipe, "{text}");
            }
        }
    }

    #[test]
    fn every_setting_has_a_comment() {
        for recipe in recipes() {
            for line in recipe.to_commented_toml().lines() {
                let commented = line.is_empty() || line.starts_with('[') || line.contains("  # ");
                assert!(commented, "{line}");
            }
        }
    }

    #[test]
    fn what_is_commented_out_can_be_taken_as_it_stands() {
        let recipe = one_shot();
        let text = recipe.to_commented_toml();
        let all: String = text
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let changed = Recipe::from_toml(&all, "test").unwrap();
        assert_eq!(changed.frozen, Some(500));
    }
}
