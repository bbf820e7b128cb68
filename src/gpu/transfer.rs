//! The caller's arrays on their way to the device, and results on their way back.

use super::arrays::{Lengths, Working};
use super::device::Device;
use super::execute::Loaded;
use super::layout::LayerLayout;
use super::plan::Plan;
use crate::computation::{EpisodeGradients, Outcome};
use crate::dynamics::Dynamics;
use crate::episodes::{Episodes, Mask, Objective, of_each_network};
use crate::error::Result;
use crate::zip::zip_eq;
use ndarray::{
    Array4, ArrayBase, ArrayView, ArrayView4, ArrayViewMut4, Axis, Data, Dimension, Ix4, Slice, s,
};
use std::ops::Range;

/// The part of the caller's arrays that one cut of a group of networks works on.
#[derive(Clone, Debug)]
pub(super) struct Transfer<'a> {
    loaded: &'a Loaded,
    /// Networks of the population.
    networks: Range<usize>,
    /// Episodes of the batch.
    episodes: Range<usize>,
}

impl<'a> Transfer<'a> {
    pub fn new(loaded: &'a Loaded, networks: Range<usize>, cut: usize) -> Self {
        Self {
            episodes: loaded.plan.cuts[cut].episodes.clone(),
            loaded,
            networks,
        }
    }

