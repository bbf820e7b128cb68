//! Every kernel text that a plan can ask for is valid WGSL, and agrees with the host about the structs that both have.

use super::extent::Extent;
use super::fusion::Fusion;
use super::kernel::Kernel;
use super::layout::DeviceLayout;
use super::profile::Profile;
use super::render::Renderer;
use super::shared::Shared;
use super::stages::{Purpose, Stages};
use super::state::{Control, Part, Progress, Settings, State};
use super::throughput::multiply_add;
use super::variant::{CHECKPOINT, Variant, sweeps};
use super::work::Work;
use crate::computation::{GivenDynamics, InCommon, ObjectiveKind, Request, Want, Which};
use crate::network::{
    Activation, Bias, Coefficient, CoefficientPer, Dense, Dynamic, Layer, Loss, Modulation,
    Network, Plastic, Plasticity, Rate, RatePer, Recurrent, RecurrentInput,
};
use crate::optimiser::Optimiser;
use crate::parameters::Layout;
use crate::rule::Rule;
use crate::tasks::{Association, Completion, Task};
use naga::front::wgsl;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, TypeInner};
use std::collections::HashSet;

/// Validates texts, each once.
#[derive(Default)]
struct Texts(HashSet<String>);

impl Texts {
    /// Parses and validates as a driver's front end would.
    fn validate(&mut self, kernel: &Kernel) {
        let source = &kernel.source;
        if !self.0.insert(source.clone()) {
            return;
        }
        let module = wgsl::parse_str(source)
            .unwrap_or_else(|error| panic!("{source}\n{}", error.emit_to_string(source)));
        Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP)
            .subgroup_stages(ShaderStages::COMPUTE)
            .subgroup_operations(SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{source}\n{}", error.emit_to_string(source)));
        assert_eq!(module.entry_points[0].name, kernel.name);
        // WebGPU guarantees eight storage buffers a stage.
        let bindings = &kernel.bindings;
        assert!(bindings.len() <= 8, "{}: {bindings:?}", kernel.name);
        let has_extent = |space| space == AddressSpace::Uniform;
        let mut variables = module.global_variables.iter();
        assert!(variables.any(|(_, variable)| has_extent(variable.space)));
        assert!(agrees::<Extent>(&module));
        for agrees in [
            agrees::<Control>,
            agrees::<Progress>,
            agrees::<State>,
            agrees::<Part>,
            agrees::<Settings>,
        ] {
            agrees(&module);
        }
        assert!(!source.contains("{{") && !source.contains("{%"));
    }

    /// Validates the kernels of `work` in segments of `steps` steps, for each layer's sweeps that `seen` has not.
    fn validate_work(
        &mut self,
        layout: &DeviceLayout,
        profile: &Profile,
        work: &Work,
        steps: usize,
        seen: &mut HashSet<(Purpose, Option<Variant>)>,
    ) {
        let sweeps = sweeps(layout, work, steps);
        let stages = Stages::new(layout, work, &sweeps);
        let renderer = Renderer::new(profile);
        for purpose in stages.all() {
            let variant = purpose.layer().map(|layer| sweeps[layer].variant);
            if seen.insert((purpose, variant)) {
                self.validate(&renderer.kernel(&stages, purpose).unwrap());
            }
        }
    }

    /// Validates the kernels of a network in everything that it may be asked for.
    fn validate_all(&mut self, network: &Network, profile: &Profile) {
        let layout = DeviceLayout::new(network, profile);
        let mut seen = HashSet::new();
        for (work, steps) in works(network) {
            self.validate_work(&layout, profile, &work, steps, &mut seen);
        }
    }
}

