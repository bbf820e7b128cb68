//! What the files of a run are called.

use super::{checkpoint, staging};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The parameters, as safetensors.
pub const PARAMETERS: &str = "parameters.safetensors";
/// The network's description, as TOML.
pub const NETWORK: &str = "network.toml";
/// The reports of the training, a line of JSON each.
pub const METRICS: &str = "metrics.jsonl";
/// The learning curve.
pub const CURVE: &str = "curve.svg";
/// What the run came to, as JSON.
pub const SUMMARY: &str = "summary.json";
/// The settings, as TOML.
pub const RUN: &str = "run.toml";
/// What runs that are trained one after the other are, as TOML, in the folder around theirs.
pub const SWEEP: &str = "sweep.toml";
/// A report on several runs, in the folder around theirs.
pub const REPORT: &str = "report.html";

/// What stands in every report, and among its first bytes.
const OF_REPORT: (&str, u64) = ("<meta name=\"generator\" content=\"metaplastic ", 1_000);

/// Whether a file is a report, which can be made again of the runs.
pub fn is_report(path: &Path) -> bool {
    let (own, beginning) = OF_REPORT;
    let mut start = Vec::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(beginning).read_to_end(&mut start));
    read.is_ok() && String::from_utf8_lossy(&start).contains(own)
}

/// The files that make a folder a run. Whatever else lies there is left alone.
pub(super) const FILES: [&str; 6] = [PARAMETERS, NETWORK, METRICS, CURVE, SUMMARY, RUN];

/// The files there are that make a folder a run, or runs that were trained one after the other: for who wants to write another file,
/// and not in the place of one of these.
pub fn own(folder: &Path) -> Vec<PathBuf> {
    let named = FILES.iter().copied().chain([SWEEP]);
    let named = named.map(|name| folder.join(name));
    let checkpoints = checkpoint::all(folder).into_iter().map(|(_, path)| path);
    named
        .chain(checkpoints)
        .filter(|path| path.exists())
        .collect()
}

/// A drawing of what a network brings back of patterns.
pub const RECALL: &str = "recall.svg";
/// Drawings that may lie beside them: of a network, of its parameters, of what it brings back.
pub const FIGURES: [&str; 3] = ["network.svg", "heat-maps.svg", RECALL];

/// Whether a folder holds a run, or a part of one.
pub fn holds_a_run(path: &Path) -> bool {
    FILES.iter().any(|name| staging::find(path, name).exists()) || !checkpoint::all(path).is_empty()
}
