//! Plans, made without a device: which buffers a computation needs, how it is cut, and what is dispatched in which order.

use super::arrays::{Lengths, Working};
use super::cuts::{cut_sizes, require_residents, require_whole};
use super::fusion::Fusion;
use super::kernel::Kernel;
use super::layout::{DeviceLayout, LayerLayout};
use super::profile::Profile;
use super::record::{Cut, Dispatch, Recorder};
use super::stages::Stages;
use super::variant::{Sweep, sweeps};
use super::work::Work;
use crate::computation::Checkpoints;
use crate::error::{Error, Result};
use crate::network::Network;
use std::ops::Range;

/// Dispatches of one meta-step of a group, about: at some milliseconds each, more would take days.
const MOST_DISPATCHES: u64 = 1 << 20;

/// A computation, ready to be run on a device.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub work: Work,
    pub layout: DeviceLayout,
    pub kernels: Vec<Kernel>,
    /// The batch's buffers and their bytes.
    pub buffers: Vec<(Working, u64)>,
    pub segments: Vec<Range<usize>>,
    /// By layer; none where one kernel does everything of a meta-step.
    pub sweeps: Vec<Sweep>,
    /// Meta-steps that one dispatch does at most, where one kernel does everything of a meta-step.
    pub fused: Option<usize>,
    pub cuts: Vec<Cut>,
    /// The forward half of the whole batch step by step, where it may be done so.
    pub steps: Vec<Vec<Dispatch>>,
    /// What follows the last cut: checks and optimiser.
    pub finish: Vec<Dispatch>,
}

impl Plan {
    /// Plans the work of one group of networks, no more than [`group_size`] says.
    ///
    /// [`group_size`]: super::cuts::group_size
    pub fn new(network: &Network, profile: &Profile, work: Work) -> Result<Self> {
        let layout = DeviceLayout::new(network, profile);
        require_residents(&layout, profile, work.learn)?;
        match Fusion::new(network, profile, &layout, &work)? {
            Some(fusion) => Self::fused(profile, layout, work, fusion),
            None => Self::separate(network, profile, work),
        }
    }

    /// One dispatch of one kernel.
    fn fused(profile: &Profile, layout: DeviceLayout, work: Work, fusion: Fusion) -> Result<Self> {
        let buffers = fusion.buffers(&layout, &work);
        let stages = Stages::new(&layout, &work, &[]);
        let mut recorder = Recorder::new(&stages, &[], profile);
        recorder.take(fusion.purpose, fusion.kernel);
        let dispatch = recorder.whole(fusion.purpose)?;
        Ok(Self {
            kernels: recorder.kernels,
            buffers,
            segments: std::iter::once(0..work.request.steps).collect(),
            sweeps: Vec::new(),
            fused: Some(fusion.meta_steps),
            cuts: vec![Cut {
                episodes: 0..work.request.batch,
                forward: vec![dispatch],
                backward: Vec::new(),
            }],
            steps: Vec::new(),
            finish: Vec::new(),
            layout,
            work,
        })
    }

    /// Plans the work as separate kernels, which any work can be.
    pub fn separate(network: &Network, profile: &Profile, work: Work) -> Result<Self> {
        let layout = DeviceLayout::new(network, profile);
        layout.require_registers(profile)?;
        if work.is_whole {
            require_whole(network, profile, &layout, &work)?;
        }
        let (episodes, steps) = cut_sizes(network, profile, &layout, &work)?;
        require_dispatches(&layout, &work, episodes, steps)?;
        let segments = (0..work.request.steps).step_by(steps);
        let segments: Vec<_> = segments
            .map(|first| first..(first + steps).min(work.request.steps))
            .collect();
        let sweeps = sweeps(&layout, &work, steps);
        let stages = Stages::new(&layout, &work, &sweeps);
        let lengths = Lengths::new(&work, episodes, steps);
        let arrays = stages.arrays(segments.len()).into_iter();
        let buffers = arrays
            .map(|array| (array, array.shape(&layout, &work, &sweeps).bytes(&lengths)))
            .collect();
        let mut recorder = Recorder::new(&stages, &segments, profile);
        let batch = work.request.batch;
        let cuts = (0..batch)
            .step_by(episodes)
            .map(|first| recorder.cut(first..(first + episodes).min(batch)))
            .collect::<Result<_>>()?;
        let steps = recorder.steps()?;
        let finish = recorder.finish()?;
        recorder.require_workgroup_memory(profile.workgroup_bytes)?;
        Ok(Self {
            kernels: recorder.kernels,
            buffers,
            fused: None,
            cuts,
            steps,
            finish,
            segments,
            sweeps,
            layout,
            work,
        })
    }

