//! Populations in an environment, on any engine.

use super::threads::pool;
use metaplastic::number::Real;
use metaplastic::tasks::{Draw, Draws, Environment};
use metaplastic::{
    Activation, Dense, Engine, Episodes, Error, Extent, Initial, Layer, Loss, Network, Parameters,
    Plastic, Rate, Session, Want,
};
use ndarray::{Array1, Array2, Array3, Array4, s};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const POPULATION: usize = 3;
const BATCH: usize = 19;

/// A place that outputs move. It is to stay near a goal; an episode ends where a number of steps that is drawn is over, or
/// the place is far out.
#[derive(Clone, Copy)]
struct Walk {
    inputs: usize,
    outputs: usize,
    steps: usize,
    /// Steps after which the longest episodes end.
    longest: u32,
}

const WALK: Walk = Walk {
    inputs: 3,
    outputs: 2,
    steps: 12,
    longest: 12,
};

struct Walker {
    goal: f64,
    place: f64,
    left: u32,
}

impl<R: Real> Environment<R> for Walk {
    type Episode = Walker;

    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn begin(&self, draw: Draw, input: &mut [R]) -> Walker {
        let mut random = draw.sequence();
        let (goal, left) = (f64::from(random.sign()), 1 + random.below(self.longest));
        let place = f64::from(random.unit());
        input[0] = R::from_f64(place);
        input[1] = R::from_f64(goal);
        Walker { goal, place, left }
    }

    fn respond(&self, walker: &mut Walker, output: &[R], input: &mut [R]) -> ControlFlow<()> {
        walker.place += output[0].as_f64() - 0.5 * output[1].as_f64();
        walker.left -= 1;
        input[0] = R::from_f64(walker.place);
        input[2] = R::from_f64(walker.goal);
        match walker.left == 0 || walker.place.abs() > 3.0 {
            true => {
                // What is there when an episode ends is nobody's input.
                input[1] = R::from_f64(f64::NAN);
                ControlFlow::Break(())
            }
            false => ControlFlow::Continue(()),
        }
    }

    fn end(&self, walker: Walker, outputs: &[R], gradient: &mut [R]) -> R {
        let distance = walker.place - walker.goal;
        for (pair, output) in gradient.chunks_exact_mut(2).zip(outputs.chunks_exact(2)) {
            pair[0] = R::from_f64(2.0 * distance);
            pair[1] = R::from_f64(-distance) + output[1];
        }
        R::from_f64(distance * distance)
    }
}

fn network(outputs: usize) -> Network {
    let hidden = Plastic::new(3, 7, Rate::learned(0.3)).activation(Activation::Tanh);
    let layers = [Layer::from(hidden), Dense::new(7, outputs).into()];
    Network::new(Loss::None, layers).expect("a network")
}

fn parameters<R: Real>(population: usize, seed: u64) -> Parameters<R> {
    let initial = Initial {
        scale: 0.6,
        ..Initial::default()
    };
    let parameters = Parameters::<f32>::initialise(&network(2), &initial, population, seed);
    parameters.expect("parameters").cast()
}

fn session<R: Real>(engine: &Engine, parameters: &Parameters<R>, batch: usize) -> Session<R> {
    let extent = Extent::new(batch, WALK.steps).step_by_step();
    let session = engine.session(&network(2), parameters, extent);
    session.expect("a session")
}

/// What the driver should return, and the inputs that there were.
struct Expected<R> {
    inputs: Array4<R>,
    output: Array4<R>,
    loss: Vec<R>,
    output_gradient: Array4<R>,
    steps: Array2<usize>,
}

