//! The adapters of this machine and the choice among them.

use crate::error::{Error, Result};
use wgpu::{Backends, DeviceType, Instance, InstanceDescriptor};

/// A GPU adapter, as `metaplastic devices` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterReport {
    /// Its place in the list, from 0, by which it can be asked for.
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// The interface it is reached through: `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `software` or `other`.
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
    /// Where it is on the machine's PCI buses, such as `0000:01:00.0`; empty where the driver does not say.
    pub bus: String,
    /// The limits that decide how work is cut, by name, in bytes or counts.
    pub limits: Vec<(&'static str, u64)>,
}

/// Every adapter of this machine, best first.
pub fn adapters() -> Vec<AdapterReport> {
    let adapters = enumerate();
    adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let (info, limits) = (adapter.get_info(), adapter.limits());
            AdapterReport {
                index,
                backend: info.backend.to_string(),
                kind: kind(info.device_type).to_owned(),
                driver: format!("{} {}", info.driver, info.driver_info)
                    .trim()
                    .to_owned(),
                bus: info.device_pci_bus_id,
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

/// The index of the adapter that `wanted` asks for, by its index in digits or by a part of its name in any case; if
/// nothing is wanted, of the best hardware adapter.
pub(super) fn pick(adapters: &[wgpu::Adapter], wanted: Option<&str>) -> Result<usize> {
    let all: Vec<_> = adapters
        .iter()
        .map(|adapter| (adapter.get_info().name, adapter.get_info().device_type))
        .collect();
    pick_among(&all, wanted)
}

fn pick_among(adapters: &[(String, DeviceType)], wanted: Option<&str>) -> Result<usize> {
    // Every name contains nothing, a software adapter's too.
    let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
    let is_index = |wanted: &str| wanted.bytes().all(|byte| byte.is_ascii_digit());
    let found = match wanted {
        Some(index) if is_index(index) => {
            let index = index.parse().ok();
            index.filter(|&index: &usize| index < adapters.len())
        }
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
            Some(index) if is_index(index) => format!("has the index {index}"),
            Some(part) => format!("has {part:?} in its name"),
            None => "is hardware (a software adapter is used only when asked for by name or index)"
                .to_owned(),
        },
        found: list(adapters),
    })
}

/// The adapters with their indices; where there are none, what would bring some.
fn list(adapters: &[(String, DeviceType)]) -> String {
    if adapters.is_empty() {
        return format!("none. {}{NO_DRIVER}", drivers_asked_for());
    }
    let adapters = adapters.iter().enumerate();
    adapters
        .map(|(index, (name, device_type))| format!("{index}: {name} ({})", kind(*device_type)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What to do where no driver shows an adapter.
const NO_DRIVER: &str = if cfg!(target_os = "macos") {
    "The GPU engine needs macOS with Metal"
} else if cfg!(windows) {
    "Install the driver of the GPU's maker"
} else {
    "Install the Vulkan loader and a driver: libvulkan1 with mesa-vulkan-drivers (Debian, Ubuntu), vulkan-loader with \
     mesa-vulkan-drivers (Fedora), or NVIDIA's own driver"
};

/// What the environment keeps the Vulkan loader from, where it does.
fn drivers_asked_for() -> String {
    let set = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].map(|name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(|value| {
            format!("{name} is {value:?}, and no other driver is looked for: correct or unset it. ")
        })
    });
    set.into_iter().flatten().collect()
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
        assert_eq!(pick_among(&adapters, None).unwrap(), 0);
        assert_eq!(pick_among(&adapters, Some("LLVMpipe")).unwrap(), 1);
        for nothing in ["", " "] {
            assert_eq!(pick_among(&adapters, Some(nothing)).unwrap(), 0);
            pick_among(&adapters[1..], Some(nothing)).unwrap_err();
        }
        let error = pick_among(&adapters[1..], None).unwrap_err().to_string();
        assert!(
            error.contains("llvmpipe") && error.contains("hardware"),
            "{error}"
        );
        let error = pick_among(&adapters, Some("radeon"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("radeon") && error.contains("GeForce"),
            "{error}"
        );
    }

    #[test]
    fn digits_are_an_index_and_tell_equal_adapters_apart() {
        let adapters = [
            ("GeForce RTX 4090".to_owned(), DeviceType::DiscreteGpu),
            ("GeForce RTX 4090".to_owned(), DeviceType::DiscreteGpu),
            ("llvmpipe (LLVM 15.0.6)".to_owned(), DeviceType::Cpu),
        ];
        for (wanted, index) in [("0", 0), ("1", 1), (" 2 ", 2), ("01", 1), ("RTX 4", 0)] {
            assert_eq!(pick_among(&adapters, Some(wanted)).unwrap(), index);
        }
        for wanted in ["3", "15", "4090", "99999999999999999999999"] {
            let error = pick_among(&adapters, Some(wanted)).unwrap_err().to_string();
            for part in [wanted, "index", "1: GeForce RTX 4090", "2: llvmpipe"] {
                assert!(error.contains(part), "{part:?} in {error}");
            }
        }
    }

    #[test]
    fn without_adapters_the_error_says_what_to_install() {
        for wanted in [None, Some("0"), Some("radeon")] {
            let error = pick_among(&[], wanted).unwrap_err().to_string();
            assert!(
                error.contains("found: none") && error.contains(NO_DRIVER),
                "{error}"
            );
        }
    }
}
