//! What a report says of one run.

use crate::command::recall;
use crate::command::subject::{self, Subject, error_text};
use metaplastic::runs::Record;
use metaplastic::runs::decimal::decimal;
use metaplastic::runs::figure::style::grouped;
use metaplastic::runs::figure::{self, Picture};
use metaplastic::tasks::{Paper, Task};
use metaplastic::training::{Data, Evaluation, Recipe, Trained};
use metaplastic::{Engine, Network, Result};
use serde::Serialize;
use std::path::Path;

/// Networks that have a row, at most.
const MOST_ROWS: usize = 1_000;

/// Fresh episodes of an evaluation, where nothing else is said.
const EPISODES: u64 = 1_000;

/// One run of a report.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    anchor: String,
    pub(super) heading: String,
    account: String,
    paper: Option<Paper>,
    row: [String; 6],
    /// What there is to say of the run, by name.
    facts: Vec<(&'static str, String)>,
    /// SVG texts.
    curve: String,
    /// What it shows.
    curve_note: &'static str,
    evaluation: String,
    /// What it shows.
    evaluation_note: String,
    /// Empty where neurons are connected among themselves, which makes too many lines.
    network: String,
    heat_maps: String,
    /// Empty where no pattern is brought back.
    recall: String,
    networks: Networks,
    /// The recipe, as TOML.
    recipe: String,
}

/// The table of networks.
#[derive(Debug, Serialize)]
struct Networks {
    headings: Vec<&'static str>,
    rows: Vec<Row>,
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    seed: u64,
    solved: bool,
    outcome: String,
    cells: Vec<String>,
}

impl Section {
    /// The `number`-th of a report: reads a run's folder, draws, and runs its networks on episodes, so many if a number is asked
    /// for.
    pub fn of(
        folder: &Path,
        number: usize,
        engine: &Engine,
        episodes: Option<u64>,
    ) -> Result<Self> {
        let record = subject::record(folder)?;
        let Record {
            recipe,
            trained,
            summary,
            ..
        } = &record;
        let task = &recipe.task;
        let seed = recipe.seed;
        let episodes = episodes_of(&**task, episodes);
        let evaluation = Evaluation::of_run(engine, recipe, &trained.parameters, seed, episodes)?;
        let marked = |figure: &str| record.identity.mark_svg(figure);
        let subject = Subject::of_trained(recipe, trained);
        let recalled = recall::draw(engine, &subject, None, recipe.seed)?;
        let title = format!("{}: within an episode", task.name());
        let about = evaluated(&**task, recipe.networks(), episodes);
        let [network, heat_maps] = typical(recipe, trained);
        Ok(Self {
            anchor: format!("run-{number}"),
            heading: match &record.label.name {
                None => task.title(),
                Some(name) => format!("{}: {name}", task.title()),
            },
            account: task.account(),
            paper: task.paper(),
            row: summary.row(),
            facts: facts(&record, folder),
            curve: marked(&figure::curve(recipe, trained)),
            curve_note: curve_note(recipe),
            evaluation: marked(&figure::steps(&**task, &evaluation, &title, &about)),
            evaluation_note: evaluation_note(&**task),
            network: match is_recurrent(&recipe.network) {
                true => String::new(),
                false => marked(&network),
            },
            heat_maps: marked(&heat_maps),
            recall: recalled.map_or(String::new(), |figure| marked(&figure)),
            networks: Networks::of(&record, &evaluation),
            recipe: recipe.to_commented_toml(),
        })
    }
}

fn curve_note(recipe: &Recipe) -> &'static str {
    match (recipe.sweep.is_empty(), recipe.frozen_meta_steps()) {
        (false, _) => {
            "The error over the episodes: the median of each point's networks, and shaded their quartiles."
        }
        (true, 0) => "The error of each network over the episodes.",
        (true, _) => {
            "The error of each network over the episodes. Shaded: the last episodes, with frozen parameters."
        }
    }
}

/// Episodes that each network is evaluated on, if so many are asked for: those of a file each once, unless another number is.
pub(crate) fn episodes_of(task: &dyn Task, asked: Option<u64>) -> u64 {
    let each_once = task.episodes_in_all().map(|count| count as u64);
    asked.or(each_once).unwrap_or(EPISODES)
}

fn evaluation_note(task: &dyn Task) -> String {
    let episodes = match file_of_episodes(task) {
        Some(file) => format!("the episodes of {file}"),
        None => "fresh episodes".to_owned(),
    };
    format!("The trained networks on {episodes}, step by step.")
}

/// `20 networks, 1,000 fresh episodes each, frozen parameters`.
pub(crate) fn evaluated(task: &dyn Task, population: usize, episodes: u64) -> String {
    let networks = match population {
        1 => "1 network".to_owned(),
        count => format!("{} networks", grouped(count as u64)),
    };
    let count = grouped(episodes);
    let word = if episodes == 1 { "episode" } else { "episodes" };
    let episodes = match file_of_episodes(task) {
        Some(file) => format!("{count} {word} of {file}"),
        None => format!("{count} fresh {word}"),
    };
    format!("{networks}, {episodes} each, frozen parameters")
}

