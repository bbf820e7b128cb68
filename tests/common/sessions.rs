//! Sessions: halves of a computation one after the other, and steps one at a time.

use super::cases::{Case, Goal, of_network, plastic};
use metaplastic::engine::{Gradients, TrainingState};
use metaplastic::episodes::{Objective, Upstream};
use metaplastic::number::Real;
use metaplastic::{
    Activation, Bias, Dense, Dynamic, Dynamics, Engine, Episodes, Error, Extent, Layer, Optimiser,
    Parameters, Plastic, Rate, Rule, Session, Want,
};
use ndarray::{Array3, Array4, ArrayD, Axis, CowArray, Ix4, Slice, s};

/// Every kind of layer, with a retention that is differentiated and one that is not; long enough for kept traces.
pub fn cases() -> Vec<Case> {
    let layers = |inputs: usize, outputs: usize, rule: Rule| {
        let first = plastic(inputs, outputs).rule(rule).rate(Rate::learned(0.3));
        [
            Layer::Plastic(first),
            Layer::from(Plastic::new(outputs, 6, Rate::fixed(0.9)).activation(Activation::Tanh)),
            Layer::from(Dense::new(6, 3).activation(Activation::Tanh)),
            Layer::from(Bias::new(3)),
        ]
    };
    let case = |layers: [Layer; 4], batch: usize, steps: usize| Case {
        population: 3,
        batch,
        steps,
        goal: Goal::OutputGradient,
        ..Case::new(layers)
    };
    vec![
        case(layers(20, 7, Rule::hebb()), 5, 70),
        // In tiles of two rows; several blocks of episodes.
        case(layers(24, 6, Rule::oja()), 37, 17),
        // Rows over several subgroups.
        case(layers(300, 4, Rule::oja()), 2, 3),
    ]
}

/// A small case.
pub fn small() -> Case {
    Case {
        population: 5,
        batch: 3,
        steps: 20,
        goal: Goal::OutputGradient,
        ..Case::new([Layer::Plastic(plastic(6, 4))])
    }
}

/// A case on the engine: its session, its episodes, and what the engine makes of them at once.
struct Trial<R: Real> {
    parameters: Parameters<R>,
    session: Session<R>,
    episodes: Episodes<'static, R>,
    output_gradient: Array4<R>,
    whole: Gradients<R>,
}

/// A session for what the case is given and differentiates.
fn session<R: Real>(
    engine: &Engine,
    case: &Case,
    parameters: &Parameters<R>,
    mut extent: Extent,
) -> Session<R> {
    if case.initial_trace {
        extent = extent.with_initial_states();
    }
    if case.trace_gradient {
        extent = extent.with_state_gradients();
    }
    let session = engine.session(&case.network(), parameters, extent);
    session.expect("a session")
}

impl<R: Real> Trial<R> {
    fn new(engine: &Engine, case: &Case, step_by_step: bool) -> Self {
        let (network, parameters) = (case.network(), case.parameters().cast::<R>());
        let episodes = case.episodes().cast::<R>();
        let whole = engine.gradient(&network, &parameters, &episodes, Want::ALL);
        let mut extent = Extent::new(case.batch, case.steps).want(Want::ALL);
        if step_by_step {
            extent = extent.step_by_step();
        }
        let Objective::OutputGradient(output_gradient) = &episodes.objective else {
            unreachable!("the cases have a gradient on the output")
        };
        Self {
            session: session(engine, case, &parameters, extent),
            output_gradient: output_gradient.to_owned(),
            whole: whole.expect("gradients"),
            parameters,
            episodes,
        }
    }

    /// The input of one step.
    fn input(&self, step: usize) -> Array3<R> {
        self.episodes.input.index_axis(Axis(2), step).to_owned()
    }

    /// One step, with its input and modulators.
    fn step(&mut self, step: usize) -> Array3<R> {
        let modulators = modulators(&self.episodes.given, step..step + 1);
        let output = self.session.modulated_step(&self.input(step), &modulators);
        output.expect("a step")
    }

    /// Begins with the states that the case has.
    fn begin(&mut self) {
        self.session
            .begin_from(&states(&self.episodes.given))
            .expect("states");
    }

