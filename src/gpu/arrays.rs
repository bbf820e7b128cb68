//! Every array in device memory: how long it lives, its shape, and by which name kernels know it. Buffers and their bytes
//! follow from here; which kernel reads or writes an array is in `uses.rs`.

use super::bindings::Slot;
use super::layout::DeviceLayout;
use super::state::{Control, Part, Progress, Settings, State};
use super::variant::Sweep;
use super::work::Work;
use crate::computation::{Checkpoints, EPISODE_BLOCK, GivenDynamics, Which};
use crate::network::Dynamic;

/// An array that outlives one plan: it belongs to the population, not to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Resident {
    Parameters,
    Gradients,
    /// Of which partial gradients each parameter's gradient is the sum.
    Sources,
    /// Each parameter's tensor and role.
    Kinds,
    Moments,
    Settings,
    /// What each workgroup of `check_parts` found.
    Parts,
    States,
    Progress,
    Control,
    Keys,
}

/// An array of one batch. Segments of time have arrays of their own, so that none exceeds a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Working {
    /// Of each episode.
    Losses,
    /// Of each step of a segment.
    StepLosses,
    /// The gradients of each block of episodes.
    Partials,
    /// What a task's episodes are made of.
    Words,
    /// The caller's episodes where one kernel does whole meta-steps: input, target, mask.
    Episodes,
    /// Of one step, where steps are done one at a time.
    StepInput,
    StepOutput,
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
    /// Of a layer: the trace as the forward sweep has it, between segments or steps.
    Scaled(usize),
    /// Of a layer.
    Adjoint(usize),
    /// Of a cell: its traces at the first step, those that are given.
    Initial(usize),
    /// The activity of a recurrent layer before a segment's first step.
    Before(usize, usize),
    /// Its traces as they are between steps.
    Present(usize),
    /// Its traces after some of the steps.
    Kept(usize),
    /// Its traces before each of some steps on the way back.
    Replayed(usize),
    /// The gradient on its presynaptic activity at a step, by chunks of rows.
    Columns(usize),
    /// A layer's modulators in a segment, and the gradient on them. Kernels bind few arrays: what a sweep over rows keeps beside
    /// follows the modulators, the drive and the gradient on each row's.
    Modulators(usize, usize),
    ModulatorSignal(usize, usize),
}

/// An array of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Array {
    Resident(Resident),
    Working(Working),
}

/// An axis of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Of the group.
    Networks,
    /// Episodes of the whole batch.
    Batch,
    /// Episodes of a cut.
    Episodes,
    /// Blocks of episodes of a cut.
    Blocks,
    /// Steps of a segment.
    Steps,
    /// As many as the network's description says.
    Of(usize),
}

use Axis::{Batch, Blocks, Episodes, Networks, Of, Steps};

/// How long the axes are that depend on the work and its cuts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub networks: usize,
    pub batch: usize,
    pub episodes: usize,
    pub steps: usize,
}

impl Lengths {
    /// Of `work`, cut into parts of so many episodes and segments of so many steps.
    pub fn new(work: &Work, episodes: usize, steps: usize) -> Self {
        Self {
            networks: work.networks,
            batch: work.request.batch,
            episodes,
            steps,
        }
    }

    fn of(&self, axis: Axis) -> u64 {
        let length = match axis {
            Networks => self.networks,
            Batch => self.batch,
            Episodes => self.episodes,
            Blocks => self.episodes.div_ceil(EPISODE_BLOCK),
            Steps => self.steps,
            Of(length) => length,
        };
        length as u64
    }
}

/// Arrays that follow each other in one buffer, with elements of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub element_bytes: u64,
    pub planes: Vec<Vec<Axis>>,
}

impl Shape {
    fn new<const N: usize>(element_bytes: usize, axes: [Axis; N]) -> Self {
        Self {
            element_bytes: element_bytes as u64,
            planes: vec![axes.to_vec()],
        }
    }

    fn floats<const N: usize>(axes: [Axis; N]) -> Self {
        Self::new(4, axes)
    }

