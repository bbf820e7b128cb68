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
    let (trained, recipe) = (run.trained, &run.begun.recipe);
    let mut settings = run.begun.settings();
    let identity = Identity::new(&settings.of_result(), trained);
    let summary = Summary::new(run, Some((&identity, folder)));
    let staging = Staging::new(folder)?;
    let metadata = [(identity::KEY.to_owned(), identity.to_string())];
    write_parameters_with(staging.path(PARAMETERS), &trained.parameters, metadata)?;
    let network = identity.toml_comment() + &recipe.network.to_toml();
    staging.write_text(NETWORK, &network)?;
    write_atomically(staging.path(METRICS), |file| {
        let mut reports = trained.history.iter();
        reports.try_for_each(|report| file.write_all(&line(recipe, report, Some(&identity))))
    })?;
    let curve = figure::curve(recipe, trained);
    for (name, figure) in run.figures.iter().chain([&(CURVE, curve.as_str())]) {
        staging.write_text(name, &identity.mark_svg(figure))?;
    }
    staging.write_text(SUMMARY, &(summary.to_json() + "\n"))?;
    settings.identity = Some(identity);
    staging.write_text(RUN, &settings.to_toml())?;
    staging.commit()?;
    Ok(summary)
}

/// A line of `metrics.jsonl`, with its end: the report, the median over all networks and, of a sweep, median and quartiles of
/// each point in order. Errors that are not finite are `null`.
pub(super) fn line(recipe: &Recipe, report: &Report, identity: Option<&Identity>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        report: &'a Report,
        median: Option<f64>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        points: Vec<Point>,
        /// Of a run that has ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        identity: Option<&'a Identity>,
    }
    #[derive(Serialize)]
    struct Point {
        median: f64,
        q25: f64,
        q75: f64,
    }
    let points = match recipe.sweep.is_empty() {
        true => 0,
        false => recipe.point_count(),
    };
    let points = (0..points).filter_map(|point| {
        let Statistics {
            median, q25, q75, ..
        } = Statistics::of(&report.error[recipe.networks_of(point)])?;
        Some(Point { median, q25, q75 })
    });
    let statistics = Statistics::of(&report.error);
    let line = Line {
        points: points.collect(),
        report,
        median: statistics.map(|statistics| statistics.median),
        identity,
    };
    let mut text = serde_json::to_vec(&line).expect("a report is always representable as JSON");
    text.push(b'\n');
    text
}
