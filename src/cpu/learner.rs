//! A population in training on the CPU.

use super::batch::Run;
use super::budget::Workspaces;
use super::job::{Job, Work};
use super::layers::unpack;
use super::optimiser::Moments;
use super::source::{Block, Source};
use crate::computation::{Failure, Request, Want};
use crate::episodes::Episodes;
use crate::error::Result;
use crate::memory;
use crate::network::Network;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use crate::tasks::EpisodeSource;
use rayon::prelude::*;
use std::ops::Range;

/// A population in training on the CPU engine.
#[derive(Debug)]
pub struct CpuLearner<R: Real> {
    network: Network,
    parameters: Parameters<R>,
    states: Vec<State<R>>,
    workspaces: Workspaces<R>,
    /// Episodes that each network has seen.
    episodes: u64,
}

/// What all networks share.
struct Common<'a, R: Real> {
    network: &'a Network,
    layout: &'a Layout,
    workspaces: &'a Workspaces<R>,
}

impl<R: Real> Common<'_, R> {
    /// The computation of a meta-step.
    fn run<'a, 's>(&'a self, (job, work, source): MetaStep<'a, 's, R>) -> Run<'a, 's, R> {
        Run {
            job,
            work,
            workspaces: &self.workspaces.groups,
            source,
        }
    }
}

type MetaStep<'a, 's, R> = (&'a Job, &'a Work, &'a Source<'s, R>);

/// What one network has beside its parameters.
#[derive(Debug)]
struct State<R> {
    optimiser: Optimiser,
    moments: Moments<R>,
    gradient: Vec<R>,
    /// The losses of the meta-steps since the one that means begin at.
    losses: f64,
    failure: Option<Failure>,
}

impl<R: Real> CpuLearner<R> {
    pub(crate) fn new(
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: Vec<Optimiser>,
    ) -> Result<Self> {
        let layout = parameters.layout();
        memory::require(
            "the optimiser's state",
            (4 * size_of::<R>() * layout.size()
                + 4 * layout.tensors().len()
                + size_of::<State<R>>()) as u128
                * parameters.population() as u128,
        )?;
        let states = optimisers
            .into_iter()
            .map(|optimiser| State {
                moments: Moments::new(&optimiser, layout),
                gradient: vec![R::zero(); layout.size()],
                losses: 0.0,
                failure: None,
                optimiser,
            })
            .collect();
        Ok(Self {
            network: network.clone(),
            parameters: parameters.clone(),
            states,
            workspaces: Workspaces::default(),
            episodes: 0,
        })
    }

    pub(crate) fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>> {
        let batch = episodes.batch();
        let population = self.states.len();
        let request = Request::on(&self.network, episodes, Want::NOTHING, true);
        let job = Job::new::<R>(&self.network, population, request);
        self.workspaces
            .require("the CPU engine's working memory", &job, population, 0)?;
        let run = (&job, &job.whole(), &Source::given(episodes));
        let episode = self.episodes;
        self.episodes += batch as u64;
        let losses = self.each(|index, common, values, state| {
            let Common {
                network,
                layout,
                workspaces,
            } = *common;
            let mut batch = workspaces.batches.take(&job);
            batch.pack(network, layout, values);
            let loss = batch.loss(&common.run(run), (index, 0));
            unpack(network, layout, batch.gradients(), &mut state.gradient);
            state.learn(layout, values, index, episode, loss);
            loss
        });
        self.workspaces.trim(&job);
        Ok(losses.into_iter().map(R::from_f64).collect())
    }

