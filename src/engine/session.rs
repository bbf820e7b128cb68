//! Networks that an engine keeps between calls: run forward now, differentiated later, all at once or step by step.

use super::changes::Changes;
use super::dispatch::Engine;
use super::extent::Extent;
use super::optimisers::one_for_each;
use crate::check::{require_finite, require_shape_of_networks};
#[cfg(feature = "gpu")]
use crate::computation::DeviceArrays;
use crate::computation::{
    EpisodeGradients, Failure, Gradients, Outcome, Request, SessionBackend, TrainingState,
};
use crate::cpu::CpuSession;
use crate::dynamics::{Dynamics, axes};
use crate::episodes::{Episodes, Upstream};
use crate::error::{Error, Result};
#[cfg(feature = "gpu")]
use crate::gpu::GpuSession;
use crate::memory;
use crate::network::{Dynamic, Network};
use crate::number::{PerPrecision, Real};
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use ndarray::{Array3, ArrayD, ArrayView3, Axis};
use std::sync::Arc;

/// Networks with their parameters on an engine, and room for their episodes: planned, allocated and uploaded once.
///
/// A session runs episodes forward, and differentiates what they did later, with a gradient on the outputs that the caller
/// computes; nothing runs forward twice. Steps may come all at once, or one by one where each input depends on the outputs
/// before it. Either way every number is that of [`Engine::forward`] and [`Engine::gradient`] on the same episodes, bit for
/// bit. With optimisers ([`Engine::learning_session`]) its networks learn from such gradients, which then need not leave the
/// device.
///
/// ```
/// use metaplastic::{Engine, Extent, Initial, Loss, Network, Optimiser, Parameters, Plastic, Rate};
/// use ndarray::{Array3, Array4};
///
/// let network = Network::new(Loss::None, [Plastic::new(3, 2, Rate::fixed(0.1))])?;
/// let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 1, 0)?;
/// let extent = Extent::new(4, 10).step_by_step();
/// let optimisers = [Optimiser::adam(0.01)];
/// let mut session = Engine::cpu().learning_session(&network, &parameters, &optimisers, extent)?;
/// session.begin();
/// let mut input = Array3::ones((1, 4, 3)); // [P, B, I]
/// for _ in 0..10 {
///     let output = session.step(&input)?; // [P, B, O]
///     input.fill(output.sum());
/// }
/// let output_gradient = Array4::ones((1, 4, 10, 2)); // [P, B, T, O]: of the sum of all outputs
/// let gradients = session.backward(&output_gradient)?; // to be looked at
/// assert_eq!(gradients.parameters.population(), 1);
/// session.learn(&output_gradient)?; // the same, and an update
/// assert!(session.parameters()? != parameters);
/// # Ok::<(), metaplastic::Error>(())
/// ```
#[derive(Debug)]
pub struct Session<R: Real> {
    network: Network,
    layout: Arc<Layout>,
    population: usize,
    learns: bool,
    extent: Extent,
    /// Steps that the present episodes have run.
    done: usize,
    /// What episodes that are driven step by step begin with; zeros where there is none.
    start: Dynamics<'static, R>,
    backend: Box<dyn SessionBackend<R>>,
    changes: Changes,
}

/// What a session is opened with.
struct Opening<'a, R: Real> {
    network: &'a Network,
    parameters: &'a Parameters<R>,
    optimisers: Option<Vec<Optimiser>>,
    extent: Extent,
    request: Request,
}

impl<R: Real> Opening<'_, R> {
    fn on_cpu(self) -> Result<Box<dyn SessionBackend<R>>> {
        Ok(Box::new(CpuSession::new(
            self.network,
            self.parameters,
            self.optimisers,
            self.request,
            self.extent.step_by_step,
        )?))
    }
}

/// [`Engine::session`] in one precision.
struct Open;

impl PerPrecision for Open {
    type Of<R: Real> = fn(&Engine, Opening<'_, R>) -> Result<Box<dyn SessionBackend<R>>>;
}

fn open_in_single(
    engine: &Engine,
    opening: Opening<'_, f32>,
) -> Result<Box<dyn SessionBackend<f32>>> {
    match engine {
        Engine::Cpu(_) => opening.on_cpu(),
        #[cfg(feature = "gpu")]
        Engine::Gpu(gpu) => Ok(Box::new(GpuSession::new(
            gpu,
            opening.network,
            opening.parameters,
            opening.optimisers,
            opening.request,
            opening.extent.step_by_step,
        )?)),
        Engine::Several(several) => open_in_single(several.first(), opening),
    }
}

fn open_in_double(
    engine: &Engine,
    opening: Opening<'_, f64>,
) -> Result<Box<dyn SessionBackend<f64>>> {
    match engine {
        Engine::Cpu(_) => opening.on_cpu(),
        #[cfg(feature = "gpu")]
        Engine::Gpu(_) => Err(super::dispatch::single_precision_only()),
        Engine::Several(several) => open_in_double(several.first(), opening),
    }
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
        Session::open(self, network, parameters, None, extent)
    }

