//! The folder of a run: where it is, and what is in it.

use super::figure;
use super::summary::Summary;
use metaplastic::file::write_atomically;
use metaplastic::tensors::write_parameters;
use metaplastic::training::{Recipe, Report, Statistics, Trained};
use metaplastic::{Choice, Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The files that make a folder a run. Whatever else lies there is left alone.
const FILES: [&str; 6] = [
    "parameters.safetensors",
    "network.toml",
    "metrics.jsonl",
    "curve.svg",
    "summary.json",
    "run.toml",
];

/// The folder of a run.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder asked for, or the first free one of `runs/TASK-seedN`, `runs/TASK-seedN-2`, ….
    ///
    /// Fails if the folder asked for holds a run, unless `force`. Changes nothing.
    pub fn choose(asked: Option<&Path>, force: bool, recipe: &Recipe) -> Result<Self> {
        let first = format!("{}-seed{}", recipe.task.name(), recipe.seed);
        let path = choose(asked, force, &first, holds_a_run)?;
        Ok(Self { path })
    }

    /// A folder inside another that was chosen.
    pub fn inside(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`prepare`].
    pub fn prepare(&self) -> Result<()> {
        prepare(&self.path)
    }

    /// Writes every file of the run, the one that took longest to make first.
    pub fn write(
        &self,
        recipe: &Recipe,
        trained: &Trained,
        choice: &Choice,
        summary: &Summary,
    ) -> Result<()> {
        let [parameters, network, metrics, curve, json, run] =
            FILES.map(|name| self.path.join(name));
        write_parameters(&parameters, &trained.parameters)?;
        write_text(&network, &recipe.network.to_toml())?;
        write_atomically(&metrics, |file| {
            for report in &trained.history {
                serde_json::to_writer(&mut *file, &Line::new(report))?;
                file.write_all(b"\n")?;
            }
            Ok(())
        })?;
        write_text(&curve, &figure::curve(recipe, trained))?;
        write_text(&json, &(summary.to_json() + "\n"))?;
        let settings = RunToml {
            version: env!("CARGO_PKG_VERSION"),
            engine: choice.engine.kind(),
            device: choice.engine.device(),
            reason: &choice.reason,
            frozen_episodes: u64::from(recipe.frozen_meta_steps()) * recipe.batch as u64,
            recipe,
        };
        let text = toml::to_string(&settings).expect("a run is always representable as TOML");
        write_text(&run, &text)
    }
}

/// The folder asked for, or the first free one of `runs/NAME`, `runs/NAME-2`, …, where `name` is the first name.
///
/// Fails if the folder asked for is taken, unless `force`. Changes nothing.
pub(super) fn choose(
    asked: Option<&Path>,
    force: bool,
    name: &str,
    is_taken: impl Fn(&Path) -> bool,
) -> Result<PathBuf> {
    if let Some(path) = asked {
        if path.exists() && !path.is_dir() {
            return Err(Error::Setting {
                field: "--output".into(),
                reason: format!("{} is no folder", path.display()),
            });
        }
        if is_taken(path) && !force {
            return Err(Error::RunExists {
                path: path.to_owned(),
            });
        }
        return Ok(path.to_owned());
    }
    let first = Path::new("runs").join(name);
    let mut path = first.clone();
    let mut count = 1;
    while is_taken(&path) && !force {
        count += 1;
        path = first.with_file_name(format!("{name}-{count}"));
    }
    Ok(path)
}

/// Makes a folder and finds out whether it can be written to, before any time is spent on what will lie there.
pub(super) fn prepare(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .and_then(|()| tempfile::tempfile_in(path))
        .map(drop)
        .map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
}

pub(super) fn holds_a_run(path: &Path) -> bool {
    FILES.iter().any(|name| path.join(name).exists())
}

pub(super) fn write_text(path: &Path, text: &str) -> Result<()> {
    write_atomically(path, |file| file.write_all(text.as_bytes()))
}

/// `run.toml`.
#[derive(Serialize)]
struct RunToml<'a> {
    version: &'static str,
    engine: &'static str,
    device: String,
    reason: &'a str,
    frozen_episodes: u64,
    recipe: &'a Recipe,
}

/// A line of `metrics.jsonl`. Errors that are not finite are `null`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    report: &'a Report,
    median: Option<f64>,
}

impl<'a> Line<'a> {
    fn new(report: &'a Report) -> Self {
        let statistics = Statistics::of(&report.error);
        Self {
            report,
            median: statistics.map(|statistics| statistics.median),
        }
    }
}