/// Whether the module has the struct; fails unless its members have the host's names, types and places.
fn agrees<S: Shared>(module: &Module) -> bool {
    let mut types = module.types.iter();
    let Some((_, found)) = types.find(|(_, kind)| kind.name.as_deref() == Some(S::NAME)) else {
        return false;
    };
    let TypeInner::Struct { members, span } = &found.inner else {
        panic!("{} is no struct", S::NAME);
    };
    assert_eq!(*span as usize, size_of::<S>(), "{}", S::NAME);
    let members: Vec<_> = members
        .iter()
        .map(|member| {
            let kind = match module.types[member.ty].inner {
                TypeInner::Scalar(naga::Scalar::U32) => "u32",
                TypeInner::Scalar(naga::Scalar::F32) => "f32",
                ref other => panic!("{}: {other:?}", S::NAME),
            };
            (
                member.name.as_deref().unwrap(),
                kind,
                member.offset as usize,
            )
        })
        .collect();
    let fields = S::FIELDS.iter();
    let fields: Vec<_> = fields
        .map(|field| (field.name, field.kind, field.offset))
        .collect();
    assert_eq!(members, fields, "{}", S::NAME);
    true
}

/// Everything that may be asked for of a network, and the steps of a segment.
fn works(network: &Network) -> Vec<(Work, usize)> {
    let layers = network.layers().len();
    let mut works = Vec::new();
    for bits in 0..128u32 {
        let on = |bit: u32| bits >> bit & 1 == 1;
        // With traces that are kept in between, and without.
        let steps = if on(0) { 2 * CHECKPOINT } else { CHECKPOINT };
        for segment in [steps, CHECKPOINT / 2] {
            let request = Request {
                batch: 3,
                steps,
                gradient: on(1),
                want: Want {
                    output: true,
                    input_gradient: on(1) && on(2),
                    final_traces: on(3),
                },
                objective: ObjectiveKind::OutputGradient,
                given: vec![
                    GivenDynamics {
                        initial: Which::are(|_| on(4)),
                        gradient: Which::are(|it| it != Dynamic::Modulator && on(5)),
                    };
                    layers
                ],
                given_gradients: on(1) && !(on(5) && on(6)),
                in_common: InCommon {
                    input: on(6),
                    ..InCommon::default()
                },
            };
            let work = Work {
                stepwise: segment == steps,
                ..Work::new(2, request)
            };
            works.push((work, segment));
        }
    }
    works
}

/// The most that may be asked for, and the least.
fn extremes(network: &Network) -> [(Work, usize); 2] {
    let mut works = works(network);
    let least = works.swap_remove(0);
    let most = works.pop().expect("several");
    [least, most]
}

fn plastic(
    (inputs, outputs): (usize, usize),
    rule: Rule,
    plasticity: Plasticity,
    rate: Rate,
    activation: Activation,
) -> Network {
    let mut layer = Plastic::new(inputs, outputs, rate)
        .activation(activation)
        .rule(rule)
        .plasticity(plasticity);
    layer.bias = inputs != 3;
    Network::new(Loss::SquaredError, [Layer::Plastic(layer)]).unwrap()
}

/// The named rules that are row-affine, and one that has a function for everything that a text can say.
fn rules() -> Vec<Rule> {
    let own = "clamp(1 - rate * exp(y), -1, 1) * h + rate * where_less(y, 0, tanh(y), sqrt(log(y) / y^3)) * x";
    let mut rules = vec![Rule::hebb(), Rule::oja(), Rule::additive()];
    rules.push(Rule::parse(own).unwrap());
    rules
}

/// Every kind of rate.
fn rates() -> [Rate; 4] {
    let rate = |per, learned| Rate {
        value: 0.1,
        per,
        learned,
    };
    [
        rate(RatePer::Layer, false),
        rate(RatePer::Layer, true),
        rate(RatePer::Neuron, false),
        rate(RatePer::Neuron, true),
    ]
}

#[test]
fn every_sweep_of_a_plastic_layer_is_valid() {
    let mut texts = Texts::default();
    for (index, rule) in rules().into_iter().enumerate() {
        for (turn, plasticity) in Plasticity::ALL.into_iter().enumerate() {
            // A lane with a whole row, and two lanes with two.
            let mut shapes = [(10, 7), (24, 8)];
            if (index + turn) % 2 == 1 {
                shapes.reverse();
            }
            for (rate, shape) in [rates()[0], rates()[3]].into_iter().zip(shapes) {
                let network = plastic(shape, rule.clone(), plasticity, rate, Activation::Tanh);
                texts.validate_all(&network, &Profile::default());
            }
        }
    }
}

