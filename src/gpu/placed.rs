//! A computation at its place: planned, with everything of it on the device but the episodes. It runs as often as wanted.

use super::arrays::{Resident, resident_bytes};
use super::cuts::{group_size, split};
use super::engine::Gpu;
use super::execute::Loaded;
use super::plan::Plan;
use super::residents::Residents;
use super::transfer::Transfer;
use super::work::Work;
use crate::error::Result;
use crate::network::Network;
use crate::parameters::Parameters;
use std::ops::Range;

/// A group of networks at its place.
#[derive(Debug)]
pub(super) struct Placed {
    /// Networks of the population.
    pub networks: Range<usize>,
    pub residents: Residents,
    pub loaded: Loaded,
}

impl Placed {
    /// The groups that a population is computed in.
    pub fn groups(
        gpu: &Gpu,
        network: &Network,
        work: &Work,
    ) -> impl Iterator<Item = Range<usize>> + use<> {
        split(0..work.networks, group_size(network, &gpu.profile, work))
    }

    /// Plans `work`, the population's, for some of its networks, and takes their parameters to the device.
    pub fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        work: &Work,
        networks: Range<usize>,
    ) -> Result<Self> {
        let plan = Plan::new(network, &gpu.profile, work.of(networks.len()))?;
        let values = parameters.slice(networks.clone());
        let residents = Residents::new(&gpu.device, &plan.layout, &values, false)?;
        let loaded = Loaded::new(&gpu.device, &residents, plan)?;
        Ok(Self {
            networks,
            residents,
            loaded,
        })
    }

    /// What goes to the device, and comes back, for one cut.
    pub fn transfer(&self, cut: usize) -> Transfer<'_> {
        Transfer::new(&self.loaded, self.networks.clone(), cut)
    }

    /// Reads the networks' gradients into those of the population.
    pub fn read_gradients(&self, gpu: &Gpu, gradients: &mut Parameters<f32>) -> Result<()> {
        let layout = &self.loaded.plan.layout;
        let networks = self.networks.clone();
        self.residents.read(
            &gpu.device,
            layout,
            (Resident::Gradients, 0),
            networks,
            gradients,
        )
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        let plan = &self.loaded.plan;
        let residents = resident_bytes(&plan.layout, self.networks.len(), false);
        plan.bytes() + residents.iter().map(|(_, bytes)| bytes).sum::<u64>()
    }
}
