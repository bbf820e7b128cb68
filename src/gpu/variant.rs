//! Which arrays beside the usual ones the sweeps of a layer have, and how its traces lie in their buffer.

use super::layout::{DeviceLayout, LayerLayout};
use super::work::Work;
use crate::computation::{Checkpoints, GivenDynamics};
use crate::network::Dynamic;

/// Steps between the traces that are kept where the gradient of a retention is taken: at each of them `S` is made afresh,
/// since its error grows with the steps since the last. Part of the result's last bits. With so many, a rate's gradient is
/// as precise as back-propagation's but for a small factor, the largest in short episodes; the traces of a layer of 64 by
/// 64 neurons take as much memory as its activity.
pub(super) const CHECKPOINT: usize = 16;

/// Which arrays beside the usual ones a layer's sweeps have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    /// Gradients are taken, so that a learned rate needs the drive.
    pub gradient: bool,
    /// The trace at the start is read.
    pub trace_in: bool,
    /// The trace at the end is written.
    pub trace_out: bool,
    /// There is a gradient on the final trace.
    pub upstream: bool,
    /// The adjoint trace is carried between segments.
    pub adjoint: bool,
    /// The gradient of the initial trace is wanted.
    pub initial_gradient: bool,
    /// The gradient of the modulator that episodes are given is wanted.
    pub modulator_gradient: bool,
    /// Traces are kept in between, for the gradient of the retention.
    pub kept: bool,
    /// The gradient on the layer's input is wanted.
    pub input_signal: bool,
    /// Networks have the layer's input in common.
    pub common_input: bool,
    /// Time is cut: the forward sweep goes on where the segment before left off.
    pub cut: bool,
    /// The forward sweep does one step of the segment, and goes on where the step before left off.
    pub stepwise: bool,
    /// What is given of a cell, of which most of the above does not speak.
    pub given: GivenDynamics,
}

impl Variant {
    /// Whether the forward sweep keeps the traces as it has them, to go on with them.
    pub fn carries(&self) -> bool {
        self.cut || self.stepwise
    }

    /// The same, one step at a time.
    pub fn stepwise(self) -> Self {
        Self {
            stepwise: true,
            ..self
        }
    }

    pub fn adjoint_slots(&self) -> usize {
        match (self.adjoint, self.initial_gradient) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        }
    }
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

impl TraceSlots {
    fn new(variant: &Variant, kept: usize) -> Self {
        let first = usize::from(variant.upstream) + kept;
        let last = first + usize::from(variant.trace_in);
        Self {
            upstream: variant.upstream,
            kept,
            initial: variant.trace_in.then_some(first),
            last: variant.trace_out.then_some(last),
            count: last + usize::from(variant.trace_out),
        }
    }

    /// The slots at a segment's start and end, whether there is a trace in them or not.
    pub fn ends(&self) -> [usize; 2] {
        let first = usize::from(self.upstream) + self.kept;
        [first, first + usize::from(self.initial.is_some())]
    }
}

/// What the sweeps of a layer are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sweep {
    pub variant: Variant,
    pub traces: TraceSlots,
}

impl Sweep {
    /// Of the layer with number `index`, in segments of `steps` steps.
    fn new(index: usize, layer: &LayerLayout, work: &Work, steps: usize) -> Self {
        let request = &work.request;
        let input_signal = request.gradient && (index > 0 || request.want.input_gradient);
        let common_input = index == 0 && request.in_common.input;
        let wants = |dynamic| request.gradient && request.wants_gradient_of(index, dynamic);
        let modulator_gradient = wants(Dynamic::Modulator);
        if layer.cell.is_some() || !layer.has_trace() {
            let keeps = layer.cell.is_some_and(|cell| cell.has_trace) && request.gradient;
            return Self {
                variant: Variant {
                    kept: keeps && Checkpoints::of(request.steps).count() > 0,
                    trace_out: layer.cell.is_some() && request.want.final_traces,
                    cut: layer.cell.is_some() && steps < request.steps,
                    given: match layer.cell {
                        Some(_) if request.gradient => request.given[index],
                        Some(_) => GivenDynamics {
                            initial: request.given[index].initial,
                            ..GivenDynamics::default()
                        },
                        None => GivenDynamics::default(),
                    },
                    gradient: request.gradient,
                    modulator_gradient,
                    input_signal,
                    common_input,
                    ..Variant::default()
                },
                traces: TraceSlots::default(),
            };
        }
        let given = request.given[index];
        let initial = given.initial.has(Dynamic::Trace);
        let gradient = given.gradient.has(Dynamic::Trace);
        let upstream = gradient && request.gradient;
        let cut = steps < request.steps;
        let kept = kept_traces(layer, work, steps);
        let variant = Variant {
            gradient: request.gradient,
            trace_in: initial || cut,
            trace_out: request.want.final_traces || upstream || cut,
            upstream,
            adjoint: cut && request.gradient,
            initial_gradient: wants(Dynamic::Trace),
            modulator_gradient,
            kept: kept > 0,
            input_signal,
            common_input,
            cut,
            ..Variant::default()
        };
        Self {
            traces: TraceSlots::new(&variant, kept),
            variant,
        }
    }
}

/// What the sweeps of all layers are like, in segments of `steps` steps.
pub(super) fn sweeps(layout: &DeviceLayout, work: &Work, steps: usize) -> Vec<Sweep> {
    let layers = layout.layers.iter().enumerate();
    layers
        .map(|(index, layer)| Sweep::new(index, layer, work, steps))
        .collect()
}

/// Traces that are kept for the gradient of a layer's retention, of a segment of `steps` steps: those after each
/// [`CHECKPOINT`] steps of the episode but the last.
pub(super) fn kept_traces(layer: &LayerLayout, work: &Work, steps: usize) -> usize {
    let of_episode = work.request.steps.saturating_sub(1) / CHECKPOINT;
    match layer.retention && work.request.gradient {
        true => of_episode.min(steps.div_ceil(CHECKPOINT)),
        false => 0,
    }
}
