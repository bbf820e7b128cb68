//! Runs that are made longer, and what stands in the way.

use super::pace::frozen_from;
use super::recipe::Recipe;
use crate::error::{Error, Result};
use crate::optimiser::Schedule;

impl Recipe {
    /// Fails if the course of the learning rate was drawn up for this recipe's length, and would be another in a run by `longer`,
    /// which differs in that.
    ///
    /// # Errors
    /// Says what the learning rate does, and what to do.
    pub(crate) fn require_same_course(&self, longer: &Self) -> Result<()> {
        let [length, updates] = [self, longer].map(frozen_from);
        let optimisers = self.optimisers()?.into_iter();
        let mut courses = optimisers.filter_map(|it| drawn_up_for(it.schedule, length, updates));
        let Some(course) = courses.next() else {
            return Ok(());
        };
        let reason = format!(
            "{}, but the learning rate {course}: a longer one differs from the start; train anew, or go on from its parameters \
             (train --from)",
            longer.episodes
        );
        Err(Error::setting("episodes", reason))
    }
}

/// What the learning rate does in a run of `length` updates, if its course is the one that suits this length, and another suits one
/// of `longer`. Whether somebody wrote the same number is not known: so it is taken as drawn up for the length.
fn drawn_up_for(schedule: Schedule, length: u32, longer: u32) -> Option<String> {
    let number = |it: Schedule| match it {
        Schedule::Constant => None,
        Schedule::Cosine { updates, .. } => Some(updates),
        Schedule::Step { every, .. } => Some(every),
    };
    let suitable = |updates: u32| {
        let mut all = Schedule::all(updates).into_iter();
        all.find(|it| it.name() == schedule.name()).and_then(number)
    };
    let own = suitable(length);
    if number(schedule) != own || own == suitable(longer) {
        return None;
    }
    match schedule {
        Schedule::Constant => None,
        Schedule::Cosine { updates, .. } => {
            Some(format!("falls over the {updates} updates of the run"))
        }
        Schedule::Step { every, .. } => Some(format!(
            "falls after every {every} updates, a quarter of the run's {length}"
        )),
    }
}
