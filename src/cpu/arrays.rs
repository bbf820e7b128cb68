//! The arrays of a group of episodes, the same for every way to fill a vector.
//!
//! `E` episodes go together, as the last axis of what a step has for all rows: one, whose `N` presynaptic neurons are padded,
//! or a vector's worth. What rows have of their own has `W` lanes as its last axis, and `C` synapses a row: `W` is `E`,
//! but where rows lie along the lanes it is a block of them, and the first axis, `O` elsewhere, has their blocks
//! ([`Along`](super::along::Along)).

use super::cells::Cell;
use super::chunks;
use super::job::{Job, Keeps};
use super::retention::checkpoints;
use super::shape::Shape;
use super::synapses::{SynapseArrays, Synapses};
use super::table::table;
use crate::computation::Checkpoints;
use crate::network::{Dynamic, ModulatorFrom, RecurrentInput};
use crate::number::{Aligned, Real};

table! {
    /// What a layer did, from the forward sweep to the reverse one. `[O, T, W]` arrays keep a neuron's steps together.
    ActivityArrays {
        /// Presynaptic activity `x`, `[T, N, E]`; padding is zero. Written by whoever takes episodes in, or from the layer
        /// below; read by every sweep.
        input,
        /// Postsynaptic activity `y`, `[O, T, W]`. Written by the forward sweep, read by every other.
        output,
        /// Each row's modulator, `[O, T, W]`, where episodes are given one; of a layer whose rows step together, where there is
        /// one, `[T, blocks, L]`, of which the network's is written by the forward sweep. Taken in; read by every sweep.
        modulators,
        /// The traces' part of the summed input, `p_i(t) = Σ_j α_ij H_ij(t) x_j(t)`, `[O, T, W]`; plastic layers only.
        /// Written by the forward sweep, read by the reverse sweep.
        drive,
        /// The trace at the first step, `[O, C, W]`; empty where it is zero. Taken in; read by every sweep.
        initial_trace,
        /// The trace in progress, after the update of the step before the last one, `[O, C, W]`; empty unless episodes are
        /// driven a few steps at a time. Written and read by the forward sweep.
        trace,
        /// The trace after the last step, `[O, C, W]`; empty where it is not needed. Written by the forward sweep, read by
        /// the reverse sweep where a gradient on it is given.
        final_trace,
        /// The traces before steps `CHECKPOINT`, `2 CHECKPOINT`, …, `[O, checkpoints, C, W]`; empty where the gradient of
        /// the retention is not needed. Written by the forward sweep, read by the reverse sweep.
        checkpoints,
        /// Of a layer whose rows step together, as all that follows: `[blocks, J, L]` in the place of `[O, C, W]` (`cells.rs`). The
        /// eligibility traces in progress.
        eligibility,
        /// Those at the first step; empty where they are zero.
        initial_eligibility,
        /// Those after the last step; empty where they are not wanted.
        final_eligibility,
        /// The activity before the first step, `[blocks, L]`; empty where it is zero.
        initial_activity,
        /// Presynaptic activity, `[T, J, episodes]`. Brought together and read by the forward sweep; read by the reverse sweep.
        presynaptic,
        /// Postsynaptic activity, `[T, blocks, L]`. Written by the forward sweep, read by both.
        values,
        /// The network's modulator, `[T, episodes]`. Written by the forward sweep, read by the reverse sweep.
        modulator,
    }
}

table! {
    /// What the reverse sweep of a layer makes.
    AdjointArrays {
        /// `∂L/∂y`, then `δ`, `[O, T, W]`. Written from the layer above, overwritten by the reverse sweep, read by the input
        /// gradient.
        signal,
        /// `∂L/∂x`, `[T, N, E]`; empty where it is not needed. Written by the input gradient.
        input_gradient,
        /// The gradient on the final trace, `[O, C, W]`; empty where it is zero. Taken in; read by the reverse sweep and the
        /// input gradient.
        trace_gradient,
        /// The gradient on the initial trace, `[O, C, W]`; empty where it is not wanted. Written by the reverse sweep.
        initial_gradient,
        /// The gradient on each row's modulator, as modulators lie; empty where it is not wanted. Written by the reverse sweep.
        modulator_gradient,
        /// Of a layer whose rows step together, as all that follows (`cells.rs`): `∂L/∂H`, `[blocks, J, L]`. Taken in where there
        /// is a gradient on the final trace; then the reverse sweep's.
        trace_adjoint,
        /// The same of eligibility traces.
        eligibility_adjoint,
        /// The same of the last activity, `[blocks, L]`.
        activity_adjoint,
        /// States before the steps of a segment, `[blocks, steps, states, J, L]`.
        segment,
        /// `δ` at the steps of a segment, `[steps, blocks, L]`.
        deltas,
        /// `∂L/∂y` at one step, then `δ`, `[blocks, L]`; and the sums over each row's synapses of what reaches its output and its
        /// modulator through the rule.
        step_signal,
        row_output,
        row_modulator,
        /// The gradient on the presynaptic activity from each chunk of rows, `[chunks, J, L]`; and the sum, `[J, episodes]`.
        columns,
        column_sums,
        /// The same on the input, `[chunks, I, L]`, where weights take it in.
        input_columns,
    }
}

