//! Test bodies for populations in training, on any engine; and the optimisers' equations in float64.

use super::cases::{Case, CellKind, Goal, MaskKind, plastic};
use super::compare::{Report, Tensors, Tolerance, compare};
use super::laws::cell_rules;
use super::oracle;
use super::random::Random;
use metaplastic::engine::Failure;
use metaplastic::episodes::Objective;
use metaplastic::network::Modulation;
use metaplastic::optimiser::{Method, Schedule, Selector};
use metaplastic::parameters::{Layout, Tensor};
use metaplastic::random::Purpose;
use metaplastic::tasks::{Association, Draw, EpisodeSource, Setup, Task};
use metaplastic::training::{Checkpoint, Event, Recipe, Trained, Training};
use metaplastic::{
    Activation, Dense, Engine, Episodes, Error, Initial, Layer, Learner, Loss, Mask, Network,
    Optimiser, Parameters, Plastic, Rate, Role, Rule, Want,
};
use ndarray::{Array1, Array4, ArrayView1, Axis};
use std::ops::ControlFlow;
use std::sync::Arc;

/// One network's optimiser, written down from its documentation.
struct Reference {
    optimiser: Optimiser,
    values: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
    updates: u32,
}

impl Reference {
    fn new(optimiser: &Optimiser, values: &[f64]) -> Self {
        Self {
            optimiser: optimiser.clone(),
            values: values.to_vec(),
            mean: vec![0.0; values.len()],
            square: vec![0.0; values.len()],
            updates: 0,
        }
    }

    fn update(&mut self, parameters: &Parameters<f64>, gradient: &[f64]) {
        let tensors = parameters.layout().tensors().iter();
        let own = |tensor: &&Tensor| own_factor(&self.optimiser, tensor) > 0.0;
        let learned: Vec<_> = tensors.filter(own).collect();
        let indices = learned.iter().flat_map(|tensor| tensor.range());
        let norm = indices.map(|k| gradient[k].powi(2)).sum::<f64>().sqrt();
        let scale = match self.optimiser.max_gradient_norm {
            Some(largest) if norm > largest => largest / norm,
            _ => 1.0,
        };
        let k = f64::from(self.updates);
        let factor = match self.optimiser.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine { updates, floor } => {
                let angle = std::f64::consts::PI * (k / f64::from(updates)).min(1.0);
                floor + (1.0 - floor) * (1.0 + angle.cos()) / 2.0
            }
            Schedule::Step { every, factor } => factor.powf((k / f64::from(every)).floor()),
            other => unreachable!("{other} has no equation here"),
        };
        let rate = self.optimiser.learning_rate * factor;
        for tensor in learned {
            let rate = rate * own_factor(&self.optimiser, tensor);
            for index in tensor.range() {
                let g = scale * gradient[index];
                let (mean, square) = (&mut self.mean[index], &mut self.square[index]);
                let step = match self.optimiser.method {
                    Method::Rmsprop { mean_rate, epsilon } => {
                        if self.updates == 0 {
                            *square = g * g;
                        } else {
                            *square += mean_rate * (g * g - *square);
                        }
                        rate * g / (*square + epsilon).sqrt()
                    }
                    Method::Sgd { momentum } => {
                        *mean = momentum * *mean + g;
                        rate * *mean
                    }
                    Method::Adam {
                        beta1,
                        beta2,
                        epsilon,
                    } => {
                        *mean = beta1 * *mean + (1.0 - beta1) * g;
                        *square = beta2 * *square + (1.0 - beta2) * g * g;
                        let mean = *mean / (1.0 - beta1.powf(k + 1.0));
                        let square = *square / (1.0 - beta2.powf(k + 1.0));
                        rate * mean / (square.sqrt() + epsilon)
                    }
                    other => unreachable!("{other} has no equations here"),
                };
                let largest = self.optimiser.max_step.unwrap_or(f64::INFINITY);
                let value = &mut self.values[index];
                *value -= step.clamp(-largest, largest);
                let is_penalised = matches!(
                    tensor.role,
                    Role::Weight | Role::InputWeight | Role::Plasticity
                );
                if is_penalised && *value != 0.0 {
                    *value -= self.optimiser.l1 * value.signum() + self.optimiser.l2 * *value;
                }
                let [low, high] = match tensor.role {
                    Role::Rate => self.optimiser.rate_bounds,
                    Role::Plasticity => self.optimiser.plasticity_bounds(),
                    _ => [f64::NEG_INFINITY, f64::INFINITY],
                };
                // A learner's parameters are `f32`: a step far below its parameter's size loses digits on every engine.
                *value = f64::from(value.clamp(low, high) as f32);
            }
        }
        self.updates += 1;
    }
}

/// What the learning rate is multiplied by for a tensor, 0 where it is not learned.
fn own_factor(optimiser: &Optimiser, tensor: &Tensor) -> f64 {
    let names = [tensor.name(), tensor.role.to_string()];
    let is_frozen = |selector: &Selector| names.contains(&selector.to_string());
    if !tensor.learned || optimiser.frozen.iter().any(is_frozen) {
        return 0.0;
    }
    let named = |name: &String| {
        let all = &mut optimiser.factors.iter();
        all.find(|(selector, _)| selector.to_string() == *name)
    };
    names
        .iter()
        .find_map(named)
        .map_or(1.0, |(_, factor)| *factor)
}

/// Selectors as they are written.
fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts
        .iter()
        .map(|text| text.parse().expect("a selector"))
        .collect()
}

/// An optimiser with factors and frozen parameters, each beside the other's layer.
pub fn with_factors(optimiser: Optimiser) -> Optimiser {
    let names = selectors(&["weight", "layer1.bias", "plasticity", "rate"]);
    Optimiser {
        factors: names.into_iter().zip([2.0, 0.25, 0.5, 3.0]).collect(),
        frozen: selectors(&["layer0.plasticity", "layer1.weight"]),
        ..optimiser
    }
}

/// Optimisers for populations of three, by name.
pub fn optimisers() -> Vec<(&'static str, [Optimiser; 3])> {
    let each = |first: Optimiser, second: fn(&mut Optimiser), third: fn(&mut Optimiser)| {
        let mut all = [first.clone(), first.clone(), first];
        second(&mut all[1]);
        third(&mut all[2]);
        all
    };
    let paper = Optimiser {
        max_step: Some(0.01),
        l1: 1e-4,
        l2: 1e-3,
        ..Optimiser::rmsprop(0.01)
    };
    vec![
        (
            "rmsprop",
            each(
                paper,
                |second| (second.max_step, second.l1) = (Some(0.004), 0.0),
                |third| {
                    third.learning_rate = 0.003;
                    third.method = Method::Rmsprop {
                        mean_rate: 0.3,
                        epsilon: 1e-3,
                    };
                    third.plasticity_max = Some(0.2);
                },
            ),
        ),
        (
            "sgd",
            each(
                Optimiser::sgd(0.01, 0.9),
                |second| {
                    second.schedule = Schedule::Cosine {
                        updates: 15,
                        floor: 0.1,
                    };
                    second.max_gradient_norm = Some(0.5);
                },
                |third| {
                    third.method = Method::Sgd { momentum: 0.0 };
                    third.max_step = Some(1e-3);
                    third.rate_bounds = [0.4, 0.6];
                },
            ),
        ),
        (
            "adam",
            each(
                Optimiser::adam(0.003),
                |second| {
                    second.schedule = Schedule::Step {
                        every: 6,
                        factor: 0.5,
                    };
                    second.l2 = 0.01;
                },
                |third| {
                    third.method = Method::Adam {
                        beta1: 0.5,
                        beta2: 0.9,
                        epsilon: 1e-4,
                    };
                    third.max_gradient_norm = Some(0.1);
                    third.plasticity_min = Some(-0.1);
                },
            ),
        ),
        (
            "mixed",
            [
                Optimiser::rmsprop(0.003),
                Optimiser::sgd(0.01, 0.5),
                Optimiser::adam(0.01),
            ],
        ),
        (
            "factors and frozen parameters",
            [
                Optimiser {
                    max_gradient_norm: Some(0.5),
                    l1: 1e-4,
                    ..with_factors(Optimiser::rmsprop(0.003))
                },
                Optimiser {
                    l2: 1e-3,
                    ..with_factors(Optimiser::sgd(0.01, 0.5))
                },
                Optimiser {
                    frozen: selectors(&["plasticity", "layer0.rate"]),
                    max_gradient_norm: Some(0.1),
                    ..Optimiser::adam(0.01)
                },
            ],
        ),
    ]
}

