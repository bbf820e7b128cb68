//! Working arrays that wait for work: as many as were in use at once.

use super::batch::Batch;
use super::job::Job;
use super::sweep::Workspace;
use crate::error::Result;
use crate::memory;
use crate::number::Real;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most bytes that are kept when no work is in progress.
const MOST_BYTES: u128 = 512 << 20;

/// The working arrays of one job at a time: they go when another job comes.
#[derive(Debug)]
pub(super) struct Workspaces<R> {
    free: Mutex<Free<R>>,
}

#[derive(Debug)]
pub(super) struct Free<R> {
    job: Option<Job>,
    pub workspaces: Vec<Workspace<R>>,
    pub batches: Vec<Batch<R>>,
}

/// Working arrays that are kept.
pub(super) trait Kept<R>: Sized {
    fn new(job: &Job) -> Self;

    /// Those that wait.
    fn waiting(free: &mut Free<R>) -> &mut Vec<Self>;

    /// Elements of one, about.
    fn elements(job: &Job) -> u128;

    /// Bytes of one, about.
    fn bytes(job: &Job) -> u128 {
        Self::elements(job) * size_of::<R>() as u128
    }
}

impl<R> Default for Free<R> {
    fn default() -> Self {
        Self {
            job: None,
            workspaces: Vec::new(),
            batches: Vec::new(),
        }
    }
}

impl<R> Default for Workspaces<R> {
    fn default() -> Self {
        Self {
            free: Mutex::default(),
        }
    }
}

impl<R> Workspaces<R> {
    fn free(&self) -> MutexGuard<'_, Free<R>> {
        // Whoever panicked held whole arrays only.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Real> Workspaces<R> {
    /// Fails unless `results` bytes and what `job` works in, besides what is kept for it, fit in memory. `what` is named in
    /// the error.
    pub fn require(&self, what: &str, job: &Job, population: usize, results: u128) -> Result<()> {
        memory::require(what, results + self.needed(job, population))
    }

    /// Bytes that `job` works in besides what is kept for it; what is kept for another job goes.
    fn needed(&self, job: &Job, population: usize) -> u128 {
        let mut free = self.free_for(job);
        // Another caller may have left more than this one takes.
        fn kept<R, K: Kept<R>>(free: &mut Free<R>, job: &Job, most: usize) -> u128 {
            K::waiting(free).len().min(most) as u128 * K::bytes(job)
        }
        let threads = rayon::current_num_threads();
        let networks = Job::networks(population);
        job.working_bytes::<R>(population)
            - kept::<R, Workspace<R>>(&mut free, job, threads)
            - kept::<R, Batch<R>>(&mut free, job, networks)
    }

    fn free_for(&self, job: &Job) -> MutexGuard<'_, Free<R>> {
        let mut free = self.free();
        if free.job.as_ref() != Some(job) {
            *free = Free {
                job: Some(job.clone()),
                ..Free::default()
            };
        }
        free
    }

    /// Arrays for `job`, which come back when they are dropped.
    pub fn take<'a, K: Kept<R>>(&'a self, job: &'a Job) -> Taken<'a, R, K> {
        let waiting = K::waiting(&mut self.free_for(job)).pop();
        Taken {
            workspaces: self,
            job,
            arrays: Some(waiting.unwrap_or_else(|| K::new(job))),
        }
    }

    /// Keeps the arrays for the next work on `job`, unless they are large.
    pub fn trim(&self, job: &Job) {
        let mut free = self.free();
        let bytes = free.workspaces.len() as u128 * Workspace::<R>::bytes(job)
            + free.batches.len() as u128 * Batch::<R>::bytes(job);
        if bytes > MOST_BYTES {
            *free = Free::default();
        }
    }
}

/// Arrays in use.
pub(super) struct Taken<'a, R: Real, K: Kept<R>> {
    workspaces: &'a Workspaces<R>,
    job: &'a Job,
    /// There until it is dropped.
    arrays: Option<K>,
}

impl<R: Real, K: Kept<R>> Deref for Taken<'_, R, K> {
    type Target = K;

    fn deref(&self) -> &K {
        self.arrays.as_ref().expect("not dropped yet")
    }
}

