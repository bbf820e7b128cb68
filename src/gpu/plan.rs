//! Plans, made without a device: which buffers a computation needs, how it is cut, and what is dispatched in which order.
//!
//! Work is cut where a limit of the device demands it: first over networks (groups, which share nothing), then over
//! episodes, last over time, one episode at a time. A cut never changes the order in which gradients are summed: blocks
//! of episodes have a fixed size, and a cut within a block goes on with that block's sums.

use super::fusion::Fusion;
use super::layout::DeviceLayout;
use super::profile::Profile;
use super::render::{Extent, Kernel, Renderer, Variant, kept_traces};
use super::resident::{Resident, resident_bytes};
use super::turns;
use crate::computation::EPISODE_BLOCK;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::tasks::TaskKernel;
use std::collections::HashMap;
use std::ops::Range;

/// Dispatches of one meta-step of a group, about: at some milliseconds each, more would take days.
const MOST_DISPATCHES: u64 = 1 << 20;

/// What is to be computed, for a group of networks.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub networks: usize,
    pub batch: usize,
    pub steps: usize,
    pub gradient: bool,
    pub input_gradient: bool,
    pub final_traces: bool,
    /// Whether the gradient is that of the network's loss, so that there is a target.
    pub has_target: bool,
    pub mask_per_episode: bool,
    /// Per layer: an initial trace is given; a gradient on the final trace is given.
    pub given: Vec<(bool, bool)>,
    /// How the device makes the episodes, if it does.
    pub task: Option<TaskKernel>,
    /// Whether the work is a learner's meta-step, which counts its loss.
    pub is_meta_step: bool,
    /// Whether the optimiser follows the gradient.
    pub learn: bool,
}

impl Work {
    /// A meta-step of training on the caller's episodes.
    pub fn training(network: &Network, networks: usize, batch: usize, steps: usize) -> Self {
        Self {
            networks,
            batch,
            steps,
            gradient: true,
            input_gradient: false,
            final_traces: false,
            has_target: true,
            mask_per_episode: false,
            given: vec![(false, false); network.layers().len()],
            task: None,
            is_meta_step: true,
            learn: true,
        }
    }
}

/// A buffer of one batch. Segments of time have buffers of their own, so that none exceeds a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Working {
    /// Of each episode.
    Losses,
    /// Of each step of a segment.
    StepLosses,
    Partials,
    /// What a task's episodes are made of.
    Words,
    /// The caller's episodes where one kernel does whole meta-steps: input, target, mask.
    Episodes,
    /// Of a segment.
    Mask(usize),
    Target(usize),
    InputSignal(usize),
    /// Of a layer's input, or the last layer's output, and a segment.
    Activity(usize, usize),
    /// Of a layer and a segment.
    Drive(usize, usize),
    Signal(usize, usize),
    Traces(usize, usize),
    /// Of a layer: the trace as the forward sweep has it, between segments.
    Scaled(usize),
    /// Of a layer.
    Adjoint(usize),
}

/// A buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Buffer {
    Resident(Resident),
    Working(Working),
}

/// One kernel's run over some of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dispatch {
    /// Index among the plan's kernels.
    pub kernel: usize,
    /// In the order of the kernel's bindings.
    pub buffers: Vec<Buffer>,
    pub extent: Extent,
    /// Workgroups along two axes.
    pub workgroups: [u32; 2],
}

/// A part of the batch that is computed at once.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub episodes: Range<usize>,
    pub dispatches: Vec<Dispatch>,
}

/// How the traces of a layer are kept in a segment: planes of one buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TraceSlots {
    /// The gradient on the final trace, in slot 0.
    pub upstream: bool,
    /// Traces that are kept in between, in the slots that follow.
    pub kept: usize,
    /// Slot of the trace at the segment's start.
    pub initial: Option<usize>,
    /// Slot of the trace at its end.
    pub last: Option<usize>,
    pub count: usize,
}

/// A computation, ready to be run on a device.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub work: Work,
    pub layout: DeviceLayout,
    pub kernels: Vec<Kernel>,
    /// The batch's buffers and their bytes.
    pub buffers: Vec<(Working, u64)>,
    pub segments: Vec<Range<usize>>,
    /// Per layer.
    pub traces: Vec<TraceSlots>,
    pub variants: Vec<Variant>,
    /// Meta-steps that one dispatch does at most, where one kernel does everything of a meta-step.
    pub fused: Option<usize>,
    pub cuts: Vec<Cut>,
    /// What follows the last cut: checks and optimiser.
    pub finish: Vec<Dispatch>,
}

