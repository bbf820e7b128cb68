//! Runs plans: turns their buffers and dispatches into those of a device.

use super::arrays::{Array, Working};
use super::device::{Device, Pipeline};
use super::extent::Extent;
use super::plan::Plan;
use super::record::Dispatch;
use super::residents::Residents;
use crate::error::Result;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use wgpu::{
    BindGroup, BufferUsages, CommandEncoder, ComputePassDescriptor, ComputePassTimestampWrites,
    QuerySet,
};

/// A plan with its buffers, pipelines and bind groups, ready to run any number of times.
#[derive(Debug)]
pub(super) struct Loaded {
    pub plan: Plan,
    device: Arc<Device>,
    working: HashMap<Working, wgpu::Buffer>,
    cuts: Vec<BoundCut>,
    steps: Vec<Vec<Bound>>,
    finish: Vec<Bound>,
    extents: Extents,
}

/// Copies of a plan's arrays.
pub(super) type Copies = Vec<(Working, wgpu::Buffer)>;

#[derive(Debug)]
struct BoundCut {
    forward: Vec<Bound>,
    backward: Vec<Bound>,
}

impl BoundCut {
    fn dispatches(&self) -> impl Iterator<Item = &Bound> {
        self.forward.iter().chain(&self.backward)
    }
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

/// One uniform buffer with every extent that occurs, each at an aligned offset.
#[derive(Debug)]
struct Extents {
    buffer: wgpu::Buffer,
    offsets: HashMap<Extent, u32>,
}

impl Extents {
    fn new(device: &Device, plan: &Plan) -> Result<Self> {
        let alignment = device.device.limits().min_uniform_buffer_offset_alignment as usize;
        let slot = size_of::<Extent>().next_multiple_of(alignment);
        let mut offsets: HashMap<Extent, u32> = HashMap::new();
        let mut bytes: Vec<u8> = Vec::new();
        for dispatch in plan.all_dispatches() {
            offsets.entry(dispatch.extent).or_insert_with(|| {
                let offset = bytes.len();
                bytes.extend(bytemuck::bytes_of(&dispatch.extent));
                bytes.resize(offset + slot, 0);
                offset as u32
            });
        }
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let buffer = device.raw_buffer("extents", bytes.len() as u64, usage)?;
        device.write(&buffer, &bytes)?;
        Ok(Self { buffer, offsets })
    }
}

/// Binds dispatches to the buffers of a plan; equal bindings once.
struct Binder<'a> {
    device: &'a Device,
    plan: &'a Plan,
    residents: &'a Residents,
    working: &'a HashMap<Working, wgpu::Buffer>,
    pipelines: Vec<Arc<Pipeline>>,
    extents: Extents,
    groups: HashMap<(usize, Vec<Array>), BindGroup>,
}

impl Binder<'_> {
    fn all(&mut self, dispatches: &[Dispatch]) -> Result<Vec<Bound>> {
        dispatches
            .iter()
            .map(|dispatch| self.one(dispatch))
            .collect()
    }

    fn one(&mut self, dispatch: &Dispatch) -> Result<Bound> {
        let kernel = &self.plan.kernels[dispatch.kernel];
        let pipeline = &self.pipelines[dispatch.kernel];
        let key = (dispatch.kernel, dispatch.arrays.clone());
        let group = match self.groups.entry(key) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(slot) => {
                let buffers = dispatch.arrays.iter().map(|array| match array {
                    Array::Resident(resident) => self.residents.get(*resident),
                    Array::Working(working) => &self.working[working],
                });
                let extents = &self.extents.buffer;
                let group = self.device.bind(kernel, pipeline, extents, buffers)?;
                slot.insert(group).clone()
            }
        };
        Ok(Bound {
            name: kernel.name,
            pipeline: pipeline.clone(),
            group,
            offset: self.extents.offsets[&dispatch.extent],
            workgroups: dispatch.workgroups,
        })
    }
}

impl Loaded {
    pub fn new(device: &Arc<Device>, residents: &Residents, plan: Plan) -> Result<Self> {
        device.require(plan.bytes().into())?;
        let mut working = HashMap::new();
        for &(array, bytes) in &plan.buffers {
            working.insert(array, device.buffer(&format!("{array:?}"), bytes)?);
        }
        let mut binder = Binder {
            device,
            plan: &plan,
            residents,
            working: &working,
            pipelines: device.pipelines(&plan.kernels)?,
            extents: Extents::new(device, &plan)?,
            groups: HashMap::new(),
        };
        let mut cuts = Vec::with_capacity(plan.cuts.len());
        for cut in &plan.cuts {
            cuts.push(BoundCut {
                forward: binder.all(&cut.forward)?,
                backward: binder.all(&cut.backward)?,
            });
        }
        let steps = plan.steps.iter().map(|step| binder.all(step));
        let steps = steps.collect::<Result<_>>()?;
        let finish = binder.all(&plan.finish)?;
        let extents = binder.extents;
        device.check()?;
        Ok(Self {
            extents,
            device: device.clone(),
            working,
            cuts,
            steps,
            finish,
            plan,
        })
    }

