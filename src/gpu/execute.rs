//! Runs plans: the only module that turns their buffers and dispatches into those of a device.

use super::device::{Device, Pipeline};
use super::layout::DeviceLayout;
use super::plan::{Buffer, Dispatch, Plan, Working};
use super::render::Extent;
use super::resident::{Resident, resident_bytes};
use crate::error::Result;
use crate::parameters::Parameters;
use crate::zip::zip_eq;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;
use wgpu::{
    BindGroup, BufferUsages, CommandEncoder, ComputePassDescriptor, ComputePassTimestampWrites,
    QuerySet,
};

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
                // Planes of one value, or some, for every network; or one plane that all share.
                let planes = match resident {
                    Resident::Sources | Resident::Kinds | Resident::Control => 0,
                    Resident::Moments => 2,
                    _ => 1,
                };
                let (from, to) = (self.get(resident), &buffers[&resident]);
                if planes == 0 {
                    encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
                }
                for plane in 0..planes {
                    let here = bytes / planes;
                    let of_network = here / part.len() as u64;
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

    /// Reads the parameters, or values that lie like them, into `values`.
    pub fn read(
        &self,
        device: &Device,
        layout: &DeviceLayout,
        resident: Resident,
        values: &mut Parameters<f32>,
    ) -> Result<()> {
        let population = values.population();
        let on_device: Vec<f32> = device.read(self.get(resident), population * layout.stride)?;
        let host_layout = values.shared_layout().clone();
        let rows = values
            .values_mut()
            .chunks_exact_mut(host_layout.size().max(1));
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

/// A plan with its buffers, pipelines and bind groups, ready to run any number of times.
#[derive(Debug)]
pub(super) struct Loaded {
    pub plan: Plan,
    device: Arc<Device>,
    working: HashMap<Working, wgpu::Buffer>,
    cuts: Vec<Vec<Bound>>,
    finish: Vec<Bound>,
}

/// A dispatch with everything it needs on the device.
#[derive(Debug)]
struct Bound {
    name: &'static str,
    pipeline: Arc<Pipeline>,
    group: BindGroup,
    offset: u32,
    workgroups: [u32; 2],
}

impl Loaded {
    pub fn new(device: &Arc<Device>, residents: &Residents, plan: Plan) -> Result<Self> {
        device.require(plan.bytes().into())?;
        let mut working = HashMap::new();
        for &(buffer, bytes) in &plan.buffers {
            working.insert(buffer, device.buffer(&format!("{buffer:?}"), bytes)?);
        }
        let pipelines = device.pipelines(&plan.kernels)?;

        // One uniform buffer holds every extent that occurs, each at an aligned offset.
        let alignment = device.device.limits().min_uniform_buffer_offset_alignment as usize;
        let slot = size_of::<Extent>().next_multiple_of(alignment);
        let mut offsets: HashMap<Extent, u32> = HashMap::new();
        let mut bytes: Vec<u8> = Vec::new();
        for dispatch in plan.dispatches() {
            offsets.entry(dispatch.extent).or_insert_with(|| {
                let offset = bytes.len();
                bytes.extend(bytemuck::bytes_of(&dispatch.extent));
                bytes.resize(offset + slot, 0);
                offset as u32
            });
        }
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let extents = device.raw_buffer("extents", bytes.len() as u64, usage)?;
        device.write(&extents, &bytes)?;

        let mut groups: HashMap<(usize, Vec<Buffer>), BindGroup> = HashMap::new();
        let mut bind_all = |dispatches: &[Dispatch]| -> Result<Vec<Bound>> {
            let bind = |dispatch: &Dispatch| {
                let pipeline = &pipelines[dispatch.kernel];
                let key = (dispatch.kernel, dispatch.buffers.clone());
                let group = match groups.entry(key) {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(slot) => {
                        let buffers = dispatch.buffers.iter().map(|buffer| match buffer {
                            Buffer::Resident(resident) => residents.get(*resident),
                            Buffer::Working(buffer) => &working[buffer],
                        });
                        let kernel = &plan.kernels[dispatch.kernel];
                        let group = device.bind(kernel, pipeline, &extents, buffers)?;
                        slot.insert(group).clone()
                    }
                };
                Ok(Bound {
                    name: plan.kernels[dispatch.kernel].name,
                    pipeline: pipeline.clone(),
                    group,
                    offset: offsets[&dispatch.extent],
                    workgroups: dispatch.workgroups,
                })
            };
            dispatches.iter().map(bind).collect()
        };
        let cuts = plan
            .cuts
            .iter()
            .map(|cut| bind_all(&cut.dispatches))
            .collect::<Result<_>>()?;
        let finish = bind_all(&plan.finish)?;
        device.check()?;
        Ok(Self {
            device: device.clone(),
            working,
            cuts,
            finish,
            plan,
        })
    }

    pub fn buffer(&self, buffer: Working) -> &wgpu::Buffer {
        &self.working[&buffer]
    }

    /// Records one cut.
    pub fn record_cut(&self, encoder: &mut CommandEncoder, cut: usize) {
        record(encoder, &self.cuts[cut], None);
    }

    /// Records one cut with a reading of the device's clock before and after each of its dispatches.
    pub fn record_timed_cut(&self, encoder: &mut CommandEncoder, cut: usize, queries: &QuerySet) {
        let first: usize = self.cuts[..cut].iter().map(Vec::len).sum();
        for (index, dispatch) in self.cuts[cut].iter().enumerate() {
            let writes = around(queries, first + index);
            record(encoder, std::slice::from_ref(dispatch), Some(writes));
        }
    }

    /// Records what follows the last cut.
    pub fn record_finish(&self, encoder: &mut CommandEncoder) {
        record(encoder, &self.finish, None);
    }

    /// The kernels' names, in the order in which the cuts dispatch them.
    pub fn kernels(&self) -> impl Iterator<Item = Vec<&'static str>> {
        let names = |cut: &Vec<Bound>| cut.iter().map(|dispatch| dispatch.name).collect();
        self.cuts.iter().map(names)
    }

    /// Dispatches of one whole meta-step.
    pub fn dispatches(&self) -> usize {
        self.cuts.iter().map(Vec::len).sum::<usize>() + self.finish.len()
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }
}

/// Two readings of the device's clock, before and after a pass.
pub(super) fn around(queries: &QuerySet, pass: usize) -> ComputePassTimestampWrites<'_> {
    let first = 2 * pass as u32;
    ComputePassTimestampWrites {
        query_set: queries,
        beginning_of_pass_write_index: Some(first),
        end_of_pass_write_index: Some(first + 1),
    }
}

fn record(
    encoder: &mut CommandEncoder,
    dispatches: &[Bound],
    timestamp_writes: Option<ComputePassTimestampWrites<'_>>,
) {
    let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor {
        label: None,
        timestamp_writes,
    });
    for dispatch in dispatches {
        pass.set_pipeline(&dispatch.pipeline.pipeline);
        pass.set_bind_group(0, &dispatch.group, &[dispatch.offset]);
        pass.dispatch_workgroups(dispatch.workgroups[0], dispatch.workgroups[1], 1);
    }
}
