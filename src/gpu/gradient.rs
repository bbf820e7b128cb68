//! Forward and gradient of the caller's episodes.

use super::arrays::Working;
use super::engine::Gpu;
use super::placed::Placed;
use super::work::Work;
use crate::computation::{EpisodeGradients, Gradients, Outcome, Request};
use crate::dynamics::Dynamics;
use crate::episodes::Episodes;
use crate::error::Result;
use crate::memory;
use crate::network::{Dynamic, Network};
use crate::parameters::Parameters;
use ndarray::{Array1, Array4, ArrayD};

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
        let mut results = Gradients {
            outcome: outcome(network, &work)?,
            parameters: Parameters::zeros(parameters.shared_layout().clone(), work.networks)?,
            input: None,
            given: Dynamics::new(),
        };
        let mut on_episodes = episode_gradients(network, &work, work.request.steps)?;
        let mut losses = Vec::new();
        let mut places = self.kept.take(network, &work);
        for networks in Placed::groups(&self.profile, network, &work) {
            let placed = places.of(&self.device, &self.profile, parameters, networks)?;
            self.run(placed, episodes, &mut results, &mut on_episodes)?;
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
        Ok(Gradients {
            input: on_episodes.input,
            given: on_episodes.given,
            ..results
        })
    }

    /// Takes a group's episodes through the device, cut by cut.
    fn run(
        &self,
        placed: &Placed,
        episodes: &Episodes<'_, f32>,
        results: &mut Gradients<f32>,
        on_episodes: &mut EpisodeGradients<f32>,
    ) -> Result<()> {
        let loaded = &placed.loaded;
        for cut in 0..loaded.plan.cuts.len() {
            let transfer = placed.transfer(cut);
            transfer.upload(episodes)?;
            let record = |encoder: &mut _| loaded.record_cut(encoder, cut);
            let submission = self.device.submit(record)?;
            self.device.wait(submission)?;
            transfer.download_outcome(&mut results.outcome)?;
            transfer.download_gradients(on_episodes)?;
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

/// Zeros for the results of the forward half, to be filled.
pub(super) fn outcome(network: &Network, work: &Work) -> Result<Outcome<f32>> {
    let request = &work.request;
    let want = request.want;
    let output = want
        .output
        .then(|| array(work, request.steps, network.outputs()));
    let mut finals = Dynamics::new();
    for (index, layer) in network.layers().iter().enumerate() {
        for dynamic in Dynamic::ALL.into_iter().filter(|_| want.final_traces) {
            if let Some(shape) = layer.final_shape(dynamic, request.steps) {
                finals.insert(index, dynamic, zeros(work, &shape)?);
            }
        }
    }
    Ok(Outcome {
        loss: None,
        output: output.transpose()?,
        finals,
    })
}

/// Zeros for the gradients that go back to the episodes, of which `done` steps were done, to be filled. That on the input is of all
/// steps.
pub(super) fn episode_gradients(
    network: &Network,
    work: &Work,
    done: usize,
) -> Result<EpisodeGradients<f32>> {
    let request = &work.request;
    let input = (request.want.input_gradient).then(|| array(work, request.steps, network.inputs()));
    let is_wanted =
        |index: usize, dynamic| request.gradient && request.wants_gradient_of(index, dynamic);
    let mut given = Dynamics::new();
    for (index, layer) in network.layers().iter().enumerate() {
        for dynamic in Dynamic::ALL.into_iter().filter(|&it| is_wanted(index, it)) {
            if let Some(shape) = layer.given_shape(dynamic, done) {
                given.insert(index, dynamic, zeros(work, &shape)?);
            }
        }
    }
    Ok(EpisodeGradients {
        input: input.transpose()?,
        given,
    })
}

/// `[P, B, rows, columns]`.
fn array(work: &Work, rows: usize, columns: usize) -> Result<Array4<f32>> {
    let array = zeros(work, &[rows, columns])?;
    Ok(array.into_dimensionality().expect("it has four axes"))
}

/// `[P, B, …]`.
fn zeros(work: &Work, of_episode: &[usize]) -> Result<ArrayD<f32>> {
    let shape = [&[work.networks, work.request.batch], of_episode].concat();
    let elements = memory::elements("results", &shape)?;
    memory::require("results", 4 * elements as u128)?;
    Ok(ArrayD::zeros(shape))
}
