//! What the neurons of a network for a task are called.

use crate::network::{Layer, Network};
use crate::parameters::Role;
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

/// A presynaptic neuron of a layer's connections of one kind: one in front of it or, where the layer is recurrent, one of its own,
/// unless they are those on its input; the last may be the one that is always 1.
///
/// # Panics
/// If there is no such layer.
pub fn presynaptic(
    task: &dyn Task,
    network: &Network,
    (layer, role): (usize, Role),
    index: usize,
) -> String {
    let description = &network.layers()[layer];
    let is_on_input = role == Role::InputWeight;
    let plastic = description.as_plastic();
    if !is_on_input && plastic.is_some_and(|plastic| index == plastic.inputs) {
        return "constant".to_owned();
    }
    let is_own = description.as_recurrent().is_some() && !is_on_input;
    let column = connected(&network.layers()[..layer]) + usize::from(is_own);
    neuron(task, column, connected(network.layers()), index)
}

/// A postsynaptic neuron of a layer.
///
/// # Panics
/// If there is no such layer.
pub fn postsynaptic(task: &dyn Task, network: &Network, layer: usize, index: usize) -> String {
    let column = connected(&network.layers()[..layer]) + 1;
    neuron(task, column, connected(network.layers()), index)
}

/// How many of the layers have connections.
fn connected(layers: &[Layer]) -> usize {
    let has_connections = |layer: &&Layer| !matches!(layer, Layer::Bias(_));
    layers.iter().filter(has_connections).count()
}