    /// The same, with optimisers: the networks learn by [`Session::learn`] and [`Session::apply`].
    ///
    /// `optimisers` holds one optimiser for the whole population, or one for each of its networks.
    ///
    /// # Errors
    /// As [`Engine::session`], or if an optimiser's setting is out of range.
    pub fn learning_session<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: &[Optimiser],
        extent: Extent,
    ) -> Result<Session<R>> {
        parameters.check(network)?;
        let optimisers = one_for_each(optimisers, parameters)?;
        Session::open(self, network, parameters, Some(optimisers), extent)
    }
}

impl<R: Real> Session<R> {
    fn open(
        engine: &Engine,
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: Option<Vec<Optimiser>>,
        extent: Extent,
    ) -> Result<Self> {
        let open = R::choose::<Open>(open_in_single, open_in_double);
        let learns = optimisers.is_some();
        let opening = Opening {
            network,
            parameters,
            optimisers,
            extent,
            request: extent.request(network)?,
        };
        Ok(Self {
            learns,
            backend: open(engine, opening)?,
            network: network.clone(),
            layout: parameters.shared_layout().clone(),
            population: parameters.population(),
            extent,
            done: 0,
            start: Dynamics::new(),
            changes: Changes::default(),
        })
    }

    /// How large its episodes are.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The network of which the population is.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Networks `P`.
    pub fn population(&self) -> usize {
        self.population
    }

    /// Steps that the present episodes have run.
    pub fn steps(&self) -> usize {
        self.done
    }

