//! Where the CPU engine has its episodes from: the caller's arrays, or a task.

use super::job::Job;
use crate::episodes::{Episodes, Mask, Objective, Traces};
use crate::number::Real;
use crate::tasks::EpisodeSource;
use ndarray::{ArrayView4, CowArray, Ix4};
use std::collections::BTreeMap;
use std::ops::Range;

/// Where episodes come from.
pub(super) enum Source<'a, R> {
    /// The caller's arrays.
    Given(Box<Given<'a, R>>),
    /// A task's generator.
    Generated(&'a EpisodeSource),
}

/// The caller's arrays, in standard layout.
pub(super) struct Given<'a, R> {
    /// None where the episodes have been run.
    input: Option<CowArray<'a, R, Ix4>>,
    /// A target or an output gradient, by `is_target`.
    objective: Option<CowArray<'a, R, Ix4>>,
    is_target: bool,
    mask: &'a Mask<R>,
    initial_traces: Traces<'a, R>,
    trace_gradients: Traces<'a, R>,
}

impl<'a, R: Real> Source<'a, R> {
    /// The caller's episodes.
    pub fn given(episodes: &'a Episodes<'_, R>) -> Self {
        Self::of(
            Some(&episodes.input),
            &episodes.objective,
            &episodes.initial_traces,
            &episodes.trace_gradients,
        )
    }

    /// The same without what is differentiated.
    pub fn forward(episodes: &'a Episodes<'_, R>) -> Self {
        let none = const { &BTreeMap::new() };
        Self::of(
            Some(&episodes.input),
            &Objective::None,
            &episodes.initial_traces,
            none,
        )
    }

    /// What a reverse sweep begins with, for episodes that have been run.
    pub fn upstream(objective: &'a Objective<'_, R>, trace_gradients: &'a Traces<'_, R>) -> Self {
        Self::of(None, objective, const { &BTreeMap::new() }, trace_gradients)
    }

    fn of(
        input: Option<&'a CowArray<'_, R, Ix4>>,
        objective: &'a Objective<'_, R>,
        initial_traces: &'a Traces<'_, R>,
        trace_gradients: &'a Traces<'_, R>,
    ) -> Self {
        let contiguous = |array: &'a CowArray<'_, R, Ix4>| array.as_standard_layout();
        let traces = |traces: &'a Traces<'_, R>| {
            let traces = traces.iter();
            traces
                .map(|(&layer, trace)| (layer, contiguous(trace)))
                .collect()
        };
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
            initial_traces: traces(initial_traces),
            trace_gradients: traces(trace_gradients),
        }))
    }

    fn group<'b>(
        &'b self,
        index: usize,
        meta_step: u32,
        episodes: Range<usize>,
        generated: &'b mut Generated<R>,
    ) -> Group<'b, 'a, R> {
        match self {
            Self::Generated(source) => {
                let Generated { drawn, values } = generated;
                let task = &source.task;
                let sizes = [task.inputs(), task.outputs()].map(|size| task.steps() * size);
                drawn.0.resize(sizes[0], 0.0);
                drawn.1.resize(sizes[1], 0.0);
                values.0.resize(episodes.len() * sizes[0], R::zero());
                values.1.resize(episodes.len() * sizes[1], R::zero());
                for (n, b) in episodes.enumerate() {
                    drawn.0.fill(0.0);
                    drawn.1.fill(0.0);
                    source.fill(index, meta_step, b as u32, &mut drawn.0, &mut drawn.1);
                    let arrays = [(&mut values.0, &drawn.0), (&mut values.1, &drawn.1)];
                    for ((to, from), size) in arrays.into_iter().zip(sizes) {
                        for (to, &value) in to[n * size..].iter_mut().zip(from) {
                            *to = R::from_f64(f64::from(value));
                        }
                    }
                }
                Group {
                    input: &values.0,
                    objective: Some(&values.1),
                    is_target: true,
                    origin: Origin::Task(source),
                }
            }
            Self::Given(given) => Group {
                input: match &given.input {
                    Some(input) => part(input, index, episodes.clone()),
                    None => &[],
                },
                objective: given
                    .objective
                    .as_ref()
                    .map(|objective| part(objective, index, episodes.clone())),
                is_target: given.is_target,
                origin: Origin::Given(given, index, episodes),
            },
        }
    }
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
        self.source
            .group(self.network, self.meta_step, episodes, generated)
    }
}

/// Room for a task's episodes, taken when it is needed: one as it is drawn, and a group.
#[derive(Clone, Debug)]
pub(super) struct Generated<R> {
    drawn: (Vec<f32>, Vec<f32>),
    values: (Vec<R>, Vec<R>),
}

impl<R> Default for Generated<R> {
    fn default() -> Self {
        Self {
            drawn: Default::default(),
            values: Default::default(),
        }
    }
}

/// Consecutive episodes of a network.
pub(super) struct Group<'a, 's, R> {
    /// `[episodes, T, I]`.
    pub input: &'a [R],
    /// Targets or gradients on the output, by `is_target`, `[episodes, T, O]`; none for gradients of zero.
    pub objective: Option<&'a [R]>,
    pub is_target: bool,
    origin: Origin<'a, 's, R>,
}

enum Origin<'a, 's, R> {
    Task(&'a EpisodeSource),
    /// Of a network, the episodes of these numbers.
    Given(&'a Given<'s, R>, usize, Range<usize>),
}

impl<'s, R: Real> Group<'_, 's, R> {
    /// How much the loss of step `t` of the group's episode `n` counts.
    pub fn mask(&self, n: usize, t: usize) -> R {
        match &self.origin {
            Origin::Task(source) if source.task.counts(t) => R::one(),
            Origin::Task(_) => R::zero(),
            Origin::Given(given, index, episodes) => match given.mask {
                Mask::All => R::one(),
                Mask::Steps(mask) => mask[t],
                Mask::Episodes(mask) => {
                    let index = if mask.dim().0 == 1 { 0 } else { *index };
                    mask[[index, episodes.start + n, t]]
                }
            },
        }
    }

    /// The traces of a layer at the first step, `[episodes, O, I]`.
    pub fn initial_traces(&self, layer: usize) -> Option<&[R]> {
        self.of_layer(layer, |given| &given.initial_traces)
    }

    /// The gradients on the final traces of a layer, `[episodes, O, I]`.
    pub fn trace_gradients(&self, layer: usize) -> Option<&[R]> {
        self.of_layer(layer, |given| &given.trace_gradients)
    }

    fn of_layer<'b>(
        &'b self,
        layer: usize,
        arrays: impl Fn(&'b Given<'s, R>) -> &'b Traces<'s, R>,
    ) -> Option<&'b [R]> {
        match &self.origin {
            Origin::Task(_) => None,
            Origin::Given(given, index, episodes) => {
                let array = arrays(given).get(&layer)?;
                Some(part(array, *index, episodes.clone()))
            }
        }
    }
}

/// Consecutive episodes of network `p`, contiguous; those of all networks where they have them in common.
fn part<'a, R>(array: &'a CowArray<'_, R, Ix4>, p: usize, episodes: Range<usize>) -> &'a [R] {
    let view: ArrayView4<'a, R> = array.view();
    let (networks, batch, rows, columns) = view.dim();
    let p = if networks == 1 { 0 } else { p };
    let all = view.to_slice().expect("in standard layout");
    let size = rows * columns;
    &all[(p * batch + episodes.start) * size..][..episodes.len() * size]
}
