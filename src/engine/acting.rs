//! A population in an environment.

use super::session::Session;
use crate::error::{Error, Result};
use crate::memory;
use crate::number::Real;
use crate::tasks::{Draw, Draws, Environment};
use ndarray::{Array, Array1, Array2, Array3, Array4, Dimension, s};
use rayon::prelude::*;

/// What a population did in an environment, and how it fared.
///
/// `T` are the steps of the longest episode. After the end of an episode that was shorter, its outputs are zero here, and so is
/// the gradient.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Acted<R> {
    /// The outputs, `[P, B, T, O]`.
    pub output: Array4<R>,
    /// The loss of each network, `[P]`: the mean over its episodes.
    pub loss: Array1<R>,
    /// The gradient of those losses on the outputs, `[P, B, T, O]`, as [`Session::backward`] takes it.
    pub output_gradient: Array4<R>,
    /// The steps that each episode had, `[P, B]`.
    pub steps: Array2<usize>,
}

/// An episode under way.
struct UnderWay<S> {
    state: S,
    steps: usize,
    has_ended: bool,
}

/// All episodes of a population, under way.
struct Acting<'a, E: Environment<R>, R: Real> {
    environment: &'a E,
    /// Network after network.
    episodes: Vec<UnderWay<E::Episode>>,
    /// The inputs of the next step, `[P, B, I]`; zero after the end of an episode.
    input: Array3<R>,
    /// The outputs so far, `[P, B, T, O]`, with room for the most steps.
    output: Array4<R>,
    /// Steps that were run.
    done: usize,
}

impl<R: Real> Session<R> {
    /// Lets every network act in a batch of episodes of an environment, from their beginning until the last one has ended.
    /// Episodes that were under way in the session are given up.
    ///
    /// Episodes of one step run in parallel. Equal networks, draws and meta-steps give equal bits on any number of threads.
    ///
    /// ```
    /// use metaplastic::tasks::{Draw, Draws, Environment};
    /// use metaplastic::{Engine, Extent, Initial, Loss, Network, Parameters, Plastic, Rate};
    /// use std::ops::ControlFlow;
    ///
    /// /// A network that is to answer 1, and sees what it answered last.
    /// struct One;
    ///
    /// impl Environment for One {
    ///     type Episode = ();
    ///     fn inputs(&self) -> usize {
    ///         1
    ///     }
    ///     fn outputs(&self) -> usize {
    ///         1
    ///     }
    ///     fn steps(&self) -> usize {
    ///         5
    ///     }
    ///     fn begin(&self, draw: Draw, input: &mut [f32]) {
    ///         input[0] = draw.sequence().sign();
    ///     }
    ///     fn respond(&self, _: &mut (), output: &[f32], input: &mut [f32]) -> ControlFlow<()> {
    ///         input[0] = output[0];
    ///         ControlFlow::Continue(())
    ///     }
    ///     fn end(&self, _: (), outputs: &[f32], gradient: &mut [f32]) -> f32 {
    ///         gradient.copy_from_slice(&outputs.iter().map(|y| 2.0 * (y - 1.0)).collect::<Vec<_>>());
    ///         outputs.iter().map(|y| (y - 1.0).powi(2)).sum()
    ///     }
    /// }
    ///
    /// let network = Network::new(Loss::None, [Plastic::new(1, 1, Rate::fixed(0.1))])?;
    /// let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 3, 0)?;
    /// let mut session = Engine::cpu().session(&network, &parameters, Extent::new(4, 5).step_by_step())?;
    /// let acted = session.act(&One, Draws::training(0), 0)?;
    /// assert_eq!(acted.output.shape(), [3, 4, 5, 1]);
    /// let gradients = session.backward(&acted.output_gradient)?;
    /// assert_eq!(gradients.parameters.population(), 3);
    /// # Ok::<(), metaplastic::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the environment's sizes are not the network's, its episodes may be longer than the session's extent, or the session is
    /// not [step by step](super::Extent::step_by_step): nothing has begun then. If the environment gives an input that is not
    /// finite, memory is short, or the device fails.
    pub fn act<E: Environment<R>>(
        &mut self,
        environment: &E,
        draws: Draws,
        meta_step: u32,
    ) -> Result<Acted<R>> {
        let (inputs, outputs) = (environment.inputs(), environment.outputs());
        let most = environment.steps();
        self.check_environment(inputs, outputs, most)?;
        self.require_step_by_step()?;
        self.begin();
        let shape = [self.population(), self.extent().batch, most, outputs];
        let draw = |network, episode| draws.draw(network, meta_step, episode);
        let mut acting = Acting::begin(environment, inputs, shape, draw)?;
        while acting.goes_on() {
            let answers = self.step(&acting.input)?;
            acting.respond(&answers);
        }
        Ok(acting.end())
    }

