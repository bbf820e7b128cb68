//! What the neurons of a network for a task are called.

use crate::tasks::Task;

/// A neuron of column `column`: the inputs are column 0, and column `k + 1` is behind the `k`-th of `last` layers with
/// connections.
pub fn neuron(task: &dyn Task, column: usize, last: usize, neuron: usize) -> String {
    if column == 0 {
        task.input_name(neuron)
    } else if column == last {
        task.output_name(neuron)
    } else {
        format!("hidden {}", neuron + 1)
    }
}
