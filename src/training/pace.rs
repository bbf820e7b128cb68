//! When a run reports, which its recipe says, and when it pauses, which the clock says.

use super::recipe::Recipe;
use super::trained::Phase;
use std::time::Duration;

/// A part has one meta-step for this many before it. So a run's reports are those of a longer one, as far as it goes, and their
/// number grows with the logarithm of its length.
const META_STEPS_BEFORE: u32 = 64;

/// The most synapse-steps between reports: some seconds on two processor cores, so that whoever waits sees progress, and
/// a millisecond on a large GPU, beside which the report takes little.
const SYNAPSE_STEPS_PER_REPORT: u64 = 1 << 30;

/// Synapse-steps before the first pause, when nothing is known of the engine's speed: a tenth of a second at the most.
const SYNAPSE_STEPS_AT_FIRST: u64 = 1 << 22;

/// Meta-steps that learn; the frozen ones follow.
pub(super) fn frozen_from(recipe: &Recipe) -> u32 {
    recipe.meta_steps() - recipe.frozen_meta_steps()
}

/// The phase of a meta-step.
pub(super) fn phase(recipe: &Recipe, at: u32) -> Phase {
    match at < frozen_from(recipe) {
        true => Phase::Training,
        false => Phase::Frozen,
    }
}

/// The end of the part that begins at meta-step `start`: a function of the recipe alone, so that equal runs report equally,
/// and of its length only in that a phase ends.
pub(super) fn part_end(recipe: &Recipe, start: u32) -> u32 {
    let by_count = start / META_STEPS_BEFORE;
    let meta_steps = by_count.min(by_work(recipe)).max(1);
    let phase_end = match phase(recipe, start) {
        Phase::Training => frozen_from(recipe),
        Phase::Frozen => recipe.meta_steps(),
    };
    phase_end.min(start.saturating_add(meta_steps))
}

/// Meta-steps of the most work between two reports.
fn by_work(recipe: &Recipe) -> u32 {
    let meta_steps = SYNAPSE_STEPS_PER_REPORT / recipe.synapse_steps().max(1);
    u32::try_from(meta_steps).unwrap_or(u32::MAX).max(1)
}

/// Reports of a run at most.
pub(super) fn most_reports(recipe: &Recipe) -> u32 {
    let total = recipe.meta_steps();
    let doublings = (total / META_STEPS_BEFORE).max(1).ilog2() + 1;
    // The first ones have a meta-step each; then there are as many between one power of two and the next. Work ends
    // others, and each phase has a last one.
    let by_count = META_STEPS_BEFORE * (1 + doublings);
    let all = by_count.saturating_add(total / by_work(recipe));
    all.min(total).saturating_add(2)
}

/// How many meta-steps lie between two pauses: as many as take a tenth of a second or so. Results do not depend on it.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    pub meta_steps: u32,
    /// How long those before the last pause took.
    pub last: Option<Duration>,
}

impl Pace {
    pub fn new(recipe: &Recipe) -> Self {
        let meta_steps = SYNAPSE_STEPS_AT_FIRST / recipe.synapse_steps().max(1);
        Self {
            meta_steps: u32::try_from(meta_steps).unwrap_or(u32::MAX).max(1),
            last: None,
        }
    }

    pub fn took(&mut self, meta_steps: u32, time: Duration) {
        self.last = Some(time);
        if time > Duration::from_millis(150) {
            self.meta_steps = (meta_steps / 2).max(1);
        } else if time < Duration::from_millis(50) && meta_steps == self.meta_steps {
            self.meta_steps = meta_steps.saturating_mul(2);
        }
    }
}