    pub(crate) fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        let episode = self.episodes;
        self.each(|index, common, values, state| {
            state.gradient.copy_from_slice(gradients.network(index));
            state.learn(common.layout, values, index, episode, 0.0);
            0.0
        });
        Ok(())
    }

    pub(crate) fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        let population = self.states.len();
        let request = Request {
            gradient: learn,
            ..Request::training(&self.network, source.batch, source.task.steps())
        };
        let job = Job::new::<R>(&self.network, population, request);
        self.workspaces
            .require("the CPU engine's working memory", &job, population, 0)?;
        let run = (&job, &job.whole(), &Source::Generated(source));
        let (seen, batch) = (self.episodes, source.batch as u64);
        self.episodes += meta_steps.len() as u64 * batch;
        let counted = ((meta_steps.end - since) as usize * source.task.counted_steps()) as f64;
        // With a few episodes per network, one thread takes a network through all its meta-steps in one workspace.
        let small = source.batch <= job.block;
        let losses = self.each(|index, common, values, state| {
            let Common {
                network,
                layout,
                workspaces,
            } = *common;
            let mut workspace = small.then(|| workspaces.groups.take(&job));
            let mut whole = workspaces.batches.take(&job);
            if meta_steps.start == since {
                state.losses = 0.0;
            }
            for (n, meta_step) in (0..).zip(meta_steps.clone()) {
                whole.pack(network, layout, values);
                let (loss, gradients) = match &mut workspace {
                    Some(workspace) => {
                        let (job, work, episodes) = run;
                        let block = Block::new(job, episodes, index, meta_step, 0);
                        let layers = &whole.layers;
                        let sum = workspace.block(job, work, layers, &block, None, &mut []);
                        (sum / source.batch as f64, workspace.gradients())
                    }
                    None => {
                        let loss = whole.loss(&common.run(run), (index, meta_step));
                        (loss, whole.gradients())
                    }
                };
                let episode = seen + n * batch;
                if learn {
                    unpack(network, layout, gradients, &mut state.gradient);
                    state.learn(layout, values, index, episode, loss);
                } else {
                    state.check_loss(index, episode, loss);
                }
                state.losses += loss;
            }
            state.losses / counted
        });
        self.workspaces.trim(&job);
        Ok(losses)
    }

    /// Calls `work` on every network, in parallel.
    fn each<T: Send>(
        &mut self,
        work: impl Fn(usize, &Common<'_, R>, &mut [R], &mut State<R>) -> T + Send + Sync,
    ) -> Vec<T> {
        let layout = self.parameters.shared_layout().clone();
        let common = Common {
            network: &self.network,
            layout: &layout,
            workspaces: &self.workspaces,
        };
        self.parameters
            .values_mut()
            .par_chunks_mut(layout.size())
            .zip_eq(&mut self.states)
            .enumerate()
            .map(|(index, (values, state))| work(index, &common, values, state))
            .collect()
    }

    /// Whether a call failed when it had begun to change something: here none does.
    pub(crate) fn is_under_way(&self) -> bool {
        false
    }

    pub(crate) fn parameters(&self) -> Result<Parameters<R>> {
        Ok(self.parameters.clone())
    }

    pub(crate) fn failures(&self) -> Result<Vec<Failure>> {
        Ok(self
            .states
            .iter()
            .filter_map(|state| state.failure.clone())
            .collect())
    }
}

impl<R: Real> State<R> {
    /// One update, unless the network has failed or fails now.
    fn learn(&mut self, layout: &Layout, values: &mut [R], index: usize, episode: u64, loss: f64) {
        self.check_loss(index, episode, loss);
        self.check_gradient(layout, index, episode);
        if self.failure.is_none() {
            self.moments
                .update(&self.optimiser, layout, values, &self.gradient);
        }
    }

    fn check_loss(&mut self, network: usize, episode: u64, loss: f64) {
        if self.failure.is_none() && !loss.is_finite() {
            self.fail(network, episode, "loss".to_owned());
        }
    }

    fn check_gradient(&mut self, layout: &Layout, network: usize, episode: u64) {
        if self.failure.is_some() {
            return;
        }
        let finite = |tensor: &&crate::parameters::Tensor| {
            self.gradient[tensor.range()]
                .iter()
                .all(|value| value.is_finite())
        };
        let failed = self.moments.learned(layout).find(|tensor| !finite(tensor));
        if let Some(name) = failed.map(|tensor| tensor.name()) {
            self.fail(network, episode, format!("gradient.{name}"));
        }
    }

    fn fail(&mut self, network: usize, episode: u64, tensor: String) {
        self.failure = Some(Failure {
            network,
            episode,
            tensor,
        });
    }
}
