//! A run between two of its meta-steps, from which it can go on.

use super::pace::{frozen_from, part_end, phase};
use super::recipe::Recipe;
use super::trained::{NetworkResult, Phase, Report, Trained};
use crate::computation::{Failure, TrainingState};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::zip::zip_eq;

/// A run between two of its meta-steps: a run that goes on from here ends with the same bits as one that was not interrupted, on
/// the same engine and device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Every setting of the run.
    pub recipe: Recipe,
    /// How far it has come.
    pub progress: Progress,
    /// The networks and their optimisers.
    pub state: TrainingState<f32>,
}

/// How far a run has come, and what it has told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Meta-steps done.
    pub meta_steps: u32,
    /// The reports so far.
    pub history: Vec<Report>,
    /// The part that is under way; none at a report.
    pub part: Option<Part>,
    /// Per network, the sum of the errors of the frozen meta-steps that have been reported, `[P]`.
    pub frozen_errors: Vec<f64>,
}

/// What lies between two reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Part {
    /// The meta-step that it begins with.
    pub start: u32,
    /// Per network, mean over what is done of it, `[P]`.
    pub error: Vec<f64>,
}

impl Progress {
    /// Of a run that has not begun.
    pub(super) fn none(recipe: &Recipe) -> Self {
        Self {
            meta_steps: 0,
            history: Vec::new(),
            part: None,
            frozen_errors: vec![0.0; recipe.networks()],
        }
    }

    pub(super) fn is_over(&self, recipe: &Recipe) -> bool {
        self.meta_steps == recipe.meta_steps()
    }

    /// Where the part begins that is under way, or comes next.
    pub(super) fn part_start(&self) -> u32 {
        self.part
            .as_ref()
            .map_or(self.meta_steps, |part| part.start)
    }

    /// The meta-steps up to `to` are done, and the mean error of their part is `error` by now.
    pub(super) fn advance(&mut self, to: u32, error: Vec<f64>) {
        let start = self.part_start();
        self.meta_steps = to;
        self.part = Some(Part { start, error });
    }

    /// Ends the part under way with a report.
    pub(super) fn end_part(&mut self, recipe: &Recipe, failed: usize) {
        let Some(report) = self.report(recipe, failed) else {
            return;
        };
        if report.phase == Phase::Frozen {
            let meta_steps = self.meta_steps - self.part_start();
            for (sum, error) in zip_eq(&mut self.frozen_errors, &report.error) {
                *sum += error * f64::from(meta_steps);
            }
        }
        self.history.push(report);
        self.part = None;
    }

    /// The report of the part that is under way, as far as it is done.
    fn report(&self, recipe: &Recipe, failed: usize) -> Option<Report> {
        let part = self.part.as_ref()?;
        Some(Report {
            episode: episodes(recipe, self.meta_steps),
            phase: phase(recipe, part.start),
            error: part.error.clone(),
            failed,
        })
    }

    /// What has come of the run, with the fractions of wrong answers where the task judges by them: a run that ends without
    /// is one that was stopped.
    pub(super) fn trained(
        &self,
        recipe: &Recipe,
        parameters: Parameters<f32>,
        failures: Vec<Failure>,
        wrong: Option<&[f64]>,
    ) -> Trained {
        let is_judged = wrong.is_some() || !recipe.task.is_judged_by_answers();
        let stopped = !(self.is_over(recipe) && is_judged);
        let mut history = self.history.clone();
        history.extend(self.report(recipe, failures.len()));
        let frozen = recipe.frozen_meta_steps();
        let final_errors = match stopped {
            false => {
                let means = self.frozen_errors.iter();
                Some(means.map(|sum| sum / f64::from(frozen)).collect())
            }
            true => last_errors(&history, episodes(recipe, frozen)),
        };
        let networks = (0..recipe.networks()).map(|index| {
            let final_error = final_errors.as_ref().map(|errors: &Vec<f64>| errors[index]);
            let failed = failures.iter().any(|failure| failure.network == index);
            let wrong = wrong.map(|wrong| wrong[index]);
            let judged = match recipe.task.is_judged_by_answers() {
                true => wrong,
                false => final_error,
            };
            NetworkResult {
                seed: recipe.seed_of(index),
                final_error,
                wrong,
                solved: !failed && judged.is_some_and(|value| value < recipe.task.solved_below()),
            }
        });
        Trained {
            networks: networks.collect(),
            parameters,
            history,
            failures,
            stopped,
        }
    }
}

impl Checkpoint {
    /// Episodes that each network has seen.
    pub fn episode(&self) -> u64 {
        episodes(&self.recipe, self.progress.meta_steps)
    }

    /// Whether it is one of a run by this recipe, or of one that differs in being shorter.
    pub fn is_of(&self, recipe: &Recipe) -> bool {
        let longer = Recipe {
            episodes: recipe.episodes,
            ..self.recipe.clone()
        };
        longer == *recipe && self.recipe.episodes <= recipe.episodes
    }

    /// Whether a longer run can go on from here: it has not begun to measure the final error.
    pub fn can_be_lengthened(&self) -> bool {
        self.progress.meta_steps <= frozen_from(&self.recipe)
    }

