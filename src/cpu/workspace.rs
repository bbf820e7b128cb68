//! The episodes in progress: forward through all layers, and back.

use super::along::MOST_LANES;
use super::arrays::{Activity, Adjoint, Group, GroupArrays, Shared};
use super::cells::Cell;
use super::job::{Job, Keeps, Work};
use super::kernels::{
    Empty, Objective, Pass, backward, bring_modulators_out, bring_out, bring_traces_out, by_row,
    by_step, cell, forward, input_gradient, take_in, take_modulators_in, take_traces_in,
};
use super::pool::Pooled;
use super::results::Results;
use super::source::{self, Block, Generated, NextLane, Source, Values, Which};
use super::synapses::Synapses;
use crate::network::Dynamic;
use crate::number::Real;
use std::ops::Range;

/// The arrays of one group of `E` episodes at a time, and what they are worked on with.
#[derive(Debug)]
pub(super) struct Workspace<R> {
    arrays: Group<R>,
    generated: Generated<R>,
    /// One step's output of one episode, `[O]`.
    step: Vec<R>,
}

impl<R: Real> Pooled for Workspace<R> {
    type Job = Job;

    fn new(job: &Job) -> Self {
        let outputs = job.shapes[job.shapes.len() - 1].outputs;
        Self {
            arrays: GroupArrays::sizes::<R>(job).arrays(),
            generated: Generated::default(),
            step: vec![R::zero(); outputs],
        }
    }

    fn bytes(job: &Job) -> u128 {
        GroupArrays::sizes::<R>(job).elements() * size_of::<R>() as u128
    }
}

impl<R: Real> Workspace<R> {
    /// Sums of the gradients of the last block's episodes, per layer.
    pub fn gradients(&self) -> &[Synapses<R>] {
        &self.arrays.gradients
    }

    /// Runs `work` on the episodes of one block and sums their gradients; returns the sum of their losses. `kept` has each
    /// group's activities where the job keeps them.
    pub fn block(
        &mut self,
        job: &Job,
        work: &Work,
        layers: &[Synapses<R>],
        block: &Block<'_, '_, R>,
        mut results: Option<Results<'_, R>>,
        kept: &mut [Vec<Activity<R>>],
    ) -> f64 {
        self.arrays.clear_gradients();
        let mut generated = std::mem::take(&mut self.generated);
        let width = job.along.episodes::<R>();
        let mut total = 0.0;
        for (n, first) in block.episodes.clone().step_by(width).enumerate() {
            let count = width.min(block.episodes.end - first);
            let kept = match job.keeps {
                Keeps::Nothing => None,
                _ => Some(&mut *kept[n]),
            };
            let mut sweep = self.sweep(job, work, layers, count, kept);
            let group = block.group(first..first + count, &mut generated);
            let within = first - block.episodes.start;
            sweep.forward(&group);
            if let Some(results) = &mut results {
                sweep.bring_outcome(results, within);
            }
            let mut losses = [0.0; MOST_LANES];
            let losses = &mut losses[..count];
            sweep.objective(&group, losses);
            total = losses.iter().fold(total, |sum, loss| sum + loss);
            if work.backward {
                sweep.backward(&group);
            }
            if let Some(results) = &mut results {
                results.losses[within..][..count].copy_from_slice(losses);
                sweep.bring_gradients(results, within);
            }
        }
        self.generated = generated;
        total
    }

    /// Runs `work` on the batches of networks that lie side by side, as many as `losses` has elements, of which network
    /// `first` is the first; sums their gradients, and writes the sums of their losses.
    pub fn networks(
        &mut self,
        job: &Job,
        work: &Work,
        layers: &[Synapses<R>],
        source: &Source<'_, R>,
        (first, meta_step): (usize, u32),
        losses: &mut [f64],
    ) {
        self.arrays.clear_gradients();
        losses.fill(0.0);
        let mut generated = std::mem::take(&mut self.generated);
        for episode in 0..job.request.batch {
            let which = Which {
                lanes: NextLane::Networks(job.along.beside::<R>()),
                network: first,
                episode,
                count: losses.len(),
                meta_step,
            };
            let mut sweep = self.sweep(job, work, layers, losses.len(), None);
            let group = source.group(which, &mut generated);
            sweep.forward(&group);
            sweep.objective(&group, losses);
            if work.backward {
                sweep.backward(&group);
            }
        }
        self.generated = generated;
    }

