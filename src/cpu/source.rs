//! Where the CPU engine has its episodes from: the caller's arrays, or a task.

use super::job::Job;
use crate::dynamics::Dynamics;
use crate::episodes::{Episodes, Mask, Objective};
use crate::network::Dynamic;
use crate::number::Real;
use crate::tasks::EpisodeSource;
use ndarray::{ArrayView, Axis, CowArray, Dimension, Ix4};
use std::ops::Range;

/// Where episodes come from.
pub(super) enum Source<'a, R> {
    /// The caller's arrays.
    Given(Box<Given<'a, R>>),
    /// A task's generator.
    Generated(Box<Generator<'a, R>>),
}

/// A task's generator.
pub(super) struct Generator<'a, R> {
    source: &'a EpisodeSource,
    /// How much each step counts, `[T]`, where that is the same in all episodes.
    mask: Option<Vec<R>>,
}

/// The caller's arrays, in standard layout.
pub(super) struct Given<'a, R> {
    /// None where the episodes have been run.
    input: Option<CowArray<'a, R, Ix4>>,
    /// A target or an output gradient, by `is_target`.
    objective: Option<CowArray<'a, R, Ix4>>,
    is_target: bool,
    mask: &'a Mask<R>,
    given: Dynamics<'a, R>,
    final_gradients: Dynamics<'a, R>,
}

impl<'a, R: Real> Source<'a, R> {
    /// The caller's episodes.
    pub fn given(episodes: &'a Episodes<'_, R>) -> Self {
        Self::of(
            Some(&episodes.input),
            &episodes.objective,
            episodes.given.contiguous(),
            episodes.final_gradients.contiguous(),
        )
    }

    /// The same without what is differentiated.
    pub fn forward(episodes: &'a Episodes<'_, R>) -> Self {
        Self::of(
            Some(&episodes.input),
            &Objective::None,
            episodes.given.contiguous(),
            Dynamics::new(),
        )
    }

    /// A task's episodes.
    pub fn generated(source: &'a EpisodeSource) -> Self {
        let task = &*source.task;
        let counts = |step| R::from_f64(f64::from(task.counts(step)));
        let mask = (!task.counts_by_episode()).then(|| (0..task.steps()).map(counts).collect());
        Self::Generated(Box::new(Generator { source, mask }))
    }

    /// What a reverse sweep begins with, for episodes that have been run.
    pub fn upstream(objective: &'a Objective<'_, R>, final_gradients: &'a Dynamics<'_, R>) -> Self {
        Self::of(
            None,
            objective,
            Dynamics::new(),
            final_gradients.contiguous(),
        )
    }

    fn of(
        input: Option<&'a CowArray<'_, R, Ix4>>,
        objective: &'a Objective<'_, R>,
        given: Dynamics<'a, R>,
        final_gradients: Dynamics<'a, R>,
    ) -> Self {
        let contiguous = |array: &'a CowArray<'_, R, Ix4>| array.as_standard_layout();
        let (objective, is_target, mask) = match objective {
            Objective::Target { target, mask } => (Some(contiguous(target)), true, mask),
            Objective::OutputGradient(gradient) => (Some(contiguous(gradient)), false, &Mask::All),
            Objective::None => (None, false, &Mask::All),
        };
        Self::Given(Box::new(Given {
            input: input.map(contiguous),
            objective,
            is_target,
            mask,
            given,
            final_gradients,
        }))
    }

    /// Some episodes; `generated` holds them where a task makes them.
    pub fn group<'b>(&'b self, which: Which, generated: &'b mut Generated<R>) -> Group<'b, 'a, R> {
        match self {
            Self::Generated(task) => {
                let Generated { arrays, masks } = generated;
                let [input, target] = match which.lanes {
                    NextLane::Episodes => arrays.episodes(task.source, &which),
                    NextLane::Networks(lanes) => arrays.networks(task.source, &which, lanes),
                };
                let (mask, apart) = match &task.mask {
                    Some(mask) => (mask, 0),
                    None => (masks.fill(task.source, &which), task.source.task.steps()),
                };
                Group {
                    input: Some(input),
                    objective: Some(target),
                    is_target: true,
                    origin: Origin::Task { mask, apart },
                }
            }
            Self::Given(given) => Group {
                input: given.input.as_ref().map(|input| which.of(&input.view())),
                objective: given
                    .objective
                    .as_ref()
                    .map(|objective| which.of(&objective.view())),
                is_target: given.is_target,
                origin: Origin::Given(given, which),
            },
        }
    }
}