    fn and<const N: usize>(mut self, axes: [Axis; N]) -> Self {
        self.planes.push(axes.to_vec());
        self
    }

    /// Elements before plane number `plane`.
    pub fn before(&self, plane: usize, lengths: &Lengths) -> u64 {
        let elements = |axes: &Vec<Axis>| {
            let axes = axes.iter();
            axes.fold(1u64, |product, &axis| {
                product.saturating_mul(lengths.of(axis))
            })
        };
        let planes = self.planes[..plane].iter();
        planes
            .map(elements)
            .fold(0, |sum, elements| sum.saturating_add(elements))
    }

    pub fn bytes(&self, lengths: &Lengths) -> u64 {
        self.before(self.planes.len(), lengths)
            .saturating_mul(self.element_bytes)
    }

    /// Bytes of one network in each part of the first plane that goes over all networks, and how many such parts there
    /// are; `None` where all networks share the array.
    pub fn by_network(&self) -> Option<(u64, u64)> {
        let lengths = Lengths {
            networks: 1,
            batch: 1,
            episodes: 1,
            steps: 1,
        };
        let axes = &self.planes[0];
        let at = axes.iter().position(|&axis| axis == Networks)?;
        let product = |axes: &[Axis]| axes.iter().map(|&axis| lengths.of(axis)).product::<u64>();
        Some((
            self.element_bytes * product(&axes[at..]),
            product(&axes[..at]),
        ))
    }
}

impl Resident {
    /// All, in the order in which they are made.
    const ALL: [Self; 11] = [
        Self::Parameters,
        Self::Gradients,
        Self::Sources,
        Self::Kinds,
        Self::Moments,
        Self::Settings,
        Self::Parts,
        Self::States,
        Self::Progress,
        Self::Control,
        Self::Keys,
    ];

    /// Those of a group of networks; `learning` adds what training needs.
    pub fn all(learning: bool) -> impl Iterator<Item = Self> {
        let always = [Self::Parameters, Self::Gradients, Self::Sources];
        Self::ALL
            .into_iter()
            .filter(move |resident| learning || always.contains(resident))
    }

    pub fn shape(self, layout: &DeviceLayout) -> Shape {
        let values = Of(layout.stride);
        match self {
            Self::Parameters | Self::Gradients => Shape::floats([Networks, values]),
            Self::Sources => Shape::new(4, [values]),
            Self::Kinds => Shape::new(8, [values]),
            Self::Moments => Shape::floats([Of(2), Networks, values]),
            Self::Settings => {
                let bytes = Settings::bytes_with_factors(layout.tensor_count());
                Shape::new(bytes, [Networks])
            }
            Self::Parts => Shape::new(size_of::<Part>(), [Networks, Of(layout.parts())]),
            Self::States => Shape::new(size_of::<State>(), [Networks]),
            Self::Progress => Shape::new(size_of::<Progress>(), [Networks]),
            Self::Control => Shape::new(size_of::<Control>(), []),
            Self::Keys => Shape::new(16, [Networks]),
        }
    }
}

/// The resident arrays of a group of networks, and their bytes.
pub(super) fn resident_bytes(
    layout: &DeviceLayout,
    networks: usize,
    learning: bool,
) -> Vec<(Resident, u64)> {
    let lengths = Lengths {
        networks,
        batch: 0,
        episodes: 0,
        steps: 0,
    };
    Resident::all(learning)
        .map(|resident| (resident, resident.shape(layout).bytes(&lengths)))
        .collect()
}

impl Working {
    /// Whether it holds something that the caller gives of episodes with a target.
    pub fn is_given(self, work: &Work) -> bool {
        match self {
            Self::Episodes | Self::Activity(0, _) | Self::Target(_) | Self::Mask(_) => true,
            Self::Traces(layer, _) => work.request.given[layer] != GivenDynamics::default(),
            Self::Initial(_) => true,
            Self::Before(layer, 0) => work.request.given[layer].initial.has(Dynamic::Activity),
            Self::Modulators(layer, _) => work.request.given[layer].initial.has(Dynamic::Modulator),
            Self::Adjoint(layer) => work.request.given[layer].gradient != Which::default(),
            _ => false,
        }
    }

