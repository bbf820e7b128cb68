//! Where kernels put their results: parts of the arrays that a call returns.

use super::job::{Job, Work};
use super::shape::Shape;
use crate::dynamics::Dynamics;
use crate::network::Dynamic;
use crate::number::Real;
use ndarray::{Array4, ArrayD};

/// Where results go: the parts of the caller's arrays for `episodes` episodes; empty parts are not wanted.
pub(super) struct Results<'a, R> {
    pub episodes: usize,
    /// `[episodes]`.
    pub losses: &'a mut [f64],
    /// `[episodes, T, O]`.
    pub output: &'a mut [R],
    /// `[episodes, T, I]`.
    pub input: &'a mut [R],
    /// What layers have after the last step, where it is wanted.
    pub finals: OfLayers<&'a mut [R]>,
    /// The gradients of what layers were given.
    pub given: OfLayers<&'a mut [R]>,
}

/// Something of some layers, by layer and kind.
pub(super) type OfLayers<A> = Vec<((usize, Dynamic), A)>;

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
            let of_layers = |all: &mut OfLayers<&'a mut [R]>| {
                let all = all.iter_mut();
                all.map(|(of, slice)| (*of, cut(slice, size, episodes)))
                    .collect()
            };
            parts.push(Self {
                episodes: size,
                losses: cut(&mut rest.losses, size, episodes),
                output: cut(&mut rest.output, size, episodes),
                input: cut(&mut rest.input, size, episodes),
                finals: of_layers(&mut rest.finals),
                given: of_layers(&mut rest.given),
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
    /// What layers have after the last step, `[P, B, …]`.
    pub finals: OfLayers<A>,
    /// The gradients of what layers were given, `[P, B, …]`.
    pub given: OfLayers<A>,
}

/// The shape for one episode of something of a layer by its index, if it is wanted.
type ShapeOf<'a> = dyn Fn(usize, &Shape, Dynamic) -> Option<Vec<usize>> + 'a;

impl ResultArrays<Vec<usize>> {
    /// The shape of every array that comes of `work`; output and input have no elements where they are not wanted.
    pub fn shapes(job: &Job, work: &Work, population: usize) -> Self {
        let (request, shapes) = (&job.request, &job.shapes);
        let (want, steps) = (request.want, &work.forward);
        let array = |wanted: bool, rows, columns| match wanted {
            true => vec![population, request.batch, rows, columns],
            false => vec![0; 4],
        };
        let of_layers = |shape_of: &ShapeOf<'_>| {
            let all = shapes.iter().enumerate().flat_map(|(layer, shape)| {
                Dynamic::ALL
                    .map(|dynamic| Some(((layer, dynamic), shape_of(layer, shape, dynamic)?)))
            });
            let all = all.flatten();
            all.map(|(of, shape)| (of, [&[population, request.batch], &shape[..]].concat()))
                .collect()
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
            // Of steps that come in parts, they are asked for afterwards.
            finals: of_layers(&|_, shape, dynamic| {
                let is_wanted = want.final_traces && work.finals && *steps == (0..request.steps);
                shape.final_shape(dynamic, steps.end).filter(|_| is_wanted)
            }),
            given: of_layers(&|layer, shape, dynamic| {
                let is_wanted = work.backward && request.wants_gradient_of(layer, dynamic);
                shape.given_shape(dynamic, steps.end).filter(|_| is_wanted)
            }),
        }
    }

    /// Elements of all arrays together.
    pub fn elements(&self) -> u128 {
        let of_layers = self.finals.iter().chain(&self.given);
        let of_layers = of_layers.map(|(_, shape)| shape);
        let arrays = [&self.output, &self.input].into_iter().chain(of_layers);
        arrays
            .map(|shape| shape.iter().map(|&size| size as u128).product::<u128>())
            .sum()
    }

    /// Zeros.
    pub fn arrays<R: Real>(self) -> ResultArrays<ArrayD<R>> {
        let of_layers = |shapes: OfLayers<Vec<usize>>| {
            let shapes = shapes.into_iter();
            shapes
                .map(|(of, shape)| (of, ArrayD::zeros(shape)))
                .collect()
        };
        ResultArrays {
            output: ArrayD::zeros(self.output),
            input: ArrayD::zeros(self.input),
            finals: of_layers(self.finals),
            given: of_layers(self.given),
        }
    }
}

impl<R: Real> ResultArrays<ArrayD<R>> {
    /// Where the results of `losses.len()` episodes go.
    pub fn places<'a>(&'a mut self, losses: &'a mut [f64]) -> Results<'a, R> {
        Results {
            episodes: losses.len(),
            losses,
            output: slice_mut(&mut self.output),
            input: slice_mut(&mut self.input),
            finals: slices_mut(&mut self.finals),
            given: slices_mut(&mut self.given),
        }
    }

    /// The output, where it is wanted.
    pub fn take_output(&mut self) -> Option<Array4<R>> {
        of_steps(std::mem::take(&mut self.output))
    }

    /// The gradient of the input, where it is wanted.
    pub fn take_input(&mut self) -> Option<Array4<R>> {
        of_steps(std::mem::take(&mut self.input))
    }
}

/// What is there of layers.
pub(super) fn dynamics<R: Real>(arrays: OfLayers<ArrayD<R>>) -> Dynamics<'static, R> {
    let mut dynamics = Dynamics::new();
    for ((layer, dynamic), array) in arrays {
        dynamics.insert(layer, dynamic, array);
    }
    dynamics
}

fn of_steps<R>(array: ArrayD<R>) -> Option<Array4<R>> {
    let array = Some(array).filter(|array| !array.is_empty());
    array.map(|array| array.into_dimensionality().expect("[P, B, T, neurons]"))
}

fn slices_mut<R>(arrays: &mut OfLayers<ArrayD<R>>) -> OfLayers<&mut [R]> {
    let arrays = arrays.iter_mut();
    arrays.map(|(of, array)| (*of, slice_mut(array))).collect()
}

fn slice_mut<R>(array: &mut ArrayD<R>) -> &mut [R] {
    array.as_slice_mut().expect("fresh arrays are contiguous")
}
