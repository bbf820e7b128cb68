//! How much of the work one submission has.

use super::plan::Plan;
use crate::network::Network;
use std::time::{Duration, Instant};

/// Dispatches of one submission at most.
const DISPATCHES: usize = 4096;

/// How many meta-steps one submission has: as many as take 50 to 100 ms, at first by the profile's guess. Results do not
/// depend on it.
#[derive(Debug)]
pub(super) struct Pace {
    pub meta_steps: usize,
    most: usize,
    /// When the last submission was done.
    last: Option<Instant>,
}

impl Pace {
    pub fn new(meta_steps: usize, most: usize) -> Self {
        Self {
            meta_steps,
            most,
            last: None,
        }
    }

    /// For a plan's meta-steps, within `submission_work` synapse-steps a submission.
    pub fn of(network: &Network, plan: &Plan, submission_work: u64) -> Self {
        if let Some(most) = plan.fused {
            return Self::new(most, most);
        }
        let by_work = (submission_work / plan.work.amount(network)).max(1) as usize;
        let most = (DISPATCHES / plan.dispatches().count()).max(1);
        Self::new(most.min(by_work), most)
    }

    /// A call begins: what was before it tells nothing.
    pub fn begin(&mut self) {
        self.last = None;
    }

    /// A submission of `count` meta-steps was done; the one before it is what it had to wait for.
    pub fn done(&mut self, count: usize, now: Instant) {
        let took = self.last.replace(now).map(|last| now - last);
        // What was submitted at another pace tells nothing of this one.
        let Some(took) = took.filter(|_| count == self.meta_steps) else {
            return;
        };
        if took < Duration::from_millis(50) {
            self.meta_steps = (2 * count).min(self.most);
        } else if took > Duration::from_millis(100) {
            self.meta_steps = (count / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_come_to_fifty_to_a_hundred_milliseconds() {
        for (microseconds, most, expected) in [
            (100, 4096, 512..=1000),
            (100, 64, 64..=64),
            (30_000, 4096, 2..=3),
            (400_000, 4096, 1..=1),
        ] {
            let mut pace = Pace::new(1, most);
            let mut now = Instant::now();
            for _ in 0..40 {
                let count = pace.meta_steps;
                now += Duration::from_micros(microseconds) * count as u32;
                pace.done(count, now);
            }
            assert!(expected.contains(&pace.meta_steps), "{}", pace.meta_steps);
            // The device grows slower, and faster again.
            for slower in [20, 1] {
                for _ in 0..40 {
                    let count = pace.meta_steps;
                    now += slower * Duration::from_micros(microseconds) * count as u32;
                    pace.done(count, now);
                }
                let took = slower * Duration::from_micros(microseconds) * pace.meta_steps as u32;
                let most = took <= Duration::from_millis(100) || pace.meta_steps == 1;
                let least = took >= Duration::from_millis(50) || pace.meta_steps == pace.most;
                assert!(most && least, "{took:?}");
            }
        }
    }
}
