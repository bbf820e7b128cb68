//! The GPU engine: against the oracle, against the CPU engine, and against itself.
//!
//! The adapter is the one that the environment variable `METAPLASTIC_DEVICE` asks for, or else the best hardware
//! adapter; its name is part of every trial's. Without one, every trial is reported as ignored, with the reason; with
//! `METAPLASTIC_REQUIRE_GPU=1` that is a failure.

#[cfg(feature = "command")]
mod command;
#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod fused;
mod kept;
mod modulated;
mod precision;
mod recurrent;
mod session;
mod turns;

use common::bodies::{
    a_rule_need_have_no_value_at_zero, arrays_may_lie_in_any_order,
    batch_is_the_mean_of_its_episodes, is_as_precise_as_back_propagation, is_reproducible,
    matches_oracle, networks_are_independent, results_are_made_where_they_are_wanted,
    tanh_is_right_everywhere, what_networks_have_in_common_is_given_once,
};
use common::cases::{
    Case, Goal, MaskKind, PLASTICITIES, any_rate, close_to_instability, plastic, rules, stacks,
};
use common::compare::{GPU, GPU_LEARNING, GPU_PRECISION, OPTIMISER};
use common::pairwise::pairwise;
use common::training;
use libtest_mimic::{Arguments, Trial};
use metaplastic::engine::EngineKind;
use metaplastic::network::{Plasticity, RatePer};
use metaplastic::{Activation, Dense, Engine, Layer, Loss, Plastic, Rate, Rule};
use std::env;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// A test body and its name.
struct Body {
    name: String,
    run: Box<dyn FnOnce(&Engine) + Send>,
}

/// Reports as failed, not as passed, what no adapter ran.
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let wanted = env::var("METAPLASTIC_DEVICE").ok();
    let required = env::var_os("METAPLASTIC_REQUIRE_GPU").is_some_and(|value| value == "1");
    let trials = match Engine::choose(EngineKind::Gpu, wanted.as_deref(), 0) {
        Ok(choice) => {
            let device = choice.engine.device();
            let free = Arc::new(Mutex::new(vec![choice.engine]));
            let trial = |Body { name, run }: Body| {
                let (free, wanted) = (free.clone(), wanted.clone());
                Trial::test(name, move || {
                    let engine = Borrowed::new(free, wanted.as_deref());
                    run(&engine.engine);
                    Ok(())
                })
                .with_kind(&device)
            };
            bodies().into_iter().map(trial).collect()
        }
        Err(reason) if required => vec![Trial::test("a GPU is required", move || {
            Err(reason.to_string().into())
        })],
        Err(reason) => bodies()
            .into_iter()
            .map(|Body { name, .. }| {
                Trial::test(name, || Ok(()))
                    .with_kind(reason.to_string())
                    .with_ignored_flag(true)
            })
            .collect(),
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// An engine for one trial at a time. Software drivers compile kernels when they run first, one after the other for each device, so
/// that trials side by side have devices of their own.
struct Borrowed {
    engine: Engine,
    free: Arc<Mutex<Vec<Engine>>>,
}

impl Borrowed {
    fn new(free: Arc<Mutex<Vec<Engine>>>, wanted: Option<&str>) -> Self {
        let found = free.lock().unwrap().pop();
        let engine = found.unwrap_or_else(|| Engine::gpu(wanted).expect("it was there before"));
        Self { engine, free }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.free.lock().unwrap().push(self.engine.clone());
    }
}

fn body(name: impl Into<String>, run: impl FnOnce(&Engine) + Send + 'static) -> Body {
    Body {
        name: name.into(),
        run: Box::new(run),
    }
}

fn bodies() -> Vec<Body> {
    let mut bodies = Vec::new();
    let oracle = |group: &'static str| {
        move |(index, case): (usize, Case)| {
            body(
                format!("oracle {group} {index:02}: {case}"),
                move |engine| {
                    println!("{case}\n{}", matches_oracle(engine, &case, &GPU));
                },
            )
        }
    };
    bodies.extend(pairs().into_iter().enumerate().map(oracle("pairs")));
    bodies.extend(stacked().into_iter().enumerate().map(oracle("stacks")));
    bodies.extend(sizes().into_iter().enumerate().map(oracle("sizes")));
    bodies.extend(tiles().into_iter().enumerate().map(oracle("tiles")));
    for (index, case) in populations().into_iter().enumerate() {
        let copy = case.clone();
        bodies.push(body(
            format!("two runs agree {index}: {case}"),
            move |engine| {
                is_reproducible(engine, &case);
            },
        ));
        bodies.push(body(
            format!("networks are independent {index}: {copy}"),
            move |engine| networks_are_independent(engine, &copy),
        ));
    }
    bodies.push(body("a batch is the mean of its episodes", |engine| {
        batch_is_the_mean_of_its_episodes(engine, &populations()[0], &GPU);
    }));
    bodies.push(body(
        "gradients are as precise as back-propagation's",
        |engine| {
            is_as_precise_as_back_propagation(engine, &close_to_instability(3), GPU_PRECISION);
        },
    ));
    // 3.0e-7 where multiply-adds are rounded once, and two units in the last place more for the device's division.
    bodies.push(body("tanh is right everywhere", |engine| {
        tanh_is_right_everywhere(engine, 2, 6e-7);
    }));
    bodies.push(body("a rule need have no value at zero", |engine| {
        a_rule_need_have_no_value_at_zero(engine, &GPU);
    }));
    bodies.push(body("arrays may lie in any order", |engine| {
        arrays_may_lie_in_any_order(engine);
    }));
    bodies.push(body(
        "what networks have in common is given once",
        |engine| {
            what_networks_have_in_common_is_given_once(engine);
        },
    ));
    bodies.push(body("results are made where they are wanted", |engine| {
        results_are_made_where_they_are_wanted(engine);
    }));
    bodies.extend(cuts::bodies());
    bodies.extend(fused::bodies());
    bodies.extend(kept::bodies());
    bodies.extend(precision::bodies());
    bodies.extend(modulated::bodies());
    bodies.extend(recurrent::bodies());
    bodies.extend(session::bodies());
    bodies.extend(turns::bodies());
    #[cfg(feature = "command")]
    bodies.extend(command::bodies());
    bodies.extend(learning());
    bodies
}