    /// What the case differentiates.
    fn upstream(&self) -> Upstream<'static, R> {
        let mut upstream = Upstream::output_gradient(self.output_gradient.clone());
        for (layer, state, gradient) in self.episodes.final_gradients.iter() {
            upstream = upstream.with_final_gradient(layer, state, gradient.to_owned());
        }
        upstream
    }

    /// The reverse half, twice, against the engine's.
    fn backward_is_the_engines(&mut self) {
        for _ in 0..2 {
            let gradients = self.session.backward(self.upstream());
            let gradients = gradients.expect("gradients");
            assert!(gradients.parameters == self.whole.parameters);
            assert!(gradients.input == self.whole.input);
            assert!(gradients.given == self.whole.given);
        }
    }
}

/// All but modulators.
fn states<R: Real>(all: &Dynamics<'_, R>) -> Dynamics<'static, R> {
    let states = all.iter().filter(|it| it.1 != Dynamic::Modulator);
    states.fold(Dynamics::new(), |states, (layer, state, it)| {
        states.with(layer, state, it.to_owned())
    })
}

/// The modulators of some steps.
fn modulators<R: Real>(
    all: &Dynamics<'_, R>,
    steps: std::ops::Range<usize>,
) -> Dynamics<'static, R> {
    let modulators = all.iter().filter(|it| it.1 == Dynamic::Modulator);
    modulators.fold(Dynamics::new(), |modulators, (layer, modulator, it)| {
        let part = it.slice_axis(Axis(2), Slice::from(steps.clone()));
        modulators.with(layer, modulator, part.to_owned())
    })
}

/// Forward and backward apart are the engine's gradient, bit for bit; with other parameters they are others.
pub fn halves_are_the_engines<R: Real>(engine: &Engine, case: &Case) {
    for (initial_trace, trace_gradient) in [(false, false), (true, true)] {
        let case = Case {
            initial_trace,
            trace_gradient,
            ..case.clone()
        };
        let mut trial = Trial::<R>::new(engine, &case, false);
        let expected = trial.whole.outcome.clone();
        let outcome = trial.session.forward(&trial.episodes).expect("outputs");
        assert!(outcome.output == expected.output && outcome.finals == expected.finals);
        trial.backward_is_the_engines();
        // Without the gradients on traces that there were.
        let mut without = trial.episodes.clone();
        without.final_gradients = Dynamics::new();
        let (network, parameters) = (case.network(), &trial.parameters);
        let whole = engine.gradient(&network, parameters, &without, Want::ALL);
        let gradients = trial.session.backward(&trial.output_gradient);
        let (whole, gradients) = (whole.expect("gradients"), gradients.expect("gradients"));
        assert!(gradients.parameters == whole.parameters);
        assert!(gradients.given == whole.given);
        trial.backward_is_the_engines();
        // Other parameters, and back again.
        let mut others = trial.parameters.clone();
        let values = others.values_mut().iter_mut();
        values.for_each(|value| *value *= R::from_f64(0.5));
        trial.session.set_parameters(&others).expect("parameters");
        let outcome = trial.session.forward(&trial.episodes).expect("outputs");
        assert!(outcome.output != expected.output);
        let parameters = trial.parameters.clone();
        trial
            .session
            .set_parameters(&parameters)
            .expect("parameters");
        let outcome = trial.session.forward(&trial.episodes).expect("outputs");
        assert!(outcome.output == expected.output);
        trial.backward_is_the_engines();
        states_may_be_asked_for(engine, &case, &trial);
    }
}

/// A session that keeps the states gives them when they are asked for, before the reverse half and after it, and not before.
fn states_may_be_asked_for<R: Real>(engine: &Engine, case: &Case, trial: &Trial<R>) {
    let want = Want::default().input_gradient();
    let extent = Extent::new(case.batch, case.steps).want(want);
    let extent = extent.keep_states();
    let expected = states(&trial.whole.outcome.finals);
    let mut session = session(engine, case, &trial.parameters, extent);
    for _ in 0..2 {
        let outcome = session.forward(&trial.episodes).expect("outputs");
        assert!(outcome.finals == Dynamics::new());
        assert!(session.states().expect("states") == expected);
        let gradients = session.backward(trial.upstream()).expect("gradients");
        assert!(gradients.parameters == trial.whole.parameters);
        assert!(session.states().expect("states") == expected);
    }
}