impl<R: Real, K: Kept<R>> DerefMut for Taken<'_, R, K> {
    fn deref_mut(&mut self) -> &mut K {
        self.arrays.as_mut().expect("not dropped yet")
    }
}

impl<R: Real, K: Kept<R>> Drop for Taken<'_, R, K> {
    fn drop(&mut self) {
        let mut free = self.workspaces.free();
        // Another caller of the same engine may have come with another job meanwhile.
        if free.job.as_ref() == Some(self.job) {
            K::waiting(&mut free).extend(self.arrays.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::computation::Want;
    use crate::cpu::batch::wave_elements;
    use crate::network::{Layer, Loss, Network, Rate};

    fn job(outputs: usize, steps: usize) -> Job {
        let layer = Layer::plastic(3, outputs, Rate::learned(0.1));
        let network = Network::new(Loss::None, [layer]).unwrap();
        Job::new::<f32>(&network, 1, 1, steps, Want::NOTHING, true, |_| {
            (false, false)
        })
    }

    fn take<'a>(workspaces: &'a Workspaces<f32>, job: &'a Job) -> Taken<'a, f32, Workspace<f32>> {
        workspaces.take(job)
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
            let (one, other) = (take(&workspaces, job), take(&workspaces, job));
            assert_eq!(outputs(&one), job.shapes[0].outputs);
            assert_eq!(outputs(&other), job.shapes[0].outputs);
            assert!(kept == 0 || kept == 2, "{kept}");
        }
        // Whoever comes back after another job began is dropped.
        let late = take(&workspaces, &large);
        drop(take(&workspaces, &small));
        drop(late);
        assert_eq!(workspaces.free().workspaces.len(), 1);
        assert_eq!(outputs(&take(&workspaces, &small)), 2);
    }

    #[test]
    fn what_is_kept_for_a_job_needs_no_more_memory() {
        let workspaces = Workspaces::<f32>::default();
        let (small, large) = (job(2, 5), job(7, 5));
        let need = || workspaces.needed(&small, 1);
        assert_eq!(need(), small.working_bytes::<f32>(1));
        drop(take(&workspaces, &small));
        let bytes = Workspace::<f32>::bytes(&small);
        assert_eq!(need(), small.working_bytes::<f32>(1) - bytes);
        drop(workspaces.take::<Batch<f32>>(&small));
        assert_eq!(
            need(),
            small.working_bytes::<f32>(1) - bytes - Batch::<f32>::bytes(&small)
        );
        // No more is taken off than there are threads and networks.
        let threads = rayon::current_num_threads();
        let many: Vec<_> = (0..threads + 3)
            .map(|_| {
                (
                    take(&workspaces, &small),
                    workspaces.take::<Batch<f32>>(&small),
                )
            })
            .collect();
        drop(many);
        assert_eq!(need(), wave_elements(&small) * size_of::<f32>() as u128);
        // What was kept for another job is given back before the question is asked.
        assert_eq!(workspaces.needed(&large, 1), large.working_bytes::<f32>(1));
        assert_eq!(need(), small.working_bytes::<f32>(1));
        workspaces.require("little", &small, 1, 0).unwrap();
        let mut absurd = small.clone();
        absurd.steps = 1 << 50;
        for (job, results) in [(&absurd, 0), (&small, 1 << 80)] {
            let error = workspaces.require("an absurd job", job, 1, results);
            let error = error.unwrap_err().to_string();
            assert!(error.contains("an absurd job"), "{error}");
        }
    }

    #[test]
    fn large_workspaces_are_not_kept() {
        let workspaces = Workspaces::<f32>::default();
        let mut job = job(2, 5);
        drop(take(&workspaces, &job));
        workspaces.trim(&job);
        assert_eq!(workspaces.free().workspaces.len(), 1);
        // What counts is what they are said to take.
        job.steps = 1 << 30;
        workspaces.trim(&job);
        assert_eq!(workspaces.free().workspaces.len(), 0);
    }
}
