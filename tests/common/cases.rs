//! Networks with random parameters and episodes, described by a line that a failing test prints.

use super::compare::{CPU_F32, Tolerance, compare};
pub use super::laws::rules;
use super::random::Random;
use metaplastic::episodes::Objective;
use metaplastic::network::{
    Coefficient, CoefficientPer, Modulation, ModulatorFrom, Plasticity, RatePer, RecurrentInput,
};
use metaplastic::{
    Activation, Bias, Dense, Dynamic, Dynamics, Episodes, Layer, Loss, Mask, Network, Parameters,
    Plastic, Rate, Recurrent, Role, Rule,
};
use ndarray::{Array, Array1, Array3, ArrayBase, ArrayD, Axis, CowArray, Data, Dimension, Ix4};
use std::fmt;

/// What is differentiated on the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Target(Loss, MaskKind),
    OutputGradient,
    /// Only the final trace's gradient.
    None,
}

impl Goal {
    pub const ALL: [Self; 8] = [
        Self::OutputGradient,
        Self::Target(Loss::SquaredError, MaskKind::All),
        Self::Target(Loss::SquaredError, MaskKind::Steps),
        Self::Target(Loss::SquaredError, MaskKind::Episodes),
        Self::Target(Loss::SoftmaxCrossEntropy, MaskKind::All),
        Self::Target(Loss::SoftmaxCrossEntropy, MaskKind::Steps),
        Self::Target(Loss::SoftmaxCrossEntropy, MaskKind::Episodes),
        Self::None,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskKind {
    All,
    Steps,
    Episodes,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Case {
    pub layers: Vec<Layer>,
    pub goal: Goal,
    pub population: usize,
    pub batch: usize,
    pub steps: usize,
    /// Whether all states are given at the first step.
    pub initial_trace: bool,
    /// Whether there are gradients on all states after the last step.
    pub trace_gradient: bool,
    pub seed: u64,
}

/// How many coefficients a layer may have that is plastic.
pub const PLASTICITIES: [Plasticity; 3] = [
    Plasticity::Connection,
    Plasticity::Neuron,
    Plasticity::Layer,
];

/// A plastic layer; whether it has a bias follows from its size, so that both occur everywhere.
pub fn plastic(inputs: usize, outputs: usize) -> Plastic {
    let mut layer = Plastic::new(inputs, outputs, Rate::learned(0.02)).activation(Activation::Tanh);
    layer.bias = !(inputs + outputs).is_multiple_of(3);
    layer
}

/// A rate of every form.
pub fn any_rate(value: f64, per: RatePer, learned: bool) -> Rate {
    let mut rate = Rate::fixed(value);
    (rate.per, rate.learned) = (per, learned);
    rate
}

impl Case {
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        Self {
            layers: layers.into_iter().collect(),
            goal: Goal::OutputGradient,
            population: 1,
            batch: 2,
            steps: 9,
            initial_trace: false,
            trace_gradient: false,
            seed: 1,
        }
    }

    pub fn network(&self) -> Network {
        let loss = match self.goal {
            Goal::Target(loss, _) => loss,
            Goal::OutputGradient | Goal::None => Loss::None,
        };
        Network::new(loss, self.layers.iter().cloned()).expect("a valid network")
    }

    /// Parameters, exact in `f32`, of a size at which no trace blows up, as Oja's rule is unstable where `η y² > 2` and others
    /// only add, and at which `f32` can tell the results.
    pub fn parameters(&self) -> Parameters<f64> {
        self.parameters_that(|parameters| {
            largest_trace(self, parameters) < 4.0 && is_settled(self, parameters)
        })
    }

    /// The same, but some of them too close to instability for `f32`.
    pub fn unsettled_parameters(&self) -> Parameters<f64> {
        self.parameters_that(|parameters| largest_trace(self, parameters) < 4.0)
    }

    /// The largest parameters that suit.
    fn parameters_that(&self, suit: impl Fn(&Parameters<f64>) -> bool) -> Parameters<f64> {
        let mut gain = 1.0;
        loop {
            let parameters = self.parameters_of_size(gain);
            if !self.may_diverge() || suit(&parameters) {
                return parameters;
            }
            gain *= 0.75;
            assert!(gain > 1e-3, "no parameters suit {self}");
        }
    }

    fn may_diverge(&self) -> bool {
        let grows = |layer: &Layer| {
            let other_rule = |plastic: &Plastic| plastic.rule != Rule::hebb();
            layer.as_recurrent().is_some() || layer.as_plastic().is_some_and(other_rule)
        };
        self.layers
            .iter()
            .any(|layer| is_unbounded(layer) && grows(layer))
    }

    fn parameters_of_size(&self, gain: f64) -> Parameters<f64> {
        let network = self.network();
        let mut random = Random::new(self.seed);
        let mut parameters = Parameters::new(&network, self.population).expect("it fits");
        let layout = parameters.layout().clone();
        let size = layout.size();
        for (index, value) in parameters.values_mut().iter_mut().enumerate() {
            let index = index % size;
            let mut tensors = layout.tensors().iter();
            let tensor = tensors.rfind(|tensor| tensor.offset <= index).expect("one");
            let layer = &network.layers()[tensor.layer];
            let presynaptic = layer
                .as_plastic()
                .map_or(layer.inputs(), Plastic::presynaptic);
            let inputs = presynaptic as f64;
            let scale = match (tensor.role, layer.as_plastic()) {
                (Role::Weight, _) => 1.5 / inputs.sqrt(),
                (Role::Plasticity, Some(layer)) if layer.plasticity == Plasticity::Connection => {
                    1.0 / inputs.sqrt()
                }
                (Role::Plasticity, _) => 1.5 / inputs,
                (Role::Bias | Role::ModulatorBias | Role::FanOutBias, _) => 0.5,
                (Role::InputWeight, _) => 1.0 / (layer.inputs() as f64).sqrt(),
                (Role::ModulatorWeight, _) => 1.5 / (layer.outputs() as f64).sqrt(),
                (Role::FanOutWeight, _) => 1.0,
                // Rates and coefficients of rules.
                _ => {
                    // The extremes are meant exactly; half of the rates stay at the value asked for.
                    if (0.0 < *value && *value < 1.0) && random.one_in(2) {
                        *value = f64::from((*value * random.between(0.9, 1.0)) as f32);
                    } else {
                        *value = f64::from(*value as f32);
                    }
                    continue;
                }
            };
            *value = random.between(-gain * scale, gain * scale);
            if tensor.role == Role::Plasticity && tensor.len > 4 && random.one_in(8) {
                *value = 0.0;
            }
        }
        parameters
    }

    /// Episodes in which three patterns come back with noise, so that the trace has something to follow.
    pub fn episodes(&self) -> Episodes<'static, f64> {
        let network = self.network();
        let mut random = Random::new(self.seed ^ 0x5EED);
        let (p, b, t) = (self.population, self.batch, self.steps);
        let (inputs, outputs) = (network.inputs(), network.outputs());
        let patterns = random.array([p, b, 3, inputs], 1.0);
        let mut input = random.array([p, b, t, inputs], 0.25);
        for (index, value) in input.indexed_iter_mut() {
            let pattern = patterns[[index.0, index.1, index.2 % 3, index.3]];
            *value = f64::from((*value + pattern) as f32);
        }
        let mut episodes = Episodes::new(input);
        match self.goal {
            Goal::OutputGradient => {
                episodes = episodes.with_output_gradient(random.array([p, b, t, outputs], 1.0));
            }
            Goal::Target(_, mask) => {
                let target = random.array([p, b, t, outputs], 1.0);
                // Weights of steps, not only switches.
                let mut weight = || match random.below(3) {
                    0 => 0.0,
                    1 => 1.0,
                    _ => random.between(0.0, 2.0),
                };
                let mask = match mask {
                    MaskKind::All => Mask::All,
                    MaskKind::Steps => Mask::Steps(Array1::from_shape_simple_fn(t, &mut weight)),
                    MaskKind::Episodes => {
                        Mask::Episodes(Array3::from_shape_simple_fn([p, b, t], &mut weight))
                    }
                };
                episodes = episodes.with_masked_target(target, mask);
            }
            Goal::None => {}
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let mut array = |shape: &[usize], scale: f64| {
                let all = random.array([p, b, 1, shape.iter().product()], scale);
                let shape = [&[p, b][..], shape].concat();
                all.into_shape_with_order(shape).expect("as many elements")
            };
            if self.initial_trace {
                for (state, shape) in states(layer) {
                    episodes = episodes.with_given(index, state, array(&shape, 0.5));
                }
            }
            if self.trace_gradient {
                for (state, shape) in states(layer) {
                    episodes = episodes.with_final_gradient(index, state, array(&shape, 0.5));
                }
            }
            let modulation = layer.as_plastic().and_then(|plastic| plastic.modulation);
            if let Some(modulation) = modulation
                && modulation.from == ModulatorFrom::Episodes
            {
                let shape = match modulation.per {
                    RatePer::Neuron => vec![t, layer.outputs()],
                    _ => vec![t],
                };
                let modulator = array(&shape, 1.0);
                episodes = episodes.with_given(index, Dynamic::Modulator, modulator);
            }
        }
        episodes
    }
}

/// What a layer has that goes on from step to step, with its shape for one episode.
fn states(layer: &Layer) -> Vec<(Dynamic, Vec<usize>)> {
    let mut states = Vec::new();
    if let Some(plastic) = layer.as_plastic().filter(|plastic| plastic.has_trace()) {
        let shape = vec![plastic.outputs, plastic.presynaptic()];
        states.push((Dynamic::Trace, shape.clone()));
        if plastic.rule.eligibility().is_some() {
            states.push((Dynamic::Eligibility, shape));
        }
    }
    if layer.as_recurrent().is_some() {
        states.push((Dynamic::Activity, vec![layer.outputs()]));
    }
    states
}

/// What is said of plastic connections.
fn described(plastic: &Plastic) -> String {
    let Plastic {
        rule,
        plasticity,
        rate,
        ..
    } = plastic;
    if !plastic.has_trace() {
        return "no-trace".to_owned();
    }
    let learned = |learned: bool| if learned { "learned" } else { "fixed" };
    let per = rate.per;
    let of_rate = learned(rate.learned);
    let mut text = format!("{rule}-{plasticity}-{}-{per}-{of_rate}", rate.value);
    for (name, of) in &plastic.coefficients {
        text += &format!("-{name}-{}-{}-{}", of.value, of.per, learned(of.learned));
    }
    if let Some(Modulation { from, per, .. }) = plastic.modulation {
        text += &format!("-m-{from}-{per}");
    }
    if let Some(bound) = plastic.bound {
        text += &format!("-bound-{bound}");
    }
    if plastic.plastic_bias {
        text += "-pb";
    }
    text
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for layer in &self.layers {
            let kind = match layer {
                Layer::Plastic(plastic) => described(plastic),
                Layer::Recurrent(recurrent) => {
                    let synapses = described(&recurrent.synapses);
                    format!("recurrent-{}-{synapses}", recurrent.input)
                }
                Layer::Dense(_) => "dense".to_owned(),
                Layer::Bias(_) => "bias".to_owned(),
                _ => unreachable!("no other kind is tested"),
            };
            let (inputs, outputs) = (layer.inputs(), layer.outputs());
            let activation = layer.activation();
            let bias = if layer.has_bias() { "-b" } else { "" };
            write!(f, "{kind}-{activation}{bias}-{inputs}x{outputs} ")?;
        }
        let (p, b, t) = (self.population, self.batch, self.steps);
        write!(f, "P{p} B{b} T{t} ")?;
        match self.goal {
            Goal::Target(loss, mask) => write!(f, "{} {mask:?}", loss.name())?,
            Goal::OutputGradient => write!(f, "output-gradient")?,
            Goal::None => write!(f, "no-objective")?,
        }
        if self.initial_trace {
            write!(f, " H0")?;
        }
        if self.trace_gradient {
            write!(f, " dHT")?;
        }
        write!(f, " seed {}", self.seed)
    }
}