/// Networks of one group at most: as many as have everything of theirs that no other cut makes smaller in one binding
/// each: what is resident, and one block of episodes.
pub(super) fn group_size(network: &Network, profile: &Profile, work: &Work) -> usize {
    let layout = DeviceLayout::new(network, profile);
    let fits = |networks: usize| {
        let block = EPISODE_BLOCK.min(work.batch);
        let group = Work {
            networks,
            ..work.clone()
        };
        let resident = resident_bytes(&layout, networks, work.learn).into_iter();
        resident.map(|(_, bytes)| bytes).max() <= Some(profile.binding_bytes)
            && largest_buffer(&layout, &group, block, work.steps) <= profile.binding_bytes
            && Fusion::largest_buffer(&layout, &group) <= profile.binding_bytes
            && work_of(network, networks, block, work.steps) <= profile.submission_work
    };
    largest(work.networks, fits).max(1)
}

/// A range of networks, cut into ranges of at most `size`.
pub(super) fn split(networks: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = networks.end;
    let first = networks.step_by(size);
    first.map(move |first| first..(first + size).min(end))
}

/// Fails if what is resident of one network exceeds a binding: no cut makes that smaller.
pub(super) fn require_residents(
    layout: &DeviceLayout,
    profile: &Profile,
    learning: bool,
) -> Result<()> {
    let resident = resident_bytes(layout, 1, learning).into_iter();
    match resident.max_by_key(|&(_, bytes)| bytes) {
        Some((resident, bytes)) if bytes > profile.binding_bytes => Err(Error::DeviceLimit {
            what: format!("{resident:?} of one network (bytes of a buffer)"),
            requested: bytes,
            limit: profile.binding_bytes,
        }),
        _ => Ok(()),
    }
}

/// The largest number from 1 to `most` that fits, if what fits gets no rarer towards 1; 0 if none does.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

pub(super) fn work_of(network: &Network, networks: usize, episodes: usize, steps: usize) -> u64 {
    [networks, episodes, steps, network.synapses().max(1)]
        .iter()
        .fold(1u64, |product, &size| product.saturating_mul(size as u64))
}

fn largest_buffer(layout: &DeviceLayout, work: &Work, episodes: usize, steps: usize) -> u64 {
    let (traces, variants) = traces_and_variants(layout, work, steps);
    // Every segment's buffers are as large as the first one's.
    buffers(layout, work, &traces, &variants, episodes, steps, 1)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .max()
        .unwrap_or(0)
}

/// For segments of `steps` steps.
fn traces_and_variants(
    layout: &DeviceLayout,
    work: &Work,
    steps: usize,
) -> (Vec<TraceSlots>, Vec<Variant>) {
    layout
        .layers
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            let input_signal = work.gradient && (index > 0 || work.input_gradient);
            if layer.plastic.is_none() {
                let variant = Variant {
                    gradient: work.gradient,
                    input_signal,
                    ..Variant::default()
                };
                return (TraceSlots::default(), variant);
            }
            let (initial, upstream) = work.given[index];
            let upstream = upstream && work.gradient;
            let is_cut = steps < work.steps;
            let kept = kept_traces(layer, work, steps);
            let variant = Variant {
                gradient: work.gradient,
                trace_in: initial || is_cut,
                trace_out: work.final_traces || upstream || is_cut,
                upstream,
                adjoint: is_cut && work.gradient,
                initial_gradient: initial && work.gradient,
                kept: kept > 0,
                input_signal,
                cut: is_cut,
            };
            let first = usize::from(upstream) + kept;
            let last = first + usize::from(variant.trace_in);
            let slots = TraceSlots {
                upstream,
                kept,
                initial: variant.trace_in.then_some(first),
                last: variant.trace_out.then_some(last),
                count: last + usize::from(variant.trace_out),
            };
            (slots, variant)
        })
        .unzip()
}