    /// The sweeps over a group of `count` episodes. `kept` has their activities where the job keeps them.
    fn sweep<'a>(
        &'a mut self,
        job: &'a Job,
        work: &'a Work,
        layers: &'a [Synapses<R>],
        count: usize,
        kept: Option<&'a mut [Activity<R>]>,
    ) -> GroupSweep<'a, R> {
        GroupSweep {
            job,
            work,
            layers,
            activities: kept.unwrap_or(&mut self.arrays.activities),
            adjoints: &mut self.arrays.adjoints,
            gradients: &mut self.arrays.gradients,
            lane_gradients: &mut self.arrays.lane_gradients,
            shared: &mut self.arrays.shared,
            step: &mut self.step,
            count,
        }
    }
}

/// The sweeps over one group of episodes. What the reverse half needs of the forward one is in the activities.
struct GroupSweep<'a, R> {
    job: &'a Job,
    work: &'a Work,
    layers: &'a [Synapses<R>],
    activities: &'a mut [Activity<R>],
    adjoints: &'a mut [Adjoint<R>],
    gradients: &'a mut [Synapses<R>],
    lane_gradients: &'a mut [Synapses<R>],
    shared: &'a mut Shared<R>,
    step: &'a mut [R],
    /// Episodes of the group. Lanes without one have the first one's input and traces, and gradients of zero.
    count: usize,
}