/// What networks have in common may be given once to every call, with the results of a copy for each.
pub fn what_networks_have_in_common_is_given_once(engine: &Engine, case: &Case) {
    let case = Case {
        initial_trace: true,
        trace_gradient: true,
        ..case.clone()
    };
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let one = of_network(&case.episodes().cast(), 0);
    let Objective::OutputGradient(gradient) = &one.objective else {
        unreachable!("the cases have a gradient on the output")
    };
    let copies = |array: &CowArray<'static, f32, Ix4>| {
        let copies = vec![array.view(); case.population];
        ndarray::concatenate(Axis(0), &copies).expect("arrays of one shape")
    };
    let copied = one.given.iter().fold(
        Episodes::new(copies(&one.input)),
        |episodes, (layer, dynamic, it)| {
            let copies = vec![it; case.population];
            let copies = ndarray::concatenate(Axis(0), &copies).expect("arrays of one shape");
            episodes.with_given(layer, dynamic, copies)
        },
    );
    let extent = Extent::new(case.batch, case.steps).want(Want::ALL);
    let session = |extent| engine.session(&network, &parameters, extent);
    let with_traces = extent.with_initial_states().with_state_gradients();
    let mut whole = session(with_traces).expect("a session");
    let mut halves = |episodes: &Episodes<'_, f32>, upstream: Upstream<'_, f32>| {
        let outcome = whole.forward(episodes).expect("outputs");
        (outcome, whole.backward(upstream).expect("gradients"))
    };
    let mut upstream = Upstream::output_gradient(gradient.view());
    let mut of_each = Upstream::output_gradient(copies(gradient));
    for (layer, state, gradient) in one.final_gradients.iter() {
        upstream = upstream.with_final_gradient(layer, state, gradient.to_owned());
        let copies = vec![gradient; case.population];
        let copies = ndarray::concatenate(Axis(0), &copies).expect("arrays of one shape");
        of_each = of_each.with_final_gradient(layer, state, copies);
    }
    // First, so that nothing of the copies is there yet.
    let given_once = halves(&one, upstream);
    assert!(given_once == halves(&copied, of_each));
    let mut stepwise = session(extent.step_by_step()).expect("a session");
    let mut step = |input: &CowArray<'static, f32, Ix4>| {
        stepwise.begin();
        let input = input.index_axis(Axis(2), 0);
        let output = stepwise.step(input).expect("a step");
        let gradient = gradient.slice(s![.., .., ..1, ..]).to_owned();
        (output, stepwise.backward(gradient).expect("gradients"))
    };
    let given_once = step(&one.input);
    assert!(given_once == step(&copies(&one.input).into()));
}

/// Steps one at a time give the bits of all steps at once, and so does what is differentiated at the end.
pub fn steps_are_all_at_once<R: Real>(engine: &Engine, case: &Case) {
    for (initial_trace, trace_gradient) in [(false, false), (true, true)] {
        let case = Case {
            initial_trace,
            trace_gradient,
            ..case.clone()
        };
        let mut trial = Trial::<R>::new(engine, &case, true);
        // Twice, so that something is there from the episodes before.
        for _ in 0..2 {
            trial.begin();
            for t in 0..case.steps {
                let output = trial.step(t);
                let whole = trial.whole.outcome.output.as_ref().expect("outputs");
                assert!(output == whole.index_axis(Axis(2), t), "step {t}");
            }
            let after = trial.session.states().expect("states");
            assert!(after == states(&trial.whole.outcome.finals));
            trial.backward_is_the_engines();
        }
    }
}