/// The batch's buffers for cuts of `episodes` episodes and segments of `steps` steps.
fn buffers(
    layout: &DeviceLayout,
    work: &Work,
    traces: &[TraceSlots],
    variants: &[Variant],
    episodes: usize,
    steps: usize,
    segments: usize,
) -> Vec<(Working, u64)> {
    let floats = |sizes: &[usize]| {
        sizes
            .iter()
            .fold(4u64, |bytes, &size| bytes.saturating_mul(size as u64))
    };
    let (networks, last) = (work.networks, layout.layers.len() - 1);
    let per_step = |row: usize| floats(&[networks, episodes, steps, row]);
    let output_row = layout.layers[last].output_row;
    let mut buffers = vec![(Working::Losses, floats(&[networks, work.batch]))];
    if work.has_target {
        buffers.push((Working::StepLosses, per_step(1)));
    }
    if work.gradient {
        let blocks = episodes.div_ceil(EPISODE_BLOCK);
        buffers.push((
            Working::Partials,
            floats(&[networks, blocks, layout.partial_stride]),
        ));
    }
    if let Some(task) = &work.task {
        buffers.push((Working::Words, floats(&[networks, episodes, task.words, 4])));
    }
    for segment in 0..segments {
        if work.has_target {
            let masks = if work.mask_per_episode {
                networks * episodes
            } else {
                1
            };
            buffers.push((Working::Mask(segment), floats(&[masks, steps])));
            buffers.push((Working::Target(segment), per_step(output_row)));
        }
        if work.gradient && work.input_gradient {
            buffers.push((
                Working::InputSignal(segment),
                per_step(layout.layers[0].row),
            ));
        }
        for (index, layer) in layout.layers.iter().enumerate() {
            buffers.push((Working::Activity(index, segment), per_step(layer.row)));
            if layer.retention && work.gradient {
                buffers.push((Working::Drive(index, segment), per_step(layer.output_row)));
            }
            if work.gradient || (index == last && work.has_target) {
                buffers.push((Working::Signal(index, segment), per_step(layer.output_row)));
            }
        }
        buffers.push((Working::Activity(last + 1, segment), per_step(output_row)));
    }
    for (index, layer) in layout.layers.iter().enumerate() {
        let rows = [networks, episodes, layer.outputs];
        let plane = floats(&rows).saturating_mul(layer.row as u64);
        if traces[index].count > 0 {
            let bytes = plane.saturating_mul(traces[index].count as u64);
            buffers.extend((0..segments).map(|segment| (Working::Traces(index, segment), bytes)));
        }
        if variants[index].cut {
            let scales = floats(&rows).saturating_mul(4);
            buffers.push((Working::Scaled(index), plane.saturating_add(scales)));
        }
        let slots = variants[index].adjoint_slots() as u64;
        if slots > 0 {
            let states = if variants[index].adjoint {
                floats(&rows).saturating_mul(4 * slots)
            } else {
                0
            };
            buffers.push((
                Working::Adjoint(index),
                plane.saturating_mul(slots).saturating_add(states),
            ));
        }
    }
    buffers
}

impl Plan {
    /// Plans the work of one group of networks, no more than [`group_size`] says.
    pub fn new(network: &Network, profile: &Profile, work: Work) -> Result<Self> {
        let layout = DeviceLayout::new(network, profile);
        require_residents(&layout, profile, work.learn)?;
        match Fusion::new(network, profile, &layout, &work)? {
            Some(fusion) => Ok(Self::fused(profile, layout, work, fusion)),
            None => Self::separate(network, profile, work),
        }
    }

    /// One dispatch of one kernel.
    fn fused(profile: &Profile, layout: DeviceLayout, work: Work, fusion: Fusion) -> Self {
        let recorder = Recorder {
            kernels: vec![fusion.kernel],
            known: HashMap::new(),
            rendered: HashMap::new(),
            workgroups: profile.workgroups,
        };
        let extent = Extent {
            networks: work.networks as u32,
            episodes: work.batch as u32,
            batch: work.batch as u32,
            steps: work.steps as u32,
            mask_per_episode: u32::from(work.mask_per_episode),
            ..Extent::default()
        };
        let dispatch = recorder.dispatch(0, extent, work.networks, |name| match name {
            "episodes" => Buffer::Working(Working::Episodes),
            name => resident_of(name),
        });
        let layers = layout.layers.len();
        Self {
            kernels: recorder.kernels,
            buffers: fusion.buffers,
            segments: std::iter::once(0..work.steps).collect(),
            traces: vec![TraceSlots::default(); layers],
            variants: vec![Variant::default(); layers],
            fused: Some(fusion.meta_steps),
            cuts: vec![Cut {
                episodes: 0..work.batch,
                dispatches: vec![dispatch],
            }],
            finish: Vec::new(),
            layout,
            work,
        }
    }

