//! What a meta-step of training will take of a device, told before anything is allocated, and without a device.

use super::arrays::resident_bytes;
use super::cuts::group_size;
use super::extent::Extent;
use super::kernel::Kernel;
use super::plan::Plan;
use super::profile::Profile;
use super::record::Dispatch;
use super::work::Work;
use crate::computation::ObjectiveKind;
use crate::error::{Error, Result};
use crate::memory;
use crate::network::{Loss, Network};
use crate::parameters::Layout;
use crate::tasks::{Task, check_network};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Bytes from one dispatch's uniform to the next: WebGPU's default alignment.
const UNIFORM_BYTES: u64 = 256;

/// What one meta-step of training takes of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanReport {
    /// Bytes of the population: parameters, gradients, the optimiser's state.
    pub resident_bytes: u64,
    /// Bytes of a batch: episodes, activity, partial sums, and the uniforms.
    pub working_bytes: u64,
    /// Checkpoints of each episode: traces that are kept for the reverse sweep, in the layer with most of them.
    pub checkpoints: usize,
    /// Bytes of all checkpoints, a part of those of a batch.
    pub checkpoint_bytes: u64,
    /// Groups of networks; each has its own buffers.
    pub groups: usize,
    /// Parts that a group's batch is cut into, one after the other in the same buffers.
    pub cuts: usize,
    /// Parts that an episode is cut into along time.
    pub segments: usize,
    /// Kernels that are started in one meta-step of the whole population.
    pub dispatches: usize,
    /// Meta-steps that one dispatch does at most, where one kernel does everything of a meta-step; more than one only
    /// where the device makes the episodes.
    pub meta_steps_per_dispatch: Option<usize>,
    /// Every kernel, in the order of its first run.
    pub kernels: Vec<KernelReport>,
}

/// A kernel of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelReport {
    /// Which layer's it is and what it does: `layer0-forward`, `loss`.
    pub name: String,
    /// The whole shader, in WGSL.
    pub source: String,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u64,
}

impl PlanReport {
    /// Bytes of all device buffers.
    pub fn bytes(&self) -> u64 {
        self.resident_bytes.saturating_add(self.working_bytes)
    }

    /// Adds `groups` of networks with this plan; `names` says where the kernel of each name is.
    fn add(&mut self, plan: &Plan, groups: usize, names: &mut HashMap<String, usize>) {
        let count = groups as u64;
        let residents = resident_bytes(&plan.layout, plan.work.networks, true);
        let resident = residents
            .iter()
            .fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let extents: HashSet<Extent> = plan.dispatches().map(|dispatch| dispatch.extent).collect();
        let working = plan
            .bytes()
            .saturating_add(extents.len() as u64 * UNIFORM_BYTES);
        self.resident_bytes = self
            .resident_bytes
            .saturating_add(resident.saturating_mul(count));
        self.working_bytes = self
            .working_bytes
            .saturating_add(working.saturating_mul(count));
        let (checkpoints, bytes) = plan.checkpoints();
        self.checkpoints = self.checkpoints.max(checkpoints);
        self.checkpoint_bytes = self
            .checkpoint_bytes
            .saturating_add(bytes.saturating_mul(count));
        self.groups += groups;
        self.cuts = self.cuts.max(plan.cuts.len());
        self.segments = self.segments.max(plan.segments.len());
        self.dispatches += groups * plan.dispatches().count();
        let meta_steps = match plan.work.task {
            Some(_) => plan.fused,
            None => plan.fused.map(|_| 1),
        };
        self.meta_steps_per_dispatch = match (self.meta_steps_per_dispatch, meta_steps) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let mut seen = HashSet::new();
        for dispatch in plan.dispatches() {
            let stem = name_of(plan, dispatch);
            if seen.insert((stem.clone(), dispatch.kernel)) {
                self.add_kernel(&stem, &plan.kernels[dispatch.kernel], names);
            }
        }
    }

