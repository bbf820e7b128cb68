//! What the neurons of a network for a task are called.

use metaplastic::task::Task;

/// A presynaptic neuron of the first layer.
pub(super) fn input(task: &Task, neuron: usize) -> String {
    match neuron.checked_sub(task.bits()) {
        None => format!("bit {}", neuron + 1),
        Some(label) => format!("label {}", label + 1),
    }
}

/// A postsynaptic neuron of the last layer.
pub(super) fn output(task: &Task, neuron: usize) -> String {
    match task {
        Task::Completion(_) => format!("bit {}", neuron + 1),
        Task::OneShot(_) | Task::Reversal(_) => format!("label {}", neuron + 1),
    }
}

/// A neuron in between.
pub(super) fn hidden(neuron: usize) -> String {
    format!("hidden {}", neuron + 1)
}

/// A neuron of column `column`: the inputs are column 0, and column `k + 1` is behind the `k`-th of `last` layers with
/// connections.
pub(super) fn neuron(task: &Task, column: usize, last: usize, neuron: usize) -> String {
    if column == 0 {
        input(task, neuron)
    } else if column == last {
        output(task, neuron)
    } else {
        hidden(neuron)
    }
}
