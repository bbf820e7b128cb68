//! A computation whose arrays stay on the device: planned, allocated and uploaded once, run in halves.

use super::arrays::Working;
use super::cuts::{require_residents, whole_group_size};
use super::engine::Gpu;
use super::execute::Loaded;
use super::gradient::results;
use super::group::Group;
use super::layout::DeviceLayout;
use super::population::Population;
use super::transfer::Transfer;
use super::work::Work;
use crate::computation::{
    DeviceArrays, EpisodeGradients, Gradients, Outcome, PopulationBackend, Request, SessionBackend,
    Want,
};
use crate::episodes::{Episodes, Objective, Upstream, of_each_network};
use crate::error::Result;
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use ndarray::{Array4, Axis, CowArray, Ix4, Slice};
use std::sync::Arc;

/// Networks on the GPU that run episodes forward, all steps at once or one at a time, and differentiate what they did with
/// the caller's gradient on the outputs. Nothing but inputs, outputs and gradients travels between calls.
#[derive(Debug)]
pub(crate) struct GpuSession {
    network: Network,
    /// For its layout.
    parameters: Parameters<f32>,
    population: Population,
    work: Work,
    /// Of each group.
    loaded: Vec<Arc<Loaded>>,
    /// Steps of the present episodes that are done.
    done: usize,
}

