//! Where the engine's threads are: in a pool that each process makes for itself when it first computes.
//!
//! A process that forks leaves its threads behind. Its child, in which a pool that it inherits would wait for ever, finds that
//! it is another process and makes a pool of its own. What a GPU's driver keeps does not survive a fork at all.

use super::error::Result;
use metaplastic::Error;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::mpsc::{Receiver, RecvError, TryRecvError, channel};
use std::time::Duration;

/// A process's own things.
struct Own {
    process: u32,
    pool: ThreadPool,
}

/// Not behind a lock, which a thread that the fork left behind could hold. It is never taken away again: there is one for
/// each fork that computes on both sides.
static OWN: AtomicPtr<Own> = AtomicPtr::new(std::ptr::null_mut());

fn pool() -> Result<&'static ThreadPool> {
    let process = std::process::id();
    let there = OWN.load(Ordering::Acquire);
    if let Some(own) = at(there)
        && own.process == process
    {
        return Ok(&own.pool);
    }
    let pool = ThreadPoolBuilder::new()
        .thread_name(|index| format!("metaplastic-{index}"))
        .build()
        .map_err(|error| Error::Unfinished {
            reason: format!("the engine's threads cannot be started: {error}"),
        })?;
    let made = Box::into_raw(Box::new(Own { process, pool }));
    let won = OWN.compare_exchange(there, made, Ordering::AcqRel, Ordering::Acquire);
    // Another thread may have been faster; its pool serves both, and this one stays without work.
    let own = won.map_or_else(at, |_| at(made));
    Ok(&own.expect("one was put there").pool)
}

#[allow(unsafe_code)]
fn at(pointer: *mut Own) -> Option<&'static Own> {
    // SAFETY: it is null, or comes from a box that is never freed.
    unsafe { pointer.as_ref() }
}

/// Does `work` on the pool of this process, while other threads of Python run.
pub fn compute<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> Result<T> {
    let pool = pool()?;
    Ok(py.detach(|| pool.install(work)))
}

/// As `compute`, with someone to ask on the way: `work` gets a function that tells the calling thread something, there goes to
/// `answer`, and returns whether to go on. Signals are looked for at each. What `answer` raised, or a signal, stops the work, and
/// is raised in the end.
pub fn compute_and_watch<T: Send, S: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Fn(S) -> bool) -> T + Send,
    answer: impl Fn(Python<'_>, S) -> PyResult<bool>,
) -> Result<T> {
    let pool = pool()?;
    let (tell, mut told) = channel::<S>();
    let (reply, replied) = channel::<bool>();
    let (mut raised, mut result) = (None, None);
    pool.in_place_scope(|scope| {
        let result = &mut result;
        scope.spawn(move |_| {
            let ask = |said: S| tell.send(said).is_ok() && wait_for(&replied);
            *result = Some(work(&ask));
        });
        // It ends when the work has: nothing is waited for then with the interpreter's lock held.
        while let Ok(said) = py.detach(|| told_next(&mut told)) {
            let answered = answer(py, said).and_then(|goes_on| {
                py.check_signals()?;
                Ok(goes_on)
            });
            let goes_on = answered.unwrap_or_else(|error| {
                raised.get_or_insert(error);
                false
            });
            if reply.send(goes_on).is_err() {
                break;
            }
        }
    });
    match raised {
        Some(error) => Err(error.into()),
        None => Ok(result.expect("the work has ended")),
    }
}

fn told_next<S>(told: &mut Receiver<S>) -> std::result::Result<S, RecvError> {
    told.recv()
}

/// Waits, on a thread of the pool, for an answer that may itself need that thread.
fn wait_for(replied: &Receiver<bool>) -> bool {
    loop {
        match replied.try_recv() {
            Ok(goes_on) => return goes_on,
            Err(TryRecvError::Disconnected) => return false,
            Err(TryRecvError::Empty) => {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        }
    }
}

/// The process in which something was made that does not survive a fork.
#[derive(Clone, Copy, Debug)]
pub struct Birthplace(u32);

impl Birthplace {
    pub fn here() -> Self {
        Self(std::process::id())
    }

    pub fn is_here(self) -> bool {
        self.0 == std::process::id()
    }
}

/// What to say of a GPU after a fork.
pub fn forked() -> Error {
    Error::NoAdapter {
        wanted: "in a process that was forked from one that used it (start processes by \"spawn\")"
            .to_owned(),
        found: "none, for the same reason".to_owned(),
    }
}