/// Episodes that begin from the traces that others ended with go on as if they had never ended; where an episode has
/// been differentiated on its way, it goes on as well.
pub fn episodes_go_on<R: Real>(engine: &Engine, case: &Case) {
    let case = Case {
        initial_trace: true,
        ..case.clone()
    };
    let mut trial = Trial::<R>::new(engine, &case, true);
    let whole = trial.whole.outcome.clone();
    let output = whole.output.as_ref().expect("outputs");
    let half = case.steps / 2;
    trial.begin();
    for t in 0..half {
        trial.step(t);
    }
    let then = trial.session.states().expect("states");
    // What is differentiated here is half of the episode.
    let gradient = trial
        .output_gradient
        .slice_axis(Axis(2), Slice::from(..half));
    let gradient = gradient.to_owned();
    let first = trial.session.backward(&gradient).expect("gradients");
    let mut short = trial.episodes.clone();
    short.input.slice_axis_inplace(Axis(2), Slice::from(..half));
    short.final_gradients = Dynamics::new();
    for (layer, modulator, it) in modulators(&trial.episodes.given, 0..half).iter() {
        short.given.insert(layer, modulator, it.to_owned());
    }
    let short = short.with_output_gradient(gradient.clone());
    let expected = engine.gradient(&case.network(), &trial.parameters, &short, Want::ALL);
    let expected = expected.expect("gradients");
    assert!(first.parameters == expected.parameters && first.input == expected.input);
    assert!(first.given == expected.given);
    assert!(trial.session.states().expect("states") == then);
    for t in half..case.steps {
        let step = trial.step(t);
        assert!(step == output.index_axis(Axis(2), t), "step {t}");
    }
    assert!(trial.session.states().expect("states") == states(&whole.finals));
    trial.backward_is_the_engines();
    // The other half as an episode of its own: its outputs are the same but for the rounding of a trace that was read.
    trial.session.begin_from(&then).expect("states");
    for t in half..case.steps {
        let step = trial.step(t);
        let expected = output.index_axis(Axis(2), t);
        let scale = if R::NAME == "f32" { 1e-3 } else { 1e-11 };
        let apart = (&step - &expected).mapv(|it| it.as_f64().abs());
        assert!(apart.iter().all(|&it| it < scale), "step {t}: {apart}");
    }
    // Traces of zero, said and unsaid.
    let given = states(&trial.episodes.given);
    let zeros = given
        .iter()
        .fold(Dynamics::new(), |zeros, (layer, state, it)| {
            zeros.with(layer, state, ArrayD::zeros(it.raw_dim()))
        });
    trial.session.begin_from(&zeros).expect("states");
    let said = trial.step(0);
    trial.session.begin();
    let unsaid = trial.step(0);
    assert!(said == unsaid);
}

/// A session that learns is a session whose gradients a learner takes, bit for bit; what it is at any moment can be taken out
/// and put back.
pub fn a_session_learns_as_a_learner_does<R: Real>(engine: &Engine, case: &Case) {
    let case = Case {
        initial_trace: true,
        trace_gradient: true,
        ..case.clone()
    };
    let (network, parameters) = (case.network(), case.parameters().cast::<R>());
    let optimisers: Vec<_> = (0..case.population)
        .map(|index| match index % 3 {
            0 => Optimiser::adam(0.01),
            1 => Optimiser::sgd(0.02, 0.5),
            _ => Optimiser::rmsprop(0.005),
        })
        .collect();
    let extent = Extent::new(case.batch, case.steps).want(Want::ALL);
    let extent = extent.with_initial_states().with_state_gradients();
    let open = || engine.learning_session(&network, &parameters, &optimisers, extent);
    let mut trial = Trial::<R>::new(engine, &case, false);
    let learner = engine.learner(&network, &parameters, &optimisers);
    let (mut session, mut learner) = (open().expect("a session"), learner.expect("a learner"));
    let mut states = Vec::new();
    for _ in 0..4 {
        session.forward(&trial.episodes).expect("outputs");
        trial.session.forward(&trial.episodes).expect("outputs");
        let gradients = trial.session.backward(trial.upstream()).expect("gradients");
        learner.apply(&gradients.parameters).expect("an update");
        let learned = learner.parameters().expect("parameters");
        trial.session.set_parameters(&learned).expect("parameters");
        let others = session.learn(trial.upstream()).expect("gradients");
        assert!(others.input == gradients.input);
        assert!(others.given == gradients.given);
        assert!(session.parameters().expect("parameters") == learned);
        states.push(session.state().expect("a state"));
        // What was run belongs to parameters that are gone.
        let error = session.learn(trial.upstream()).unwrap_err();
        assert!(error.to_string().contains("none was run"), "{error}");
    }
    assert!(learner.failures().expect("failures").is_empty());
    let from_learner = learner.state().expect("a state");
    let last = states.last().expect("one");
    assert!(from_learner.moments == last.moments && from_learner.updates == last.updates);
    assert_eq!(last.updates, vec![4; case.population]);
    assert_eq!(last.episodes, 4 * case.batch as u64);
    // From each moment to the next: in another session, and in this one, back in time.
    let mut other = open().expect("a session");
    for session in [&mut other, &mut session] {
        for states in states.windows(2) {
            session.set_state(&states[0]).expect("a state");
            assert!(session.state().expect("a state") == states[0]);
            session.forward(&trial.episodes).expect("outputs");
            session.learn(trial.upstream()).expect("gradients");
            assert!(session.state().expect("a state") == states[1]);
        }
    }
}

