//! The tasks that come with the crate.

use super::association::Association;
use super::completion::Completion;
use super::pattern_memory::PatternMemory;
use super::task::Task;
use std::sync::Arc;

/// One line for each.
const TASKS: [fn() -> Arc<dyn Task>; 4] = [
    || Arc::new(Completion::PAPER),
    || Arc::new(Association::ONE_SHOT),
    || Arc::new(Association::REVERSAL),
    || Arc::new(PatternMemory::SMALL),
];

/// The tasks that come with the crate, each with the sizes that it has in its paper.
pub fn all() -> Vec<Arc<dyn Task>> {
    TASKS.iter().map(|task| task()).collect()
}

/// The task of a name, if one comes with the crate, with the sizes that it has in its paper.
pub fn named(name: &str) -> Option<Arc<dyn Task>> {
    all().into_iter().find(|task| task.name() == name)
}