    /// Groups of another size may have other kernels of the same name: they are numbered.
    fn add_kernel(&mut self, stem: &str, kernel: &Kernel, names: &mut HashMap<String, usize>) {
        let mut number = 1;
        loop {
            let name = match number {
                1 => stem.to_owned(),
                number => format!("{stem}-{number}"),
            };
            match names.get(&name) {
                Some(&known) if self.kernels[known].source == kernel.source => return,
                Some(_) => number += 1,
                None => {
                    names.insert(name.clone(), self.kernels.len());
                    return self.kernels.push(KernelReport {
                        name,
                        source: kernel.source.clone(),
                        workgroup_bytes: kernel.workgroup_bytes(),
                    });
                }
            }
        }
    }
}

/// `layer0-forward`, or `reduce` for what belongs to no layer.
fn name_of(plan: &Plan, dispatch: &Dispatch) -> String {
    let name = plan.kernels[dispatch.kernel].name.replace('_', "-");
    match dispatch.purpose.layer() {
        Some(layer) => format!("layer{layer}-{name}"),
        None => name,
    }
}

/// Plans one meta-step of training: `population` networks, each on `batch` episodes of its own of `steps` steps; what networks
/// have in common takes the room of one. No device is needed or asked.
///
/// Where the network has no loss, what is differentiated is `Σ output_gradient · output`.
///
/// # Errors
/// If a size is zero or too large, a rate is beyond the range of `f32`, or no cut makes the work fit the profile's limits.
pub fn plan(
    network: &Network,
    profile: &Profile,
    population: usize,
    batch: usize,
    steps: usize,
) -> Result<PlanReport> {
    report(network, profile, population, batch, steps, None)
}

/// Plans one meta-step of training on a task: `population` networks, on `batch` episodes for each, which the device makes
/// where the task can. No device is needed or asked.
///
/// # Errors
/// As [`plan`], or if the task does not fit the network.
pub fn plan_task(
    network: &Network,
    profile: &Profile,
    population: usize,
    batch: usize,
    task: &dyn Task,
) -> Result<PlanReport> {
    check_network(task, network)?;
    report(
        network,
        profile,
        population,
        batch,
        task.steps(),
        Some(task),
    )
}

fn report(
    network: &Network,
    profile: &Profile,
    population: usize,
    batch: usize,
    steps: usize,
    task: Option<&dyn Task>,
) -> Result<PlanReport> {
    profile.check()?;
    network.require_range::<f32>()?;
    check_sizes(population, batch, steps)?;
    memory::elements("parameters", &[population, Layout::new(network)?.size()])?;
    let mut whole = match task {
        Some(task) => Work::on_task(network, population, batch, task, true),
        None => Work::training(network, population, batch, steps),
    };
    if network.loss() == Loss::None {
        whole.request.objective = ObjectiveKind::OutputGradient;
    }
    let mut report = PlanReport {
        resident_bytes: 0,
        working_bytes: 0,
        checkpoints: 0,
        checkpoint_bytes: 0,
        groups: 0,
        cuts: 0,
        segments: 0,
        dispatches: 0,
        meta_steps_per_dispatch: None,
        kernels: Vec::new(),
    };
    let mut names = HashMap::new();
    for (Reverse(networks), groups) in group_counts(network, profile, &whole) {
        let plan = Plan::new(network, profile, whole.of(networks))?;
        report.add(&plan, groups, &mut names);
    }
    Ok(report)
}

fn check_sizes(population: usize, batch: usize, steps: usize) -> Result<()> {
    for (field, size) in [
        ("population", population),
        ("batch", batch),
        ("steps", steps),
    ] {
        if size == 0 {
            return Err(Error::ZeroSize {
                field: field.into(),
            });
        }
        if size > i32::MAX as usize {
            return Err(Error::setting(
                field,
                format!("{size}, at most {} are supported", i32::MAX),
            ));
        }
    }
    Ok(())
}

