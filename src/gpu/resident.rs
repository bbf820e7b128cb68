//! What a population has on the device for as long as it lives, whatever its batches: its buffers, and the structs of
//! `shaders/learning.wgsl` in them.

use super::layout::DeviceLayout;
use crate::optimiser::{DEVICE_CONSTANTS, Method, Optimiser, Schedule};
use crate::parameters::Layout;

/// A buffer that outlives one plan: it belongs to the population, not to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Resident {
    Parameters,
    Gradients,
    /// Of which partial gradients each parameter's gradient is the sum.
    Sources,
    /// Each parameter's tensor and role.
    Kinds,
    Moments,
    Settings,
    /// What each workgroup of `check_parts` found.
    Parts,
    States,
    Progress,
    Control,
    Keys,
}

impl Resident {
    pub const ALL: [Self; 11] = [
        Self::Parameters,
        Self::Gradients,
        Self::Sources,
        Self::Kinds,
        Self::Moments,
        Self::Settings,
        Self::Parts,
        Self::States,
        Self::Progress,
        Self::Control,
        Self::Keys,
    ];
}

/// The resident buffers of a group of networks, and their bytes. `learning` adds what training needs.
pub(super) fn resident_bytes(
    layout: &DeviceLayout,
    networks: usize,
    learning: bool,
) -> Vec<(Resident, u64)> {
    let each = |bytes: usize| (networks as u64).saturating_mul(bytes as u64);
    let values = layout.stride * 4;
    let bytes = |resident| match resident {
        Resident::Parameters | Resident::Gradients => Some(each(values)),
        Resident::Sources => Some(layout.stride as u64 * 4),
        Resident::Kinds => learning.then_some(layout.stride as u64 * 8),
        Resident::Moments => learning.then(|| each(2 * values)),
        Resident::Settings => {
            learning.then(|| each(size_of::<Settings>() + 4 * (layout.tensors + 1)))
        }
        Resident::Parts => learning.then(|| each(layout.parts() * size_of::<Part>())),
        Resident::States => learning.then(|| each(size_of::<State>())),
        Resident::Progress => learning.then(|| each(size_of::<Progress>())),
        Resident::Control => learning.then_some(size_of::<Control>() as u64),
        Resident::Keys => learning.then(|| each(16)),
    };
    Resident::ALL
        .into_iter()
        .filter_map(|resident| Some((resident, bytes(resident)?)))
        .collect()
}

/// A failure code: nothing failed.
pub(super) const NONE: u32 = u32::MAX;

/// `Control` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Control {
    pub first_meta_step: u32,
    pub learn: u32,
    /// Of one dispatch, where one does whole meta-steps.
    pub meta_steps: u32,
}

/// `Progress` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Progress {
    pub meta_steps: u32,
    pub loss: f32,
}

/// `Part` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Part {
    peak: f32,
    square: f32,
    failed: u32,
}

/// `State` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct State {
    pub updates: u32,
    pub failed: u32,
    pub failed_at: u32,
    pub scale: f32,
}

/// `Settings` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Settings {
    method: u32,
    schedule: u32,
    learning_rate: f32,
    schedule_length: f32,
    schedule_factor: f32,
    max_step: f32,
    max_gradient_norm: f32,
    l1: f32,
    l2: f32,
    rate_min: f32,
    rate_max: f32,
    plasticity_min: f32,
    plasticity_max: f32,
    /// The method's own.
    constants: [f32; DEVICE_CONSTANTS],
}

impl Settings {
    pub fn new(optimiser: &Optimiser) -> Self {
        // Shaders have no infinities: the largest float stands for "no bound".
        let bound = |value: f64| (value as f32).clamp(f32::MIN, f32::MAX);
        let largest = |value: Option<f64>| bound(value.unwrap_or(f64::INFINITY));
        let [plasticity_min, plasticity_max] = optimiser.plasticity_bounds().map(bound);
        let [rate_min, rate_max] = optimiser.rate_bounds.map(bound);
        let (schedule_length, schedule_factor) = match optimiser.schedule {
            Schedule::Constant => (1.0, 1.0),
            Schedule::Cosine { updates, floor } => (updates as f32, floor as f32),
            Schedule::Step { every, factor } => (every as f32, factor as f32),
        };
        let code = |place: Option<usize>| place.expect("it is one of them") as u32;
        let (method, schedule) = (optimiser.method, optimiser.schedule);
        let schedules = Schedule::all(1);
        let constants = (method.entry().for_device)(&method.values());
        Self {
            method: code(
                Method::ALL
                    .iter()
                    .position(|one| one.name() == method.name()),
            ),
            schedule: code(
                schedules
                    .iter()
                    .position(|one| one.name() == schedule.name()),
            ),
            schedule_length,
            schedule_factor,
            learning_rate: optimiser.learning_rate as f32,
            max_step: largest(optimiser.max_step),
            max_gradient_norm: largest(optimiser.max_gradient_norm),
            l1: optimiser.l1 as f32,
            l2: optimiser.l2 as f32,
            rate_min,
            rate_max,
            plasticity_min,
            plasticity_max,
            constants: constants.map(bound),
        }
    }
}

/// An `Optimiser` of `shaders/learning.wgsl`, as bytes: the settings, then the tensors' factors.
pub(super) fn optimiser_bytes(optimiser: &Optimiser, layout: &Layout) -> Vec<u8> {
    let factors = optimiser.factors(layout);
    let mut bytes = bytemuck::bytes_of(&Settings::new(optimiser)).to_vec();
    bytes.extend_from_slice(bytemuck::bytes_of(&0.0f32));
    bytes.extend_from_slice(bytemuck::cast_slice(&factors));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::profile::Profile;
    use crate::gpu::render::Renderer;
    use crate::network::Network;

    /// The structs of the shaders have the sizes of the host's.
    #[test]
    fn structs_agree_with_the_shaders() {
        let network = Network::new(
            crate::network::Loss::SquaredError,
            [crate::network::Layer::dense(
                3,
                2,
                crate::Activation::Linear,
            )],
        )
        .unwrap();
        let profile = Profile::default();
        let layout = DeviceLayout::new(&network, &profile);
        let source = Renderer::new(&profile).check(&layout).unwrap().source;
        let module = naga::front::wgsl::parse_str(&source).unwrap();
        let sizes = [
            ("Control", size_of::<Control>()),
            ("Progress", size_of::<Progress>()),
            ("Part", size_of::<Part>()),
            ("State", size_of::<State>()),
            ("Settings", size_of::<Settings>()),
            (
                "Optimiser",
                size_of::<Settings>() + 4 * (layout.tensors + 1),
            ),
        ];
        for (name, size) in sizes {
            let (_, found) = module
                .types
                .iter()
                .find(|(_, ty)| ty.name.as_deref() == Some(name))
                .unwrap();
            assert_eq!(found.inner.size(module.to_ctx()) as usize, size, "{name}");
        }
    }
}
