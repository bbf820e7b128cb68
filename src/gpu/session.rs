//! A computation whose arrays stay on the device: planned, allocated and uploaded once, run in halves.

use super::arrays::Working;
use super::cuts::{require_residents, whole_group_size};
use super::engine::Gpu;
use super::execute::Loaded;
use super::gradient::{episode_gradients, outcome};
use super::group::Group;
use super::layout::DeviceLayout;
use super::population::Population;
use super::transfer::Transfer;
use super::work::Work;
use crate::computation::{
    DeviceArrays, EpisodeGradients, Gradients, Outcome, PopulationBackend, Request, SessionBackend,
    Want,
};
use crate::dynamics::Dynamics;
use crate::episodes::{Episodes, Objective, Upstream};
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
    population: Population,
    work: Work,
    /// Of each group.
    loaded: Vec<Arc<Loaded>>,
    /// Steps of the present episodes that are done.
    done: usize,
}

impl GpuSession {
    /// Room for what `request` says, which has a gradient on the outputs; `stepwise` where its steps may come one at a time. The
    /// networks learn by `optimisers`, one for each; none where they do not learn.
    pub(crate) fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        optimisers: Option<Vec<Optimiser>>,
        request: Request,
        stepwise: bool,
    ) -> Result<Self> {
        let work = Work {
            is_whole: true,
            stepwise,
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

    /// Arrays for the gradients that go back to the episodes, to be filled.
    fn episode_gradients(&self) -> Result<EpisodeGradients<f32>> {
        episode_gradients(&self.network, &self.work, self.done)
    }

    /// Calls `sweep` for each group, with the upstream gradients in place.
    fn sweep_back(
        &self,
        upstream: &Upstream<'_, f32>,
        mut sweep: impl FnMut(&Group, &Loaded, &Transfer<'_>) -> Result<()>,
    ) -> Result<()> {
        let padded;
        let objective = match &upstream.objective {
            Objective::OutputGradient(gradient) if self.done < self.work.request.steps => {
                padded = Objective::OutputGradient(self.padded(gradient));
                &padded
            }
            objective => objective,
        };
        for (group, loaded, transfer) in self.groups() {
            if !upstream.on_device {
                transfer.upload_objective(objective)?;
            }
            transfer.upload_state_gradients(&upstream.final_gradients)?;
            loaded.set_done(self.done)?;
            sweep(group, loaded, &transfer)?;
        }
        Ok(())
    }

    /// A gradient on the outputs of the steps that are done, in an array of all steps.
    fn padded(&self, gradient: &CowArray<'_, f32, Ix4>) -> CowArray<'static, f32, Ix4> {
        let (networks, batch, _, outputs) = gradient.dim();
        let steps = self.work.request.steps;
        let mut padded = Array4::zeros((networks, batch, steps, outputs));
        padded
            .slice_axis_mut(Axis(2), Slice::from(..self.done))
            .assign(gradient);
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
    fn advance(&mut self, episodes: &Episodes<'_, f32>, finals: bool) -> Result<Outcome<f32>> {
        let (request, steps) = (&self.work.request, episodes.steps());
        let is_whole = self.done == 0 && steps == request.steps;
        let forward = Request {
            steps,
            gradient: false,
            want: Want {
                input_gradient: false,
                final_traces: is_whole && finals,
                ..request.want
            },
            ..request.clone()
        };
        let forward = Work::new(self.work.networks, forward);
        let mut outcome = outcome(&self.network, &forward)?;
        let device = &self.population.gpu.device;
        for (_, loaded, transfer) in self.groups() {
            if self.done == 0 {
                transfer.upload_initial_states(&episodes.given)?;
            }
            transfer.upload_modulators_from(&episodes.given, self.done)?;
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

    fn states(&self) -> Result<Dynamics<'static, f32>> {
        let want = Want {
            final_traces: true,
            ..Want::NOTHING
        };
        let request = Request {
            want,
            ..self.work.request.clone()
        };
        let work = Work::new(self.work.networks, request);
        let mut states = outcome(&self.network, &work)?.finals.into_states();
        for (_, _, transfer) in self.groups() {
            match self.done == self.work.request.steps {
                true => transfer.download_final_states(&mut states)?,
                false => transfer.download_present_states(&mut states)?,
            }
        }
        Ok(states)
    }

    fn backward(&mut self, upstream: &Upstream<'_, f32>) -> Result<Gradients<f32>> {
        let mut on_episodes = self.episode_gradients()?;
        let device = &self.population.gpu.device;
        self.sweep_back(upstream, |_, loaded, transfer| {
            device.submit(|encoder| loaded.record_backward(encoder, 0))?;
            transfer.download_gradients(&mut on_episodes)
        })?;
        let parameters = self.population.gradients()?;
        device.check()?;
        self.cut_to_steps(&mut on_episodes.input);
        // The outputs were given already.
        let outcome = Outcome {
            loss: None,
            output: None,
            finals: Dynamics::new(),
        };
        Ok(Gradients {
            outcome,
            parameters,
            input: on_episodes.input,
            given: on_episodes.given,
        })
    }

    fn learn(&mut self, upstream: &Upstream<'_, f32>) -> Result<EpisodeGradients<f32>> {
        let mut on_episodes = self.episode_gradients()?;
        let meta_step = (self.population).begin(None, 1, self.work.request.batch)?;
        self.population.change();
        let gpu = &self.population.gpu;
        self.sweep_back(upstream, |group, loaded, transfer| {
            group.learn(gpu, loaded, meta_step)?;
            transfer.download_gradients(&mut on_episodes)
        })?;
        self.cut_to_steps(&mut on_episodes.input);
        self.population.end(1);
        Ok(on_episodes)
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