fn is_unbounded(layer: &Layer) -> bool {
    matches!(layer.activation(), Activation::Linear | Activation::Relu)
}

fn largest_trace(case: &Case, parameters: &Parameters<f64>) -> f64 {
    let tensors = super::oracle::solve(&case.network(), parameters, &case.episodes());
    let traces = tensors.parts.iter();
    // Outputs that are bounded make traces that grow with the steps at most, however small the parameters are.
    let unbounded: Vec<_> = (0..)
        .zip(&case.layers)
        .filter(|(_, layer)| is_unbounded(layer))
        .map(|(index, _)| format!("layer{index}."))
        .collect();
    traces
        .filter(|(name, _)| unbounded.iter().any(|layer| name.starts_with(layer)))
        .flat_map(|(_, parts)| parts.iter().flatten())
        .fold(0.0, |largest: f64, h| {
            if h.is_nan() {
                f64::INFINITY
            } else {
                largest.max(h.abs())
            }
        })
}

/// Whether exact results move by less than a quarter of the tolerance for `f32` where what is given moves by half of the
/// most that rounding to `f32` moves it. An engine rounds at every step: were it otherwise, luck would decide what passes.
fn is_settled(case: &Case, parameters: &Parameters<f64>) -> bool {
    let solve =
        |parameters: &_, episodes: &_| super::oracle::solve(&case.network(), parameters, episodes);
    let exact = solve(parameters, &case.episodes());
    let quarter = Tolerance {
        most: CPU_F32.most / 4.0,
        rate: CPU_F32.rate / 4.0,
        ..CPU_F32
    };
    (0..4).all(|seed| {
        let mut random = Random::new(seed);
        let mut round = |value: &mut f64| {
            let sign = if random.one_in(2) { 1.0 } else { -1.0 };
            *value *= 1.0 + sign * f64::from(f32::EPSILON) / 4.0;
        };
        let (mut parameters, mut episodes) = (parameters.clone(), case.episodes());
        parameters.values_mut().iter_mut().for_each(&mut round);
        episodes.input.iter_mut().for_each(&mut round);
        compare(&exact, &solve(&parameters, &episodes), &quarter).is_ok()
    })
}