/// Inputs, outputs, batch and steps.
const SIZES: [[usize; 4]; 6] = [
    [1, 1, 5, 63],
    [3, 2, 17, 2],
    [60, 33, 5, 7],
    [129, 2, 1, 9],
    [10, 70, 2, 5],
    [17, 4, 40, 1],
];

const RATES: [f64; 5] = [0.0, 0.02, 0.5, 0.9, 1.0];

/// Every pair of choices in few cases: each new shader costs a software driver up to half a second.
fn pairs() -> Vec<Case> {
    let factors = [
        rules().len(),
        Activation::ALL.len(),
        PLASTICITIES.len(),
        2, // One rate or one per neuron.
        2, // Learned or not.
        RATES.len(),
        2, // With a bias or without.
        2, // With an initial trace or without.
        2, // With a gradient on the final trace or without.
        Goal::ALL.len() - 1,
        SIZES.len(),
        3, // Networks.
    ];
    let rows = pairwise(&factors).into_iter().enumerate();
    rows.map(|(seed, row)| {
        let [inputs, outputs, batch, steps] = SIZES[row[10]];
        let per = [RatePer::Layer, RatePer::Neuron][row[3]];
        let mut layer = Plastic::new(inputs, outputs, any_rate(RATES[row[5]], per, row[4] == 1))
            .activation(Activation::ALL[row[1]])
            .rule(rules()[row[0]].clone())
            .plasticity(PLASTICITIES[row[2]]);
        layer.bias = row[6] == 1;
        Case {
            goal: Goal::ALL[row[9]],
            population: 1 + row[11],
            batch,
            steps,
            initial_trace: row[7] == 1,
            trace_gradient: row[8] == 1,
            seed: seed as u64,
            ..Case::new([Layer::Plastic(layer)])
        }
    })
    .collect()
}

