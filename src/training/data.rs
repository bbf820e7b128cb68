//! Episodes of one's own, from files, as a task: each episode of a batch is drawn from those in the file.
//!
//! A file has the tensors of `tensors::read_episodes`, with one network on their first axis: `input`, `[1, N, T, I]`; `target`,
//! `[1, N, T, O]`, or `[1, N, T]` of classes; and `mask`, `[T]` or `[1, N, T]`, of zeros and ones. All networks draw from the same
//! arrays, which are in memory once.

use crate::episodes::{Mask, Objective};
use crate::error::{Error, Result};
use crate::network::{Dense, Loss, Network};
use crate::optimiser::Optimiser;
use crate::random::Purpose;
use crate::tasks::{Draw, EVALUATED as BATCH, Setup, Task, TaskSetting};
use crate::tensors::{episodes_of, read_bytes};
use ndarray::{ArrayView4, Axis};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use toml::{Table, Value};
use xxhash_rust::xxh3::xxh3_128;

/// The kind of the task in recipes.
pub(super) const KIND: &str = "data";

/// Learning rate, and episodes that each network sees, where nothing else is said.
const LEARNING_RATE: f64 = 0.001;
const EPISODES: u64 = 10_000;
/// Below this error per counted step a network counts as having solved the task, where nothing else is said.
const SOLVED_BELOW: f64 = 0.1;

/// Episodes of one's own.
///
/// In training, the episode at place `e` of a network's batch at a meta-step is one of the file's, each as likely, by the words of
/// that draw. The frozen end draws in the same way from the episodes of a second file, for validation, if there is one. An
/// evaluation takes those (without a second file, those of the first) in their order, and begins again after the last.
#[derive(Clone, Debug)]
pub struct Data {
    training: Source,
    validation: Option<Source>,
    sizes: Sizes,
    loss: Loss,
    solved_below: f64,
}

/// What all episodes have in common.
#[derive(Clone, Debug, PartialEq)]
struct Sizes {
    inputs: usize,
    outputs: usize,
    steps: usize,
    counted: Counted,
}

/// Which steps count.
#[derive(Clone, Debug, PartialEq)]
enum Counted {
    /// The same in every episode, `[T]`.
    Same(Vec<bool>),
    /// Each episode's own.
    ByEpisode,
}

/// A file of episodes.
#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    /// Of its bytes: XXH3-128, in hexadecimal digits.
    digest: String,
    episodes: usize,
    /// What is in it, once it has been read.
    arrays: Arc<OnceLock<Arrays>>,
}

/// `[N, T, I]`, `[N, T, O]`, and where each episode's steps count by themselves, `[N, T]`.
#[derive(Debug)]
struct Arrays {
    input: Vec<f32>,
    target: Vec<f32>,
    counts: Vec<bool>,
}

impl Data {
    /// Reads episodes for a network; those of `validation`, if there is one, measure errors.
    ///
    /// # Errors
    /// If a file cannot be read, has no episode, or its tensors are not finite, fit neither the network nor each other, or are not
    /// what an episode that is drawn can have.
    pub fn read(path: &Path, validation: Option<&Path>, network: &Network) -> Result<Self> {
        let sizes = (network.inputs(), network.outputs());
        let (training, sizes) = Source::read(path, sizes, network.loss())?;
        let mut data = Self {
            training,
            validation: None,
            sizes,
            loss: network.loss(),
            solved_below: SOLVED_BELOW,
        };
        if let Some(path) = validation {
            data.validation = Some(data.another(path)?);
        }
        Ok(data)
    }

    /// The same, solved below another error.
    #[must_use]
    pub fn solved_below(self, error: f64) -> Self {
        Self {
            solved_below: error,
            ..self
        }
    }

    fn measured(&self) -> &Source {
        self.validation.as_ref().unwrap_or(&self.training)
    }

    fn another(&self, path: &Path) -> Result<Source> {
        let sizes = (self.sizes.inputs, self.sizes.outputs);
        let (source, sizes) = Source::read(path, sizes, self.loss)?;
        match sizes == self.sizes {
            true => Ok(source),
            false => Err(Error::setting(
                "episodes",
                format!(
                    "{} steps, those that count: {}; expected {}, {} as in {}",
                    sizes.steps,
                    sizes.counted,
                    self.sizes.steps,
                    self.sizes.counted,
                    self.training.path.display()
                ),
            )
            .within(&path.display().to_string())),
        }
    }