/// The name of the file whose episodes an evaluation takes; none where they are fresh.
fn file_of_episodes(task: &dyn Task) -> Option<String> {
    // Those that errors are measured on come last.
    let path = Data::files(task).pop()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// A typical network, and its parameters.
pub(crate) fn typical(recipe: &Recipe, trained: &Trained) -> [String; 2] {
    let subject = Subject::of_trained(recipe, trained);
    let picture = Picture {
        task: &*recipe.task,
        network: &recipe.network,
        parameters: subject.parameters,
        index: subject.index,
        title: "A typical network",
        subtitle: &subject.about,
    };
    let heat_maps = figure::heat_maps(&Picture {
        title: "Its weights and plasticity coefficients",
        ..picture
    });
    [figure::network(&picture), heat_maps]
}

/// Whether neurons are connected among themselves.
pub(crate) fn is_recurrent(network: &Network) -> bool {
    let mut layers = network.layers().iter();
    layers.any(|layer| layer.as_recurrent().is_some())
}

fn facts(record: &Record, folder: &Path) -> Vec<(&'static str, String)> {
    let Record {
        recipe,
        trained,
        summary,
        label,
        version,
        ..
    } = record;
    let task = &recipe.task;
    let judged = match task.is_judged_by_answers() {
        true => format!("less than {} % wrong", 100.0 * task.solved_below()),
        false => format!("final error below {}", task.solved_below()),
    };
    let seeds = match recipe.networks() {
        1 => format!("1 network, seed {}", recipe.seed),
        count if count > recipe.population => format!(
            "{} networks, {} for each of {} points, seeds from {}",
            grouped(count as u64),
            grouped(recipe.population as u64),
            grouped(recipe.point_count() as u64),
            recipe.seed
        ),
        count => format!(
            "{} networks, seeds from {}",
            grouped(count as u64),
            recipe.seed
        ),
    };
    let seen = trained.history.last().map_or(0, |report| report.episode);
    let stopped = match (record.unfinished_at, trained.stopped) {
        (Some(_), _) => " so far: the run has not ended",
        (None, true) => ", where the run was stopped",
        (None, false) => "",
    };
    let [engine, device] = summary.engine();
    let facts = [
        (
            "solved",
            format!("{} of {} ({judged})", trained.solved(), recipe.networks()),
        ),
        ("population", seeds),
        (
            "episodes",
            format!("{} for each network{stopped}", grouped(seen)),
        ),
        ("tags", label.tags.join(", ")),
        ("date", label.date.clone().unwrap_or_default()),
        ("host", label.host.clone().unwrap_or_default()),
        (
            "engine",
            format!("{engine}: {device}, {:.1} s", summary.seconds()),
        ),
        ("version", format!("metaplastic {version}")),
        ("folder", folder.display().to_string()),
        ("identity", record.identity.to_string()),
    ];
    let said = facts.into_iter().filter(|(_, text)| !text.is_empty());
    said.collect()
}

impl Networks {
    fn of(record: &Record, evaluation: &Evaluation) -> Self {
        let Record {
            recipe, trained, ..
        } = record;
        let (errors, right) = (evaluation.mean_error(), evaluation.mean_accuracy());
        let has_wrong = recipe.task.is_judged_by_answers();
        let mut headings = vec!["seed", "outcome"];
        let is_swept = !recipe.sweep.is_empty();
        if is_swept {
            headings.push("sweep");
        }
        headings.push("final error");
        if has_wrong {
            headings.push("wrong");
        }
        headings.extend(match file_of_episodes(&*recipe.task) {
            Some(_) => ["evaluation error", "evaluation right"],
            None => ["fresh error", "fresh right"],
        });
        let percent = |part: f64| format!("{:.2} %", 100.0 * part);
        let networks = trained.networks.iter().enumerate().take(MOST_ROWS);
        let rows = networks.map(|(index, network)| {
            let failure = trained.failures.iter().find(|f| f.network == index);
            let mut cells = Vec::new();
            if is_swept {
                cells.push(recipe.describe_point(recipe.point_of(index)));
            }
            cells.push(error_text(network.final_error));
            if has_wrong {
                cells.push(network.wrong.map_or("not known".to_owned(), percent));
            }
            cells.extend([evaluation_text(errors[index]), percent(right[index])]);
            Row {
                seed: network.seed,
                solved: network.solved,
                outcome: match failure {
                    Some(failure) => format!(
                        "failed after {} ({} not finite)",
                        grouped(failure.episode),
                        failure.tensor
                    ),
                    None if network.solved => "solved".to_owned(),
                    None => "not solved".to_owned(),
                },
                cells,
            }
        });
        Self {
            headings,
            rows: rows.collect(),
            left_out: trained.networks.len().saturating_sub(MOST_ROWS),
        }
    }
}

fn evaluation_text(error: f64) -> String {
    match error.is_finite() {
        true => decimal(error),
        false => "not finite".to_owned(),
    }
}
