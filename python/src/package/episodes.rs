//! Episodes, and what is differentiated of them.

use super::arrays::{Float, Taken, TakenDynamics, as_array, take};
use super::error::Result;
use metaplastic::episodes::Upstream;
use metaplastic::ndarray::Array4;
use metaplastic::{Episodes, Error, Loss, Mask};
use numpy::{PyArrayDescrMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Arrays of one call, where Python has them.
pub struct TakenEpisodes<'py, R: Float> {
    input: Taken<'py, R>,
    target: Option<Target<'py, R>>,
    mask: Option<Taken<'py, R>>,
    output_gradient: Option<Taken<'py, R>>,
    states: TakenDynamics<'py, R>,
    state_gradients: TakenDynamics<'py, R>,
}

enum Target<'py, R: Float> {
    Values(Taken<'py, R>),
    OfClasses(Array4<R>),
}

/// The arguments of a call.
#[derive(Default)]
pub struct Given<'a, 'py> {
    pub input: Option<&'a Bound<'py, PyAny>>,
    pub target: Option<&'a Bound<'py, PyAny>>,
    pub mask: Option<&'a Bound<'py, PyAny>>,
    pub output_gradient: Option<&'a Bound<'py, PyAny>>,
    pub states: Option<&'a Bound<'py, PyDict>>,
    pub state_gradients: Option<&'a Bound<'py, PyDict>>,
}

impl<'py, R: Float> TakenEpisodes<'py, R> {
    pub fn of(network: &metaplastic::Network, given: Given<'_, 'py>) -> Result<Self> {
        let named = |name: &str, object: Option<&Bound<'py, PyAny>>| {
            object.map(|object| take(name, object)).transpose()
        };
        let objective = |name: &str, reason: &str| Error::Objective {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        if given.target.is_some() && given.output_gradient.is_some() {
            let reason = "given, and an output_gradient, too: give one of them";
            return Err(objective("target", reason).into());
        }
        if given.mask.is_some() && given.target.is_none() {
            return Err(objective("mask", "given without a target, to which it belongs").into());
        }
        let input = given.input.expect("every call has it");
        Ok(Self {
            input: take("input", input)?,
            target: given
                .target
                .map(|target| Target::of(network, target))
                .transpose()?,
            mask: named("mask", given.mask)?,
            output_gradient: named("output_gradient", given.output_gradient)?,
            states: TakenDynamics::of("states", given.states)?.without_made_by(network),
            state_gradients: TakenDynamics::of("state_gradients", given.state_gradients)?,
        })
    }

    pub fn views(&self) -> Result<Episodes<'_, R>> {
        let mut episodes = Episodes::new(self.input.steps("[P, B, T, I]")?);
        if let Some(target) = &self.target {
            let mask = match &self.mask {
                None => Mask::All,
                Some(mask) => mask_of(mask)?,
            };
            episodes = match target {
                Target::Values(array) => {
                    episodes.with_masked_target(array.steps("[P, B, T, O]")?, mask)
                }
                Target::OfClasses(array) => episodes.with_masked_target(array, mask),
            };
        }
        if let Some(gradient) = &self.output_gradient {
            episodes = episodes.with_output_gradient(gradient.steps("[P, B, T, O]")?);
        }
        episodes.given = self.states.views();
        episodes.final_gradients = self.state_gradients.views();
        Ok(episodes)
    }
}

fn mask_of<R: Float>(mask: &Taken<'_, R>) -> Result<Mask<R>> {
    Ok(match mask.view().into_dimensionality() {
        Ok(steps) => Mask::Steps(steps.to_owned()),
        Err(_) => Mask::Episodes(mask.step("[T] or [P, B, T]")?.to_owned()),
    })
}

impl<'py, R: Float> Target<'py, R> {
    fn of(network: &metaplastic::Network, object: &Bound<'py, PyAny>) -> Result<Self> {
        let array = as_array("target", object)?;
        let is_whole = matches!(array.dtype().kind(), b'i' | b'u');
        if network.loss() != Loss::SoftmaxCrossEntropy || !is_whole || array.ndim() > 3 {
            return Ok(Self::Values(take("target", object)?));
        }
        Ok(Self::OfClasses(one_hot(&array, network.outputs())?))
    }
}

/// Classes `[P, B, T]`, or `[B, T]`, as targets of a softmax.
fn one_hot<R: Float>(
    classes: &Bound<'_, numpy::PyUntypedArray>,
    outputs: usize,
) -> Result<Array4<R>> {
    let taken = take::<f64>("target", classes.as_any())?;
    let classes = taken.step("[P, B, T] of classes, or [P, B, T, O]")?;
    let (networks, batch, steps) = classes.dim();
    let mut target = Array4::zeros((networks, batch, steps, outputs));
    for ((network, episode, step), &class) in classes.indexed_iter() {
        if !(0.0..outputs as f64).contains(&class) {
            let reason = format!(
                "class {class} of episode {episode}, step {step}; expected 0 to {}",
                outputs - 1
            );
            return Err(super::error::setting("target", reason).into());
        }
        target[[network, episode, step, class as usize]] = R::one();
    }
    Ok(target)
}

/// What is differentiated of episodes that were run.
pub struct TakenUpstream<'py, R: Float> {
    output_gradient: Option<Taken<'py, R>>,
    state_gradients: TakenDynamics<'py, R>,
}

impl<'py, R: Float> TakenUpstream<'py, R> {
    pub fn of(
        output_gradient: Option<&Bound<'py, PyAny>>,
        state_gradients: Option<&Bound<'py, PyDict>>,
    ) -> Result<Self> {
        if output_gradient.is_none() && state_gradients.is_none() {
            let name = "output_gradient".to_owned();
            let reason = "missing, and there are no state_gradients: give one of them".to_owned();
            return Err(Error::Objective { name, reason }.into());
        }
        Ok(Self {
            output_gradient: output_gradient
                .map(|array| take("output_gradient", array))
                .transpose()?,
            state_gradients: TakenDynamics::of("state_gradients", state_gradients)?,
        })
    }

    pub fn views(&self) -> Result<Upstream<'_, R>> {
        let mut upstream = match &self.output_gradient {
            Some(gradient) => Upstream::output_gradient(gradient.steps("[P, B, T, O]")?),
            None => Upstream::none(),
        };
        let gradients = self.state_gradients.views();
        for (layer, dynamic, array) in gradients.into_arrays() {
            upstream = upstream.with_final_gradient(layer, dynamic, array);
        }
        Ok(upstream)
    }
}