table! {
    /// What layers and groups of episodes use one after the other.
    SharedArrays {
        /// The last layer's output, then the gradient on it, `[T, O, E]`. Written when results are brought out and by the
        /// objective; read by the reverse sweep of the last layer.
        output_gradient,
        /// The targets, `[T, O, E]`, and how much each step counts, `[T, E]`; empty where losses are taken one by one. Taken in;
        /// read by the objective.
        target,
        mask,
        /// The modulators of a step's rows, as many as episodes are given, or the gradients on them, `[T, O, E]`: on their way
        /// between episodes and a layer's rows.
        modulators,
        /// The gradient on a layer's input from each chunk of rows, `[chunks, T, N, E]`. Written and read by the input
        /// gradient.
        partial,
        /// For each chunk of rows, what a sweep keeps of them.
        scratch,
    }
}

pub(super) type Activity<R> = ActivityArrays<Aligned<R>>;
pub(super) type Adjoint<R> = AdjointArrays<Aligned<R>>;
pub(super) type Shared<R> = SharedArrays<Aligned<R>>;

/// The arrays of a group of episodes, by the table `A`'s entries.
#[derive(Debug)]
pub(super) struct GroupArrays<A> {
    /// Per layer; none where they are kept elsewhere.
    pub activities: Vec<ActivityArrays<A>>,
    /// Per layer; none without a gradient.
    pub adjoints: Vec<AdjointArrays<A>>,
    /// Per layer, the gradients' sum over a block of episodes; none without a gradient.
    pub gradients: Vec<SynapseArrays<A>>,
    /// The same of the episodes of a group, each in its lane, of layers whose rows step together; empty where a group is one
    /// episode.
    pub lane_gradients: Vec<SynapseArrays<A>>,
    pub shared: SharedArrays<A>,
}

pub(super) type Group<R> = GroupArrays<Aligned<R>>;

impl GroupArrays<u128> {
    /// Elements of every array.
    pub fn sizes<R: Real>(job: &Job) -> Self {
        let sizes = Sizes::<'_, R>::new(job);
        let layers = || job.shapes.iter().enumerate();
        let gradients = || layers().take(if job.request.gradient { usize::MAX } else { 0 });
        Self {
            activities: match job.keeps {
                Keeps::Nothing => Self::activities::<R>(job),
                _ => Vec::new(),
            },
            adjoints: gradients()
                .map(|(n, shape)| sizes.adjoint(n, shape))
                .collect(),
            gradients: gradients()
                .map(|(_, shape)| SynapseArrays::sizes::<R>(shape))
                .collect(),
            lane_gradients: gradients()
                .map(|(_, shape)| match Cell::of::<R>(shape) {
                    Some(cell) if cell.rows == 1 => cell.sizes(cell.lanes),
                    _ => SynapseArrays::nothing(),
                })
                .collect(),
            shared: sizes.shared(),
        }
    }

    /// Elements of a group's activities.
    pub fn activities<R: Real>(job: &Job) -> Vec<ActivityArrays<u128>> {
        let sizes = Sizes::<'_, R>::new(job);
        let layers = job.shapes.iter().enumerate();
        layers.map(|(n, shape)| sizes.activity(n, shape)).collect()
    }

    /// Elements of all arrays together.
    pub fn elements(self) -> u128 {
        let activities = self.activities.into_iter().map(ActivityArrays::elements);
        let adjoints = self.adjoints.into_iter().map(AdjointArrays::elements);
        let gradients = self.gradients.into_iter().chain(self.lane_gradients);
        let gradients = gradients.map(SynapseArrays::elements);
        activities.chain(adjoints).chain(gradients).sum::<u128>() + self.shared.elements()
    }

