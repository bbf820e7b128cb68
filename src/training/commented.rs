//! A recipe as TOML with a comment on every setting, to be edited.

use super::Recipe;

/// What a setting is: its table, its key, and an account of it.
struct Setting {
    table: &'static str,
    key: &'static str,
    account: &'static str,
    /// A value to show, commented out, where the recipe has none.
    example: Option<&'static str>,
}

const fn setting(table: &'static str, key: &'static str, account: &'static str) -> Setting {
    Setting {
        table,
        key,
        account,
        example: None,
    }
}

const fn optional(
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
const RATE: &str = "network.layer.rate";
const METHOD: &str = "optimiser.method";
const SCHEDULE: &str = "optimiser.schedule";

const SETTINGS: &[Setting] = &[
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
    setting(
        "task",
        "kind",
        "\"completion\", \"one-shot\" or \"reversal\"",
    ),
    setting("task", "bits", "bits of a pattern, at most 128"),
    setting(
        "task",
        "patterns",
        "patterns of an episode; also its label bits, and outputs of the network",
    ),
    setting("task", "steps", "steps of an episode"),
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
        "of initial plasticity coefficients: \"either\", \"positive\" or \"negative\"",
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
    setting(
        METHOD,
        "kind",
        "\"rmsprop\" (mean_rate, epsilon), \"sgd\" (momentum), \"adam\" (beta1, beta2, epsilon)",
    ),
    setting(METHOD, "mean_rate", "how fast the mean square follows"),
    setting(METHOD, "epsilon", "keeps the division finite"),
    setting(
        METHOD,
        "momentum",
        "how much of the last step's direction stays",
    ),
    setting(METHOD, "beta1", "decay of the mean"),
    setting(METHOD, "beta2", "decay of the mean square"),
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
        "the task's: \"squared-error\" for completion, \"softmax-cross-entropy\" for the others",
    ),
    setting(LAYER, "kind", "\"plastic\", \"dense\" or \"bias\""),
    setting(LAYER, "inputs", "presynaptic neurons"),
    setting(LAYER, "outputs", "postsynaptic neurons"),
    setting(
        LAYER,
        "activation",
        "\"linear\", \"tanh\", \"logistic\" or \"relu\"",
    ),
    setting(
        LAYER,
        "rule",
        "\"hebb\", \"oja\" or { trace = \"0.9 * h + rate * y * x\" }",
    ),
    setting(
        RULE,
        "trace",
        "what the trace h becomes, from h, x, y, m and rate",
    ),
    setting(
        LAYER,
        "plasticity",
        "coefficients per \"connection\", per \"neuron\" or for the \"layer\"",
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

/// Column at which comments start, where the setting leaves room.
const COLUMN: usize = 34;

impl Recipe {
    /// The TOML form with a comment on every setting; settings that the recipe has not, as comments. Reading it gives
    /// the recipe back.
    ///
    /// # Panics
    /// As [`Recipe::to_toml`].
    pub fn to_commented_toml(&self) -> String {
        let mut text = String::new();
        let mut table = String::new();
        let mut keys: Vec<String> = Vec::new();
        for line in self.to_toml().lines() {
            if line.starts_with('[') {
                push_absent(&mut text, &table, &keys);
                table = line.trim_matches(['[', ']']).to_owned();
                keys.clear();
                if !text.ends_with("\n\n") {
                    text.push('\n');
                }
                text += line;
                text.push('\n');
            } else if let Some((key, _)) = line.split_once(" = ") {
                keys.push(key.to_owned());
                let known = SETTINGS.iter().find(|s| s.table == table && s.key == key);
                push(&mut text, line, known.map_or("", |setting| setting.account));
            }
        }
        push_absent(&mut text, &table, &keys);
        text
    }
}

/// The optional settings of a table that are not among `keys`, commented out.
fn push_absent(text: &mut String, table: &str, keys: &[String]) {
    for setting in SETTINGS {
        if let Some(example) = setting.example
            && setting.table == table
            && !keys.iter().any(|key| key == setting.key)
        {
            let line = format!("# {} = {example}", setting.key);
            push(text, &line, setting.account);
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
    use crate::optimiser::{Method, Schedule};
    use crate::training::Experiment;

    fn recipes() -> Vec<Recipe> {
        let mut recipes = Experiment::ALL.map(Recipe::paper).to_vec();
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
            let mut recipe = Recipe::paper(Experiment::OneShot);
            recipe.optimiser.schedule = schedule;
            recipe.optimiser.method = method;
            recipe.frozen = Some(3);
            recipes.push(recipe);
        }
        recipes
    }

    #[test]
    fn reading_it_gives_the_recipe_back() {
        for mut recipe in recipes() {
            for max_step in [recipe.optimiser.max_step, None, Some(0.25)] {
                recipe.optimiser.max_step = max_step;
                let text = recipe.to_commented_toml();
                assert_eq!(Recipe::from_toml(&text, "test").unwrap(), recipe, "{text}");
                // Also where it is laid over another.
                let kind = |experiment: &Experiment| experiment.name() == recipe.task.name();
                let experiment = Experiment::ALL.into_iter().find(kind).unwrap();
                let laid_over = Recipe::paper(experiment).variation(&text, "test");
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
        let recipe = Recipe::paper(Experiment::OneShot);
        let text = recipe.to_commented_toml();
        let all: String = text
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let changed = Recipe::from_toml(&all, "test").unwrap();
        assert_eq!(changed.frozen, Some(500));
    }
}