    /// The task of a recipe's table. The files are read when they are needed.
    ///
    /// # Errors
    /// If the recipe is for another kind of task, or a setting is missing or out of its range.
    pub fn of_recipe(recipe: &Table) -> Result<Self> {
        let task = recipe.get("task").and_then(Value::as_table);
        match task.filter(|_| Self::is_of_recipe(recipe)) {
            Some(task) => Self::of_table(task),
            None => Err(Error::setting("task.kind", format!("expected {KIND:?}"))),
        }
    }

    /// Whether a recipe's table is for episodes of one's own.
    pub fn is_of_recipe(recipe: &Table) -> bool {
        let kind = recipe.get("task").and_then(|task| task.get("kind"));
        kind.and_then(Value::as_str) == Some(KIND)
    }

    /// A task from its table in a recipe. The files are read when they are needed.
    pub(super) fn of_table(table: &Table) -> Result<Self> {
        let source = |prefix: &str, path: &str| -> Result<Source> {
            Ok(Source {
                path: text(table, path)?.into(),
                digest: text(table, &format!("{prefix}digest"))?.to_owned(),
                episodes: size(table, &format!("{prefix}episodes"))?,
                arrays: Arc::default(),
            })
        };
        let has_validation = table.contains_key("validation");
        let training = source("", "file")?;
        let validation = has_validation.then(|| source("validation_", "validation"));
        let data = Self {
            training,
            validation: validation.transpose()?,
            loss: text(table, "loss")?.parse()?,
            solved_below: number(table, "solved_below")?,
            sizes: Sizes {
                inputs: size(table, "inputs")?,
                outputs: size(table, "outputs")?,
                steps: size(table, "steps")?,
                counted: Counted::ByEpisode,
            },
        };
        let counted = Counted::parse(text(table, "counted")?, data.sizes.steps)?;
        let data = Self {
            sizes: Sizes {
                counted,
                ..data.sizes
            },
            ..data
        };
        let own = data.settings();
        match table
            .keys()
            .find(|key| *key != "kind" && own.iter().all(|it| it.name != **key))
        {
            None => Ok(data),
            Some(key) => Err(Error::setting(format!("task.{key}"), "an unknown setting")),
        }
    }
}

impl Source {
    fn read(path: &Path, (inputs, outputs): (usize, usize), loss: Loss) -> Result<(Self, Sizes)> {
        let origin = path.display().to_string();
        let path = std::path::absolute(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let bytes = read_bytes(&path)?;
        let (arrays, episodes, steps, counted) = arrays(&origin, &bytes, (inputs, outputs), loss)?;
        let source = Self {
            digest: format!("{:032x}", xxh3_128(&bytes)),
            episodes,
            arrays: Arc::new(OnceLock::from(arrays)),
            path,
        };
        let sizes = Sizes {
            inputs,
            outputs,
            steps,
            counted,
        };
        Ok((source, sizes))
    }

    /// Reads the file, unless that was done; it must be the one that it was.
    fn prepare(&self, sizes: &Sizes, loss: Loss) -> Result<()> {
        if self.arrays.get().is_some() {
            return Ok(());
        }
        let (read, found) = Self::read(&self.path, (sizes.inputs, sizes.outputs), loss)?;
        if read.digest != self.digest {
            return Err(Error::setting(
                "digest",
                format!(
                    "{}, but the run is of a file whose digest was {}: it has changed since",
                    read.digest, self.digest
                ),
            )
            .within(&self.path.display().to_string()));
        }
        if found != *sizes || read.episodes != self.episodes {
            let reason = "episodes, steps or the steps that count are not those of the file";
            let error = Error::setting("task", reason);
            return Err(error.within(&self.path.display().to_string()));
        }
        if let Some(arrays) = Arc::into_inner(read.arrays).and_then(OnceLock::into_inner) {
            // Another thread may have been first, with the same.
            let _ = self.arrays.set(arrays);
        }
        Ok(())
    }

    fn arrays(&self) -> &Arrays {
        let arrays = self.arrays.get();
        arrays.expect("files are read before episodes are drawn")
    }

    /// Copies episode `index`.
    fn fill(&self, index: usize, input: &mut [f32], target: &mut [f32]) {
        let arrays = self.arrays();
        for (from, to) in [(&arrays.input, input), (&arrays.target, target)] {
            to.copy_from_slice(&from[index * to.len()..][..to.len()]);
        }
    }
}

/// The arrays in a file, its episodes and steps, and which of these count.
fn arrays(
    origin: &str,
    bytes: &[u8],
    (inputs, outputs): (usize, usize),
    loss: Loss,
) -> Result<(Arrays, usize, usize, Counted)> {
    let within = |error: Error| error.within(origin);
    // Whatever the network is: what its layers are given is not drawn.
    let ends = Network::new(loss, [Dense::new(inputs, outputs)])?;
    let episodes = episodes_of::<f32>(origin, bytes, &ends, 1)?;
    let (count, steps) = (episodes.batch(), episodes.steps());
    let Objective::Target { target, mask } = episodes.objective else {
        let reason = "missing, but networks learn from it";
        return Err(within(Error::objective("target", reason)));
    };
    let (counted, counts) = counted(mask, steps).map_err(within)?;
    if loss == Loss::SoftmaxCrossEntropy {
        let counts_at = |episode: usize, step: usize| match &counted {
            Counted::Same(counted) => counted[step],
            Counted::ByEpisode => counts[episode * steps + step],
        };
        require_distributions(&target.view(), counts_at).map_err(within)?;
    }
    let flat = |array: ndarray::CowArray<'_, f32, ndarray::Ix4>| {
        let array = array.as_standard_layout().into_owned();
        array.into_raw_vec_and_offset().0
    };
    let arrays = Arrays {
        input: flat(episodes.input),
        target: flat(target),
        counts,
    };
    Ok((arrays, count, steps, counted))
}

