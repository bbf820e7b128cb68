//! A batch of episodes, as the caller supplies it.
//!
//! [`Episodes`] hold inputs and an [`Objective`], the quantity that is differentiated. A [`Mask`] says which steps count
//! towards a loss.

use crate::check::{require_finite, require_shape, require_shape_of_networks, shape_error};
pub use crate::dynamics::Dynamics;
use crate::dynamics::of_networks;
use crate::error::{Error, Result};
use crate::memory;
use crate::network::{Dynamic, Loss, Network};
use crate::number::Real;
#[cfg(feature = "gpu")]
use ndarray::ArrayView;
use ndarray::{Array1, Array3, Array4, ArrayBase, ArrayView4, CowArray, Data, Dimension, Ix4};
use std::ops::Range;

/// `B` episodes of `T` steps for each network of a population, and what is differentiated on their outputs.
///
/// Arrays are the caller's, in any memory layout: views of them (`(&array).into()`, `array.view().into()`) or arrays
/// handed over. An array whose first axis has length 1 instead of `P` is common to the whole population.
///
/// ```
/// use metaplastic::Episodes;
/// use ndarray::Array4;
///
/// let input = Array4::<f32>::zeros((1, 32, 20, 10)); // common to all networks: 32 episodes, 20 steps, 10 neurons
/// let target = Array4::<f32>::zeros((64, 32, 20, 2)); // for each of 64 networks its own
/// let episodes = Episodes::new(&input).with_target(target.view());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Episodes<'a, R> {
    /// Presynaptic activity of the first layer, `[P, B, T, I]`.
    pub input: CowArray<'a, R, Ix4>,
    /// What is differentiated.
    pub objective: Objective<'a, R>,
    /// What layers are given: their traces, eligibility traces and activities at the first step, zero where there are none;
    /// and the modulators that come from the episodes.
    pub given: Dynamics<'a, R>,
    /// The gradients on traces, eligibility traces and activities after the last step; zero where there are none.
    pub final_gradients: Dynamics<'a, R>,
}

/// The quantity whose gradient is taken.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Objective<'a, R> {
    /// The network's loss against a target: the mean over episodes of the masked sum over steps.
    Target {
        /// `[P, B, T, O]`.
        target: CowArray<'a, R, Ix4>,
        /// Which steps count.
        mask: Mask<R>,
    },
    /// `Σ output_gradient · output`, with nothing divided: `[P, B, T, O]`.
    OutputGradient(CowArray<'a, R, Ix4>),
    /// Nothing on the output.
    None,
}

/// Which steps count towards the loss: each step's loss is multiplied by its mask.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Mask<R> {
    /// Every step counts once.
    #[default]
    All,
    /// The same for every episode, `[T]`.
    Steps(Array1<R>),
    /// For every episode its own, `[P, B, T]`.
    Episodes(Array3<R>),
}

impl<'a, R: Real> Episodes<'a, R> {
    /// Episodes without an objective, which begin from zero. `input` is `[P, B, T, I]`.
    pub fn new(input: impl Into<CowArray<'a, R, Ix4>>) -> Self {
        Self {
            input: input.into(),
            objective: Objective::None,
            given: Dynamics::new(),
            final_gradients: Dynamics::new(),
        }
    }

    /// The same with a target `[P, B, T, O]` for the network's loss; every step counts.
    #[must_use]
    pub fn with_target(self, target: impl Into<CowArray<'a, R, Ix4>>) -> Self {
        self.with_masked_target(target, Mask::All)
    }

    /// The same with a target `[P, B, T, O]` for the network's loss and a mask.
    #[must_use]
    pub fn with_masked_target(
        self,
        target: impl Into<CowArray<'a, R, Ix4>>,
        mask: Mask<R>,
    ) -> Self {
        let target = target.into();
        Self {
            objective: Objective::Target { target, mask },
            ..self
        }
    }

