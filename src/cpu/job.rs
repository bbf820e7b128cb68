//! A computation as the CPU engine runs it.

use super::along::Along;
use super::chunks;
use super::shape::Shape;
use crate::computation::{InCommon, ObjectiveKind, Request};
use crate::network::{Loss, Network};
use crate::number::Real;
use std::ops::Range;

/// What is the same for every episode of a computation: all that working arrays depend on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub request: Request,
    pub shapes: Vec<Shape>,
    pub loss: Loss,
    /// What goes together: each layer's own way to fill vectors has as many episodes of as many networks.
    pub along: Along,
    /// Episodes whose gradients are summed before the sum goes on: part of the result's last bits.
    pub block: usize,
    /// Networks that go together.
    pub networks: usize,
    pub keeps: Keeps,
    /// Whether there are too few networks and blocks to occupy the threads, so that rows are split too.
    pub split_rows: bool,
}

/// What is kept of the forward sweep, for a reverse sweep that is asked for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// Nothing: both halves of an episode are run together.
    Nothing,
    /// The activities of all episodes.
    Activities,
    /// The traces in progress, too, so that episodes can be driven a few steps at a time.
    Traces,
}

/// What is run of a computation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    /// Steps of the forward sweep; those before them have been run.
    pub forward: Range<usize>,
    /// Whether the states after the last step are brought out, where all steps are run and the request wants them.
    pub finals: bool,
    /// Whether the reverse sweep follows, from their end to step 0.
    pub backward: bool,
}

impl Job {
    /// `request` for a population of `population` networks.
    pub fn new<R: Real>(network: &Network, population: usize, request: Request) -> Self {
        let shapes = Shape::all(network);
        let along = Along::fastest::<R>(&shapes, request.batch);
        Self::along::<R>(network, shapes, along, population, request)
    }

    /// The same for networks that learn.
    pub fn learning<R: Real>(network: &Network, population: usize, request: Request) -> Self {
        let shapes = Shape::all(network);
        let along = Along::fastest_learning::<R>(&shapes, request.batch, request.steps);
        Self::along::<R>(network, shapes, along, population, request)
    }

    fn along<R: Real>(
        network: &Network,
        mut shapes: Vec<Shape>,
        along: Along,
        population: usize,
        request: Request,
    ) -> Self {
        for shape in &mut shapes {
            shape.along = along.of_layer::<R>(shape);
        }
        let job = Self {
            loss: network.loss(),
            along,
            block: along.block::<R>(),
            networks: along.networks::<R>(),
            keeps: Keeps::Nothing,
            split_rows: false,
            shapes,
            // Arrays are the same whatever is given, so that those which are kept serve every objective.
            request: Request {
                objective: ObjectiveKind::None,
                in_common: InCommon::default(),
                ..request
            },
        };
        Self {
            split_rows: job.parts(population) < rayon::current_num_threads(),
            ..job
        }
    }

    /// Parts of the work on so many networks that threads share out: blocks of episodes of each, or of each group of networks.
    pub fn parts(&self, population: usize) -> usize {
        let blocks = self.request.batch.div_ceil(self.block);
        population.div_ceil(self.networks).saturating_mul(blocks)
    }

    /// Both halves.
    pub fn whole(&self) -> Work {
        Work {
            forward: 0..self.request.steps,
            finals: true,
            backward: self.request.gradient,
        }
    }

    /// Networks in progress at a time, of so many.
    pub fn networks(population: usize) -> usize {
        population.min(rayon::current_num_threads())
    }

    /// Whether layer `index` needs the gradient on its input: a layer below has parameters, or the caller wants it.
    pub fn needs_input_gradient(&self, index: usize) -> bool {
        index > 0 || self.request.want.input_gradient
    }

    /// Whether the sweeps over a layer split its rows over threads.
    pub fn splits<R: Real>(&self, shape: &Shape) -> bool {
        let episodes = self.along.beside::<R>();
        self.split_rows
            && chunks::are_worth_splitting(
                shape.outputs,
                shape.synapses() * self.request.steps * episodes,
            )
    }
}
