//! A population in training on the CPU.

use super::along::Along;
use super::batch::Run;
use super::budget::Workspaces;
use super::job::Job;
use super::layers::unpack;
use super::learning::Learning;
use super::networks::Learners;
use super::source::{Block, Source};
use crate::computation::{Failure, Request, TrainingState, Want};
use crate::episodes::Episodes;
use crate::error::Result;
use crate::memory;
use crate::network::Network;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use crate::tasks::EpisodeSource;
use crate::zip::zip_eq;
use rayon::prelude::*;
use std::ops::Range;

/// A population in training on the CPU engine.
#[derive(Debug)]
pub struct CpuLearner<R: Real> {
    network: Network,
    parameters: Parameters<R>,
    learning: Learning<R>,
    workspaces: Workspaces<R>,
}

impl<R: Real> CpuLearner<R> {
    pub(crate) fn new(
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: Vec<Optimiser>,
    ) -> Result<Self> {
        Ok(Self {
            network: network.clone(),
            learning: Learning::new(parameters.layout(), optimisers)?,
            parameters: parameters.clone(),
            workspaces: Workspaces::default(),
        })
    }

    pub(crate) fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>> {
        let batch = episodes.batch();
        let request = Request::on(&self.network, episodes, Want::NOTHING, true);
        let job = self.job(request)?;
        let work = job.whole();
        let run = Run {
            job: &job,
            work: &work,
            workspaces: &self.workspaces.groups,
            source: &Source::given(episodes),
        };
        let (network, batches) = (&self.network, &self.workspaces.batches);
        let layout = self.parameters.shared_layout().clone();
        let episode = self.learning.episodes;
        self.learning.episodes += batch as u64;
        if job.along == Along::Networks {
            let learners = Learners {
                network,
                layout: &layout,
                run: &run,
                pool: &self.workspaces.networks,
                meta_steps: 0..1,
                seen: episode,
                learn: true,
            };
            let losses = learners.all(&mut self.learning, &mut self.parameters, |_, loss| loss);
            self.workspaces.trim(&job);
            return Ok(losses.into_iter().map(R::from_f64).collect());
        }
        let networks = self.learning.networks(&mut self.parameters);
        let losses = networks.map(|(index, values, learning)| {
            let mut batch = batches.take(&job);
            batch.pack(network, &layout, values);
            let loss = batch.loss(&run, (index, 0));
            unpack(network, &layout, batch.gradients(), &mut learning.gradient);
            learning.learn(&layout, values, index, episode, loss);
            R::from_f64(loss)
        });
        let losses = losses.collect();
        self.workspaces.trim(&job);
        Ok(losses)
    }

    /// A meta-step on each of some batches. Returns the sum of each network's losses.
    pub(crate) fn steps<'a>(
        &mut self,
        all: &mut dyn Iterator<Item = Episodes<'a, R>>,
    ) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; self.parameters.population()];
        for episodes in all {
            for (sum, loss) in zip_eq(&mut sums, self.step(&episodes)?) {
                *sum += loss.as_f64();
            }
        }
        Ok(sums)
    }

    /// Takes episodes over, as arrays that no call has to copy.
    pub(crate) fn hold(&mut self, episodes: &Episodes<'_, R>) -> Result<Episodes<'static, R>> {
        memory::require("the episodes", episodes.bytes())?;
        Ok(episodes.to_owned())
    }

    pub(crate) fn step_on(&mut self, held: &Episodes<'static, R>) -> Result<Vec<R>> {
        self.step(held)
    }

    pub(crate) fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        let layout = self.parameters.shared_layout().clone();
        self.learning
            .apply(&layout, &mut self.parameters, gradients);
        Ok(())
    }

    pub(crate) fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        let job = self.job(Request {
            gradient: learn,
            ..Request::training(&self.network, source.batch, source.task.steps())
        })?;
        let work = job.whole();
        let run = Run {
            job: &job,
            work: &work,
            workspaces: &self.workspaces.groups,
            source: &Source::generated(source),
        };
        let (network, batches) = (&self.network, &self.workspaces.batches);
        let layout = self.parameters.shared_layout().clone();
        let (seen, batch) = (self.learning.episodes, source.batch as u64);
        self.learning.episodes += meta_steps.len() as u64 * batch;
        self.learning.meta_steps = meta_steps.end - since;
        let counted = ((meta_steps.end - since) as usize * source.task.counted_steps()) as f64;
        if job.along == Along::Networks {
            if meta_steps.start == since {
                self.learning.forget_losses();
            }
            let learners = Learners {
                network,
                layout: &layout,
                run: &run,
                pool: &self.workspaces.networks,
                meta_steps,
                seen,
                learn,
            };
            let losses = learners.all(
                &mut self.learning,
                &mut self.parameters,
                |learning, loss| {
                    learning.losses += loss;
                    learning.losses / counted
                },
            );
            self.workspaces.trim(&job);
            return Ok(losses);
        }
        // With a few episodes per network, one thread takes a network through all its meta-steps in one workspace.
        let small = source.batch <= job.block;
        let networks = self.learning.networks(&mut self.parameters);
        let losses = networks.map(|(index, values, learning)| {
            let mut workspace = small.then(|| run.workspaces.take(&job));
            let mut whole = batches.take(&job);
            if meta_steps.start == since {
                learning.losses = 0.0;
            }
            for (n, meta_step) in (0..).zip(meta_steps.clone()) {
                whole.pack(network, &layout, values);
                let (loss, gradients) = match &mut workspace {
                    Some(workspace) => {
                        let layers = &whole.layers;
                        let block = Block::new(&job, run.source, index, meta_step, 0);
                        let sum = workspace.block(&job, &work, layers, &block, None, &mut []);
                        (sum / source.batch as f64, workspace.gradients())
                    }
                    None => {
                        let loss = whole.loss(&run, (index, meta_step));
                        (loss, whole.gradients())
                    }
                };
                let episode = seen + n * batch;
                if learn {
                    unpack(network, &layout, gradients, &mut learning.gradient);
                    learning.learn(&layout, values, index, episode, loss);
                } else {
                    learning.check_loss(&layout, index, episode, loss);
                }
                learning.losses += loss;
            }
            learning.losses / counted
        });
        let losses = losses.collect();
        self.workspaces.trim(&job);
        Ok(losses)
    }

    /// How the engine computes `request`, for which there is memory.
    fn job(&self, request: Request) -> Result<Job> {
        let population = self.parameters.population();
        let job = Job::learning::<R>(&self.network, population, request);
        self.workspaces
            .require("the CPU engine's working memory", &job, population, 0)?;
        Ok(job)
    }

    /// Whether a call failed when it had begun to change something: here none does.
    pub(crate) fn is_under_way(&self) -> bool {
        false
    }

    pub(crate) fn parameters(&self) -> Result<Parameters<R>> {
        Ok(self.parameters.clone())
    }

    pub(crate) fn failures(&self) -> Result<Vec<Failure>> {
        Ok(self.learning.failures())
    }

    pub(crate) fn state(&self) -> Result<TrainingState<R>> {
        self.learning.state(&self.parameters)
    }

    pub(crate) fn set_state(&mut self, state: &TrainingState<R>) -> Result<()> {
        self.parameters.clone_from(&state.parameters);
        self.learning.set_state(state);
        Ok(())
    }
}