    /// The same with a gradient on the output, `[P, B, T, O]`.
    #[must_use]
    pub fn with_output_gradient(self, gradient: impl Into<CowArray<'a, R, Ix4>>) -> Self {
        Self {
            objective: Objective::OutputGradient(gradient.into()),
            ..self
        }
    }

    /// The same with a layer's trace at the first step, `[P, B, O, J]`.
    #[must_use]
    pub fn with_initial_trace(self, layer: usize, trace: impl Into<CowArray<'a, R, Ix4>>) -> Self {
        self.with_given(layer, Dynamic::Trace, trace.into())
    }

    /// The same with a gradient on a layer's trace after the last step, `[P, B, O, J]`.
    #[must_use]
    pub fn with_trace_gradient(
        self,
        layer: usize,
        gradient: impl Into<CowArray<'a, R, Ix4>>,
    ) -> Self {
        self.with_final_gradient(layer, Dynamic::Trace, gradient.into())
    }

    /// The same with what a layer is given: its trace, eligibility trace `[P, B, O, J]` or activity `[P, B, O]` at the first
    /// step, or its modulator at every step, `[P, B, T]` or `[P, B, T, O]`.
    #[must_use]
    pub fn with_given<D: Dimension>(
        mut self,
        layer: usize,
        dynamic: Dynamic,
        array: impl Into<CowArray<'a, R, D>>,
    ) -> Self {
        self.given.insert(layer, dynamic, array);
        self
    }

    /// The same with a gradient on a layer's trace, eligibility trace or activity after the last step.
    #[must_use]
    pub fn with_final_gradient<D: Dimension>(
        mut self,
        layer: usize,
        dynamic: Dynamic,
        array: impl Into<CowArray<'a, R, D>>,
    ) -> Self {
        self.final_gradients.insert(layer, dynamic, array);
        self
    }