    pub fn buffer(&self, buffer: Working) -> &wgpu::Buffer {
        &self.working[&buffer]
    }

    /// Lets the reverse halves that are submitted from now on go back over the first `done` steps alone.
    pub fn set_done(&self, done: usize) -> Result<()> {
        for dispatch in self.plan.cuts.iter().flat_map(|cut| &cut.backward) {
            let extent = Extent {
                done: done as u32,
                ..dispatch.extent
            };
            let at = self.extents.offsets[&dispatch.extent].into();
            let bytes = bytemuck::bytes_of(&extent);
            self.device.write_at(&self.extents.buffer, at, bytes)?;
        }
        Ok(())
    }

    /// Copies of the arrays that `is_wanted` says, on the device.
    pub fn copies(&self, is_wanted: impl Fn(Working) -> bool) -> Result<Copies> {
        let buffers = self.plan.buffers.iter();
        let wanted = || buffers.clone().filter(|&&(array, _)| is_wanted(array));
        let bytes = wanted().map(|&(_, bytes)| u128::from(bytes));
        self.device.require(bytes.sum())?;
        let mut copies = Vec::new();
        for &(array, bytes) in wanted() {
            let copy = self.device.buffer(&format!("copy of {array:?}"), bytes)?;
            copies.push((array, copy));
        }
        self.device.submit(|encoder| {
            for (array, copy) in &copies {
                let from = &self.working[array];
                encoder.copy_buffer_to_buffer(from, 0, copy, 0, copy.size());
            }
        })?;
        Ok(copies)
    }

    /// Records that arrays are put back as they were when they were copied.
    pub fn record_restore(&self, encoder: &mut CommandEncoder, copies: &Copies) {
        for (array, copy) in copies {
            let to = &self.working[array];
            encoder.copy_buffer_to_buffer(copy, 0, to, 0, copy.size());
        }
    }

    /// Records one cut.
    pub fn record_cut(&self, encoder: &mut CommandEncoder, cut: usize) {
        record(encoder, self.cuts[cut].dispatches(), None);
    }

    /// Records the forward half of one cut.
    pub fn record_forward(&self, encoder: &mut CommandEncoder, cut: usize) {
        record(encoder, &self.cuts[cut].forward, None);
    }

    /// Records the reverse half of one cut, whose forward half has left its arrays behind.
    pub fn record_backward(&self, encoder: &mut CommandEncoder, cut: usize) {
        record(encoder, &self.cuts[cut].backward, None);
    }

    /// Records one step of the forward half.
    pub fn record_step(&self, encoder: &mut CommandEncoder, step: usize) {
        record(encoder, &self.steps[step], None);
    }

    /// Records one cut with a reading of the device's clock before and after it, as pass `pass` of the clock's.
    pub fn record_timed_cut(
        &self,
        encoder: &mut CommandEncoder,
        cut: usize,
        (queries, pass): (&QuerySet, usize),
    ) {
        let writes = around(queries, pass);
        record(encoder, self.cuts[cut].dispatches(), Some(writes));
    }

    /// Records one cut with a reading of the device's clock before and after each of its dispatches, between which the device
    /// waits.
    pub fn record_cut_by_kernels(
        &self,
        encoder: &mut CommandEncoder,
        cut: usize,
        queries: &QuerySet,
    ) {
        let before = self.cuts[..cut].iter();
        let first: usize = before.map(|cut| cut.dispatches().count()).sum();
        for (index, dispatch) in self.cuts[cut].dispatches().enumerate() {
            let writes = around(queries, first + index);
            record(encoder, [dispatch], Some(writes));
        }
    }

    /// Records what follows the last cut.
    pub fn record_finish(&self, encoder: &mut CommandEncoder) {
        record(encoder, &self.finish, None);
    }

    /// The kernels' names, in the order in which the cuts dispatch them.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> {
        let dispatches = self.cuts.iter().flat_map(BoundCut::dispatches);
        dispatches.map(|dispatch| dispatch.name)
    }

    /// Dispatches of all cuts.
    pub fn dispatches(&self) -> usize {
        self.kernels().count()
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

fn record<'a>(
    encoder: &mut CommandEncoder,
    dispatches: impl IntoIterator<Item = &'a Bound>,
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