    /// What came of the run, were it stopped here.
    pub fn trained(&self) -> Trained {
        let TrainingState {
            parameters,
            failures,
            ..
        } = &self.state;
        self.progress
            .trained(&self.recipe, parameters.clone(), failures.clone(), None)
    }

    /// Fails unless a run of its recipe can have been here.
    ///
    /// # Errors
    /// Names what does not fit the recipe.
    pub fn check(&self) -> Result<()> {
        let Self {
            recipe,
            progress,
            state,
        } = self;
        recipe.check()?;
        let layout = crate::parameters::Layout::new(&recipe.network)?;
        state.check(&layout, recipe.networks())?;
        let (done, all) = (progress.meta_steps, recipe.meta_steps());
        if done > all {
            return Err(wrong("meta_steps", format!("{done} of a run of {all}")));
        }
        let errors = progress.history.iter().map(|report| &report.error);
        let part = progress.part.as_ref().map(|part| &part.error);
        for errors in errors.chain(part).chain([&progress.frozen_errors]) {
            if errors.len() != recipe.networks() {
                let reason = format!("{} of {} networks", errors.len(), recipe.networks());
                return Err(wrong("errors", reason));
            }
        }
        let mut at = 0;
        for report in &progress.history {
            let end = part_end(recipe, at);
            let expected = episodes(recipe, end);
            if end > done || report.episode != expected || report.phase != phase(recipe, at) {
                let reason = format!(
                    "one at episode {}, where the recipe has one at {expected}",
                    report.episode
                );
                return Err(wrong("reports", reason));
            }
            at = end;
        }
        let expected = (at < done).then_some(at);
        if progress.part.as_ref().map(|part| part.start) != expected
            || expected.is_some() && part_end(recipe, at) <= done
        {
            let reason = format!("the last one is of meta-step {at}, of {done} that are done");
            return Err(wrong("reports", reason));
        }
        Ok(())
    }

    /// The same in a run with more episodes: what that run would have been here.
    ///
    /// # Errors
    /// If they are fewer, the final error was measured already, or the course of the learning rate was drawn up for the run's
    /// length.
    pub fn lengthened(mut self, episodes: u64) -> Result<Self> {
        let before = self.recipe.clone();
        if episodes == before.episodes {
            return Ok(self);
        }
        let refused = |reason: String| Err(Error::setting("episodes", reason));
        if episodes < before.episodes {
            return refused(format!(
                "{episodes}, but the run has {}: it can only be lengthened",
                before.episodes
            ));
        }
        if !self.can_be_lengthened() {
            return refused(format!(
                "{episodes}, but the final error of the run's {} is being measured already",
                before.episodes
            ));
        }
        self.recipe.episodes = episodes;
        self.recipe.check()?;
        before.require_same_course(&self.recipe)?;
        let done = self.progress.meta_steps;
        if done > frozen_from(&self.recipe) {
            return refused(format!(
                "{episodes}, of which {} learn, but the run has learned from {} already",
                self::episodes(&self.recipe, frozen_from(&self.recipe)),
                self.episode()
            ));
        }
        self.reopen_last_part();
        Ok(self)
    }

    /// Takes back the last report, if that was made for the sole reason that its phase ended.
    fn reopen_last_part(&mut self) {
        let progress = &mut self.progress;
        if progress.part.is_some() {
            return;
        }
        let batch = self.recipe.batch as u64;
        let before = progress.history.len().checked_sub(2);
        // Episodes are meta-steps times the batch, as many as fit a u32.
        let start = before.map_or(0, |index| (progress.history[index].episode / batch) as u32);
        if part_end(&self.recipe, start) > progress.meta_steps
            && let Some(report) = progress.history.pop()
        {
            let error = report.error;
            progress.part = Some(Part { start, error });
        }
    }
}

fn episodes(recipe: &Recipe, meta_steps: u32) -> u64 {
    u64::from(meta_steps) * recipe.batch as u64
}

