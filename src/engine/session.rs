//! Networks that an engine keeps between calls: run forward now, differentiated later, all at once or step by step.

use super::dispatch::Engine;
use crate::check::{require_finite, require_shape_of_networks};
use crate::computation::{GivenTraces, Gradients, ObjectiveKind, Outcome, Request, Want};
use crate::cpu::CpuSession;
use crate::episodes::{Episodes, Objective};
use crate::error::{Error, Result};
#[cfg(feature = "gpu")]
use crate::gpu::GpuSession;
use crate::network::Network;
use crate::number::{PerPrecision, Real};
use crate::parameters::Parameters;
use ndarray::{Array3, ArrayView3, Axis, CowArray, Ix4};
use std::fmt::Debug;

/// How large the episodes of a session are, and what it makes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// Episodes of each network `B`.
    pub batch: usize,
    /// The most steps of an episode `T`.
    pub steps: usize,
    /// Whether steps are run one at a time, for which the engine holds every episode's trace.
    pub step_by_step: bool,
    /// Whether every plastic layer's trace at the first step is given; zero otherwise.
    pub initial_traces: bool,
    /// Results beyond the outputs and the gradients of the parameters.
    pub want: Want,
}

impl Extent {
    /// `batch` episodes of each network, of `steps` steps.
    pub fn new(batch: usize, steps: usize) -> Self {
        Self {
            batch,
            steps,
            step_by_step: false,
            initial_traces: false,
            want: Want::default(),
        }
    }

    /// The same, run one step at a time, up to `steps` of them.
    #[must_use]
    pub fn step_by_step(self) -> Self {
        Self {
            step_by_step: true,
            ..self
        }
    }

    /// The same, beginning from given traces.
    #[must_use]
    pub fn with_initial_traces(self) -> Self {
        Self {
            initial_traces: true,
            ..self
        }
    }

    /// The same with other results; the outputs are always returned.
    #[must_use]
    pub fn want(self, want: Want) -> Self {
        Self { want, ..self }
    }

    fn request(&self, network: &Network) -> Result<Request> {
        for (field, size) in [("batch", self.batch), ("steps", self.steps)] {
            if size == 0 {
                return Err(Error::ZeroSize {
                    field: field.into(),
                });
            }
            if size > u32::MAX as usize / 2 {
                let reason = format!("{size}, at most {} are supported", u32::MAX / 2);
                return Err(Error::setting(field, reason));
            }
        }
        let layers = network.layers().iter();
        let given = |plastic| GivenTraces {
            initial: plastic && self.initial_traces,
            gradient: false,
        };
        Ok(Request {
            batch: self.batch,
            steps: self.steps,
            gradient: true,
            want: Want {
                output: true,
                ..self.want
            },
            objective: ObjectiveKind::OutputGradient,
            traces: layers
                .map(|layer| given(layer.as_plastic().is_some()))
                .collect(),
        })
    }
}

