//! A run: training, then the frozen end that measures the final error.

use super::evaluation::{Evaluation, require_memory};
use super::recipe::Recipe;
use super::statistics::Statistics;
use crate::computation::Failure;
use crate::engine::Engine;
use crate::engine::Learner;
use crate::error::Result;
use crate::memory;
use crate::named::named;
use crate::parameters::{Layout, Parameters};
use crate::random::Purpose;
use crate::tasks::EpisodeSource;
use crate::zip::zip_eq;
use serde::Serialize;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

/// Reports of a run with enough episodes.
const REPORTS: u32 = 200;

/// The most synapse-steps between reports: some seconds on two processor cores, so that whoever waits sees progress, and
/// a millisecond on a large GPU, beside which the report takes little.
const SYNAPSE_STEPS_PER_REPORT: u64 = 1 << 30;

/// Synapse-steps before the first pause, when nothing is known of the engine's speed: a tenth of a second at the most.
const SYNAPSE_STEPS_AT_FIRST: u64 = 1 << 22;

/// A meta-step that takes longer is one that nobody wants to wait for.
const LONG: Duration = Duration::from_millis(250);

named! {
    /// What a part of a run was for.
    #[non_exhaustive]
    pub enum Phase ("phase") {
        /// Parameters followed their gradients.
        Training = "training",
        /// Parameters stood still, to measure the final error.
        Frozen = "frozen",
    }
}

/// One part of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Episodes that each network has seen by now.
    pub episode: u64,
    /// What this part was for.
    pub phase: Phase,
    /// Per network, the error per counted step, mean over the episodes since the last report.
    pub error: Vec<f64>,
    /// Networks that have failed by now.
    pub failed: usize,
}

/// What came of one network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NetworkResult {
    /// Its seed.
    pub seed: u64,
    /// Mean error per counted step over the frozen episodes. If the run was stopped before their end: over the last
    /// reports that together have as many episodes, or over all; `None` if there was none.
    pub final_error: Option<f64>,
    /// The fraction of wrong answers on as many fresh episodes as ran frozen, where the task judges networks by that; `None`
    /// if the run was stopped.
    pub wrong: Option<f64>,
    /// Whether the final error, or what else the task judges by, is below its threshold, and the network has not failed.
    pub solved: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trained {
    /// The parameters at the end.
    pub parameters: Parameters<f32>,
    /// Every report, in order; of a run that was stopped the last one is of the part that was under way.
    pub history: Vec<Report>,
    /// Every network, in order.
    pub networks: Vec<NetworkResult>,
    /// Networks that stopped learning because a loss or gradient was not finite.
    pub failures: Vec<Failure>,
    /// Whether the observer stopped the run before its end.
    pub stopped: bool,
}

impl Trained {
    /// How many networks solved the task.
    pub fn solved(&self) -> usize {
        self.networks
            .iter()
            .filter(|network| network.solved)
            .count()
    }

    /// The statistics of the final errors; `None` if the run was stopped before there were any.
    pub fn final_error(&self) -> Option<Statistics> {
        let errors: Option<Vec<f64>> = self.networks.iter().map(|n| n.final_error).collect();
        Statistics::of(&errors?)
    }
}

/// A run that is about to start: everything is checked and on the device.
#[derive(Debug)]
pub struct Training {
    recipe: Recipe,
    learner: Learner,
    engine: Engine,
}

impl Training {
    /// Checks the recipe, draws the initial parameters and takes them to the device.
    ///
    /// # Errors
    /// If a setting is out of range, memory is short, or the device fails.
    pub fn new(engine: &Engine, recipe: &Recipe) -> Result<Self> {
        recipe.check()?;
        require_results(recipe)?;
        let Recipe {
            network,
            initial,
            population,
            seed,
            ..
        } = recipe;
        let parameters = Parameters::initialise(network, initial, *population, *seed)?;
        let learner = engine.learner(
            network,
            &parameters,
            std::slice::from_ref(&recipe.optimiser),
        )?;
        require_results(recipe)?;
        Ok(Self {
            recipe: recipe.clone(),
            learner,
            engine: engine.clone(),
        })
    }

