//! Checkpoints as files: a run's state between two meta-steps, whole and unharmed or refused.
//!
//! They lie in the folder `checkpoints` of a run, each named by the meta-steps that it has behind it:
//! `checkpoints/0000009500.safetensors`. The format is safetensors:
//!
//! | tensor | type, shape | |
//! |---|---|---|
//! | `layerN.…`, as in the file of parameters | F32 | the parameters |
//! | `first_moment.layerN.…`, `second_moment.layerN.…` | F32, as the parameter | what the optimiser remembers |
//! | `updates` | U32 `[P]` | updates that each network has made |
//! | `losses` | F64 `[P]` | sum of the losses in the part under way |
//! | `frozen_errors` | F64 `[P]` | sum of the errors of the frozen meta-steps |
//! | `part_errors` | F64 `[P]` | mean errors of the part under way, if there is one |
//! | `report_episodes`, `report_failed` | U64 `[R]` | of the reports so far |
//! | `report_errors` | F64 `[R, P]` | the same, per network |
//!
//! The metadata are `format` (`metaplastic-checkpoint`), `format_version`, `version` (of the crate), `recipe` (as TOML),
//! `meta_steps`, `part_start` (where a part is under way), `loss_meta_steps` (over which `losses` are summed), `episodes` (that each
//! network has seen), `failures` (as JSON), `seconds` (of training so far) and `checksum`: XXH3-128 of the whole file with zeros in
//! the place of the 32 digits of the checksum.

use crate::computation::{Failure, TrainingState};
use crate::error::{Error, Result};
use crate::file::{TEMPORARY, remove, sync_folder, write_atomically};
use crate::memory;
use crate::parameters::Parameters;
use crate::tasks::Task;
use crate::training::{Checkpoint, Part, Phase, Progress, Recipe, Report};
use bytemuck::Pod;
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The folder of a run's checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// The end of their names.
const ENDING: &str = "safetensors";
const FORMAT: &str = "metaplastic-checkpoint";
const FORMAT_VERSION: &str = "1";
/// What stands for a checksum while it is computed.
const NO_CHECKSUM: &str = "00000000000000000000000000000000";

/// A checkpoint, and how long the run had taken to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredCheckpoint {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Wall time of training up to it, in seconds.
    pub seconds: f64,
}

/// The file of the checkpoint of run folder `folder` that has `meta_steps` behind it.
pub fn path(folder: &Path, meta_steps: u32) -> PathBuf {
    folder
        .join(CHECKPOINTS)
        .join(format!("{meta_steps:010}.{ENDING}"))
}

/// The checkpoints of a run folder, the newest first: the meta-steps behind each, and its file. None where there is no such folder.
pub fn all(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = folder.join(CHECKPOINTS).read_dir();
    let paths = entries.into_iter().flatten().flatten();
    let mut found: Vec<_> = paths
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == ENDING))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.parse().ok()?, path)))
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found
}

/// Writes a checkpoint into the folder of its run.
///
/// # Errors
/// If memory is short or the file cannot be written.
pub fn write(folder: &Path, checkpoint: &Checkpoint, seconds: f64) -> Result<()> {
    let path = path(folder, checkpoint.progress.meta_steps);
    let inside = folder.join(CHECKPOINTS);
    match std::fs::create_dir(&inside).and_then(|()| sync_folder(folder)) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::Write {
                path: inside,
                source,
            });
        }
        _ => {}
    }
    let bytes = to_bytes(checkpoint, seconds)?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// Removes all checkpoints but the newest `keep` and the one that has `end` meta-steps behind it. One that cannot be removed