#[test]
fn every_sweep_with_a_modulator_is_valid() {
    let mut texts = Texts::default();
    let own = "(m - rate * tanh(m * y)) * h + rate * exp(m) * x";
    let given = Modulation::from_episodes();
    for rule in [Rule::hebb(), Rule::oja(), Rule::parse(own).unwrap()] {
        for modulation in [given, given.per_neuron()] {
            for (rate, shape) in [(rates()[0], (10, 7)), (rates()[3], (24, 8))] {
                let layer = Plastic::new(shape.0, shape.1, rate).rule(rule.clone());
                let layer = layer.modulation(modulation);
                let network = Network::new(Loss::SquaredError, [layer]).unwrap();
                texts.validate_all(&network, &Profile::default());
            }
        }
    }
}

#[test]
fn every_sweep_of_dense_and_bias_layers_is_valid() {
    let mut texts = Texts::default();
    for activation in Activation::ALL {
        let layers = [
            Layer::from(Dense::new(10, 4).activation(activation)),
            Layer::from(Dense::new(64, 4).activation(activation)),
            Layer::Bias(Bias {
                inputs: 4,
                outputs: 4,
                activation,
                bias: true,
            }),
        ];
        for layer in layers {
            let network = Network::new(Loss::SquaredError, [layer]).unwrap();
            texts.validate_all(&network, &Profile::default());
        }
    }
}

#[test]
fn every_row_length_and_reduction_is_valid() {
    let subgroups_of = |subgroup_size| Profile {
        subgroup_size,
        ..Profile::default()
    };
    let narrow = Profile {
        workgroup_size: 128,
        ..subgroups_of(8)
    };
    let mut texts = Texts::default();
    for profile in [
        Profile::default(),
        subgroups_of(1),
        subgroups_of(2),
        subgroups_of(4),
        narrow,
    ] {
        for inputs in [1, 3, 4, 5, 32, 33, 60, 64, 100, 129, 256, 1000, 1024, 4096] {
            // An odd and an even number of rows: tiles of one and of two.
            for outputs in [7, 8] {
                let network = plastic(
                    (inputs, outputs),
                    Rule::oja(),
                    Plasticity::Connection,
                    Rate::fixed(0.1),
                    Activation::Logistic,
                );
                let layout = DeviceLayout::new(&network, &profile);
                for (work, steps) in extremes(&network) {
                    texts.validate_work(&layout, &profile, &work, steps, &mut HashSet::new());
                }
            }
        }
    }
}

/// Cells of every kind of synapse, with every kind of input; not all in every company.
fn cells() -> Vec<Layer> {
    let own = Rule::parse_with(
        "clamp(h, -1, 1) * exp(-rate) + m * tanh(loop * e) * x / (1 + y^2)",
        Some("where_less(y, 0, e, sqrt(abs(var * e))) + log(2 + x^2)"),
        &["loop", "var"],
    )
    .unwrap();
    let rules = Rule::named().into_iter().chain([own]);
    let (network, given) = (Modulation::from_network(), Modulation::from_episodes());
    let modulations = [
        None,
        Some(network),
        Some(network.per_neuron()),
        Some(given),
        Some(given.per_neuron()),
    ];
    let mut cells = Vec::new();
    for (index, rule) in rules.enumerate() {
        for (turn, modulation) in modulations.into_iter().enumerate() {
            let per = CoefficientPer::ALL[(index + turn) % 3];
            let coefficient = Coefficient::learned(0.5).per(per);
            let kinds: Vec<_> = Plasticity::ALL
                .into_iter()
                .filter(|kind| *kind != Plasticity::None)
                .collect();
            let rate = rates()[(index + turn) % 4];
            let mut synapses = Plastic::new(3, 3, rate)
                .rule(rule.clone())
                .plasticity(kinds[(index + turn) % kinds.len()])
                .activation(Activation::ALL[turn % Activation::ALL.len()]);
            for name in rule.coefficients() {
                synapses = synapses.coefficient(name, coefficient);
            }
            synapses.modulation = modulation;
            synapses.bound = turn.is_multiple_of(2).then_some(0.5);
            synapses.plastic_bias = index.is_multiple_of(2);
            synapses.bias = !turn.is_multiple_of(3);
            for (inputs, input) in [(4, RecurrentInput::Matrix), (3, RecurrentInput::Identity)] {
                cells.push(Layer::Recurrent(Recurrent {
                    inputs,
                    input,
                    synapses: synapses.clone(),
                }));
            }
            synapses.bound = Some(0.5);
            cells.push(Layer::Plastic(synapses));
        }
    }
    for inputs in [2, 70] {
        let none = Recurrent::new(inputs, 70, Rate::fixed(0.1)).plasticity(Plasticity::None);
        cells.push(none.into());
    }
    cells
}

