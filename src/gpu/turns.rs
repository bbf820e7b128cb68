//! How many turns the loops of a kernel make in one dispatch.
//!
//! Mesa's software driver counts the turns of all loops of a kernel together, and at [`Profile::loop_turns`] of them it
//! ends every loop, in silence. Lanes run side by side there, so that the count is that of the lane with the most turns,
//! and a loop in a branch counts though no lane takes it.
//!
//! [`Profile::loop_turns`]: super::profile::Profile::loop_turns

use super::cell::CellLayout;
use super::cell_kernels::{CellKernel, CellSweep};
use super::kernel::WORKGROUP;
use super::layout::{CHECKED, DeviceLayout, LayerLayout};
use super::render::{CHUNK, UNROLLED};
use super::stages::{Purpose, Stages};
use super::variant::CHECKPOINT;
use super::work::Work;
use crate::computation::{Checkpoints, EPISODE_BLOCK};

/// Loops over the outputs in the loss of a step: one for steps that do not count, and three of a softmax.
const LOSS_LOOPS: u64 = 4;

/// A loop that `turns` times does what itself takes `body` turns. The look that ends it is one more.
fn of_loop(turns: u64, body: u64) -> u64 {
    turns
        .saturating_mul(body.saturating_add(1))
        .saturating_add(1)
}

/// The sum of some loops' turns.
fn sum(turns: impl IntoIterator<Item = u64>) -> u64 {
    turns.into_iter().fold(0, u64::saturating_add)
}

/// The kernel whose loops make the most turns, and how many, where a dispatch does at most `episodes` episodes and `steps`
/// steps of each.
pub(super) fn most(stages: &Stages<'_>, episodes: usize, steps: usize) -> (&'static str, u64) {
    let kernels = stages.all().into_iter();
    let turns =
        kernels.map(|purpose| (purpose.name(), of_kernel(stages, purpose, episodes, steps)));
    let most = turns.max_by_key(|&(_, turns)| turns);
    most.expect("there is a forward sweep")
}

fn of_kernel(stages: &Stages<'_>, purpose: Purpose, episodes: usize, steps: usize) -> u64 {
    let (layout, work) = (stages.layout, stages.work);
    let block = EPISODE_BLOCK.min(episodes) as u64;
    let blocks = episodes.div_ceil(EPISODE_BLOCK) as u64;
    let steps = steps as u64;
    let of_lanes = |items: usize| of_loop(items.div_ceil(WORKGROUP) as u64, 0);
    let halvings = of_loop(u64::from(WORKGROUP.ilog2()), 0);
    let [losses, parts, part] = [work.request.batch, layout.parts(), CHECKED].map(of_lanes);
    match purpose {
        Purpose::Forward(_) => of_loop(steps, 0),
        Purpose::Step(_) => of_loop(1, 0),
        Purpose::Episodes => {
            let numbers = (layout.layers[0].inputs + layout.last().outputs) as u64;
            // Its inputs and its targets in two loops.
            let all_steps = of_loop(steps, numbers + 2);
            sum([work.task.as_ref().map_or(0, |task| task.turns), all_steps])
        }
        Purpose::Loss => loss_of_step(layout.last()),
        Purpose::SumLosses => of_unrolled(steps),
        Purpose::Backward(layer) => of_loop(block, backward(&layout.layers[layer], steps)),
        Purpose::InputGradient(layer) => {
            let layer = &layout.layers[layer];
            let sweeps = if layer.has_trace() { 2 } else { 1 };
            let tiles = layer.outputs.div_ceil(4) as u64;
            of_loop(tiles, sweeps * of_loop(steps, 0))
        }
        Purpose::ModulatorGradient(layer) => {
            let chunks = layout.layers[layer].outputs.div_ceil(CHUNK) as u64;
            of_loop(chunks, of_unrolled(CHUNK as u64))
        }
        Purpose::ReduceRows(layer) => of_unrolled(layout.layers[layer].outputs as u64 - 1),
        Purpose::Reduce => of_unrolled(blocks),
        Purpose::CheckParts => 2 * (part + halvings),
        Purpose::Check => sum([losses, parts, halvings, parts, halvings]),
        Purpose::TakeInput | Purpose::GiveOutput | Purpose::Optimiser => 0,
        Purpose::MetaStep(packing) => of_meta_step(layout, work, packing.lanes),
        Purpose::Cell(kernel, layer) => of_cell(&stages.of_cell(layer), kernel, work, block, steps),
    }
}

/// Of a kernel of a cell, where blocks have `block` episodes.
fn of_cell(sweep: &CellSweep<'_>, kernel: CellKernel, work: &Work, block: u64, steps: u64) -> u64 {
    let cell = sweep.cell;
    let lanes = cell.lanes(WORKGROUP);
    let over = |items: usize, lanes: usize| of_loop(items.div_ceil(lanes) as u64, 0);
    let neurons = over(cell.outputs, WORKGROUP);
    match kernel {
        CellKernel::ForwardSteps | CellKernel::BackwardSteps => {
            let tile = sweep.layer.cell_tile.expect("its lanes hold the synapses");
            let rows = over(cell.outputs, tile.lanes());
            let columns = over(cell.presynaptic, tile.lanes());
            let others = over(sweep.layer.inputs, tile.column_lanes);
            let of_step = sum([rows, columns, over(cell.outputs, tile.adders()), others]);
            let of_steps = of_loop(steps, of_step);
            sum([of_steps, 2 * rows])
        }
        CellKernel::Forward => {
            over(cell.presynaptic, lanes).saturating_add(over(sweep.layer.inputs, lanes))
        }
        CellKernel::Modulator => neurons,
        CellKernel::Update => over(cell.updated()[0], 1),
        CellKernel::Carry => 0,
        CellKernel::Replay => over(Checkpoints::of(work.request.steps).replayed(), 1),
        CellKernel::Pull => over(cell.presynaptic, lanes),
        CellKernel::Signal => 2 * neurons,
        CellKernel::Answer => over(CellLayout::chunk().min(cell.outputs), 1),
        CellKernel::Columns => over(cell.chunks(), 1),
        CellKernel::Weights | CellKernel::InputWeights => {
            let apart = Checkpoints::of(work.request.steps).apart() as u64;
            of_loop(
                block,
                of_loop(steps.div_ceil(apart), of_loop(steps.min(apart), 0)),
            )
        }
        CellKernel::Gradients => of_loop(block, over(cell.presynaptic, 1)),
        CellKernel::Shared => of_unrolled(cell.outputs as u64 - 1),
        CellKernel::InputGradient => of_loop(cell.outputs.div_ceil(4) as u64, of_loop(steps, 0)),
    }
}

