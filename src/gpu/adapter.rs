//! The adapters of this machine and the choice among them.

use crate::{Error, Result};
use wgpu::{Backends, DeviceType, Instance, InstanceDescriptor};

/// A GPU adapter, as `metaplastic devices` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterReport {
    /// The adapter's name.
    pub name: String,
    /// The interface it is reached through: `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `software` or `other`.
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
    /// The limits that decide how work is cut, by name, in bytes or counts.
    pub limits: Vec<(&'static str, u64)>,
}

/// Every adapter of this machine, best first.
pub fn adapters() -> Vec<AdapterReport> {
    let adapters = enumerate();
    adapters
        .iter()
        .map(|adapter| {
            let (info, limits) = (adapter.get_info(), adapter.limits());
            AdapterReport {
                backend: info.backend.to_string(),
                kind: kind(info.device_type).to_owned(),
                driver: format!("{} {}", info.driver, info.driver_info)
                    .trim()
                    .to_owned(),
                limits: vec![
                    ("bytes of a buffer", limits.max_buffer_size),
                    ("bytes of a binding", limits.max_storage_buffer_binding_size),
                    (
                        "bytes of workgroup memory",
                        u64::from(limits.max_compute_workgroup_storage_size),
                    ),
                    (
                        "lanes of a workgroup",
                        u64::from(limits.max_compute_invocations_per_workgroup),
                    ),
                    (
                        "least lanes of a subgroup",
                        u64::from(info.subgroup_min_size),
                    ),
                ],
                name: info.name,
            }
        })
        .collect()
}

/// Every adapter, best first: by type, then in the driver's order.
pub(super) fn enumerate() -> Vec<wgpu::Adapter> {
    let instance = Instance::new(InstanceDescriptor {
        backends: Backends::PRIMARY,
        ..InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(Backends::PRIMARY));
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

/// The index of the adapter whose name contains `wanted`, any case; without a name, of the best hardware adapter.
pub(super) fn pick(adapters: &[wgpu::Adapter], wanted: Option<&str>) -> Result<usize> {
    let all: Vec<_> = adapters
        .iter()
        .map(|adapter| (adapter.get_info().name, adapter.get_info().device_type))
        .collect();
    pick_by_name(&all, wanted)
}

fn pick_by_name(adapters: &[(String, DeviceType)], wanted: Option<&str>) -> Result<usize> {
    // Every name contains nothing, a software adapter's too.
    let wanted = wanted.filter(|part| !part.trim().is_empty());
    let found = match wanted {
        Some(part) => {
            let part = part.to_lowercase();
            adapters
                .iter()
                .position(|(name, _)| name.to_lowercase().contains(&part))
        }
        None => adapters
            .iter()
            .position(|&(_, kind)| kind != DeviceType::Cpu),
    };
    found.ok_or_else(|| Error::NoAdapter {
        wanted: match wanted {
            Some(part) => format!("has {part:?} in its name"),
            None => {
                "is hardware (a software adapter is used only when asked for by name)".to_owned()
            }
        },
        found: match adapters {
            [] => "none".to_owned(),
            some => some
                .iter()
                .map(|(name, device_type)| format!("{name} ({})", kind(*device_type)))
                .collect::<Vec<_>>()
                .join(", "),
        },
    })
}

fn rank(device_type: DeviceType) -> u8 {
    match device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

fn kind(device_type: DeviceType) -> &'static str {
    match device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software",
        DeviceType::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_is_taken_only_by_name() {
        let adapters = [
            ("GeForce RTX".to_owned(), DeviceType::DiscreteGpu),
            ("llvmpipe (LLVM)".to_owned(), DeviceType::Cpu),
        ];
        assert_eq!(pick_by_name(&adapters, None).unwrap(), 0);
        assert_eq!(pick_by_name(&adapters, Some("LLVMpipe")).unwrap(), 1);
        for nothing in ["", " "] {
            assert_eq!(pick_by_name(&adapters, Some(nothing)).unwrap(), 0);
            pick_by_name(&adapters[1..], Some(nothing)).unwrap_err();
        }
        let error = pick_by_name(&adapters[1..], None).unwrap_err().to_string();
        assert!(
            error.contains("llvmpipe") && error.contains("hardware"),
            "{error}"
        );
        let error = pick_by_name(&adapters, Some("radeon"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("radeon") && error.contains("GeForce"),
            "{error}"
        );
        assert!(
            pick_by_name(&[], None)
                .unwrap_err()
                .to_string()
                .contains("none")
        );
    }
}
