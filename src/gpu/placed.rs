//! A computation at its place: planned, with everything of it on the device but the episodes. It runs as often as wanted.

use super::arrays::{Resident, resident_bytes};
use super::cuts::{group_size, split};
use super::device::Device;
use super::execute::Loaded;
use super::plan::Plan;
use super::profile::Profile;
use super::residents::{Residents, packed};
use super::transfer::Transfer;
use super::work::Work;
use crate::error::Result;
use crate::network::Network;
use crate::parameters::Parameters;
use std::ops::Range;
use std::sync::Arc;

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
        profile: &Profile,
        network: &Network,
        work: &Work,
    ) -> impl Iterator<Item = Range<usize>> + use<> {
        split(0..work.networks, group_size(network, profile, work))
    }

    /// Plans `work`, the population's, for some of its networks, and takes their parameters to the device.
    pub fn new(
        device: &Arc<Device>,
        profile: &Profile,
        network: &Network,
        parameters: &Parameters<f32>,
        work: &Work,
        networks: Range<usize>,
    ) -> Result<Self> {
        let plan = Plan::new(network, profile, work.of(networks.len()))?;
        let values = parameters.slice(networks.clone());
        let residents = Residents::new(device, &plan.layout, &values, false)?;
        let loaded = Loaded::new(device, &residents, plan)?;
        Ok(Self {
            networks,
            residents,
            loaded,
        })
    }

    /// Replaces the networks' parameters by those of the population.
    pub fn write_parameters(&self, parameters: &Parameters<f32>) -> Result<()> {
        let networks = parameters.slice(self.networks.clone());
        let values = packed(&self.loaded.plan.layout, &networks);
        let buffer = self.residents.get(Resident::Parameters);
        self.loaded.device().write(buffer, &values)
    }

    /// What goes to the device, and comes back, for one cut.
    pub fn transfer(&self, cut: usize) -> Transfer<'_> {
        Transfer::new(&self.loaded, self.networks.clone(), cut)
    }

    /// Reads the networks' gradients into those of the population.
    pub fn read_gradients(&self, gradients: &mut Parameters<f32>) -> Result<()> {
        let (device, layout) = (self.loaded.device(), &self.loaded.plan.layout);
        let networks = self.networks.clone();
        self.residents.read(
            device,
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