    /// The same values in another precision, as arrays of their own.
    pub fn cast<S: Real>(&self) -> Episodes<'static, S> {
        self.map(
            |array| CowArray::from(array.map(|value| S::from_f64(value.as_f64()))),
            Mask::cast,
            Dynamics::cast,
        )
    }

    /// The same values as arrays of their own, in standard layout.
    pub(crate) fn to_owned(&self) -> Episodes<'static, R> {
        let own = |array: &CowArray<'_, R, Ix4>| array.as_standard_layout().into_owned().into();
        self.map(own, Mask::clone, Dynamics::to_owned)
    }

    /// Those of some of the networks, as views.
    pub(crate) fn of_networks(&self, networks: Range<usize>) -> Episodes<'_, R> {
        Episodes {
            input: of_networks(&self.input, &networks),
            objective: match &self.objective {
                Objective::Target { target, mask } => Objective::Target {
                    target: of_networks(target, &networks),
                    mask: match mask {
                        Mask::Episodes(mask) => {
                            Mask::Episodes(of_networks(mask, &networks).into_owned())
                        }
                        common => common.clone(),
                    },
                },
                Objective::OutputGradient(gradient) => {
                    Objective::OutputGradient(of_networks(gradient, &networks))
                }
                Objective::None => Objective::None,
            },
            given: self.given.of_networks(&networks),
            final_gradients: self.final_gradients.of_networks(&networks),
        }
    }

    fn map<S: Real>(
        &self,
        array: impl Fn(&CowArray<'a, R, Ix4>) -> CowArray<'static, S, Ix4>,
        mask_as: impl Fn(&Mask<R>) -> Mask<S>,
        dynamics: impl Fn(&Dynamics<'a, R>) -> Dynamics<'static, S>,
    ) -> Episodes<'static, S> {
        Episodes {
            input: array(&self.input),
            objective: match &self.objective {
                Objective::Target { target, mask } => Objective::Target {
                    target: array(target),
                    mask: mask_as(mask),
                },
                Objective::OutputGradient(gradient) => Objective::OutputGradient(array(gradient)),
                Objective::None => Objective::None,
            },
            given: dynamics(&self.given),
            final_gradients: dynamics(&self.final_gradients),
        }
    }

    /// Bytes of all arrays.
    pub(crate) fn bytes(&self) -> u128 {
        let objective = match &self.objective {
            Objective::Target { target, mask } => {
                let mask = match mask {
                    Mask::All => 0,
                    Mask::Steps(mask) => mask.len(),
                    Mask::Episodes(mask) => mask.len(),
                };
                target.len() as u128 + mask as u128
            }
            Objective::OutputGradient(gradient) => gradient.len() as u128,
            Objective::None => 0,
        };
        let dynamics = self.given.elements() + self.final_gradients.elements();
        (self.input.len() as u128 + objective + dynamics) * size_of::<R>() as u128
    }

    /// Episodes per network `B`.
    pub fn batch(&self) -> usize {
        self.input.dim().1
    }

    /// Steps per episode `T`.
    pub fn steps(&self) -> usize {
        self.input.dim().2
    }

    /// Fails unless every array has the shape that `network` and a population of `population` call for, and is finite.
    ///
    /// # Errors
    /// Names the first tensor that does not fit.
    pub fn check(&self, network: &Network, population: usize) -> Result<()> {
        let (networks, batch, steps, inputs) = self.input.dim();
        let networks_fit = networks == population || networks == 1;
        if !networks_fit || inputs != network.inputs() {
            let expected = format!("[P = {population} or 1, B, T, I = {}]", network.inputs());
            return Err(shape_error("input", expected, self.input.shape()));
        }
        for (field, size) in [
            ("population (axis 0 of input)", networks),
            ("batch (axis 1 of input)", batch),
            ("steps (axis 2 of input)", steps),
        ] {
            if size == 0 {
                return Err(Error::ZeroSize {
                    field: field.into(),
                });
            }
            if size > u32::MAX as usize / 2 {
                return Err(Error::setting(
                    field,
                    format!("{size}, at most {} are supported", u32::MAX / 2),
                ));
            }
        }
        memory::elements("input", self.input.shape())?;
        require_finite("input", &self.input)?;
        let output = [population, batch, steps, network.outputs()];
        match &self.objective {
            Objective::Target { target, mask } => {
                if network.loss() == Loss::None {
                    return Err(Error::objective(
                        "target",
                        "given, but the network's loss is \"none\": give output_gradient, or choose a loss",
                    ));
                }
                require_shape_of_networks("target", target.shape(), "[P, B, T, O]", &output)?;
                require_finite("target", target)?;
                match mask {
                    Mask::All => {}
                    Mask::Steps(mask) => {
                        require_shape("mask", mask.shape(), "[T] or [P, B, T]", &[steps])?;
                        require_finite("mask", mask)?;
                    }
                    Mask::Episodes(mask) => {
                        require_shape_of_networks(
                            "mask",
                            mask.shape(),
                            "[T] or [P, B, T]",
                            &output[..3],
                        )?;
                        require_finite("mask", mask)?;
                    }
                }
            }
            Objective::OutputGradient(gradient) => require_output_gradient(gradient, &output)?,
            Objective::None => {}
        }
        let sizes = [population, batch, steps];
        self.given.check_given(network, sizes)?;
        self.final_gradients.check_gradients(network, sizes)?;
        self.given.require_modulators(network, sizes)
    }
}

fn require_output_gradient<R: Real>(
    gradient: &CowArray<'_, R, Ix4>,
    expected: &[usize; 4],
) -> Result<()> {
    let name = "output_gradient";
    require_shape_of_networks(name, gradient.shape(), "[P, B, T, O]", expected)?;
    require_finite(name, gradient)
}

/// What is differentiated of episodes that were run: gradients on what they put out. Arrays are the caller's, and may be common
/// to all networks, as in [`Episodes`]. An array alone is a gradient on the output.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Upstream<'a, R> {
    pub(crate) objective: Objective<'a, R>,
    pub(crate) final_gradients: Dynamics<'a, R>,
    /// Whether the gradient on the output is where the device has it.
    pub(crate) on_device: bool,
}

impl<'a, R: Real> Upstream<'a, R> {
    /// Nothing yet.
    pub fn none() -> Self {
        Self {
            objective: Objective::None,
            final_gradients: Dynamics::new(),
            on_device: false,
        }
    }