/// A network whose gradient is not finite stops learning, and no other does; that it has failed is part of its state.
pub fn a_session_says_which_network_failed(engine: &Engine) {
    let layer = plastic(6, 4).activation(Activation::Linear);
    let case = Case {
        goal: Goal::OutputGradient,
        population: 3,
        ..Case::new([Layer::Plastic(layer)])
    };
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let extent = Extent::new(case.batch, case.steps);
    let optimisers = [Optimiser::sgd(0.01, 0.0)];
    let open = || engine.learning_session(&network, &parameters, &optimisers, extent);
    let mut session = open().expect("a session");
    let episodes = case.episodes().cast::<f32>();
    let gradient = Array4::from_elem((3, case.batch, case.steps, 4), 0.1f32);
    session.forward(&episodes).expect("outputs");
    session.learn(&gradient).expect("an update");
    assert_eq!(session.failures().expect("failures"), []);
    let before = session.parameters().expect("parameters");
    let mut huge = episodes.clone();
    huge.input.index_axis_mut(Axis(0), 1).fill(1e30);
    session.forward(&huge).expect("outputs");
    session.learn(&gradient).expect("an update");
    let failures = session.failures().expect("failures");
    let [failure] = &failures[..] else {
        panic!("{failures:?}")
    };
    assert_eq!((failure.network, failure.episode), (1, case.batch as u64));
    assert!(
        failure.tensor.starts_with("gradient.layer0."),
        "{failure:?}"
    );
    let after = session.parameters().expect("parameters");
    assert!(after.network(1) == before.network(1));
    assert!(after.network(0) != before.network(0) && after.network(2) != before.network(2));
    // It stays so, there and elsewhere.
    let state = session.state().expect("a state");
    let mut other = open().expect("a session");
    other.set_state(&state).expect("a state");
    for session in [&mut session, &mut other] {
        session.forward(&episodes).expect("outputs");
        session.learn(&gradient).expect("an update");
        assert_eq!(session.failures().expect("failures"), failures);
        let last = session.parameters().expect("parameters");
        assert!(last.network(1) == before.network(1) && last.network(0) != after.network(0));
    }
    assert!(session.state().expect("a state") == other.state().expect("a state"));
    // States of others, or broken ones, are refused and change nothing.
    let kept = session.state().expect("a state");
    let refused = |session: &mut Session<f32>, change: &dyn Fn(&mut TrainingState<f32>)| {
        let mut state = kept.clone();
        change(&mut state);
        let error = session.set_state(&state).unwrap_err();
        assert!(session.state().expect("a state") == kept);
        error.to_string()
    };
    let named = |text: String, name: &str| assert!(text.contains(name), "{text}");
    named(
        refused(&mut session, &|it| {
            it.parameters = it.parameters.slice(0..2)
        }),
        "parameters",
    );
    named(
        refused(&mut session, &|it| {
            it.moments[1] = it.moments[1].slice(0..1)
        }),
        "second moments",
    );
    named(
        refused(&mut session, &|it| it.moments[0].values_mut()[3] = f32::NAN),
        "first moments",
    );
    named(refused(&mut session, &|it| it.updates.push(1)), "updates");
    named(refused(&mut session, &|it| it.losses.clear()), "losses");
    named(
        refused(&mut session, &|it| it.failures[0].network = 3),
        "network 3",
    );
    named(
        refused(&mut session, &|it| {
            it.failures[0].tensor = "gradient.layer7.weight".into()
        }),
        "layer7",
    );
    // Without optimisers there is nothing to learn by.
    let mut session = engine
        .session(&network, &parameters, extent)
        .expect("a session");
    session.forward(&episodes).expect("outputs");
    for text in [
        session.learn(&gradient).unwrap_err().to_string(),
        session.apply(&parameters).unwrap_err().to_string(),
        session.state().unwrap_err().to_string(),
        session.set_state(&kept).unwrap_err().to_string(),
    ] {
        named(text, "optimisers");
    }
    assert_eq!(session.failures().expect("failures"), []);
}

/// Both of these, the second from traces of zero.
pub fn episodes_go_on_and_may_end_early<R: Real>(engine: &Engine, case: &Case) {
    episodes_go_on::<R>(engine, case);
    let from_zero = Case {
        initial_trace: false,
        trace_gradient: false,
        ..case.clone()
    };
    episodes_may_end_early::<R>(engine, &from_zero);
}

