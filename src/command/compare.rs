//! `metaplastic compare`.

use super::figure::figure_file;
use super::output::{Ending, require_apart, say};
use super::subject::{each, record};
use super::table::table;
use clap::Args;
use metaplastic::file::require_writable;
use metaplastic::runs::figure::{Compared, compare};
use metaplastic::runs::files::own;
use metaplastic::runs::{Record, Summary};
use metaplastic::{Error, Result};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folders of two runs or more
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// A file for a figure of their learning curves together, SVG, PNG or PDF by its ending
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print one line of JSON for each run on standard output
    #[arg(long)]
    json: bool,
}

/// A run, for programs.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    #[serde(flatten)]
    summary: &'a Summary,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let output = figure_file(arguments.output.as_deref(), "--output")?;
    let folders = each(&arguments.runs)?;
    let records: Vec<_> = folders
        .iter()
        .map(|folder| record(folder))
        .collect::<Result<_>>()?;
    let names = names(&records, &folders);
    if names.len() < 2 {
        return Err(Error::Setting {
            field: "RUN".into(),
            reason: "one run, expected two or more".into(),
        });
    }
    if let Some((path, _)) = output {
        let files: Vec<_> = folders.iter().flat_map(|folder| own(folder)).collect();
        require_apart([("--output", path)], &files)?;
        require_writable(path)?;
    }
    if let Some((path, format)) = output {
        let compared = records.iter().zip(&names);
        let compared: Vec<_> = compared
            .map(|(record, name)| Compared {
                name,
                recipe: &record.recipe,
                trained: &record.trained,
            })
            .collect();
        format.write(path, &compare(&compared))?;
    }
    let all = records.iter().zip(&names);
    if arguments.json {
        for (record, name) in all {
            let summary = &record.summary;
            let line = serde_json::to_string(&Line { name, summary });
            say(line.expect("a run is always representable as JSON"))?;
        }
        return Ok(Ending::Done);
    }
    let rows: Vec<_> = all
        .map(|(record, name)| {
            let [task, solved, median, quartiles, worst, time] = record.summary.row();
            [name.clone(), task, solved, median, quartiles, worst, time]
        })
        .collect();
    let heading = [
        "run",
        "task",
        "solved",
        "median error",
        "quartiles",
        "worst",
        "time",
    ];
    say(table(heading, &rows))?;
    Ok(Ending::Done)
}

/// What the runs are called; by their folders where two would be called alike.
fn names(records: &[Record], folders: &[PathBuf]) -> Vec<String> {
    let called = |record: &Record| record.label.name.clone();
    let names: Option<Vec<_>> = records.iter().map(called).collect();
    let differ = |names: &Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    let folders = || folders.iter().map(|folder| folder.display().to_string());
    names.filter(differ).unwrap_or_else(|| folders().collect())
}
