//! What the last computation placed on the device, kept for the next one like it.

use super::device::Device;
use super::placed::Placed;
use super::profile::Profile;
use super::work::Work;
use crate::error::Result;
use crate::network::Network;
use crate::parameters::Parameters;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of buffers that are kept between calls, at most, as on the CPU. What fills more computes for so long that planning
/// and allocation do not count.
const MOST_BYTES: u64 = 512 << 20;

/// The places of one computation at a time. A call takes them away and brings them back where it succeeds: a call of another
/// thread makes its own meanwhile, and what a failed one leaves goes with it.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<Places>>);

/// Places for the groups of a population: one for each number of networks, which groups take in turn.
#[derive(Debug)]
pub(super) struct Places {
    network: Network,
    work: Work,
    placed: Vec<Placed>,
}

impl Kept {
    fn places(&self) -> MutexGuard<'_, Option<Places>> {
        // Whoever panicked held whole places only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept for `work`, the population's. What is kept for another work goes.
    pub fn take(&self, network: &Network, work: &Work) -> Places {
        let kept = self.places().take();
        let same = kept.filter(|kept| kept.network == *network && kept.work == *work);
        same.unwrap_or_else(|| Places {
            network: network.clone(),
            work: work.clone(),
            placed: Vec::new(),
        })
    }

    /// Nothing is kept any longer: there are others who need the room.
    pub fn clear(&self) {
        // The buffers go when the lock is free.
        let _places = self.places().take();
    }

    /// Keeps places unless they are too large.
    pub fn keep(&self, places: Places) {
        if places.bytes() <= MOST_BYTES {
            // Those of another thread's call go when the lock is free.
            let _others = self.places().replace(places);
        }
    }
}

impl Places {
    fn bytes(&self) -> u64 {
        self.placed.iter().map(Placed::bytes).sum()
    }

    /// A place for some of the population's networks, with their parameters.
    pub fn of(
        &mut self,
        device: &Arc<Device>,
        profile: &Profile,
        parameters: &Parameters<f32>,
        networks: Range<usize>,
    ) -> Result<&Placed> {
        let mut places = self.placed.iter();
        let known = places.position(|placed| placed.networks.len() == networks.len());
        let index = match known {
            Some(index) => {
                let placed = &mut self.placed[index];
                placed.networks = networks;
                placed.write_parameters(parameters)?;
                index
            }
            None => {
                // The population's last group has fewer networks than the others. Two large places may not fit at once.
                if self.bytes() > MOST_BYTES / 2 {
                    self.placed.clear();
                }
                let (network, work) = (&self.network, &self.work);
                let placed = Placed::new(device, profile, network, parameters, work, networks)?;
                self.placed.push(placed);
                self.placed.len() - 1
            }
        };
        Ok(&self.placed[index])
    }
}
