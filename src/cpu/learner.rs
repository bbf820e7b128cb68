//! A population in training on the CPU.

use super::along::Along;
use super::batch::{Batch, Run};
use super::budget::Workspaces;
use super::engine::Cpu;
use super::job::Job;
use super::layers::unpack;
use super::learning::{Learning, NetworkLearning};
use super::networks::Learners;
use super::pool::Pool;
use super::population::Population;
use super::sharing::is_worth_it;
use super::source::{Block, Source};
use crate::computation::{Exchange, Held, LearnerBackend, PopulationBackend, Request};
use crate::episodes::Episodes;
use crate::error::{Error, Result};
use crate::memory;
use crate::network::Network;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use crate::tasks::EpisodeSource;
use crate::zip::zip_eq;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// A population in training on the CPU engine.
#[derive(Debug)]
pub(crate) struct CpuLearner<R: Real> {
    network: Network,
    population: Population<R>,
    workspaces: Workspaces<R>,
    /// Ties the processes that have this population and share its batches.
    exchange: Option<Arc<dyn Exchange>>,
}

impl<R: Real> CpuLearner<R> {
    pub(crate) fn new(
        cpu: &Cpu,
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: Vec<Optimiser>,
    ) -> Result<Self> {
        Ok(Self {
            network: network.clone(),
            population: Population::new(parameters, Some(optimisers))?,
            workspaces: Workspaces::default(),
            exchange: cpu.exchange().cloned(),
        })
    }

    /// How the engine computes `request`, for which there is memory.
    fn job(&self, request: Request) -> Result<Job> {
        let population = self.population.size();
        let job = Job::learning::<R>(&self.network, population, request);
        let room = self
            .workspaces
            .require("the CPU engine's working memory", &job, population, 0);
        if let (Err(_), Some(exchange)) = (&room, self.sharing(&job)) {
            exchange.give_up();
        }
        room.map(|()| job)
    }

    /// What ties the processes that share the batch, if there is something to share.
    fn sharing(&self, job: &Job) -> Option<&dyn Exchange> {
        self.exchange.as_deref().filter(|_| is_worth_it(job))
    }

    /// Fails where another process failed in the meta-steps that were run, of which nothing came then.
    fn require_others(&self) -> Result<()> {
        match &self.exchange {
            Some(exchange) if exchange.has_failed() => Err(Error::Ranks),
            _ => Ok(()),
        }
    }

    /// Takes all networks through meta-steps on `source`, with frozen parameters where the job has no gradients. After each,
    /// `note` makes of a network's loss what is returned of the last.
    fn meta_steps(
        &mut self,
        job: &Job,
        source: &Source<'_, R>,
        meta_steps: Range<u32>,
        note: impl Fn(&mut NetworkLearning<R>, f64) -> f64 + Sync,
    ) -> Vec<f64> {
        let work = job.whole();
        let exchange = self.exchange.clone().filter(|_| is_worth_it(job));
        let run = Run {
            exchange: exchange.as_deref(),
            job,
            work: &work,
            workspaces: &self.workspaces.groups,
            source,
        };
        let layout = self.population.layout().clone();
        let (learning, parameters) = self.population.learners();
        let seen = learning.episodes;
        learning.episodes += meta_steps.len() as u64 * job.request.batch as u64;
        let learners = Learners {
            network: &self.network,
            layout: &layout,
            run: &run,
            pool: &self.workspaces.networks,
            meta_steps,
            seen,
            learn: job.request.gradient,
        };
        let noted = match job.along {
            Along::Networks => learners.all(learning, parameters, note),
            Along::Synapses | Along::Episodes | Along::Rows => one_by_one(
                &learners,
                &self.workspaces.batches,
                learning,
                parameters,
                note,
            ),
        };
        self.workspaces.trim(job);
        noted
    }
}

/// As [`Learners::all`], each network alone.
fn one_by_one<R: Real>(
    learners: &Learners<'_, '_, R>,
    batches: &Pool<Batch<R>>,
    learning: &mut Learning<R>,
    parameters: &mut Parameters<R>,
    note: impl Fn(&mut NetworkLearning<R>, f64) -> f64 + Sync,
) -> Vec<f64> {
    let Learners {
        network,
        layout,
        run,
        ..
    } = *learners;
    let (job, batch) = (run.job, run.job.request.batch);
    // With a few episodes per network, one thread takes a network through all its meta-steps in one workspace.
    let small = batch <= job.block;
    let networks = learning.networks(parameters);
    let one = |(index, values, learning): (usize, &mut [R], &mut NetworkLearning<R>)| {
        let mut workspace = small.then(|| run.workspaces.take(job));
        let mut whole = batches.take(job);
        let mut noted = 0.0;
        for (n, meta_step) in (0..).zip(learners.meta_steps.clone()) {
            whole.pack(job, network, layout, values);
            let (loss, gradients) = match &mut workspace {
                Some(workspace) => {
                    let layers = &whole.layers;
                    let block = Block::new(job, run.source, index, meta_step, 0);
                    let sum = workspace.block(job, run.work, layers, &block, None, &mut []);
                    (sum / batch as f64, workspace.gradients())
                }
                None => {
                    let loss = whole.loss(run, (index, meta_step));
                    (loss, whole.gradients())
                }
            };
            let episode = learners.seen + n * batch as u64;
            if learners.learn {
                let shapes = &job.shapes;
                unpack(network, layout, shapes, gradients, &mut learning.gradient);
                learning.learn(layout, values, index, episode, loss);
            } else {
                learning.check_loss(layout, index, episode, loss);
            }
            noted = note(learning, loss);
        }
        noted
    };
    match run.exchange {
        None => networks.map(one).collect(),
        // All processes take the networks in the same order.
        Some(_) => networks.collect::<Vec<_>>().into_iter().map(one).collect(),
    }
}

impl<R: Real> LearnerBackend<R> for CpuLearner<R> {
    fn population(&self) -> &dyn PopulationBackend<R> {
        &self.population
    }

    fn population_mut(&mut self) -> &mut dyn PopulationBackend<R> {
        &mut self.population
    }

    fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>> {
        let request = Request::meta_step(&self.network, episodes);
        let (job, source) = (self.job(request)?, Source::given(episodes));
        let losses = self.meta_steps(&job, &source, 0..1, |_, loss| loss);
        self.require_others()?;
        Ok(losses.into_iter().map(R::from_f64).collect())
    }

    /// As arrays that no call has to copy.
    fn hold(&mut self, episodes: &Episodes<'_, R>) -> Result<Held> {
        memory::require("the episodes", episodes.bytes())?;
        Ok(Held(Box::new(episodes.to_owned())))
    }

    fn step_on(&mut self, held: &Held) -> Result<Vec<R>> {
        let Some(episodes) = held.0.downcast_ref::<Episodes<'static, R>>() else {
            return Err(Error::setting("episodes", "held on another engine"));
        };
        self.step(episodes)
    }

    fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        self.population.apply(gradients);
        Ok(())
    }

    fn run(
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
        let (learning, _) = self.population.learners();
        if meta_steps.start == since {
            learning.forget_losses();
        }
        learning.meta_steps = meta_steps.end - since;
        let counted = source.counted_steps(self.population.size(), since..meta_steps.end);
        let note = |learning: &mut NetworkLearning<R>, loss| {
            learning.losses += loss;
            learning.losses
        };
        let losses = self.meta_steps(&job, &Source::generated(source), meta_steps, note);
        self.require_others()?;
        Ok(zip_eq(losses, counted)
            .map(|(loss, counted)| loss / counted)
            .collect())
    }
}
