//! What one call at a time may use: calls of other threads wait for their turn.

use super::error::{Result, out_of_turn};
use pyo3::prelude::*;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// A thread of a process.
type Caller = (u32, ThreadId);

fn caller() -> Caller {
    (std::process::id(), thread::current().id())
}

/// A learner or a session, with the call that uses it. Both locks are taken and given back while the interpreter's is held.
pub struct Turns<T> {
    /// What it is called in errors.
    what: &'static str,
    thing: Mutex<T>,
    user: Mutex<Option<Caller>>,
}

/// The thing, for the time of one call.
pub struct Turn<'a, T> {
    thing: MutexGuard<'a, T>,
    user: &'a Mutex<Option<Caller>>,
}

/// How long a call that waits sleeps between two looks.
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(5);

impl<T> Turns<T> {
    pub fn new(what: &'static str, thing: T) -> Self {
        Self {
            what,
            thing: Mutex::new(thing),
            user: Mutex::new(None),
        }
    }

    /// Waits until no other call uses it. Meanwhile other threads of Python run, and signals are looked for.
    pub fn take(&self, py: Python<'_>) -> Result<Turn<'_, T>> {
        let mut pause = SHORTEST;
        loop {
            match self.thing.try_lock() {
                Ok(thing) => {
                    *held(&self.user) = Some(caller());
                    let user = &self.user;
                    return Ok(Turn { thing, user });
                }
                // Whoever panicked was in the midst of a change.
                Err(TryLockError::Poisoned(_)) => {
                    let reason = "an earlier call failed in its midst: open a new one";
                    return Err(out_of_turn(self.what, reason).into());
                }
                Err(TryLockError::WouldBlock) => self.require_end()?,
            }
            py.detach(|| thread::sleep(pause));
            py.check_signals()?;
            pause = LONGEST.min(2 * pause);
        }
    }

    /// Fails where the call that uses it would wait for this one, or is a thread that a fork left behind.
    fn require_end(&self) -> Result<()> {
        let (here, this) = caller();
        let (process, thread) = (*held(&self.user)).unwrap_or((here, this));
        // A thread of the engine is in the midst of a call, as a rule that one.
        let is_within = thread == this || rayon::current_thread_index().is_some();
        match process == here && !is_within {
            true => Ok(()),
            false => {
                let reason = "in use by a call that cannot end before this one";
                Err(out_of_turn(self.what, reason).into())
            }
        }
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.thing
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        *held(self.user) = None;
    }
}
