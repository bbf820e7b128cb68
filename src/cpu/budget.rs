//! The working arrays of an engine, and the memory that they take.

use super::along::Along;
use super::batch::{Batch, wave_elements};
use super::job::Job;
use super::networks::Networks;
use super::pool::{Pool, Pooled};
use super::workspace::Workspace;
use crate::error::Result;
use crate::memory;
use crate::number::Real;

/// The most bytes that are kept when no work is in progress.
const MOST_BYTES: u128 = 512 << 20;

/// The working arrays of one job at a time.
#[derive(Debug)]
pub(super) struct Workspaces<R: Real> {
    pub groups: Pool<Workspace<R>>,
    pub batches: Pool<Batch<R>>,
    pub networks: Pool<Networks<R>>,
}

impl<R: Real> Default for Workspaces<R> {
    fn default() -> Self {
        Self {
            groups: Pool::default(),
            batches: Pool::default(),
            networks: Pool::default(),
        }
    }
}

impl<R: Real> Workspaces<R> {
    /// Fails unless `results` bytes and what `job` works in, besides what is kept for it, fit in memory. `what` is named in
    /// the error.
    pub fn require(&self, what: &str, job: &Job, population: usize, results: u128) -> Result<()> {
        memory::require(what, results + self.needed(job, population))
    }

    /// Bytes that `job` works in besides what is kept for it; what is kept for another job goes.
    pub fn needed(&self, job: &Job, population: usize) -> u128 {
        let threads = rayon::current_num_threads().min(job.parts(population));
        let networks = Job::networks(population);
        // Another caller may have left more than this one takes.
        fn lacking<T: Pooled<Job = Job>>(pool: &Pool<T>, job: &Job, most: usize) -> u128 {
            (most - pool.count(job).min(most)) as u128 * T::bytes(job)
        }
        if job.along == Along::Networks {
            return lacking(&self.groups, job, threads) + lacking(&self.networks, job, threads);
        }
        lacking(&self.groups, job, threads)
            + lacking(&self.batches, job, networks)
            + wave_elements::<R>(job) * networks as u128 * size_of::<R>() as u128
    }

    /// Keeps the arrays for the next work on `job`, unless they are large.
    pub fn trim(&self, job: &Job) {
        let bytes = self.groups.len() as u128 * Workspace::<R>::bytes(job)
            + self.batches.len() as u128 * Batch::<R>::bytes(job)
            + self.networks.len() as u128 * Networks::<R>::bytes(job);
        if bytes > MOST_BYTES {
            self.groups.clear();
            self.batches.clear();
            self.networks.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::computation::Request;
    use crate::network::{Activation, Layer, Loss, Network, Plastic, Rate};

    fn job(outputs: usize, steps: usize) -> Job {
        let layer =
            Layer::from(Plastic::new(3, outputs, Rate::learned(0.1)).activation(Activation::Tanh));
        let network = Network::new(Loss::None, [layer]).unwrap();
        let request = Request::training(&network, 1, steps);
        Job::new::<f32>(&network, 1, request)
    }

    #[test]
    fn what_is_kept_for_a_job_needs_no_more_memory() {
        let workspaces = Workspaces::<f32>::default();
        let (small, large) = (job(2, 5), job(7, 5));
        let need = || workspaces.needed(&small, 1);
        let all = need();
        let (group, batch) = (Workspace::<f32>::bytes(&small), Batch::<f32>::bytes(&small));
        drop(workspaces.groups.take(&small));
        assert_eq!(need(), all - group);
        drop(workspaces.batches.take(&small));
        assert_eq!(need(), all - group - batch);
        // No more is taken off than there are threads and networks.
        let threads = rayon::current_num_threads();
        let many: Vec<_> = (0..threads + 3)
            .map(|_| {
                (
                    workspaces.groups.take(&small),
                    workspaces.batches.take(&small),
                )
            })
            .collect();
        drop(many);
        assert_eq!(
            need(),
            wave_elements::<f32>(&small) * size_of::<f32>() as u128
        );
        // What was kept for another job is given back before the question is asked.
        assert!(workspaces.needed(&large, 1) > all);
        assert_eq!(need(), all);
        workspaces.require("little", &small, 1, 0).unwrap();
        let mut absurd = small.clone();
        absurd.request.steps = 1 << 50;
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
        drop(workspaces.groups.take(&job));
        workspaces.trim(&job);
        assert_eq!(workspaces.groups.len(), 1);
        // What counts is what they are said to take.
        job.request.steps = 1 << 30;
        workspaces.trim(&job);
        assert_eq!(workspaces.groups.len(), 0);
    }
}