    /// The parameters as they are now, read from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&self) -> Result<Parameters<R>> {
        self.backend.population().parameters()
    }

    /// Replaces the parameters. Episodes that are under way are given up.
    ///
    /// # Errors
    /// If they do not fit the network or the population, or the device fails.
    pub fn set_parameters(&mut self, parameters: &Parameters<R>) -> Result<()> {
        parameters.check_shape("parameters", &self.layout, self.population)?;
        parameters.check(&self.network)?;
        self.change(|backend| backend.population_mut().set_parameters(parameters))
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
                    "[P, B = {}, T = {}, I], as the session was opened for",
                    self.extent.batch, self.extent.steps
                ),
                actual: episodes.input.shape().to_vec(),
            });
        }
        // What is differentiated comes later.
        let forward = Episodes {
            given: episodes.given.views(),
            ..Episodes::new(episodes.input.view())
        };
        self.require_states(&forward.given)?;
        forward.check(&self.network, self.population)?;
        self.begin();
        self.advance(&forward)
    }

    /// Fails unless just those states are given that the extent says.
    fn require_states(&self, given: &Dynamics<'_, R>) -> Result<()> {
        for (index, state, shape) in self.network.states() {
            let name = || format!("layer{index}.{state}");
            match (self.extent.initial_states, given.has(index, state)) {
                (true, false) => {
                    let expected = [&[self.population, self.extent.batch], &shape[..]].concat();
                    return Err(Error::MissingTensor {
                        name: name(),
                        expected: format!("{} = {expected:?}", axes(state, &shape)),
                    });
                }
                (false, true) => {
                    return Err(Error::out_of_turn(
                        name(),
                        "given, but the session was opened for episodes that begin from zero (`initial_states`)",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Begins new episodes from zero, to be run with [`Session::step`].
    pub fn begin(&mut self) {
        self.done = 0;
        self.start = Dynamics::new();
        self.backend.begin();
    }

    /// The same from given traces, eligibility traces and activities, of each layer that has them; a first axis of length 1 is
    /// common to all networks. The extent has to say so ([`Extent::with_initial_states`]). Modulators among them are not looked at,
    /// so that [`Outcome::finals`] may be given as they are.
    ///
    /// # Errors
    /// If they do not fit the network or are not finite, some are missing, or they are not what the extent says.
    pub fn begin_from(&mut self, states: &Dynamics<'_, R>) -> Result<()> {
        let states = states.states();
        self.require_states(&states)?;
        // States have no steps.
        let sizes = [self.population, self.extent.batch, 0];
        states.check_given(&self.network, sizes)?;
        let bytes = states.elements() * size_of::<R>() as u128;
        memory::require("the session's initial states", bytes)?;
        self.begin();
        self.start = states.to_owned();
        Ok(())
    }

    /// One step of all episodes: from the inputs `[P, B, I]` the outputs `[P, B, O]`. An input whose first axis has length 1
    /// is common to all networks.
    ///
    /// # Errors
    /// If the session is not [step by step](Extent::step_by_step), the input does not fit or is not finite, all steps of the
    /// extent are done, a layer is modulated from the episodes, or the device fails.
    pub fn step<'a>(&mut self, input: impl Into<ArrayView3<'a, R>>) -> Result<Array3<R>>
    where
        R: 'a,
    {
        self.modulated_step(input, &Dynamics::new())
    }

    /// The same with the modulators of the layers whose modulators come from the episodes: `[P, B, 1]` or, per neuron,
    /// `[P, B, 1, O]`.
    ///
    /// # Errors
    /// As [`Session::step`], or if a modulator is missing, does not fit or is not finite.
    pub fn modulated_step<'a>(
        &mut self,
        input: impl Into<ArrayView3<'a, R>>,
        modulators: &Dynamics<'_, R>,
    ) -> Result<Array3<R>>
    where
        R: 'a,
    {
        let input = input.into();
        self.require_step()?;
        let expected = [self.population, self.extent.batch, self.network.inputs()];
        require_shape_of_networks("input", input.shape(), "[P, B, I]", &expected)?;
        require_finite("input", &input)?;
        let mut given = self.start.views();
        for (layer, dynamic, array) in modulators.iter() {
            if dynamic != Dynamic::Modulator {
                return Err(Error::out_of_turn(
                    format!("layer{layer}.{dynamic}"),
                    "given with a step, but episodes begin with it",
                ));
            }
            given.insert(layer, dynamic, array);
        }
        let sizes = [self.population, self.extent.batch, 1];
        given.check_given(&self.network, sizes)?;
        given.require_modulators(&self.network, sizes)?;
        if self.done == 0 && self.extent.initial_states {
            self.add_zeros(&mut given);
        }
        let given = given.to_owned();
        let mut episodes = Episodes::new(input.insert_axis(Axis(2)));
        episodes.given = given;
        let outcome = self.advance(&episodes)?;
        self.start = Dynamics::new();
        let output = outcome.output.expect("it is wanted");
        Ok(output.index_axis_move(Axis(2), 0))
    }

    /// Where the extent says that states are given and some are not, zeros.
    fn add_zeros(&self, given: &mut Dynamics<'_, R>) {
        for (index, state, shape) in self.network.states() {
            if !given.has(index, state) {
                let shape = [&[1, self.extent.batch], &shape[..]].concat();
                given.insert(index, state, ArrayD::zeros(shape));
            }
        }
    }

    /// Runs the steps of `episodes`. Where that fails, episodes are given up: some networks may have come further than others.
    fn advance(&mut self, episodes: &Episodes<'_, R>) -> Result<Outcome<R>> {
        let finals = self.extent.want.final_traces;
        let outcome = self.backend.advance(episodes, finals);
        match &outcome {
            Ok(_) => self.done += episodes.steps(),
            Err(_) => self.begin(),
        }
        outcome
    }

    pub(super) fn require_step_by_step(&self) -> Result<()> {
        match self.extent.step_by_step {
            true => Ok(()),
            false => Err(Error::out_of_turn(
                "step_by_step",
                "steps one at a time need a session that is opened to run step by step",
            )),
        }
    }

    fn require_step(&self) -> Result<()> {
        self.require_step_by_step()?;
        if self.done == self.extent.steps {
            return Err(Error::out_of_turn(
                "steps",
                format!(
                    "all {} that the session was opened for are done: begin new episodes",
                    self.done
                ),
            ));
        }
        Ok(())
    }

    /// Traces, eligibility traces and activities after the last step that was run. Episodes may go on from there
    /// ([`Session::begin_from`]).
    ///
    /// # Errors
    /// If the extent does not keep them ([`Extent::keep_states`]), no step was run, memory is short, or the device fails.
    pub fn states(&self) -> Result<Dynamics<'static, R>> {
        if !self.extent.has_states() {
            return Err(Error::out_of_turn(
                "states",
                "not kept: open the session to keep them (`keep_states`)",
            ));
        }
        self.require_steps()?;
        self.backend.states()
    }

    fn require_steps(&self) -> Result<()> {
        match self.done {
            0 => Err(Error::out_of_turn(
                "steps",
                "none was run yet with these parameters: run episodes forward first",
            )),
            _ => Ok(()),
        }
    }

    /// The gradients of `Σ output_gradient · output` over the steps that were run last, as often as wanted: of every
    /// parameter, and of what else the extent says is wanted or given. `upstream` is the output gradient, `[P, B, T, O]` for the
    /// `T` steps that were run, or an [`Upstream`] with gradients on the final traces, too, whose products are added.
    ///
    /// # Errors
    /// If no step was run, a gradient has another shape or is not finite, gradients on traces are not what the extent says, or
    /// the device fails.
    pub fn backward<'a>(&mut self, upstream: impl Into<Upstream<'a, R>>) -> Result<Gradients<R>>
    where
        R: 'a,
    {
        let upstream = upstream.into();
        self.require_upstream(&upstream)?;
        self.backend.backward(&upstream)
    }

    /// The session's arrays on a GPU, for each group of its networks: kernels of the program's own may read the outputs there
    /// and write the gradient on them ([`Upstream::on_device`]), so that nothing travels. None on the CPU.
    ///
    /// An extent that does not want the output ([`Want::output`](crate::engine::Want::output)) leaves it there.
    #[cfg(feature = "gpu")]
    pub fn device_arrays(&self) -> Vec<DeviceArrays> {
        self.backend.device_arrays()
    }

    fn require_upstream(&self, upstream: &Upstream<'_, R>) -> Result<()> {
        self.require_steps()?;
        #[cfg(feature = "gpu")]
        if upstream.on_device && self.backend.device_arrays().is_empty() {
            let reason = "on the device, but the CPU engine has none: give an array";
            return Err(Error::objective("output_gradient", reason));
        }
        let sizes = [self.population, self.extent.batch, self.done];
        upstream.check(&self.network, sizes)?;
        let Some((layer, state)) = upstream.final_gradients.first() else {
            return Ok(());
        };
        let name = format!("layer{layer}.{state}_gradient");
        if !self.extent.state_gradients {
            let reason = "given, but the session was opened for none (`state_gradients`)";
            return Err(Error::out_of_turn(name, reason));
        }
        if self.done < self.extent.steps {
            let reason = format!(
                "given after {} of {} steps, expected none before the last",
                self.done, self.extent.steps
            );
            return Err(Error::out_of_turn(name, reason));
        }
        Ok(())
    }

    /// As [`Session::backward`], with one update of every network by its gradient, which need not leave the device. Returns what
    /// else the extent says is wanted or given. What was run belongs to the parameters before: new episodes have to be run
    /// before there is another gradient.
    ///
    /// # Errors
    /// As [`Session::backward`], or if there are no optimisers. A gradient that is not finite is no error: see
    /// [`Session::failures`].
    pub fn learn<'a>(&mut self, upstream: impl Into<Upstream<'a, R>>) -> Result<EpisodeGradients<R>>
    where
        R: 'a,
    {
        let upstream = upstream.into();
        self.require_optimisers()?;
        self.require_upstream(&upstream)?;
        self.change(|backend| backend.learn(&upstream))
    }

    /// One update with the caller's gradients. Episodes that are under way are given up.
    ///
    /// # Errors
    /// If there are no optimisers, the gradients belong to another network or population, or the device fails.
    pub fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        self.require_optimisers()?;
        gradients.check_shape("gradients", &self.layout, self.population)?;
        self.change(|backend| backend.apply(gradients))
    }

    /// The networks that stopped learning because a gradient was not finite, in order.
    ///
    /// # Errors
    /// If the device fails.
    pub fn failures(&self) -> Result<Vec<Failure>> {
        self.backend.population().failures()
    }

    /// Everything that the population is now: as [`Learner::state`](crate::engine::Learner::state).
    ///
    /// # Errors
    /// If there are no optimisers, memory is short, or the device fails.
    pub fn state(&self) -> Result<TrainingState<R>> {
        self.require_optimisers()?;
        self.backend.population().state()
    }

    /// Goes on from `state`, which may be a [`Learner`](crate::engine::Learner)'s. Episodes that are under way are given up.
    ///
    /// # Errors
    /// If there are no optimisers, it is a state of another network or population or not finite, or the device fails.
    pub fn set_state(&mut self, state: &TrainingState<R>) -> Result<()> {
        self.require_optimisers()?;
        state.check(&self.layout, self.population)?;
        self.change(|backend| backend.population_mut().set_state(state))
    }

    fn require_optimisers(&self) -> Result<()> {
        match self.learns {
            true => Ok(()),
            false => Err(Error::out_of_turn(
                "optimisers",
                "the session was opened without any, and learns nothing: open one with an optimiser",
            )),
        }
    }

    /// A call that changes parameters. After one that failed when something had changed there is no other.
    fn change<T>(
        &mut self,
        call: impl FnOnce(&mut dyn SessionBackend<R>) -> Result<T>,
    ) -> Result<T> {
        self.changes.require_finished()?;
        let result = call(&mut *self.backend);
        self.changes
            .note(&result, self.backend.population().is_under_way());
        if result.is_ok() {
            self.begin();
        }
        result
    }
}