/// The episodes of networks `range` alone, or episodes `range` of every network, by `axis`.
fn cut(
    episodes: &Episodes<'_, f32>,
    axis: usize,
    range: std::ops::Range<usize>,
) -> Episodes<'static, f32> {
    fn part<D: Dimension, S: Data<Elem = f32>, T: From<Array<f32, D>>>(
        array: &ArrayBase<S, D>,
        axis: usize,
        range: &std::ops::Range<usize>,
    ) -> T {
        let part = array.slice_axis(Axis(axis), range.clone().into());
        part.to_owned().into()
    }
    let arrays = |arrays: &Dynamics<'_, f32>| {
        let mut cut = Dynamics::new();
        for (layer, dynamic, array) in arrays.iter() {
            let part: ArrayD<f32> = part(&array, axis, &range);
            cut.insert(layer, dynamic, part);
        }
        cut
    };
    let input: CowArray<'static, f32, Ix4> = part(&episodes.input, axis, &range);
    let mut cut = Episodes::new(input);
    cut.objective = match &episodes.objective {
        Objective::Target { target, mask } => Objective::Target {
            target: part(target, axis, &range),
            mask: match mask {
                Mask::Episodes(mask) => Mask::Episodes(part(mask, axis, &range)),
                shared => shared.clone(),
            },
        },
        Objective::OutputGradient(gradient) => {
            Objective::OutputGradient(part(gradient, axis, &range))
        }
        _ => Objective::None,
    };
    cut.given = arrays(&episodes.given);
    cut.final_gradients = arrays(&episodes.final_gradients);
    cut
}