/// Which episodes go together, one in each lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which {
    pub lanes: NextLane,
    /// Of the first lane.
    pub network: usize,
    /// Of the first lane, in its batch.
    pub episode: usize,
    /// How many episodes.
    pub count: usize,
    pub meta_step: u32,
}

/// What the next lane has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum NextLane {
    /// The next episode of the same network.
    Episodes,
    /// The same episode of the next network; there are so many lanes.
    Networks(usize),
}

impl Which {
    /// Network and episode of lane `n`.
    fn lane(&self, n: usize) -> (usize, usize) {
        match self.lanes {
            NextLane::Episodes => (self.network, self.episode + n),
            NextLane::Networks(_) => (self.network + n, self.episode),
        }
    }

    /// Their part of an array of all episodes, which may be the same for all networks.
    fn of<'a, R, D: Dimension>(&self, array: &ArrayView<'a, R, D>) -> Values<'a, R> {
        let (networks, batch) = (array.len_of(Axis(0)), array.len_of(Axis(1)));
        let all = array.to_slice().expect("in standard layout");
        let size = all.len() / (networks * batch);
        let (network, of_network) = match networks {
            1 => (0, 0),
            _ => (self.network, batch * size),
        };
        let apart = match self.lanes {
            NextLane::Episodes => size,
            NextLane::Networks(_) => of_network,
        };
        let first = (network * batch + self.episode) * size;
        Values::Rows {
            values: &all[first..][..(self.count - 1) * apart + size],
            apart,
        }
    }
}

/// An array of a group's episodes.
#[derive(Clone, Copy)]
pub(super) enum Values<'a, R> {
    /// One episode after the other: element `k` of lane `n` is at `n · apart + k`.
    Rows { values: &'a [R], apart: usize },
    /// One in each lane, `[…, W]`, as a task makes them.
    Lanes(&'a [f32]),
}

/// A block of one network's episodes.
pub(super) struct Block<'a, 's, R> {
    source: &'a Source<'s, R>,
    network: usize,
    meta_step: u32,
    /// Of the batch.
    pub episodes: Range<usize>,
}

impl<'a, 's, R: Real> Block<'a, 's, R> {
    pub fn new(
        job: &Job,
        source: &'a Source<'s, R>,
        network: usize,
        meta_step: u32,
        number: usize,
    ) -> Self {
        let first = number * job.block;
        Self {
            source,
            network,
            meta_step,
            episodes: first..(first + job.block).min(job.request.batch),
        }
    }

    /// The `episodes` of the batch; `generated` holds them where the task makes them.
    pub fn group<'b>(
        &'b self,
        episodes: Range<usize>,
        generated: &'b mut Generated<R>,
    ) -> Group<'b, 's, R> {
        let which = Which {
            lanes: NextLane::Episodes,
            network: self.network,
            episode: episodes.start,
            count: episodes.len(),
            meta_step: self.meta_step,
        };
        self.source.group(which, generated)
    }
}

/// Room for a task's episodes, taken when it is needed.
#[derive(Clone, Debug)]
pub(super) struct Generated<R> {
    arrays: Arrays<R>,
    masks: Masks<R>,
}

impl<R> Default for Generated<R> {
    fn default() -> Self {
        Self {
            arrays: Arrays {
                drawn: Default::default(),
                values: Default::default(),
            },
            masks: Masks {
                counts: Vec::new(),
                values: Vec::new(),
            },
        }
    }
}

/// Room for masks, where each episode has its own: `values` has a group's, one after the other.
#[derive(Clone, Debug)]
struct Masks<R> {
    counts: Vec<bool>,
    values: Vec<R>,
}

impl<R: Real> Masks<R> {
    /// Those of some episodes, `[count, T]`.
    fn fill(&mut self, source: &EpisodeSource, which: &Which) -> &Vec<R> {
        self.counts.resize(source.task.steps(), false);
        self.values.clear();
        for n in 0..which.count {
            let (network, episode) = which.lane(n);
            source.fill_counts(network, which.meta_step, episode as u32, &mut self.counts);
            let counts = self.counts.iter().map(|&counts| f64::from(counts));
            self.values.extend(counts.map(R::from_f64));
        }
        &self.values
    }
}

/// Room for input and target of each episode. Of one network: `drawn` has an episode as
/// it is drawn, `[T, I]` and `[T, O]`, `values` a group's, one after the other. Of several: `drawn` has a group's, one in each lane,
/// `[T, I, W]` and `[T, O, W]`.
#[derive(Clone, Debug)]
struct Arrays<R> {
    drawn: [Vec<f32>; 2],
    values: [Vec<R>; 2],
}