    /// Plans the work as separate kernels, which any work can be.
    pub fn separate(network: &Network, profile: &Profile, work: Work) -> Result<Self> {
        let layout = DeviceLayout::new(network, profile);
        layout.require_registers(profile)?;
        let (episodes, steps) = cut_sizes(network, profile, &layout, &work)?;
        let per_segment = 3 * layout.layers.len() as u64;
        let dispatches = (work.batch.div_ceil(episodes) as u64)
            .saturating_mul(work.steps.div_ceil(steps) as u64)
            .saturating_mul(per_segment);
        if dispatches > MOST_DISPATCHES {
            return Err(Error::DeviceLimit {
                what: "dispatches of a meta-step, as the device's limits cut it".into(),
                requested: dispatches,
                limit: MOST_DISPATCHES,
            });
        }
        let segments: Vec<_> = (0..work.steps)
            .step_by(steps)
            .map(|first| first..(first + steps).min(work.steps))
            .collect();
        let (traces, variants) = traces_and_variants(&layout, &work, steps);
        let buffers = buffers(
            &layout,
            &work,
            &traces,
            &variants,
            episodes,
            steps,
            segments.len(),
        );
        let mut plan = Self {
            work,
            layout,
            kernels: Vec::new(),
            buffers,
            segments,
            traces,
            variants,
            fused: None,
            cuts: Vec::new(),
            finish: Vec::new(),
        };
        plan.record(network, profile, episodes)?;
        Ok(plan)
    }

