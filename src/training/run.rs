//! A run: training, then the frozen end that measures the final error.

use super::checkpoint::{Checkpoint, Progress};
use super::evaluation::{Evaluation, require_memory};
use super::pace::{Pace, frozen_from, most_reports, part_end, phase};
use super::recipe::Recipe;
use super::trained::{NetworkResult, Phase, Report, Trained};
use crate::engine::Engine;
use crate::engine::Learner;
use crate::error::Result;
use crate::memory;
use crate::parameters::{Layout, Parameters};
use crate::random::Purpose;
use crate::tasks::EpisodeSource;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// A meta-step that takes longer is one that nobody wants to wait for.
const LONG: Duration = Duration::from_millis(250);

/// A run that is about to start or to go on: everything is checked and on the device.
#[derive(Debug)]
pub struct Training {
    recipe: Recipe,
    learner: Learner,
    engine: Engine,
    progress: Progress,
}

impl Training {
    /// Checks the recipe, draws the initial parameters and takes them to the device.
    ///
    /// # Errors
    /// If a setting is out of range, memory is short, or the device fails.
    pub fn new(engine: &Engine, recipe: &Recipe) -> Result<Self> {
        recipe.check()?;
        recipe.require_one_population()?;
        recipe.task.prepare()?;
        require_results(recipe)?;
        let parameters = recipe.initial_parameters()?;
        Self::from_parameters(engine, recipe, &parameters)
    }

    /// As [`Training::new`], from given parameters: those of another run, say.
    ///
    /// # Errors
    /// As [`Training::new`], or if the parameters do not fit the recipe's network and population.
    pub fn from_parameters(
        engine: &Engine,
        recipe: &Recipe,
        parameters: &Parameters<f32>,
    ) -> Result<Self> {
        recipe.check()?;
        recipe.require_one_population()?;
        recipe.task.prepare()?;
        require_results(recipe)?;
        let layout = Layout::new(&recipe.network)?;
        parameters.check_shape("parameters", &layout, recipe.networks())?;
        let learner = engine.learner(&recipe.network, parameters, &recipe.optimisers()?)?;
        require_results(recipe)?;
        Ok(Self {
            progress: Progress::none(recipe),
            recipe: recipe.clone(),
            learner,
            engine: engine.clone(),
        })
    }

    /// A run that goes on from where it was: on the same engine and device it ends with the bits of one that was not
    /// interrupted.
    ///
    /// # Errors
    /// As [`Training::new`], or if the checkpoint is not one of its recipe.
    pub fn resume(engine: &Engine, checkpoint: Checkpoint) -> Result<Self> {
        checkpoint.check()?;
        let Checkpoint {
            recipe,
            progress,
            state,
        } = checkpoint;
        let mut training = Self::from_parameters(engine, &recipe, &state.parameters)?;
        training.learner.set_state(&state)?;
        training.progress = progress;
        Ok(training)
    }

    /// Every setting of the run.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Episodes that each network has seen.
    pub fn episode(&self) -> u64 {
        u64::from(self.progress.meta_steps) * self.recipe.batch as u64
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

    /// As [`Training::run`], for who wants to stop it sooner than at a report, or to save where it is: `observe` is called
    /// some ten times a second as well, unless one meta-step takes longer, and before each phase. When the other pauses come is
    /// by the clock, and changes no result.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run_watched(
        self,
        mut observe: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Trained> {
        let mut run = Run::new(self);
        let mut is_first = true;
        while !run.is_over() {
            let pause = Event::Pause(Pause { run: &run });
            if observe(pause).is_break() {
                return run.trained(None);
            }
            if let Some(report) = run.go_on()?
                && observe(Event::Report(report)).is_break()
            {
                return run.trained(None);
            }
            // The engine has its working memory by now, and keeps it.
            if is_first {
                require_results(run.recipe())?;
                is_first = false;
            }
        }
        if !run.recipe().task.is_judged_by_answers() {
            return run.trained(None);
        }
        let pause = Event::Pause(Pause { run: &run });
        if observe(pause).is_break() {
            return run.trained(None);
        }
        let wrong = run.wrong_answers()?;
        run.trained(Some(&wrong))
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

    /// Whether everything has been learned, and nothing yet measured with frozen parameters.
    pub fn is_end_of_training(&self) -> bool {
        self.run.training.progress.meta_steps == frozen_from(self.run.recipe())
    }

    /// Episodes that each network has seen.
    pub fn episode(&self) -> u64 {
        self.run.training.episode()
    }

    /// The run as it is here, to go on from later.
    ///
    /// # Errors
    /// If memory is short or the device fails.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let Training {
            recipe,
            learner,
            progress,
            ..
        } = &self.run.training;
        Ok(Checkpoint {
            recipe: recipe.clone(),
            progress: progress.clone(),
            state: learner.state()?,
        })
    }
}

/// A run that goes on.
#[derive(Debug)]
struct Run {
    training: Training,
    source: EpisodeSource,
    /// Of the frozen end.
    frozen: EpisodeSource,
    pace: Pace,
}

impl Run {
    fn new(training: Training) -> Self {
        Self {
            source: training.recipe.source(Purpose::Training),
            frozen: training
                .recipe
                .source(match training.recipe.task.has_validation() {
                    true => Purpose::Validation,
                    false => Purpose::Training,
                }),
            pace: Pace::new(&training.recipe),
            training,
        }
    }

    fn recipe(&self) -> &Recipe {
        &self.training.recipe
    }

    fn is_over(&self) -> bool {
        self.training.progress.is_over(self.recipe())
    }

