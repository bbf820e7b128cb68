//! How long a computation took.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long one sweep took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// From the call to the end of the computation.
    pub wall: Duration,
    /// Of it, the time that the device's own clock saw pass from the first kernel's start to the last one's end; where it
    /// has one.
    pub device: Option<Duration>,
    /// What each kernel took of it, by its name, all its dispatches together; empty without such a clock.
    pub kernels: BTreeMap<&'static str, Duration>,
}