/// Episodes that end before the steps that there is room for are differentiated as far as they went.
pub fn episodes_may_end_early<R: Real>(engine: &Engine, case: &Case) {
    let mut trial = Trial::<R>::new(engine, case, true);
    // Something is there from longer episodes before, on the way back too.
    for t in 0..case.steps {
        trial.step(t);
    }
    let whole = trial.session.backward(&trial.output_gradient);
    whole.expect("gradients");
    let steps = case.steps / 2;
    let part = |array: &ndarray::ArrayView4<'_, R>| {
        array.slice_axis(Axis(2), Slice::from(..steps)).to_owned()
    };
    let output_gradient = part(&trial.output_gradient.view());
    let short = Episodes::new(part(&trial.episodes.input.view()));
    let mut short = short.with_output_gradient(output_gradient.clone());
    short.given = modulators(&trial.episodes.given, 0..steps);
    let (network, parameters) = (case.network(), &trial.parameters);
    let expected = engine.gradient(&network, parameters, &short, Want::ALL);
    let expected = expected.expect("gradients");
    trial.session.begin();
    for t in 0..steps {
        trial.step(t);
    }
    let gradients = trial.session.backward(&output_gradient).expect("gradients");
    assert!(gradients.parameters == expected.parameters);
    assert!(gradients.input == expected.input);
}

/// What a rule does at outputs of zero, which steps to come would have without an input, shows nowhere in episodes that ended
/// before.
pub fn steps_to_come_show_nowhere(engine: &Engine) {
    let mut layer = plastic(6, 4);
    layer.rule = Rule::parse("0.5 * h + rate * x / y").expect("a rule");
    layer.bias = false;
    let case = Case {
        goal: Goal::OutputGradient,
        steps: 10,
        ..Case::new([Layer::Plastic(layer)])
    };
    let mut trial = Trial::<f32>::new(engine, &case, true);
    let gradient = trial.output_gradient.slice(s![.., .., ..3, ..]).to_owned();
    let short = Episodes::new(trial.episodes.input.slice(s![.., .., ..3, ..]));
    let short = short.with_output_gradient(&gradient);
    let expected = engine.gradient(&case.network(), &trial.parameters, &short, Want::ALL);
    let expected = expected.expect("gradients");
    assert!(expected.parameters.values().iter().all(|it| it.is_finite()));
    trial.session.begin();
    for t in 0..3 {
        trial.step(t);
    }
    let gradients = trial.session.backward(&gradient).expect("gradients");
    assert!(gradients.parameters == expected.parameters && gradients.input == expected.input);
}

/// Episodes that overflowed leave nothing behind in those that follow, which end earlier.
pub fn nothing_is_left_of_episodes_that_overflowed(engine: &Engine) {
    let layer = plastic(6, 4).activation(Activation::Linear);
    let case = Case {
        goal: Goal::OutputGradient,
        steps: 12,
        ..Case::new([Layer::Plastic(layer)])
    };
    let mut trial = Trial::<f32>::new(engine, &case, true);
    let huge = trial.input(0).mapv(|value| 1e38 * value.signum());
    for _ in 0..case.steps {
        let output = trial.session.step(&huge).expect("a step");
        assert!(
            output
                .iter()
                .any(|value| value.abs() > 1e30 || value.is_nan())
        );
    }
    let gradient = trial.output_gradient.slice(s![.., .., ..3, ..]).to_owned();
    let short = Episodes::new(trial.episodes.input.slice(s![.., .., ..3, ..]));
    let short = short.with_output_gradient(&gradient);
    let (network, parameters) = (case.network(), &trial.parameters);
    let expected = engine.gradient(&network, parameters, &short, Want::ALL);
    let expected = expected.expect("gradients");
    trial.session.begin();
    for t in 0..3 {
        trial.step(t);
    }
    let gradients = trial.session.backward(&gradient).expect("gradients");
    assert!(gradients.parameters == expected.parameters);
}