/// A layer of five neurons with seven inputs and a rate of its own for each.
pub fn of_rows() -> Layer {
    let mut layer = plastic(7, 5);
    layer.rate = Rate::learned(0.5).per_neuron();
    Layer::Plastic(layer)
}

/// Such a layer, recurrent, with a parameter of every role.
pub fn of_cells() -> Layer {
    let kind = CellKind {
        rule: Some(cell_rules()[2].clone()),
        rate: Rate::learned(0.5).per_neuron(),
        modulation: Some(Modulation::from_network().per_neuron()),
        ..CellKind::recurrent()
    };
    let layer = kind.layer(7, 5);
    let layout =
        Network::new(Loss::None, [layer.clone()]).and_then(|network| Layout::new(&network));
    let layout = layout.expect("a layout");
    for role in Role::ALL {
        let has = layout.tensors().iter().any(|tensor| tensor.role == role);
        assert!(has, "a parameter of the role {role}");
    }
    layer
}

fn case(layer: &Layer, seed: u64) -> Case {
    Case {
        goal: Goal::Target(Loss::SoftmaxCrossEntropy, MaskKind::Steps),
        population: 3,
        batch: 4,
        seed,
        ..Case::new([layer.clone(), Layer::from(Dense::new(5, 3))])
    }
}

/// The parameters' changes, by name.
fn changes(start: &Parameters<f64>, now: &Parameters<f64>) -> Tensors {
    let mut changes = now.clone();
    for (change, start) in changes.values_mut().iter_mut().zip(start.values()) {
        *change -= start;
    }
    let mut tensors = Tensors::new(start.population());
    tensors.add_parameters("change.", &changes);
    tensors
}

fn learner(engine: &Engine, case: &Case, optimisers: &[Optimiser]) -> Learner {
    engine
        .learner(&case.network(), &case.parameters().cast(), optimisers)
        .expect("a learner")
}

const UPDATES: u64 = 20;

/// Frozen parameters keep their bits, whatever their gradients are; so do all others of a learner whose factors are 1. A
/// gradient that is not finite is no failure where nothing follows it.
pub fn frozen_parameters_keep_their_bits(engine: &Engine) {
    for (name, optimisers) in optimisers() {
        let case = case(&of_rows(), 1);
        let start: Parameters<f32> = case.parameters().cast();
        let run = |optimisers: &[Optimiser], poison: &[&str]| {
            let mut learner = learner(engine, &case, optimisers);
            for step in 0..4 {
                let episodes = Case {
                    seed: 100 + step,
                    ..case.clone()
                }
                .episodes();
                learner.step(&episodes.cast()).expect("a meta-step");
                let mut gradients = start.clone();
                for tensor in gradients.layout().tensors().to_vec() {
                    if poison.contains(&tensor.name().as_str()) {
                        let mut view = gradients.view_mut(tensor.layer, tensor.role);
                        view.as_mut().expect("it is there").fill(f32::NAN);
                    }
                }
                learner.apply(&gradients).expect("an update");
            }
            assert_eq!(learner.failures().expect("failures"), []);
            learner.parameters().expect("parameters")
        };
        let plain = run(&optimisers, &[]);
        let ones = optimisers.clone().map(|mut optimiser| {
            for selector in selectors(&["weight", "layer0.plasticity", "bias", "layer0.rate"]) {
                if !optimiser.frozen.contains(&selector) {
                    optimiser.factors.entry(selector).or_insert(1.0);
                }
            }
            optimiser
        });
        if optimisers
            .iter()
            .all(|optimiser| optimiser.factors.is_empty())
        {
            assert!(run(&ones, &[]) == plain, "{name}: factors of 1");
        }
        let poison = ["layer0.weight", "layer1.bias", "layer0.rate"];
        let frozen = optimisers.map(|optimiser| Optimiser {
            frozen: selectors(&["layer0.weight", "layer1.bias", "rate"]),
            factors: Default::default(),
            ..optimiser
        });
        let after = run(&frozen, &poison);
        assert!(
            after == run(&frozen, &[]),
            "{name}: a frozen gradient was used"
        );
        for tensor in start.layout().tensors() {
            let of = |parameters: &Parameters<f32>| {
                let view = parameters.view(tensor.layer, tensor.role);
                view.expect("it is there").to_owned()
            };
            let is_frozen = poison.contains(&tensor.name().as_str());
            assert_eq!(
                of(&after) == of(&start),
                is_frozen,
                "{name}: {}",
                tensor.name()
            );
        }
    }
}

/// Updates with given gradients against the equations.
pub fn optimiser_follows_its_equations(
    engine: &Engine,
    layer: &Layer,
    optimisers: &[Optimiser; 3],
    tolerance: &Tolerance,
) -> Report {
    let case = case(layer, 1);
    let start = case.parameters();
    let mut learner = learner(engine, &case, optimisers);
    let mut references: Vec<_> = (0..3)
        .map(|p| Reference::new(&optimisers[p], start.network(p)))
        .collect();
    let mut random = Random::new(7);
    for _ in 0..UPDATES {
        let mut gradient = start.clone();
        for value in gradient.values_mut() {
            let size = random.pick(&[0.0, 1e-3, 0.1, 1.0, 4.0]);
            *value = random.between(-size, size);
        }
        learner.apply(&gradient.cast()).expect("an update");
        for (p, reference) in references.iter_mut().enumerate() {
            reference.update(&start, gradient.network(p));
        }
    }
    finish(&learner, &start, &references, tolerance)
}

