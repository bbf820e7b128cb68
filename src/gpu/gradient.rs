//! Forward and gradient of the caller's episodes.

use super::arrays::Working;
use super::engine::Gpu;
use super::placed::Placed;
use super::work::Work;
use crate::computation::{Gradients, Outcome, Request};
use crate::episodes::Episodes;
use crate::error::Result;
use crate::memory;
use crate::network::Network;
use crate::parameters::Parameters;
use ndarray::{Array1, Array4};

impl Gpu {
    /// What `request` says, which was made of the episodes; they fit the network.
    pub(crate) fn compute(
        &self,
        network: &Network,
        parameters: &Parameters<f32>,
        episodes: &Episodes<'_, f32>,
        request: Request,
    ) -> Result<Gradients<f32>> {
        let work = Work::new(parameters.population(), request);
        let mut results = results(network, parameters, &work)?;
        let mut losses = Vec::new();
        let mut places = self.kept.take(network, &work);
        for networks in Placed::groups(&self.profile, network, &work) {
            let placed = places.of(&self.device, &self.profile, parameters, networks)?;
            self.run(placed, episodes, &mut results)?;
            if work.has_target() {
                let count = placed.networks.len() * work.request.batch;
                let buffer = placed.loaded.buffer(Working::Losses);
                losses.extend(self.device.read::<f32>(buffer, count)?);
            }
        }
        self.device.check()?;
        self.kept.keep(places);
        if work.has_target() {
            let losses = losses.chunks_exact(work.request.batch);
            results.outcome.loss = Some(losses.map(mean).collect::<Array1<f32>>());
        }
        Ok(results)
    }

    /// Takes a group's episodes through the device, cut by cut.
    fn run(
        &self,
        placed: &Placed,
        episodes: &Episodes<'_, f32>,
        results: &mut Gradients<f32>,
    ) -> Result<()> {
        let loaded = &placed.loaded;
        for cut in 0..loaded.plan.cuts.len() {
            let transfer = placed.transfer(cut);
            transfer.upload(episodes)?;
            let record = |encoder: &mut _| loaded.record_cut(encoder, cut);
            let submission = self.device.submit(record)?;
            self.device.wait(submission)?;
            transfer.download(results)?;
        }
        if loaded.plan.work.request.gradient {
            placed.read_gradients(&mut results.parameters)?;
        }
        Ok(())
    }
}

fn mean(losses: &[f32]) -> f32 {
    let sum: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
    (sum / losses.len() as f64) as f32
}

/// Arrays for all results, to be filled.
pub(super) fn results(
    network: &Network,
    parameters: &Parameters<f32>,
    work: &Work,
) -> Result<Gradients<f32>> {
    let request = &work.request;
    let want = request.want;
    let array = |rows: usize, columns: usize| -> Result<Array4<f32>> {
        let shape = [work.networks, request.batch, rows, columns];
        let elements = memory::elements("results", &shape)?;
        memory::require("results", 4 * elements as u128)?;
        Ok(Array4::zeros(shape))
    };
    let traces = |wanted: &dyn Fn(usize) -> bool| {
        let layers = network.layers().iter().enumerate();
        layers
            .map(|(index, layer)| match layer.as_plastic() {
                Some(layer) if wanted(index) => array(layer.outputs, layer.inputs).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<Vec<_>>>()
    };
    let output = want.output.then(|| array(request.steps, network.outputs()));
    let input = want
        .input_gradient
        .then(|| array(request.steps, network.inputs()));
    Ok(Gradients {
        outcome: Outcome {
            loss: None,
            output: output.transpose()?,
            traces: traces(&|_| want.final_traces)?,
        },
        parameters: Parameters::zeros(parameters.shared_layout().clone(), work.networks)?,
        input: input.transpose()?,
        initial_traces: traces(&|index| request.gradient && request.traces[index].initial)?,
    })
}