impl<R: Real> GroupSweep<'_, R> {
    /// How layer `index` is swept over, in some steps.
    fn pass<'b>(&self, index: usize, steps: &Range<usize>) -> Pass<'b, R>
    where
        Self: 'b,
    {
        let (job, layers) = (self.job, self.layers);
        Pass {
            shape: &job.shapes[index],
            synapses: &layers[index],
            room: job.request.steps,
            first: steps.start,
            end: steps.end,
            parallel: job.splits::<R>(&job.shapes[index]),
        }
    }

    /// Takes the episodes' steps in, and runs all layers.
    fn forward(&mut self, group: &source::Group<'_, '_, R>) {
        let (job, along, count) = (self.job, self.job.along, self.count);
        let steps = &self.work.forward;
        if steps.is_empty() {
            return;
        }
        let row = neurons(job, 0)[1] * along.beside::<R>();
        let input = &mut self.activities[0].input[steps.start * row..steps.end * row];
        if let Some(from) = group.input {
            take_in(along, from, count, neurons(job, 0), Empty::First, input);
        }
        for index in 0..job.shapes.len() {
            let pass = self.pass(index, steps);
            let (before, after) = self.activities.split_at_mut(index + 1);
            let activity = &mut before[index];
            match Cell::of::<R>(&job.shapes[index]) {
                Some(cell) => {
                    take_given(&cell, group, (index, count), steps, activity);
                    cell::forward(pass, &cell, activity);
                }
                None => {
                    if let Some(columns) = pass.shape.modulators() {
                        let from = group.given(index, Dynamic::Modulator);
                        let from = from.expect("episodes were checked to have modulators");
                        let first = steps.start * pass.shape.along.width::<R>();
                        take_modulators_in(
                            (along, pass.shape),
                            (from, columns),
                            (count, steps.len()),
                            &mut self.shared.modulators,
                            (&mut activity.modulators[first..], job.request.steps),
                        );
                    }
                    let trace = group.given(index, Dynamic::Trace);
                    if let Some(from) = trace.filter(|_| steps.start == 0) {
                        let to = &mut activity.initial_trace;
                        take_traces_in(pass.shape, from, count, Empty::First, to);
                    }
                    forward(pass, activity, &mut self.shared.scratch);
                }
            }
            if let Some(next) = after.first_mut() {
                let output = (&*activity.output, job.request.steps);
                let [_, row] = neurons(job, index + 1);
                let size = row * along.beside::<R>();
                let input = &mut next.input[steps.start * size..steps.end * size];
                by_step(pass.shape, output, steps.clone(), (input, row));
            }
        }
    }

    /// Copies what is wanted of the forward half out, to the results from number `first` on.
    fn bring_outcome(&mut self, results: &mut Results<'_, R>, first: usize) {
        let (job, along, count) = (self.job, self.job.along, self.count);
        let last = job.shapes.len() - 1;
        let outputs = job.shapes[last].outputs;
        let steps = &self.work.forward;
        if steps.is_empty() {
            return;
        }
        let to = Results::part(results.output, results.episodes, first, count);
        if !to.is_empty() {
            // There is no gradient on the output yet.
            let size = steps.len() * outputs * along.beside::<R>();
            let outcome = &mut self.shared.output_gradient[..size];
            let output = (&*self.activities[last].output, job.request.steps);
            by_step(&job.shapes[last], output, steps.clone(), (outcome, outputs));
            let apart = steps.len() * outputs;
            bring_out(along, outcome, count, [outputs; 2], (to, apart));
        }
        for ((layer, dynamic), to) in &mut results.finals {
            let to = Results::part(to, results.episodes, first, count);
            let activity = &self.activities[*layer];
            bring_final(job, *layer, *dynamic, activity, (steps.end, count), to);
        }
    }

    /// Adds the episodes' losses up; leaves the gradient on the output in place.
    fn objective(&mut self, group: &source::Group<'_, '_, R>, losses: &mut [f64]) {
        let (job, along, count) = (self.job, self.job.along, self.count);
        let last = job.shapes.len() - 1;
        let outputs = job.shapes[last].outputs;
        let (steps, width) = (self.work.forward.end, along.beside::<R>());
        let size = steps * outputs * width;
        match group.objective {
            Some(target) if group.is_target && width == 1 => {
                losses[0] += self.loss(group, target);
            }
            Some(target) if group.is_target => {
                let shared = &mut *self.shared;
                let to = &mut shared.target[..size];
                take_in(along, target, count, [outputs; 2], Empty::First, to);
                let mask = &mut shared.mask[..steps * width];
                group.write_mask(count, width, mask);
                let objective = Objective {
                    loss: job.loss,
                    output: &self.activities[last].output,
                    room: job.request.steps,
                    target: to,
                    mask,
                    batch: job.request.batch,
                    gradient: &mut shared.output_gradient[..size],
                    losses,
                };
                objective.run();
            }
            _ if !self.work.backward => {}
            Some(gradient) => {
                let to = &mut self.shared.output_gradient[..size];
                take_in(along, gradient, count, [outputs; 2], Empty::Zero, to);
            }
            None => self.shared.output_gradient[..size].fill(R::zero()),
        }
    }

    /// The loss of the only episode, against its target `[T, O]`.
    fn loss(&mut self, group: &source::Group<'_, '_, R>, target: Values<'_, R>) -> f64 {
        let Values::Rows { values: target, .. } = target else {
            unreachable!("episodes lie side by side only where lanes do");
        };
        let job = self.job;
        let (room, steps) = (job.request.steps, self.work.forward.end);
        let last = job.shapes.len() - 1;
        let output = (&*self.activities[last].output, room);
        let outputs = self.step.len();
        let batch = R::from_f64(job.request.batch as f64);
        let mut loss = 0.0;
        let gradients = self.shared.output_gradient.chunks_exact_mut(outputs);
        for (t, gradient) in gradients.enumerate().take(steps) {
            let mask = group.mask(0, t);
            if mask == R::zero() {
                gradient.fill(R::zero());
                continue;
            }
            by_step(&job.shapes[last], output, t..t + 1, (self.step, outputs));
            let target = &target[t * outputs..][..outputs];
            let step = job.loss.step(self.step, target, mask / batch, gradient);
            loss += (mask * step).as_f64();
        }
        loss
    }

    /// From the gradient on the output back through all layers; adds to the parameters' gradients.
    fn backward(&mut self, group: &source::Group<'_, '_, R>) {
        let (job, along, count) = (self.job, self.job.along, self.count);
        let steps = 0..self.work.forward.end;
        for (index, shape) in job.shapes.iter().enumerate().rev() {
            let pass = self.pass(index, &steps);
            let (before, after) = self.adjoints.split_at_mut(index + 1);
            let adjoint = &mut before[index];
            let cell = Cell::of::<R>(shape);
            match (&cell, group.final_gradient(index, Dynamic::Trace)) {
                (Some(cell), _) => take_final_gradients(cell, group, (index, count), adjoint),
                (None, Some(from)) => {
                    let to = &mut adjoint.trace_gradient;
                    take_traces_in(shape, from, count, Empty::Zero, to);
                }
                // There is room where there may be one.
                (None, None) => adjoint.trace_gradient.fill(R::zero()),
            }
            let (from, row) = match after.first() {
                Some(above) => (&above.input_gradient, neurons(job, index + 1)[1]),
                None => (&self.shared.output_gradient, shape.outputs),
            };
            let from = &from[..steps.end * row * along.beside::<R>()];
            let signal = (&mut *adjoint.signal, job.request.steps);
            by_row(shape, (from, row), signal, Empty::Zero);
            let activity = &self.activities[index];
            if let Some(cell) = cell {
                let gradients = &mut self.gradients[index];
                let lanes = &mut self.lane_gradients[index];
                let needs_input = job.needs_input_gradient(index);
                let sums = match cell.rows {
                    1 => &mut *lanes,
                    _ => &mut *gradients,
                };
                cell::backward(pass, &cell, activity, adjoint, sums, needs_input);
                if cell.rows == 1 {
                    lanes.bring_lanes(cell.lanes, count, gradients);
                }
                continue;
            }
            let Shared {
                partial, scratch, ..
            } = &mut *self.shared;
            backward(
                pass,
                activity,
                count,
                adjoint,
                &mut self.gradients[index],
                scratch,
            );
            if job.needs_input_gradient(index) {
                input_gradient(pass, activity, adjoint, partial, scratch);
            }
        }
    }

    /// Copies the wanted gradients out, to the results from number `first` on.
    fn bring_gradients(&mut self, results: &mut Results<'_, R>, first: usize) {
        let (job, along, count) = (self.job, self.job.along, self.count);
        if !self.work.backward {
            return;
        }
        for (layer, adjoint) in self.adjoints.iter().enumerate() {
            if layer == 0 {
                let neurons = neurons(job, layer);
                let to = Results::part(results.input, results.episodes, first, count);
                let size = self.work.forward.end * neurons[1] * along.beside::<R>();
                let from = &adjoint.input_gradient;
                let from = &from[..size.min(from.len())];
                let apart = self.work.forward.end * neurons[0];
                bring_out(along, from, count, neurons, (to, apart));
            }
        }
        for ((layer, dynamic), to) in &mut results.given {
            let to = Results::part(to, results.episodes, first, count);
            let (adjoint, shape) = (&self.adjoints[*layer], &job.shapes[*layer]);
            match Cell::of::<R>(shape) {
                Some(cell) => {
                    let steps = self.work.forward.end;
                    bring_given_gradient(&cell, *dynamic, adjoint, (steps, count), to);
                }
                None if *dynamic == Dynamic::Modulator => bring_modulators_out(
                    (along, shape),
                    (&adjoint.modulator_gradient, job.request.steps),
                    &mut self.shared.modulators,
                    (to, shape.modulators().unwrap_or(1)),
                    (count, self.work.forward.end),
                ),
                None => {
                    let apart = shape.outputs * shape.inputs;
                    let from = &adjoint.initial_gradient;
                    bring_traces_out(shape, from, count, (to, apart));
                }
            }
        }
    }
}

