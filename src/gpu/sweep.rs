//! Forward and gradient of the caller's episodes on the device.

use super::Gpu;
use super::execute::{Loaded, Residents};
use super::fusion::EpisodePlanes;
use super::plan::{Plan, Work, Working, group_size, split};
use super::resident::Resident;
use crate::computation::{Gradients, Outcome, Want};
use crate::episodes::{Episodes, Mask, Objective};
use crate::error::Result;
use crate::memory;
use crate::network::{Loss, Network};
use crate::parameters::Parameters;
use crate::zip::zip_eq;
use ndarray::{Array, Array1, Array4, ArrayView, ArrayViewMut4, Axis, Dimension, Slice};
use std::ops::Range;

/// What the caller's episodes call for, for a group of `networks` networks.
pub(super) fn work_of(
    network: &Network,
    episodes: &Episodes<f32>,
    networks: usize,
    want: Want,
    gradient: bool,
) -> Work {
    let (has_target, mask_per_episode) = match &episodes.objective {
        Objective::Target { mask, .. } => (
            network.loss() != Loss::None,
            matches!(mask, Mask::Episodes(_)),
        ),
        Objective::OutputGradient(_) | Objective::None => (false, false),
    };
    Work {
        networks,
        batch: episodes.batch(),
        steps: episodes.steps(),
        gradient,
        input_gradient: want.input_gradient,
        final_traces: want.final_traces,
        has_target,
        mask_per_episode,
        given: (0..network.layers().len())
            .map(|layer| {
                (
                    episodes.initial_trace(layer).is_some(),
                    episodes.trace_gradient(layer).is_some(),
                )
            })
            .collect(),
        task: None,
        is_meta_step: false,
        learn: false,
    }
}

impl Gpu {
    pub(crate) fn forward(
        &self,
        network: &Network,
        parameters: &Parameters<f32>,
        episodes: &Episodes<f32>,
        want: Want,
    ) -> Result<Outcome<f32>> {
        let want = Want {
            input_gradient: false,
            ..want
        };
        Ok(self
            .compute(network, parameters, episodes, want, false)?
            .outcome)
    }

    pub(crate) fn gradient(
        &self,
        network: &Network,
        parameters: &Parameters<f32>,
        episodes: &Episodes<f32>,
        want: Want,
    ) -> Result<Gradients<f32>> {
        self.compute(network, parameters, episodes, want, true)
    }

    fn compute(
        &self,
        network: &Network,
        parameters: &Parameters<f32>,
        episodes: &Episodes<f32>,
        want: Want,
        gradient: bool,
    ) -> Result<Gradients<f32>> {
        let (population, batch) = (episodes.population(), episodes.batch());
        let work = work_of(network, episodes, population, want, gradient);
        let mut results = results(network, parameters, &work, want)?;
        let mut losses = Vec::with_capacity(population * batch);
        let size = group_size(network, &self.profile, &work);
        for group in split(0..population, size) {
            let work = Work {
                networks: group.len(),
                ..work.clone()
            };
            let plan = Plan::new(network, &self.profile, work)?;
            let layout = plan.layout.clone();
            let mut values = parameters.slice(group.clone());
            let residents = Residents::new(&self.device, &layout, &values, false)?;
            let loaded = Loaded::new(&self.device, &residents, plan)?;
            for cut in 0..loaded.plan.cuts.len() {
                let range = loaded.plan.cuts[cut].episodes.clone();
                upload(&loaded, network, episodes, group.clone(), range.clone())?;
                let submission = self
                    .device
                    .submit(|encoder| loaded.record_cut(encoder, cut))?;
                self.device.wait(submission)?;
                download(&loaded, network, &mut results, group.clone(), range)?;
            }
            if gradient {
                residents.read(&self.device, &layout, Resident::Gradients, &mut values)?;
                let size = values.layout().size();
                results.parameters.values_mut()[group.start * size..group.end * size]
                    .copy_from_slice(values.values());
            }
            if loaded.plan.work.has_target {
                losses.extend(
                    self.device
                        .read::<f32>(loaded.buffer(Working::Losses), group.len() * batch)?,
                );
            }
        }
        self.device.check()?;
        if !losses.is_empty() {
            let mean = |losses: &[f32]| {
                (losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / batch as f64) as f32
            };
            results.outcome.loss = Some(
                losses
                    .chunks_exact(batch)
                    .map(mean)
                    .collect::<Array1<f32>>(),
            );
        }
        Ok(results)
    }
}