fn stacked() -> Vec<Case> {
    let stacks = stacks().into_iter().enumerate();
    stacks
        .map(|(index, stack)| Case {
            goal: Goal::ALL[index % (Goal::ALL.len() - 1)],
            population: 1 + index % 3,
            batch: 3,
            initial_trace: index % 2 == 0,
            trace_gradient: index % 3 == 0,
            seed: index as u64,
            ..Case::new(stack)
        })
        .collect()
}

/// Sizes and lengths that no pair has: many inputs and outputs, no objective on the output, long episodes.
fn sizes() -> Vec<Case> {
    let long = |rule, rate| {
        let mut layer = plastic(10, 4);
        (layer.rule, layer.rate) = (rule, Rate::learned(rate));
        Case {
            steps: 1000,
            batch: 1,
            ..Case::new([Layer::Plastic(layer)])
        }
    };
    vec![
        Case {
            trace_gradient: true,
            goal: Goal::None,
            ..Case::new([Layer::Plastic(plastic(60, 33))])
        },
        Case {
            batch: 40,
            steps: 63,
            initial_trace: true,
            trace_gradient: true,
            ..Case::new([Layer::Plastic(plastic(129, 70))])
        },
        Case {
            steps: 3,
            goal: Goal::Target(Loss::SquaredError, MaskKind::All),
            ..Case::new([Layer::Plastic(plastic(300, 5))])
        },
        long(Rule::hebb(), 0.01),
        long(Rule::hebb(), 0.9),
        long(Rule::oja(), 0.5),
    ]
}

/// Rows that the GPU engine spreads over lanes two at a time.
fn tiles() -> Vec<Case> {
    let per_neuron = |rate: f64| Rate::learned(rate).per_neuron();
    let layers = [
        (
            24,
            8,
            Rule::hebb(),
            Plasticity::Connection,
            per_neuron(0.95),
        ),
        (24, 2, Rule::oja(), Plasticity::Connection, per_neuron(0.3)),
        (48, 10, Rule::oja(), Plasticity::Neuron, Rate::learned(0.9)),
        (64, 6, Rule::hebb(), Plasticity::Layer, Rate::learned(0.02)),
        (64, 6, Rule::oja(), Plasticity::Neuron, Rate::fixed(0.1)),
        (
            256,
            4,
            Rule::hebb(),
            Plasticity::Connection,
            Rate::fixed(0.1),
        ),
        (256, 4, Rule::hebb(), Plasticity::Neuron, per_neuron(1.0)),
    ];
    let layers = layers.into_iter().enumerate();
    let mut cases: Vec<_> = layers
        .map(|(index, (inputs, outputs, rule, plasticity, rate))| {
            let layer = plastic(inputs, outputs).rate(rate);
            let layer = layer.rule(rule).plasticity(plasticity);
            Case {
                batch: [1, 5, 17][index % 3],
                steps: 7 + index,
                population: 1 + index % 2,
                initial_trace: index % 2 == 0,
                trace_gradient: index % 3 == 0,
                goal: Goal::ALL[index % (Goal::ALL.len() - 1)],
                seed: index as u64,
                ..Case::new([Layer::Plastic(layer)])
            }
        })
        .collect();
    cases.push(Case::new([
        Layer::from(Dense::new(64, 24).activation(Activation::Tanh)),
        Layer::from(Dense::new(24, 4).activation(Activation::Logistic)),
    ]));
    // Rows over several subgroups that remember nothing, and put gradients in the place of signals.
    for (hidden, activation) in [(300, Activation::Tanh), (600, Activation::Logistic)] {
        cases.push(Case {
            steps: 40,
            ..Case::new([
                Layer::from(Dense::new(2, hidden).activation(activation)),
                Layer::from(Dense::new(hidden, 2).activation(activation)),
                Layer::from(Dense::new(2, 2)),
            ])
        });
    }
    cases
}

fn populations() -> Vec<Case> {
    let goal = Goal::Target(Loss::SoftmaxCrossEntropy, MaskKind::Steps);
    [(10, 2, 37), (60, 33, 5)]
        .into_iter()
        .map(|(inputs, outputs, batch)| Case {
            goal,
            population: 3,
            batch,
            steps: 20,
            initial_trace: true,
            trace_gradient: false,
            ..Case::new([
                Layer::Plastic(plastic(inputs, outputs)),
                Layer::from(Dense::new(outputs, 3)),
            ])
        })
        .collect()
}