/// Group sizes and how often each occurs, largest first: the learner's split, without listing every group.
fn group_counts(
    network: &Network,
    profile: &Profile,
    whole: &Work,
) -> BTreeMap<Reverse<usize>, usize> {
    let mut groups = BTreeMap::from([(Reverse(whole.networks), 1)]);
    for work in [&Work::first(network, whole.networks), whole] {
        let size = group_size(network, profile, work);
        let mut split = BTreeMap::new();
        for (Reverse(networks), count) in groups {
            for (networks, count) in [(size, count * (networks / size)), (networks % size, count)] {
                if networks > 0 && count > 0 {
                    *split.entry(Reverse(networks)).or_insert(0) += count;
                }
            }
        }
        groups = split;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Bias, Dense, Layer, Plastic, Rate};

    fn network(loss: Loss) -> Network {
        Network::new(
            loss,
            [
                Layer::from(Plastic::new(64, 32, Rate::learned(0.1)).activation(Activation::Tanh)),
                Layer::from(Plastic::new(32, 32, Rate::learned(0.1)).activation(Activation::Tanh)),
                Layer::from(Dense::new(32, 4)),
                Layer::from(Bias::new(4)),
            ],
        )
        .unwrap()
    }

    fn names(report: &PlanReport) -> Vec<&str> {
        report
            .kernels
            .iter()
            .map(|kernel| kernel.name.as_str())
            .collect()
    }

    #[test]
    fn every_kernel_of_a_meta_step_has_a_name_of_its_own() {
        let report = plan(&network(Loss::SquaredError), &Profile::default(), 3, 40, 10).unwrap();
        let expected = [
            "layer0-forward",
            "layer1-forward",
            "layer2-forward",
            "layer3-bias-forward",
            "loss",
            "sum-losses",
            "layer3-bias-backward",
            "layer2-backward",
            "layer2-input-gradient",
            "layer1-backward",
            "layer1-input-gradient",
            "layer0-backward",
            "layer0-reduce-rows",
            "layer1-reduce-rows",
            "reduce",
            "check-parts",
            "check",
            "optimiser",
        ];
        assert_eq!(names(&report), expected);
        assert_eq!(report.dispatches, expected.len());
        assert_eq!((report.groups, report.cuts, report.segments), (1, 1, 1));
        let without = plan(&network(Loss::None), &Profile::default(), 3, 40, 10).unwrap();
        assert!(!names(&without).contains(&"loss"));
    }

    #[test]
    fn the_bytes_are_those_of_the_arrays() {
        let network = Network::new(
            Loss::None,
            [Layer::from(
                Plastic::new(64, 32, Rate::learned(0.1)).activation(Activation::Tanh),
            )],
        );
        let report = plan(&network.unwrap(), &Profile::default(), 2, 48, 10).unwrap();
        // Weights and plasticity, 32 biases, and a rate, which takes a vec4.
        let parameters = 2 * 64 * 32 + 32 + 4;
        // Parameters, gradients and two moments of 2 networks; what each parameter is.
        let values = 2 * 4 * 4 * parameters + 12 * parameters;
        // Settings, and a factor of the learning rate for each of four tensors and for what belongs to none. Two workgroups look
        // at a network's gradients, and leave 12 bytes each.
        let state = 2 * ((18 + 5) * 4 + 16 + 8 + 16 + 2 * 12) + 12;
        assert_eq!(report.resident_bytes, values + state);
        let losses = 2 * 48 * 4;
        let partials = 2 * 3 * 4 * (2 * 64 * 32 + 4 * 32);
        // Input; output, drive, signal.
        let activity = 2 * 48 * 10 * 4 * (64 + 3 * 32);
        let uniforms = report.working_bytes - losses - partials - activity;
        assert_eq!(uniforms % UNIFORM_BYTES, 0);
        assert!(uniforms > 0 && uniforms <= report.dispatches as u64 * UNIFORM_BYTES);
        assert_eq!(report.bytes(), report.resident_bytes + report.working_bytes);
    }

    #[test]
    fn groups_cuts_and_segments_are_counted() {
        let profile = Profile {
            binding_bytes: 60_000,
            ..Profile::default()
        };
        let network = Network::new(
            Loss::None,
            [Layer::from(
                Plastic::new(64, 8, Rate::learned(0.1)).activation(Activation::Tanh),
            )],
        );
        let network = network.unwrap();
        let report = plan(&network, &profile, 16, 3, 600).unwrap();
        assert_eq!((report.groups, report.cuts), (16, 3));
        assert!(report.segments > 1, "{}", report.segments);
        let whole = plan(&network, &Profile::default(), 16, 3, 600).unwrap();
        assert!(report.dispatches > report.groups * whole.dispatches);
    }

    /// A learner makes its groups before it knows the batch, and splits them when it does.
    #[test]
    fn groups_are_those_of_a_learner() {
        let network = Network::new(
            Loss::SquaredError,
            [Layer::from(
                Plastic::new(6, 2, Rate::learned(0.1)).activation(Activation::Tanh),
            )],
        )
        .unwrap();
        for (population, batch, steps, binding_bytes) in [
            (64, 16, 50, 400_000),
            (8, 1, 2000, 400_000),
            (2000, 100, 2, 400_000),
            (3001, 40, 3, 30_000),
            (1, 40, 3, 30_000),
            (100_000, 1000, 20, 128 << 20),
        ] {
            let profile = Profile {
                binding_bytes,
                ..Profile::default()
            };
            let first = group_size(&network, &profile, &Work::first(&network, population));
            let work = Work::training(&network, population, batch, steps);
            let size = group_size(&network, &profile, &work);
            let groups: Vec<_> = crate::gpu::cuts::split(0..population, first)
                .flat_map(|group| crate::gpu::cuts::split(group, size))
                .collect();
            let report = plan(&network, &profile, population, batch, steps).unwrap();
            assert_eq!(report.groups, groups.len(), "{population}");
            let dispatches = |networks| {
                let plan = Plan::new(&network, &profile, work.of(networks)).unwrap();
                plan.dispatches().count()
            };
            let all: usize = groups.iter().map(|group| dispatches(group.len())).sum();
            assert_eq!(report.dispatches, all, "{population}");
        }
    }

    #[test]
    fn workgroup_memory_is_held_to_its_limit() {
        let wide = Network::new(
            Loss::None,
            [Layer::from(
                Plastic::new(4096, 8, Rate::learned(0.1)).activation(Activation::Tanh),
            )],
        );
        let wide = wide.unwrap();
        let profile = |workgroup_bytes| Profile {
            subgroup_size: 1,
            workgroup_bytes,
            ..Profile::default()
        };
        let report = plan(&wide, &profile(32 << 10), 1, 16, 4).unwrap();
        let most = report.kernels.iter().map(|kernel| kernel.workgroup_bytes);
        let most = most.max().unwrap();
        assert!(most >= 128 * 4, "{most}");
        plan(&wide, &profile(most), 1, 16, 4).unwrap();
        let error = plan(&wide, &profile(most - 1), 1, 16, 4).unwrap_err();
        assert!(
            matches!(&error, Error::DeviceLimit { requested, limit, .. } if (*requested, *limit) == (most, most - 1)),
            "{error}"
        );
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let network = network(Loss::SquaredError);
        let plan = |population, batch, steps| {
            plan(&network, &Profile::default(), population, batch, steps)
        };
        for (sizes, field) in [
            ((0, 1, 1), "population"),
            ((1, 0, 1), "batch"),
            ((1, 1, 0), "steps"),
            ((1, usize::MAX, 1), "batch"),
        ] {
            let error = plan(sizes.0, sizes.1, sizes.2).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let most = i32::MAX as usize;
        plan(most, most, most).unwrap_err();
        let huge = Layer::from(Dense::new(1 << 24, 1 << 24));
        let huge = Network::new(Loss::None, [huge.clone(), huge]).unwrap();
        super::plan(&huge, &Profile::default(), most, 1, 1).unwrap_err();
    }
}
