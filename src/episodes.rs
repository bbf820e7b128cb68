//! A batch of episodes, as the caller supplies it.

use crate::check::{require_finite, require_shape, shape_error};
use crate::error::{Error, Result};
use crate::memory;
use crate::network::{Loss, Network};
use crate::number::Real;
use ndarray::{Array1, Array3, Array4};
use std::collections::BTreeMap;

/// `B` episodes of `T` steps for each network of a population, and what is differentiated on their outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Episodes<R> {
    /// Presynaptic activity of the first layer, `[P, B, T, I]`.
    pub input: Array4<R>,
    /// What is differentiated.
    pub objective: Objective<R>,
    /// By layer, the trace at the first step, `[P, B, O, I]`; zero where there is none. Plastic layers only.
    pub initial_traces: BTreeMap<usize, Array4<R>>,
    /// By layer, the gradient on the trace after the last step, `[P, B, O, I]`; zero where there is none. Plastic layers
    /// only.
    pub trace_gradients: BTreeMap<usize, Array4<R>>,
}

/// The quantity whose gradient is taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Objective<R> {
    /// The network's loss against a target: the mean over episodes of the masked sum over steps.
    Target {
        /// `[P, B, T, O]`.
        target: Array4<R>,
        /// Which steps count.
        mask: Mask<R>,
    },
    /// `Σ output_gradient · output`, with nothing divided: `[P, B, T, O]`.
    OutputGradient(Array4<R>),
    /// Nothing on the output.
    None,
}

/// Which steps count towards the loss: each step's loss is multiplied by its mask.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Mask<R> {
    /// Every step counts once.
    #[default]
    All,
    /// The same for every episode, `[T]`.
    Steps(Array1<R>),
    /// For every episode its own, `[P, B, T]`.
    Episodes(Array3<R>),
}

impl<R: Real> Episodes<R> {
    /// Episodes without an objective, with zero initial traces. `input` is `[P, B, T, I]`.
    pub fn new(input: Array4<R>) -> Self {
        Self {
            input,
            objective: Objective::None,
            initial_traces: BTreeMap::new(),
            trace_gradients: BTreeMap::new(),
        }
    }

    /// The same with a target `[P, B, T, O]` for the network's loss; every step counts.
    pub fn with_target(self, target: Array4<R>) -> Self {
        self.with_masked_target(target, Mask::All)
    }

    /// The same with a target `[P, B, T, O]` for the network's loss and a mask.
    pub fn with_masked_target(self, target: Array4<R>, mask: Mask<R>) -> Self {
        Self {
            objective: Objective::Target { target, mask },
            ..self
        }
    }

    /// The same with a gradient on the output, `[P, B, T, O]`.
    pub fn with_output_gradient(self, gradient: Array4<R>) -> Self {
        Self {
            objective: Objective::OutputGradient(gradient),
            ..self
        }
    }

    /// The same with a layer's trace at the first step, `[P, B, O, I]`.
    pub fn with_initial_trace(mut self, layer: usize, trace: Array4<R>) -> Self {
        self.initial_traces.insert(layer, trace);
        self
    }

    /// The same with a gradient on a layer's trace after the last step, `[P, B, O, I]`.
    pub fn with_trace_gradient(mut self, layer: usize, gradient: Array4<R>) -> Self {
        self.trace_gradients.insert(layer, gradient);
        self
    }

    /// Number of networks `P`.
    pub fn population(&self) -> usize {
        self.input.dim().0
    }

    /// Episodes per network `B`.
    pub fn batch(&self) -> usize {
        self.input.dim().1
    }

    /// Steps per episode `T`.
    pub fn steps(&self) -> usize {
        self.input.dim().2
    }

    /// A layer's trace at the first step, if given.
    pub fn initial_trace(&self, layer: usize) -> Option<&Array4<R>> {
        self.initial_traces.get(&layer)
    }

    /// The gradient on a layer's trace after the last step, if given.
    pub fn trace_gradient(&self, layer: usize) -> Option<&Array4<R>> {
        self.trace_gradients.get(&layer)
    }

    /// Fails unless every array has the shape that `network` and a population of `population` call for, and is finite.
    ///
    /// # Errors
    /// Names the first tensor that does not fit.
    pub fn check(&self, network: &Network, population: usize) -> Result<()> {
        let (networks, batch, steps, inputs) = self.input.dim();
        let expected = format!("[P = {population}, B, T, I = {}]", network.inputs());
        if (networks, inputs) != (population, network.inputs()) {
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
        let output = [networks, batch, steps, network.outputs()];
        match &self.objective {
            Objective::Target { target, mask } => {
                if network.loss() == Loss::None {
                    return Err(Error::setting(
                        "target",
                        "given, but the network's loss is \"none\": give output_gradient, or choose a loss",
                    ));
                }
                require_shape("target", target.shape(), "[P, B, T, O]", &output)?;
                require_finite("target", target)?;
                match mask {
                    Mask::All => {}
                    Mask::Steps(mask) => {
                        require_shape("mask", mask.shape(), "[T] or [P, B, T]", &[steps])?;
                        require_finite("mask", mask)?;
                    }
                    Mask::Episodes(mask) => {
                        require_shape("mask", mask.shape(), "[T] or [P, B, T]", &output[..3])?;
                        require_finite("mask", mask)?;
                    }
                }
            }
            Objective::OutputGradient(gradient) => {
                require_shape("output_gradient", gradient.shape(), "[P, B, T, O]", &output)?;
                require_finite("output_gradient", gradient)?;
            }
            Objective::None => {}
        }
        for (traces, suffix) in [
            (&self.initial_traces, "trace"),
            (&self.trace_gradients, "trace_gradient"),
        ] {
            for (&index, trace) in traces {
                let name = format!("layer{index}.{suffix}");
                let Some(layer) = network
                    .layers()
                    .get(index)
                    .and_then(|layer| layer.as_plastic())
                else {
                    return Err(Error::UnknownTensor {
                        name,
                        known: "traces of its plastic layers only".into(),
                    });
                };
                let expected = [networks, batch, layer.outputs, layer.inputs];
                require_shape(&name, trace.shape(), "[P, B, O, I]", &expected)?;
                require_finite(&name, trace)?;
            }
        }
        Ok(())
    }
}