    /// Bytes of the batch's buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers
            .iter()
            .fold(0, |sum, &(_, bytes)| sum.saturating_add(bytes))
    }

    /// How many traces are kept of an episode for the reverse sweep, in the layer with most of them; and the bytes of all, an
    /// eligibility trace with each.
    pub fn checkpoints(&self) -> (usize, u64) {
        let mut of_layers = vec![0; self.layout.layers.len()];
        let mut all = 0u64;
        for &(array, bytes) in &self.buffers {
            match array {
                Working::Kept(layer) => {
                    of_layers[layer] += Checkpoints::of(self.work.request.steps).count();
                    all = all.saturating_add(bytes);
                }
                Working::Traces(layer, _) => {
                    let traces = &self.sweeps[layer].traces;
                    of_layers[layer] += traces.kept;
                    all = all.saturating_add(bytes / traces.count as u64 * traces.kept as u64);
                }
                _ => {}
            }
        }
        (of_layers.into_iter().max().unwrap_or(0), all)
    }

    /// Every dispatch that there may be.
    pub fn all_dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.dispatches().chain(self.steps.iter().flatten())
    }

    /// Every dispatch of a meta-step, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        let cuts = self.cuts.iter().flat_map(Cut::dispatches);
        cuts.chain(&self.finish)
    }
}

