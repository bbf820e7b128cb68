//! A computation whose arrays stay on the device: planned, allocated and uploaded once, run in halves.

use super::cuts::{split, whole_group_size};
use super::engine::Gpu;
use super::gradient::results;
use super::placed::Placed;
use super::work::Work;
use crate::computation::{Gradients, Outcome, Request, Want};
use crate::episodes::{Episodes, Objective, of_each_network};
use crate::error::Result;
use crate::network::Network;
use crate::parameters::Parameters;
use ndarray::{Array4, Axis, CowArray, Slice};

/// Networks on the GPU that run episodes forward, all steps at once or one at a time, and differentiate what they did with
/// the caller's gradient on the outputs. Nothing but inputs, outputs and gradients travels between calls.
#[derive(Debug)]
pub struct GpuSession {
    gpu: Gpu,
    network: Network,
    parameters: Parameters<f32>,
    work: Work,
    groups: Vec<Placed>,
    /// Steps of the present episodes that are done.
    done: usize,
}

impl GpuSession {
    /// Room for what `request` says, which has a gradient on the outputs.
    pub(crate) fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        request: Request,
    ) -> Result<Self> {
        let work = Work {
            stepwise: true,
            ..Work::new(parameters.population(), request)
        };
        let size = whole_group_size(network, gpu.profile(), &work);
        let groups = split(0..work.networks, size)
            .map(|networks| {
                Placed::new(
                    &gpu.device,
                    &gpu.profile,
                    network,
                    parameters,
                    &work,
                    networks,
                )
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            gpu: gpu.clone(),
            network: network.clone(),
            parameters: parameters.clone(),
            work,
            groups,
            done: 0,
        })
    }

    pub(crate) fn set_parameters(&mut self, parameters: &Parameters<f32>) -> Result<()> {
        for group in &self.groups {
            group.write_parameters(parameters)?;
        }
        Ok(())
    }

    pub(crate) fn begin(&mut self) {
        self.done = 0;
    }

    /// All steps of new episodes at once, or one step more.
    pub(crate) fn advance(&mut self, episodes: &Episodes<'_, f32>) -> Result<Outcome<f32>> {
        let (request, steps) = (&self.work.request, episodes.steps());
        let is_whole = self.done == 0 && steps == request.steps;
        let want = Want {
            input_gradient: false,
            final_traces: is_whole && request.want.final_traces,
            ..request.want
        };
        let forward = Request {
            steps,
            gradient: false,
            want,
            ..request.clone()
        };
        let forward = Work::new(self.work.networks, forward);
        let mut outcome = results(&self.network, &self.parameters, &forward)?.outcome;
        for group in &self.groups {
            match is_whole {
                true => self.run_whole(group, episodes, &mut outcome)?,
                false => self.run_step(group, self.done, episodes, &mut outcome)?,
            }
        }
        self.done += steps;
        Ok(outcome)
    }

    fn run_whole(
        &self,
        group: &Placed,
        episodes: &Episodes<'_, f32>,
        outcome: &mut Outcome<f32>,
    ) -> Result<()> {
        let transfer = group.transfer(0);
        transfer.upload_input(&episodes.input)?;
        transfer.upload_traces(episodes)?;
        let record = |encoder: &mut _| group.loaded.record_forward(encoder, 0);
        self.gpu.device.submit(record)?;
        transfer.download_outcome(outcome)
    }

    fn run_step(
        &self,
        group: &Placed,
        step: usize,
        episodes: &Episodes<'_, f32>,
        outcome: &mut Outcome<f32>,
    ) -> Result<()> {
        let transfer = group.transfer(0);
        transfer.upload_step(&episodes.input)?;
        let record = |encoder: &mut _| group.loaded.record_step(encoder, step);
        self.gpu.device.submit(record)?;
        match &mut outcome.output {
            Some(output) => transfer.read_step(output),
            None => Ok(()),
        }
    }

    /// Brings episodes that ended early to the number of steps that was planned. Steps without input and without a gradient on
    /// the output add nothing to any gradient.
    fn complete(&self) -> Result<()> {
        let request = &self.work.request;
        let input = Array4::zeros((1, request.batch, 1, self.network.inputs()));
        let nothing = Episodes::new(input);
        for group in &self.groups {
            for step in self.done..request.steps {
                group.transfer(0).upload_step(&nothing.input)?;
                let record = |encoder: &mut _| group.loaded.record_step(encoder, step);
                self.gpu.device.submit(record)?;
            }
        }
        Ok(())
    }

    /// The gradients of `objective` over the steps that are done.
    pub(crate) fn backward(&mut self, objective: &Objective<'_, f32>) -> Result<Gradients<f32>> {
        let request = &self.work.request;
        let (done, steps) = (self.done, request.steps);
        let padded;
        let objective = match objective {
            Objective::OutputGradient(gradient) if done < steps => {
                self.complete()?;
                padded = Objective::OutputGradient(self.padded(gradient));
                &padded
            }
            objective => objective,
        };
        // The outputs were given already.
        let reverse = Request {
            want: Want {
                output: false,
                final_traces: false,
                ..request.want
            },
            ..request.clone()
        };
        let reverse = Work::new(self.work.networks, reverse);
        let mut results = results(&self.network, &self.parameters, &reverse)?;
        for group in &self.groups {
            let transfer = group.transfer(0);
            transfer.upload_objective(objective)?;
            let record = |encoder: &mut _| group.loaded.record_backward(encoder, 0);
            self.gpu.device.submit(record)?;
            transfer.download(&mut results)?;
            group.read_gradients(&mut results.parameters)?;
        }
        self.gpu.device.check()?;
        if let Some(input) = &mut results.input {
            input.slice_axis_inplace(Axis(2), Slice::from(..done));
        }
        Ok(results)
    }

    /// A gradient on the outputs of the steps that are done, with zeros for the others.
    fn padded(
        &self,
        gradient: &CowArray<'_, f32, ndarray::Ix4>,
    ) -> CowArray<'static, f32, ndarray::Ix4> {
        let (networks, request) = (self.work.networks, &self.work.request);
        let shape = (
            networks,
            request.batch,
            request.steps,
            self.network.outputs(),
        );
        let mut padded = Array4::zeros(shape);
        padded
            .slice_axis_mut(Axis(2), Slice::from(..self.done))
            .assign(&of_each_network(gradient, networks));
        padded.into()
    }
}