/// Takes in what a layer whose rows step together is given: its states at the first step, and modulators.
fn take_given<R: Real>(
    cell: &Cell<'_>,
    group: &source::Group<'_, '_, R>,
    (layer, count): (usize, usize),
    steps: &Range<usize>,
    activity: &mut Activity<R>,
) {
    let given = |dynamic| group.given(layer, dynamic);
    let columns = cell.presynaptic;
    for (state, columns, to) in [
        (Dynamic::Trace, columns, &mut activity.initial_trace),
        (
            Dynamic::Eligibility,
            columns,
            &mut activity.initial_eligibility,
        ),
        (Dynamic::Activity, 1, &mut activity.initial_activity),
    ] {
        if let Some(from) = given(state).filter(|_| steps.start == 0) {
            cell::take_state(cell, from, count, columns, Empty::First, to);
        }
    }
    if let Some(from) = given(Dynamic::Modulator) {
        let values = cell.values();
        let to = &mut activity.modulators[steps.start * values..steps.end * values];
        cell::take_modulators(cell, from, count, to);
    }
}

/// Takes in the gradients on the final states; zeros where there are none.
fn take_final_gradients<R: Real>(
    cell: &Cell<'_>,
    group: &source::Group<'_, '_, R>,
    (layer, count): (usize, usize),
    adjoint: &mut Adjoint<R>,
) {
    let columns = cell.presynaptic;
    for (state, columns, to) in [
        (Dynamic::Trace, columns, &mut adjoint.trace_adjoint),
        (
            Dynamic::Eligibility,
            columns,
            &mut adjoint.eligibility_adjoint,
        ),
        (Dynamic::Activity, 1, &mut adjoint.activity_adjoint),
    ] {
        match group.final_gradient(layer, state) {
            Some(from) => cell::take_state(cell, from, count, columns, Empty::Zero, to),
            None => to.fill(R::zero()),
        }
    }
}