/// What the driver does, by hand, one episode after the other.
fn by_hand<R: Real>(session: &mut Session<R>, draws: Draws, meta_step: u32) -> Expected<R> {
    let walk: &dyn Environment<R, Episode = Walker> = &WALK;
    let (population, batch) = (session.population(), session.extent().batch);
    let most = walk.steps();
    let count = R::from_f64(batch as f64);
    let mut input = Array3::zeros((population, batch, 3));
    let mut inputs = Array4::zeros((population, batch, most, 3));
    let mut output = Array4::zeros((population, batch, most, 2));
    let mut output_gradient = output.clone();
    let mut steps = Array2::zeros((population, batch));
    let mut loss = vec![R::zero(); population];
    let mut walkers = BTreeMap::new();
    for (p, b) in ndarray::indices((population, batch)) {
        let mut first = vec![R::zero(); 3];
        let draw = draws.draw(p, meta_step, b as u32);
        walkers.insert((p, b), walk.begin(draw, &mut first));
        input.slice_mut(s![p, b, ..]).assign(&Array1::from(first));
    }
    session.begin();
    let mut done = 0;
    while !walkers.is_empty() {
        inputs.slice_mut(s![.., .., done, ..]).assign(&input);
        let answers = session.step(&input).expect("a step");
        output.slice_mut(s![.., .., done, ..]).assign(&answers);
        done += 1;
        input.fill(R::zero());
        for (p, b) in ndarray::indices((population, batch)) {
            let Some(walker) = walkers.get_mut(&(p, b)) else {
                output.slice_mut(s![p, b, done - 1, ..]).fill(R::zero());
                continue;
            };
            steps[[p, b]] = done;
            let answer = answers.slice(s![p, b, ..]).to_vec();
            let mut next = vec![R::zero(); 3];
            if walk.respond(walker, &answer, &mut next).is_continue() && done < most {
                input.slice_mut(s![p, b, ..]).assign(&Array1::from(next));
                continue;
            }
            let walker = walkers.remove(&(p, b)).expect("it is under way");
            let all = output.slice(s![p, b, ..done, ..]);
            let all: Vec<R> = all.iter().copied().collect();
            let mut gradient = vec![R::zero(); all.len()];
            loss[p] += walk.end(walker, &all, &mut gradient) / count;
            for (index, value) in gradient.into_iter().enumerate() {
                output_gradient[[p, b, index / 2, index % 2]] = value / count;
            }
        }
    }
    let part = |array: Array4<R>| array.slice(s![.., .., ..done, ..]).to_owned();
    Expected {
        inputs: part(inputs),
        output: part(output),
        loss,
        output_gradient: part(output_gradient),
        steps,
    }
}

/// The driver gives the bits of a loop by hand, and its gradient those of the engine on the same inputs at once.
pub fn acting_is_a_loop_by_hand<R: Real>(engine: &Engine) {
    let parameters = parameters::<R>(POPULATION, 0);
    let mut session = session(engine, &parameters, BATCH);
    // Twice, so that something is there from the episodes before.
    for meta_step in [4, 5] {
        let draws = Draws::training(9);
        let expected = by_hand(&mut session, draws, meta_step);
        let acted = session.act(&WALK, draws, meta_step).expect("episodes");
        assert!(acted.output == expected.output);
        assert!(acted.output_gradient == expected.output_gradient);
        assert_eq!(acted.steps, expected.steps);
        for (loss, expected) in acted.loss.iter().zip(expected.loss) {
            let (loss, expected) = (loss.as_f64(), expected.as_f64());
            // Summed in another order and precision.
            assert!(
                (loss - expected).abs() <= 1e-6 * expected,
                "{loss} {expected}"
            );
        }
        let gradients = session.backward(&acted.output_gradient).expect("gradients");
        let episodes = Episodes::new(&expected.inputs).with_output_gradient(&acted.output_gradient);
        let whole = engine.gradient(&network(2), &parameters, &episodes, Want::default());
        assert!(gradients.parameters == whole.expect("gradients").parameters);
    }
}

