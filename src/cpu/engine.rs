//! The CPU engine as its user holds it, and what it keeps between calls.

use super::batch::Run;
use super::budget::Workspaces;
use super::job::Job;
use super::layers::unpack;
use super::results::{ResultArrays, dynamics};
use super::source::Source;
use crate::computation::{Exchange, Gradients, Outcome, Request};
use crate::episodes::{Episodes, Objective};
use crate::error::Result;
use crate::network::Network;
use crate::number::{PerPrecision, Real, instruction_set};
use crate::parameters::Parameters;
use ndarray::Array1;
use rayon::prelude::*;
use std::sync::Arc;

/// The CPU engine. It keeps the arrays that it worked with, up to 512 MiB, until it is asked for something of other sizes;
/// its clones share them.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    single: Arc<Workspaces<f32>>,
    double: Arc<Workspaces<f64>>,
    exchange: Option<Arc<dyn Exchange>>,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The same as one of several processes, whose learners share batches.
    pub(crate) fn sharing(&self, exchange: Arc<dyn Exchange>) -> Self {
        Self {
            exchange: Some(exchange),
            ..self.clone()
        }
    }

    pub(super) fn exchange(&self) -> Option<&Arc<dyn Exchange>> {
        self.exchange.as_ref()
    }

    fn workspaces<R: Real>(&self) -> &Workspaces<R> {
        R::choose::<&Workspaces<R>>(&self.single, &self.double)
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

    /// What `request` says, which was made of the episodes; they fit the network.
    pub(crate) fn compute<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        episodes: &Episodes<R>,
        request: Request,
    ) -> Result<Gradients<R>> {
        let (population, batch) = (parameters.population(), request.batch);
        let job = Job::new::<R>(network, population, request);
        let layout = parameters.layout();
        let shapes = ResultArrays::shapes(&job, &job.whole(), population);
        let elements = shapes.elements() + (population * layout.size()) as u128;
        let workspaces = self.workspaces();
        workspaces.require(
            "the CPU engine's results and working memory",
            &job,
            population,
            elements * size_of::<R>() as u128 + (population * batch * size_of::<f64>()) as u128,
        )?;

        let mut losses = vec![0.0; population * batch];
        let mut arrays = shapes.arrays::<R>();
        let mut gradients = Parameters::zeros(parameters.shared_layout().clone(), population)?;
        let run = Run {
            exchange: None,
            job: &job,
            work: &job.whole(),
            workspaces: &workspaces.groups,
            source: &Source::given(episodes),
        };
        gradients
            .values_mut()
            .par_chunks_mut(layout.size().max(1))
            .zip_eq(arrays.places(&mut losses).split(batch))
            .enumerate()
            .for_each(|(index, (values, results))| {
                let mut all = workspaces.batches.take(&job);
                all.pack(&job, network, layout, parameters.network(index));
                all.run(&run, (index, 0), results, &mut []);
                if job.request.gradient {
                    unpack(network, layout, &job.shapes, all.gradients(), values);
                }
            });

        workspaces.trim(&job);

        let loss = matches!(episodes.objective, Objective::Target { .. }).then(|| {
            losses
                .chunks_exact(batch)
                .map(|losses| R::from_f64(losses.iter().sum::<f64>() / batch as f64))
                .collect::<Array1<R>>()
        });
        let input = arrays.take_input();
        Ok(Gradients {
            outcome: Outcome {
                loss,
                output: arrays.take_output(),
                finals: dynamics(arrays.finals),
            },
            parameters: gradients,
            input,
            given: dynamics(arrays.given),
        })
    }
}

impl<'a, Q: Real> PerPrecision for &'a Workspaces<Q> {
    type Of<R: Real> = &'a Workspaces<R>;
}