/// Which steps count, and where each episode has its own, those of all.
fn counted(mask: Mask<f32>, steps: usize) -> Result<(Counted, Vec<bool>)> {
    let counts = |value: &f32| match *value {
        0.0 => Ok(false),
        1.0 => Ok(true),
        other => Err(Error::setting(
            "mask",
            format!("{other}, expected 0 or 1: a step counts or does not"),
        )),
    };
    let none = |of: &str| Error::ZeroSize {
        field: format!("steps that count{of} (mask)"),
    };
    match mask {
        Mask::All => Ok((Counted::Same(vec![true; steps]), Vec::new())),
        Mask::Steps(mask) => {
            let counts: Vec<_> = mask.iter().map(counts).collect::<Result<_>>()?;
            match counts.contains(&true) {
                true => Ok((Counted::Same(counts), Vec::new())),
                false => Err(none("")),
            }
        }
        Mask::Episodes(mask) => {
            let counts: Vec<_> = mask.iter().map(counts).collect::<Result<_>>()?;
            let mut episodes = counts.chunks_exact(steps);
            match episodes.position(|counts| !counts.contains(&true)) {
                None => Ok((Counted::ByEpisode, counts)),
                Some(episode) => Err(none(&format!(" in episode {episode}"))),
            }
        }
    }
}

/// How far from 1 the sum of a distribution may lie: half of it is what bf16 makes of numbers that sum to 1.
const SUM_WITHIN: f64 = 1.0 / 256.0;

/// Fails unless the target of a softmax, `[1, N, T, O]`, is a distribution at every step that counts. The loss of anything else may be
/// negative, and would pass for a small error.
fn require_distributions(
    target: &ArrayView4<'_, f32>,
    counts_at: impl Fn(usize, usize) -> bool,
) -> Result<()> {
    let steps = target.len_of(Axis(2));
    for (index, row) in target.rows().into_iter().enumerate() {
        let (episode, step) = (index / steps, index % steps);
        let sum: f64 = row.iter().copied().map(f64::from).sum();
        let least = row.iter().copied().fold(0.0, f32::min);
        if !counts_at(episode, step) || least >= 0.0 && (sum - 1.0).abs() <= SUM_WITHIN {
            continue;
        }
        let negative = match least < 0.0 {
            true => format!("{least} is in it, "),
            false => String::new(),
        };
        let reason = format!(
            "network 0, episode {episode}, step {step}: {negative}the sum is {sum}, expected numbers from 0 that sum to 1, as a softmax \
             has them; a step that is not to count is left out by the mask"
        );
        return Err(Error::objective("target", reason));
    }
    Ok(())
}

impl Task for Data {
    fn name(&self) -> &str {
        KIND
    }

    fn inputs(&self) -> usize {
        self.sizes.inputs
    }

    fn outputs(&self) -> usize {
        self.sizes.outputs
    }

    fn steps(&self) -> usize {
        self.sizes.steps
    }

    fn loss(&self) -> Loss {
        self.loss
    }

