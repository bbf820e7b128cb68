//! What an engine does of populations that it keeps. Learners and sessions are the same on every engine but for this.

#[cfg(feature = "gpu")]
use super::device_arrays::DeviceArrays;
use super::failure::Failure;
use super::outcome::{EpisodeGradients, Gradients, Outcome};
use super::state::TrainingState;
use crate::dynamics::Dynamics;
use crate::episodes::{Episodes, Upstream};
use crate::error::Result;
use crate::number::Real;
use crate::parameters::Parameters;
use crate::tasks::EpisodeSource;
use crate::zip::zip_eq;
use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;

/// A population on an engine. What belongs to learning is asked for only where the networks learn.
pub(crate) trait PopulationBackend<R: Real> {
    fn parameters(&self) -> Result<Parameters<R>>;
    fn set_parameters(&mut self, parameters: &Parameters<R>) -> Result<()>;
    /// Whether a call failed when it had begun to change something.
    fn is_under_way(&self) -> bool;
    /// None where the networks do not learn.
    fn failures(&self) -> Result<Vec<Failure>>;
    fn state(&self) -> Result<TrainingState<R>>;
    fn set_state(&mut self, state: &TrainingState<R>) -> Result<()>;
}

/// What an engine does of a learner.
pub(crate) trait LearnerBackend<R: Real>: Debug + Send {
    fn population(&self) -> &dyn PopulationBackend<R>;
    fn population_mut(&mut self) -> &mut dyn PopulationBackend<R>;
    /// A meta-step. Returns each network's loss.
    fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>>;
    /// A meta-step on each of some batches. Returns the sum of each network's losses.
    fn steps(&mut self, all: &mut dyn Iterator<Item = Episodes<'_, R>>) -> Result<Vec<f64>> {
        let mut sums = Vec::new();
        for episodes in all {
            let losses = self.step(&episodes)?;
            sums.resize(losses.len(), 0.0);
            for (sum, loss) in zip_eq(&mut sums, losses) {
                *sum += loss.as_f64();
            }
        }
        Ok(sums)
    }
    /// Takes episodes to the device, to be kept there.
    fn hold(&mut self, episodes: &Episodes<'_, R>) -> Result<Held>;
    /// A meta-step on episodes that are kept there.
    fn step_on(&mut self, held: &Held) -> Result<Vec<R>>;
    /// One update with the caller's gradients.
    fn apply(&mut self, gradients: &Parameters<R>) -> Result<()>;
    /// Fails unless episodes can be had from there wherever there are networks.
    fn check_source(&self, source: &EpisodeSource) -> Result<()> {
        let _ = source;
        Ok(())
    }
    /// Meta-steps on a task's episodes, unless `learn` with frozen parameters. Returns each network's loss per counted step, mean
    /// over all episodes since meta-step `since`.
    fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>>;
}

/// What an engine does of a session.
pub(crate) trait SessionBackend<R: Real>: Debug + Send {
    fn population(&self) -> &dyn PopulationBackend<R>;
    fn population_mut(&mut self) -> &mut dyn PopulationBackend<R>;
    /// Begins new episodes.
    fn begin(&mut self);
    /// Runs the steps of `episodes` after those that have been run. At step 0, the states that are given are taken in. `finals`
    /// says whether those after the last step come back, where all steps are run at once.
    fn advance(&mut self, episodes: &Episodes<'_, R>, finals: bool) -> Result<Outcome<R>>;
    /// Traces, eligibility traces and activities after the last step that was run, where they are wanted.
    fn states(&self) -> Result<Dynamics<'static, R>>;
    /// The gradients of `upstream` over the steps that have been run.
    fn backward(&mut self, upstream: &Upstream<'_, R>) -> Result<Gradients<R>>;
    /// The same, and an update of every network with its gradient, which stays on the device.
    fn learn(&mut self, upstream: &Upstream<'_, R>) -> Result<EpisodeGradients<R>>;
    /// One update with the caller's gradients.
    fn apply(&mut self, gradients: &Parameters<R>) -> Result<()>;
    /// Where the arrays are, if that is a GPU.
    #[cfg(feature = "gpu")]
    fn device_arrays(&self) -> Vec<DeviceArrays> {
        Vec::new()
    }
}

/// Episodes in the form in which an engine keeps them; only that engine can tell which.
#[derive(Debug)]
pub(crate) struct Held(pub Box<dyn Any + Send + Sync>);
