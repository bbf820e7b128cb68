//! What the help says beside the arguments' own texts: defaults by task, and an example for every command.

use clap::Command;
use metaplastic::tasks;
use metaplastic::training::Recipe;
use toml::{Table, Value};

/// An example for every command.
const EXAMPLES: [(&str, &str); 16] = [
    (
        "train",
        "metaplastic train one-shot --population 100 --learning-rate 0.003,0.01 --name first",
    ),
    (
        "resume",
        "metaplastic resume runs/one-shot-seed0 --episodes 20000",
    ),
    (
        "recipe",
        "metaplastic recipe reversal --recipe reliable > mine.toml",
    ),
    ("reproduce", "metaplastic reproduce --runs 100"),
    (
        "evaluate",
        "metaplastic evaluate runs/one-shot-seed0 --output within.svg",
    ),
    (
        "inspect",
        "metaplastic inspect runs/one-shot-seed0 --network 3",
    ),
    (
        "report",
        "metaplastic report runs/one-shot-seed0 runs/first",
    ),
    (
        "compare",
        "metaplastic compare runs/slow runs/fast --output both.svg",
    ),
    ("runs", "metaplastic runs --tag first"),
    (
        "gradient",
        "metaplastic gradient --network net.toml --parameters p.safetensors --episodes e.safetensors --output out.safetensors",
    ),
    (
        "bench",
        "metaplastic bench --inputs 256 --outputs 256 --steps 50 --episodes 16",
    ),
    (
        "plan",
        "metaplastic plan --task one-shot --population 10000",
    ),
    (
        "shaders",
        "metaplastic shaders --task one-shot --output shaders",
    ),
    ("devices", "metaplastic devices --json"),
    (
        "completions",
        "metaplastic completions bash > ~/.local/share/bash-completion/completions/metaplastic",
    ),
    ("man", "metaplastic man --output ~/.local/share/man/man1"),
];

/// Options whose defaults are the task's, and where a recipe has them.
const BY_TASK: [(&str, &str); 32] = [
    ("seed", "seed"),
    ("population", "population"),
    ("episodes", "episodes"),
    ("batch", "batch"),
    ("bits", "task.bits"),
    ("patterns", "task.patterns"),
    ("steps", "task.steps"),
    ("cycles", "task.cycles"),
    ("show", "task.show"),
    ("gap", "task.gap"),
    ("test", "task.test"),
    ("gain", "task.gain"),
    ("rate", "network.layer.rate.value"),
    ("rate_learned", "network.layer.rate.learned"),
    ("rate_per", "network.layer.rate.per"),
    ("rule", "network.layer.rule"),
    ("activation", "network.layer.activation"),
    ("plasticity", "network.layer.plasticity"),
    ("optimiser", "optimiser.method.kind"),
    ("learning_rate", "optimiser.learning_rate"),
    ("schedule", "optimiser.schedule.kind"),
    ("max_step", "optimiser.max_step"),
    ("max_gradient_norm", "optimiser.max_gradient_norm"),
    ("l1", "optimiser.l1"),
    ("l2", "optimiser.l2"),
    ("plasticity_min", "optimiser.plasticity_min"),
    ("plasticity_max", "optimiser.plasticity_max"),
    ("scale", "initial.scale"),
    ("plasticity_scale", "initial.plasticity_scale"),
    ("plasticity_sign", "initial.plasticity_sign"),
    ("positive_output", "initial.positive_output"),
    ("mean_rate", "optimiser.method.mean_rate"),
];

/// The command with them.
pub(super) fn complete(mut command: Command) -> Command {
    for (name, example) in EXAMPLES {
        if command.find_subcommand(name).is_some() {
            let example = format!("Example: {example}");
            command = command.mut_subcommand(name, |it| it.after_help(example));
        }
    }
    for name in ["train", "recipe"] {
        command = command.mut_subcommand(name, with_defaults);
    }
    command
}

fn with_defaults(mut command: Command) -> Command {
    let recipes = recipes();
    for (option, key) in BY_TASK {
        let Some(default) = default(&recipes, key) else {
            continue;
        };
        if command.get_arguments().any(|it| it.get_id() == option) {
            command = command.mut_arg(option, |it| {
                let help = it.get_help().map(ToString::to_string);
                it.help(format!("{} [default: {default}]", help.unwrap_or_default()))
            });
        }
    }
    command
}

/// The recipe that each task has where nothing is said, as a table.
fn recipes() -> Vec<(String, Table)> {
    let all = tasks::all().into_iter();
    let tables = all.filter_map(|task| {
        let name = task.name().to_owned();
        let table = Table::try_from(Recipe::new(task).ok()?).ok()?;
        Some((name, table))
    });
    tables.collect()
}

/// `10000`, or `2000 for completion, 10000 for one-shot and reversal`; none where no recipe has it.
fn default(recipes: &[(String, Table)], key: &str) -> Option<String> {
    let mut values: Vec<(String, Vec<&str>)> = Vec::new();
    for (task, table) in recipes {
        let Some(value) = find(&Value::Table(table.clone()), key) else {
            continue;
        };
        match values.iter_mut().find(|(known, _)| *known == value) {
            Some((_, tasks)) => tasks.push(task),
            None => values.push((value, vec![task])),
        }
    }
    if let [(value, tasks)] = &values[..]
        && tasks.len() == recipes.len()
    {
        return Some(value.clone());
    }
    let each = values
        .iter()
        .map(|(value, tasks)| format!("{value} for {}", listed(tasks)));
    let each: Vec<_> = each.collect();
    (!each.is_empty()).then(|| each.join(", "))
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}

/// The value of a key; in a list of tables, of the first that has it.
fn find(value: &Value, key: &str) -> Option<String> {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    match (value, rest) {
        (Value::Array(items), _) => items.iter().find_map(|item| find(item, key)),
        (Value::Table(table), Some(rest)) => find(table.get(first)?, rest),
        (Value::Table(table), None) => match table.get(first)? {
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that the command has without a feature, too.
    #[test]
    fn examples_are_commands() {
        for (name, example) in EXAMPLES {
            let command = crate::command::command();
            if command.find_subcommand(name).is_some() {
                let words = example.split(" > ").next().unwrap().split(' ');
                let read = command.try_get_matches_from(words);
                assert!(read.is_ok(), "{}", read.unwrap_err());
            }
        }
    }

    #[test]
    fn defaults_are_those_of_the_recipes() {
        let recipes = recipes();
        assert_eq!(default(&recipes, "seed").unwrap(), "0");
        assert_eq!(default(&recipes, "no.such.key"), None);
        let episodes = default(&recipes, "episodes").unwrap();
        assert!(episodes.contains("10000 for one-shot"), "{episodes}");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!(listed(&["a"]), "a");
    }
}