    fn solved_below(&self) -> f64 {
        self.solved_below
    }

    fn counts(&self, step: usize) -> bool {
        match &self.sizes.counted {
            Counted::Same(counted) => counted.get(step).copied().unwrap_or(false),
            Counted::ByEpisode => step < self.sizes.steps,
        }
    }

    fn counts_by_episode(&self) -> bool {
        self.sizes.counted == Counted::ByEpisode
    }

    fn fill_counts(&self, draw: Draw, counts: &mut [bool]) {
        match &self.sizes.counted {
            Counted::Same(counted) => counts.copy_from_slice(counted),
            Counted::ByEpisode => {
                let (source, index) = self.drawn(draw);
                let first = index * counts.len();
                counts.copy_from_slice(&source.arrays().counts[first..][..counts.len()]);
            }
        }
    }

    fn most_in_batch(&self) -> Option<usize> {
        Some(self.training.episodes)
    }

    fn episodes_in_all(&self) -> Option<usize> {
        Some(self.measured().episodes)
    }

    fn prepare(&self) -> Result<()> {
        let all = std::iter::once(&self.training).chain(&self.validation);
        for source in all {
            source.prepare(&self.sizes, self.loss)?;
        }
        Ok(())
    }

    fn has_validation(&self) -> bool {
        self.validation.is_some()
    }

    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
        let (source, index) = self.drawn(draw);
        source.fill(index, input, target);
    }

    fn setup(&self) -> Result<Setup> {
        let (inputs, outputs) = (self.sizes.inputs, self.sizes.outputs);
        let network = Network::new(self.loss, [Dense::new(inputs, outputs)])?;
        Ok(Self::setup_for(network))
    }

    fn title(&self) -> String {
        "Episodes of one's own".to_owned()
    }

    fn summary(&self) -> String {
        format!(
            "{} episodes of {}",
            self.training.episodes,
            self.training.path.display()
        )
    }

    fn account(&self) -> String {
        let validation = match &self.validation {
            None => String::new(),
            Some(source) => format!(
                " Errors of the frozen end are of the {} episodes of {}.",
                source.episodes,
                source.path.display()
            ),
        };
        format!(
            "Each network learns from {}, drawn at random.{validation}",
            self.summary()
        )
    }

    fn settings(&self) -> Vec<TaskSetting> {
        let path = |source: &Source| source.path.to_string_lossy().into_owned();
        let digest = "XXH3-128 of the file: another file is refused";
        let mut all = vec![
            TaskSetting::new("file", path(&self.training), "the file of episodes"),
            TaskSetting::new("digest", self.training.digest.clone(), digest),
            TaskSetting::size("episodes", self.training.episodes, "episodes in it"),
            TaskSetting::size(
                "inputs",
                self.sizes.inputs,
                "presynaptic neurons of the network",
            ),
            TaskSetting::size(
                "outputs",
                self.sizes.outputs,
                "postsynaptic neurons of the network",
            ),
            TaskSetting::size("steps", self.sizes.steps, "steps of an episode"),
            TaskSetting::new(
                "counted",
                self.sizes.counted.to_string(),
                "the steps that count",
            ),
            TaskSetting::new("loss", self.loss.name(), "the loss that errors are of"),
            TaskSetting::new("solved_below", self.solved_below, "error per counted step"),
        ];
        if let Some(source) = &self.validation {
            let about = "the file of the episodes that errors are measured on";
            all.extend([
                TaskSetting::new("validation", path(source), about),
                TaskSetting::new("validation_digest", source.digest.clone(), digest),
                TaskSetting::size("validation_episodes", source.episodes, "episodes in it"),
            ]);
        }
        all
    }

    fn with_settings(&self, settings: &Table) -> Result<Arc<dyn Task>> {
        let own = self.settings().into_iter();
        let mut table: Table = own.map(|it| (it.name.to_owned(), it.value)).collect();
        table.extend(settings.clone());
        Ok(Arc::new(Self::of_table(&table)?))
    }
}

impl Data {
    /// The file of an episode, and its number there.
    fn drawn(&self, draw: Draw) -> (&Source, usize) {
        let source = match draw.purpose() {
            Purpose::Training => &self.training,
            _ => self.measured(),
        };
        let index = match draw.purpose() {
            Purpose::Evaluation => {
                let [batch, place] = draw.place().map(u64::from);
                (batch * BATCH as u64 + place) % source.episodes as u64
            }
            _ => u64::from(draw.sequence().below(source.episodes as u32)),
        };
        (source, index as usize)
    }

