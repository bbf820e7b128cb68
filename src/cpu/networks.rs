//! Networks that learn side by side, one in each lane of a pair of vectors: a group of them does many meta-steps while what
//! they have stays in the nearest cache.

use super::batch::Run;
use super::job::Job;
use super::kernels::{Deinterleave, Empty, Interleave};
use super::layers::{pack, unpack};
use super::learning::{Learning, NetworkLearning};
use super::lockstep::{Lockstep, find_finite};
use super::pool::{Pool, Pooled};
use super::synapses::{SynapseArrays, Synapses};
use crate::cpu::along::MOST_LANES;
use crate::network::Network;
use crate::number::{Aligned, Real, vectorise, zeros};
use crate::parameters::{Layout, Parameters};
use rayon::prelude::*;
use std::ops::Range;

/// What a group of networks in progress takes beside a workspace.
#[derive(Debug)]
pub(super) struct Networks<R> {
    /// Their parameters, as the kernels take them.
    layers: Vec<Synapses<R>>,
    /// The same as the optimiser takes them, `[parameters, W]`.
    values: Aligned<R>,
    /// `[parameters, W]`.
    gradient: Aligned<R>,
    /// What optimisers remember, `[parameters, W]`; the second is empty where no network's has two numbers a parameter.
    moments: [Aligned<R>; 2],
}

impl<R: Real> Pooled for Networks<R> {
    type Job = Job;

    fn new(job: &Job) -> Self {
        let shapes = job.shapes.iter();
        Self {
            layers: shapes.map(Synapses::zeros).collect(),
            values: zeros(0),
            gradient: zeros(0),
            moments: [zeros(0), zeros(0)],
        }
    }

    /// Parameters that are spread out to several synapses are counted as many times.
    fn bytes(job: &Job) -> u128 {
        let shapes = job.shapes.iter();
        let synapses = shapes.map(|shape| SynapseArrays::sizes::<R>(shape).elements());
        5 * synapses.sum::<u128>() * size_of::<R>() as u128
    }
}

/// How groups of networks learn.
pub(super) struct Learners<'a, 's, R: Real> {
    pub network: &'a Network,
    pub layout: &'a Layout,
    pub run: &'a Run<'a, 's, R>,
    pub pool: &'a Pool<Networks<R>>,
    pub meta_steps: Range<u32>,
    /// Episodes that each network has seen before.
    pub seen: u64,
    /// Whether parameters follow their gradients.
    pub learn: bool,
}

impl<R: Real> Learners<'_, '_, R> {
    /// Takes all networks through the meta-steps. After each, `note` makes of a network's loss what is returned of the last.
    pub fn all(
        &self,
        learning: &mut Learning<R>,
        parameters: &mut Parameters<R>,
        note: impl Fn(&mut NetworkLearning<R>, f64) -> f64 + Sync,
    ) -> Vec<f64> {
        let mut noted = vec![0.0; parameters.population()];
        let networks = self.run.job.along.networks::<R>();
        let groups = learning.groups(parameters, networks);
        let groups = groups.zip_eq(noted.par_chunks_mut(networks));
        groups.for_each(|((first, values, group), noted)| {
            self.group(first, values, group, noted, &note);
        });
        noted
    }