    /// Bytes of the batch's buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers
            .iter()
            .fold(0, |sum, &(_, bytes)| sum.saturating_add(bytes))
    }

    /// Every dispatch of a meta-step, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        let cuts = self.cuts.iter().flat_map(|cut| &cut.dispatches);
        cuts.chain(&self.finish)
    }

    fn record(&mut self, network: &Network, profile: &Profile, episodes: usize) -> Result<()> {
        let renderer = Renderer::new(profile);
        let mut recorder = Recorder {
            kernels: Vec::new(),
            known: HashMap::new(),
            rendered: HashMap::new(),
            workgroups: profile.workgroups,
        };
        let batch = self.work.batch;
        let mut cuts = Vec::new();
        for first in (0..batch).step_by(episodes) {
            let range = first..(first + episodes).min(batch);
            let dispatches = self.cut(network, &renderer, &mut recorder, range.clone())?;
            cuts.push(Cut {
                episodes: range,
                dispatches,
            });
        }
        if self.work.is_meta_step {
            let extent = Extent {
                networks: self.work.networks as u32,
                batch: batch as u32,
                ..Extent::default()
            };
            let mut finish = Vec::new();
            if self.work.learn {
                let items = self.work.networks * self.layout.parts();
                let parts =
                    recorder.kernel("check_parts", 0, || renderer.check_parts(&self.layout))?;
                finish.push(recorder.dispatch(parts, extent, items, resident_of));
            }
            let check = recorder.kernel("check", 0, || renderer.check(&self.layout))?;
            finish.push(recorder.dispatch(check, extent, self.work.networks, resident_of));
            if self.work.learn {
                let items = self.work.networks * self.layout.stride;
                let optimiser =
                    recorder.kernel("optimiser", 0, || renderer.optimiser(&self.layout))?;
                finish.push(recorder.dispatch(optimiser, extent, items, resident_of));
            }
            self.finish = finish;
        }
        for kernel in &recorder.kernels {
            let bytes = kernel.workgroup_bytes();
            if bytes > profile.workgroup_bytes {
                return Err(Error::DeviceLimit {
                    what: format!("workgroup memory of the kernel {} (bytes)", kernel.name),
                    requested: bytes,
                    limit: profile.workgroup_bytes,
                });
            }
        }
        self.kernels = recorder.kernels;
        self.cuts = cuts;
        Ok(())
    }

    /// The dispatches of one cut over the batch.
    fn cut(
        &self,
        network: &Network,
        renderer: &Renderer,
        recorder: &mut Recorder,
        range: Range<usize>,
    ) -> Result<Vec<Dispatch>> {
        let (work, layout) = (&self.work, &self.layout);
        let (networks, episodes) = (work.networks, range.len());
        let last = layout.layers.len() - 1;
        let within_block = !range.start.is_multiple_of(EPISODE_BLOCK);
        let blocks = episodes.div_ceil(EPISODE_BLOCK);
        let extent_of = |segment: usize| Extent {
            networks: networks as u32,
            episodes: episodes as u32,
            batch: work.batch as u32,
            steps: self.segments[segment].len() as u32,
            blocks: blocks as u32,
            block_episodes: episodes.min(EPISODE_BLOCK) as u32,
            first_episode: range.start as u32,
            first_step: self.segments[segment].start as u32,
            accumulate: u32::from(within_block || segment + 1 < self.segments.len()),
            reduce_goes_on: u32::from(range.start >= EPISODE_BLOCK),
            first_segment: u32::from(segment == 0),
            last_segment: u32::from(segment + 1 == self.segments.len()),
            mask_per_episode: u32::from(work.mask_per_episode),
            ..Extent::default()
        };
        let with_slots = |index: usize, segment: usize| {
            let slots = &self.traces[index];
            let first = usize::from(slots.upstream) + slots.kept;
            let extent = extent_of(segment);
            Extent {
                trace_start: first as u32,
                trace_end: (first + usize::from(slots.initial.is_some())) as u32,
                adjoint_slot: (segment as u32 + 1) % 2,
                ..extent
            }
        };
        let mut dispatches = Vec::new();
        if let Some(task) = &work.task {
            for segment in 0..self.segments.len() {
                let kernel = recorder.kernel("episodes", 0, || renderer.episodes(layout, task))?;
                dispatches.push(recorder.dispatch(
                    kernel,
                    extent_of(segment),
                    networks * episodes,
                    |name| match name {
                        "input" => Buffer::Working(Working::Activity(0, segment)),
                        "target_of" => Buffer::Working(Working::Target(segment)),
                        "words" => Buffer::Working(Working::Words),
                        name => resident_of(name),
                    },
                ));
            }
        }
        let layer_buffer = |index: usize, segment: usize, name: &str| {
            Buffer::Working(match name {
                "input" => Working::Activity(index, segment),
                "output" => Working::Activity(index + 1, segment),
                "drive" => Working::Drive(index, segment),
                "signal" => Working::Signal(index, segment),
                "input_signal" if index == 0 => Working::InputSignal(segment),
                "input_signal" => Working::Signal(index - 1, segment),
                "traces" => Working::Traces(index, segment),
                "scaled" => Working::Scaled(index),
                "adjoint" => Working::Adjoint(index),
                "partials" => Working::Partials,
                name => return resident_of(name),
            })
        };
        for segment in 0..self.segments.len() {
            let steps = self.segments[segment].len();
            for (index, layer) in layout.layers.iter().enumerate() {
                let kernel = recorder.kernel("forward", index, || {
                    renderer.forward(layout, layer, self.variants[index])
                })?;
                let items =
                    networks * episodes * layer.tiles() * if layer.is_bias { steps } else { 1 };
                dispatches.push(recorder.dispatch(
                    kernel,
                    with_slots(index, segment),
                    items,
                    |name| layer_buffer(index, segment, name),
                ));
            }
            if work.has_target {
                let kernel = recorder.kernel("loss", last, || {
                    renderer.loss(network.loss(), &layout.layers[last])
                })?;
                dispatches.push(recorder.dispatch(
                    kernel,
                    extent_of(segment),
                    networks * episodes * steps,
                    |name| match name {
                        "target_of" => Buffer::Working(Working::Target(segment)),
                        "mask" => Buffer::Working(Working::Mask(segment)),
                        name => layer_buffer(last, segment, name),
                    },
                ));
                let kernel = recorder.kernel("sum_losses", 0, || renderer.sum_losses())?;
                let extent = extent_of(segment);
                dispatches.push(recorder.dispatch(
                    kernel,
                    extent,
                    networks * episodes,
                    resident_of,
                ));
            }
        }
        if !work.gradient {
            return Ok(dispatches);
        }
        for segment in (0..self.segments.len()).rev() {
            for (index, layer) in layout.layers.iter().enumerate().rev() {
                let extent = with_slots(index, segment);
                let buffer = |name: &str| layer_buffer(index, segment, name);
                let tiles = renderer
                    .backward_layout(layer, self.variants[index])
                    .tiles();
                let kernel = recorder.kernel("backward", index, || {
                    renderer.backward(layout, layer, self.variants[index])
                })?;
                dispatches.push(recorder.dispatch(
                    kernel,
                    extent,
                    networks * blocks * tiles,
                    buffer,
                ));
                if self.variants[index].input_signal && !layer.is_bias {
                    let kernel = recorder.kernel("input_gradient", index, || {
                        renderer.input_gradient(layout, layer, self.variants[index])
                    })?;
                    let items = networks * episodes * layer.row / 4;
                    dispatches.push(recorder.dispatch(kernel, extent, items, buffer));
                }
            }
        }
        if range.end.is_multiple_of(EPISODE_BLOCK) || range.end == work.batch {
            for (index, layer) in layout.layers.iter().enumerate() {
                if layer.shares().contains(&true) {
                    let kernel = recorder
                        .kernel("reduce_rows", index, || renderer.reduce_rows(layout, layer))?;
                    let partials = |_: &str| Buffer::Working(Working::Partials);
                    dispatches.push(recorder.dispatch(
                        kernel,
                        extent_of(0),
                        networks * blocks,
                        partials,
                    ));
                }
            }
            let kernel = recorder.kernel("reduce", 0, || renderer.reduce(layout))?;
            dispatches.push(recorder.dispatch(
                kernel,
                extent_of(0),
                networks * layout.stride,
                |name| match name {
                    "partials" => Buffer::Working(Working::Partials),
                    name => resident_of(name),
                },
            ));
        }
        Ok(dispatches)
    }
}

