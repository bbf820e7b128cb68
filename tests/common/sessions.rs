//! Sessions: halves of a computation one after the other, and steps one at a time.

use super::cases::{Case, Goal, plastic};
use metaplastic::engine::Gradients;
use metaplastic::episodes::Objective;
use metaplastic::number::Real;
use metaplastic::{
    Activation, Bias, Dense, Engine, Episodes, Error, Extent, Layer, Parameters, Plastic, Rate,
    Rule, Session, Want,
};
use ndarray::{Array3, Array4, Axis, Slice, s};

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

impl<R: Real> Trial<R> {
    fn new(engine: &Engine, case: &Case, step_by_step: bool) -> Self {
        let (network, parameters) = (case.network(), case.parameters().cast::<R>());
        let episodes = case.episodes().cast::<R>();
        let whole = engine.gradient(&network, &parameters, &episodes, Want::ALL);
        let mut extent = Extent::new(case.batch, case.steps).want(Want::ALL);
        if step_by_step {
            extent = extent.step_by_step();
        }
        if case.initial_trace {
            extent = extent.with_initial_traces();
        }
        let session = engine.session(&network, &parameters, extent);
        let Objective::OutputGradient(output_gradient) = &episodes.objective else {
            unreachable!("the cases have a gradient on the output")
        };
        Self {
            session: session.expect("a session"),
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

    /// The reverse half, twice, against the engine's.
    fn backward_is_the_engines(&mut self) {
        for _ in 0..2 {
            let gradients = self.session.backward(&self.output_gradient);
            let gradients = gradients.expect("gradients");
            assert!(gradients.parameters == self.whole.parameters);
            assert!(gradients.input == self.whole.input);
            assert!(gradients.initial_traces == self.whole.initial_traces);
        }
    }
}

/// Forward and backward apart are the engine's gradient, bit for bit; with other parameters they are others.
pub fn halves_are_the_engines<R: Real>(engine: &Engine, case: &Case) {
    for initial_trace in [false, true] {
        let case = Case {
            initial_trace,
            ..case.clone()
        };
        let mut trial = Trial::<R>::new(engine, &case, false);
        let expected = trial.whole.outcome.clone();
        let outcome = trial.session.forward(&trial.episodes).expect("outputs");
        assert!(outcome.output == expected.output && outcome.traces == expected.traces);
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
    }
}

/// Steps one at a time give the bits of all steps at once, and so does what is differentiated at the end.
pub fn steps_are_all_at_once<R: Real>(engine: &Engine, case: &Case) {
    let mut trial = Trial::<R>::new(engine, case, true);
    // Twice, so that something is there from the episodes before.
    for _ in 0..2 {
        trial.session.begin();
        for t in 0..case.steps {
            let output = trial.session.step(&trial.input(t)).expect("a step");
            let whole = trial.whole.outcome.output.as_ref().expect("outputs");
            assert!(output == whole.index_axis(Axis(2), t), "step {t}");
        }
        trial.backward_is_the_engines();
    }
}

/// Episodes that end before the steps that there is room for are differentiated as far as they went.
pub fn episodes_may_end_early<R: Real>(engine: &Engine, case: &Case) {
    let mut trial = Trial::<R>::new(engine, case, true);
    // Something is there from longer episodes before.
    for t in 0..case.steps {
        trial.session.step(&trial.input(t)).expect("a step");
    }
    let steps = case.steps / 2;
    let part = |array: &ndarray::ArrayView4<'_, R>| {
        array.slice_axis(Axis(2), Slice::from(..steps)).to_owned()
    };
    let output_gradient = part(&trial.output_gradient.view());
    let short = Episodes::new(part(&trial.episodes.input.view()));
    let short = short.with_output_gradient(&output_gradient);
    let (network, parameters) = (case.network(), &trial.parameters);
    let expected = engine.gradient(&network, parameters, &short, Want::ALL);
    let expected = expected.expect("gradients");
    trial.session.begin();
    for t in 0..steps {
        trial.session.step(&trial.input(t)).expect("a step");
    }
    let gradients = trial.session.backward(&output_gradient).expect("gradients");
    assert!(gradients.parameters == expected.parameters);
    assert!(gradients.input == expected.input);
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
        trial.session.step(&trial.input(t)).expect("a step");
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
    named(begun.session.step(&step).unwrap_err(), "traces of zero");
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
