//! A pool of working arrays: as many as were ever in use at once. It serves one job at a time; a different job empties it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Arrays that can be made for a job, and used for it again.
pub(super) trait Pooled: Sized {
    /// All that the arrays' sizes depend on.
    type Job: Clone + PartialEq + std::fmt::Debug;

    fn new(job: &Self::Job) -> Self;

    /// Bytes of one.
    fn bytes(job: &Self::Job) -> u128;
}

#[derive(Debug)]
pub(super) struct Pool<T: Pooled> {
    waiting: Mutex<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T: Pooled> {
    job: Option<T::Job>,
    arrays: Vec<T>,
}

impl<T: Pooled> Default for Pool<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Waiting::none()),
        }
    }
}

impl<T: Pooled> Waiting<T> {
    fn none() -> Self {
        Self {
            job: None,
            arrays: Vec::new(),
        }
    }
}

impl<T: Pooled> Pool<T> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        // Whoever panicked held whole arrays only.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting_for(&self, job: &T::Job) -> MutexGuard<'_, Waiting<T>> {
        let mut waiting = self.waiting();
        if waiting.job.as_ref() != Some(job) {
            *waiting = Waiting {
                job: Some(job.clone()),
                ..Waiting::none()
            };
        }
        waiting
    }

    /// How many wait for `job`; those that wait for another one go.
    pub fn count(&self, job: &T::Job) -> usize {
        self.waiting_for(job).arrays.len()
    }

    /// Arrays for `job`, which come back when they are dropped.
    pub fn take<'a>(&'a self, job: &'a T::Job) -> Taken<'a, T> {
        let waiting = self.waiting_for(job).arrays.pop();
        Taken {
            pool: self,
            job,
            arrays: Some(waiting.unwrap_or_else(|| T::new(job))),
        }
    }

    /// How many wait, for whatever job.
    pub fn len(&self) -> usize {
        self.waiting().arrays.len()
    }

    /// Drops those that wait.
    pub fn clear(&self) {
        *self.waiting() = Waiting::none();
    }
}

/// Arrays in use.
pub(super) struct Taken<'a, T: Pooled> {
    pool: &'a Pool<T>,
    job: &'a T::Job,
    /// There until it is dropped.
    arrays: Option<T>,
}

impl<T: Pooled> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.arrays.as_ref().expect("not dropped yet")
    }
}

impl<T: Pooled> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.arrays.as_mut().expect("not dropped yet")
    }
}

impl<T: Pooled> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut waiting = self.pool.waiting();
        // Another caller of the same engine may have come with another job meanwhile.
        if waiting.job.as_ref() == Some(self.job) {
            waiting.arrays.extend(self.arrays.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many elements as the job says.
    impl Pooled for Vec<u8> {
        type Job = usize;

        fn new(&job: &usize) -> Self {
            vec![0; job]
        }

        fn bytes(&job: &usize) -> u128 {
            job as u128
        }
    }

    #[test]
    fn a_job_gets_its_arrays_back_and_no_other_jobs() {
        let pool = Pool::<Vec<u8>>::default();
        let (small, large) = (2, 7);
        for job in [&small, &small, &large, &small] {
            let kept = pool.waiting().arrays.len();
            let (one, other) = (pool.take(job), pool.take(job));
            assert_eq!([one.len(), other.len()], [*job; 2]);
            assert!(kept == 0 || kept == 2, "{kept}");
        }
        // Whoever comes back after another job began is dropped.
        let late = pool.take(&large);
        drop(pool.take(&small));
        drop(late);
        assert_eq!(pool.count(&small), 1);
        assert_eq!(pool.take(&small).len(), 2);
        assert_eq!(pool.count(&large), 0);
    }
}