/// Calls that a session cannot carry out are refused with what is wrong, and leave it as it was.
pub fn wrong_calls_are_refused(engine: &Engine) {
    let case = small();
    let mut trial = Trial::<f32>::new(engine, &case, true);
    let named = |error: Error, name: &str| {
        assert!(error.to_string().contains(name), "{error}");
    };
    let step = trial.input(0);
    let gradient = trial.output_gradient.clone();
    let early = trial.session.backward(&gradient).unwrap_err();
    assert!(matches!(early, Error::OutOfTurn { .. }), "{early:?}");
    named(early, "none was run");
    let wide = Array3::ones((5, 3, 7));
    named(trial.session.step(&wide).unwrap_err(), "input");
    let short = Episodes::new(trial.episodes.input.slice(s![.., .., ..1, ..]));
    named(trial.session.forward(&short).unwrap_err(), "T = 20");
    let mut broken = step.clone();
    broken[[0, 1, 2]] = f32::NAN;
    named(trial.session.step(&broken).unwrap_err(), "[0, 1, 2]");
    trial.session.step(&step).expect("a step");
    assert_eq!(trial.session.steps(), 1);
    named(
        trial.session.backward(&gradient).unwrap_err(),
        "output_gradient",
    );
    trial.session.forward(&trial.episodes).expect("outputs");
    named(trial.session.step(&step).unwrap_err(), "all 20");
    trial.backward_is_the_engines();
    let with_trace = Case {
        initial_trace: true,
        ..case.clone()
    };
    let others = with_trace.episodes().cast::<f32>();
    named(trial.session.forward(&others).unwrap_err(), "layer0.trace");
    let mut begun = Trial::<f32>::new(engine, &with_trace, true);
    named(
        begun.session.forward(&trial.episodes).unwrap_err(),
        "layer0.trace",
    );
    let mut begin = |start: &Dynamics<'_, f32>| begun.session.begin_from(start);
    named(begin(&Dynamics::new()).unwrap_err(), "layer0.trace");
    let trace = Array4::<f32>::zeros((5, 3, 4, 6));
    let of_layer =
        |layer, trace: &Array4<f32>| Dynamics::new().with(layer, Dynamic::Trace, trace.clone());
    let start = of_layer(0, &trace);
    named(trial.session.begin_from(&start).unwrap_err(), "from zero");
    let wide = of_layer(0, &Array4::zeros((5, 3, 6, 4)));
    named(begin(&wide).unwrap_err(), "layer0.trace");
    let beyond = start.clone().with(3, Dynamic::Trace, trace.clone());
    named(begin(&beyond).unwrap_err(), "layer3.trace");
    let mut broken = trace.clone();
    broken[[4, 0, 1, 2]] = f32::INFINITY;
    named(begin(&of_layer(0, &broken)).unwrap_err(), "[4, 0, 1, 2]");
    begin(&start).expect("states");
    begun.session.step(&step).expect("a step");
    // Gradients on traces that nobody said there would be, or before the last step.
    trial.session.forward(&trial.episodes).expect("outputs");
    let upstream = || Upstream::output_gradient(&gradient).with_trace_gradient(0, &trace);
    named(
        trial.session.backward(upstream()).unwrap_err(),
        "layer0.trace_gradient",
    );
    let with_gradient = Case {
        trace_gradient: true,
        ..case.clone()
    };
    let mut early = Trial::<f32>::new(engine, &with_gradient, true);
    early.session.step(&step).expect("a step");
    let first = gradient.slice(s![.., .., ..1, ..]);
    let upstream = Upstream::output_gradient(first).with_trace_gradient(0, &trace);
    named(
        early.session.backward(upstream).unwrap_err(),
        "1 of 20 steps",
    );
    early.session.backward(first).expect("gradients");
    // Traces that nobody wants.
    let extent = Extent::new(case.batch, case.steps);
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let mut unwanted = engine
        .session(&network, &parameters, extent)
        .expect("a session");
    unwanted.forward(&trial.episodes).expect("outputs");
    named(unwanted.states().unwrap_err(), "keep_states");
    if engine.kind() == "cpu" {
        #[cfg(feature = "gpu")]
        named(
            unwanted.backward(Upstream::on_device()).unwrap_err(),
            "output_gradient",
        );
    }
    trial.session.begin();
    named(trial.session.states().unwrap_err(), "none was run");
    let mut whole = Trial::<f32>::new(engine, &case, false);
    named(whole.session.step(&step).unwrap_err(), "step by step");
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let session = |batch, steps| engine.session(&network, &parameters, Extent::new(batch, steps));
    named(session(0, 1).unwrap_err(), "batch");
    named(session(1, 0).unwrap_err(), "steps");
    let others = small().network();
    assert!(
        engine
            .session(&others, &parameters, Extent::new(1, usize::MAX))
            .is_err()
    );
}