/// What an engine does of a session.
trait Backend<R: Real>: Debug + Send {
    fn set_parameters(&mut self, parameters: &Parameters<R>) -> Result<()>;
    /// Begins new episodes.
    fn begin(&mut self);
    /// Runs the steps of `episodes` after those that have been run.
    fn advance(&mut self, episodes: &Episodes<'_, R>) -> Result<Outcome<R>>;
    /// From the gradient on the outputs of all steps that have been run.
    fn backward(&mut self, objective: &Objective<'_, R>) -> Result<Gradients<R>>;
}

/// Networks with their parameters on an engine, and room for their episodes: planned, allocated and uploaded once.
///
/// A session runs episodes forward, and differentiates what they did later, with a gradient on the outputs that the caller
/// computes; nothing runs forward twice. Steps may come all at once, or one by one where each input depends on the outputs
/// before it. Either way every number is that of [`Engine::forward`] and [`Engine::gradient`] on the same episodes, bit for
/// bit.
///
/// ```
/// use metaplastic::{Engine, Extent, Initial, Loss, Network, Parameters, Plastic, Rate};
/// use ndarray::{Array3, Array4};
///
/// let network = Network::new(Loss::None, [Plastic::new(3, 2, Rate::fixed(0.1))])?;
/// let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 1, 0)?;
/// let mut session = Engine::cpu().session(&network, &parameters, Extent::new(4, 10).step_by_step())?;
/// session.begin();
/// let mut input = Array3::ones((1, 4, 3)); // [P, B, I]
/// for _ in 0..10 {
///     let output = session.step(&input)?; // [P, B, O]
///     input.fill(output.sum());
/// }
/// let output_gradient = Array4::ones((1, 4, 10, 2)); // [P, B, T, O]: of the sum of all outputs
/// let gradients = session.backward(&output_gradient)?;
/// assert_eq!(gradients.parameters.population(), 1);
/// # Ok::<(), metaplastic::Error>(())
/// ```
#[derive(Debug)]
pub struct Session<R: Real> {
    network: Network,
    parameters: Parameters<R>,
    extent: Extent,
    /// Steps that the present episodes have run.
    done: usize,
    backend: Box<dyn Backend<R>>,
}

/// [`Engine::session`] in one precision.
struct Open;

impl PerPrecision for Open {
    type Of<R: Real> = fn(&Engine, &Network, &Parameters<R>, Extent) -> Result<Box<dyn Backend<R>>>;
}

fn open_in_single(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f32>,
    extent: Extent,
) -> Result<Box<dyn Backend<f32>>> {
    let (request, by_step) = (extent.request(network)?, extent.step_by_step);
    Ok(match engine {
        Engine::Cpu(_) => Box::new(CpuSession::new(network, parameters, request, by_step)?),
        #[cfg(feature = "gpu")]
        Engine::Gpu(gpu) => Box::new(GpuSession::new(gpu, network, parameters, request)?),
    })
}

fn open_in_double(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f64>,
    extent: Extent,
) -> Result<Box<dyn Backend<f64>>> {
    let (request, by_step) = (extent.request(network)?, extent.step_by_step);
    Ok(match engine {
        Engine::Cpu(_) => Box::new(CpuSession::new(network, parameters, request, by_step)?),
        #[cfg(feature = "gpu")]
        Engine::Gpu(_) => return Err(super::dispatch::single_precision_only()),
    })
}

impl Engine {
    /// Takes `parameters` to the engine's device, and makes room for episodes of `extent`.
    ///
    /// # Errors
    /// If the parameters do not fit the network, a size is zero, or the engine has no room for all episodes at once. The GPU
    /// engine computes in `f32` only.
    pub fn session<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        extent: Extent,
    ) -> Result<Session<R>> {
        parameters.check(network)?;
        let open = R::choose::<Open>(open_in_single, open_in_double);
        Ok(Session {
            backend: open(self, network, parameters, extent)?,
            network: network.clone(),
            parameters: parameters.clone(),
            extent,
            done: 0,
        })
    }
}

impl<R: Real> Session<R> {
    /// How large its episodes are.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The network of which the population is.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The parameters that it computes with.
    pub fn parameters(&self) -> &Parameters<R> {
        &self.parameters
    }

    /// Replaces the parameters. Episodes that are under way are given up.
    ///
    /// # Errors
    /// If they do not fit the network or the population, or the device fails.
    pub fn set_parameters(&mut self, parameters: &Parameters<R>) -> Result<()> {
        parameters.check_shape("parameters", self.parameters.layout(), self.population())?;
        parameters.check(&self.network)?;
        self.begin();
        self.backend.set_parameters(parameters)?;
        self.parameters.clone_from(parameters);
        Ok(())
    }

    /// Networks `P`.
    pub fn population(&self) -> usize {
        self.parameters.population()
    }

    /// Steps that the present episodes have run.
    pub fn steps(&self) -> usize {
        self.done
    }

    /// Runs whole new episodes forward, [`Extent::steps`] steps of them. Their objective, if they have one, is not looked at.
    ///
    /// # Errors
    /// If the episodes do not fit the network or the extent, are not finite, lack initial traces that the extent says are
    /// given or have others, or the device fails.
    pub fn forward(&mut self, episodes: &Episodes<'_, R>) -> Result<Outcome<R>> {
        let sizes = (episodes.batch(), episodes.steps());
        if sizes != (self.extent.batch, self.extent.steps) {
            return Err(Error::Shape {
                name: "input".into(),
                expected: format!(
                    "[P, B = {}, T = {}, I], as the session's extent says",
                    self.extent.batch, self.extent.steps
                ),
                actual: episodes.input.shape().to_vec(),
            });
        }
        // What is differentiated comes later.
        let forward = Episodes {
            input: episodes.input.view().into(),
            objective: Objective::None,
            initial_traces: episodes
                .initial_traces
                .iter()
                .map(|(&layer, trace)| (layer, trace.view().into()))
                .collect(),
            trace_gradients: Default::default(),
        };
        self.require_traces(&forward)?;
        forward.check(&self.network, self.population())?;
        self.begin();
        let outcome = self.backend.advance(&forward)?;
        self.done = self.extent.steps;
        Ok(outcome)
    }

