//! Sessions: halves of a computation one after the other, and steps one at a time, on arrays that stay on the device.

use crate::common::cases::{Case, Goal, plastic};
use crate::cuts::restricted;
use crate::{Body, body};
use metaplastic::{
    Activation, Engine, Error, Gpu, GpuSession, Gradients, Layer, Objective, Plastic, Rate, Rule,
    Want,
};
use ndarray::{Array4, Axis, s};

pub fn bodies() -> Vec<Body> {
    let mut bodies = Vec::new();
    for case in cases() {
        let copy = case.clone();
        bodies.push(body(
            format!("a session's halves are the engine's: {case}"),
            move |engine| halves_are_the_engines(engine, &case),
        ));
        bodies.push(body(
            format!("steps one at a time are all at once: {copy}"),
            move |engine| steps_are_all_at_once(engine, &copy),
        ));
    }
    bodies.push(body("a session splits its population", |engine| {
        let case = small();
        let narrow = restricted(engine, |profile| profile.binding_bytes = 8_000);
        halves_are_the_engines(&narrow, &case);
        steps_are_all_at_once(&narrow, &case);
    }));
    bodies.push(body("wrong calls of a session are refused", wrong_calls));
    bodies
}

/// Every kind of layer, with a retention that is differentiated and one that is not; long enough for kept traces.
fn cases() -> Vec<Case> {
    let layers = |inputs: usize, outputs: usize, rule: Rule| {
        let first = Plastic {
            rule,
            rate: Rate::learned(0.3),
            ..plastic(inputs, outputs)
        };
        [
            Layer::Plastic(first),
            Layer::plastic(outputs, 6, Rate::fixed(0.9)),
            Layer::dense(6, 3, Activation::Tanh),
            Layer::bias(3),
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
        case(layers(20, 7, Rule::hebb()), 5, 40),
        // In tiles of two rows; several blocks of episodes.
        case(layers(24, 6, Rule::oja()), 37, 17),
        // Rows over several subgroups.
        case(layers(300, 4, Rule::oja()), 2, 3),
    ]
}

fn small() -> Case {
    Case {
        population: 5,
        batch: 3,
        steps: 20,
        goal: Goal::OutputGradient,
        ..Case::new([Layer::Plastic(plastic(6, 4))])
    }
}

/// A case on the engine: its session, its episodes, and what the engine makes of them at once.
struct Trial {
    session: GpuSession,
    input: Array4<f32>,
    output_gradient: Array4<f32>,
    whole: Gradients<f32>,
}

impl Trial {
    fn new(engine: &Engine, case: &Case) -> Self {
        let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
        let episodes = case.episodes().cast::<f32>();
        let whole = engine.gradient(&network, &parameters, &episodes, Want::ALL);
        let session = gpu(engine).session(&network, &parameters, case.batch, case.steps, Want::ALL);
        let Objective::OutputGradient(output_gradient) = episodes.objective else {
            unreachable!("the cases have a gradient on the output")
        };
        Self {
            session: session.expect("a session"),
            input: episodes.input.into_owned(),
            output_gradient: output_gradient.into_owned(),
            whole: whole.expect("gradients"),
        }
    }

    /// The reverse half, twice, against the engine's.
    fn backward_is_the_engines(&mut self) {
        for _ in 0..2 {
            let gradients = self.session.backward(&self.output_gradient);
            let gradients = gradients.expect("gradients");
            assert!(gradients.parameters == self.whole.parameters);
            assert!(gradients.input == self.whole.input);
        }
    }
}

fn gpu(engine: &Engine) -> &Gpu {
    let Engine::Gpu(gpu) = engine else {
        unreachable!("GPU trials run on a GPU")
    };
    gpu
}

fn halves_are_the_engines(engine: &Engine, case: &Case) {
    let mut trial = Trial::new(engine, case);
    let expected = trial.whole.outcome.output.clone();
    let output = trial.session.forward(&trial.input).expect("outputs");
    assert!(Some(output) == expected);
    trial.backward_is_the_engines();
    // Other parameters, and back again.
    let parameters = case.parameters().cast::<f32>();
    let mut others = parameters.clone();
    others
        .values_mut()
        .iter_mut()
        .for_each(|value| *value *= 0.5);
    trial.session.set_parameters(&others).expect("parameters");
    let output = trial.session.forward(&trial.input).expect("outputs");
    assert!(Some(output) != expected);
    trial
        .session
        .set_parameters(&parameters)
        .expect("parameters");
    let output = trial.session.forward(&trial.input).expect("outputs");
    assert!(Some(output) == expected);
    trial.backward_is_the_engines();
}

fn steps_are_all_at_once(engine: &Engine, case: &Case) {
    let mut trial = Trial::new(engine, case);
    // Twice, so that something is there from the episodes before.
    for _ in 0..2 {
        trial.session.begin();
        for t in 0..case.steps {
            let input = trial.input.slice(s![.., .., t..=t, ..]).to_owned();
            let output = trial.session.step(&input).expect("a step");
            let whole = trial.whole.outcome.output.as_ref().expect("outputs");
            let expected = whole.slice_axis(Axis(2), (t..t + 1).into());
            assert!(output == expected, "step {t}");
        }
        trial.backward_is_the_engines();
    }
}

fn wrong_calls(engine: &Engine) {
    let case = small();
    let mut trial = Trial::new(engine, &case);
    let named = |error: Error, name: &str| {
        assert!(error.to_string().contains(name), "{error}");
    };
    named(
        trial.session.backward(&trial.output_gradient).unwrap_err(),
        "0 of 20 are done",
    );
    let step = trial.input.slice(s![.., .., ..1, ..]).to_owned();
    named(trial.session.step(&trial.input).unwrap_err(), "input");
    named(trial.session.forward(&step).unwrap_err(), "input");
    let mut broken = step.clone();
    broken[[0, 1, 0, 2]] = f32::NAN;
    named(trial.session.step(&broken).unwrap_err(), "[0, 1, 0, 2]");
    trial.session.step(&step).expect("a step");
    named(
        trial.session.backward(&trial.output_gradient).unwrap_err(),
        "1 of 20 are done",
    );
    trial.session.forward(&trial.input).expect("outputs");
    named(
        trial.session.step(&step).unwrap_err(),
        "all 20 of the episodes are done",
    );
    named(
        trial.session.backward(&step).unwrap_err(),
        "output_gradient",
    );
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let session =
        |batch, steps| gpu(engine).session(&network, &parameters, batch, steps, Want::ALL);
    named(session(0, 1).unwrap_err(), "batch");
    named(session(1, 0).unwrap_err(), "steps");
    let narrow = restricted(engine, |profile| profile.binding_bytes = 1_500);
    let error = gpu(&narrow)
        .session(&network, &parameters, case.batch, case.steps, Want::ALL)
        .unwrap_err();
    assert!(
        matches!(&error, Error::DeviceLimit { limit: 1_500, .. }),
        "{error}"
    );
}