#[test]
fn every_kernel_of_cells_is_valid() {
    let mut texts = Texts::default();
    for (index, cell) in cells().into_iter().enumerate() {
        let network = Network::new(Loss::SquaredError, [cell]).unwrap();
        let mut profile = Profile::default();
        let in_memory = (index + index / 8) % 2 == 1;
        if in_memory {
            profile.registers = 1;
        }
        let layout = DeviceLayout::new(&network, &profile);
        assert!(layout.layers[0].cell.is_some());
        assert_eq!(layout.layers[0].cell_tile.is_none(), in_memory);
        let works = match index % 8 {
            0 => works(&network),
            _ => extremes(&network).to_vec(),
        };
        let mut seen = HashSet::new();
        for (work, steps) in works {
            texts.validate_work(&layout, &profile, &work, steps, &mut seen);
        }
    }
}

#[test]
fn every_kernel_of_training_is_valid() {
    let mut texts = Texts::default();
    let profile = Profile::default();
    let tasks: [Box<dyn Task>; 3] = [
        Box::new(Completion::PAPER),
        Box::new(Association::ONE_SHOT),
        Box::new(Association::reversal(100, 4, 40).unwrap()),
    ];
    for loss in [Loss::SquaredError, Loss::SoftmaxCrossEntropy] {
        for plasticity in Plasticity::ALL {
            for rate in rates() {
                let layer = Plastic::new(10, 4, rate)
                    .activation(Activation::Tanh)
                    .plasticity(plasticity);
                let network = Network::new(loss, [Layer::Plastic(layer)]).unwrap();
                let layout = DeviceLayout::new(&network, &profile);
                let given = Work::training(&network, 3, 17, 9);
                let generated = tasks.iter().flat_map(|task| {
                    [true, false].map(|learn| Work::on_task(&network, 3, 17, &**task, learn))
                });
                for work in std::iter::once(given).chain(generated) {
                    let steps = work.request.steps;
                    texts.validate_work(&layout, &profile, &work, steps, &mut HashSet::new());
                }
            }
        }
    }
    texts.validate(&multiply_add().unwrap().0);
}

impl Texts {
    /// Validates every kernel of whole meta-steps that a network may have, for each device's workgroup memory.
    fn validate_fused(&mut self, network: &Network, task: Option<&dyn Task>) {
        for workgroup_bytes in [16 << 10, 32 << 10, 48 << 10] {
            let profile = Profile {
                workgroup_bytes,
                ..Profile::default()
            };
            let layout = DeviceLayout::new(network, &profile);
            for (networks, batch, learn) in [(1, 1, true), (1000, 16, true), (3, 2, false)] {
                let work = match task {
                    Some(task) => {
                        let work = Work::on_task(network, networks, batch, task, learn);
                        Work {
                            request: Request {
                                steps: 10,
                                ..work.request
                            },
                            ..work
                        }
                    }
                    // With frozen parameters too, where the host makes a task's episodes.
                    None => {
                        let work = Work::training(network, networks, batch, 10);
                        Work {
                            learn,
                            request: Request {
                                gradient: learn,
                                ..work.request
                            },
                            ..work
                        }
                    }
                };
                let fusion = Fusion::new(network, &profile, &layout, &work).unwrap();
                let kernel = fusion.expect("a small network").kernel;
                assert!(kernel.workgroup_bytes() <= workgroup_bytes);
                self.validate(&kernel);
            }
        }
    }
}

