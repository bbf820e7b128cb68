//! Workspaces that wait for work: as many as were in use at once.

use super::job::Job;
use super::sweep::{self, Workspace};
use crate::{Real, Result, memory};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most bytes that are kept when no work is in progress.
const MOST_BYTES: u128 = 512 << 20;

/// Workspaces for one job at a time: they go when another job comes.
#[derive(Debug)]
pub(super) struct Workspaces<R> {
    free: Mutex<Free<R>>,
}

#[derive(Debug)]
struct Free<R> {
    job: Option<Job>,
    workspaces: Vec<Workspace<R>>,
}

impl<R> Default for Workspaces<R> {
    fn default() -> Self {
        Self {
            free: Mutex::new(Free {
                job: None,
                workspaces: Vec::new(),
            }),
        }
    }
}

impl<R> Workspaces<R> {
    fn free(&self) -> MutexGuard<'_, Free<R>> {
        // Whoever panicked held whole workspaces only.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Real> Workspaces<R> {
    /// Fails unless what `job` allocates besides what is kept for it fits in memory. `what` is named in the error.
    pub fn require(&self, what: &str, job: &Job, population: usize) -> Result<()> {
        let needed = needed::<R>(job, population, self.kept(job));
        memory::require(what, needed)
    }

    /// How many are kept for `job`; what is kept for another job goes.
    fn kept(&self, job: &Job) -> usize {
        self.free_for(job).workspaces.len()
    }

    fn free_for(&self, job: &Job) -> MutexGuard<'_, Free<R>> {
        let mut free = self.free();
        if free.job.as_ref() != Some(job) {
            free.workspaces = Vec::new();
            free.job = Some(job.clone());
        }
        free
    }

    /// A workspace for `job`, which comes back when it is dropped.
    pub fn take<'a>(&'a self, job: &'a Job) -> Taken<'a, R> {
        let workspace = self.free_for(job).workspaces.pop();
        Taken {
            workspaces: self,
            job,
            workspace: Some(workspace.unwrap_or_else(|| Workspace::new(job))),
        }
    }

    /// Keeps the workspaces for the next work on `job`, unless they are large.
    pub fn trim(&self, job: &Job) {
        let mut free = self.free();
        if free.workspaces.len() as u128 * bytes::<R>(job) > MOST_BYTES {
            free.workspaces = Vec::new();
        }
    }
}

/// Bytes that `job` allocates besides `kept` workspaces. Another caller may have left more than this one's threads take.
fn needed<R: Real>(job: &Job, population: usize, kept: usize) -> u128 {
    let taken = kept.min(rayon::current_num_threads()) as u128 * bytes::<R>(job);
    job.bytes::<R>(population).saturating_sub(taken)
}

/// Bytes of one workspace, about.
fn bytes<R: Real>(job: &Job) -> u128 {
    sweep::workspace_elements::<R>(job) * size_of::<R>() as u128
}

/// A workspace in use.
pub(super) struct Taken<'a, R: Real> {
    workspaces: &'a Workspaces<R>,
    job: &'a Job,
    /// There until it is dropped.
    workspace: Option<Workspace<R>>,
}

impl<R: Real> Deref for Taken<'_, R> {
    type Target = Workspace<R>;

    fn deref(&self) -> &Workspace<R> {
        self.workspace.as_ref().expect("not dropped yet")
    }
}

impl<R: Real> DerefMut for Taken<'_, R> {
    fn deref_mut(&mut self) -> &mut Workspace<R> {
        self.workspace.as_mut().expect("not dropped yet")
    }
}

impl<R: Real> Drop for Taken<'_, R> {
    fn drop(&mut self) {
        let mut free = self.workspaces.free();
        // Another caller of the same engine may have come with another job meanwhile.
        if free.job.as_ref() == Some(self.job) {
            free.workspaces.extend(self.workspace.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Want;
    use crate::{Layer, Loss, Network, Rate};

    fn job(outputs: usize, steps: usize) -> Job {
        let layer = Layer::plastic(3, outputs, Rate::learned(0.1));
        let network = Network::new(Loss::None, [layer]).unwrap();
        Job::new::<f32>(&network, 1, 1, steps, Want::default(), true, |_| {
            (false, false)
        })
    }

    fn outputs(workspace: &Workspace<f32>) -> usize {
        workspace.gradients()[0].bias.len()
    }

    #[test]
    fn a_job_gets_its_workspaces_back_and_no_other_jobs() {
        let workspaces = Workspaces::<f32>::default();
        let (small, large) = (job(2, 5), job(7, 5));
        for job in [&small, &small, &large, &small] {
            let kept = workspaces.free().workspaces.len();
            let (one, other) = (workspaces.take(job), workspaces.take(job));
            assert_eq!(outputs(&one), job.shapes[0].outputs);
            assert_eq!(outputs(&other), job.shapes[0].outputs);
            assert!(kept == 0 || kept == 2, "{kept}");
        }
        // Whoever comes back after another job began is dropped.
        let late = workspaces.take(&large);
        drop(workspaces.take(&small));
        drop(late);
        assert_eq!(workspaces.free().workspaces.len(), 1);
        assert_eq!(outputs(&workspaces.take(&small)), 2);
    }

    #[test]
    fn what_is_kept_for_a_job_needs_no_more_memory() {
        let workspaces = Workspaces::<f32>::default();
        let (small, large) = (job(2, 5), job(7, 5));
        assert_eq!(workspaces.kept(&small), 0);
        drop((workspaces.take(&small), workspaces.take(&small)));
        assert_eq!(workspaces.kept(&small), 2);
        workspaces.require("little", &small, 1).unwrap();
        let need = |kept| needed::<f32>(&small, 1, kept);
        assert_eq!(need(0), small.bytes::<f32>(1));
        assert_eq!(need(1), need(0) - bytes::<f32>(&small));
        // No more than the threads would take.
        let threads = rayon::current_num_threads();
        assert_eq!(need(threads + 9), need(threads));
        assert!(need(threads) > 0);
        // What was kept for another job is given back before the question is asked.
        assert_eq!(workspaces.kept(&large), 0);
        assert_eq!(workspaces.kept(&small), 0);
        let mut absurd = small.clone();
        absurd.steps = 1 << 50;
        let error = workspaces.require("an absurd job", &absurd, 1).unwrap_err();
        assert!(error.to_string().contains("an absurd job"), "{error}");
    }

    #[test]
    fn large_workspaces_are_not_kept() {
        let workspaces = Workspaces::<f32>::default();
        let mut job = job(2, 5);
        drop(workspaces.take(&job));
        workspaces.trim(&job);
        assert_eq!(workspaces.free().workspaces.len(), 1);
        // What counts is what they are said to take.
        job.steps = 1 << 30;
        workspaces.trim(&job);
        assert_eq!(workspaces.free().workspaces.len(), 0);
    }
}
