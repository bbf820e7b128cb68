//! Whole meta-steps in one kernel, where networks are so small that a workgroup keeps everything of theirs in its memory:
//! then a dispatch does as many meta-steps as it has time for, and nothing goes through device memory in between.

use super::arrays::{Lengths, Working};
use super::kernel::Kernel;
use super::layout::{DeviceLayout, LayerLayout};
use super::profile::Profile;
use super::render::Renderer;
use super::stages::{Packing, Purpose, Stages};
use super::turns;
use super::work::Work;
use crate::computation::{EPISODE_BLOCK, GivenDynamics};
use crate::error::Result;
use crate::network::Network;

/// Lanes of a workgroup.
const WORKGROUP: usize = 64;

/// The least lanes that own a network: rows may be fewer, but parameters, steps and columns are spread over all.
const LEAST_LANES: usize = 8;

/// Turns of loops that a lane makes in one dispatch, at most: as each takes about a microsecond, a share of time.
const TURNS: u64 = 65_000;

/// What a lane's step of a layer takes at least, in synapse-steps: rows are short, and some lanes have none.
const LANE_STEP: u64 = 16;

/// `vec4`s of a plastic or dense row, at most: one lane keeps it in its registers.
const MOST_QUADS: usize = 8;

/// `vec4`s of one row of each layer together, at most: the kernel's text writes them all out.
const MOST_TEXT: usize = 16;

/// One kernel that does whole meta-steps.
#[derive(Debug)]
pub(super) struct Fusion {
    pub purpose: Purpose,
    pub kernel: Kernel,
    /// Meta-steps that one dispatch does at most.
    pub meta_steps: usize,
}

impl Fusion {
    /// The kernel for `work`, if one can do it. That depends on the sizes of one network alone, so that a network gets the
    /// same bits in any population.
    pub fn new(
        network: &Network,
        profile: &Profile,
        layout: &DeviceLayout,
        work: &Work,
    ) -> Result<Option<Self>> {
        let one = work.of(1);
        let lanes = lanes(layout);
        let turns = turns::of_meta_step(layout, work, lanes);
        let most_turns = TURNS.min(profile.loop_turns);
        if !is_small(layout)
            || !is_simple(work)
            || largest_buffer(layout, &one) > profile.binding_bytes
            || one.amount(network) > profile.submission_work
            || turns > most_turns
        {
            return Ok(None);
        }
        let Some((purpose, kernel)) = largest_kernel(profile, layout, work, lanes)? else {
            return Ok(None);
        };
        let of_lanes = (work.networks as u64)
            .saturating_mul(lanes as u64 * LANE_STEP)
            .saturating_mul(turns);
        let by_work = profile.submission_work / of_lanes.max(work.amount(network));
        let meta_steps = by_work.min(most_turns / turns);
        Ok(Some(Self {
            purpose,
            kernel,
            meta_steps: meta_steps.max(1) as usize,
        }))
    }

    /// The batch's buffers and their bytes.
    pub fn buffers(&self, layout: &DeviceLayout, work: &Work) -> Vec<(Working, u64)> {
        buffers(layout, work)
    }
}

/// The kernel with as many networks to a workgroup as its memory has room for. Networks share nothing: how many a workgroup
/// does changes nothing but the time.
fn largest_kernel(
    profile: &Profile,
    layout: &DeviceLayout,
    work: &Work,
    lanes: usize,
) -> Result<Option<(Purpose, Kernel)>> {
    let renderer = Renderer::new(profile);
    let stages = Stages::new(layout, work, &[]);
    let population = work.networks.checked_next_power_of_two();
    let mut networks = (WORKGROUP / lanes).min(population.unwrap_or(WORKGROUP));
    networks = 1 << networks.ilog2();
    while networks > 0 {
        let purpose = Purpose::MetaStep(Packing { lanes, networks });
        let kernel = renderer.kernel(&stages, purpose)?;
        if kernel.workgroup_bytes() <= profile.workgroup_bytes {
            return Ok(Some((purpose, kernel)));
        }
        networks /= 2;
    }
    Ok(None)
}

/// Bytes of the largest buffer of the batch, if the work may come to one kernel.
pub(super) fn largest_buffer(layout: &DeviceLayout, work: &Work) -> u64 {
    if !is_small(layout) || !is_simple(work) {
        return 0;
    }
    let buffers = buffers(layout, work).into_iter();
    buffers.map(|(_, bytes)| bytes).max().unwrap_or(0)
}

/// Whether a lane can hold a row of every layer, and a workgroup a network.
fn is_small(layout: &DeviceLayout) -> bool {
    let quads = |layer: &LayerLayout| layer.inputs.div_ceil(4);
    let rows = layout.layers.iter().filter(|layer| layer.has_synapses());
    rows.clone().all(|layer| quads(layer) <= MOST_QUADS)
        && rows.map(quads).sum::<usize>() <= MOST_TEXT
        && layout.layers.iter().all(|layer| {
            layer.outputs <= WORKGROUP && layer.cell.is_none() && layer.modulators == 0
        })
}