    fn check_environment(&self, inputs: usize, outputs: usize, most: usize) -> Result<()> {
        let network = self.network();
        let sizes = [
            ("inputs of the network", network.inputs(), inputs),
            ("outputs of the network", network.outputs(), outputs),
        ];
        for (field, own, wanted) in sizes {
            if own != wanted {
                let reason = format!("{own}, but the environment has {wanted}");
                return Err(Error::setting(field, reason));
            }
        }
        let room = self.extent().steps;
        if !(1..=room).contains(&most) {
            let reason = format!("{most}, expected 1 to {room}, for which the session has room");
            return Err(Error::setting("steps of the environment", reason));
        }
        Ok(())
    }
}

impl<'a, E: Environment<R>, R: Real> Acting<'a, E, R> {
    /// `shape` is that of the outputs, `[P, B, T, O]`.
    fn begin(
        environment: &'a E,
        inputs: usize,
        shape: [usize; 4],
        draw: impl Fn(usize, u32) -> Draw + Sync,
    ) -> Result<Self> {
        let [population, batch, ..] = shape;
        let size = memory::elements("episodes", &shape)?;
        // The outputs and the gradient on them.
        memory::require("episodes", 2 * size as u128 * size_of::<R>() as u128)?;
        let mut input = Array3::zeros((population, batch, inputs));
        let first = values(&mut input).par_chunks_exact_mut(inputs).enumerate();
        let begin = |(index, input): (usize, &mut [R])| UnderWay {
            state: environment.begin(draw(index / batch, (index % batch) as u32), input),
            steps: 0,
            has_ended: false,
        };
        Ok(Self {
            environment,
            episodes: first.map(begin).collect(),
            input,
            output: Array4::zeros(shape),
            done: 0,
        })
    }

    fn goes_on(&self) -> bool {
        self.episodes.iter().any(|episode| !episode.has_ended)
    }

    /// Every episode that goes on takes its answer, of `[P, B, O]`, and gives its next input.
    fn respond(&mut self, answers: &Array3<R>) {
        let answers = answers.as_standard_layout();
        let answers = answers.as_slice().expect("it has the standard layout");
        let Self {
            environment, done, ..
        } = *self;
        let (_, _, inputs) = self.input.dim();
        let (_, _, most, outputs) = self.output.dim();
        self.input.fill(R::zero());
        let next = values(&mut self.input).par_chunks_exact_mut(inputs);
        let kept = values(&mut self.output).par_chunks_exact_mut(most * outputs);
        let each = self.episodes.par_iter_mut().zip_eq(next).zip_eq(kept);
        let each = each.zip_eq(answers.par_chunks_exact(outputs));
        each.for_each(|(((episode, next), kept), answer)| {
            if episode.has_ended {
                return;
            }
            kept[done * outputs..][..outputs].copy_from_slice(answer);
            episode.steps += 1;
            let flow = environment.respond(&mut episode.state, answer, next);
            if flow.is_break() || episode.steps == most {
                episode.has_ended = true;
                next.fill(R::zero());
            }
        });
        self.done += 1;
    }

    fn end(mut self) -> Acted<R> {
        let (population, batch, most, outputs) = self.output.dim();
        let steps = self.episodes.iter().map(|episode| episode.steps).collect();
        let mut output_gradient = Array4::zeros(self.output.raw_dim());
        let gradients = values(&mut output_gradient).par_chunks_exact_mut(most * outputs);
        let kept = values(&mut self.output).par_chunks_exact(most * outputs);
        let each = self.episodes.into_par_iter().zip_eq(kept).zip_eq(gradients);
        let count = R::from_f64(batch as f64);
        let losses = each.map(|((episode, kept), gradient)| {
            let size = episode.steps * outputs;
            let gradient = &mut gradient[..size];
            let loss = self.environment.end(episode.state, &kept[..size], gradient);
            gradient.iter_mut().for_each(|value| *value /= count);
            loss
        });
        let losses: Vec<R> = losses.collect();
        Acted {
            output: first_steps(self.output, self.done),
            loss: losses.chunks_exact(batch).map(mean).collect(),
            output_gradient: first_steps(output_gradient, self.done),
            steps: Array2::from_shape_vec((population, batch), steps).expect("one for each"),
        }
    }
}

/// The values of a fresh array.
fn values<R, D: Dimension>(array: &mut Array<R, D>) -> &mut [R] {
    array.as_slice_mut().expect("fresh arrays are contiguous")
}

/// `[P, B, T, O]`, cut to so many steps.
fn first_steps<R: Real>(array: Array4<R>, steps: usize) -> Array4<R> {
    match array.dim().2 == steps {
        true => array,
        false => array.slice(s![.., .., ..steps, ..]).to_owned(),
    }
}

/// Summed in order.
fn mean<R: Real>(losses: &[R]) -> R {
    let sum: f64 = losses.iter().map(|loss| loss.as_f64()).sum();
    R::from_f64(sum / losses.len() as f64)
}
