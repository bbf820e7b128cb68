//! What a plan needs to know of a device, as data: a plan can be made without one.

use crate::error::{Error, Result};

/// Lanes of the workgroups of kernels that do one element a lane: no device has fewer.
const LEAST_WORKGROUP: u32 = 64;

/// Bytes of the largest buffer that shaders can address: they count its elements in 32 bits.
const MOST_BINDING_BYTES: u64 = 4 << 32;

/// `LP_MAX_TGSI_LOOP_ITERATIONS` of Mesa's `lp_bld_limits.h`: one count for all loops of a shader.
const LLVMPIPE_LOOP_TURNS: u64 = 65_535;

/// Registers that a workgroup is taken to have: fewer than most devices', since other compilers than NVIDIA's take minutes for the
/// kernels that would fill them.
const REGISTERS: u32 = 16_384;

/// Registers of a multiprocessor of NVIDIA's.
const NVIDIA_REGISTERS: u32 = 65_536;

/// The number of the vendor.
const NVIDIA: u32 = 0x10de;

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
    /// Workgroup memory of one workgroup, in bytes. wgpu does not hold kernels to it: the planner does.
    pub workgroup_bytes: u64,
    /// Registers of 32 bits that the lanes of a workgroup have together, which no driver tells: where they hold what there is of an
    /// episode's synapses, a cell goes over all steps in one dispatch. 65,536 of NVIDIA's devices.
    pub registers: u32,
    /// Synapse-steps of one submission, so that no watchdog ends it.
    pub submission_work: u64,
    /// Turns that the loops of a kernel make in one dispatch at most, in any one lane, the look that ends a loop counted
    /// too; `u64::MAX` where there is no limit. Mesa's software driver, llvmpipe, ends every loop at its limit, and says
    /// nothing: the planner cuts the work so that none gets there.
    pub loop_turns: u64,
}

impl Profile {
    /// The limits by name.
    pub(super) fn limits(&self) -> [(&'static str, u64); 8] {
        [
            ("subgroup_size", u64::from(self.subgroup_size)),
            ("workgroup_size", u64::from(self.workgroup_size)),
            ("workgroups", u64::from(self.workgroups)),
            ("binding_bytes", self.binding_bytes),
            ("workgroup_bytes", self.workgroup_bytes),
            ("registers", u64::from(self.registers)),
            ("submission_work", self.submission_work),
            ("loop_turns", self.loop_turns),
        ]
    }

    /// Fails unless every limit is one that a plan can be made for.
    ///
    /// # Errors
    /// Names the first limit that is not, and what is expected.
    pub fn check(&self) -> Result<()> {
        for (name, limit) in self.limits() {
            let (least, most) = match name {
                "workgroup_size" => (u64::from(LEAST_WORKGROUP), u64::MAX),
                "binding_bytes" => (1, MOST_BINDING_BYTES),
                _ => (1, u64::MAX),
            };
            if limit < least || limit > most {
                let expected = match most {
                    u64::MAX => format!("at least {least}"),
                    most => format!("{least} to {most}"),
                };
                return Err(Error::setting(
                    format!("profile.{name}"),
                    format!("{limit}, expected {expected}"),
                ));
            }
        }
        Ok(())
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
                .min(1024),
            workgroups: limits.max_compute_workgroups_per_dimension,
            binding_bytes: limits
                .max_storage_buffer_binding_size
                .min(limits.max_buffer_size)
                .min(MOST_BINDING_BYTES),
            workgroup_bytes: u64::from(limits.max_compute_workgroup_storage_size),
            registers: match info.vendor {
                NVIDIA => NVIDIA_REGISTERS,
                _ => REGISTERS,
            },
            submission_work: match info.device_type {
                wgpu::DeviceType::Cpu => 1 << 27,
                wgpu::DeviceType::DiscreteGpu => 1 << 34,
                _ => 1 << 31,
            },
            loop_turns: match info.driver.as_str() {
                "llvmpipe" => LLVMPIPE_LOOP_TURNS,
                _ => u64::MAX,
            },
        }
    }
}

impl Default for Profile {
    /// WebGPU's default limits, subgroups of 32 and 32 KiB of workgroup memory; loops of any length.
    fn default() -> Self {
        Self {
            subgroup_size: 32,
            workgroup_size: 256,
            workgroups: 65_535,
            binding_bytes: 128 << 20,
            workgroup_bytes: 32 << 10,
            registers: REGISTERS,
            submission_work: 1 << 31,
            loop_turns: u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_no_plan_can_keep_are_refused_by_name() {
        Profile::default().check().unwrap();
        let default = Profile::default();
        for (profile, parts) in [
            (
                Profile {
                    subgroup_size: 0,
                    ..default.clone()
                },
                ["profile.subgroup_size", "at least 1"],
            ),
            (
                Profile {
                    workgroup_size: 63,
                    ..default.clone()
                },
                ["profile.workgroup_size", "at least 64"],
            ),
            (
                Profile {
                    binding_bytes: u64::MAX,
                    ..default.clone()
                },
                ["profile.binding_bytes", "1 to 17179869184"],
            ),
        ] {
            let error = profile.check().unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