/// The episodes of a cut and the steps of a segment: the most that the limits allow.
fn cut_sizes(
    network: &Network,
    profile: &Profile,
    layout: &DeviceLayout,
    work: &Work,
) -> Result<(usize, usize)> {
    let fits = |episodes: usize, steps: usize| {
        largest_buffer(layout, work, episodes, steps) <= profile.binding_bytes
            && work_of(network, work.networks, episodes, steps) <= profile.submission_work
            && turns::most(layout, work, episodes, steps).1 <= profile.loop_turns
    };
    let (kernel, turns) = turns::most(layout, work, 1, 1);
    if turns > profile.loop_turns {
        return Err(Error::DeviceLimit {
            what: format!("turns of the loops of the kernel {kernel} in one dispatch, however cut"),
            requested: turns,
            limit: profile.loop_turns,
        });
    }
    let blocks = largest(work.batch.div_ceil(EPISODE_BLOCK), |blocks| {
        fits((blocks * EPISODE_BLOCK).min(work.batch), work.steps)
    });
    if blocks > 0 {
        return Ok(((blocks * EPISODE_BLOCK).min(work.batch), work.steps));
    }
    // A part of a block must divide it, so that no cut spans two blocks.
    let parts = largest(EPISODE_BLOCK.ilog2() as usize, |power| {
        fits(1 << (power - 1), work.steps)
    });
    if parts > 0 {
        return Ok((1 << (parts - 1), work.steps));
    }
    match largest(work.steps, |steps| fits(1, steps)) {
        0 => Err(Error::DeviceLimit {
            what: format!(
                "one episode of {} networks (bytes of a buffer), however cut",
                work.networks
            ),
            requested: largest_buffer(layout, work, 1, 1),
            limit: profile.binding_bytes,
        }),
        steps => Ok((1, steps)),
    }
}

/// Collects kernels, each once, and dispatches.
struct Recorder {
    kernels: Vec<Kernel>,
    /// Where each of them is, so that time grows with the layers and not with their square.
    known: HashMap<Kernel, usize>,
    /// By purpose and layer.
    rendered: HashMap<(&'static str, usize), usize>,
    workgroups: u32,
}

impl Recorder {
    /// The index of the kernel for a purpose and a layer, rendered the first time.
    fn kernel(
        &mut self,
        purpose: &'static str,
        layer: usize,
        render: impl FnOnce() -> Result<Kernel>,
    ) -> Result<usize> {
        if let Some(&index) = self.rendered.get(&(purpose, layer)) {
            return Ok(index);
        }
        let kernel = render()?;
        let next = self.kernels.len();
        let index = *self.known.entry(kernel.clone()).or_insert(next);
        if index == next {
            self.kernels.push(kernel);
        }
        self.rendered.insert((purpose, layer), index);
        Ok(index)
    }