fn wrong(field: &str, reason: String) -> Error {
    Error::setting(field, reason)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::optimiser::Schedule;
    use crate::tasks::{Association, PatternMemory, Task};
    use crate::training::{Event, Training};
    use std::ops::ControlFlow;
    use std::sync::Arc;

    fn short(episodes: u64) -> Recipe {
        Recipe {
            population: 3,
            episodes,
            ..Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap()
        }
    }

    /// Runs from a checkpoint, or from the beginning, and keeps what there was at the pauses.
    fn run(recipe: &Recipe, from: Option<Checkpoint>) -> (Trained, Vec<Checkpoint>) {
        let engine = Engine::cpu();
        let training = match from {
            Some(checkpoint) => Training::resume(&engine, checkpoint).unwrap(),
            None => Training::new(&engine, recipe).unwrap(),
        };
        let mut checkpoints = Vec::new();
        let trained = training.run_watched(|event| {
            if let Event::Pause(pause) = event {
                checkpoints.push(pause.checkpoint().unwrap());
            }
            ControlFlow::Continue(())
        });
        (trained.unwrap(), checkpoints)
    }

    /// Some of the checkpoints, and all around the end of training and of the run.
    fn some(checkpoints: Vec<Checkpoint>) -> impl Iterator<Item = Checkpoint> {
        let all = checkpoints.into_iter().enumerate();
        let chosen = all.filter(|(index, at)| {
            let learned = at.recipe.learned_episodes().abs_diff(at.episode());
            index % 100 == 0 || learned < 3 || at.episode() + 3 > at.recipe.episodes
        });
        chosen.map(|(_, at)| at)
    }

    #[track_caller]
    fn assert_equal(one: &Trained, other: &Trained) {
        assert_eq!(one.parameters, other.parameters);
        assert_eq!(one.history, other.history);
        assert_eq!(one.networks, other.networks);
        assert_eq!(one.failures, other.failures);
        assert!(!one.stopped && !other.stopped);
    }

    #[test]
    fn a_run_goes_on_from_any_pause_with_the_same_bits() {
        let recipe = short(300);
        let (whole, checkpoints) = run(&recipe, None);
        assert!(checkpoints.iter().any(|at| at.progress.part.is_none()));
        for checkpoint in some(checkpoints) {
            assert_eq!(checkpoint.trained().stopped, checkpoint.episode() < 300);
            assert_equal(&run(&recipe, Some(checkpoint)).0, &whole);
        }
    }

    #[test]
    fn a_run_that_is_judged_by_answers_goes_on_too() {
        let task = PatternMemory::SMALL.with_settings(&"bits = 4".parse().unwrap());
        let recipe = Recipe {
            population: 2,
            episodes: 30,
            ..Recipe::new(task.unwrap()).unwrap()
        };
        let (whole, checkpoints) = run(&recipe, None);
        assert!(checkpoints.last().unwrap().progress.is_over(&recipe));
        for checkpoint in checkpoints {
            assert_equal(&run(&recipe, Some(checkpoint)).0, &whole);
        }
    }

    #[test]
    fn a_longer_run_is_as_if_it_had_been_so_from_the_start() {
        // Their phases end in the midst of what would be a part, and at its end.
        for (first, longer) in [(310, 500), (451, 600), (142, 300)] {
            let (whole, _) = run(&short(longer), None);
            let (_, checkpoints) = run(&short(first), None);
            let mut lengthened = 0;
            for checkpoint in some(checkpoints) {
                if checkpoint.can_be_lengthened() {
                    let checkpoint = checkpoint.lengthened(longer).unwrap();
                    assert_equal(&run(&short(longer), Some(checkpoint)).0, &whole);
                    lengthened += 1;
                } else {
                    let error = checkpoint.lengthened(longer).unwrap_err().to_string();
                    assert!(error.contains("being measured"), "{error}");
                }
            }
            assert!(lengthened > 1);
        }
    }

    #[test]
    fn what_cannot_be_lengthened_is_refused() {
        let (_, checkpoints) = run(&short(999), None);
        let end = checkpoints.iter().rev().find(|at| at.can_be_lengthened());
        let end = end.unwrap().clone();
        let mut falling = end.clone();
        falling.recipe.optimiser.schedule = Schedule::Cosine {
            updates: 900,
            floor: 0.1,
        };
        let mut stepping = end.clone();
        let step = |every| Schedule::Step { every, factor: 0.5 };
        stepping.recipe.optimiser.schedule = step(225);
        for (checkpoint, episodes, parts) in [
            (&end, 998, ["998", "can only be lengthened"]),
            // Of a thousand, 500 run frozen.
            (&end, 1_000, ["500 learn", "900 already"]),
            (&falling, 2_000, ["900 updates", "--from"]),
            (&stepping, 2_000, ["225 updates", "--from"]),
        ] {
            let error = checkpoint.clone().lengthened(episodes).unwrap_err();
            let error = error.to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        falling.recipe.optimiser.schedule = Schedule::Cosine {
            updates: 100,
            floor: 0.1,
        };
        falling.lengthened(2_000).unwrap();
        stepping.recipe.optimiser.schedule = step(224);
        stepping.lengthened(2_000).unwrap();
    }

    #[test]
    fn a_checkpoint_of_no_such_run_is_refused() {
        let (_, checkpoints) = run(&short(300), None);
        let checkpoint = checkpoints.last().unwrap();
        checkpoint.check().unwrap();
        type Change = fn(&mut Checkpoint);
        let changes: [Change; 9] = [
            |it| it.progress.meta_steps += 1_000,
            |it| it.progress.meta_steps -= 1,
            |it| drop(it.progress.history.pop()),
            |it| it.progress.history[7].episode += 1,
            |it| it.progress.history[0].phase = Phase::Frozen,
            |it| it.progress.history[3].error.truncate(2),
            |it| it.progress.frozen_errors.push(0.0),
            |it| it.state.updates.truncate(1),
            |it| it.recipe.population = 4,
        ];
        for change in changes {
            let mut other = checkpoint.clone();
            change(&mut other);
            other.check().unwrap_err();
            Training::resume(&Engine::cpu(), other).unwrap_err();
        }
    }
}