/// Whole meta-steps, gradient and update, against the oracle and the equations.
pub fn learning_follows_its_equations(
    engine: &Engine,
    layer: &Layer,
    optimisers: &[Optimiser; 3],
    tolerance: &Tolerance,
) -> Report {
    let first = case(layer, 1);
    let start = first.parameters();
    let mut learner = learner(engine, &first, optimisers);
    let mut references: Vec<_> = (0..3)
        .map(|p| Reference::new(&optimisers[p], start.network(p)))
        .collect();
    for step in 0..UPDATES {
        let (network, episodes) = (first.network(), case(layer, 100 + step).episodes());
        let losses = learner.step(&episodes.cast()).expect("a meta-step");
        let mut now = start.clone();
        let all = references.iter().flat_map(|reference| &reference.values);
        let all: Vec<_> = all.copied().collect();
        now.values_mut().copy_from_slice(&all);
        let solved = oracle::solve(&network, &now, &episodes);
        for (p, reference) in references.iter_mut().enumerate() {
            let loss = solved.parts["loss"][p][0];
            assert!(
                (loss - f64::from(losses[p])).abs() < 1e-3 * loss.abs().max(1.0),
                "step {step}, network {p}: loss {} against {loss}",
                losses[p]
            );
            let tensors = start.layout().tensors().iter();
            let gradient = tensors.flat_map(|tensor| {
                let name = format!("gradient.{}", tensor.name());
                solved.parts[&name][p].iter().copied()
            });
            let gradient: Vec<_> = gradient.collect();
            reference.update(&start, &gradient);
        }
    }
    finish(&learner, &start, &references, tolerance)
}

fn finish(
    learner: &Learner,
    start: &Parameters<f64>,
    references: &[Reference],
    tolerance: &Tolerance,
) -> Report {
    let mut reference = start.clone();
    let all = references.iter().flat_map(|reference| &reference.values);
    let all: Vec<_> = all.copied().collect();
    reference.values_mut().copy_from_slice(&all);
    let actual = learner.parameters().expect("parameters").cast();
    assert_eq!(learner.failures().expect("failures"), []);
    compare(
        &changes(start, &reference),
        &changes(start, &actual),
        tolerance,
    )
    .unwrap_or_else(|complaints| panic!("{complaints}"))
}

/// Two engines make nearly the same steps.
pub fn engines_agree(
    [one, other]: [&Engine; 2],
    layer: &Layer,
    optimisers: &[Optimiser; 3],
    tolerance: &Tolerance,
) -> Report {
    let start = case(layer, 1).parameters();
    let [one, other] = [one, other].map(|engine| {
        let mut learner = learner(engine, &case(layer, 1), optimisers);
        for step in 0..UPDATES {
            let episodes = case(layer, 100 + step).episodes();
            learner.step(&episodes.cast()).expect("a meta-step");
        }
        learner.parameters().expect("parameters").cast()
    });
    compare(&changes(&start, &one), &changes(&start, &other), tolerance)
        .unwrap_or_else(|complaints| panic!("{complaints}"))
}

/// The network, task and optimiser of Miconi 2016's one-shot experiment.
pub fn one_shot() -> (Network, Initial, Optimiser) {
    let network = Network::new(
        Loss::SoftmaxCrossEntropy,
        [
            Layer::from(Plastic::new(10, 2, Rate::fixed(0.02)).activation(Activation::Tanh)),
            Layer::from(Dense::new(2, 2)),
        ],
    );
    let initial = Initial {
        positive_output: true,
        ..Initial::default()
    };
    let optimiser = Optimiser {
        max_step: Some(0.01),
        l1: 1e-4,
        ..Optimiser::rmsprop(0.01)
    };
    (network.expect("a valid network"), initial, optimiser)
}

pub fn source(seed: u64, batch: usize) -> EpisodeSource {
    EpisodeSource {
        task: Arc::new(Association::ONE_SHOT),
        seed,
        purpose: Purpose::Training,
        batch,
        seeds: None,
        first: 0,
    }
}

pub fn one_shot_learner(engine: &Engine, population: usize, seed: u64) -> Learner {
    let (network, initial, optimiser) = one_shot();
    let parameters = Parameters::<f32>::initialise(&network, &initial, population, seed);
    engine
        .learner(
            &network,
            &parameters.expect("it fits"),
            std::slice::from_ref(&optimiser),
        )
        .expect("a learner")
}

/// Training on generated episodes is bit for bit training on the same episodes as arrays; also where each has steps of its own
/// that count.
pub fn generated_episodes_are_given_ones(engine: &Engine, batch: usize) {
    generated_ones_are_given_ones(engine, &source(3, batch));
    let source = EpisodeSource {
        task: Arc::new(OfOnesOwn { by_episode: true }),
        ..source(3, batch)
    };
    generated_ones_are_given_ones(engine, &source);
}

fn generated_ones_are_given_ones(engine: &Engine, source: &EpisodeSource) {
    let mut generated = one_shot_learner(engine, 3, 3);
    let mut given = one_shot_learner(engine, 3, 3);
    let losses = [5..6, 6..12].map(|steps| generated.train(source, steps).expect("training"));
    let [mut sums, mut counted] = [[0.0; 3]; 2];
    for meta_step in 5..12 {
        let episodes = source.episodes(3, meta_step).expect("episodes");
        if meta_step == 6 {
            [sums, counted] = [[0.0; 3]; 2];
        }
        for (n, loss) in given.step(&episodes).expect("a step").iter().enumerate() {
            sums[n] += f64::from(*loss);
            counted[n] += counted_steps(&episodes, n);
        }
    }
    let [generated, given] = [generated, given].map(|it| it.parameters().expect("parameters"));
    assert!(generated == given, "parameters differ");
    for (n, loss) in losses[1].iter().enumerate() {
        let mean = sums[n] / counted[n];
        assert!((loss - mean).abs() < 1e-6 * mean, "{loss} against {mean}");
    }
}