    /// Fails unless just those initial traces are given that the extent says.
    fn require_traces(&self, episodes: &Episodes<'_, R>) -> Result<()> {
        for (index, layer) in self.network.layers().iter().enumerate() {
            let wanted = layer.as_plastic().is_some() && self.extent.initial_traces;
            let name = || format!("layer{index}.trace");
            match (wanted, episodes.initial_trace(index)) {
                (true, None) => {
                    return Err(Error::MissingTensor {
                        name: name(),
                        expected: format!(
                            "[P, B, O = {}, I = {}]",
                            layer.outputs(),
                            layer.inputs()
                        ),
                    });
                }
                (false, Some(_)) if layer.as_plastic().is_some() => {
                    return Err(Error::out_of_turn(
                        name(),
                        "given, but the session's extent says that episodes begin with traces of zero",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Begins new episodes, with traces of zero, to be run with [`Session::step`].
    pub fn begin(&mut self) {
        self.done = 0;
        self.backend.begin();
    }

    /// One step of all episodes: from the inputs `[P, B, I]` the outputs `[P, B, O]`. An input whose first axis has length 1
    /// is common to all networks.
    ///
    /// # Errors
    /// If the session is not [step by step](Extent::step_by_step), the input does not fit or is not finite, all steps of the
    /// extent are done, or the device fails.
    pub fn step<'a>(&mut self, input: impl Into<ArrayView3<'a, R>>) -> Result<Array3<R>>
    where
        R: 'a,
    {
        let input = input.into();
        self.require_step()?;
        let expected = [self.population(), self.extent.batch, self.network.inputs()];
        require_shape_of_networks("input", input.shape(), "[P, B, I]", &expected)?;
        require_finite("input", &input)?;
        let episodes = Episodes::new(input.insert_axis(Axis(2)));
        let outcome = self.backend.advance(&episodes)?;
        self.done += 1;
        let output = outcome.output.expect("it is wanted");
        Ok(output.index_axis_move(Axis(2), 0))
    }

    pub(super) fn require_step(&self) -> Result<()> {
        if !self.extent.step_by_step || self.extent.initial_traces {
            return Err(Error::out_of_turn(
                "extent",
                "steps one at a time need an extent that is step by step and begins with traces of zero",
            ));
        }
        if self.done == self.extent.steps {
            return Err(Error::out_of_turn(
                "steps",
                format!(
                    "all {} of the extent are done: begin new episodes",
                    self.done
                ),
            ));
        }
        Ok(())
    }

    /// The gradients of `Σ output_gradient · output` over the steps that were run last, as often as wanted: of every
    /// parameter, and of what else the extent says is wanted or given. `output_gradient` is `[P, B, T, O]` for the `T` steps
    /// that were run; a first axis of length 1 is common to all networks.
    ///
    /// # Errors
    /// If no step was run, the gradient has another shape or is not finite, or the device fails.
    pub fn backward<'a>(
        &mut self,
        output_gradient: impl Into<CowArray<'a, R, Ix4>>,
    ) -> Result<Gradients<R>>
    where
        R: 'a,
    {
        let gradient = output_gradient.into();
        if self.done == 0 {
            return Err(Error::out_of_turn(
                "steps",
                "none was run yet: run episodes forward first",
            ));
        }
        let outputs = self.network.outputs();
        let expected = [self.population(), self.extent.batch, self.done, outputs];
        let name = "output_gradient";
        require_shape_of_networks(name, gradient.shape(), "[P, B, T, O]", &expected)?;
        require_finite(name, &gradient)?;
        self.backend.backward(&Objective::OutputGradient(gradient))
    }
}

impl<R: Real> Backend<R> for CpuSession<R> {
    fn set_parameters(&mut self, parameters: &Parameters<R>) -> Result<()> {
        self.set_parameters(parameters);
        Ok(())
    }

    fn begin(&mut self) {
        self.begin();
    }

    fn advance(&mut self, episodes: &Episodes<'_, R>) -> Result<Outcome<R>> {
        self.advance(episodes)
    }

    fn backward(&mut self, objective: &Objective<'_, R>) -> Result<Gradients<R>> {
        self.backward(objective, &Default::default())
    }
}

#[cfg(feature = "gpu")]
impl Backend<f32> for GpuSession {
    fn set_parameters(&mut self, parameters: &Parameters<f32>) -> Result<()> {
        self.set_parameters(parameters)
    }

    fn begin(&mut self) {
        self.begin();
    }

    fn advance(&mut self, episodes: &Episodes<'_, f32>) -> Result<Outcome<f32>> {
        self.advance(episodes)
    }

    fn backward(&mut self, objective: &Objective<'_, f32>) -> Result<Gradients<f32>> {
        self.backward(objective)
    }
}