    /// Whether the next meta-step is the first of its phase.
    fn is_before_phase(&self) -> bool {
        let at = self.training.progress.meta_steps;
        at == 0 || at == frozen_from(self.recipe())
    }

    /// Some more meta-steps, about as many as take a tenth of a second; the report, if that ends their part.
    fn go_on(&mut self) -> Result<Option<&Report>> {
        let Training {
            recipe,
            learner,
            progress,
            ..
        } = &mut self.training;
        let (at, start) = (progress.meta_steps, progress.part_start());
        let end = part_end(recipe, start);
        let to = end.min(at.saturating_add(self.pace.meta_steps));
        let begin = Instant::now();
        let learn = phase(recipe, start) == Phase::Training;
        let source = if learn { &self.source } else { &self.frozen };
        let error = learner.go_on(source, start, at..to, learn)?;
        self.pace.took(to - at, begin.elapsed());
        progress.advance(to, error);
        if to < end {
            return Ok(None);
        }
        let failed = learner.failures()?.len();
        progress.end_part(recipe, failed);
        Ok(progress.history.last())
    }

    /// Per network, the fraction of wrong answers on fresh episodes. One network at a time, since a large population's episodes
    /// would take much memory.
    fn wrong_answers(&self) -> Result<Vec<f64>> {
        let recipe = self.recipe();
        let Recipe {
            network,
            task,
            batch,
            ..
        } = recipe;
        let episodes = u64::from(self.recipe().frozen_meta_steps()) * *batch as u64;
        let parameters = self.training.learner.parameters()?;
        let engine = &self.training.engine;
        let wrong = |index: usize| {
            let own = parameters.slice(index..index + 1);
            let seed = recipe.seed_of(index);
            let evaluation = Evaluation::new(engine, network, &own, task, seed, episodes)?;
            Ok(1.0 - evaluation.mean_accuracy()[0])
        };
        (0..recipe.networks()).map(wrong).collect()
    }

    /// What has come of it, with the fractions of wrong answers if they have been counted.
    fn trained(&self, wrong: Option<&[f64]>) -> Result<Trained> {
        let Training {
            recipe,
            learner,
            progress,
            ..
        } = &self.training;
        let (parameters, failures) = (learner.parameters()?, learner.failures()?);
        Ok(progress.trained(recipe, parameters, failures, wrong))
    }
}

/// Fails unless memory has room for what a run leaves: its reports, and the parameters twice more than the engine has
/// them, once as they are in their file.
fn require_results(recipe: &Recipe) -> Result<()> {
    if recipe.task.is_judged_by_answers() {
        require_memory(1, &*recipe.task)?;
    }
    let parameters = Layout::new(&recipe.network)?.size();
    let each = u128::from(most_reports(recipe)) * size_of::<f64>() as u128
        + 3 * parameters as u128 * size_of::<f32>() as u128
        + 2 * size_of::<NetworkResult>() as u128;
    memory::require(
        &format!("population of {} (results of the run)", recipe.networks()),
        recipe.networks() as u128 * each,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::tasks::{Association, Completion, PatternMemory, Task};
    use crate::zip::zip_eq;
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
        assert_eq!(frozen[0].episode, 360 + 360 / 64);
        let starts = std::iter::once(360).chain(frozen.iter().map(|report| report.episode));
        let sums = frozen.iter().zip(starts);
        let sums = sums.map(|(report, start)| (report.episode - start) as f64 * report.error[1]);
        let mean = sums.sum::<f64>() / 40.0;
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
        // 40 frozen episodes would have been the last; a report has one at first.
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
            let trained = run.trained(None).unwrap();
            assert_eq!(trained.parameters, whole.parameters);
            assert_eq!(trained.history, whole.history);
            assert_eq!(trained.networks, whole.networks);
        }
    }

    #[test]
    fn a_run_goes_on_from_the_midst_of_a_part() {
        let whole = run(&short());
        let mut run = Run::new(Training::new(&Engine::cpu(), &short()).unwrap());
        let mut midst = Vec::new();
        while !run.is_over() {
            run.pace.meta_steps = 1;
            run.go_on().unwrap();
            let checkpoint = Pause { run: &run }.checkpoint().unwrap();
            if checkpoint.progress.part.is_some() && checkpoint.episode().is_multiple_of(7) {
                midst.push(checkpoint);
            }
        }
        assert!(midst.len() > 10);
        for checkpoint in midst {
            let training = Training::resume(&Engine::cpu(), checkpoint).unwrap();
            let trained = training.run(|_| ControlFlow::Continue(())).unwrap();
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
        let begin = || Run::new(Training::new(&Engine::cpu(), &recipe).unwrap());
        let mut run = begin();
        while run.training.progress.part.is_none() || run.training.episode() < 700 {
            // By the clock it could be over before it pauses within a part.
            run.pace.meta_steps = 7;
            run.go_on().unwrap();
        }
        let so_far = Pause { run: &run }.checkpoint().unwrap().trained();
        let trained = run.trained(None).unwrap();
        assert_eq!(so_far.parameters, trained.parameters);
        assert!(trained.stopped);
        let last = trained.history.last().unwrap();
        assert!(last.episode < 40_000);
        assert_eq!(last.error.len(), 3);
        // The parameters are those of a run that ends there.
        let at = last.episode;
        let mut shorter = begin();
        while u64::from(shorter.training.progress.meta_steps) < at {
            shorter.pace.meta_steps = 1;
            shorter.go_on().unwrap();
        }
        let other = shorter.trained(None).unwrap();
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