    /// The files that a task's episodes are in, if it is of this kind.
    pub fn files(task: &dyn Task) -> Vec<PathBuf> {
        let settings = task.settings().into_iter();
        let files =
            settings.filter(|it| task.name() == KIND && ["file", "validation"].contains(&it.name));
        files
            .filter_map(|it| it.value.as_str().map(PathBuf::from))
            .collect()
    }

    /// What a network learns with, where nothing else is said.
    pub(super) fn setup_for(network: Network) -> Setup {
        Setup::new(network, Optimiser::adam(LEARNING_RATE), EPISODES)
    }
}

/// What [`Counted::ByEpisode`] is called.
const BY_EPISODE: &str = "by episode";

/// `all`, the steps that count, such as `0-3, 8`, or `by episode`.
impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Same(counted) = self else {
            return f.write_str(BY_EPISODE);
        };
        if !counted.contains(&false) {
            return f.write_str("all");
        }
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for (step, _) in counted.iter().enumerate().filter(|(_, counts)| **counts) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == step => *last = step,
                _ => ranges.push((step, step)),
            }
        }
        let texts = ranges.into_iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        f.write_str(&texts.collect::<Vec<_>>().join(", "))
    }
}

impl Counted {
    /// What has been written of an episode of so many steps.
    fn parse(text: &str, steps: usize) -> Result<Self> {
        match text {
            "all" => return Ok(Self::Same(vec![true; steps])),
            BY_EPISODE => return Ok(Self::ByEpisode),
            _ => {}
        }
        let mut counted = vec![false; steps];
        let wrong = || {
            let reason = format!(
                "{text:?}, expected \"all\", {BY_EPISODE:?}, or steps from 0 to {}, such as \"0-3, 8\"",
                steps.saturating_sub(1)
            );
            Error::setting("task.counted", reason)
        };
        for range in text.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let [first, last] = [first, last].map(|step| step.trim().parse::<usize>());
            let (first, last) = (first.map_err(|_| wrong())?, last.map_err(|_| wrong())?);
            if first > last || last >= steps {
                return Err(wrong());
            }
            counted[first..=last].fill(true);
        }
        Ok(Self::Same(counted))
    }
}

fn missing(key: &str, expected: &str) -> Error {
    Error::setting(format!("task.{key}"), format!("expected {expected}"))
}

fn text<'a>(table: &'a Table, key: &str) -> Result<&'a str> {
    let value = table.get(key).and_then(Value::as_str);
    value.ok_or_else(|| missing(key, "a text"))
}

/// More than any size may be, which is checked later.
const MOST: usize = 1 << 24;

fn size(table: &Table, key: &str) -> Result<usize> {
    let value = table.get(key).and_then(Value::as_integer);
    let value = value.and_then(|value| usize::try_from(value).ok());
    let most = match key.ends_with("episodes") {
        true => u32::MAX as usize / 2,
        false => MOST,
    };
    value
        .filter(|value| (1..=most).contains(value))
        .ok_or_else(|| missing(key, "a whole number from 1, of a supported size"))
}

