//! A population on the device: its groups of networks, and how far each network has come.

use super::arrays::Resident;
use super::cuts::split;
use super::engine::Gpu;
use super::execute::Loaded;
use super::group::Group;
use super::layout::DeviceLayout;
use super::state::{NONE, Progress, State};
use super::stretch::Stretch;
use super::work::Work;
use crate::computation::{Failure, PopulationBackend, TrainingState};
use crate::error::Result;
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use crate::zip::zip_eq;
use std::sync::Arc;

/// The networks of a population, in groups whose buffers fit one binding each.
#[derive(Debug)]
pub(super) struct Population {
    pub groups: Vec<Group>,
    pub gpu: Gpu,
    /// Networks.
    size: usize,
    /// How the host has a network's parameters.
    host_layout: Arc<Layout>,
    learns: bool,
    stretch: Stretch,
    /// A call has begun to change networks, and not come to its end.
    under_way: bool,
    /// Failures of earlier stretches.
    known: Vec<Failure>,
}

impl Population {
    /// Takes the networks to the device, in groups of at most `size`. They learn by `optimisers`, one for each; none where
    /// they do not learn.
    pub fn new(
        gpu: &Gpu,
        layout: &DeviceLayout,
        parameters: &Parameters<f32>,
        optimisers: Option<&[Optimiser]>,
        size: usize,
    ) -> Result<Self> {
        gpu.kept.clear();
        let groups = split(0..parameters.population(), size)
            .map(|networks| Group::new(gpu, layout, parameters, optimisers, networks))
            .collect::<Result<_>>()?;
        Ok(Self {
            groups,
            gpu: gpu.clone(),
            size: parameters.population(),
            host_layout: parameters.shared_layout().clone(),
            learns: optimisers.is_some(),
            stretch: Stretch::default(),
            under_way: false,
            known: Vec::new(),
        })
    }

    /// Networks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How the host has a network's parameters.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.host_layout
    }

    /// Splits groups of more than `size` networks.
    pub fn split(&mut self, size: usize) -> Result<()> {
        if self.groups.iter().all(|group| group.networks.len() <= size) {
            return Ok(());
        }
        let mut groups = Vec::new();
        for group in &self.groups {
            groups.extend(group.split(&self.gpu, size)?);
        }
        self.groups = groups;
        Ok(())
    }

    /// Each group's plan for `work`, the whole population's; made where the last one was another.
    pub fn load(&mut self, network: &Network, work: &Work) -> Result<Vec<Arc<Loaded>>> {
        let groups = self.groups.iter_mut();
        groups
            .map(|group| group.load(&self.gpu, network, work))
            .collect()
    }

    /// Makes ready for `count` meta-steps of `batch` episodes and returns the number of the first: `first`, or any. They are
    /// done when [`Population::end`] says so.
    pub fn begin(&mut self, first: Option<u32>, count: u32, batch: usize) -> Result<u32> {
        let stretch = self.stretch.with(first, count, batch as u64);
        if stretch != self.stretch {
            self.known = self.failures()?;
            self.stretch = stretch;
        }
        Ok(stretch.next)
    }

    /// From here on groups change one after the other.
    pub fn change(&mut self) -> (&Gpu, &mut [Group]) {
        self.under_way = true;
        (&self.gpu, &mut self.groups)
    }

    /// `count` meta-steps were done.
    pub fn end(&mut self, count: u32) {
        self.stretch.next += count;
        self.under_way = false;
    }

    /// One update with the caller's gradients, by plans with an optimiser.
    pub fn apply(&mut self, gradients: &Parameters<f32>, loaded: &[Arc<Loaded>]) -> Result<()> {
        let meta_step = self.begin(None, 1, 0)?;
        let (gpu, groups) = self.change();
        for (group, loaded) in zip_eq(groups, loaded) {
            group.apply(gpu, loaded, gradients, meta_step)?;
        }
        self.end(1);
        Ok(())
    }

    fn read(&self, resident: Resident, plane: usize) -> Result<Parameters<f32>> {
        let mut all = Parameters::zeros(self.layout().clone(), self.size())?;
        for group in &self.groups {
            group.read(&self.gpu, resident, plane, &mut all)?;
        }
        Ok(all)
    }

    pub fn gradients(&self) -> Result<Parameters<f32>> {
        self.read(Resident::Gradients, 0)
    }
}

impl PopulationBackend<f32> for Population {
    fn parameters(&self) -> Result<Parameters<f32>> {
        self.read(Resident::Parameters, 0)
    }

    fn set_parameters(&mut self, parameters: &Parameters<f32>) -> Result<()> {
        for group in &self.groups {
            group.write(&self.gpu, Resident::Parameters, 0, parameters)?;
        }
        Ok(())
    }

    fn is_under_way(&self) -> bool {
        self.under_way
    }

    fn failures(&self) -> Result<Vec<Failure>> {
        let mut failures = Vec::new();
        if !self.learns {
            return Ok(failures);
        }
        for group in &self.groups {
            for (network, state) in group.networks.clone().zip(group.states(&self.gpu)?) {
                if state.failed == NONE {
                    continue;
                }
                let known = self.known.iter().find(|known| known.network == network);
                failures.push(known.cloned().unwrap_or_else(|| {
                    let episode = self.stretch.episodes_before(state.failed_at);
                    Failure::new(self.layout(), network, episode, state.failed as usize)
                }));
            }
        }
        Ok(failures)
    }

    fn state(&self) -> Result<TrainingState<f32>> {
        let mut state = TrainingState {
            parameters: self.parameters()?,
            moments: [
                self.read(Resident::Moments, 0)?,
                self.read(Resident::Moments, 1)?,
            ],
            updates: Vec::with_capacity(self.size()),
            episodes: self.stretch.episodes_before(self.stretch.next),
            failures: self.failures()?,
            meta_steps: 0,
            losses: Vec::with_capacity(self.size()),
        };
        for group in &self.groups {
            let states = group.states(&self.gpu)?;
            state.updates.extend(states.iter().map(|it| it.updates));
            for progress in group.progress(&self.gpu)? {
                // The same for all.
                state.meta_steps = progress.meta_steps;
                state.losses.push(progress.loss.into());
            }
        }
        Ok(state)
    }

    fn set_state(&mut self, state: &TrainingState<f32>) -> Result<()> {
        let gpu = self.gpu.clone();
        self.under_way = true;
        for group in &self.groups {
            group.write(&gpu, Resident::Parameters, 0, &state.parameters)?;
            for (plane, moments) in state.moments.iter().enumerate() {
                group.write(&gpu, Resident::Moments, plane, moments)?;
            }
            let networks = || group.networks.clone();
            let states = networks().map(|network| {
                let failures = &mut state.failures.iter();
                let failure = failures.find(|failure| failure.network == network);
                let code = failure.and_then(|failure| failure.code(self.layout()));
                State {
                    updates: state.updates[network],
                    failed: code.map_or(NONE, |code| code as u32),
                    ..State::fresh()
                }
            });
            let progress = networks().map(|network| Progress {
                meta_steps: state.meta_steps,
                loss: state.losses[network] as f32,
            });
            let (states, progress): (Vec<_>, Vec<_>) = (states.collect(), progress.collect());
            group.set_states(&gpu, &states, &progress)?;
        }
        gpu.device.check()?;
        self.known.clone_from(&state.failures);
        self.stretch = Stretch::after(state.episodes);
        self.under_way = false;
        Ok(())
    }
}