    fn dispatch(
        &self,
        index: usize,
        extent: Extent,
        items: usize,
        buffer: impl Fn(&str) -> Buffer,
    ) -> Dispatch {
        let kernel = &self.kernels[index];
        let groups = items.div_ceil(kernel.items) as u64;
        let rows = groups.div_ceil(u64::from(self.workgroups)).max(1);
        let buffers = kernel
            .bindings
            .iter()
            .map(|binding| buffer(binding.name))
            .collect();
        Dispatch {
            kernel: index,
            buffers,
            extent,
            workgroups: [groups.div_ceil(rows) as u32, rows as u32],
        }
    }
}

/// The population's buffer that a kernel calls `name`.
fn resident_of(name: &str) -> Buffer {
    Buffer::Resident(match name {
        "parameters" => Resident::Parameters,
        "gradients" => Resident::Gradients,
        "sources" => Resident::Sources,
        "kinds" => Resident::Kinds,
        "moments" => Resident::Moments,
        "settings" => Resident::Settings,
        "parts" => Resident::Parts,
        "states" => Resident::States,
        "progress" => Resident::Progress,
        "control" => Resident::Control,
        "keys" => Resident::Keys,
        "losses" => return Buffer::Working(Working::Losses),
        "step_losses" => return Buffer::Working(Working::StepLosses),
        name => unreachable!("kernels bind no buffer called {name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Layer, Loss, Rate};

    fn network() -> Network {
        Network::new(
            Loss::SquaredError,
            [
                Layer::plastic(64, 32, Rate::learned(0.1)),
                Layer::dense(32, 4, Activation::Linear),
            ],
        )
        .unwrap()
    }

    fn work(batch: usize, steps: usize) -> Work {
        Work {
            networks: 2,
            batch,
            steps,
            gradient: true,
            input_gradient: true,
            final_traces: false,
            has_target: true,
            mask_per_episode: false,
            given: vec![(false, false); 2],
            task: None,
            is_meta_step: false,
            learn: false,
        }
    }

    fn plan(binding_bytes: u64, work: Work) -> Result<Plan> {
        let profile = Profile {
            binding_bytes,
            ..Profile::default()
        };
        Plan::new(&network(), &profile, work)
    }

    #[test]
    fn cuts_cover_the_batch_and_fit_the_limit() {
        for limit in [1 << 27, 1 << 20, 1 << 18, 1 << 17, 100_000, 70_000] {
            let plan = plan(limit, work(40, 30)).unwrap();
            let covered: Vec<_> = plan
                .cuts
                .iter()
                .flat_map(|cut| cut.episodes.clone())
                .collect();
            assert_eq!(covered, (0..40).collect::<Vec<_>>());
            let steps: Vec<_> = plan.segments.iter().cloned().flatten().collect();
            assert_eq!(steps, (0..30).collect::<Vec<_>>());
            for cut in &plan.cuts {
                let (start, end) = (cut.episodes.start, cut.episodes.end);
                let whole = start.is_multiple_of(EPISODE_BLOCK);
                assert!(
                    whole || start / EPISODE_BLOCK == (end - 1) / EPISODE_BLOCK,
                    "{:?}",
                    cut.episodes
                );
            }
            assert!(
                plan.buffers.iter().all(|&(_, bytes)| bytes <= limit),
                "{limit}"
            );
        }
    }

    #[test]
    fn everything_fits_at_once_where_it_can() {
        let plan = plan(1 << 27, work(40, 30)).unwrap();
        assert_eq!((plan.cuts.len(), plan.segments.len()), (1, 1));
        let names: Vec<_> = plan.cuts[0]
            .dispatches
            .iter()
            .map(|dispatch| plan.kernels[dispatch.kernel].name)
            .collect();
        assert_eq!(
            names,
            [
                "forward",
                "forward",
                "loss",
                "sum_losses",
                "backward",
                "input_gradient",
                "backward",
                "input_gradient",
                "reduce_rows",
                "reduce"
            ]
        );
    }

    #[test]
    fn time_is_cut_where_an_episode_does_not_fit() {
        let plan = plan(160_000, work(3, 1000)).unwrap();
        assert!(plan.segments.len() > 1);
        assert_eq!(plan.cuts.len(), 3);
        assert!(plan.variants[0].adjoint && !plan.variants[1].adjoint);
    }

    #[test]
    fn what_no_cut_makes_fit_is_refused_with_numbers() {
        let error = plan(10_000, work(1, 10)).unwrap_err();
        assert!(
            matches!(error, Error::DeviceLimit { limit: 10_000, .. }),
            "{error}"
        );
    }

    #[test]
    fn traces_are_kept_for_the_gradient_of_a_retention() {
        let traces = |rate: Rate, steps: usize, binding_bytes: u64| {
            let layer = Layer::plastic(64, 32, rate);
            let network = Network::new(Loss::SquaredError, [layer]).unwrap();
            let work = Work {
                networks: 1,
                given: vec![(false, false)],
                ..work(1, steps)
            };
            let profile = Profile {
                binding_bytes,
                ..Profile::default()
            };
            let plan = Plan::new(&network, &profile, work).unwrap();
            let plane = 4 * 64 * 32;
            let traces = plan.buffers.iter();
            traces
                .filter(|(buffer, _)| matches!(buffer, Working::Traces(..)))
                .map(|(_, bytes)| bytes / plane)
                .collect::<Vec<_>>()
        };
        let (learned, fixed) = (Rate::learned(0.1), Rate::fixed(0.1));
        // After every 16 steps but the last.
        assert_eq!(traces(learned, 16, 1 << 27), [0u64; 0]);
        assert_eq!(traces(learned, 17, 1 << 27), [1]);
        assert_eq!(traces(learned, 64, 1 << 27), [3]);
        assert_eq!(traces(learned, 65, 1 << 27), [4]);
        assert_eq!(traces(fixed, 64, 1 << 27), [0u64; 0]);
        // Segments have theirs, and the traces at their ends.
        let segments = traces(learned, 300, 70_000);
        assert!(
            segments.len() > 1 && segments.iter().all(|&planes| planes <= 8),
            "{segments:?}"
        );
    }

    #[test]
    fn loops_are_cut_to_the_turns_that_a_device_takes() {
        let profile = Profile {
            loop_turns: 65_535,
            ..Profile::default()
        };
        let sizes = |layer: Layer, batch: usize, steps: usize| {
            let network = Network::new(Loss::SquaredError, [layer]).unwrap();
            let work = Work {
                networks: 1,
                has_target: false,
                given: vec![(false, false)],
                ..work(batch, steps)
            };
            let whole = Plan::new(&network, &Profile::default(), work.clone()).unwrap();
            assert_eq!((whole.cuts.len(), whole.segments.len()), (1, 1));
            let plan = Plan::new(&network, &profile, work)?;
            Ok::<_, Error>((plan.cuts.len(), plan.segments.len()))
        };
        let fixed = || Layer::plastic(3, 2, Rate::fixed(0.1));
        assert_eq!(sizes(fixed(), 16, 4000).unwrap(), (1, 1));
        assert_eq!(sizes(fixed(), 16, 4200).unwrap(), (2, 1));
        assert_eq!(sizes(fixed(), 1, 65_532).unwrap(), (1, 3));
        // A small retention looks back over up to 16 steps.
        let learned = || Layer::plastic(3, 2, Rate::learned(0.1));
        assert_eq!(sizes(learned(), 16, 220).unwrap(), (1, 1));
        assert_eq!(sizes(learned(), 16, 4200).unwrap(), (16, 2));
        // Four columns of the input go over 256 times four rows, forwards and backwards.
        let wide = Layer::plastic(6, 1024, Rate::learned(0.02));
        assert_eq!(sizes(wide, 1, 140).unwrap(), (1, 2));
        // No cut makes a layer's loops over its rows shorter.
        let error = sizes(Layer::dense(1, 1 << 18, Activation::Tanh), 1, 1).unwrap_err();
        assert!(
            matches!(&error, Error::DeviceLimit { what, requested, limit: 65_535 }
                if what.contains("the kernel input_gradient") && *requested > 65_535),
            "{error}"
        );
    }

    #[test]
    fn what_is_resident_of_one_network_must_fit_a_binding() {
        // Eight bytes a parameter are the most.
        let layout = DeviceLayout::new(&network(), &Profile::default());
        let bytes = 8 * layout.stride as u64;
        let profile = Profile {
            binding_bytes: bytes,
            ..Profile::default()
        };
        require_residents(&layout, &profile, true).unwrap();
        let learning = Work {
            learn: true,
            ..work(1, 1)
        };
        let error = plan(bytes - 1, learning).unwrap_err();
        assert!(
            matches!(&error, Error::DeviceLimit { what, requested, .. } if what.contains("of one network") && *requested == bytes),
            "{error}"
        );
    }

    #[test]
    fn whether_meta_steps_are_one_kernel_does_not_depend_on_the_population() {
        let small = Network::new(
            Loss::SquaredError,
            [Layer::plastic(3, 2, Rate::learned(0.1))],
        )
        .unwrap();
        for binding_bytes in [20_000, 100_000, 128 << 20] {
            let profile = Profile {
                binding_bytes,
                ..Profile::default()
            };
            let fused = |networks: usize| {
                let work = Work::training(&small, networks, 16, 50);
                let plan = Plan::new(&small, &profile, work).unwrap();
                assert!(
                    plan.buffers
                        .iter()
                        .all(|&(_, bytes)| bytes <= binding_bytes)
                );
                plan.fused.is_some()
            };
            let work = Work::training(&small, 100_000, 16, 50);
            let size = group_size(&small, &profile, &work);
            assert!(size > 1 || binding_bytes == 20_000, "{size}");
            for networks in [1, size / 2, size] {
                assert_eq!(fused(networks.max(1)), fused(1), "{networks}");
            }
        }
    }

    #[test]
    fn no_more_workgroups_than_allowed() {
        let profile = Profile {
            workgroups: 3,
            ..Profile::default()
        };
        let plan = Plan::new(&network(), &profile, work(40, 3)).unwrap();
        for dispatch in &plan.cuts[0].dispatches {
            assert!(dispatch.workgroups[0] <= 3 && dispatch.workgroups[0] > 0);
        }
    }
}