/// is in nobody's way.
pub(super) fn prune(folder: &Path, keep: usize, end: u32) {
    for (meta_steps, path) in all(folder).into_iter().skip(keep) {
        if meta_steps != end {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes what a process left that died while it wrote a checkpoint. For who has claimed the run folder.
pub(super) fn tidy(folder: &Path) {
    let entries = folder.join(CHECKPOINTS).read_dir();
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Removes all checkpoints of a run folder.
pub(super) fn remove_all(folder: &Path) -> Result<()> {
    let path = folder.join(CHECKPOINTS);
    tidy(folder);
    for (_, checkpoint) in all(folder) {
        remove(checkpoint)?;
    }
    match std::fs::remove_dir(&path) {
        // None, or one with files that are none of ours.
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(Error::Write {
                path,
                source: error,
            })
        }
        _ => Ok(()),
    }
}

/// The newest checkpoint of a run folder that can be read and that `fits`. Whoever waits hears by `tell` of those that cannot be
/// read.
pub fn newest(
    folder: &Path,
    task: Option<&Arc<dyn Task>>,
    mut fits: impl FnMut(&Checkpoint) -> bool,
    mut tell: impl FnMut(&str),
) -> Option<StoredCheckpoint> {
    all(folder)
        .into_iter()
        .find_map(|(_, path)| match read(&path, task) {
            Ok(stored) => Some(stored).filter(|stored| fits(&stored.checkpoint)),
            Err(error) => {
                tell(&error.to_string());
                None
            }
        })
}

/// Reads a checkpoint, of a run on the kind of `task`, or on a task that comes with the crate. Everything is checked.
///
/// # Errors
/// If the file cannot be read, is damaged, or is not a checkpoint of a run that there can be.
pub fn read(path: &Path, task: Option<&Arc<dyn Task>>) -> Result<StoredCheckpoint> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    from_bytes(&bytes, path, task).map_err(|error| Error::Checkpoint {
        path: path.to_owned(),
        source: Box::new(error),
    })
}

/// A tensor that is yet to be written.
struct Column {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn column<T: Pod>(name: &str, dtype: Dtype, shape: &[usize], values: &[T]) -> Column {
    Column {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
        bytes: bytemuck::cast_slice(values).to_vec(),
    }
}

fn of_parameters<'a>(
    prefix: &'a str,
    parameters: &'a Parameters<f32>,
) -> impl Iterator<Item = Column> + 'a {
    let tensors = parameters.layout().tensors().iter();
    tensors.map(move |tensor| {
        let values = parameters.tensor(tensor);
        let flat: Vec<f32> = values.iter().copied().collect();
        let name = format!("{prefix}{}", tensor.name());
        column(&name, Dtype::F32, values.shape(), &flat)
    })
}

/// What is before the names of the parameters, and of the two that an optimiser remembers of them.
const PREFIXES: [&str; 3] = ["", "first_moment.", "second_moment."];

fn to_bytes(checkpoint: &Checkpoint, seconds: f64) -> Result<Vec<u8>> {
    let Checkpoint {
        recipe,
        progress,
        state,
    } = checkpoint;
    // As columns, and as a file.
    let values = 3 * state.parameters.values().len() * size_of::<f32>()
        + progress.history.len() * (recipe.networks() + 2) * size_of::<f64>();
    memory::require("a checkpoint", 2 * values as u128)?;
    let networks = [recipe.networks()];
    let reports = [progress.history.len()];
    let [first, second] = &state.moments;
    let mut columns = Vec::new();
    for (prefix, parameters) in PREFIXES.iter().zip([&state.parameters, first, second]) {
        columns.extend(of_parameters(prefix, parameters));
    }
    columns.push(column("updates", Dtype::U32, &networks, &state.updates));
    columns.push(column("losses", Dtype::F64, &networks, &state.losses));
    let frozen = &progress.frozen_errors;
    columns.push(column("frozen_errors", Dtype::F64, &networks, frozen));
    if let Some(part) = &progress.part {
        columns.push(column("part_errors", Dtype::F64, &networks, &part.error));
    }
    let history = progress.history.iter();
    let episodes: Vec<u64> = history.clone().map(|report| report.episode).collect();
    columns.push(column("report_episodes", Dtype::U64, &reports, &episodes));
    let failed: Vec<u64> = history.clone().map(|it| it.failed as u64).collect();
    columns.push(column("report_failed", Dtype::U64, &reports, &failed));
    let errors: Vec<f64> = history.flat_map(|it| it.error.iter().copied()).collect();
    let shape = [reports[0], networks[0]];
    columns.push(column("report_errors", Dtype::F64, &shape, &errors));

    let failures = serde_json::to_string(&state.failures).expect("failures are plain values");
    let mut metadata = HashMap::from([
        ("format", FORMAT.to_owned()),
        ("format_version", FORMAT_VERSION.to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("recipe", recipe.to_toml()),
        ("meta_steps", progress.meta_steps.to_string()),
        ("loss_meta_steps", state.meta_steps.to_string()),
        ("episodes", state.episodes.to_string()),
        ("failures", failures),
        ("seconds", seconds.to_string()),
        ("checksum", NO_CHECKSUM.to_owned()),
    ]);
    if let Some(part) = &progress.part {
        metadata.insert("part_start", part.start.to_string());
    }
    let metadata = metadata.into_iter();
    let metadata = metadata
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let views = columns.iter().map(|column| {
        let view = TensorView::new(column.dtype, column.shape.clone(), &column.bytes);
        (
            &*column.name,
            view.expect("a column is as long as its shape says"),
        )
    });
    let mut bytes =
        safetensors::serialize(views, Some(metadata)).expect("every name is there once");
    let place = checksum_place(&bytes).expect("it is among the metadata");
    let checksum = format!("{:032x}", xxh3_128(&bytes));
    bytes[place].copy_from_slice(checksum.as_bytes());
    Ok(bytes)
}

/// Where the digits of the checksum are.
fn checksum_place(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let key = br#""checksum":""#;
    let header = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let header = bytes.get(8..usize::try_from(header).ok()?.checked_add(8)?)?;
    let found = header.windows(key.len()).position(|window| window == key)?;
    let start = 8 + found + key.len();
    let place = start..start + NO_CHECKSUM.len();
    bytes.get(place.clone()).map(|_| place)
}

/// Fails unless the bytes are those that were written.
fn require_unharmed(bytes: &[u8]) -> Result<()> {
    let wrong = |reason: &str| Err(Error::setting("checksum", reason));
    let Some(place) = checksum_place(bytes) else {
        return wrong("there is none");
    };
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    hash.update(&bytes[..place.start]);
    hash.update(NO_CHECKSUM.as_bytes());
    hash.update(&bytes[place.end..]);
    match format!("{:032x}", hash.digest128()).as_bytes() == &bytes[place] {
        true => Ok(()),
        false => wrong("the file is damaged"),
    }
}

/// An open file.
struct File<'a> {
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
}

impl File<'_> {
    fn text(&self, key: &str) -> Result<&str> {
        let text = self.metadata.get(key).map(String::as_str);
        text.ok_or_else(|| Error::setting(key, "missing"))
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T> {
        let text = self.text(key)?;
        let number = text.parse().ok();
        number.ok_or_else(|| Error::setting(key, format!("{text:?} is no such number")))
    }

    fn array<T: Pod>(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Vec<T>> {
        let Ok(tensor) = self.tensors.tensor(name) else {
            return Err(Error::MissingTensor {
                name: name.to_owned(),
                expected: format!("{shape:?}"),
            });
        };
        if tensor.dtype() != dtype {
            return Err(Error::ElementType {
                name: name.to_owned(),
                expected: format!("{dtype:?}"),
                actual: format!("{:?}", tensor.dtype()),
            });
        }
        if tensor.shape() != shape {
            return Err(Error::Shape {
                name: name.to_owned(),
                expected: format!("{shape:?}"),
                actual: tensor.shape().to_vec(),
            });
        }
        let words = tensor.data().chunks_exact(size_of::<T>());
        Ok(words.map(bytemuck::pod_read_unaligned).collect())
    }

    fn parameters(&self, prefix: &str, recipe: &Recipe) -> Result<Parameters<f32>> {
        let mut parameters = Parameters::new(&recipe.network, recipe.networks())?;
        for tensor in parameters.layout().clone().tensors() {
            let name = format!("{prefix}{}", tensor.name());
            let shape = parameters.tensor(tensor).shape().to_vec();
            let values = self.array(&name, Dtype::F32, &shape)?;
            let values = ArrayD::from_shape_vec(IxDyn(&shape), values);
            let values = values.expect("as long as its shape says");
            parameters.tensor_mut(tensor).assign(&values);
        }
        Ok(parameters)
    }
}

fn from_bytes(bytes: &[u8], path: &Path, task: Option<&Arc<dyn Task>>) -> Result<StoredCheckpoint> {
    let origin = path.display().to_string();
    let invalid = |source| Error::Tensors {
        origin: origin.clone(),
        source: Box::new(source),
    };
    require_unharmed(bytes)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(invalid)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(invalid)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let file = File { tensors, metadata };
    for (key, expected) in [("format", FORMAT), ("format_version", FORMAT_VERSION)] {
        let found = file.text(key)?;
        if found != expected {
            let reason = format!("{found:?}, but this program reads {expected:?}");
            return Err(Error::setting(key, reason));
        }
    }
    let text = file.text("recipe")?;
    let recipe = match task {
        None => Recipe::from_toml(text, "recipe")?,
        Some(task) => Recipe::from_toml_for(task, text, "recipe")?,
    };
    let checkpoint = Checkpoint {
        progress: progress(&file, &recipe)?,
        state: state(&file, &recipe)?,
        recipe,
    };
    checkpoint.check()?;
    let seconds = file.number("seconds")?;
    Ok(StoredCheckpoint {
        checkpoint,
        seconds,
    })
}

fn progress(file: &File<'_>, recipe: &Recipe) -> Result<Progress> {
    let networks = [recipe.networks()];
    let part = match file.metadata.contains_key("part_start") {
        false => None,
        true => Some(Part {
            start: file.number("part_start")?,
            error: file.array("part_errors", Dtype::F64, &networks)?,
        }),
    };
    let found = file.tensors.tensor("report_episodes");
    let reports = found.map_or(0, |tensor| tensor.shape().iter().product());
    let episodes: Vec<u64> = file.array("report_episodes", Dtype::U64, &[reports])?;
    let failed: Vec<u64> = file.array("report_failed", Dtype::U64, &[reports])?;
    let shape = [reports, recipe.networks()];
    let errors: Vec<f64> = file.array("report_errors", Dtype::F64, &shape)?;
    let learned = recipe.learned_episodes();
    let each = episodes
        .iter()
        .zip(&failed)
        .zip(errors.chunks(recipe.networks()));
    let history = each.map(|((&episode, &failed), error)| Report {
        episode,
        phase: match episode <= learned {
            true => Phase::Training,
            false => Phase::Frozen,
        },
        error: error.to_vec(),
        failed: failed as usize,
    });
    Ok(Progress {
        meta_steps: file.number("meta_steps")?,
        history: history.collect(),
        part,
        frozen_errors: file.array("frozen_errors", Dtype::F64, &networks)?,
    })
}

fn state(file: &File<'_>, recipe: &Recipe) -> Result<TrainingState<f32>> {
    let networks = [recipe.networks()];
    let failures: Vec<Failure> = serde_json::from_str(file.text("failures")?)
        .map_err(|error| Error::setting("failures", error.to_string()))?;
    let [parameters, first, second] = PREFIXES.map(|prefix| file.parameters(prefix, recipe));
    Ok(TrainingState {
        parameters: parameters?,
        moments: [first?, second?],
        updates: file.array("updates", Dtype::U32, &networks)?,
        episodes: file.number("episodes")?,
        failures,
        meta_steps: file.number("loss_meta_steps")?,
        losses: file.array("losses", Dtype::F64, &networks)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::tasks::Association;
    use crate::training::{Event, Training};
    use std::ops::ControlFlow;

    /// Checkpoints of a short run, in the midst of a part and at its end, one network of which has failed.
    fn checkpoints() -> Vec<Checkpoint> {
        let recipe = Recipe {
            population: 2,
            episodes: 300,
            ..Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap()
        };
        let mut found = Vec::new();
        let training = Training::new(&Engine::cpu(), &recipe).unwrap();
        let trained = training.run_watched(|event| {
            if let Event::Pause(pause) = event {
                found.push(pause.checkpoint().unwrap());
            }
            ControlFlow::Continue(())
        });
        trained.unwrap();
        let mut last = found.pop().unwrap();
        assert!(last.progress.history.len() > 100);
        last.state.failures.push(Failure {
            network: 1,
            episode: 7,
            tensor: "loss".into(),
        });
        last.progress.history[3].error[1] = f64::INFINITY;
        let mut midst = found[0].clone();
        midst.progress.meta_steps = 200;
        midst.progress.history = last.progress.history.clone();
        midst.progress.history.retain(|report| report.episode < 200);
        let start = midst.progress.history.last().unwrap().episode as u32;
        midst.progress.part = Some(Part {
            start,
            error: vec![0.25, -0.0],
        });
        midst.state.losses = vec![0.1, 1e300];
        // The square of a gradient beyond 1e19.
        midst.state.moments[1].values_mut()[0] = f32::INFINITY;
        vec![found.swap_remove(0), midst, last]
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let last = checkpoints()[2].progress.meta_steps;
        for checkpoint in checkpoints() {
            checkpoint.check().unwrap();
            write(folder.path(), &checkpoint, 1.5).unwrap();
            let path = path(folder.path(), checkpoint.progress.meta_steps);
            let read = read(&path, None).unwrap();
            assert_eq!(read.checkpoint, checkpoint);
            assert_eq!(read.seconds, 1.5);
        }
        let found: Vec<_> = all(folder.path()).into_iter().map(|(at, _)| at).collect();
        assert_eq!(found, [last, 200, 0]);
        prune(folder.path(), 1, 200);
        let found: Vec<_> = all(folder.path()).into_iter().map(|(at, _)| at).collect();
        assert_eq!(found, [last, 200]);
    }

    #[test]
    fn what_an_optimiser_remembers_may_be_infinite_but_is_a_number() {
        let [_, mut midst, _] = <[Checkpoint; 3]>::try_from(checkpoints()).unwrap();
        Training::resume(&Engine::cpu(), midst.clone()).unwrap();
        midst.state.moments[1].values_mut()[0] = f32::NAN;
        assert!(
            midst
                .check()
                .unwrap_err()
                .to_string()
                .contains("second moments")
        );
    }

    #[test]
    fn no_byte_can_change_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.safetensors");
        let good = to_bytes(&checkpoints()[0], 0.0).unwrap();
        let require = |bytes: &[u8]| from_bytes(bytes, &path, None).map(drop);
        require(&good).unwrap();
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 4;
            require(&bytes).unwrap_err();
        }
        for length in 0..good.len() {
            require(&good[..length]).unwrap_err();
        }
        require(&[&good[..], &[0]].concat()).unwrap_err();
    }

    #[test]
    fn the_newest_that_can_be_read_is_found_and_the_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(newest(folder.path(), None, |_| true, |_| panic!("there is none")).is_none());
        for checkpoint in checkpoints() {
            write(folder.path(), &checkpoint, 0.0).unwrap();
        }
        let newest_of_all = all(folder.path())[0].1.clone();
        std::fs::write(&newest_of_all, "damaged").unwrap();
        std::fs::write(folder.path().join(CHECKPOINTS).join("notes.txt"), "mine").unwrap();
        let mut told = Vec::new();
        let tell = |text: &str| told.push(text.to_owned());
        let found = newest(folder.path(), None, |_| true, tell).unwrap();
        assert_eq!(found.checkpoint.progress.meta_steps, 200);
        assert!(
            told.len() == 1 && told[0].contains(newest_of_all.to_str().unwrap()),
            "{told:?}"
        );
        let fits = |at: &Checkpoint| at.progress.meta_steps == 0;
        let found = newest(folder.path(), None, fits, |_| {}).unwrap();
        assert_eq!(found.checkpoint.progress.meta_steps, 0);
        remove_all(folder.path()).unwrap();
        // What is not ours stays.
        assert!(folder.path().join(CHECKPOINTS).join("notes.txt").exists());
    }
}