/// Of the steps of network `n`'s episodes, how many count, the mean over the batch.
fn counted_steps(episodes: &Episodes<'_, f32>, n: usize) -> f64 {
    let sum = |mask: ArrayView1<'_, f32>| -> f64 { mask.iter().map(|&it| f64::from(it)).sum() };
    match &episodes.objective {
        Objective::Target { mask, .. } => match mask {
            Mask::All => episodes.steps() as f64,
            Mask::Steps(mask) => sum(mask.view()),
            Mask::Episodes(mask) => {
                let sums = mask.index_axis(Axis(0), n);
                sums.rows().into_iter().map(sum).sum::<f64>() / episodes.batch() as f64
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// One-shot learning as a task of one's own, whose episodes the host makes. Those that do not count are not written: they
/// are zero. Or other steps count in each episode.
#[derive(Debug)]
struct OfOnesOwn {
    by_episode: bool,
}

impl Task for OfOnesOwn {
    fn name(&self) -> &str {
        "of-ones-own"
    }

    fn inputs(&self) -> usize {
        10
    }

    fn outputs(&self) -> usize {
        2
    }

    fn steps(&self) -> usize {
        20
    }

    fn loss(&self) -> Loss {
        Loss::SoftmaxCrossEntropy
    }

    fn solved_below(&self) -> f64 {
        0.05
    }

    fn counts(&self, step: usize) -> bool {
        step >= 2
    }

    fn counts_by_episode(&self) -> bool {
        self.by_episode
    }

    fn fill_counts(&self, draw: Draw, counts: &mut [bool]) {
        let [bits, ..] = draw.words(7, 0);
        for (step, counts) in counts.iter_mut().enumerate() {
            *counts = step == 19 || step >= 2 && (!self.by_episode || bits >> step & 1 == 1);
        }
    }

    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
        assert!(input.iter().chain(&*target).all(|&value| value == 0.0));
        Association::ONE_SHOT.fill(draw, input, target);
        target[..4].fill(0.0);
    }

    fn setup(&self) -> metaplastic::Result<Setup> {
        Association::ONE_SHOT.setup()
    }
}

/// A task of one's own, whose episodes the host makes, is learned bit for bit as one whose episodes the engine makes; also
/// in several calls.
pub fn episodes_from_the_host_are_learned_alike(engine: &Engine, batch: usize) {
    let source = source(3, batch);
    let own = EpisodeSource {
        task: Arc::new(OfOnesOwn { by_episode: false }),
        ..source.clone()
    };
    let run = |source: &EpisodeSource| {
        let mut learner = one_shot_learner(engine, 3, 3);
        let errors = [
            learner.train(source, 5..9).expect("training"),
            learner.evaluate(source, 9..12).expect("an evaluation"),
            learner.train(source, 12..13).expect("training"),
        ];
        assert_eq!(learner.failures().expect("failures"), []);
        (errors, learner.parameters().expect("parameters"))
    };
    assert!(run(&own) == run(&source));
}

/// Batches that are given one after the other, or kept on the device, are learned bit for bit as in single meta-steps.
pub fn batches_are_learned_alike(engine: &Engine) {
    // In one kernel on a GPU, and in several; masks for every episode, traces that are given; two sizes after each other.
    let layers = || [Layer::Plastic(plastic(6, 5)), Layer::from(Dense::new(5, 3))];
    let goal = Goal::Target(Loss::SquaredError, MaskKind::Episodes);
    let of = |seed, batch, initial_trace| Case {
        goal,
        population: 3,
        batch,
        initial_trace,
        seed,
        ..Case::new(layers())
    };
    for (batch, initial_trace) in [(3, false), (3, true), (40, true)] {
        let cases: Vec<_> = [batch, batch, batch + 2, batch]
            .into_iter()
            .zip(1..)
            .map(|(batch, seed)| of(seed, batch, initial_trace))
            .collect();
        let open = || learner(engine, &cases[0], &[Optimiser::adam(0.01)]);
        let episodes: Vec<_> = cases
            .iter()
            .map(|case| case.episodes().cast::<f32>())
            .collect();
        let mut single = open();
        let mut sums = [0.0; 3];
        let mut losses = Vec::new();
        for episodes in &episodes {
            losses.push(single.step(episodes).expect("a meta-step"));
            for (sum, &loss) in sums.iter_mut().zip(losses.last().expect("one")) {
                *sum += f64::from(loss);
            }
        }
        let expected = single.state().expect("a state");
        let mut together = open();
        let means = together
            .train_on(episodes.iter().cloned())
            .expect("training");
        let now = together.state().expect("a state");
        assert!(now.parameters == expected.parameters && now.moments == expected.moments);
        assert_eq!(
            (&now.updates, now.episodes),
            (&expected.updates, expected.episodes)
        );
        for (mean, sum) in means.into_iter().zip(sums) {
            let exact = sum / 4.0;
            assert!(
                (mean - exact).abs() < 1e-6 * exact,
                "{mean} against {exact}"
            );
        }
        let mut on_device = open();
        let hold = |learner: &mut Learner, episodes| learner.hold(episodes).expect("it is held");
        let held: Vec<_> = episodes.iter().map(|it| hold(&mut on_device, it)).collect();
        for (held, losses) in held.iter().zip(&losses) {
            assert_eq!(&on_device.step_on(held).expect("a meta-step"), losses);
        }
        let last = on_device.parameters().expect("parameters");
        assert!(last == expected.parameters);
        // Once more, after what has passed meanwhile.
        let again = on_device.step_on(&held[1]).expect("a meta-step");
        assert_eq!(again, single.step(&episodes[1]).expect("a meta-step"));
        // A batch that is refused leaves those before it learned; so does an end without a batch.
        let mut wrong = episodes.clone();
        wrong[1].input[[0, 1, 2, 3]] = f32::NAN;
        let mut some = open();
        let error = some.train_on(wrong).expect_err("a number is none");
        assert!(error.to_string().contains("[0, 1, 2, 3]"), "{error}");
        let mut one = open();
        one.step(&episodes[0]).expect("a meta-step");
        assert!(some.parameters().expect("parameters") == one.parameters().expect("parameters"));
        let error = some.train_on([]).expect_err("there is no batch");
        assert!(error.to_string().contains("batches"), "{error}");
        // Held by a learner of another network.
        let other = Case {
            layers: vec![Layer::Plastic(plastic(6, 3))],
            ..cases[0].clone()
        };
        let mut other = learner(engine, &other, &[Optimiser::adam(0.01)]);
        let start = other.state().expect("a state");
        assert_eq!(named(other.step_on(&held[0])), "episodes");
        assert!(other.state().expect("a state") == start);
    }
}

/// Evaluation returns the mean loss per counted step and changes nothing.
pub fn evaluation_changes_nothing(engine: &Engine) {
    let source = source(3, 4);
    let mut learner = one_shot_learner(engine, 3, 3);
    learner.train(&source, 0..20).expect("training");
    let before = learner.parameters().expect("parameters");
    let losses = learner.evaluate(&source, 20..23).expect("evaluation");
    assert!(before == learner.parameters().expect("parameters"));
    for (p, &loss) in losses.iter().enumerate() {
        let mut mean = 0.0;
        for meta_step in 20..23 {
            let episodes = source.episodes(3, meta_step).expect("episodes");
            let outcome = Engine::cpu().forward(&one_shot().0, &before, &episodes, Want::default());
            mean += f64::from(outcome.expect("it fits").loss.expect("a target")[p]) / 3.0;
        }
        mean /= source.task.counted_steps() as f64;
        assert!((loss - mean).abs() < 1e-5 * mean, "{loss} against {mean}");
    }
}

/// Network `n` of a population with seed `s` is bit for bit network 0 of seed `s + n`.
pub fn networks_train_as_alone(engine: &Engine, batch: usize) {
    // More than a vector has lanes.
    let mut together = one_shot_learner(engine, 40, 10);
    let losses = together.train(&source(10, batch), 0..30).expect("training");
    let together = together.parameters().expect("parameters");
    for n in [0, 1, 15, 16, 33, 39] {
        let seed = 10 + n as u64;
        let mut alone = one_shot_learner(engine, 1, seed);
        let loss = alone.train(&source(seed, batch), 0..30).expect("training");
        assert_eq!(loss, losses[n..=n], "network {n}");
        let alone = alone.parameters().expect("parameters");
        assert!(alone.network(0) == together.network(n), "network {n}");
    }
}

/// A run pauses by the clock; its reports and parameters are those of one call of the learner for each report, and of a run that
/// goes on from such a pause.
pub fn pauses_of_a_run_change_no_bits(engine: &Engine) {
    // On the GPU in separate kernels, and in one.
    for (batch, first) in [(512, 1_000), (16, 25_000)] {
        reports_are_those_of_single_calls(engine, batch, first);
    }
}

/// The next part of a run has a meta-step for 64 before it.
fn part_end(start: u32) -> u32 {
    start + (start / 64).max(1)
}

/// A run that has done nothing for about `first` meta-steps, after which there is more than one pause from one report to the next.
fn idle(engine: &Engine, recipe: &Recipe, first: u32) -> Checkpoint {
    let mut found = None;
    let training = Training::new(engine, recipe).expect("it fits");
    let stopped = training.run_watched(|event| {
        if let Event::Pause(pause) = event {
            found = Some(pause.checkpoint().expect("memory suffices"));
        }
        ControlFlow::Break(())
    });
    let report = &stopped.expect("nothing was done").networks;
    let mut checkpoint = found.expect("it pauses before it begins");
    let progress = &mut checkpoint.progress;
    while progress.meta_steps < first {
        progress.meta_steps = part_end(progress.meta_steps);
        let report = serde_json::json!({
            "episode": u64::from(progress.meta_steps) * recipe.batch as u64,
            "phase": "training",
            "error": vec![0.0; report.len()],
            "failed": 0,
        });
        let report = serde_json::from_value(report);
        progress
            .history
            .push(report.expect("a report as it is in files"));
    }
    checkpoint.state.episodes = checkpoint.episode();
    checkpoint
}

/// Goes on for two reports; the pauses in the midst of a part.
fn two_reports(engine: &Engine, from: Checkpoint) -> (Trained, Vec<Checkpoint>) {
    let training = Training::resume(engine, from).expect("it fits");
    let (mut reports, mut pauses) = (0, Vec::new());
    let trained = training.run_watched(|event| {
        match event {
            Event::Pause(pause) => {
                let checkpoint = pause.checkpoint().expect("memory suffices");
                pauses.extend(Some(checkpoint).filter(|at| at.progress.part.is_some()));
            }
            Event::Report(_) => reports += 1,
            _ => {}
        }
        match reports == 2 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    (trained.expect("training"), pauses)
}

fn reports_are_those_of_single_calls(engine: &Engine, batch: u32, first: u32) {
    let recipe = Recipe {
        population: 2,
        episodes: u64::from(2 * first * batch),
        batch: batch as usize,
        ..Recipe::new(Arc::new(Association::ONE_SHOT)).expect("the paper's")
    };
    let checkpoint = idle(engine, &recipe, first);
    let (mut start, before) = (
        checkpoint.progress.meta_steps,
        checkpoint.progress.history.len(),
    );
    let (trained, pauses) = two_reports(engine, checkpoint);
    assert!(!pauses.is_empty(), "no pause in the midst of a part");

    let Recipe {
        network,
        initial,
        optimiser,
        seed,
        ..
    } = &recipe;
    let parameters = Parameters::<f32>::initialise(network, initial, 2, *seed).expect("it fits");
    let learner = engine.learner(network, &parameters, std::slice::from_ref(optimiser));
    let (mut learner, source) = (learner.expect("it fits"), recipe.source(Purpose::Training));
    assert_eq!(trained.history.len(), before + 2);
    for report in &trained.history[before..] {
        let end = part_end(start);
        assert_eq!(report.episode, u64::from(end * batch));
        let error = learner.train(&source, start..end).expect("training");
        assert_eq!(report.error, error);
        start = end;
    }
    assert!(trained.parameters == learner.parameters().expect("parameters"));

    let done = |at: &Checkpoint| trained.history.len() - at.progress.history.len();
    let midst = pauses.into_iter().find(|at| done(at) == 2);
    let (again, _) = two_reports(engine, midst.expect("a pause in the first part"));
    assert_eq!(again.history, trained.history);
    assert!(again.parameters == trained.parameters);
}

/// A run in several calls is bit for bit the run in one, and equal to itself repeated; so is one that goes on in another
/// learner, from the state of the first.
pub fn training_goes_on_where_it_stopped(engine: &Engine) {
    let cuts: [&[u32]; 3] = [&[0, 50], &[0, 50], &[0, 17, 18, 50]];
    let run = |cuts: &[u32]| {
        let mut learner = one_shot_learner(engine, 3, 1);
        let mut losses = Vec::new();
        for part in cuts.windows(2) {
            let part = learner.train(&source(1, 2), part[0]..part[1]);
            losses = part.expect("training");
        }
        (learner, losses)
    };
    let [(whole, _), (again, _), (parts, losses)] = cuts.map(run);
    let [whole, again] = [whole, again].map(|learner| learner.parameters().expect("parameters"));
    assert!(whole == again, "two runs differ");
    let ended = parts.state().expect("a state");
    assert!(whole == ended.parameters, "a run in parts differs");
    assert_eq!(
        (ended.updates.as_slice(), ended.episodes),
        (&[50; 3][..], 100)
    );
    // Another learner, which has done something else meanwhile.
    let (first, _) = run(&[0, 17]);
    let state = first.state().expect("a state");
    let mut other = one_shot_learner(engine, 3, 77);
    other.train(&source(5, 3), 4..9).expect("training");
    other.set_state(&state).expect("a state");
    assert!(other.state().expect("a state") == state);
    other.train(&source(1, 2), 17..18).expect("training");
    let last = other.train(&source(1, 2), 18..50).expect("training");
    assert_eq!(last, losses);
    assert!(
        other.state().expect("a state") == ended,
        "a run from a state differs"
    );
}

/// After `episodes` episodes most networks know what they were told once.
pub fn one_shot_is_learned(engine: &Engine, population: usize, episodes: u32) {
    let mut learner = one_shot_learner(engine, population, 0);
    let source = source(0, 1);
    let first = learner.train(&source, 0..100).expect("training");
    learner.train(&source, 100..episodes).expect("training");
    let last = learner.evaluate(&source, episodes..episodes + 200);
    let mut last = last.expect("evaluation");
    let chance = std::f64::consts::LN_2;
    let mean = first.iter().sum::<f64>() / population as f64;
    assert!(
        (mean - chance).abs() < 0.1,
        "starts at {mean}, not at chance"
    );
    last.sort_by(f64::total_cmp);
    println!("errors: {last:.3?}");
    // Most, not all: some networks of the paper's settings never learn.
    let (median, lower) = (last[population / 2], last[population / 4]);
    assert!(median < 0.2, "median {median}, chance {chance}: {last:?}");
    assert!(lower < 0.15, "lower quartile {lower}: {last:?}");
    assert_eq!(learner.failures().expect("failures"), []);
}

/// A rule that has no value for some outputs stops its network as anything does that is not finite.
pub fn a_rule_without_a_value_freezes_its_network(engine: &Engine) {
    for text in [
        "log(y - 3) * h + rate * y * x",
        "h + 1e30 * exp(y) * 1e30 * x",
    ] {
        let mut layer = plastic(3, 2);
        layer.rule = Rule::parse(text).expect("a rule");
        let network = Network::new(Loss::SquaredError, [Layer::Plastic(layer)]).expect("valid");
        let initial = Initial::default();
        let parameters = Parameters::<f32>::initialise(&network, &initial, 2, 1).expect("it fits");
        let optimisers = [Optimiser::sgd(0.01, 0.0)];
        let learner = engine.learner(&network, &parameters, &optimisers);
        let mut learner = learner.expect("a learner");
        let input = Array4::from_elem((2, 4, 5, 3), 0.5);
        let episodes = Episodes::new(input).with_target(Array4::zeros((2, 4, 5, 2)));
        learner
            .step(&episodes)
            .expect("a failing network is no error");
        let failures = learner.failures().expect("failures");
        let networks: Vec<_> = failures.iter().map(|failure| failure.network).collect();
        assert_eq!(networks, [0, 1], "{text}: {failures:?}");
        assert!(
            learner.parameters().expect("parameters") == parameters,
            "{text}"
        );
    }
}

/// A population of three of which the second fails; the others must not notice.
struct Failing {
    network: Network,
    parameters: Parameters<f32>,
    optimisers: Vec<Optimiser>,
    batch: usize,
}

impl Failing {
    /// Two linear neurons in a row, one weight each; the input and the first weight are one, the target zero.
    fn new() -> Self {
        let neuron = || Layer::from(Dense::new(1, 1).without_bias());
        let network =
            Network::new(Loss::SquaredError, [neuron(), neuron()]).expect("a valid network");
        let mut parameters = Parameters::<f32>::new(&network, 3).expect("it fits");
        parameters.values_mut().fill(1.0);
        Self {
            network,
            parameters,
            optimisers: vec![Optimiser::sgd(0.01, 0.0); 3],
            batch: 2,
        }
    }

    /// Trains; the failure of network 1 must be reported, and its parameters be those of before the failing update.
    fn check(&self, engine: &Engine, steps: usize, expected: &[Failed]) {
        let run = |engine: &Engine, networks: std::ops::Range<usize>| {
            let parameters = self.parameters.slice(networks.clone());
            let learner = engine.learner(
                &self.network,
                &parameters,
                &self.optimisers[networks.clone()],
            );
            let mut learner = learner.expect("a learner");
            let mut last_finite = parameters;
            let shape = (networks.len(), self.batch, 1, 1);
            let episodes = Episodes::new(Array4::ones(shape)).with_target(Array4::zeros(shape));
            for _ in 0..steps {
                learner
                    .step(&episodes)
                    .expect("a failing network is no error");
                if learner.failures().expect("failures").is_empty() {
                    last_finite = learner.parameters().expect("parameters");
                }
            }
            let failures = failed(&learner);
            (
                learner.parameters().expect("parameters"),
                failures,
                last_finite,
            )
        };
        let (together, failures, _) = run(engine, 0..3);
        assert_eq!(failures, expected);
        for n in [0, 2] {
            let (alone, failures, _) = run(engine, n..n + 1);
            assert_eq!(failures, []);
            assert!(alone.network(0) == together.network(n), "network {n}");
            assert!(
                together.network(n) != self.parameters.network(n),
                "network {n} stands still"
            );
        }
        let (alone, failures, last_finite) = run(engine, 1..2);
        assert_eq!(failures.len(), 1);
        assert!(alone == last_finite, "the failing update was made");
        assert!(alone.network(0) == together.network(1));
    }
}

/// A failure: network, episode and tensor.
type Failed = (usize, u64, String);

fn failed(learner: &Learner) -> Vec<Failed> {
    let failures = learner.failures().expect("failures").into_iter();
    let parts = |failure: Failure| (failure.network, failure.episode, failure.tensor);
    failures.map(parts).collect()
}

/// Of network 1.
fn failure(episode: u64, tensor: &str) -> Failed {
    (1, episode, tensor.to_owned())
}

/// A network that has failed makes no further updates, and those beside it do.
pub fn a_failed_network_counts_no_updates(engine: &Engine) {
    let mut failing = Failing::new();
    failing.parameters.values_mut()[2..4].copy_from_slice(&[1.0, 3e38]);
    let optimisers = [Optimiser::adam(0.01)];
    let learner = engine.learner(&failing.network, &failing.parameters, &optimisers);
    let mut learner = learner.expect("a learner");
    let episodes = Episodes::new(Array4::ones((3, 2, 1, 1)));
    let episodes = episodes.with_target(Array4::zeros((3, 2, 1, 1)));
    for _ in 0..3 {
        learner.step(&episodes).expect("a meta-step");
    }
    let state = learner.state().expect("a state");
    assert_eq!(state.updates, [3, 0, 3]);
    let moments = state.moments.each_ref().map(|moments| moments.network(1));
    assert!(
        moments
            .iter()
            .all(|it| it.iter().all(|&value| value == 0.0))
    );
    // As many as there can be are still counted; more are refused.
    let mut state = state;
    state.updates = vec![i32::MAX as u32; 3];
    learner.set_state(&state).expect("a state");
    let before = learner.parameters().expect("parameters");
    learner.step(&episodes).expect("a meta-step");
    let after = learner.parameters().expect("parameters");
    assert!(after.values().iter().all(|value| value.is_finite()));
    assert!(after.network(0) != before.network(0));
    state.updates[2] += 1;
    assert_eq!(named(learner.set_state(&state)), "updates");
}

/// What follows no gradient may have one that is not finite, in a learner that takes the gradients itself, too.
pub fn frozen_gradients_may_be_anything(engine: &Engine) {
    let network = Network::new(Loss::SquaredError, [Layer::from(Dense::new(2, 1))]);
    let network = network.expect("a network");
    let parameters = Parameters::<f32>::new(&network, 3).expect("it fits");
    let optimisers = [Optimiser {
        frozen: selectors(&["weight"]),
        ..Optimiser::sgd(0.1, 0.0)
    }];
    let learner = engine.learner(&network, &parameters, &optimisers);
    let mut learner = learner.expect("a learner");
    // Weights of zero: the output is finite, and so is the bias' gradient, but not its product with the input.
    let input = Array4::from_elem((3, 1, 2, 2), 1e30);
    let episodes = Episodes::new(input).with_target(Array4::from_elem((3, 1, 2, 1), 1e10));
    learner.step(&episodes).expect("a meta-step");
    assert_eq!(failed(&learner), []);
    let after = learner.parameters().expect("parameters");
    for network in 0..3 {
        let [weights, bias] = [&after.network(network)[..2], &after.network(network)[2..]];
        assert_eq!(weights, [0.0; 2]);
        assert!(bias[0].is_finite() && bias[0] != 0.0);
    }
}

/// Batches that are held are refused where the learner has other groups of networks than it had, or other limits.
#[cfg(feature = "gpu")]
pub fn held_batches_are_for_their_groups(engine: &Engine, narrow: &Engine) {
    let of = |batch| Case {
        goal: Goal::Target(Loss::SquaredError, MaskKind::All),
        population: 6,
        batch,
        ..Case::new([Layer::Plastic(plastic(6, 5))])
    };
    let (small, large) = (of(1), of(16));
    let [one, many] = [&small, &large].map(|case| case.episodes().cast::<f32>());
    let optimisers = [Optimiser::adam(0.01)];
    let mut split = learner(narrow, &small, &optimisers);
    let held = split.hold(&one).expect("it is held");
    let first = split.step_on(&held).expect("a meta-step");
    split.step(&many).expect("a meta-step");
    let before = split.state().expect("a state");
    assert_eq!(named(split.step_on(&held)), "episodes");
    assert!(split.state().expect("a state") == before);
    let again = split.hold(&one).expect("it is held");
    split.step_on(&again).expect("a meta-step");
    // Of the same device within other limits.
    let mut wide = learner(engine, &small, &optimisers);
    assert_eq!(named(wide.step_on(&again)), "episodes");
    let held = wide.hold(&one).expect("it is held");
    assert_eq!(wide.step_on(&held).expect("a meta-step"), first);
    // Of the same groups, but in other cuts.
    let alone = Case {
        population: 1,
        ..of(160)
    };
    let episodes = alone.episodes().cast::<f32>();
    let [mut cut, mut whole] = [narrow, engine].map(|it| learner(it, &alone, &optimisers));
    let held = [&mut cut, &mut whole].map(|it| it.hold(&episodes).expect("it is held"));
    assert_eq!(named(cut.step_on(&held[1])), "episodes");
    assert_eq!(named(whole.step_on(&held[0])), "episodes");
    let losses = cut.step_on(&held[0]).expect("a meta-step");
    assert_eq!(whole.step_on(&held[1]).expect("a meta-step"), losses);
}

/// The loss overflows at the first step.
pub fn an_infinite_loss_freezes_its_network(engine: &Engine) {
    let mut failing = Failing::new();
    failing.parameters.values_mut()[2..4].copy_from_slice(&[1.0, 3e38]);
    failing.check(engine, 5, &[failure(0, "loss")]);
}

/// The loss is finite, `2.25e38`, but not the gradient of one of the weights, `4.5e38`; in one block of episodes, and in
/// more.
pub fn an_infinite_gradient_freezes_its_network(engine: &Engine) {
    for batch in [2, 40] {
        for (weights, tensor) in [
            ([1.0, 1.5e19], "gradient.layer0.weight"),
            ([1.5e19, 1.0], "gradient.layer1.weight"),
        ] {
            let mut failing = Failing::new();
            failing.batch = batch;
            failing.parameters.values_mut()[2..4].copy_from_slice(&weights);
            failing.check(engine, 5, &[failure(0, tensor)]);
        }
    }
}

/// A learning rate that throws the weights off: after the first step, `y = (1 − 2 lr)²`, which squared overflows.
pub fn a_huge_learning_rate_freezes_its_network(engine: &Engine) {
    let mut failing = Failing::new();
    failing.optimisers[1].learning_rate = 1e12;
    failing.check(engine, 5, &[failure(2, "loss")]);
}

/// Gradients and learning rates near the largest float move parameters no further than that.
pub fn parameters_stay_finite(engine: &Engine) {
    let network = Failing::new().network;
    let parameters = Parameters::<f32>::new(&network, 3).expect("it fits");
    let optimisers = [
        Optimiser::rmsprop(1e38),
        Optimiser::sgd(1e38, 0.9),
        Optimiser::adam(1e38),
    ];
    let mut learner = engine
        .learner(&network, &parameters, &optimisers)
        .expect("a learner");
    let mut gradients = parameters.clone();
    // From the lowest mean that there is to the largest gradient is beyond every number.
    let swings = [-3.4e38; 60].into_iter().chain([3.4e38; 3]);
    for size in [3e38, -1e30, 1e20, 3e38].into_iter().chain(swings) {
        gradients.values_mut().fill(size);
        learner.apply(&gradients).expect("an update");
        let now = learner.parameters().expect("parameters");
        assert!(
            now.values().iter().all(|value| value.is_finite()),
            "{size}: {:?}",
            now.values()
        );
        // The largest steps may cancel each other.
        let moved = now.values().iter().any(|&value| value != 0.0);
        assert!(moved || size.abs() == 3.4e38, "{size}");
    }
    assert_eq!(learner.failures().expect("failures"), []);
}

/// A frozen network stays frozen while the engine generates episodes, and in evaluations.
pub fn a_failure_in_generated_episodes_is_reported(engine: &Engine) {
    let (network, initial, optimiser) = one_shot();
    let mut parameters = Parameters::<f32>::initialise(&network, &initial, 3, 5).expect("it fits");
    let weight = parameters.layout().find(1, Role::Weight).expect("dense");
    let (offset, size) = (weight.offset, parameters.layout().size());
    parameters.values_mut()[size + offset..][..4].fill(3e38);
    parameters.values_mut()[size..size + 20].fill(1.0);
    let learner = engine.learner(&network, &parameters, &[optimiser]);
    let mut learner = learner.expect("a learner");
    let losses = learner.train(&source(5, 2), 3..10).expect("training");
    assert!(losses[0].is_finite() && losses[2].is_finite() && !losses[1].is_finite());
    let failures = learner.failures().expect("failures");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(
        (failures[0].network, failures[0].tensor.as_str()),
        (1, "loss")
    );
    assert_eq!(failures[0].episode, 0);
    let now = learner.parameters().expect("parameters");
    assert!(now.network(1) == parameters.network(1), "it was frozen");
    let mut others = one_shot_learner(engine, 3, 5);
    others.train(&source(5, 2), 3..10).expect("training");
    let others = others.parameters().expect("parameters");
    for n in [0, 2] {
        assert!(now.network(n) == others.network(n), "network {n} noticed");
    }
}

/// What a refusal names: a setting, a tensor, or a size that is zero.
fn named<T: std::fmt::Debug>(refused: metaplastic::Result<T>) -> String {
    match refused.expect_err("a refusal") {
        Error::Setting { field, .. } | Error::ZeroSize { field } => field,
        Error::Shape { name, .. }
        | Error::NotFinite { name, .. }
        | Error::OtherNetwork { name, .. }
        | Error::Objective { name, .. } => name,
        other => panic!("{other:?}"),
    }
}

/// A task of any sizes, valid or not.
#[derive(Debug)]
struct Odd {
    sizes: [usize; 3],
    counts: bool,
}

impl Task for Odd {
    fn name(&self) -> &str {
        "odd"
    }

    fn inputs(&self) -> usize {
        self.sizes[0]
    }

    fn outputs(&self) -> usize {
        self.sizes[1]
    }

    fn steps(&self) -> usize {
        self.sizes[2]
    }

    fn loss(&self) -> Loss {
        Loss::SoftmaxCrossEntropy
    }

    fn solved_below(&self) -> f64 {
        0.1
    }

    fn counts(&self, _: usize) -> bool {
        self.counts
    }

    fn fill(&self, _: Draw, _: &mut [f32], _: &mut [f32]) {
        unreachable!("no episode is made")
    }

    fn setup(&self) -> metaplastic::Result<Setup> {
        Association::ONE_SHOT.setup()
    }
}

/// Every wrong call on a learner is an error that names what is wrong, and changes nothing.
pub fn wrong_calls_are_refused(engine: &Engine) {
    let (network, initial, optimiser) = one_shot();
    let parameters = Parameters::<f32>::initialise(&network, &initial, 3, 3).expect("it fits");
    let optimiser = Optimiser {
        rate_bounds: [0.0, 0.5],
        ..optimiser
    };
    let learner = |network: &Network, parameters: &Parameters<f32>, optimisers: &[Optimiser]| {
        named(engine.learner(network, parameters, optimisers))
    };
    for count in [0, 2, 4] {
        let optimisers = vec![optimiser.clone(); count];
        assert_eq!(learner(&network, &parameters, &optimisers), "optimisers");
    }
    let mut bad = vec![optimiser.clone(); 3];
    bad[2].learning_rate = f64::NAN;
    assert_eq!(
        learner(&network, &parameters, &bad),
        "optimiser.learning_rate"
    );
    let rates = |rate| {
        let layers = [
            Layer::from(Plastic::new(10, 2, rate).activation(Activation::Tanh)),
            Layer::from(Dense::new(2, 2)),
        ];
        Network::new(Loss::SoftmaxCrossEntropy, layers).expect("a valid network")
    };
    let mut bad = [optimiser.clone()];
    bad[0].frozen = selectors(&["layer0.rate"]);
    assert_eq!(learner(&network, &parameters, &bad), "optimiser.frozen");
    let other = rates(Rate::learned(0.6).per_neuron());
    let of_other = Parameters::<f32>::initialise(&other, &initial, 3, 3).expect("it fits");
    let optimisers = std::slice::from_ref(&optimiser);
    assert_eq!(learner(&other, &of_other, optimisers), "layer0.rate");
    assert_eq!(learner(&network, &of_other, optimisers), "parameters");
    let mut infinite = parameters.clone();
    infinite.values_mut()[30] = f32::INFINITY;
    assert_eq!(
        learner(&network, &infinite, optimisers),
        "layer0.plasticity"
    );

    let mut learner = engine
        .learner(&network, &parameters, optimisers)
        .expect("a learner");
    let source = source(3, 2);
    let good = source.episodes(3, 0).expect("episodes");
    let Objective::Target { target, .. } = good.objective.clone() else {
        unreachable!("a task has a target")
    };
    let input = || Episodes::new(good.input.clone());
    for (name, episodes) in [
        ("objective", input()),
        ("objective", input().with_output_gradient(target.clone())),
        ("input", source.episodes(2, 0).expect("episodes")),
        ("target", input().with_target(Array4::zeros((3, 2, 20, 3)))),
        ("target", input().with_target(target.mapv(|x| x / 0.0))),
        (
            "mask",
            input().with_masked_target(target, Mask::Steps(Array1::ones(19))),
        ),
    ] {
        assert_eq!(named(learner.step(&episodes)), name);
    }
    for gradients in [
        parameters.slice(0..2),
        Parameters::<f32>::new(&network, 4).expect("it fits"),
        of_other,
    ] {
        assert_eq!(named(learner.apply(&gradients)), "gradients");
    }
    let task = |task: Arc<dyn Task>| EpisodeSource {
        task,
        ..source.clone()
    };
    let wide = Association::one_shot(9, 2, 20).expect("valid sizes");
    let own = |sizes, counts| -> EpisodeSource { task(Arc::new(Odd { sizes, counts })) };
    let of_batch = |batch| EpisodeSource {
        batch,
        ..source.clone()
    };
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let calls = [
        ("meta_steps", source.clone(), 5..5),
        ("meta_steps", source.clone(), 7..5),
        ("batch", of_batch(0), 0..1),
        ("batch", of_batch(usize::MAX), 0..1),
        ("inputs of the network", task(Arc::new(wide)), 0..1),
        ("inputs of the task", own([0, 2, 20], true), 0..1),
        ("outputs of the task", own([10, 0, 20], true), 0..1),
        ("steps of the task", own([10, 2, 0], true), 0..1),
        ("steps of the task", own([10, 2, usize::MAX], true), 0..1),
        (
            "steps of the task that count",
            own([10, 2, 20], false),
            0..1,
        ),
    ];
    for (name, source, range) in calls {
        assert_eq!(named(learner.train(&source, range.clone())), name);
        assert_eq!(named(learner.evaluate(&source, range)), name);
    }

    assert_eq!(learner.failures().expect("failures"), []);
    let now = learner.parameters().expect("parameters");
    assert!(now == parameters, "a refused call changed parameters");
    let mut fresh = engine
        .learner(&network, &parameters, optimisers)
        .expect("a learner");
    for learner in [&mut learner, &mut fresh] {
        learner.step(&good).expect("a meta-step");
    }
    let [now, expected] = [learner, fresh].map(|it| it.parameters().expect("parameters"));
    assert!(now == expected, "a refused call left something behind");
}

/// Meta-steps on the caller's episodes, on the engine's, updates with the caller's gradients and evaluations, in turn and
/// with batches of several sizes: each is an update with the gradient of its episodes.
pub fn calls_may_come_in_any_order(engine: &Engine, tolerance: &Tolerance) {
    let (network, initial, optimiser) = one_shot();
    let start = Parameters::<f32>::initialise(&network, &initial, 3, 3).expect("it fits");
    let optimisers = [Optimiser {
        schedule: Schedule::Step {
            every: 4,
            factor: 0.5,
        },
        method: Method::Sgd { momentum: 0.9 },
        ..optimiser
    }];
    let learner = || {
        let learner = engine.learner(&network, &start, &optimisers);
        learner.expect("a learner")
    };
    let (mut mixed, mut updates) = (learner(), learner());
    let mut meta_step = 40;
    for (kind, batch) in [
        (0, 3),
        (1, 3),
        (2, 20),
        (3, 2),
        (1, 20),
        (0, 1),
        (2, 1),
        (0, 20),
    ] {
        let source = source(3, batch);
        let episodes = source.episodes(3, meta_step).expect("episodes");
        let parameters = updates.parameters().expect("parameters");
        let gradients = Engine::cpu()
            .gradient(&network, &parameters, &episodes, Want::default())
            .expect("gradients");
        let range = meta_step..meta_step + 1;
        match kind {
            0 => drop(mixed.step(&episodes).expect("a meta-step")),
            1 => mixed.apply(&gradients.parameters).expect("an update"),
            2 => drop(mixed.train(&source, range).expect("training")),
            _ => {
                mixed.evaluate(&source, range).expect("an evaluation");
                continue;
            }
        }
        updates.apply(&gradients.parameters).expect("an update");
        meta_step -= 3;
    }
    assert_eq!(mixed.failures().expect("failures"), []);
    let start = start.cast();
    let [mixed, updates] =
        [mixed, updates].map(|it| changes(&start, &it.parameters().expect("parameters").cast()));
    compare(&updates, &mixed, tolerance).unwrap_or_else(|complaints| panic!("{complaints}"));
}

/// A failure says how many episodes its network had seen, whatever their batches and the calls in between.
pub fn failures_count_episodes(engine: &Engine) {
    let mut learner = one_shot_learner(engine, 4, 3);
    let batch = |batch| source(3, batch);
    // Episodes of which those of a network have a loss beyond every number.
    let failing = |network: usize, size: usize| {
        let mut episodes = batch(size).episodes(4, 0).expect("episodes");
        let Objective::Target { target, .. } = &mut episodes.objective else {
            unreachable!("a task has a target")
        };
        target.index_axis_mut(Axis(0), network).fill(3e38);
        episodes
    };
    let zeros = {
        let mut zeros = learner.parameters().expect("parameters");
        zeros.values_mut().fill(0.0);
        zeros
    };
    let mut seen = Vec::new();
    let mut check = |learner: &Learner, network: usize, episode: u64, tensor: &str| {
        seen.push((network, episode, tensor.to_owned()));
        seen.sort();
        assert_eq!(failed(learner), seen);
    };
    let good = |size| batch(size).episodes(4, 7).expect("episodes");
    learner.step(&good(3)).expect("a meta-step");
    learner.apply(&zeros).expect("an update");
    learner.step(&good(2)).expect("a meta-step");
    learner.train(&batch(20), 100..103).expect("training");
    learner.evaluate(&batch(5), 7..9).expect("an evaluation");
    learner.step(&failing(2, 4)).expect("a meta-step");
    let episodes = 3 + 2 + 60 + 10;
    check(&learner, 2, episodes, "loss");
    // Two of one size, of which the second fails.
    learner.step(&good(4)).expect("a meta-step");
    learner.step(&failing(0, 4)).expect("a meta-step");
    check(&learner, 0, episodes + 8, "loss");
    let mut gradients = zeros.clone();
    let size = gradients.layout().size();
    gradients.values_mut()[3 * size] = f32::NAN;
    learner.apply(&gradients).expect("an update");
    check(&learner, 3, episodes + 12, "gradient.layer0.weight");
    learner.train(&batch(1), 0..3).expect("training");
    learner.step(&failing(1, 7)).expect("a meta-step");
    check(&learner, 1, episodes + 15, "loss");
    learner.step(&good(1)).expect("a meta-step");
    assert_eq!(failed(&learner), seen);
}