    /// Runs to the end, or until `observe`, which is called after every report, says to stop.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(self, mut observe: impl FnMut(&Report) -> ControlFlow<()>) -> Result<Trained> {
        self.run_watched(|event| match event {
            Event::Report(report) => observe(report),
            Event::Pause(_) => ControlFlow::Continue(()),
        })
    }

    /// As [`Training::run`], for who wants to stop it sooner than at a report: `observe` is called some ten times a
    /// second as well, unless one meta-step takes longer. When these pauses come is by the clock, and changes no result.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run_watched(
        self,
        mut observe: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Trained> {
        let mut run = Run::new(self);
        while !run.is_over() {
            let pause = Event::Pause(Pause { run: &run });
            if observe(pause).is_break() {
                return run.end(None);
            }
            let is_first = run.at == 0;
            if let Some(report) = run.go_on()?
                && observe(Event::Report(report)).is_break()
            {
                return run.end(None);
            }
            // The engine has its working memory by now, and keeps it.
            if is_first {
                require_results(&run.recipe)?;
            }
        }
        if !run.recipe.task.is_judged_by_answers() {
            return run.end(None);
        }
        let pause = Event::Pause(Pause { run: &run });
        if observe(pause).is_break() {
            return run.end(None);
        }
        let wrong = run.wrong_answers()?;
        run.end(Some(wrong))
    }
}

/// What a run that goes on tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// One part of it is done.
    Report(&'a Report),
    /// It could stop here, in the midst of a part.
    Pause(Pause<'a>),
}

/// A run between two of its meta-steps.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pause<'a> {
    run: &'a Run,
}

impl Pause<'_> {
    /// Whether it may be long until the next pause: single meta-steps are, or a device may first have to compile what a
    /// phase needs, or answers are counted at the end.
    pub fn is_before_long_step(&self) -> bool {
        let pace = &self.run.pace;
        self.run.is_before_phase()
            || self.run.is_over()
            || pace.meta_steps == 1 && pace.last.is_none_or(|it| it > LONG)
    }

    /// What came of the run, were it stopped here.
    ///
    /// # Errors
    /// If the device fails.
    pub fn so_far(&self) -> Result<Trained> {
        self.run.trained(self.run.history.clone(), None)
    }
}

/// A run that has begun.
#[derive(Debug)]
struct Run {
    recipe: Recipe,
    learner: Learner,
    engine: Engine,
    source: EpisodeSource,
    pace: Pace,
    /// Meta-steps done.
    at: u32,
    history: Vec<Report>,
    /// The part that is under way.
    part: Option<Part>,
    /// Per network, the sum of the errors of the frozen meta-steps.
    frozen_sums: Vec<f64>,
}

/// What lies between two reports.
#[derive(Clone, Debug)]
struct Part {
    phase: Phase,
    meta_steps: Range<u32>,
    /// Per network, mean over what is done of it.
    error: Vec<f64>,
}

impl Run {
    fn new(training: Training) -> Self {
        let Training {
            recipe,
            learner,
            engine,
        } = training;
        Self {
            source: recipe.source(Purpose::Training),
            pace: Pace::new(&recipe),
            at: 0,
            history: Vec::new(),
            part: None,
            frozen_sums: vec![0.0; recipe.population],
            recipe,
            learner,
            engine,
        }
    }

    fn is_over(&self) -> bool {
        self.at == self.recipe.meta_steps()
    }

    /// Whether the next meta-step is the first of its phase.
    fn is_before_phase(&self) -> bool {
        self.at == 0 || self.at == self.frozen_from()
    }

    fn frozen_from(&self) -> u32 {
        self.recipe.meta_steps() - self.recipe.frozen_meta_steps()
    }

    /// The part that begins at the present meta-step.
    fn next_part(&self) -> Part {
        let (total, frozen_from) = (self.recipe.meta_steps(), self.frozen_from());
        let (phase, end) = if self.at < frozen_from {
            (Phase::Training, frozen_from)
        } else {
            (Phase::Frozen, total)
        };
        let piece = meta_steps_per_report(&self.recipe);
        Part {
            phase,
            meta_steps: self.at..end.min(self.at.saturating_add(piece)),
            error: Vec::new(),
        }
    }

    /// Some more meta-steps, about as many as take a tenth of a second; the report, if that ends its part.
    fn go_on(&mut self) -> Result<Option<&Report>> {
        let mut part = self.part.take().unwrap_or_else(|| self.next_part());
        let Range { start, end } = part.meta_steps;
        let to = end.min(self.at.saturating_add(self.pace.meta_steps));
        let begin = Instant::now();
        let learn = part.phase == Phase::Training;
        part.error = self
            .learner
            .go_on(&self.source, start, self.at..to, learn)?;
        self.pace.took(to - self.at, begin.elapsed());
        self.at = to;
        if to < end {
            self.part = Some(part);
            return Ok(None);
        }
        if part.phase == Phase::Frozen {
            for (sum, error) in zip_eq(&mut self.frozen_sums, &part.error) {
                *sum += error * f64::from(end - start);
            }
        }
        let failed = self.learner.failures()?.len();
        self.history.push(self.report(part, failed));
        Ok(self.history.last())
    }