fn require_dispatches(
    layout: &DeviceLayout,
    work: &Work,
    episodes: usize,
    steps: usize,
) -> Result<()> {
    // Of a cell, that many at each step.
    let of_layer = |layer: &LayerLayout| match layer.cell {
        Some(_) => 8 * steps as u64,
        None => 3,
    };
    let per_segment = layout.layers.iter().map(of_layer).sum();
    let dispatches = (work.request.batch.div_ceil(episodes) as u64)
        .saturating_mul(work.request.steps.div_ceil(steps) as u64)
        .saturating_mul(per_segment);
    if dispatches > MOST_DISPATCHES {
        return Err(Error::DeviceLimit {
            what: "dispatches of a meta-step, as the device's limits cut it".into(),
            requested: dispatches,
            limit: MOST_DISPATCHES,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::computation::{EPISODE_BLOCK, InCommon, ObjectiveKind, Request};
    use crate::gpu::cuts::group_size;
    use crate::network::{Activation, Dense, Layer, Loss, Plastic, Rate};

    fn network() -> Network {
        Network::new(
            Loss::SquaredError,
            [
                Layer::from(Plastic::new(64, 32, Rate::learned(0.1)).activation(Activation::Tanh)),
                Layer::from(Dense::new(32, 4)),
            ],
        )
        .unwrap()
    }

    fn work(batch: usize, steps: usize) -> Work {
        let mut request = Request::training(&network(), batch, steps);
        request.want.input_gradient = true;
        Work::new(2, request)
    }

    /// The same, of one network with one layer.
    fn of_one(network: &Network, batch: usize, steps: usize) -> Work {
        let mut request = Request::training(network, batch, steps);
        request.want.input_gradient = true;
        Work::new(1, request)
    }

    fn plan(binding_bytes: u64, work: Work) -> Result<Plan> {
        let profile = Profile {
            binding_bytes,
            ..Profile::default()
        };
        Plan::new(&network(), &profile, work)
    }

    #[test]
    fn cuts_cover_the_batch_and_fit_the_limit() {
        for limit in [1 << 27, 1 << 20, 1 << 18, 1 << 17, 100_000, 70_000] {
            let plan = plan(limit, work(40, 30)).unwrap();
            let covered: Vec<_> = plan
                .cuts
                .iter()
                .flat_map(|cut| cut.episodes.clone())
                .collect();
            assert_eq!(covered, (0..40).collect::<Vec<_>>());
            let steps: Vec<_> = plan.segments.iter().cloned().flatten().collect();
            assert_eq!(steps, (0..30).collect::<Vec<_>>());
            for cut in &plan.cuts {
                let (start, end) = (cut.episodes.start, cut.episodes.end);
                let whole = start.is_multiple_of(EPISODE_BLOCK);
                assert!(
                    whole || start / EPISODE_BLOCK == (end - 1) / EPISODE_BLOCK,
                    "{:?}",
                    cut.episodes
                );
            }
            assert!(
                plan.buffers.iter().all(|&(_, bytes)| bytes <= limit),
                "{limit}"
            );
        }
    }

    #[test]
    fn everything_fits_at_once_where_it_can() {
        let plan = plan(1 << 27, work(40, 30)).unwrap();
        assert_eq!((plan.cuts.len(), plan.segments.len()), (1, 1));
        let names: Vec<_> = plan.cuts[0]
            .dispatches()
            .map(|dispatch| plan.kernels[dispatch.kernel].name)
            .collect();
        assert_eq!(
            names,
            [
                "forward",
                "forward",
                "loss",
                "sum_losses",
                "backward",
                "input_gradient",
                "backward",
                "input_gradient",
                "reduce_rows",
                "reduce"
            ]
        );
    }

    #[test]
    fn time_is_cut_where_an_episode_does_not_fit() {
        let plan = plan(160_000, work(3, 1000)).unwrap();
        assert!(plan.segments.len() > 1);
        assert_eq!(plan.cuts.len(), 3);
        let adjoint = |layer: usize| plan.sweeps[layer].variant.adjoint;
        assert!(adjoint(0) && !adjoint(1));
    }

    #[test]
    fn what_no_cut_makes_fit_is_refused_with_numbers() {
        let error = plan(10_000, work(1, 10)).unwrap_err();
        assert!(
            matches!(error, Error::DeviceLimit { limit: 10_000, .. }),
            "{error}"
        );
    }

    #[test]
    fn traces_are_kept_for_the_gradient_of_a_retention() {
        let traces = |rate: Rate, steps: usize, binding_bytes: u64| {
            let layer = Layer::from(Plastic::new(64, 32, rate).activation(Activation::Tanh));
            let network = Network::new(Loss::SquaredError, [layer]).unwrap();
            let work = of_one(&network, 1, steps);
            let profile = Profile {
                binding_bytes,
                ..Profile::default()
            };
            let plan = Plan::new(&network, &profile, work).unwrap();
            let plane = 4 * 64 * 32;
            let traces = plan.buffers.iter();
            traces
                .filter(|(buffer, _)| matches!(buffer, Working::Traces(..)))
                .map(|(_, bytes)| bytes / plane)
                .collect::<Vec<_>>()
        };
        let (learned, fixed) = (Rate::learned(0.1), Rate::fixed(0.1));
        // After every 16 steps but the last.
        assert_eq!(traces(learned, 16, 1 << 27), [0u64; 0]);
        assert_eq!(traces(learned, 17, 1 << 27), [1]);
        assert_eq!(traces(learned, 64, 1 << 27), [3]);
        assert_eq!(traces(learned, 65, 1 << 27), [4]);
        assert_eq!(traces(fixed, 64, 1 << 27), [0u64; 0]);
        // Segments have theirs, and the traces at their ends.
        let segments = traces(learned, 300, 70_000);
        assert!(
            segments.len() > 1 && segments.iter().all(|&planes| planes <= 8),
            "{segments:?}"
        );
    }

    #[test]
    fn what_networks_have_in_common_is_there_once() {
        let bytes = |networks: usize, in_common: InCommon, is_meta_step: bool| {
            let layer = match is_meta_step {
                true => Plastic::new(8, 4, Rate::learned(0.1)),
                false => Plastic::new(64, 32, Rate::learned(0.1)),
            };
            let network = Network::new(Loss::SquaredError, [layer]).unwrap();
            let mut request = Request::training(&network, 3, 10);
            request.objective = ObjectiveKind::Target {
                mask_per_episode: true,
            };
            request.in_common = in_common;
            let work = Work {
                is_meta_step,
                learn: is_meta_step,
                ..Work::new(networks, request)
            };
            let plan = Plan::new(&network, &Profile::default(), work).unwrap();
            assert_eq!(plan.fused.is_some(), is_meta_step);
            plan.bytes()
        };
        let own = InCommon::default();
        let [input, target, mask] = [
            (true, false, false),
            (false, true, false),
            (false, false, true),
        ]
        .map(|(input, target, mask)| InCommon {
            input,
            target,
            mask,
        });
        // Episodes, steps, and neurons of the input and the output.
        for (is_meta_step, [inputs, outputs]) in [(true, [8, 4]), (false, [64, 32])] {
            let of_network = |neurons: u64| 3 * 10 * 4 * neurons;
            for (in_common, neurons) in [(input, inputs), (target, outputs), (mask, 1)] {
                let saved = bytes(7, own, is_meta_step) - bytes(7, in_common, is_meta_step);
                assert_eq!(saved, 6 * of_network(neurons), "{in_common:?}");
                let alone = bytes(1, in_common, is_meta_step);
                assert_eq!(alone, bytes(1, own, is_meta_step));
            }
        }
    }

    #[test]
    fn loops_are_cut_to_the_turns_that_a_device_takes() {
        let profile = Profile {
            loop_turns: 65_535,
            ..Profile::default()
        };
        let sizes = |layer: Layer, batch: usize, steps: usize| {
            let network = Network::new(Loss::SquaredError, [layer]).unwrap();
            let mut work = of_one(&network, batch, steps);
            work.request.objective = ObjectiveKind::OutputGradient;
            let whole = Plan::new(&network, &Profile::default(), work.clone()).unwrap();
            assert_eq!((whole.cuts.len(), whole.segments.len()), (1, 1));
            let plan = Plan::new(&network, &profile, work)?;
            Ok::<_, Error>((plan.cuts.len(), plan.segments.len()))
        };
        let fixed =
            || Layer::from(Plastic::new(3, 2, Rate::fixed(0.1)).activation(Activation::Tanh));
        assert_eq!(sizes(fixed(), 16, 4000).unwrap(), (1, 1));
        assert_eq!(sizes(fixed(), 16, 4200).unwrap(), (2, 1));
        assert_eq!(sizes(fixed(), 1, 65_532).unwrap(), (1, 3));
        // A small retention looks back over up to 16 steps.
        let learned =
            || Layer::from(Plastic::new(3, 2, Rate::learned(0.1)).activation(Activation::Tanh));
        assert_eq!(sizes(learned(), 16, 220).unwrap(), (1, 1));
        assert_eq!(sizes(learned(), 16, 4200).unwrap(), (16, 2));
        // Four columns of the input go over 256 times four rows, forwards and backwards.
        let wide =
            Layer::from(Plastic::new(6, 1024, Rate::learned(0.02)).activation(Activation::Tanh));
        assert_eq!(sizes(wide, 1, 140).unwrap(), (1, 2));
        // No cut makes a layer's loops over its rows shorter.
        let error = sizes(
            Layer::from(Dense::new(1, 1 << 18).activation(Activation::Tanh)),
            1,
            1,
        )
        .unwrap_err();
        assert!(
            matches!(&error, Error::DeviceLimit { what, requested, limit: 65_535 }
                if what.contains("the kernel input_gradient") && *requested > 65_535),
            "{error}"
        );
    }

    #[test]
    fn what_is_resident_of_one_network_must_fit_a_binding() {
        // Eight bytes a parameter are the most.
        let layout = DeviceLayout::new(&network(), &Profile::default());
        let bytes = 8 * layout.stride as u64;
        let profile = Profile {
            binding_bytes: bytes,
            ..Profile::default()
        };
        require_residents(&layout, &profile, true).unwrap();
        let learning = Work {
            learn: true,
            ..work(1, 1)
        };
        let error = plan(bytes - 1, learning).unwrap_err();
        assert!(
            matches!(&error, Error::DeviceLimit { what, requested, .. } if what.contains("of one network") && *requested == bytes),
            "{error}"
        );
    }

    #[test]
    fn whether_meta_steps_are_one_kernel_does_not_depend_on_the_population() {
        let small = Network::new(
            Loss::SquaredError,
            [Layer::from(
                Plastic::new(3, 2, Rate::learned(0.1)).activation(Activation::Tanh),
            )],
        )
        .unwrap();
        for binding_bytes in [20_000, 100_000, 128 << 20] {
            let profile = Profile {
                binding_bytes,
                ..Profile::default()
            };
            let fused = |networks: usize| {
                let work = Work::training(&small, networks, 16, 50);
                let plan = Plan::new(&small, &profile, work).unwrap();
                assert!(
                    plan.buffers
                        .iter()
                        .all(|&(_, bytes)| bytes <= binding_bytes)
                );
                plan.fused.is_some()
            };
            let work = Work::training(&small, 100_000, 16, 50);
            let size = group_size(&small, &profile, &work);
            assert!(size > 1 || binding_bytes == 20_000, "{size}");
            for networks in [1, size / 2, size] {
                assert_eq!(fused(networks.max(1)), fused(1), "{networks}");
            }
        }
    }

    #[test]
    fn a_dispatch_has_no_more_workgroups_than_allowed() {
        let profile = Profile {
            workgroups: 3,
            ..Profile::default()
        };
        let plan = Plan::new(&network(), &profile, work(40, 3)).unwrap();
        for dispatch in plan.cuts[0].dispatches() {
            assert!(dispatch.workgroups[0] <= 3 && dispatch.workgroups[0] > 0);
        }
    }
}