    pub(super) fn plan(&self) -> &'a Plan {
        &self.loaded.plan
    }

    pub(super) fn loaded(&self) -> &'a Loaded {
        self.loaded
    }

    /// Networks of the population.
    pub(super) fn networks(&self) -> &Range<usize> {
        &self.networks
    }

    /// Episodes of the batch.
    pub(super) fn episodes(&self) -> &Range<usize> {
        &self.episodes
    }

    pub(super) fn device(&self) -> &'a Device {
        self.loaded.device()
    }

    pub(super) fn layers(&self) -> &'a [LayerLayout] {
        &self.plan().layout.layers
    }

    /// The networks of the caller's array whose values go to the device; of an array that they have in common, the one that
    /// there is.
    fn owners(&self, in_common: bool) -> Range<usize> {
        match in_common {
            true => 0..1,
            false => self.networks.clone(),
        }
    }

    /// Writes the episodes, everything that the plan takes of them.
    pub fn upload(&self, episodes: &Episodes<'_, f32>) -> Result<()> {
        if self.plan().fused.is_some() {
            return self.upload_planes(episodes);
        }
        self.upload_input(&episodes.input)?;
        self.upload_objective(&episodes.objective)?;
        self.upload_initial_states(&episodes.given)?;
        self.upload_modulators_from(&episodes.given, 0)?;
        self.upload_state_gradients(&episodes.final_gradients)?;
        self.device().check()
    }

    pub fn upload_input<S: Data<Elem = f32>>(&self, input: &ArrayBase<S, Ix4>) -> Result<()> {
        for segment in 0..self.plan().segments.len() {
            let row = self.layers()[0].row;
            let networks = self.owners(self.plan().work.request.in_common.input);
            self.write_steps(
                Working::Activity(0, segment),
                segment,
                input,
                (networks, row),
            )?;
        }
        Ok(())
    }

    /// Writes the target and its mask, or the gradient on the output.
    pub fn upload_objective(&self, objective: &Objective<'_, f32>) -> Result<()> {
        let plan = self.plan();
        let row = plan.layout.last().output_row;
        let signal = |segment| Working::Signal(self.layers().len() - 1, segment);
        // Earlier cuts may have left something there.
        let mut cleared = Vec::new();
        for segment in 0..plan.segments.len() {
            match objective {
                Objective::Target { target, mask } => {
                    let networks = self.owners(plan.work.request.in_common.target);
                    self.write_steps(Working::Target(segment), segment, target, (networks, row))?;
                    let mask = self.mask(mask, &plan.segments[segment]);
                    let buffer = self.loaded.buffer(Working::Mask(segment));
                    self.device().write(buffer, &mask)?;
                }
                Objective::OutputGradient(gradient) if plan.work.request.gradient => {
                    // Gradients take the place of signals: each network has a place of its own.
                    let networks = self.networks.clone();
                    self.write_steps(signal(segment), segment, gradient, (networks, row))?;
                }
                Objective::None if plan.work.request.gradient => {
                    cleared.push((signal(segment), 0, None));
                }
                Objective::OutputGradient(_) | Objective::None => {}
            }
        }
        self.clear(cleared)
    }

    /// Writes the states at the first step, where the plan takes them; zeros where there are none.
    pub fn upload_initial_states(&self, given: &Dynamics<'_, f32>) -> Result<()> {
        let mut cleared = Vec::new();
        for (index, sweep) in self.plan().sweeps.iter().enumerate() {
            if self.layers()[index].cell.is_some() {
                self.upload_cell_states(index, given)?;
                continue;
            }
            let Some(slot) = sweep.traces.initial else {
                continue;
            };
            match given.trace(index) {
                Some(trace) => self.write_trace(index, 0, slot, &trace)?,
                None => cleared.push(self.trace_slot(index, 0, slot)),
            }
        }
        self.clear(cleared)
    }

    /// Writes the modulators that layers are given, of steps `first` and on.
    pub fn upload_modulators_from(&self, given: &Dynamics<'_, f32>, first: usize) -> Result<()> {
        for index in 0..self.layers().len() {
            self.upload_modulators(index, given, first)?;
        }
        Ok(())
    }

    /// Writes the gradients on the final states, where the plan takes them; zeros where there are none.
    pub fn upload_state_gradients(&self, gradients: &Dynamics<'_, f32>) -> Result<()> {
        let plan = self.plan();
        let mut cleared = Vec::new();
        for (index, sweep) in plan.sweeps.iter().enumerate() {
            if self.layers()[index].cell.is_some() {
                self.upload_cell_gradients(index, gradients)?;
                continue;
            }
            if !sweep.traces.upstream {
                continue;
            }
            for segment in 0..plan.segments.len() {
                match gradients.trace(index) {
                    Some(gradient) => self.write_trace(index, segment, 0, &gradient)?,
                    None => cleared.push(self.trace_slot(index, segment, 0)),
                }
            }
        }
        self.clear(cleared)
    }

    /// Where a trace lies in a buffer: from a byte on, so many bytes.
    fn trace_slot(&self, layer: usize, segment: usize, slot: usize) -> (Working, u64, Option<u64>) {
        let bytes = 4 * self.trace_plane(layer) as u64;
        let array = Working::Traces(layer, segment);
        (array, slot as u64 * bytes, Some(bytes))
    }

    /// Writes the episodes to the one buffer that the kernel of whole meta-steps reads them from.
    fn upload_planes(&self, episodes: &Episodes<'_, f32>) -> Result<()> {
        let (device, plan) = (self.device(), self.plan());
        let lengths = Lengths::new(&plan.work, self.episodes.len(), plan.work.request.steps);
        let shape = Working::Episodes.shape(&plan.layout, &plan.work, &plan.sweeps);
        let buffer = self.loaded.buffer(Working::Episodes);
        let in_common = plan.work.request.in_common;
        let input = part(&episodes.input, &[&self.owners(in_common.input)]);
        device.write_rows(buffer, 0, &input, self.layers()[0].row)?;
        if let Objective::Target { target, mask } = &episodes.objective {
            let target = part(target, &[&self.owners(in_common.target)]);
            let at = shape.before(1, &lengths);
            device.write_rows(buffer, at, &target, plan.layout.last().output_row)?;
            let mask = self.mask(mask, &(0..episodes.steps()));
            device.write_at(buffer, shape.before(2, &lengths), &mask)?;
        }
        device.check()
    }

    /// Writes a segment's part of `[P, B, T, neurons]`, of some networks and in rows of so many.
    fn write_steps<S: Data<Elem = f32>>(
        &self,
        array: Working,
        segment: usize,
        values: &ArrayBase<S, Ix4>,
        (networks, row): (Range<usize>, usize),
    ) -> Result<()> {
        let steps = &self.plan().segments[segment];
        self.write_rows(array, 0, values, [&networks, &self.episodes, steps], row)
    }

    /// Writes the part of an array for some networks, episodes and rows from element `at` of a buffer on, in rows of `row`
    /// elements.
    fn write_rows<S: Data<Elem = f32>>(
        &self,
        array: Working,
        at: u64,
        values: &ArrayBase<S, Ix4>,
        [networks, episodes, rows]: [&Range<usize>; 3],
        row: usize,
    ) -> Result<()> {
        let (device, buffer) = (self.device(), self.loaded.buffer(array));
        if values.len_of(Axis(0)) == 1 {
            let view = part(values, &[&(0..1), episodes, rows]);
            return device.write_copies(buffer, at, &view, row, networks.len());
        }
        let view = part(values, &[networks, episodes, rows]);
        device.write_rows(buffer, at, &view, row)
    }

    /// Writes `[P, B, O, I]` to a slot of a layer's traces.
    fn write_trace<S: Data<Elem = f32>>(
        &self,
        layer: usize,
        segment: usize,
        slot: usize,
        values: &ArrayBase<S, Ix4>,
    ) -> Result<()> {
        let at = (slot * self.trace_plane(layer)) as u64;
        let layout = &self.layers()[layer];
        let ranges = [&self.networks, &self.episodes, &(0..layout.outputs)];
        let array = Working::Traces(layer, segment);
        self.write_rows(array, at, values, ranges, layout.row)
    }

    /// Writes the part of an array of the networks' that the cut works on, all of its rows, from element `at` of a buffer on.
    pub(super) fn write_part(
        &self,
        array: Working,
        at: u64,
        values: &ArrayView4<'_, f32>,
        row: usize,
    ) -> Result<()> {
        let rows = 0..values.len_of(Axis(2));
        let ranges = [&self.networks, &self.episodes, &rows];
        self.write_rows(array, at, values, ranges, row)
    }

    /// Elements of one trace of a layer of all episodes.
    fn trace_plane(&self, layer: usize) -> usize {
        let layer = &self.layers()[layer];
        self.networks.len() * self.episodes.len() * layer.outputs * layer.row
    }

    /// Fills parts of buffers with zeros, each from a byte on.
    pub(super) fn clear(&self, parts: Vec<(Working, u64, Option<u64>)>) -> Result<()> {
        self.device().submit(|encoder| {
            for (array, at, bytes) in parts {
                encoder.clear_buffer(self.loaded.buffer(array), at, bytes);
            }
        })?;
        Ok(())
    }

    /// A mask's weights for some steps.
    fn mask(&self, mask: &Mask<f32>, steps: &Range<usize>) -> Vec<f32> {
        match mask {
            Mask::All => vec![1.0; steps.len()],
            Mask::Steps(mask) => mask.slice(s![steps.clone()]).to_vec(),
            Mask::Episodes(mask) => {
                let networks = self.owners(self.plan().work.request.in_common.mask);
                let part = part(mask, &[&networks, &self.episodes, steps]);
                part.iter().copied().collect()
            }
        }
    }

    /// Reads the gradients that go back to the episodes.
    pub fn download_gradients(&self, gradients: &mut EpisodeGradients<f32>) -> Result<()> {
        let plan = self.plan();
        for (segment, steps) in plan.segments.iter().enumerate() {
            if let Some(input) = &mut gradients.input {
                let row = self.layers()[0].row;
                self.read(
                    Working::InputSignal(segment),
                    row,
                    steps,
                    0,
                    input.view_mut(),
                )?;
            }
        }
        for (index, layer) in self.layers().iter().enumerate() {
            self.download_modulator_gradients(index, &mut gradients.given)?;
            if layer.cell.is_some() {
                self.download_cell_gradients(index, &mut gradients.given)?;
            } else if let Some(gradient) = gradients.given.trace_mut(index) {
                let rows = 0..layer.outputs;
                self.read(Working::Adjoint(index), layer.row, &rows, 0, gradient)?;
            }
        }
        Ok(())
    }

    /// Reads the results of the forward half.
    pub fn download_outcome(&self, outcome: &mut Outcome<f32>) -> Result<()> {
        let plan = self.plan();
        let (layers, row) = (self.layers().len(), plan.layout.last().output_row);
        if let Some(output) = &mut outcome.output {
            for (segment, steps) in plan.segments.iter().enumerate() {
                let output = output.view_mut();
                self.read(Working::Activity(layers, segment), row, steps, 0, output)?;
            }
        }
        self.download_final_states(&mut outcome.finals)
    }

    /// Reads the states after the last step, where the plan has them.
    pub fn download_final_states(&self, states: &mut Dynamics<'_, f32>) -> Result<()> {
        let plan = self.plan();
        for (index, sweep) in plan.sweeps.iter().enumerate() {
            if self.layers()[index].cell.is_some() {
                self.download_cell_states(index, states)?;
            } else if let (Some(trace), Some(slot)) = (states.trace_mut(index), sweep.traces.last) {
                let (layer, at) = (&self.layers()[index], slot * self.trace_plane(index));
                let array = Working::Traces(index, plan.segments.len() - 1);
                self.read(array, layer.row, &(0..layer.outputs), at, trace)?;
            }
        }
        Ok(())
    }

    /// Reads the states as they are between steps.
    pub fn download_present_states(&self, states: &mut Dynamics<'_, f32>) -> Result<()> {
        for (index, layer) in self.layers().iter().enumerate() {
            if layer.cell.is_some() {
                self.download_cell_states(index, states)?;
                continue;
            }
            let Some(mut trace) = states.trace_mut(index) else {
                continue;
            };
            let array = Working::Scaled(index);
            let view = trace.view_mut();
            self.read(array, layer.row, &(0..layer.outputs), 0, view)?;
            // Of each row, the factor that the sweep has not multiplied into it yet.
            let at = self.trace_plane(index);
            let rows = self.networks.len() * self.episodes.len() * layer.outputs;
            let buffer = self.loaded.buffer(array);
            let scales: Vec<f32> = self.device().read_at(buffer, at, 4 * rows)?;
            let mut here = trace.slice_axis_mut(Axis(0), Slice::from(self.networks.clone()));
            for (mut row, scale) in zip_eq(here.rows_mut(), scales.chunks_exact(4)) {
                row *= scale[0];
            }
        }
        Ok(())
    }

    /// Writes the inputs of one step, `[P, B, 1, I]`.
    pub fn upload_step<S: Data<Elem = f32>>(&self, input: &ArrayBase<S, Ix4>) -> Result<()> {
        let networks = self.owners(self.plan().work.request.in_common.input);
        let ranges = [&networks, &self.episodes, &(0..1)];
        let row = self.layers()[0].row;
        self.write_rows(Working::StepInput, 0, input, ranges, row)
    }

    /// Reads the outputs of one step, `[P, B, 1, O]`.
    pub fn read_step(&self, output: &mut Array4<f32>) -> Result<()> {
        let row = self.plan().layout.last().output_row;
        self.read(Working::StepOutput, row, &(0..1), 0, output.view_mut())
    }

    /// Reads `rows` (steps or neurons) of each episode, from element `at` of a buffer on.
    pub(super) fn read(
        &self,
        array: Working,
        row: usize,
        rows: &Range<usize>,
        at: usize,
        mut to: ArrayViewMut4<'_, f32>,
    ) -> Result<()> {
        let size = self.networks.len() * self.episodes.len() * rows.len() * row;
        let buffer = self.loaded.buffer(array);
        let values: Vec<f32> = self.device().read_at(buffer, at, size)?;
        to.slice_axis_inplace(Axis(0), Slice::from(self.networks.clone()));
        to.slice_axis_inplace(Axis(1), Slice::from(self.episodes.clone()));
        to.slice_axis_inplace(Axis(2), Slice::from(rows.clone()));
        unpad(&values, row, to);
        Ok(())
    }
}

/// The part of an array for some networks, episodes and rows (steps or neurons): ranges along its first axes. An array that
/// networks have in common is the same for each.
fn part<'a, S: Data<Elem = f32>, D: Dimension>(
    array: &'a ArrayBase<S, D>,
    ranges: &[&Range<usize>],
) -> ArrayView<'a, f32, D> {
    let population = match array.len_of(Axis(0)) {
        1 => ranges[0].end,
        population => population,
    };
    let mut view = of_each_network(array, population);
    for (axis, range) in ranges.iter().enumerate() {
        view.slice_axis_inplace(Axis(axis), Slice::from((*range).clone()));
    }
    view
}

fn unpad(values: &[f32], row: usize, mut to: ArrayViewMut4<'_, f32>) {
    for (mut to, from) in zip_eq(to.rows_mut(), values.chunks_exact(row)) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = from;
        }
    }
}
