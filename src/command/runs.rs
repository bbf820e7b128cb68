//! `metaplastic runs`.

use super::output::{Ending, note, say};
use super::table::table;
use clap::Args;
use metaplastic::Result;
use metaplastic::runs::decimal::decimal;
use metaplastic::runs::list::{Listed, State, differing, list};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder whose runs are listed, with those in the folders inside of it
    #[arg(value_name = "FOLDER", default_value = "runs")]
    folder: PathBuf,

    /// Only runs with this tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Print one line of JSON for each run on standard output
    #[arg(long)]
    json: bool,
}

/// A run, for programs.
#[derive(Serialize)]
struct Line<'a> {
    run: &'a Path,
    name: Option<&'a str>,
    tags: &'a [String],
    date: Option<&'a str>,
    host: Option<&'a str>,
    state: State,
    task: &'a str,
    population: u64,
    /// `null` where the run has not ended.
    solved: Option<u64>,
    error: Option<f64>,
    /// Of a sweep, the best point.
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<&'a str>,
    episodes: u64,
    seconds: Option<f64>,
    /// Those in which the listed runs differ.
    settings: BTreeMap<&'a str, &'a str>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let mut runs = list(&arguments.folder, |text| note(text))?;
    runs.retain(|run| {
        let has = |tag: &String| run.label.tags.contains(tag);
        arguments.tags.iter().all(has)
    });
    let keys = differing(&runs);
    if arguments.json {
        for run in &runs {
            let line = serde_json::to_string(&Line::new(run, &keys));
            say(line.expect("a run is always representable as JSON"))?;
        }
        return Ok(Ending::Done);
    }
    if runs.is_empty() {
        note(format_args!("{}: no runs", arguments.folder.display()));
        return Ok(Ending::Done);
    }
    say(text(&runs, &keys))?;
    Ok(Ending::Done)
}

/// A table, with the settings that differ behind it.
fn text(runs: &[Listed], keys: &[&str]) -> String {
    let heading = [
        "run", "state", "task", "solved", "error", "episodes", "time",
    ];
    let rows: Vec<_> = runs.iter().map(row).collect();
    let table = table(heading, &rows);
    let width = table.lines().map(|line| line.chars().count()).max();
    let width = width.unwrap_or(0);
    let heading = match keys {
        [] => String::new(),
        _ => "settings that differ".to_owned(),
    };
    let settings = std::iter::once(heading).chain(runs.iter().map(|run| settings(run, keys)));
    let lines = table.lines().zip(settings);
    let lines = lines.map(|(line, settings)| format!("{line:width$}  {settings}"));
    let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// `learning_rate=0.003 seed=4`.
fn settings(run: &Listed, keys: &[&str]) -> String {
    let own = keys.iter().filter_map(|key| {
        let value = run.settings.get(*key)?;
        Some(format!("{}={value}", short(key, keys)))
    });
    let best = run.best.as_ref().map(|best| format!("(best: {best})"));
    own.chain(best).collect::<Vec<_>>().join(" ")
}

fn row(run: &Listed) -> [String; 7] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        run.name(),
        run.state.to_string(),
        run.task.clone(),
        or_none(run.solved.map(|it| format!("{it} of {}", run.population))),
        or_none(run.error.map(decimal)),
        run.episodes.to_string(),
        or_none(run.seconds.map(|seconds| format!("{seconds:.1} s"))),
    ]
}

/// The last part of a key, with what is needed to tell it from others, and layers apart. A kind is always one of something.
fn short<'a>(key: &'a str, keys: &[&str]) -> &'a str {
    if key.contains("layer") {
        return key.strip_prefix("network.").unwrap_or(key);
    }
    let is_alone = |part: &str| {
        let ends = |it: &&&str| {
            it.rsplit_once(part).is_some_and(|(before, after)| {
                after.is_empty() && (before.is_empty() || before.ends_with('.'))
            })
        };
        keys.iter().filter(ends).count() <= 1
    };
    let dots = key.rmatch_indices('.').map(|(at, _)| &key[at + 1..]);
    let mut parts = dots.filter(|part| *part != "kind" && is_alone(part));
    parts.next().unwrap_or(key)
}

impl<'a> Line<'a> {
    fn new(run: &'a Listed, keys: &[&'a str]) -> Self {
        let own = keys.iter().filter_map(|key| {
            let value = run.settings.get(*key)?;
            Some((*key, value.as_str()))
        });
        Self {
            run: &run.path,
            name: run.label.name.as_deref(),
            tags: &run.label.tags,
            date: run.label.date.as_deref(),
            host: run.label.host.as_deref(),
            state: run.state,
            task: &run.task,
            population: run.population,
            solved: run.solved,
            error: run.error,
            best: run.best.as_deref(),
            episodes: run.episodes,
            seconds: run.seconds,
            settings: own.collect(),
        }
    }
}