    pub fn arrays<R: Real>(self) -> Group<R> {
        let (activities, adjoints) = (self.activities.into_iter(), self.adjoints.into_iter());
        let gradients = self.gradients.into_iter();
        let lane_gradients = self.lane_gradients.into_iter();
        GroupArrays {
            activities: activities.map(ActivityArrays::arrays).collect(),
            adjoints: adjoints.map(AdjointArrays::arrays).collect(),
            gradients: gradients.map(SynapseArrays::arrays).collect(),
            lane_gradients: lane_gradients.map(SynapseArrays::arrays).collect(),
            shared: self.shared.arrays(),
        }
    }
}

impl<R: Real> Group<R> {
    pub fn clear_gradients(&mut self) {
        self.gradients.iter_mut().for_each(Synapses::clear);
    }
}

/// So many elements, if there are any.
fn if_so(is_so: bool, elements: usize) -> u128 {
    if is_so { elements as u128 } else { 0 }
}

/// How many elements arrays have.
struct Sizes<'a, R> {
    job: &'a Job,
    steps: u128,
    /// Episodes that go together.
    beside: u128,
    real: std::marker::PhantomData<R>,
}

impl<'a, R: Real> Sizes<'a, R> {
    fn new(job: &'a Job) -> Self {
        Self {
            job,
            steps: job.request.steps as u128,
            beside: job.along.beside::<R>() as u128,
            real: std::marker::PhantomData,
        }
    }

    /// `[O, W]`.
    fn rows(&self, shape: &Shape) -> u128 {
        let along = shape.along;
        along.blocks::<R>(shape.outputs) as u128 * along.width::<R>() as u128
    }

    /// `[O, T, W]`.
    fn outputs(&self, shape: &Shape) -> u128 {
        self.rows(shape) * self.steps
    }

    /// `[T, N, E]`.
    fn inputs(&self, shape: &Shape) -> u128 {
        self.steps * shape.along.neurons(shape) as u128 * self.beside
    }

    /// `[O, C, W]`, of a plastic layer where it is needed.
    fn trace(&self, shape: &Shape, needed: bool) -> u128 {
        if needed && shape.is_plastic() {
            self.rows(shape) * shape.along.columns(shape) as u128
        } else {
            0
        }
    }

    /// `[O, T, W]`, of a plastic layer that is modulated, where it is needed.
    fn modulators(&self, shape: &Shape, needed: bool) -> u128 {
        match shape.modulators() {
            Some(_) if needed => self.outputs(shape),
            _ => 0,
        }
    }

    fn activity(&self, layer: usize, shape: &Shape) -> ActivityArrays<u128> {
        if let Some(cell) = Cell::of::<R>(shape) {
            return self.cell_activity(layer, shape, &cell);
        }
        let request = &self.job.request;
        let given = request.given[layer];
        let kept = checkpoints(request.steps) as u128;
        ActivityArrays {
            input: self.inputs(shape),
            output: self.outputs(shape),
            modulators: self.modulators(shape, true),
            drive: if shape.is_plastic() {
                self.outputs(shape)
            } else {
                0
            },
            initial_trace: self.trace(shape, given.initial.has(Dynamic::Trace)),
            trace: self.trace(shape, self.job.keeps == Keeps::Traces),
            final_trace: self.trace(
                shape,
                request.want.final_traces
                    || (request.gradient && given.gradient.has(Dynamic::Trace)),
            ),
            checkpoints: kept * self.trace(shape, request.gradient && shape.retention_gradient),
            ..ActivityArrays::nothing()
        }
    }

    /// Of a layer whose rows step together.
    fn cell_activity(&self, layer: usize, shape: &Shape, cell: &Cell<'_>) -> ActivityArrays<u128> {
        let (request, steps) = (&self.job.request, self.steps);
        let initial = request.given[layer].initial;
        let has = |dynamic| shape.layer.state_shape(dynamic).is_some();
        let trace = if_so(has(Dynamic::Trace), cell.state());
        let eligibility = if_so(has(Dynamic::Eligibility), cell.state());
        let kept = Checkpoints::of(request.steps).count() * cell.states() * cell.state();
        let from_network = cell.is_modulated_from(ModulatorFrom::Network);
        ActivityArrays {
            input: self.inputs(shape),
            output: self.outputs(shape),
            initial_trace: if_so(initial.has(Dynamic::Trace), trace as usize),
            trace,
            final_trace: if_so(request.want.final_traces, trace as usize),
            checkpoints: if_so(request.gradient, kept),
            eligibility,
            initial_eligibility: if_so(initial.has(Dynamic::Eligibility), eligibility as usize),
            final_eligibility: if_so(request.want.final_traces, eligibility as usize),
            initial_activity: if_so(initial.has(Dynamic::Activity), cell.values()),
            presynaptic: steps * cell.activity() as u128,
            values: steps * cell.values() as u128,
            modulators: steps * if_so(cell.is_modulated(), cell.values()),
            modulator: steps * if_so(from_network, cell.episodes()),
            ..ActivityArrays::nothing()
        }
    }

