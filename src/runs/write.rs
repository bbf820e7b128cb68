//! The files of a run, written.

use super::figure;
use super::files::{CURVE, METRICS, NETWORK, PARAMETERS, RUN, SUMMARY};
use super::identity::{self, Identity};
use super::run::Run;
use super::staging::Staging;
use super::summary::Summary;
use crate::error::Result;
use crate::file::write_atomically;
use crate::tensors::write_parameters_with;
use crate::training::{Recipe, Report, Statistics};
use serde::Serialize;
use std::path::Path;

/// Writes every file of a run into a folder, all or none. The process must have claimed the folder.
pub(super) fn write(run: &Run<'_>, folder: &Path) -> Result<Summary> {
    let Run {
        recipe,
        trained,
        choice,
        ..
    } = *run;
    let settings = Settings {
        version: env!("CARGO_PKG_VERSION"),
        engine: choice.engine.kind(),
        device: choice.engine.device(),
        reason: &choice.reason,
        frozen_episodes: u64::from(recipe.frozen_meta_steps()) * recipe.batch as u64,
        recipe,
    };
    let settings = toml::to_string(&settings).expect("a run is always representable as TOML");
    let identity = Identity::new(&settings, trained);
    let summary = Summary::new(run, Some((&identity, folder)));
    let staging = Staging::new(folder)?;
    let metadata = [(identity::KEY.to_owned(), identity.to_string())];
    write_parameters_with(staging.path(PARAMETERS), &trained.parameters, metadata)?;
    let network = identity.toml_comment() + &recipe.network.to_toml();
    staging.write_text(NETWORK, &network)?;
    write_atomically(staging.path(METRICS), |file| {
        for report in &trained.history {
            serde_json::to_writer(&mut *file, &Line::new(report, &identity))?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })?;
    let curve = figure::curve(recipe, trained);
    for (name, figure) in run.figures.iter().chain([&(CURVE, curve.as_str())]) {
        staging.write_text(name, &identity.mark_svg(figure))?;
    }
    staging.write_text(SUMMARY, &(summary.to_json() + "\n"))?;
    let text = format!("{} = \"{identity}\"\n{settings}", identity::KEY);
    staging.write_text(RUN, &text)?;
    staging.commit()?;
    Ok(summary)
}

/// `run.toml`, below the identity.
#[derive(Serialize)]
struct Settings<'a> {
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
    identity: &'a Identity,
}

impl<'a> Line<'a> {
    fn new(report: &'a Report, identity: &'a Identity) -> Self {
        let statistics = Statistics::of(&report.error);
        Self {
            report,
            median: statistics.map(|statistics| statistics.median),
            identity,
        }
    }
}