/// Arrays for all results, to be filled.
fn results(
    network: &Network,
    parameters: &Parameters<f32>,
    work: &Work,
    want: Want,
) -> Result<Gradients<f32>> {
    let array = |rows: usize, columns: usize| -> Result<Array4<f32>> {
        let shape = [work.networks, work.batch, rows, columns];
        let elements = memory::elements("results", &shape)?;
        memory::require("results", 4 * elements as u128)?;
        Ok(Array4::zeros(shape))
    };
    let traces = |wanted: &dyn Fn(usize) -> bool| {
        network
            .layers()
            .iter()
            .enumerate()
            .map(|(index, layer)| match layer.as_plastic() {
                Some(layer) if wanted(index) => array(layer.outputs, layer.inputs).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<Vec<_>>>()
    };
    Ok(Gradients {
        outcome: Outcome {
            loss: None,
            output: want
                .output
                .then(|| array(work.steps, network.outputs()))
                .transpose()?,
            traces: traces(&|_| work.final_traces)?,
        },
        parameters: Parameters::zeros(parameters.shared_layout().clone(), work.networks)?,
        input: match work.gradient && work.input_gradient {
            true => Some(array(work.steps, network.inputs())?),
            false => None,
        },
        initial_traces: traces(&|index| work.gradient && work.given[index].0)?,
    })
}

/// The part of an array for some networks, episodes and rows (steps or neurons): ranges along its first axes.
fn part<'a, D: Dimension>(
    array: &'a Array<f32, D>,
    ranges: &[&Range<usize>],
) -> ArrayView<'a, f32, D> {
    let mut view = array.view();
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

/// Writes one cut's part of the caller's arrays to the device.
pub(super) fn upload(
    loaded: &Loaded,
    network: &Network,
    episodes: &Episodes<f32>,
    networks: Range<usize>,
    range: Range<usize>,
) -> Result<()> {
    let (device, plan) = (loaded.device(), &loaded.plan);
    let layers = &plan.layout.layers;
    let last = layers.len() - 1;
    let output_row = layers[last].output_row;
    if plan.fused.is_some() {
        return upload_planes(loaded, episodes, networks);
    }
    // Earlier cuts may have left something there.
    let mut cleared = Vec::new();
    for (segment, steps) in plan.segments.iter().enumerate() {
        let write = |buffer: Working, array: &Array4<f32>, row: usize| {
            let view = part(array, &[&networks, &range, steps]);
            device.write_rows(loaded.buffer(buffer), 0, &view, row)
        };
        write(
            Working::Activity(0, segment),
            &episodes.input,
            layers[0].row,
        )?;
        match &episodes.objective {
            Objective::Target { target, mask } => {
                write(Working::Target(segment), target, output_row)?;
                let mask = mask_part(mask, &networks, &range, steps);
                device.write(loaded.buffer(Working::Mask(segment)), &mask)?;
            }
            Objective::OutputGradient(gradient) if plan.work.gradient => {
                write(Working::Signal(last, segment), gradient, output_row)?;
            }
            Objective::None if plan.work.gradient => {
                cleared.push((Working::Signal(last, segment), 0, None));
            }
            Objective::OutputGradient(_) | Objective::None => {}
        }
    }
    for (index, layer) in network.layers().iter().enumerate() {
        let slots = plan.traces[index];
        let plane = networks.len() * range.len() * layer.outputs() * layers[index].row;
        let rows = 0..layer.outputs();
        let write = |segment: usize, slot: usize, array: &Array4<f32>| {
            let view = part(array, &[&networks, &range, &rows]);
            let buffer = loaded.buffer(Working::Traces(index, segment));
            device.write_rows(buffer, (slot * plane) as u64, &view, layers[index].row)
        };
        if let (true, Some(gradient)) = (slots.upstream, episodes.trace_gradient(index)) {
            for segment in 0..plan.segments.len() {
                write(segment, 0, gradient)?;
            }
        }
        if let Some(slot) = slots.initial {
            match episodes.initial_trace(index) {
                Some(trace) => write(0, slot, trace)?,
                None => {
                    let (at, bytes) = ((slot * plane * 4) as u64, (plane * 4) as u64);
                    cleared.push((Working::Traces(index, 0), at, Some(bytes)));
                }
            }
        }
    }
    device.submit(|encoder| {
        for (buffer, at, bytes) in cleared {
            encoder.clear_buffer(loaded.buffer(buffer), at, bytes);
        }
    })?;
    device.check()
}

/// Writes the caller's episodes to the one buffer that the kernel of whole meta-steps reads them from.
fn upload_planes(loaded: &Loaded, episodes: &Episodes<f32>, networks: Range<usize>) -> Result<()> {
    let (device, plan) = (loaded.device(), &loaded.plan);
    let layers = &plan.layout.layers;
    let planes = EpisodePlanes::new(&plan.layout, &plan.work);
    let buffer = loaded.buffer(Working::Episodes);
    let input = part(&episodes.input, &[&networks]);
    device.write_rows(buffer, 0, &input, layers[0].row)?;
    if let Objective::Target { target, mask } = &episodes.objective {
        let output_row = layers[layers.len() - 1].output_row;
        let target = part(target, &[&networks]);
        device.write_rows(buffer, planes.target, &target, output_row)?;
        let (range, steps) = (0..episodes.batch(), 0..episodes.steps());
        let mask = mask_part(mask, &networks, &range, &steps);
        device.write_at(buffer, planes.mask, &mask)?;
    }
    device.check()
}

/// A mask's weights for some networks, episodes and steps.
fn mask_part(
    mask: &Mask<f32>,
    networks: &Range<usize>,
    range: &Range<usize>,
    steps: &Range<usize>,
) -> Vec<f32> {
    match mask {
        Mask::All => vec![1.0; steps.len()],
        Mask::Steps(mask) => part(mask, &[steps]).to_vec(),
        Mask::Episodes(mask) => part(mask, &[networks, range, steps])
            .iter()
            .copied()
            .collect(),
    }
}

/// Reads one cut's results into the caller's arrays.
fn download(
    loaded: &Loaded,
    network: &Network,
    results: &mut Gradients<f32>,
    networks: Range<usize>,
    range: Range<usize>,
) -> Result<()> {
    let (device, plan) = (loaded.device(), &loaded.plan);
    let layers = &plan.layout.layers;
    let last = layers.len() - 1;
    let count = networks.len() * range.len();
    let fill = |buffer: Working,
                row: usize,
                rows: Range<usize>,
                at: usize,
                to: &mut Array4<f32>|
     -> Result<()> {
        let size = count * rows.len() * row;
        let values: Vec<f32> = device.read_at(loaded.buffer(buffer), at, size)?;
        let mut view = to.slice_axis_mut(Axis(0), Slice::from(networks.clone()));
        view.slice_axis_inplace(Axis(1), Slice::from(range.clone()));
        view.slice_axis_inplace(Axis(2), Slice::from(rows));
        unpad(&values, row, view);
        Ok(())
    };
    for (segment, steps) in plan.segments.iter().enumerate() {
        if let Some(output) = &mut results.outcome.output {
            fill(
                Working::Activity(last + 1, segment),
                layers[last].output_row,
                steps.clone(),
                0,
                output,
            )?;
        }
        if let Some(input) = &mut results.input {
            fill(
                Working::InputSignal(segment),
                layers[0].row,
                steps.clone(),
                0,
                input,
            )?;
        }
    }
    for (index, layer) in network.layers().iter().enumerate() {
        let (row, rows) = (layers[index].row, 0..layer.outputs());
        let plane = count * layer.outputs() * row;
        if let (Some(trace), Some(slot)) =
            (&mut results.outcome.traces[index], plan.traces[index].last)
        {
            fill(
                Working::Traces(index, plan.segments.len() - 1),
                row,
                rows.clone(),
                slot * plane,
                trace,
            )?;
        }
        if let Some(trace) = &mut results.initial_traces[index] {
            fill(Working::Adjoint(index), row, rows, 0, trace)?;
        }
    }
    Ok(())
}