    /// The same of its reverse sweep.
    fn cell_adjoint(&self, layer: usize, shape: &Shape, cell: &Cell<'_>) -> AdjointArrays<u128> {
        let request = &self.job.request;
        let needs_input = self.job.needs_input_gradient(layer);
        let needs_columns = needs_input || cell.input.is_some();
        let has = |dynamic| shape.layer.state_shape(dynamic).is_some();
        let room = Checkpoints::of(request.steps).replayed();
        let chunks = cell.chunks() * cell.lanes;
        let from_episodes = cell.is_modulated_from(ModulatorFrom::Episodes);
        let by_matrix = cell.input == Some(RecurrentInput::Matrix);
        AdjointArrays {
            signal: self.outputs(shape),
            input_gradient: if needs_input { self.inputs(shape) } else { 0 },
            trace_adjoint: if_so(has(Dynamic::Trace), cell.state()),
            eligibility_adjoint: if_so(has(Dynamic::Eligibility), cell.state()),
            activity_adjoint: if_so(cell.input.is_some(), cell.values()),
            segment: (room * cell.states() * cell.state()) as u128,
            deltas: (room * cell.values()) as u128,
            step_signal: cell.values() as u128,
            row_output: if_so(has(Dynamic::Trace), cell.values()),
            row_modulator: if_so(has(Dynamic::Trace), cell.values()),
            columns: if_so(needs_columns, chunks * cell.presynaptic),
            column_sums: if_so(needs_columns, cell.activity()),
            input_columns: if_so(needs_input && by_matrix, chunks * cell.inputs),
            modulator_gradient: self.steps
                * if_so(request.given_gradients && from_episodes, cell.values()),
            ..AdjointArrays::nothing()
        }
    }

    fn adjoint(&self, layer: usize, shape: &Shape) -> AdjointArrays<u128> {
        if let Some(cell) = Cell::of::<R>(shape) {
            return self.cell_adjoint(layer, shape, &cell);
        }
        let (request, given) = (&self.job.request, self.job.request.given[layer]);
        let needs_input = self.job.needs_input_gradient(layer);
        AdjointArrays {
            signal: self.outputs(shape),
            input_gradient: if needs_input { self.inputs(shape) } else { 0 },
            trace_gradient: self.trace(shape, given.gradient.has(Dynamic::Trace)),
            initial_gradient: self.trace(shape, request.wants_gradient_of(layer, Dynamic::Trace)),
            modulator_gradient: self.modulators(shape, request.given_gradients),
            ..AdjointArrays::nothing()
        }
    }

    fn shared(&self) -> SharedArrays<u128> {
        let shapes = &self.job.shapes;
        let largest = |size: &dyn Fn(&Shape) -> u128| shapes.iter().map(size).max().unwrap_or(0);
        let chunks = |shape: &Shape| chunks::count(shape.outputs) as u128;
        let layers = shapes.iter().enumerate();
        let needing = layers.filter(|&(layer, _)| self.job.needs_input_gradient(layer));
        let outputs = self.steps * shapes[shapes.len() - 1].outputs as u128 * self.beside;
        let side_by_side = u128::from(self.beside > 1);
        let of_rows = |shape: &Shape| shape.is_plastic() && shape.modulators().is_some();
        SharedArrays {
            modulators: largest(&|shape| match of_rows(shape) {
                true => self.steps * shape.outputs as u128 * self.beside,
                false => 0,
            }),
            output_gradient: outputs,
            target: side_by_side * outputs,
            mask: side_by_side * self.steps * self.beside,
            partial: needing
                .map(|(_, shape)| chunks(shape) * self.inputs(shape))
                .max()
                .unwrap_or(0),
            scratch: largest(&|shape| {
                let size = shape.along.scratch::<R>(shape, self.job.request.steps);
                chunks(shape) * size.elements() as u128
            }),
        }
    }
}