    /// The shape in `work`, whose layers have `sweeps`.
    pub fn shape(self, layout: &DeviceLayout, work: &Work, sweeps: &[Sweep]) -> Shape {
        let layers = &layout.layers;
        let in_common = work.request.in_common;
        let of_each = |in_common: bool| match in_common {
            true => Of(1),
            false => Networks,
        };
        let per_step =
            |networks: Axis, row: usize| Shape::floats([networks, Episodes, Steps, Of(row)]);
        match self {
            Self::Losses => Shape::floats([Networks, Batch]),
            Self::StepLosses => Shape::floats([Networks, Steps, Episodes]),
            Self::Partials => Shape::floats([Networks, Blocks, Of(layout.partial_stride)]),
            Self::Words => {
                let words = work.task.as_ref().map_or(0, |task| task.words);
                Shape::floats([Networks, Episodes, Of(words), Of(4)])
            }
            Self::Episodes => {
                let [first, last] = [layers[0].row, layout.last().output_row];
                let [inputs, targets] = [in_common.input, in_common.target].map(of_each);
                let shape = Shape::floats([inputs, Batch, Steps, Of(first)]);
                let shape = shape.and([targets, Batch, Steps, Of(last)]);
                match work.mask_per_episode() {
                    true => shape.and([of_each(in_common.mask), Batch, Steps]),
                    false => shape.and([Steps]),
                }
            }
            Self::StepInput => {
                Shape::floats([of_each(in_common.input), Episodes, Of(layers[0].row)])
            }
            Self::StepOutput => Shape::floats([Networks, Episodes, Of(layout.last().output_row)]),
            Self::Mask(_) => match work.mask_per_episode() {
                true => Shape::floats([of_each(in_common.mask), Episodes, Steps]),
                false => Shape::floats([Steps]),
            },
            Self::Target(_) => per_step(of_each(in_common.target), layout.last().output_row),
            Self::InputSignal(_) => per_step(Networks, layers[0].row),
            Self::Activity(0, _) => per_step(of_each(in_common.input), layers[0].row),
            Self::Activity(layer, _) => match layers.get(layer) {
                Some(layer) => per_step(Networks, layer.row),
                None => per_step(Networks, layout.last().output_row),
            },
            Self::Drive(layer, _) | Self::Signal(layer, _) => {
                per_step(Networks, layers[layer].output_row)
            }
            Self::Traces(layer, _) => {
                let count = Of(sweeps[layer].traces.count);
                let [rows, row] = [layers[layer].outputs, layers[layer].row].map(Of);
                Shape::floats([count, Networks, Episodes, rows, row])
            }
            Self::Scaled(layer) => {
                let [rows, row] = [layers[layer].outputs, layers[layer].row].map(Of);
                let shape = Shape::floats([Networks, Episodes, rows, row]);
                shape.and([Networks, Episodes, rows, Of(4)])
            }
            Self::Initial(layer) => {
                let cell = layers[layer].of_cell();
                let given = sweeps[layer].variant.given.initial;
                let synapses = [Dynamic::Trace, Dynamic::Eligibility];
                let count = synapses.iter().filter(|&&it| given.has(it)).count();
                Shape::floats([Of(count), Networks, Episodes, Of(cell.synapses())])
            }
            Self::Before(layer, _) => {
                Shape::floats([Networks, Episodes, Of(layers[layer].outputs)])
            }
            Self::Present(layer) => {
                let cell = layers[layer].of_cell();
                let states = Of(cell.states());
                Shape::floats([states, Networks, Episodes, Of(cell.synapses())])
            }
            Self::Kept(layer) | Self::Replayed(layer) => {
                let cell = layers[layer].of_cell();
                let steps = work.request.steps;
                let count = match self {
                    Self::Kept(_) => Checkpoints::of(steps).count(),
                    _ => Checkpoints::of(steps).replayed(),
                };
                let states = Of(count * cell.states());
                Shape::floats([states, Networks, Episodes, Of(cell.synapses())])
            }
            Self::Columns(layer) => {
                let cell = layers[layer].of_cell();
                Shape::floats([Of(cell.chunks()), Networks, Episodes, Of(cell.presynaptic)])
            }
            Self::Modulators(layer, _) if layers[layer].has_modulated_rows() => {
                let (layer, variant) = (&layers[layer], &sweeps[layer].variant);
                let mut shape = Shape::floats([Steps, Networks, Episodes, Of(layer.modulators)]);
                if layer.retention && variant.gradient {
                    shape = shape.and([Networks, Episodes, Steps, Of(layer.output_row)]);
                }
                match variant.modulator_gradient {
                    true => shape.and([Steps, Networks, Episodes, Of(layer.outputs)]),
                    false => shape,
                }
            }
            Self::Modulators(layer, _) | Self::ModulatorSignal(layer, _) => {
                Shape::floats([Steps, Networks, Episodes, Of(layers[layer].modulators)])
            }
            Self::Adjoint(layer) if layers[layer].cell.is_some() => {
                let cell = layers[layer].of_cell();
                let rows = layers[layer].row_planes().len();
                let shape = [Of(cell.planes()), Networks, Episodes, Of(cell.synapses())];
                Shape::floats(shape).and([Of(rows), Networks, Episodes, Of(cell.outputs)])
            }
            Self::Adjoint(layer) => {
                let variant = &sweeps[layer].variant;
                let slots = Of(variant.adjoint_slots());
                let [rows, row] = [layers[layer].outputs, layers[layer].row].map(Of);
                let shape = Shape::floats([slots, Networks, Episodes, rows, row]);
                match variant.adjoint {
                    true => shape.and([slots, Networks, Episodes, rows, Of(4)]),
                    false => shape,
                }
            }
        }
    }
}