impl<R: Real> Arrays<R> {
    /// Input and target of some episodes of one network.
    fn episodes(&mut self, source: &EpisodeSource, which: &Which) -> [Values<'_, R>; 2] {
        let sizes = sizes(source);
        let Self { drawn, values } = self;
        for ((drawn, values), size) in drawn.iter_mut().zip(&mut *values).zip(sizes) {
            drawn.resize(size, 0.0);
            values.resize(which.count * size, R::zero());
        }
        for n in 0..which.count {
            let [input, target] = &mut *drawn;
            input.fill(0.0);
            target.fill(0.0);
            let episode = (which.episode + n) as u32;
            source.fill(which.network, which.meta_step, episode, input, target);
            for ((from, to), size) in drawn.iter().zip(&mut *values).zip(sizes) {
                for (to, &value) in to[n * size..].iter_mut().zip(from) {
                    *to = R::from_f64(f64::from(value));
                }
            }
        }
        let [input, target] = &*values;
        [(input, sizes[0]), (target, sizes[1])]
            .map(|(values, apart)| Values::Rows { values, apart })
    }

    /// Input and target of an episode of each of some networks.
    fn networks(
        &mut self,
        source: &EpisodeSource,
        which: &Which,
        lanes: usize,
    ) -> [Values<'_, R>; 2] {
        for (drawn, size) in self.drawn.iter_mut().zip(sizes(source)) {
            drawn.resize(size * lanes, 0.0);
        }
        let [input, target] = &mut self.drawn;
        let networks = which.network..which.network + which.count;
        let number = (which.meta_step, which.episode as u32);
        source.fill_side_by_side(networks, number, lanes, input, target);
        [&*input, &*target].map(|drawn| Values::Lanes(drawn))
    }
}

/// Elements of an episode's input and target.
fn sizes(source: &EpisodeSource) -> [usize; 2] {
    let task = &source.task;
    [task.inputs(), task.outputs()].map(|size| task.steps() * size)
}

/// Episodes that go together.
pub(super) struct Group<'a, 's, R> {
    /// `[T, I]` of each; none where they have been run.
    pub input: Option<Values<'a, R>>,
    /// Targets or gradients on the output, by `is_target`, `[T, O]` of each; none for gradients of zero.
    pub objective: Option<Values<'a, R>>,
    pub is_target: bool,
    origin: Origin<'a, 's, R>,
}

enum Origin<'a, 's, R> {
    /// How much each step counts, of each episode `apart` values after the one before.
    Task {
        mask: &'a [R],
        apart: usize,
    },
    Given(&'a Given<'s, R>, Which),
}

impl<'s, R: Real> Group<'_, 's, R> {
    /// How much the loss of step `t` of the group's episode `n` counts.
    pub fn mask(&self, n: usize, t: usize) -> R {
        match &self.origin {
            Origin::Task { mask, apart } => mask[n * apart + t],
            Origin::Given(given, which) => match given.mask {
                Mask::All => R::one(),
                Mask::Steps(mask) => mask[t],
                Mask::Episodes(mask) => {
                    let (network, episode) = which.lane(n);
                    let network = if mask.dim().0 == 1 { 0 } else { network };
                    mask[[network, episode, t]]
                }
            },
        }
    }

    /// The same of every step, `[T, width]`; zero in lanes without an episode, of which there are `count`.
    pub fn write_mask(&self, count: usize, width: usize, to: &mut [R]) {
        for (t, to) in to.chunks_exact_mut(width).enumerate() {
            let (used, unused) = to.split_at_mut(count);
            unused.fill(R::zero());
            match &self.origin {
                Origin::Task { mask, apart: 0 } => used.fill(mask[t]),
                Origin::Task { .. } | Origin::Given(..) => {
                    for (n, mask) in used.iter_mut().enumerate() {
                        *mask = self.mask(n, t);
                    }
                }
            }
        }
    }

    /// What a layer is given, of each: the trace at the first step `[O, J]`, say.
    pub fn given(&self, layer: usize, dynamic: Dynamic) -> Option<Values<'_, R>> {
        self.of_layer(layer, dynamic, |given| &given.given)
    }

    /// The gradient on what a layer has after the last step.
    pub fn final_gradient(&self, layer: usize, dynamic: Dynamic) -> Option<Values<'_, R>> {
        self.of_layer(layer, dynamic, |given| &given.final_gradients)
    }

    fn of_layer<'b>(
        &'b self,
        layer: usize,
        dynamic: Dynamic,
        arrays: impl Fn(&'b Given<'s, R>) -> &'b Dynamics<'s, R>,
    ) -> Option<Values<'b, R>> {
        match &self.origin {
            Origin::Task { .. } => None,
            Origin::Given(given, which) => Some(which.of(&arrays(given).get(layer, dynamic)?)),
        }
    }
}
