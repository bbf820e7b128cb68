//! A computation whose arrays stay on the device: planned, allocated and uploaded once, run in halves.

use super::arrays::Resident;
use super::cuts::{split, whole_group_size};
use super::engine::Gpu;
use super::gradient::results;
use super::placed::Placed;
use super::residents::packed;
use super::work::Work;
use crate::check::{require_finite, require_shape};
use crate::computation::{GivenTraces, Gradients, ObjectiveKind, Request, Want};
use crate::episodes::Objective;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::parameters::Parameters;
use ndarray::Array4;

/// Networks on the GPU that run episodes forward, all steps at once or one at a time, and differentiate what they did with
/// the caller's gradient on the outputs. Nothing but inputs, outputs and gradients travels between calls.
///
/// Every result is that of [`Engine::forward`] and [`Engine::gradient`] on the same episodes, bit for bit.
///
/// [`Engine::forward`]: crate::Engine::forward
/// [`Engine::gradient`]: crate::Engine::gradient
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

impl Gpu {
    /// Takes `parameters` to the device and makes room for `batch` episodes of `steps` steps of each network. `want` says
    /// whether there is a gradient on the input; the outputs are returned in any case.
    ///
    /// # Errors
    /// If the parameters do not fit the network, a size is zero, or the device has no room for all episodes at once.
    pub fn session(
        &self,
        network: &Network,
        parameters: &Parameters<f32>,
        batch: usize,
        steps: usize,
        want: Want,
    ) -> Result<GpuSession> {
        parameters.check(network)?;
        for (field, size) in [("batch", batch), ("steps", steps)] {
            if size == 0 {
                return Err(Error::ZeroSize {
                    field: field.into(),
                });
            }
        }
        let request = Request {
            batch,
            steps,
            gradient: true,
            want: Want {
                output: false,
                final_traces: false,
                ..want
            },
            objective: ObjectiveKind::OutputGradient,
            traces: vec![GivenTraces::default(); network.layers().len()],
        };
        let work = Work {
            stepwise: true,
            ..Work::new(parameters.population(), request)
        };
        let size = whole_group_size(network, self.profile(), &work);
        let groups = split(0..work.networks, size)
            .map(|networks| Placed::new(self, network, parameters, &work, networks))
            .collect::<Result<_>>()?;
        Ok(GpuSession {
            gpu: self.clone(),
            network: network.clone(),
            parameters: parameters.clone(),
            work,
            groups,
            done: 0,
        })
    }
}

impl GpuSession {
    /// Replaces the parameters. Episodes in progress are given up.
    ///
    /// # Errors
    /// If they do not fit the network or the population, or the device fails.
    pub fn set_parameters(&mut self, parameters: &Parameters<f32>) -> Result<()> {
        let layout = self.parameters.layout();
        parameters.check_shape("parameters", layout, self.work.networks)?;
        self.done = 0;
        for group in &self.groups {
            let layout = &group.loaded.plan.layout;
            let values = packed(layout, &parameters.slice(group.networks.clone()));
            let buffer = group.residents.get(Resident::Parameters);
            self.gpu.device.write(buffer, &values)?;
        }
        Ok(())
    }

    /// Begins new episodes, with traces of zero. Their steps follow one by one with [`GpuSession::step`].
    pub fn begin(&mut self) {
        self.done = 0;
    }

    /// One step of all episodes: of the inputs `[P, B, 1, I]` it makes the outputs `[P, B, 1, O]`.
    ///
    /// # Errors
    /// If the inputs have another shape or are not finite, all steps of the episodes are done, or the device fails.
    pub fn step(&mut self, input: &Array4<f32>) -> Result<Array4<f32>> {
        let (step, steps) = (self.done, self.work.request.steps);
        if step == steps {
            return Err(Error::setting(
                "steps",
                format!("all {steps} of the episodes are done: begin new ones"),
            ));
        }
        self.require("input", input, 1, self.network.inputs())?;
        let mut output = self.outputs(1);
        for group in &self.groups {
            let transfer = group.transfer(0);
            transfer.upload_step(input)?;
            let record = |encoder: &mut _| group.loaded.record_step(encoder, step);
            self.gpu.device.submit(record)?;
            transfer.read_step(&mut output)?;
        }
        self.done += 1;
        Ok(output)
    }

    /// All steps of all episodes: of the inputs `[P, B, T, I]` it makes the outputs `[P, B, T, O]`.
    ///
    /// # Errors
    /// If the inputs have another shape or are not finite, or the device fails.
    pub fn forward(&mut self, input: &Array4<f32>) -> Result<Array4<f32>> {
        let steps = self.work.request.steps;
        self.require("input", input, steps, self.network.inputs())?;
        let mut output = self.outputs(steps);
        self.done = 0;
        for group in &self.groups {
            let transfer = group.transfer(0);
            transfer.upload_input(input)?;
            let record = |encoder: &mut _| group.loaded.record_forward(encoder, 0);
            self.gpu.device.submit(record)?;
            transfer.read_output(&mut output)?;
        }
        self.done = steps;
        Ok(output)
    }

    /// The gradients of `Σ output_gradient · output`, `output_gradient` being `[P, B, T, O]`, over the episodes that were run
    /// last; as often as wanted.
    ///
    /// # Errors
    /// If the gradient has another shape or is not finite, steps of the episodes are still to be done, or the device fails.
    pub fn backward(&mut self, output_gradient: &Array4<f32>) -> Result<Gradients<f32>> {
        let steps = self.work.request.steps;
        if self.done < steps {
            return Err(Error::setting(
                "steps",
                format!("{} of {steps} are done, expected all", self.done),
            ));
        }
        let (name, outputs) = ("output_gradient", self.network.outputs());
        self.require(name, output_gradient, steps, outputs)?;
        let objective = Objective::OutputGradient(output_gradient.into());
        let mut results = results(&self.network, &self.parameters, &self.work)?;
        for group in &self.groups {
            let transfer = group.transfer(0);
            transfer.upload_objective(&objective)?;
            let record = |encoder: &mut _| group.loaded.record_backward(encoder, 0);
            self.gpu.device.submit(record)?;
            transfer.download(&mut results)?;
            group.read_gradients(&self.gpu, &mut results.parameters)?;
        }
        self.gpu.device.check()?;
        Ok(results)
    }

    /// Room for the outputs of some steps.
    fn outputs(&self, steps: usize) -> Array4<f32> {
        let (networks, batch) = (self.work.networks, self.work.request.batch);
        Array4::zeros((networks, batch, steps, self.network.outputs()))
    }

    fn require(&self, name: &str, array: &Array4<f32>, steps: usize, neurons: usize) -> Result<()> {
        let (networks, batch) = (self.work.networks, self.work.request.batch);
        let expected = [networks, batch, steps, neurons];
        require_shape(name, array.shape(), "[P, B, steps, neurons]", &expected)?;
        require_finite(name, array)
    }
}