/// The episodes of network `p` alone.
pub fn of_network(episodes: &Episodes<'_, f32>, p: usize) -> Episodes<'static, f32> {
    cut(episodes, 0, p..p + 1)
}

/// Episode `b` of every network alone.
pub fn of_episode(episodes: &Episodes<'_, f32>, b: usize) -> Episodes<'static, f32> {
    cut(episodes, 1, b..b + 1)
}

/// Layers by Oja's rule with large rates and unbounded outputs, some of them close to instability.
pub fn close_to_instability(batch: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for rate in [0.5, 0.7, 0.8, 0.9, 0.999, 1.0] {
        for activation in [Activation::Linear, Activation::Relu] {
            for rate in [Rate::learned(rate), Rate::fixed(rate).per_neuron()] {
                for _ in 0..8 {
                    let mut layer = plastic(10, 4);
                    (layer.rule, layer.activation, layer.rate) = (Rule::oja(), activation, rate);
                    let index = cases.len();
                    cases.push(Case {
                        goal: Goal::ALL[index % Goal::ALL.len()],
                        batch,
                        steps: 20,
                        initial_trace: index / 2 % 2 == 0,
                        trace_gradient: true,
                        seed: index as u64,
                        ..Case::new([Layer::Plastic(layer)])
                    });
                }
            }
        }
    }
    cases
}

/// Single layers with learned rates from small to large, in episodes of `steps` steps.
pub fn learned_rates(steps: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for rule in [Rule::hebb(), Rule::oja()] {
        for rate in [0.003, 0.02, 0.1, 0.3, 0.5, 0.9] {
            let mut layer = plastic(6, 2);
            (layer.rule, layer.rate) = (rule.clone(), Rate::learned(rate));
            cases.push(Case {
                goal: Goal::Target(Loss::SquaredError, MaskKind::Steps),
                population: 12,
                batch: 1,
                steps,
                seed: cases.len() as u64,
                ..Case::new([Layer::Plastic(layer)])
            });
        }
    }
    cases
}

/// Stacks of layers of every kind in every order.
pub fn stacks() -> Vec<Vec<Layer>> {
    let plastic = |inputs, outputs, change: fn(&mut Plastic)| {
        let mut layer = plastic(inputs, outputs);
        change(&mut layer);
        Layer::Plastic(layer)
    };
    let dense = |inputs, outputs, activation| {
        let mut layer = Dense::new(inputs, outputs).activation(activation);
        layer.bias = outputs % 2 == 0;
        Layer::Dense(layer)
    };
    let bias = |neurons, activation| Layer::from(Bias::new(neurons).activation(activation));
    vec![
        vec![plastic(10, 2, |_| {}), dense(2, 2, Activation::Linear)],
        vec![
            plastic(5, 18, |layer| layer.rule = Rule::oja()),
            plastic(18, 7, |layer| layer.rate = Rate::learned(0.5).per_neuron()),
            dense(7, 3, Activation::Tanh),
        ],
        vec![
            plastic(8, 8, |layer| layer.rate = Rate::fixed(0.5)),
            bias(8, Activation::Linear),
        ],
        vec![
            dense(6, 20, Activation::Relu),
            plastic(20, 5, |layer| layer.plasticity = Plasticity::Neuron),
        ],
        vec![
            bias(7, Activation::Tanh),
            plastic(7, 4, |layer| layer.activation = Activation::Logistic),
        ],
        vec![
            plastic(4, 35, |layer| layer.activation = Activation::Relu),
            bias(35, Activation::Logistic),
            plastic(35, 3, |layer| {
                layer.rule = Rule::oja();
                layer.plasticity = Plasticity::Layer;
            }),
            dense(3, 4, Activation::Logistic),
            bias(4, Activation::Tanh),
        ],
        vec![
            dense(3, 5, Activation::Tanh),
            dense(5, 2, Activation::Linear),
        ],
        vec![dense(70, 33, Activation::Logistic)],
        vec![bias(5, Activation::Relu)],
        vec![
            bias(3, Activation::Linear),
            dense(3, 3, Activation::Tanh),
            bias(3, Activation::Linear),
        ],
    ]
}

/// A layer whose rows step together, or one without a trace.
#[derive(Clone, Debug)]
pub struct CellKind {
    /// Its rule; `None` where there is no trace.
    pub rule: Option<Rule>,
    pub plasticity: Plasticity,
    pub rate: Rate,
    /// Of each coefficient, and whether it is learned.
    pub coefficients: (CoefficientPer, bool),
    pub modulation: Option<Modulation>,
    pub bound: Option<f64>,
    pub plastic_bias: bool,
    pub activation: Activation,
    /// How it takes its input in, where it is recurrent.
    pub input: Option<RecurrentInput>,
}

impl CellKind {
    /// Recurrent, with the rule `hebb`.
    pub fn recurrent() -> Self {
        Self {
            rule: Some(Rule::hebb()),
            plasticity: Plasticity::Connection,
            rate: Rate::learned(0.1),
            coefficients: (CoefficientPer::Connection, true),
            modulation: None,
            bound: None,
            plastic_bias: false,
            activation: Activation::Tanh,
            input: Some(RecurrentInput::Matrix),
        }
    }

    /// The layer, with as many inputs as outputs where its input comes in as it is; whether it has a bias follows from its size.
    pub fn layer(&self, inputs: usize, outputs: usize) -> Layer {
        let columns = self.input.map_or(inputs, |_| outputs);
        let mut plastic = plastic(columns, outputs).activation(self.activation);
        match &self.rule {
            None => plastic = plastic.plasticity(Plasticity::None),
            Some(rule) => {
                plastic.rule = rule.clone();
                (plastic.plasticity, plastic.rate) = (self.plasticity, self.rate);
                (plastic.modulation, plastic.bound) = (self.modulation, self.bound);
                plastic.plastic_bias = self.plastic_bias;
                let (per, learned) = self.coefficients;
                for (name, value) in plastic
                    .rule
                    .coefficients()
                    .to_vec()
                    .iter()
                    .zip([0.6, 0.3, 0.4])
                {
                    let coefficient = match learned {
                        true => Coefficient::learned(value),
                        false => Coefficient::fixed(value),
                    };
                    plastic = plastic.coefficient(name, coefficient.per(per));
                }
            }
        }
        let Some(input) = self.input else {
            return Layer::Plastic(plastic);
        };
        let inputs = match input {
            RecurrentInput::Identity => outputs,
            _ => inputs,
        };
        let mut recurrent = Recurrent::new(inputs, outputs, Rate::default());
        (recurrent.input, recurrent.synapses) = (input, plastic);
        Layer::Recurrent(recurrent)
    }
}