#[test]
fn every_small_network_has_a_valid_kernel_of_whole_meta_steps() {
    let mut texts = Texts::default();
    // Each activation and each number of inputs in some company; they are texts of their own in a kernel.
    let mut activations = Activation::ALL.into_iter().cycle();
    let mut sizes = [1, 3, 10].into_iter().cycle();
    for rate in rates() {
        for rule in rules() {
            for plasticity in Plasticity::ALL {
                let some = activations.next().zip(sizes.next());
                let (activation, inputs) = some.expect("they go round");
                let network = plastic((inputs, 7), rule.clone(), plasticity, rate, activation);
                texts.validate_fused(&network, None);
            }
        }
    }
    for activation in Activation::ALL {
        for inputs in [1, 3, 10] {
            let (rule, rate) = (Rule::oja(), rates()[3]);
            let network = plastic((inputs, 7), rule, Plasticity::Connection, rate, activation);
            texts.validate_fused(&network, None);
        }
    }
    for loss in [Loss::SquaredError, Loss::SoftmaxCrossEntropy] {
        let stacks = [
            vec![
                Layer::from(Dense::new(9, 5).activation(Activation::Relu)),
                Layer::from(Bias::new(5)),
            ],
            vec![
                Layer::from(Bias::new(9)),
                Layer::from(Plastic::new(9, 4, Rate::fixed(0.1)).activation(Activation::Tanh)),
            ],
            vec![
                Layer::from(Plastic::new(9, 8, Rate::learned(0.1)).activation(Activation::Tanh)),
                Layer::from(
                    Plastic::new(8, 5, Rate::learned(0.1).per_neuron())
                        .activation(Activation::Tanh),
                ),
                Layer::from(Dense::new(5, 3)),
                Layer::from(Dense::new(3, 2).activation(Activation::Logistic)),
                Layer::from(Bias::new(2)),
            ],
        ];
        for layers in stacks {
            texts.validate_fused(&Network::new(loss, layers).unwrap(), None);
        }
    }
}

#[test]
fn every_task_has_a_valid_kernel_of_whole_meta_steps() {
    let mut texts = Texts::default();
    let tasks: [Box<dyn Task>; 3] = [
        Box::new(Completion::new(10).unwrap()),
        Box::new(Association::one_shot(7, 3, 10).unwrap()),
        Box::new(Association::reversal(7, 3, 10).unwrap()),
    ];
    for task in &tasks {
        for loss in [Loss::SquaredError, Loss::SoftmaxCrossEntropy] {
            let layers = [
                Layer::from(Plastic::new(10, 4, Rate::learned(0.1)).activation(Activation::Tanh)),
                Layer::from(Dense::new(4, task.outputs())),
            ];
            texts.validate_fused(&Network::new(loss, layers).unwrap(), Some(&**task));
        }
    }
}

#[test]
fn optimisers_take_as_much_room_as_the_hosts() {
    let layers = [
        Layer::from(Plastic::new(10, 4, Rate::learned(0.1)).activation(Activation::Tanh)),
        Layer::from(Dense::new(4, 3)),
    ];
    let network = Network::new(Loss::SquaredError, layers).unwrap();
    let host = Layout::new(&network).unwrap();
    let layout = DeviceLayout::new(&network, &Profile::default());
    let work = Work::training(&network, 1, 1, 5);
    let sweeps = sweeps(&layout, &work, 5);
    let stages = Stages::new(&layout, &work, &sweeps);
    let kernel = Renderer::new(&Profile::default()).kernel(&stages, Purpose::Check);
    let module = wgsl::parse_str(&kernel.unwrap().source).unwrap();
    let mut types = module.types.iter();
    let optimiser = types.find(|(_, kind)| kind.name.as_deref() == Some("Optimiser"));
    let size = optimiser.unwrap().1.inner.size(module.to_ctx()) as usize;
    assert_eq!(size, Settings::bytes_with_factors(host.tensors().len()));
    assert_eq!(
        size,
        Settings::with_factors(&Optimiser::adam(0.1), &host).len()
    );
}