/// Episodes end at steps of their own; after its end there is nothing of an episode, and the run is as long as the longest.
pub fn episodes_end_at_steps_of_their_own(engine: &Engine) {
    let mut session = session(engine, &parameters::<f32>(POPULATION, 0), BATCH);
    let short = Walk { longest: 7, ..WALK };
    let acted = session
        .act(&short, Draws::training(1), 0)
        .expect("episodes");
    let longest = acted.steps.iter().max().copied();
    assert_eq!(longest, Some(acted.output.dim().2));
    assert!(longest <= Some(7) && acted.steps.iter().min() < longest.as_ref());
    assert_eq!(session.steps(), acted.output.dim().2);
    for ((p, b), &steps) in acted.steps.indexed_iter() {
        for array in [&acted.output, &acted.output_gradient] {
            let episode = array.slice(s![p, b, .., ..]);
            assert!(
                episode
                    .slice(s![steps.., ..])
                    .iter()
                    .all(|value| *value == 0.0)
            );
            assert!(
                episode
                    .slice(s![..steps, ..])
                    .iter()
                    .any(|value| *value != 0.0)
            );
        }
    }
    session.backward(&acted.output_gradient).expect("gradients");
}

/// Random episodes are a function of seed, meta-step and index: not of the batch, the population or the threads.
pub fn random_episodes_are_a_function_of_their_index(engine: &Engine) {
    let act = |population: usize, seed: u64, batch: usize, meta_step: u32| {
        // All networks are the same, so that episodes differ by what is random in them.
        let parameters = parameters::<f32>(1, 0)
            .repeat(population)
            .expect("parameters");
        let mut session = session(engine, &parameters, batch);
        let acted = session.act(&WALK, Draws::training(seed), meta_step);
        acted.expect("episodes")
    };
    let whole = act(3, 20, BATCH, 2);
    let steps = whole.steps.slice(s![.., ..5]).to_owned();
    assert_eq!(act(3, 20, 5, 2).steps, steps);
    for n in 0..3 {
        let alone = act(1, 20 + n as u64, 5, 2).steps;
        assert_eq!(alone.row(0), steps.row(n), "network {n}");
    }
    assert_ne!(act(3, 20, 5, 3).steps, steps, "another meta-step");
    for threads in [1, 2, 5] {
        let other = pool(threads).install(|| act(3, 20, BATCH, 2));
        assert!(other == whole, "{threads} threads");
    }
}

/// Environments that do not fit are refused before one of their episodes begins.
pub fn environments_that_do_not_fit_are_refused(engine: &Engine) {
    // Its episodes would fail to begin: no number is below 0.
    let broken = Walk { longest: 0, ..WALK };
    let parameters = parameters::<f32>(1, 0);
    let mut by_step = session(engine, &parameters, 2);
    let whole = Extent::new(2, WALK.steps);
    let whole = engine.session(&network(2), &parameters, whole);
    let mut at_once = whole.expect("a session");
    let inputs = Walk {
        inputs: 4,
        ..broken
    };
    let outputs = Walk {
        outputs: 3,
        ..broken
    };
    let [long, none] = [13, 0].map(|steps| Walk { steps, ..broken });
    for (part, is_by_step, walk) in [
        ("inputs of the network: 3", true, inputs),
        ("outputs of the network: 2", true, outputs),
        ("expected 1 to 12", true, long),
        ("expected 1 to 12", true, none),
        ("step by step", false, broken),
    ] {
        let session = match is_by_step {
            true => &mut by_step,
            false => &mut at_once,
        };
        let error = session.act(&walk, Draws::training(0), 0).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(matches!(error, Error::Setting { .. }), is_by_step);
    }
    // What was under way is there still.
    let episodes = Episodes::new(Array4::<f32>::ones((1, 2, WALK.steps, 3)));
    at_once.forward(&episodes).expect("outputs");
    at_once.act(&WALK, Draws::training(0), 0).unwrap_err();
    assert_eq!(at_once.steps(), WALK.steps);
    let gradient = Array4::ones((1, 2, WALK.steps, 2));
    at_once.backward(&gradient).expect("gradients");
    by_step.act(&WALK, Draws::training(0), 0).expect("episodes");
}