    /// The same for one group: networks from number `first` on, with their parameters `[networks, parameters]`.
    fn group(
        &self,
        first: usize,
        values: &mut [R],
        learning: &mut [NetworkLearning<R>],
        noted: &mut [f64],
        note: impl Fn(&mut NetworkLearning<R>, f64) -> f64,
    ) {
        let Run {
            job,
            work,
            workspaces,
            source,
            ..
        } = *self.run;
        let mut workspace = workspaces.take(job);
        let mut networks = self.pool.take(job);
        let mut lockstep = Lockstep::new(self.layout, job.along.width::<R>(), learning);
        networks.load(self.layout, values, learning);
        let mut losses = [0.0; MOST_LANES];
        let losses = &mut losses[..learning.len()];
        for (n, meta_step) in (0..).zip(self.meta_steps.clone()) {
            networks.pack(self.network, self.layout, job);
            let layers = &networks.layers;
            workspace.networks(job, work, layers, source, (first, meta_step), losses);
            let episode = self.seen + n * job.request.batch as u64;
            let each = learning.iter_mut().zip(&mut *losses);
            for (lane, (learning, loss)) in each.enumerate() {
                *loss /= job.request.batch as f64;
                learning.check_loss(self.layout, first + lane, episode, *loss);
            }
            if self.learn {
                networks.collect(self.network, self.layout, job, workspace.gradients());
                networks.check(self.layout, learning, (first, episode));
                let Networks {
                    values,
                    gradient,
                    moments,
                    ..
                } = &mut *networks;
                lockstep.update(self.layout, learning, values, gradient, moments);
            }
            for (noted, (learning, &loss)) in
                noted.iter_mut().zip(learning.iter_mut().zip(&*losses))
            {
                *noted = note(learning, loss);
            }
        }
        networks.store(self.layout, values, learning);
    }
}

impl<R: Real> Networks<R> {
    /// Takes parameters and what optimisers remember in. Lanes without a network have the first one's parameters.
    fn load(&mut self, layout: &Layout, values: &[R], learning: &[NetworkLearning<R>]) {
        let (size, count) = (layout.size(), learning.len());
        let width = self.width();
        self.values.resize(size * width, R::zero());
        self.gradient.resize(size * width, R::zero());
        vectorise(Interleave {
            from: values,
            apart: size,
            count,
            empty: Empty::First,
            to: &mut self.values,
        });
        for (which, to) in self.moments.iter_mut().enumerate() {
            let is_used = learning.iter().any(|it| it.moments.get(which).is_some());
            to.clear();
            to.resize(if is_used { size * width } else { 0 }, R::zero());
            for (lane, learning) in learning.iter().enumerate() {
                let from = learning.moments.get(which).unwrap_or_default();
                for (to, &from) in to.chunks_exact_mut(width).zip(from) {
                    to[lane] = from;
                }
            }
        }
    }

    /// The inverse of [`Networks::load`].
    fn store(&self, layout: &Layout, values: &mut [R], learning: &mut [NetworkLearning<R>]) {
        let (size, count) = (layout.size(), learning.len());
        vectorise(Deinterleave {
            from: &self.values,
            count,
            to: values,
            apart: size,
        });
        for (which, from) in self.moments.iter().enumerate() {
            for (lane, learning) in learning.iter_mut().enumerate() {
                let to = learning.moments.get_mut(which).unwrap_or_default();
                copy_lane(from, self.width(), lane, to);
            }
        }
    }

    fn width(&self) -> usize {
        crate::number::pair_width::<R>()
    }

    fn pack(&mut self, network: &Network, layout: &Layout, job: &Job) {
        let (values, layers) = (&self.values, &mut self.layers);
        pack(network, layout, &job.shapes, values, layers);
    }

    fn collect(&mut self, network: &Network, layout: &Layout, job: &Job, layers: &[Synapses<R>]) {
        unpack(network, layout, &job.shapes, layers, &mut self.gradient);
    }

    /// Notes which networks fail by their gradients.
    fn check(
        &self,
        layout: &Layout,
        learning: &mut [NetworkLearning<R>],
        (first, episode): (usize, u64),
    ) {
        let mut finite = [true; MOST_LANES];
        find_finite(&self.gradient, &mut finite[..self.width()]);
        for (lane, learning) in learning.iter_mut().enumerate() {
            if !finite[lane] && learning.failure.is_none() {
                copy_lane(&self.gradient, self.width(), lane, &mut learning.gradient);
                learning.check_gradient(layout, first + lane, episode);
            }
        }
    }
}

/// One lane of `[…, width]`.
fn copy_lane<R: Copy>(from: &[R], width: usize, lane: usize, to: &mut [R]) {
    for (to, from) in to.iter_mut().zip(from.chunks_exact(width)) {
        *to = from[lane];
    }
}