fn learning() -> Vec<Body> {
    let mut bodies = Vec::new();
    let kinds = [
        ("rows", training::of_rows()),
        ("cells", training::of_cells()),
    ];
    let all = training::optimisers().into_iter();
    let all = all.flat_map(|(name, optimisers)| {
        kinds
            .clone()
            .map(|(kind, layer)| (format!("{name}, {kind}"), layer, optimisers.clone()))
    });
    for (name, layer, optimisers) in all {
        let all = [optimisers.clone(), optimisers.clone(), optimisers];
        let [given, steps, engines] = all;
        let [first, second, third] = [layer.clone(), layer.clone(), layer];
        bodies.push(body(
            format!("{name} follows its equations"),
            move |engine| {
                training::optimiser_follows_its_equations(engine, &first, &given, &OPTIMISER);
            },
        ));
        bodies.push(body(
            format!("learning with {name} follows its equations"),
            move |engine| {
                training::learning_follows_its_equations(engine, &second, &steps, &GPU_LEARNING);
            },
        ));
        bodies.push(body(
            format!("learning with {name} as on the CPU"),
            move |engine| {
                training::engines_agree([&Engine::cpu(), engine], &third, &engines, &GPU_LEARNING);
            },
        ));
    }
    for batch in [1, 40] {
        bodies.push(body(
            format!("generated episodes are given ones, batch {batch}"),
            move |engine| training::generated_episodes_are_given_ones(engine, batch),
        ));
        bodies.push(body(
            format!("episodes from the host are learned alike, batch {batch}"),
            move |engine| training::episodes_from_the_host_are_learned_alike(engine, batch),
        ));
        bodies.push(body(
            format!("networks train as alone, batch {batch}"),
            move |engine| training::networks_train_as_alone(engine, batch),
        ));
    }
    type Named = (&'static str, fn(&Engine));
    let named: [Named; 19] = [
        (
            "frozen parameters keep their bits",
            training::frozen_parameters_keep_their_bits,
        ),
        ("wrong calls are refused", training::wrong_calls_are_refused),
        ("calls may come in any order", |engine| {
            training::calls_may_come_in_any_order(engine, &GPU_LEARNING)
        }),
        ("failures count episodes", training::failures_count_episodes),
        (
            "evaluation changes nothing",
            training::evaluation_changes_nothing,
        ),
        (
            "batches are learned alike however they are given",
            training::batches_are_learned_alike,
        ),
        ("batches are learned alike in cuts", |engine| {
            let narrow = cuts::restricted(engine, |profile| profile.binding_bytes = 20_000);
            training::batches_are_learned_alike(&narrow);
        }),
        ("held batches are for their groups of networks", |engine| {
            let narrow = cuts::restricted(engine, |profile| profile.binding_bytes = 20_000);
            training::held_batches_are_for_their_groups(engine, &narrow);
        }),
        (
            "a failed network counts no updates",
            training::a_failed_network_counts_no_updates,
        ),
        (
            "frozen gradients may be anything",
            training::frozen_gradients_may_be_anything,
        ),
        (
            "training goes on where it stopped",
            training::training_goes_on_where_it_stopped,
        ),
        (
            "pauses of a run change no bits",
            training::pauses_of_a_run_change_no_bits,
        ),
        (
            "an infinite loss freezes its network",
            training::an_infinite_loss_freezes_its_network,
        ),
        (
            "an infinite gradient freezes its network",
            training::an_infinite_gradient_freezes_its_network,
        ),
        (
            "a huge learning rate freezes its network",
            training::a_huge_learning_rate_freezes_its_network,
        ),
        (
            "a rule without a value freezes its network",
            training::a_rule_without_a_value_freezes_its_network,
        ),
        ("parameters stay finite", training::parameters_stay_finite),
        (
            "a failure in generated episodes is reported",
            training::a_failure_in_generated_episodes_is_reported,
        ),
        ("one-shot is learned", |engine| {
            training::one_shot_is_learned(engine, 20, 3000);
        }),
    ];
    bodies.extend(named.map(|(name, run)| body(name, run)));
    bodies
}
