//! The CPU engine: `f32` or `f64`, all cores.
//!
//! Work is split over networks, over blocks of episodes, and over rows of synapses. Sums over episodes are taken block
//! by block and sums over rows chunk by chunk, in order, so that the result does not depend on the number of threads.

mod arrays;
mod batch;
mod chunks;
mod job;
mod layers;
mod learner;
mod optimiser;
mod over_episodes;
mod over_synapses;
mod retention;
mod segments;

mod sweep;
mod workspaces;

pub use learner::CpuLearner;

use crate::computation::{Gradients, Outcome, Want};
use crate::episodes::{Episodes, Objective};
use crate::error::Result;
use crate::network::Network;
use crate::number::Real;
use crate::number::instruction_set;
use crate::parameters::Parameters;
use batch::Batch;
use job::{Job, Results, Source};
use layers::unpack;
use ndarray::{Array1, Array4};
use rayon::prelude::*;
use std::any::Any;
use std::sync::Arc;
use workspaces::Workspaces;

/// The CPU engine. It keeps the arrays that it worked with, up to 512 MiB, until it is asked for something of other sizes;
/// its clones share them.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    single: Arc<Workspaces<f32>>,
    double: Arc<Workspaces<f64>>,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn workspaces<R: Real>(&self) -> &Workspaces<R> {
        let both: [&dyn Any; 2] = [&*self.single, &*self.double];
        both.into_iter()
            .find_map(|workspaces| workspaces.downcast_ref())
            .expect("f32 and f64 are all the numbers there are")
    }

    /// Threads that the engine uses: rayon's, which the environment variable `RAYON_NUM_THREADS` sets.
    pub fn threads(&self) -> usize {
        rayon::current_num_threads()
    }

    /// The instruction set that the engine uses on this machine.
    pub fn instruction_set(&self) -> &'static str {
        instruction_set()
    }

    pub(crate) fn device(&self) -> String {
        let threads = self.threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!("{threads} thread{plural}, {}", self.instruction_set())
    }

    pub(crate) fn forward<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        episodes: &Episodes<R>,
        want: Want,
    ) -> Result<Outcome<R>> {
        let want = Want {
            input_gradient: false,
            ..want
        };
        Ok(self
            .compute(network, parameters, episodes, want, false)?
            .outcome)
    }

    pub(crate) fn gradient<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        episodes: &Episodes<R>,
        want: Want,
    ) -> Result<Gradients<R>> {
        self.compute(network, parameters, episodes, want, true)
    }

    fn compute<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        episodes: &Episodes<R>,
        want: Want,
        gradient: bool,
    ) -> Result<Gradients<R>> {
        let (population, batch, steps) =
            (parameters.population(), episodes.batch(), episodes.steps());
        let job = Job::new::<R>(network, population, batch, steps, want, gradient, |layer| {
            (
                episodes.initial_trace(layer).is_some(),
                episodes.trace_gradient(layer).is_some(),
            )
        });
        let workspaces = self.workspaces();
        workspaces.require(
            "the CPU engine's results and working memory",
            &job,
            population,
            job.result_bytes::<R>(population),
        )?;

        let array = |wanted: bool, rows, columns| {
            let shape = if wanted {
                (population, batch, rows, columns)
            } else {
                (0, 0, 0, 0)
            };
            Array4::<R>::zeros(shape)
        };
        let per_layer = |wanted: &dyn Fn(usize) -> bool| -> Vec<Array4<R>> {
            network
                .layers()
                .iter()
                .enumerate()
                .map(|(index, layer)| {
                    let wanted = layer.as_plastic().is_some() && wanted(index);
                    array(wanted, layer.outputs(), layer.inputs())
                })
                .collect()
        };
        let mut losses = vec![0.0; population * batch];
        let mut output = array(want.output, steps, network.outputs());
        let mut input = array(gradient && want.input_gradient, steps, network.inputs());
        let mut traces = per_layer(&|_| want.final_traces);
        let mut initial = per_layer(&|index| gradient && episodes.initial_trace(index).is_some());
        let results = Results {
            episodes: population * batch,
            losses: &mut losses,
            output: slice_mut(&mut output),
            input: slice_mut(&mut input),
            traces: slices_mut(&mut traces),
            initial: slices_mut(&mut initial),
        };

        let layout = parameters.layout();
        let mut gradients = Parameters::zeros(parameters.shared_layout().clone(), population)?;
        let source = Source::given(episodes);
        gradients
            .values_mut()
            .par_chunks_mut(layout.size().max(1))
            .zip_eq(results.split(batch))
            .enumerate()
            .for_each(|(index, (values, results))| {
                let mut all = workspaces.take::<Batch<R>>(&job);
                all.pack(network, layout, parameters.network(index));
                all.run(&job, workspaces, &source, index, 0, results);
                unpack(network, layout, all.gradients(), values);
            });

        workspaces.trim(&job);

        let loss = matches!(episodes.objective, Objective::Target { .. }).then(|| {
            losses
                .chunks_exact(batch)
                .map(|losses| R::from_f64(losses.iter().sum::<f64>() / batch as f64))
                .collect::<Array1<R>>()
        });
        let keep = |array: Array4<R>| (!array.is_empty()).then_some(array);
        Ok(Gradients {
            outcome: Outcome {
                loss,
                output: keep(output),
                traces: traces.into_iter().map(keep).collect(),
            },
            parameters: gradients,
            input: keep(input),
            initial_traces: initial.into_iter().map(keep).collect(),
        })
    }
}

/// Each array's elements; nothing where every array is empty.
fn slices_mut<R>(arrays: &mut [Array4<R>]) -> Vec<&mut [R]> {
    if arrays.iter().all(Array4::is_empty) {
        return Vec::new();
    }
    arrays.iter_mut().map(slice_mut).collect()
}

fn slice_mut<R>(array: &mut Array4<R>) -> &mut [R] {
    array.as_slice_mut().expect("fresh arrays are contiguous")
}
