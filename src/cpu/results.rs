//! Where kernels put their results: parts of the arrays that a call returns.

use super::job::{Job, Work};
use super::layers::Shape;
use crate::number::Real;
use ndarray::Array4;

/// Where results go: the parts of the caller's arrays for `episodes` episodes; empty parts are not wanted.
pub(super) struct Results<'a, R> {
    pub episodes: usize,
    /// `[episodes]`.
    pub losses: &'a mut [f64],
    /// `[episodes, T, O]`.
    pub output: &'a mut [R],
    /// `[episodes, T, I]`.
    pub input: &'a mut [R],
    /// Per layer, `[episodes, O, I]`; no layer where none is wanted, as in the next.
    pub traces: Vec<&'a mut [R]>,
    /// Per layer, `[episodes, O, I]`.
    pub initial: Vec<&'a mut [R]>,
}

impl<'a, R> Results<'a, R> {
    /// Consecutive parts of `size` episodes; the last may have fewer.
    pub fn split(self, size: usize) -> Vec<Self> {
        let mut parts = Vec::with_capacity(self.episodes.div_ceil(size));
        let mut rest = self;
        while rest.episodes > size {
            let episodes = rest.episodes;
            fn cut<'a, T>(slice: &mut &'a mut [T], size: usize, episodes: usize) -> &'a mut [T] {
                let all = std::mem::take(slice);
                let (part, rest) = all.split_at_mut(all.len() / episodes * size);
                *slice = rest;
                part
            }
            parts.push(Self {
                episodes: size,
                losses: cut(&mut rest.losses, size, episodes),
                output: cut(&mut rest.output, size, episodes),
                input: cut(&mut rest.input, size, episodes),
                traces: rest
                    .traces
                    .iter_mut()
                    .map(|slice| cut(slice, size, episodes))
                    .collect(),
                initial: rest
                    .initial
                    .iter_mut()
                    .map(|slice| cut(slice, size, episodes))
                    .collect(),
            });
            rest.episodes -= size;
        }
        parts.push(rest);
        parts
    }

    /// Of `values`, `[episodes, …]`, the part of `count` episodes from number `first` on; empty where they are not wanted.
    pub fn part(values: &mut [R], episodes: usize, first: usize, count: usize) -> &mut [R] {
        let size = values.len() / episodes;
        &mut values[first * size..][..count * size]
    }
}

/// The results of a population, by the table `A`'s entries.
pub(super) struct ResultArrays<A> {
    /// The last layer's output, `[P, B, T, O]`.
    pub output: A,
    /// The gradient of the input, `[P, B, T, I]`.
    pub input: A,
    /// Per layer, the trace after the last step, `[P, B, O, I]`.
    pub traces: Vec<A>,
    /// Per layer, the gradient of the trace at the first step, `[P, B, O, I]`.
    pub initial: Vec<A>,
}

impl ResultArrays<[usize; 4]> {
    /// The shape of every array that comes of `work`; of no elements where it is not wanted.
    pub fn shapes(job: &Job, work: &Work, population: usize) -> Self {
        let (request, shapes) = (&job.request, &job.shapes);
        let (want, steps) = (request.want, &work.forward);
        let array = |wanted: bool, rows, columns| match wanted {
            true => [population, request.batch, rows, columns],
            false => [0; 4],
        };
        let traces = |wanted: &dyn Fn(usize) -> bool| {
            let layers = shapes.iter().enumerate();
            let array = |(layer, shape): (usize, &Shape)| {
                let wanted = shape.is_plastic() && wanted(layer);
                array(wanted, shape.outputs, shape.inputs)
            };
            layers.map(array).collect()
        };
        Self {
            output: array(
                want.output && !steps.is_empty(),
                steps.len(),
                shapes[shapes.len() - 1].outputs,
            ),
            input: array(
                work.backward && want.input_gradient,
                steps.end,
                shapes[0].inputs,
            ),
            // Of steps that come in parts, the traces are asked for afterwards.
            traces: traces(&|_| want.final_traces && *steps == (0..request.steps)),
            initial: traces(&|layer| work.backward && request.traces[layer].initial),
        }
    }

    /// Elements of all arrays together.
    pub fn elements(&self) -> u128 {
        let layers = self.traces.iter().chain(&self.initial);
        let arrays = [&self.output, &self.input].into_iter().chain(layers);
        arrays
            .map(|shape| shape.iter().map(|&size| size as u128).product::<u128>())
            .sum()
    }

    /// Zeros.
    pub fn arrays<R: Real>(self) -> ResultArrays<Array4<R>> {
        let layers = |shapes: Vec<[usize; 4]>| shapes.into_iter().map(Array4::zeros).collect();
        ResultArrays {
            output: Array4::zeros(self.output),
            input: Array4::zeros(self.input),
            traces: layers(self.traces),
            initial: layers(self.initial),
        }
    }
}

impl<R: Real> ResultArrays<Array4<R>> {
    /// Where the results of `losses.len()` episodes go.
    pub fn places<'a>(&'a mut self, losses: &'a mut [f64]) -> Results<'a, R> {
        Results {
            episodes: losses.len(),
            losses,
            output: slice_mut(&mut self.output),
            input: slice_mut(&mut self.input),
            traces: slices_mut(&mut self.traces),
            initial: slices_mut(&mut self.initial),
        }
    }
}

/// Each array's elements; nothing where every array is empty.
fn slices_mut<R>(arrays: &mut [Array4<R>]) -> Vec<&mut [R]> {
    if arrays.iter().all(Array4::is_empty) {
        return Vec::new();
    }
    arrays.iter_mut().map(slice_mut).collect()
}

fn slice_mut<R>(array: &mut Array4<R>) -> &mut [R] {
    array.as_slice_mut().expect("fresh arrays are contiguous")
}
