//! What a plan needs to know of a device, as data: a plan can be made without one.

/// The properties of a device that decide how work is laid out and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Lanes that surely share a subgroup; 1 where there are no subgroup operations.
    pub subgroup_size: u32,
    /// Largest number of lanes in a workgroup.
    pub workgroup_size: u32,
    /// Largest number of workgroups along one axis.
    pub workgroups: u32,
    /// Largest buffer that a shader can bind, in bytes.
    pub binding_bytes: u64,
    /// Synapse-steps of one submission, so that no watchdog ends it.
    pub submission_work: u64,
}

impl Profile {
    /// The limits by name.
    pub(super) fn limits(&self) -> [(&'static str, u64); 5] {
        [
            ("subgroup_size", u64::from(self.subgroup_size)),
            ("workgroup_size", u64::from(self.workgroup_size)),
            ("workgroups", u64::from(self.workgroups)),
            ("binding_bytes", self.binding_bytes),
            ("submission_work", self.submission_work),
        ]
    }

    pub(super) fn of(adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let subgroups = adapter.features().contains(wgpu::Features::SUBGROUP);
        Self {
            subgroup_size: if subgroups {
                info.subgroup_min_size.max(1)
            } else {
                1
            },
            workgroup_size: limits
                .max_compute_invocations_per_workgroup
                .min(limits.max_compute_workgroup_size_x)
                .min(256),
            workgroups: limits.max_compute_workgroups_per_dimension,
            binding_bytes: limits
                .max_storage_buffer_binding_size
                .min(limits.max_buffer_size),
            submission_work: match info.device_type {
                wgpu::DeviceType::Cpu => 1 << 27,
                wgpu::DeviceType::DiscreteGpu => 1 << 34,
                _ => 1 << 31,
            },
        }
    }
}

impl Default for Profile {
    /// WebGPU's default limits and subgroups of 32.
    fn default() -> Self {
        Self {
            subgroup_size: 32,
            workgroup_size: 256,
            workgroups: 65_535,
            binding_bytes: 128 << 20,
            submission_work: 1 << 31,
        }
    }
}