/// Brings the gradient of what a layer was given out, to `[count, …]`.
fn bring_given_gradient<R: Real>(
    cell: &Cell<'_>,
    dynamic: Dynamic,
    adjoint: &Adjoint<R>,
    (steps, count): (usize, usize),
    to: &mut [R],
) {
    let apart = to.len() / count;
    let (from, columns) = match dynamic {
        Dynamic::Trace => (&adjoint.trace_adjoint, cell.presynaptic),
        Dynamic::Eligibility => (&adjoint.eligibility_adjoint, cell.presynaptic),
        Dynamic::Activity => (&adjoint.activity_adjoint, 1),
        Dynamic::Modulator => {
            let from = &adjoint.modulator_gradient;
            return cell::bring_modulator_gradient(cell, from, (count, steps), to);
        }
    };
    cell::bring_state(cell, from, count, columns, (to, apart));
}

/// Brings what a layer has after `steps` steps out, to `[count, …]`.
pub(super) fn bring_final<R: Real>(
    job: &Job,
    layer: usize,
    dynamic: Dynamic,
    activity: &Activity<R>,
    (steps, count): (usize, usize),
    to: &mut [R],
) {
    let apart = to.len() / count;
    let Some(cell) = Cell::of::<R>(&job.shapes[layer]) else {
        let from = &activity.final_trace;
        return bring_traces_out(&job.shapes[layer], from, count, (to, apart));
    };
    let (from, columns) = match dynamic {
        Dynamic::Trace => (&activity.final_trace[..], cell.presynaptic),
        Dynamic::Eligibility => (&activity.final_eligibility[..], cell.presynaptic),
        Dynamic::Activity => {
            let values = cell.values();
            (&activity.values[(steps - 1) * values..][..values], 1)
        }
        Dynamic::Modulator => {
            let episodes = cell.episodes();
            let modulators = activity.modulator.chunks_exact(episodes);
            for (t, from) in modulators.enumerate().take(steps) {
                for (n, &value) in from.iter().enumerate().take(count) {
                    to[n * apart + t] = value;
                }
            }
            return;
        }
    };
    cell::bring_state(&cell, from, count, columns, (to, apart));
}

/// Presynaptic neurons of layer `index`, in the caller's arrays and in a group's.
fn neurons(job: &Job, index: usize) -> [usize; 2] {
    let shape = &job.shapes[index];
    [shape.inputs, shape.along.neurons(shape)]
}