/// Whether the work is whole meta-steps, training or frozen, on one block of episodes, with nothing given or wanted
/// beside.
fn is_simple(work: &Work) -> bool {
    let request = &work.request;
    work.has_target()
        && work.is_meta_step
        && request.gradient == work.learn
        && request.batch <= EPISODE_BLOCK
        && !request.want.input_gradient
        && !request.want.final_traces
        && request
            .given
            .iter()
            .all(|given| *given == GivenDynamics::default())
}

/// The caller's episodes; those of a task are made in workgroup memory.
fn buffers(layout: &DeviceLayout, work: &Work) -> Vec<(Working, u64)> {
    if work.task.is_some() {
        return Vec::new();
    }
    let lengths = Lengths::new(work, work.request.batch, work.request.steps);
    let shape = Working::Episodes.shape(layout, work, &[]);
    vec![(Working::Episodes, shape.bytes(&lengths))]
}

fn lanes(layout: &DeviceLayout) -> usize {
    let rows = layout.layers.iter().map(|layer| layer.outputs).max();
    rows.unwrap_or(0).max(LEAST_LANES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::computation::ObjectiveKind;
    use crate::computation::Which;
    use crate::network::Dynamic;
    use crate::network::{Activation, Dense, Layer, Loss, Plastic, Rate};
    use crate::tasks::Association;

    fn network(inputs: usize, outputs: usize) -> Network {
        let layers = [
            Layer::from(
                Plastic::new(inputs, outputs, Rate::learned(0.1)).activation(Activation::Tanh),
            ),
            Layer::from(Dense::new(outputs, 2)),
        ];
        Network::new(Loss::SoftmaxCrossEntropy, layers).unwrap()
    }

    fn fusion(network: &Network, profile: &Profile, work: &Work) -> Option<Fusion> {
        let layout = DeviceLayout::new(network, profile);
        Fusion::new(network, profile, &layout, work).unwrap()
    }

    #[test]
    fn what_is_too_large_or_more_than_a_meta_step_is_not_fused() {
        let profile = Profile::default();
        let small = network(10, 2);
        let work = Work::training(&small, 5, 16, 20);
        assert!(fusion(&small, &profile, &work).is_some());
        for (network, work) in [
            (network(33, 2), work.clone()),
            (network(4, 65), work.clone()),
            (network(32, 33), work.clone()),
            (small.clone(), Work::training(&small, 5, 17, 20)),
            (small.clone(), Work::training(&small, 5, 1, 5000)),
        ] {
            assert!(fusion(&network, &profile, &work).is_none(), "{work:?}");
        }
        let changes: [fn(&mut Work); 6] = [
            |work| work.request.want.input_gradient = true,
            |work| work.request.want.final_traces = true,
            |work| work.request.given[0].initial = Which::one(Dynamic::Trace),
            |work| work.request.given[0].gradient = Which::one(Dynamic::Trace),
            |work| work.learn = false,
            |work| work.request.objective = ObjectiveKind::OutputGradient,
        ];
        for change in changes {
            let mut other = work.clone();
            change(&mut other);
            assert!(fusion(&small, &profile, &other).is_none(), "{other:?}");
        }
        let tight: [fn(&mut Profile); 3] = [
            |profile| profile.workgroup_bytes = 2 << 10,
            |profile| profile.binding_bytes = 4 << 10,
            |profile| profile.submission_work = 1,
        ];
        for change in tight {
            let mut profile = profile.clone();
            change(&mut profile);
            assert!(fusion(&small, &profile, &work).is_none(), "{profile:?}");
        }
    }

    #[test]
    fn a_dispatch_does_no_more_than_its_share_of_time() {
        let profile = Profile::default();
        let network = network(10, 2);
        let meta_steps = |networks: usize, batch: usize, steps: usize| {
            let task = Association::one_shot(8, 2, steps).unwrap();
            let work = Work::on_task(&network, networks, batch, &task, true);
            fusion(&network, &profile, &work).unwrap().meta_steps
        };
        assert!((50..1000).contains(&meta_steps(1, 1, 20)));
        assert!(meta_steps(1, 16, 20) < meta_steps(1, 1, 20) / 4);
        assert!(meta_steps(100_000, 1, 20) < meta_steps(1000, 1, 20));
        assert!(meta_steps(100_000, 1, 20) >= 1 && meta_steps(1, 16, 40) >= 1);
        // As many steps as no workgroup memory has.
        let work = Work::training(&network, 1, 1, i32::MAX as usize);
        assert!(fusion(&network, &profile, &work).is_none());
    }
}