impl GpuSession {
    /// Room for what `request` says, which has a gradient on the outputs. The networks learn by `optimisers`, one for each;
    /// none where they do not learn.
    pub(crate) fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        optimisers: Option<Vec<Optimiser>>,
        request: Request,
    ) -> Result<Self> {
        let work = Work {
            stepwise: true,
            learn: optimisers.is_some(),
            ..Work::new(parameters.population(), request)
        };
        let layout = DeviceLayout::new(network, gpu.profile());
        require_residents(&layout, gpu.profile(), work.learn)?;
        let size = whole_group_size(network, gpu.profile(), &work);
        let optimisers = optimisers.as_deref();
        let mut population = Population::new(gpu, &layout, parameters, optimisers, size)?;
        Ok(Self {
            network: network.clone(),
            parameters: parameters.clone(),
            loaded: population.load(network, &work)?,
            population,
            work,
            done: 0,
        })
    }

    /// Each group with its plan, and what goes to the device and comes back.
    fn groups(&self) -> impl Iterator<Item = (&Group, &Loaded, Transfer<'_>)> {
        let groups = self.population.groups.iter().zip(&self.loaded);
        groups.map(|(group, loaded)| {
            let transfer = Transfer::new(loaded, group.networks.clone(), 0);
            (group, &**loaded, transfer)
        })
    }

    /// Arrays for the results of `request`, to be filled.
    fn results(&self, request: Request) -> Result<Gradients<f32>> {
        let work = Work::new(self.work.networks, request);
        results(&self.network, &self.parameters, &work)
    }

    /// The reverse half: the outputs were given already.
    fn reverse(&self) -> Request {
        let request = &self.work.request;
        let want = Want {
            output: false,
            final_traces: false,
            ..request.want
        };
        Request {
            want,
            ..request.clone()
        }
    }

    /// Calls `sweep` for each group, with the upstream gradients in place, and with episodes that ended early brought to the
    /// number of steps that was planned. Steps without input and without a gradient on the output add nothing to any gradient.
    fn with_all_steps(
        &self,
        upstream: &Upstream<'_, f32>,
        mut sweep: impl FnMut(&Group, &Loaded, &Transfer<'_>) -> Result<()>,
    ) -> Result<()> {
        let request = &self.work.request;
        let (done, steps) = (self.done, request.steps);
        let padded;
        let objective = match &upstream.objective {
            Objective::OutputGradient(gradient) if done < steps => {
                padded = Objective::OutputGradient(self.padded(gradient));
                &padded
            }
            objective => objective,
        };
        let nothing = Array4::zeros((1, request.batch, 1, self.network.inputs()));
        let device = &self.population.gpu.device;
        for (group, loaded, transfer) in self.groups() {
            if !upstream.on_device {
                transfer.upload_objective(objective)?;
            }
            transfer.upload_trace_gradients(&upstream.trace_gradients)?;
            // The steps to come go on from here.
            let present = match done < steps {
                true => loaded.copies(|array| matches!(array, Working::Scaled(_)))?,
                false => Vec::new(),
            };
            for step in done..steps {
                transfer.upload_step(&nothing)?;
                device.submit(|encoder| loaded.record_step(encoder, step))?;
            }
            sweep(group, loaded, &transfer)?;
            device.submit(|encoder| loaded.record_restore(encoder, &present))?;
        }
        Ok(())
    }

    /// A gradient on the outputs of the steps that are done, with zeros for the others.
    fn padded(&self, gradient: &CowArray<'_, f32, Ix4>) -> CowArray<'static, f32, Ix4> {
        let (networks, request) = (self.work.networks, &self.work.request);
        let outputs = self.network.outputs();
        let mut padded = Array4::zeros((networks, request.batch, request.steps, outputs));
        padded
            .slice_axis_mut(Axis(2), Slice::from(..self.done))
            .assign(&of_each_network(gradient, networks));
        padded.into()
    }

    /// Leaves of the gradient on the input the steps that are done.
    fn cut_to_steps(&self, input: &mut Option<Array4<f32>>) {
        if let Some(input) = input {
            input.slice_axis_inplace(Axis(2), Slice::from(..self.done));
        }
    }
}

impl SessionBackend<f32> for GpuSession {
    fn population(&self) -> &dyn PopulationBackend<f32> {
        &self.population
    }

    fn population_mut(&mut self) -> &mut dyn PopulationBackend<f32> {
        &mut self.population
    }

    fn begin(&mut self) {
        self.done = 0;
    }

    /// All steps of new episodes at once, or one step more.
    fn advance(&mut self, episodes: &Episodes<'_, f32>) -> Result<Outcome<f32>> {
        let (request, steps) = (&self.work.request, episodes.steps());
        let is_whole = self.done == 0 && steps == request.steps;
        let forward = Request {
            steps,
            gradient: false,
            want: Want {
                input_gradient: false,
                final_traces: is_whole && request.want.final_traces,
                ..request.want
            },
            ..request.clone()
        };
        let mut outcome = self.results(forward)?.outcome;
        let device = &self.population.gpu.device;
        for (_, loaded, transfer) in self.groups() {
            if self.done == 0 {
                transfer.upload_initial_traces(&episodes.initial_traces)?;
            }
            if is_whole {
                transfer.upload_input(&episodes.input)?;
                device.submit(|encoder| loaded.record_forward(encoder, 0))?;
                transfer.download_outcome(&mut outcome)?;
            } else {
                transfer.upload_step(&episodes.input)?;
                device.submit(|encoder| loaded.record_step(encoder, self.done))?;
                if let Some(output) = &mut outcome.output {
                    transfer.read_step(output)?;
                }
            }
        }
        self.done += steps;
        Ok(outcome)
    }

    fn traces(&self) -> Result<Vec<Option<Array4<f32>>>> {
        let request = Request {
            gradient: false,
            want: Want {
                output: false,
                ..self.work.request.want
            },
            ..self.work.request.clone()
        };
        let mut traces = self.results(request)?.outcome.traces;
        for (_, _, transfer) in self.groups() {
            match self.done == self.work.request.steps {
                true => transfer.download_traces(&mut traces)?,
                false => transfer.download_present_traces(&mut traces)?,
            }
        }
        Ok(traces)
    }

    fn backward(&mut self, upstream: &Upstream<'_, f32>) -> Result<Gradients<f32>> {
        let mut results = self.results(self.reverse())?;
        let device = &self.population.gpu.device;
        self.with_all_steps(upstream, |_, loaded, transfer| {
            device.submit(|encoder| loaded.record_backward(encoder, 0))?;
            transfer.download(&mut results)
        })?;
        results.parameters = self.population.gradients()?;
        device.check()?;
        self.cut_to_steps(&mut results.input);
        Ok(results)
    }

    fn learn(&mut self, upstream: &Upstream<'_, f32>) -> Result<EpisodeGradients<f32>> {
        let mut results = self.results(self.reverse())?;
        let meta_step = (self.population).begin(None, 1, self.work.request.batch)?;
        self.population.change();
        let gpu = &self.population.gpu;
        self.with_all_steps(upstream, |group, loaded, transfer| {
            group.learn(gpu, loaded, meta_step)?;
            transfer.download(&mut results)
        })?;
        self.cut_to_steps(&mut results.input);
        self.population.end(1);
        Ok(EpisodeGradients {
            input: results.input,
            initial_traces: results.initial_traces,
        })
    }

    fn apply(&mut self, gradients: &Parameters<f32>) -> Result<()> {
        self.population.apply(gradients, &self.loaded)
    }

    fn device_arrays(&self) -> Vec<DeviceArrays> {
        let last = self.network.layers().len();
        let arrays = |(group, loaded, _): (&Group, &Loaded, _)| DeviceArrays {
            networks: group.networks.clone(),
            output: loaded.buffer(Working::Activity(last, 0)).clone(),
            output_gradient: loaded.buffer(Working::Signal(last - 1, 0)).clone(),
            row: loaded.plan.layout.last().output_row,
        };
        self.groups().map(arrays).collect()
    }
}