    /// The report of a part, as far as it is done.
    fn report(&self, part: Part, failed: usize) -> Report {
        Report {
            episode: u64::from(self.at) * self.recipe.batch as u64,
            phase: part.phase,
            error: part.error,
            failed,
        }
    }

    fn end(mut self, wrong: Option<Vec<f64>>) -> Result<Trained> {
        let history = std::mem::take(&mut self.history);
        self.trained(history, wrong)
    }

    /// Per network, the fraction of wrong answers on fresh episodes. One network at a time, since a large population's episodes
    /// would take much memory.
    fn wrong_answers(&self) -> Result<Vec<f64>> {
        let Recipe {
            network,
            task,
            seed,
            batch,
            ..
        } = &self.recipe;
        let episodes = u64::from(self.recipe.frozen_meta_steps()) * *batch as u64;
        let parameters = self.learner.parameters()?;
        let wrong = |index: usize| {
            let own = parameters.slice(index..index + 1);
            let seed = seed.wrapping_add(index as u64);
            let evaluation = Evaluation::new(&self.engine, network, &own, task, seed, episodes)?;
            Ok(1.0 - evaluation.mean_accuracy()[0])
        };
        (0..self.recipe.population).map(wrong).collect()
    }

    /// What has come of it, with the reports so far, and the fractions of wrong answers where the task judges by them: a run
    /// that ends without is one that was stopped.
    fn trained(&self, mut history: Vec<Report>, wrong: Option<Vec<f64>>) -> Result<Trained> {
        let is_judged = wrong.is_some() || !self.recipe.task.is_judged_by_answers();
        let stopped = !(self.is_over() && is_judged);
        let failures = self.learner.failures()?;
        if let Some(part) = &self.part {
            history.push(self.report(part.clone(), failures.len()));
        }
        let frozen = self.recipe.frozen_meta_steps();
        let final_errors = match stopped {
            false => {
                let means = self.frozen_sums.iter().map(|sum| sum / f64::from(frozen));
                Some(means.collect())
            }
            true => last_errors(&history, u64::from(frozen) * self.recipe.batch as u64),
        };
        let networks = (0..self.recipe.population).map(|index| {
            let final_error = final_errors.as_ref().map(|errors: &Vec<f64>| errors[index]);
            let failed = failures.iter().any(|failure| failure.network == index);
            let wrong = wrong.as_ref().map(|wrong| wrong[index]);
            let task = &self.recipe.task;
            let judged = match task.is_judged_by_answers() {
                true => wrong,
                false => final_error,
            };
            NetworkResult {
                seed: self.recipe.seed.wrapping_add(index as u64),
                final_error,
                wrong,
                solved: !failed && judged.is_some_and(|value| value < task.solved_below()),
            }
        });
        Ok(Trained {
            parameters: self.learner.parameters()?,
            networks: networks.collect(),
            history,
            failures,
            stopped,
        })
    }
}

/// Fails unless memory has room for what a run leaves: its reports, and the parameters twice more than the engine has
/// them, once as they are in their file.
fn require_results(recipe: &Recipe) -> Result<()> {
    if recipe.task.is_judged_by_answers() {
        require_memory(1, &*recipe.task)?;
    }
    let reports = recipe.meta_steps() / meta_steps_per_report(recipe) + 2;
    let parameters = Layout::new(&recipe.network)?.size();
    let each = u128::from(reports) * size_of::<f64>() as u128
        + 3 * parameters as u128 * size_of::<f32>() as u128
        + 2 * size_of::<NetworkResult>() as u128;
    memory::require(
        &format!("population of {} (results of the run)", recipe.population),
        recipe.population as u128 * each,
    )
}