fn number(table: &Table, key: &str) -> Result<f64> {
    let value = match table.get(key) {
        Some(Value::Integer(value)) => Some(*value as f64),
        Some(Value::Float(value)) => Some(*value),
        _ => None,
    };
    value
        .filter(|value| value.is_finite())
        .ok_or_else(|| missing(key, "a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_that_count_come_back_as_they_were_written() {
        for bits in 1..64_u32 {
            let steps = Counted::Same((0..6).map(|step| bits >> step & 1 == 1).collect());
            assert_eq!(Counted::parse(&steps.to_string(), 6).unwrap(), steps);
        }
        let steps = Counted::Same(vec![true, true, false, true]);
        assert_eq!(steps.to_string(), "0-1, 3");
        let own = Counted::ByEpisode;
        assert_eq!(Counted::parse(&own.to_string(), 6).unwrap(), own);
        for text in ["", "6", "3-1", "a", "0-9", "-1"] {
            Counted::parse(text, 6).unwrap_err();
        }
    }

    use crate::engine::Engine;
    use crate::training::{Checkpoint, Evaluation, Event, Recipe, Trained, Training};
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;
    use std::ops::ControlFlow;

    /// A file of so many episodes of 3 steps, of 2 inputs and 1 output, whose first input is the episode's number.
    fn file(folder: &Path, name: &str, count: usize, mask: Option<[f32; 3]>) -> PathBuf {
        let mask = mask.map(|mask| (vec![3], mask.to_vec()));
        masked(folder, name, count, mask)
    }

    /// The same with a mask of any shape.
    fn masked(
        folder: &Path,
        name: &str,
        count: usize,
        mask: Option<(Vec<usize>, Vec<f32>)>,
    ) -> PathBuf {
        let input = (0..count * 6).map(|k| match k % 2 {
            0 => (k / 6) as f32,
            _ => 0.25,
        });
        let target = (0..count * 3).map(|k| 0.1 * (k / 3) as f32);
        let tensors = [
            ("input", vec![1, count, 3, 2], input.collect::<Vec<_>>()),
            ("target", vec![1, count, 3, 1], target.collect()),
        ];
        let mask = mask.map(|(shape, mask)| ("mask", shape, mask));
        let tensors: Vec<_> = tensors.into_iter().chain(mask).collect();
        let views = tensors.iter().map(|(name, shape, values)| {
            let bytes = bytemuck::cast_slice(values);
            (
                *name,
                TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
            )
        });
        let path = folder.join(name);
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    }

    fn network() -> Network {
        Network::new(Loss::SquaredError, [Dense::new(2, 1)]).unwrap()
    }

    fn recipe(data: Data) -> Recipe {
        Recipe {
            population: 3,
            episodes: 40,
            batch: 4,
            ..Recipe::for_network(Arc::new(data), network())
        }
    }

    fn trained(recipe: &Recipe) -> (Trained, Vec<Checkpoint>) {
        let mut checkpoints = Vec::new();
        let training = Training::new(&Engine::cpu(), recipe).unwrap();
        let trained = training.run_watched(|event| {
            if let Event::Pause(pause) = event {
                checkpoints.push(pause.checkpoint().unwrap());
            }
            ControlFlow::Continue(())
        });
        (trained.unwrap(), checkpoints)
    }

    #[test]
    fn episodes_are_drawn_by_seed_meta_step_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "all.safetensors", 50, None);
        let recipe = recipe(Data::read(&path, None, &network()).unwrap());
        let source = recipe.source(Purpose::Training);
        let numbers = |seed: u64, population, meta_step| {
            let source = crate::tasks::EpisodeSource {
                seed,
                ..source.clone()
            };
            let episodes = source.episodes(population, meta_step).unwrap();
            let first = episodes.input.slice(ndarray::s![.., .., 0, 0]).to_owned();
            let Objective::Target { target, .. } = episodes.objective else {
                panic!("there is one")
            };
            // A target is that of its input.
            for (number, target) in first.iter().zip(target.slice(ndarray::s![.., .., 2, 0])) {
                assert_eq!(0.1 * number, *target);
            }
            first
        };
        let all = numbers(5, 3, 7);
        assert_eq!(all, numbers(5, 3, 7));
        assert_eq!(all.row(2), numbers(7, 1, 7).row(0));
        assert_ne!(all, numbers(5, 3, 8));
        // About as often each.
        let mut counts = [0; 50];
        for meta_step in 0..500 {
            for number in numbers(0, 1, meta_step).iter() {
                counts[*number as usize] += 1;
            }
        }
        assert!(
            counts.iter().all(|count| (15..70).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_run_goes_on_and_its_recipe_runs_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "all.safetensors", 9, Some([0.0, 1.0, 1.0]));
        let other = file(folder.path(), "other.safetensors", 5, Some([0.0, 1.0, 1.0]));
        let data = Data::read(&path, Some(&other), &network()).unwrap();
        let recipe = recipe(data.solved_below(0.25));
        let (whole, checkpoints) = trained(&recipe);
        for checkpoint in [0, 5, checkpoints.len() - 1] {
            let training = Training::resume(&Engine::cpu(), checkpoints[checkpoint].clone());
            let again = training
                .unwrap()
                .run(|_| ControlFlow::Continue(()))
                .unwrap();
            assert_eq!(again.parameters, whole.parameters);
            assert_eq!(again.history, whole.history);
        }
        let text = recipe.to_toml();
        let read = Recipe::from_toml(&text, "test").unwrap();
        assert_eq!(read, recipe, "{text}");
        assert_eq!(
            Recipe::from_toml(&recipe.to_commented_toml(), "test").unwrap(),
            recipe
        );
        assert_eq!(trained(&read).0.parameters, whole.parameters);
        assert_eq!(read.task.solved_below(), 0.25);
        assert!(!read.task.counts(0) && read.task.counts(1));
        // A network of a population is that of its seed alone.
        let alone = trained(&Recipe {
            seed: 2,
            population: 1,
            ..recipe.clone()
        })
        .0;
        assert_eq!(alone.parameters.network(0), whole.parameters.network(2));
    }

    #[test]
    fn the_frozen_end_and_an_evaluation_are_of_the_validation() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "all.safetensors", 9, None);
        // One episode, so that its error is known.
        let one = file(folder.path(), "one.safetensors", 1, None);
        let recipe = recipe(Data::read(&path, Some(&one), &network()).unwrap());
        let (trained, _) = trained(&recipe);
        let of_one = Evaluation::of_run(&Engine::cpu(), &recipe, &trained.parameters, 0, 1);
        let error = of_one.unwrap().mean_error();
        for (network, error) in trained.networks.iter().zip(error) {
            let found = network.final_error.unwrap();
            assert!((found - error).abs() < 1e-5 * error, "{found} {error}");
        }
        // The only episode of the validation has number 0.
        for (purpose, is_of_one) in [(Purpose::Training, false), (Purpose::Validation, true)] {
            let input = recipe.source(purpose).episodes(3, 0).unwrap().input;
            let mut numbers = input
                .slice(ndarray::s![.., .., 0, 0])
                .to_owned()
                .into_iter();
            assert_eq!(numbers.all(|number| number == 0.0), is_of_one);
        }
        // In order, and then again.
        let source = crate::tasks::EpisodeSource {
            task: Arc::new(Data::read(&path, None, &network()).unwrap()),
            batch: BATCH,
            ..recipe.source(Purpose::Evaluation)
        };
        for batch in 0..2 {
            let input = source.episodes(1, batch).unwrap().input;
            for (place, number) in input.slice(ndarray::s![0, .., 0, 0]).iter().enumerate() {
                assert_eq!(*number as usize, (batch as usize * BATCH + place) % 9);
            }
        }
    }

    /// As many masks as episodes, of which the first ones are `first`, and the others the last of these.
    fn masks(folder: &Path, name: &str, count: usize, first: &[[f32; 3]]) -> PathBuf {
        let of = |n: usize| first[n.min(first.len() - 1)];
        let all = (0..count).flat_map(of).collect();
        masked(folder, name, count, Some((vec![1, count, 3], all)))
    }

    #[test]
    fn masks_by_episode_that_are_all_the_same_are_one_mask() {
        let folder = tempfile::tempdir().unwrap();
        let mask = [0.0, 1.0, 1.0];
        let one = file(folder.path(), "one.safetensors", 9, Some(mask));
        let each = masks(folder.path(), "each.safetensors", 9, &[mask]);
        for (population, batch) in [(3, 4), (1, 1), (2, 9)] {
            let [one, each] = [&one, &each].map(|path| {
                let recipe = Recipe {
                    population,
                    batch,
                    ..recipe(Data::read(path, None, &network()).unwrap())
                };
                let trained = trained(&recipe).0;
                let read = Recipe::from_toml(&recipe.to_toml(), "test").unwrap();
                assert_eq!(read, recipe);
                let engine = Engine::cpu();
                let evaluation = Evaluation::of_run(&engine, &read, &trained.parameters, 0, 70);
                (trained, evaluation.unwrap())
            });
            assert_eq!(one.0.parameters, each.0.parameters);
            assert_eq!(one.0.history, each.0.history);
            let errors = one.1.mean_error().into_iter().zip(each.1.mean_error());
            for (one, each) in errors {
                assert!((one - each).abs() < 1e-12 * one, "{one} {each}");
            }
            assert_eq!(one.1.error.column(2), each.1.error.column(2));
            assert_eq!(one.1.counted, each.1.counted);
        }
    }

    #[test]
    fn errors_are_of_the_steps_that_count_in_each_episode() {
        let folder = tempfile::tempdir().unwrap();
        let first = [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]];
        let path = masks(folder.path(), "masks.safetensors", 5, &first);
        let recipe = recipe(Data::read(&path, None, &network()).unwrap());
        assert!(recipe.to_toml().contains("\"by episode\""));
        let (trained, checkpoints) = trained(&recipe);
        let resumed = Training::resume(&Engine::cpu(), checkpoints[3].clone()).unwrap();
        let resumed = resumed.run(|_| ControlFlow::Continue(())).unwrap();
        assert_eq!(resumed.history, trained.history);
        // What the networks put out is linear: errors by hand. Episode `n` shows `n` and 0.25 at all steps, and asks for `0.1 k`
        // at its step `k`, counted over all episodes.
        let engine = Engine::cpu();
        let evaluation = Evaluation::of_run(&engine, &recipe, &trained.parameters, 0, 5).unwrap();
        assert_eq!(evaluation.counted, [true, true, false]);
        for (index, error) in evaluation.mean_error().into_iter().enumerate() {
            let values = trained.parameters.network(index);
            let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            let [first, second, bias] = values[..] else {
                panic!("{values:?}")
            };
            let of = |n: usize, t: usize| {
                let output = first * n as f64 + second * 0.25 + bias;
                (output - 0.1 * n as f64).powi(2) * f64::from(u8::from(t < 1 + usize::from(n > 0)))
            };
            let sum: f64 = (0..5).map(|n| of(n, 0) + of(n, 1)).sum();
            assert!((error - sum / 9.0).abs() < 1e-5 * error, "{error} {sum}");
        }
    }

    #[test]
    fn a_file_that_has_changed_is_refused_with_both_digests() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "all.safetensors", 9, None);
        let text = recipe(Data::read(&path, None, &network()).unwrap()).to_toml();
        let before = format!("{:032x}", xxh3_128(&std::fs::read(&path).unwrap()));
        assert!(text.contains(&before));
        file(folder.path(), "all.safetensors", 9, Some([1.0, 1.0, 1.0]));
        let after = format!("{:032x}", xxh3_128(&std::fs::read(&path).unwrap()));
        // What is said of the run can be read all the same.
        let recipe = Recipe::from_toml(&text, "test").unwrap();
        let error = Training::new(&Engine::cpu(), &recipe)
            .unwrap_err()
            .to_string();
        for part in [&before, &after, &path.display().to_string()] {
            assert!(error.contains(part.as_str()), "{error}");
        }
        let parameters = crate::parameters::Parameters::new(&network(), 3).unwrap();
        Evaluation::of_run(&Engine::cpu(), &recipe, &parameters, 0, 1).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        Training::new(&Engine::cpu(), &recipe).unwrap_err();
    }

    #[test]
    fn what_cannot_be_drawn_from_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "all.safetensors", 9, None);
        let read = |path: &Path, network: &Network| {
            Data::read(path, None, network).unwrap_err().to_string()
        };
        let wide = Network::new(Loss::SquaredError, [Dense::new(3, 1)]).unwrap();
        let error = read(&path, &wide);
        assert!(
            error.contains("input") && error.contains("I = 3"),
            "{error}"
        );
        let none = file(folder.path(), "none.safetensors", 0, None);
        assert!(read(&none, &network()).contains("zero"));
        for (mask, part) in [([0.5, 1.0, 1.0], "0.5"), ([0.0; 3], "count")] {
            let path = file(folder.path(), "mask.safetensors", 9, Some(mask));
            let error = read(&path, &network());
            assert!(error.contains(part) && error.contains("mask"), "{error}");
        }
        let empty = masks(folder.path(), "masks.safetensors", 9, &[[1.0; 3], [0.0; 3]]);
        let error = read(&empty, &network());
        assert!(
            error.contains("episode 1") && error.contains("mask"),
            "{error}"
        );
        let halves = masks(folder.path(), "masks.safetensors", 9, &[[0.5; 3]]);
        assert!(read(&halves, &network()).contains("0.5"));
        let each = masks(folder.path(), "masks.safetensors", 9, &[[1.0; 3]]);
        let error = Data::read(&path, Some(&each), &network())
            .unwrap_err()
            .to_string();
        assert!(error.contains("by episode"), "{error}");
        let recipe = Recipe {
            batch: 10,
            ..recipe(Data::read(&path, None, &network()).unwrap())
        };
        let error = recipe.check().unwrap_err().to_string();
        assert!(
            error.contains("batch") && error.contains("9 episodes"),
            "{error}"
        );
        let masked = file(
            folder.path(),
            "masked.safetensors",
            9,
            Some([0.0, 1.0, 1.0]),
        );
        let error = Data::read(&path, Some(&masked), &network())
            .unwrap_err()
            .to_string();
        assert!(error.contains("masked") && error.contains("1-2"), "{error}");
    }
}