    /// A gradient on the output that the program has written to the device's own array of it, after the forward half
    /// ([`Session::device_arrays`](crate::engine::Session::device_arrays)).
    #[cfg(feature = "gpu")]
    pub fn on_device() -> Self {
        Self {
            on_device: true,
            ..Self::none()
        }
    }

    /// A gradient on the output of every step, `[P, B, T, O]`.
    pub fn output_gradient(gradient: impl Into<CowArray<'a, R, Ix4>>) -> Self {
        Self {
            objective: Objective::OutputGradient(gradient.into()),
            ..Self::none()
        }
    }

    /// The same with a gradient on a layer's trace after the last step, `[P, B, O, J]`.
    #[must_use]
    pub fn with_trace_gradient(
        self,
        layer: usize,
        gradient: impl Into<CowArray<'a, R, Ix4>>,
    ) -> Self {
        self.with_final_gradient(layer, Dynamic::Trace, gradient.into())
    }

    /// The same with a gradient on a layer's trace, eligibility trace or activity after the last step.
    #[must_use]
    pub fn with_final_gradient<D: Dimension>(
        mut self,
        layer: usize,
        dynamic: Dynamic,
        gradient: impl Into<CowArray<'a, R, D>>,
    ) -> Self {
        self.final_gradients.insert(layer, dynamic, gradient);
        self
    }

    /// Fails unless it fits `steps` steps of `batch` episodes of each of `population` networks, and is finite.
    pub(crate) fn check(
        &self,
        network: &Network,
        [population, batch, steps]: [usize; 3],
    ) -> Result<()> {
        if let Objective::OutputGradient(gradient) = &self.objective {
            let expected = [population, batch, steps, network.outputs()];
            require_output_gradient(gradient, &expected)?;
        }
        let sizes = [population, batch, steps];
        self.final_gradients.check_gradients(network, sizes)
    }
}

impl<'a, R: Real> From<CowArray<'a, R, Ix4>> for Upstream<'a, R> {
    fn from(gradient: CowArray<'a, R, Ix4>) -> Self {
        Self::output_gradient(gradient)
    }
}

impl<'a, R: Real> From<ArrayView4<'a, R>> for Upstream<'a, R> {
    fn from(gradient: ArrayView4<'a, R>) -> Self {
        Self::output_gradient(gradient)
    }
}

impl<'a, R: Real> From<&'a Array4<R>> for Upstream<'a, R> {
    fn from(gradient: &'a Array4<R>) -> Self {
        Self::output_gradient(gradient)
    }
}

impl<R: Real> From<Array4<R>> for Upstream<'_, R> {
    fn from(gradient: Array4<R>) -> Self {
        Self::output_gradient(gradient)
    }
}

impl<R: Real> Mask<R> {
    /// The same values in another precision.
    pub fn cast<S: Real>(&self) -> Mask<S> {
        match self {
            Self::All => Mask::All,
            Self::Steps(mask) => Mask::Steps(cast(mask).into_owned()),
            Self::Episodes(mask) => Mask::Episodes(cast(mask).into_owned()),
        }
    }
}

fn cast<R: Real, S: Real, T: Data<Elem = R>, D: Dimension>(
    array: &ArrayBase<T, D>,
) -> CowArray<'static, S, D> {
    CowArray::from(array.map(|value| S::from_f64(value.as_f64())))
}

/// An array as if each of `population` networks had its own: one that is common to them is repeated along the first axis,
/// without a copy.
#[cfg(feature = "gpu")]
pub(crate) fn of_each_network<'b, R, T: Data<Elem = R>, D: Dimension>(
    array: &'b ArrayBase<T, D>,
    population: usize,
) -> ArrayView<'b, R, D> {
    let mut shape = array.raw_dim();
    shape[0] = population;
    array
        .broadcast(shape)
        .and_then(|view| view.into_dimensionality().ok())
        .expect("the first axis has length 1 or that of the population")
}