/// Of a meta-step of the kernel that does everything of it, with `lanes` lanes for a network.
pub(super) fn of_meta_step(layout: &DeviceLayout, work: &Work, lanes: usize) -> u64 {
    let over_lanes = |items: u64, body: u64| of_loop(items.div_ceil(lanes as u64), body);
    let steps = work.request.steps as u64;
    let mut episode = sum([
        work.task.as_ref().map_or(0, |task| task.turns),
        over_lanes(
            steps.saturating_mul(layout.layers[0].inputs.div_ceil(4) as u64),
            0,
        ),
        over_lanes(steps, loss_of_step(layout.last())),
        of_loop(steps, 0),
    ]);
    let (mut rows, mut quads) = (0, 5 * over_lanes(layout.stride as u64 / 4, 0));
    for layer in &layout.layers {
        let (inputs, outputs) = (layer.inputs as u64, layer.outputs as u64);
        let is_plastic = layer.has_trace();
        episode = sum([
            episode,
            match is_plastic {
                true => of_loop(steps, 0),
                false => over_lanes(steps.saturating_mul(outputs), 0),
            },
        ]);
        if !work.request.gradient {
            continue;
        }
        let input_gradient = match (is_plastic, layer.has_synapses()) {
            (true, _) => {
                let tile = of_loop(outputs.div_ceil(4), of_loop(steps, 0).saturating_mul(2));
                over_lanes(inputs, tile)
            }
            (false, true) => over_lanes(steps.saturating_mul(inputs), of_loop(outputs, 0)),
            (false, false) => 0,
        };
        episode = sum([episode, backward(layer, steps), input_gradient]);
        rows += of_loop(outputs, 0);
    }
    quads += 2 * of_loop(lanes as u64, 0);
    sum([of_loop(work.request.batch as u64, episode), quads, rows, 1])
}

/// A loop in steps of [`UNROLLED`], and one over what is left: no fewer for more turns.
fn of_unrolled(turns: u64) -> u64 {
    let unrolled = UNROLLED as u64;
    of_loop(turns / unrolled, 0).saturating_add(of_loop(unrolled - 1, 0))
}

/// The loss of one step.
fn loss_of_step(last: &LayerLayout) -> u64 {
    LOSS_LOOPS * of_loop(last.outputs as u64, 0)
}

/// The reverse sweep of one episode. A small retention looks back as far as to the last trace that was kept.
fn backward(layer: &LayerLayout, steps: u64) -> u64 {
    match layer.retention {
        true => of_loop(steps, of_loop(steps.min(CHECKPOINT as u64), 0)),
        false => of_loop(steps, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::profile::Profile;
    use crate::gpu::variant::sweeps;
    use crate::network::{Activation, Bias, Dense, Layer, Loss, Network, Plastic, Rate};

    #[test]
    fn a_loop_in_a_loop_multiplies() {
        assert_eq!(of_loop(0, 5), 1);
        assert_eq!(of_loop(10, 0), 11);
        assert_eq!(of_loop(4, of_loop(10, 0)), 4 * 12 + 1);
        assert_eq!(of_loop(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn the_kernel_with_the_most_turns_is_named() {
        let network = |layers: Vec<Layer>| {
            let network = Network::new(Loss::SquaredError, layers).unwrap();
            let layout = DeviceLayout::new(&network, &Profile::default());
            (network, layout)
        };
        let turns = |layers: Vec<Layer>, batch: usize, steps: usize| {
            let (network, layout) = network(layers);
            let work = Work::training(&network, 1, batch, steps);
            let sweeps = sweeps(&layout, &work, steps);
            most(&Stages::new(&layout, &work, &sweeps), batch, steps)
        };
        let fixed =
            || Layer::from(Plastic::new(3, 2, Rate::fixed(0.1)).activation(Activation::Tanh));
        let learned =
            Layer::from(Plastic::new(3, 2, Rate::learned(0.1)).activation(Activation::Tanh));
        // Sixteen episodes of a block, one after the other; a small retention looks back over sixteen steps.
        let of_block = |episode: u64| ("backward", 16 * (episode + 1) + 1);
        assert_eq!(turns(vec![fixed()], 40, 100), of_block(101));
        assert_eq!(turns(vec![learned], 40, 100), of_block(100 * 18 + 1));
        let wide = |outputs| Layer::from(Dense::new(2, outputs));
        assert_eq!(turns(vec![fixed(), wide(1024)], 1, 9).0, "loss");
        assert_eq!(turns(vec![fixed()], 100_000, 1).0, "check");
        assert_eq!(
            turns(vec![Layer::from(Bias::new(3))], 5000, 1).0,
            "check_parts"
        );
        let shared =
            Layer::from(Plastic::new(3, 1000, Rate::learned(0.1)).activation(Activation::Tanh));
        assert_eq!(turns(vec![shared], 1, 1).0, "loss");
    }
}