/// Per network, the mean error over the last reports that together have `episodes` episodes, or over all; `None` if there
/// is no report.
fn last_errors(history: &[Report], episodes: u64) -> Option<Vec<f64>> {
    let mut sums = vec![0.0; history.first()?.error.len()];
    let mut count = 0;
    for (index, report) in history.iter().enumerate().rev() {
        let before = index
            .checked_sub(1)
            .map_or(0, |index| history[index].episode);
        let here = report.episode - before;
        for (sum, error) in sums.iter_mut().zip(&report.error) {
            *sum += error * here as f64;
        }
        count += here;
        if count >= episodes {
            break;
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= count as f64);
    Some(sums)
}

/// How many meta-steps lie between two pauses: as many as take a tenth of a second or so. Results do not depend on it.
#[derive(Clone, Debug)]
struct Pace {
    meta_steps: u32,
    /// How long those before the last pause took.
    last: Option<Duration>,
}

impl Pace {
    fn new(recipe: &Recipe) -> Self {
        let meta_steps = SYNAPSE_STEPS_AT_FIRST / recipe.synapse_steps().max(1);
        Self {
            meta_steps: u32::try_from(meta_steps).unwrap_or(u32::MAX).max(1),
            last: None,
        }
    }

    fn took(&mut self, meta_steps: u32, time: Duration) {
        self.last = Some(time);
        if time > Duration::from_millis(150) {
            self.meta_steps = (meta_steps / 2).max(1);
        } else if time < Duration::from_millis(50) && meta_steps == self.meta_steps {
            self.meta_steps = meta_steps.saturating_mul(2);
        }
    }
}

/// Meta-steps from one report to the next: a function of the recipe alone, so that equal runs report equally.
fn meta_steps_per_report(recipe: &Recipe) -> u32 {
    let by_count = recipe.meta_steps().div_ceil(REPORTS);
    let by_work = SYNAPSE_STEPS_PER_REPORT / recipe.synapse_steps().max(1);
    by_count
        .min(u32::try_from(by_work).unwrap_or(u32::MAX))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::tasks::{Association, Completion, PatternMemory, Task};
    use std::sync::Arc;

    fn paper(task: Association) -> Recipe {
        Recipe::new(Arc::new(task)).unwrap()
    }

    fn run(recipe: &Recipe) -> Trained {
        let training = Training::new(&Engine::cpu(), recipe).unwrap();
        training.run(|_| ControlFlow::Continue(())).unwrap()
    }

    fn short() -> Recipe {
        Recipe {
            population: 3,
            episodes: 400,
            ..paper(Association::ONE_SHOT)
        }
    }

    #[test]
    fn a_run_reports_every_episode_once_and_freezes_at_the_end() {
        let trained = run(&short());
        assert_eq!(trained.history.last().unwrap().episode, 400);
        let frozen: Vec<_> = trained
            .history
            .iter()
            .filter(|report| report.phase == Phase::Frozen)
            .collect();
        assert_eq!(frozen[0].episode, 360 + 2);
        let mean = frozen.iter().map(|report| report.error[1]).sum::<f64>() / frozen.len() as f64;
        assert!((trained.networks[1].final_error.unwrap() - mean).abs() < 1e-12);
        assert!(!trained.stopped && trained.failures.is_empty());
    }

    #[test]
    fn equal_runs_are_equal_and_a_network_is_the_same_alone() {
        let (first, second) = (run(&short()), run(&short()));
        assert_eq!(first.parameters, second.parameters);
        assert_eq!(first.history, second.history);
        let alone = run(&Recipe {
            population: 1,
            seed: 2,
            ..short()
        });
        assert_eq!(alone.parameters.network(0), first.parameters.network(2));
        assert_eq!(alone.networks[0], first.networks[2]);
    }

    #[test]
    fn the_observer_can_stop_a_run() {
        let training = Training::new(&Engine::cpu(), &short()).unwrap();
        let mut reports = 0;
        let trained = training
            .run(|_| {
                reports += 1;
                if reports == 5 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        assert!(trained.stopped);
        assert_eq!(trained.history.len(), 5);
        // 40 frozen episodes would have been the last; a report has two.
        let error = |network: usize| {
            let errors = trained.history.iter().map(|report| report.error[network]);
            errors.sum::<f64>() / 5.0
        };
        for (index, network) in trained.networks.iter().enumerate() {
            assert!((network.final_error.unwrap() - error(index)).abs() < 1e-12);
        }
    }

    #[test]
    fn pauses_change_no_bits_wherever_they_are() {
        let whole = run(&short());
        for pieces in [1, 3, 1_000] {
            let mut run = Run::new(Training::new(&Engine::cpu(), &short()).unwrap());
            while !run.is_over() {
                run.pace.meta_steps = pieces;
                run.go_on().unwrap();
            }
            let trained = run.end(None).unwrap();
            assert_eq!(trained.parameters, whole.parameters);
            assert_eq!(trained.history, whole.history);
            assert_eq!(trained.networks, whole.networks);
        }
    }

    #[test]
    fn a_run_that_is_stopped_between_reports_says_what_it_had_reached() {
        let recipe = Recipe {
            episodes: 40_000,
            ..short()
        };
        let training = Training::new(&Engine::cpu(), &recipe).unwrap();
        let trained = training
            .run_watched(|event| match event {
                Event::Pause(pause) if !pause.run.at.is_multiple_of(200) => ControlFlow::Break(()),
                Event::Pause(pause) => {
                    assert_eq!(pause.so_far().unwrap().parameters.population(), 3);
                    ControlFlow::Continue(())
                }
                Event::Report(_) => ControlFlow::Continue(()),
            })
            .unwrap();
        assert!(trained.stopped);
        let last = trained.history.last().unwrap();
        assert!(!last.episode.is_multiple_of(200) && last.episode < 40_000);
        assert_eq!(last.error.len(), 3);
        // The parameters are those of a run that ends there.
        let at = last.episode;
        let mut shorter = Run::new(Training::new(&Engine::cpu(), &recipe).unwrap());
        shorter.pace.meta_steps = 1;
        while u64::from(shorter.at) < at {
            shorter.pace.meta_steps = 1;
            shorter.go_on().unwrap();
        }
        let other = shorter.end(None).unwrap();
        assert_eq!(other.parameters, trained.parameters);
        assert_eq!(other.history, trained.history);
        assert!(trained.final_error().unwrap().median.is_finite());
    }

    #[test]
    fn a_run_that_is_stopped_at_once_has_reached_nothing() {
        let training = Training::new(&Engine::cpu(), &short()).unwrap();
        let trained = training.run_watched(|_| ControlFlow::Break(())).unwrap();
        assert!(trained.stopped && trained.history.is_empty());
        assert_eq!(trained.final_error(), None);
    }

    #[test]
    fn networks_that_are_not_finite_are_reported_and_keep_their_parameters() {
        let recipe = Recipe {
            initial: crate::parameters::Initial {
                scale: 1e25,
                ..Default::default()
            },
            ..Recipe::new(Arc::new(Completion::PAPER)).unwrap()
        };
        let trained = run(&Recipe {
            population: 2,
            episodes: 50,
            ..recipe
        });
        let failed: Vec<_> = trained.failures.iter().map(|f| f.network).collect();
        assert_eq!(failed, [0, 1]);
        assert_eq!(trained.failures[0].episode, 0);
        assert_eq!(trained.failures[0].tensor, "loss");
        assert_eq!(trained.solved(), 0);
        assert_eq!(trained.final_error().unwrap().median, f64::INFINITY);
        assert!(trained.parameters.values().iter().all(|v| v.is_finite()));
    }

    #[test]
    fn a_run_that_no_memory_holds_is_refused() {
        let recipe = Recipe {
            population: 1 << 50,
            ..short()
        };
        let error = Training::new(&Engine::cpu(), &recipe).unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{error}");
    }

    #[test]
    fn a_run_that_is_stopped_before_answers_are_counted_is_a_part() {
        let task = PatternMemory::SMALL.with_settings(&"bits = 4".parse().unwrap());
        let recipe = Recipe {
            population: 2,
            episodes: 30,
            ..Recipe::new(task.unwrap()).unwrap()
        };
        let run = |stops: bool| {
            let training = Training::new(&Engine::cpu(), &recipe).unwrap();
            let trained = training.run_watched(|event| match event {
                Event::Pause(pause) if stops && pause.run.is_over() => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            });
            trained.unwrap()
        };
        let [whole, part] = [false, true].map(run);
        assert!(!whole.stopped && part.stopped);
        assert_eq!(whole.history, part.history);
        for (whole, part) in zip_eq(&whole.networks, &part.networks) {
            let wrong = whole.wrong.unwrap();
            assert!((0.0..=1.0).contains(&wrong));
            assert_eq!(whole.solved, wrong < 0.01);
            assert_eq!((part.wrong, part.solved), (None, false));
            let errors = [whole, part].map(|network| network.final_error.unwrap());
            assert!((errors[0] - errors[1]).abs() < 1e-9 * errors[0]);
        }
    }
}