impl Slot {
    /// The array that a kernel of a layer and a segment means by this name.
    pub fn array(self, layer: usize, segment: usize) -> Array {
        Array::Working(match self {
            Self::Parameters => return Array::Resident(Resident::Parameters),
            Self::Gradients => return Array::Resident(Resident::Gradients),
            Self::Sources => return Array::Resident(Resident::Sources),
            Self::Kinds => return Array::Resident(Resident::Kinds),
            Self::Moments => return Array::Resident(Resident::Moments),
            Self::Settings => return Array::Resident(Resident::Settings),
            Self::Parts => return Array::Resident(Resident::Parts),
            Self::States => return Array::Resident(Resident::States),
            Self::Progress => return Array::Resident(Resident::Progress),
            Self::Control => return Array::Resident(Resident::Control),
            Self::Keys => return Array::Resident(Resident::Keys),
            Self::Losses => Working::Losses,
            Self::StepLosses => Working::StepLosses,
            Self::Partials => Working::Partials,
            Self::Words => Working::Words,
            Self::Episodes => Working::Episodes,
            Self::StepInput => Working::StepInput,
            Self::StepOutput => Working::StepOutput,
            Self::Mask => Working::Mask(segment),
            Self::Target => Working::Target(segment),
            Self::Input => Working::Activity(layer, segment),
            Self::Output => Working::Activity(layer + 1, segment),
            Self::Drive => Working::Drive(layer, segment),
            Self::Signal => Working::Signal(layer, segment),
            Self::InputSignal => match layer.checked_sub(1) {
                Some(below) => Working::Signal(below, segment),
                None => Working::InputSignal(segment),
            },
            Self::Traces => Working::Traces(layer, segment),
            Self::Scaled => Working::Scaled(layer),
            Self::Adjoint => Working::Adjoint(layer),
            Self::Initial => Working::Initial(layer),
            Self::Present => Working::Present(layer),
            Self::Kept => Working::Kept(layer),
            Self::Replayed => Working::Replayed(layer),
            Self::Columns => Working::Columns(layer),
            Self::Modulators => Working::Modulators(layer, segment),
            Self::ModulatorSignal => Working::ModulatorSignal(layer, segment),
            Self::Before => Working::Before(layer, segment),
            Self::After => Working::Before(layer, segment + 1),
        })
    }
}
