//! A population's buffers on a device.

use super::arrays::{Resident, resident_bytes};
use super::device::Device;
use super::layout::DeviceLayout;
use crate::error::Result;
use crate::parameters::Parameters;
use crate::zip::zip_eq;
use std::collections::HashMap;
use std::ops::Range;

/// The buffers of a group of networks that outlive a batch.
#[derive(Debug)]
pub(super) struct Residents {
    buffers: HashMap<Resident, wgpu::Buffer>,
}

impl Residents {
    /// Takes `parameters` to the device. `learning` adds what training needs.
    pub fn new(
        device: &Device,
        layout: &DeviceLayout,
        parameters: &Parameters<f32>,
        learning: bool,
    ) -> Result<Self> {
        let mut buffers = HashMap::new();
        let all = resident_bytes(layout, parameters.population(), learning);
        device.require(all.iter().map(|&(_, bytes)| u128::from(bytes)).sum())?;
        for (resident, bytes) in all {
            buffers.insert(resident, device.buffer(&format!("{resident:?}"), bytes)?);
        }
        let residents = Self { buffers };
        device.write(
            residents.get(Resident::Parameters),
            &packed(layout, parameters),
        )?;
        let elements = layout.elements(parameters.layout());
        let sources: Vec<_> = elements.iter().map(|element| element.source).collect();
        device.write(residents.get(Resident::Sources), &sources)?;
        if learning {
            let kinds: Vec<_> = elements.iter().map(|element| element.kind).collect();
            device.write(residents.get(Resident::Kinds), &kinds)?;
        }
        Ok(residents)
    }

    /// Copies, on the device, what belongs to networks `part` of the `networks` in training that are here.
    pub fn part(
        &self,
        device: &Device,
        layout: &DeviceLayout,
        networks: usize,
        part: Range<usize>,
    ) -> Result<Self> {
        let all = resident_bytes(layout, part.len(), true);
        let mut buffers = HashMap::new();
        for &(resident, bytes) in &all {
            buffers.insert(resident, device.buffer(&format!("{resident:?}"), bytes)?);
        }
        let submission = device.submit(|encoder| {
            for (resident, bytes) in all {
                let (from, to) = (self.get(resident), &buffers[&resident]);
                let Some((of_network, planes)) = resident.shape(layout).by_network() else {
                    encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
                    continue;
                };
                let here = part.len() as u64 * of_network;
                for plane in 0..planes {
                    let start = (plane * networks as u64 + part.start as u64) * of_network;
                    encoder.copy_buffer_to_buffer(from, start, to, plane * here, here);
                }
            }
        })?;
        device.wait(submission)?;
        Ok(Self { buffers })
    }

    pub fn get(&self, resident: Resident) -> &wgpu::Buffer {
        &self.buffers[&resident]
    }

    /// Reads the parameters, or a plane of values that lie like them, into those of `networks` of a population.
    pub fn read(
        &self,
        device: &Device,
        layout: &DeviceLayout,
        (resident, plane): (Resident, usize),
        networks: Range<usize>,
        to: &mut Parameters<f32>,
    ) -> Result<()> {
        let count = networks.len() * layout.stride;
        let on_device: Vec<f32> = device.read_at(self.get(resident), plane * count, count)?;
        let host_layout = to.shared_layout().clone();
        let size = host_layout.size();
        let values = &mut to.values_mut()[networks.start * size..networks.end * size];
        let rows = values.chunks_exact_mut(size.max(1));
        for (device, host) in zip_eq(on_device.chunks_exact(layout.stride), rows) {
            layout.unpack(&host_layout, device, host);
        }
        Ok(())
    }
}

/// A population's values as they lie on the device.
pub(super) fn packed(layout: &DeviceLayout, parameters: &Parameters<f32>) -> Vec<f32> {
    let mut values = Vec::with_capacity(parameters.population() * layout.stride);
    for index in 0..parameters.population() {
        layout.pack(parameters.layout(), parameters.network(index), &mut values);
    }
    values
}
