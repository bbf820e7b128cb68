//! The reference: serial, in float64, one line per equation, and another derivation than the engines'.
//!
//! Plain back-propagation through the stored trace of every step, with `∂L/∂H` itself going backwards: no adjoint trace
//! `M`, no recurrence for `S`, no division by the retention, and no retention or gain: the rule is what its text says a
//! synapse's trace becomes, differentiated by forward accumulation (dual numbers). Every layer is treated as plastic: a dense
//! layer has `α = 0` and no trace, a bias layer the identity as its weights besides. All of it is generic over the number type: complex-step
//! derivatives check the gradients, and in `f32` it shows what precision plain back-propagation has.

use super::compare::Tensors;
use super::laws::Law;
use metaplastic::episodes::Objective;
use metaplastic::network::{Plasticity, RatePer};
use metaplastic::number::Number as Formula;
use metaplastic::parameters::Layout;
use metaplastic::{Activation, Episodes, Layer, Loss, Mask, Network, Parameters, Role, Rule};
use ndarray::{Array4, ArrayBase, CowArray, Data, Ix4, s};
use num_complex::ComplexFloat;
use num_traits::Zero;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A real or complex number.
pub trait Number: ComplexFloat<Real: PartialOrd + Zero> + Default + AddAssign {}

impl<N: ComplexFloat<Real: PartialOrd + Zero> + Default + AddAssign> Number for N {}

/// A real number.
pub trait RealNumber: Number<Real = Self> + PartialOrd + Into<f64> {}

impl<N: Number<Real = N> + PartialOrd + Into<f64>> RealNumber for N {}

fn number<N: Number>(value: f64) -> N {
    N::from(value).expect("every f64 is a number")
}

fn sum<N: Number>(terms: impl Iterator<Item = N>) -> N {
    let mut total = N::zero();
    terms.for_each(|term| total += term);
    total
}

fn activate<N: Number>(activation: Activation, z: N) -> N {
    match activation {
        Activation::Linear => z,
        Activation::Tanh => z.tanh(),
        Activation::Logistic => N::one() / (N::one() + (-z).exp()),
        Activation::Relu if z.re() > N::Real::zero() => z,
        Activation::Relu => N::zero(),
        other => unreachable!("{other} has no equation here"),
    }
}

/// `f'(z)`.
fn slope<N: RealNumber>(activation: Activation, z: N) -> N {
    match activation {
        Activation::Linear => N::one(),
        Activation::Tanh => z.cosh().powi(-2),
        Activation::Logistic => number::<N>(0.25) * (number::<N>(0.5) * z).cosh().powi(-2),
        Activation::Relu if z > N::zero() => N::one(),
        Activation::Relu => N::zero(),
        other => unreachable!("{other} has no equation here"),
    }
}

/// A number with its derivatives by `K` others.
#[derive(Clone, Copy)]
struct Dual<N, const K: usize> {
    value: N,
    slopes: [N; K],
}

impl<N: Number, const K: usize> Dual<N, K> {
    fn fixed(value: N) -> Self {
        let slopes = [N::zero(); K];
        Self { value, slopes }
    }

    /// The variable with this index.
    fn variable(value: N, index: usize) -> Self {
        let mut slopes = [N::zero(); K];
        slopes[index] = N::one();
        Self { value, slopes }
    }

    /// `value` with the derivatives `a · self' + b · other'`.
    fn chain(self, value: N, a: N, other: Self, b: N) -> Self {
        let slopes = std::array::from_fn(|k| a * self.slopes[k] + b * other.slopes[k]);
        Self { value, slopes }
    }

    /// `value` with the derivatives `slope · self'`.
    fn function(self, value: N, slope: N) -> Self {
        let slopes = self.slopes.map(|its| slope * its);
        Self { value, slopes }
    }
}

impl<N: Number, const K: usize> Add for Dual<N, K> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.chain(self.value + other.value, N::one(), other, N::one())
    }
}

impl<N: Number, const K: usize> Sub for Dual<N, K> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.chain(self.value - other.value, N::one(), other, -N::one())
    }
}

impl<N: Number, const K: usize> Mul for Dual<N, K> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.chain(self.value * other.value, other.value, other, self.value)
    }
}

impl<N: Number, const K: usize> Div for Dual<N, K> {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        self.chain(value, N::one() / other.value, other, -value / other.value)
    }
}

impl<N: Number, const K: usize> Neg for Dual<N, K> {
    type Output = Self;

    fn neg(self) -> Self {
        self.function(-self.value, -N::one())
    }
}

impl<N: Number, const K: usize> Formula for Dual<N, K> {
    fn constant(self, value: f64) -> Self {
        Self::fixed(number(value))
    }

    fn hyperbolic_tangent(self) -> Self {
        self.function(self.value.tanh(), self.value.cosh().powi(-2))
    }

    fn exponential(self) -> Self {
        self.function(self.value.exp(), self.value.exp())
    }

    fn logarithm(self) -> Self {
        self.function(self.value.ln(), N::one() / self.value)
    }

    fn square_root(self) -> Self {
        let root = self.value.sqrt();
        self.function(root, number::<N>(0.5) / root)
    }

    fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        if self.value.re() < bound.value.re() {
            then
        } else {
            otherwise
        }
    }
}

/// What a rule makes of the trace `h`.
fn follow<N: Number>(law: Law<'_>, h: N, x: N, y: N, eta: N) -> N {
    let [h, x, y, eta] = [h, x, y, eta].map(Dual::<N, 0>::fixed);
    law.follow(h, x, y, eta).value
}

/// The derivatives of [`follow`] by `h`, `x`, `y` and `eta`.
fn follow_slopes<N: Number>(law: Law<'_>, h: N, x: N, y: N, eta: N) -> [N; 4] {
    let variable = Dual::<N, 4>::variable;
    let (h, x) = (variable(h, 0), variable(x, 1));
    law.follow(h, x, variable(y, 2), variable(eta, 3)).slopes
}

/// The loss of one step.
fn step_loss<N: Number>(loss: Loss, z: &[N], target: &[f64]) -> N {
    let mut sum = N::zero();
    match loss {
        Loss::None => {}
        Loss::SquaredError => {
            for (&z, &target) in z.iter().zip(target) {
                sum += (z - number(target)) * (z - number(target));
            }
        }
        Loss::SoftmaxCrossEntropy => {
            let mut total = N::zero();
            z.iter().for_each(|&z| total += z.exp());
            for (&z, &target) in z.iter().zip(target) {
                sum += number::<N>(target) * (total.ln() - z);
            }
        }
        other => unreachable!("{other} has no equation here"),
    }
    sum
}

/// The absolute values of the terms of one step's loss.
fn step_magnitude(loss: Loss, z: &[f64], target: &[f64]) -> f64 {
    let total: f64 = z.iter().map(|z| z.exp()).sum();
    let terms = z.iter().zip(target).map(|(z, target)| match loss {
        Loss::None => 0.0,
        Loss::SquaredError => (z - target).powi(2),
        Loss::SoftmaxCrossEntropy => target.abs() * (total.ln().abs() + z.abs()),
        other => unreachable!("{other} has no equation here"),
    });
    terms.sum()
}

/// `∂loss/∂z` of one step.
fn step_slope<N: RealNumber>(loss: Loss, z: &[N], target: &[f64]) -> Vec<N> {
    let exponentials = sum(z.iter().map(|z| z.exp()));
    let total: f64 = target.iter().sum();
    z.iter()
        .zip(target)
        .map(|(&z, &target)| match loss {
            Loss::None => N::zero(),
            Loss::SquaredError => number::<N>(2.0) * (z - number(target)),
            Loss::SoftmaxCrossEntropy => {
                let softmax = z.exp() / exponentials;
                number::<N>(total) * softmax - number(target)
            }
            other => unreachable!("{other} has no equation here"),
        })
        .collect()
}

/// A matrix `[O][I]`.
type Matrix<N> = Vec<Vec<N>>;

fn matrix<N: Number>(outputs: usize, inputs: usize) -> Matrix<N> {
    vec![vec![N::zero(); inputs]; outputs]
}

/// One layer's connections, all granularities spread out: values or gradients.
struct Connections<N> {
    w: Matrix<N>,
    alpha: Matrix<N>,
    b: Vec<N>,
    eta: Vec<N>,
}

fn rule(layer: &Layer) -> Option<&Rule> {
    layer.as_plastic().map(|layer| &layer.rule)
}

/// Where connection `(i, j)` of a layer takes its value of `role` from, as an index into the tensor.
fn source(layer: &Layer, role: Role, i: usize, j: usize) -> usize {
    let plastic = layer.as_plastic();
    match (
        role,
        plastic.map(|layer| layer.plasticity),
        plastic.map(|layer| layer.rate.per),
    ) {
        (Role::Weight, ..) | (Role::Plasticity, Some(Plasticity::Connection), _) => {
            i * layer.inputs() + j
        }
        (Role::Plasticity, Some(Plasticity::Layer), _) | (Role::Rate, _, Some(RatePer::Layer)) => 0,
        _ => i,
    }
}

impl<N: Number> Connections<N> {
    fn zeros(layer: &Layer) -> Self {
        let (outputs, inputs) = (layer.outputs(), layer.inputs());
        Self {
            w: matrix(outputs, inputs),
            alpha: matrix(outputs, inputs),
            b: vec![N::zero(); outputs],
            eta: vec![N::zero(); outputs],
        }
    }

    /// Calls `visit` with every connection's value and the index of the parameter that it is.
    fn each(
        &mut self,
        layout: &Layout,
        index: usize,
        layer: &Layer,
        mut visit: impl FnMut(&mut N, usize),
    ) {
        let offset = |role| layout.find(index, role).map(|tensor| tensor.offset);
        for i in 0..layer.outputs() {
            for j in 0..layer.inputs() {
                if let Some(offset) = offset(Role::Weight) {
                    visit(
                        &mut self.w[i][j],
                        offset + source(layer, Role::Weight, i, j),
                    );
                }
                if let Some(offset) = offset(Role::Plasticity) {
                    visit(
                        &mut self.alpha[i][j],
                        offset + source(layer, Role::Plasticity, i, j),
                    );
                }
            }
            if let Some(offset) = offset(Role::Bias) {
                visit(&mut self.b[i], offset + i);
            }
            if let Some(offset) = offset(Role::Rate) {
                visit(&mut self.eta[i], offset + source(layer, Role::Rate, i, 0));
            }
        }
    }
}

/// What one layer did in one episode.
struct Record<N> {
    /// `[T][I]`.
    x: Matrix<N>,
    /// `[T][O]`.
    z: Matrix<N>,
    /// `[T][O]`.
    y: Matrix<N>,
    /// `[T + 1][O][I]`.
    h: Vec<Matrix<N>>,
}

fn forward<N: Number>(
    layer: &Layer,
    connections: &Connections<N>,
    initial: Matrix<N>,
    x: Matrix<N>,
) -> Record<N> {
    let Connections { w, alpha, b, eta } = connections;
    let (outputs, inputs, steps) = (layer.outputs(), layer.inputs(), x.len());
    let law = rule(layer).map(Law::of);
    let mut z = matrix(steps, outputs);
    let mut y = matrix(steps, outputs);
    let mut h = vec![initial];
    for t in 0..steps {
        let mut next = matrix(outputs, inputs);
        for i in 0..outputs {
            z[t][i] = b[i];
            for j in 0..inputs {
                z[t][i] += (w[i][j] + alpha[i][j] * h[t][i][j]) * x[t][j];
            }
            y[t][i] = activate(layer.activation(), z[t][i]);
            if let Some(law) = law {
                for j in 0..inputs {
                    next[i][j] = follow(law, h[t][i][j], x[t][j], y[t][i], eta[i]);
                }
            }
        }
        h.push(next);
    }
    Record { x, z, y, h }
}

/// Back-propagation through one layer and episode. `by_output` is `∂L/∂y`, `by_trace` `∂L/∂H(T)`; adds to `gradient`,
/// and its terms' absolute values to `magnitude`, and returns `∂L/∂x` and `∂L/∂H(0)`.
fn backward<N: RealNumber>(
    layer: &Layer,
    connections: &Connections<N>,
    record: &Record<N>,
    by_output: &Matrix<N>,
    mut by_trace: Matrix<N>,
    gradient: &mut Connections<N>,
    magnitude: &mut Connections<N>,
) -> (Matrix<N>, Matrix<N>) {
    let Connections {
        w,
        alpha,
        b: _,
        eta,
    } = connections;
    let Record { x, z, y, h } = record;
    let (outputs, inputs, steps) = (layer.outputs(), layer.inputs(), x.len());
    let law = rule(layer).map(Law::of);
    let mut by_input = matrix(steps, inputs);
    for t in (0..steps).rev() {
        for i in 0..outputs {
            let mut by_y = by_output[t][i];
            // The part of `h` and the part of `x` in the gradient of the rate.
            let mut by_eta = [N::zero(); 2];
            if let Some(law) = law {
                for j in 0..inputs {
                    let (by_next, eta) = (by_trace[i][j], eta[i]);
                    let [by_h, by_x, f_y, f_eta] =
                        follow_slopes(law, h[t][i][j], x[t][j], y[t][i], eta);
                    let of_x = follow_slopes(law, N::zero(), x[t][j], y[t][i], eta)[3];
                    by_y += by_next * f_y;
                    by_eta[0] += by_next * (f_eta - of_x);
                    by_eta[1] += by_next * of_x;
                    by_input[t][j] += by_next * by_x;
                    by_trace[i][j] = by_next * by_h;
                }
            }
            let delta = by_y * slope(layer.activation(), z[t][i]);
            gradient.eta[i] += by_eta[0] + by_eta[1];
            magnitude.eta[i] += by_eta[0].abs() + by_eta[1].abs();
            gradient.b[i] += delta;
            magnitude.b[i] += delta.abs();
            for j in 0..inputs {
                gradient.w[i][j] += delta * x[t][j];
                gradient.alpha[i][j] += delta * h[t][i][j] * x[t][j];
                magnitude.w[i][j] += (delta * x[t][j]).abs();
                magnitude.alpha[i][j] += (delta * h[t][i][j] * x[t][j]).abs();
                by_input[t][j] += delta * (w[i][j] + alpha[i][j] * h[t][i][j]);
                by_trace[i][j] += delta * alpha[i][j] * x[t][j];
            }
        }
    }
    (by_input, by_trace)
}

fn double<N: RealNumber>(row: &[N]) -> Vec<f64> {
    row.iter().map(|&value| value.into()).collect()
}

fn doubles<N: RealNumber>(rows: &Matrix<N>) -> Vec<f64> {
    rows.iter().flat_map(|row| double(row)).collect()
}

/// Everything that the differentiated quantity depends on.
#[derive(Clone)]
pub struct Variables<N> {
    /// `[P, parameters of one network]`.
    pub parameters: Vec<N>,
    /// `[P, B, T, I]`.
    pub input: Array4<N>,
    /// Per layer, `[P, B, O, I]`.
    pub initial_traces: Vec<Option<Array4<N>>>,
}

impl<N: Number> Variables<N> {
    pub fn new(network: &Network, parameters: &Parameters<f64>, episodes: &Episodes<f64>) -> Self {
        let array = |array: &CowArray<'_, f64, Ix4>| array.map(|&value| number(value));
        Self {
            parameters: parameters.values().iter().copied().map(number).collect(),
            input: array(&episodes.input),
            initial_traces: (0..network.layers().len())
                .map(|layer| {
                    let trace = episodes.given.trace(layer);
                    trace.map(|trace| trace.map(|&value| number(value)))
                })
                .collect(),
        }
    }
}

/// Row `[p, b]` of an array as a matrix.
fn slice<N: Number, S: Data<Elem = N>>(array: &ArrayBase<S, Ix4>, p: usize, b: usize) -> Matrix<N> {
    let rows = array.slice(s![p, b, .., ..]);
    rows.rows().into_iter().map(|row| row.to_vec()).collect()
}

fn numbers<N: Number>(matrix: Matrix<f64>) -> Matrix<N> {
    let rows = matrix.into_iter();
    rows.map(|row| row.into_iter().map(number).collect())
        .collect()
}

/// The factor of step `t`'s loss: the mask over the number of episodes.
fn factor(mask: &Mask<f64>, p: usize, b: usize, t: usize, batch: usize) -> f64 {
    let mask = match mask {
        Mask::All => 1.0,
        Mask::Steps(mask) => mask[t],
        Mask::Episodes(mask) => mask[[p, b, t]],
        other => unreachable!("{other:?} has no equation here"),
    };
    mask / batch as f64
}

struct Runs<N> {
    /// Per layer.
    connections: Vec<Connections<N>>,
    /// Per episode and layer.
    records: Vec<Vec<Record<N>>>,
}

/// Runs network `p` forward.
fn run<N: Number>(network: &Network, variables: &Variables<N>, p: usize) -> Runs<N> {
    let layout = Layout::new(network).expect("the network is small");
    let values = &variables.parameters[p * layout.size()..][..layout.size()];
    let layers = network.layers().iter().enumerate();
    let connections: Vec<_> = layers
        .map(|(index, layer)| {
            let mut connections = Connections::zeros(layer);
            connections.each(&layout, index, layer, |value, from| *value = values[from]);
            if let Layer::Bias(_) = layer {
                (0..layer.outputs()).for_each(|i| connections.w[i][i] = N::one());
            }
            connections
        })
        .collect();
    let records = (0..variables.input.dim().1)
        .map(|b| {
            let mut records: Vec<Record<N>> = Vec::new();
            for (index, layer) in network.layers().iter().enumerate() {
                let initial = match &variables.initial_traces[index] {
                    Some(trace) => slice(trace, p, b),
                    None => matrix(layer.outputs(), layer.inputs()),
                };
                let x = match records.last() {
                    Some(below) => below.y.clone(),
                    None => slice(&variables.input, p, b),
                };
                records.push(forward(layer, &connections[index], initial, x));
            }
            records
        })
        .collect();
    Runs {
        connections,
        records,
    }
}

/// The quantity whose gradient is taken, for network `p`; and the loss alone.
pub fn objective<N: Number>(
    network: &Network,
    variables: &Variables<N>,
    episodes: &Episodes<f64>,
    p: usize,
) -> (N, N) {
    let runs = run(network, variables, p);
    let (mut total, mut loss) = (N::zero(), N::zero());
    for (b, records) in runs.records.iter().enumerate() {
        for (t, output) in records[records.len() - 1].y.iter().enumerate() {
            match &episodes.objective {
                Objective::Target { target, mask } => {
                    let factor = factor(mask, p, b, t, episodes.batch());
                    let target = target.slice(s![p, b, t, ..]).to_vec();
                    loss += number::<N>(factor) * step_loss(network.loss(), output, &target);
                }
                Objective::OutputGradient(gradient) => {
                    for (o, &y) in output.iter().enumerate() {
                        total += number::<N>(gradient[[p, b, t, o]]) * y;
                    }
                }
                Objective::None => {}
                other => unreachable!("{other:?} has no equation here"),
            }
        }
        for (index, record) in records.iter().enumerate() {
            if let Some(gradient) = episodes.final_gradients.trace(index) {
                for (i, row) in record.h[record.h.len() - 1].iter().enumerate() {
                    for (j, &h) in row.iter().enumerate() {
                        total += number::<N>(gradient[[p, b, i, j]]) * h;
                    }
                }
            }
        }
    }
    (total + loss, loss)
}

/// Every result and gradient, by the names of the command's files.
pub fn solve(network: &Network, parameters: &Parameters<f64>, episodes: &Episodes<f64>) -> Tensors {
    solve_in::<f64>(network, parameters, episodes)
}

/// The same, computed in another precision.
pub fn solve_in<N: RealNumber>(
    network: &Network,
    parameters: &Parameters<f64>,
    episodes: &Episodes<f64>,
) -> Tensors {
    let variables = Variables::<N>::new(network, parameters, episodes);
    let layout = parameters.layout();
    let (population, batch) = (parameters.population(), episodes.batch());
    let mut tensors = Tensors::new(population);
    for p in 0..population {
        let runs = run(network, &variables, p);
        let zeros = || network.layers().iter().map(Connections::zeros);
        let mut gradients: Vec<_> = zeros().collect();
        let mut magnitudes: Vec<_> = zeros().collect();
        for (b, records) in runs.records.iter().enumerate() {
            let output = &records[records.len() - 1].y;
            tensors.extend("output", p, doubles(output));
            let mut by_output: Matrix<N> = (0..episodes.steps())
                .map(|t| match &episodes.objective {
                    Objective::Target { target, mask } => {
                        let target = target.slice(s![p, b, t, ..]).to_vec();
                        step_slope(network.loss(), &output[t], &target)
                            .into_iter()
                            .map(|slope| number::<N>(factor(mask, p, b, t, batch)) * slope)
                            .collect()
                    }
                    Objective::OutputGradient(gradient) => {
                        let gradient = gradient.slice(s![p, b, t, ..]);
                        gradient.iter().copied().map(number).collect()
                    }
                    Objective::None => vec![N::zero(); network.outputs()],
                    other => unreachable!("{other:?} has no equation here"),
                })
                .collect();
            for (index, layer) in network.layers().iter().enumerate().rev() {
                let by_trace = match episodes.final_gradients.trace(index) {
                    Some(gradient) => numbers(slice(&gradient, p, b)),
                    None => matrix(layer.outputs(), layer.inputs()),
                };
                let (by_input, by_initial) = backward(
                    layer,
                    &runs.connections[index],
                    &records[index],
                    &by_output,
                    by_trace,
                    &mut gradients[index],
                    &mut magnitudes[index],
                );
                by_output = by_input;
                if layer.as_plastic().is_some() {
                    let last = doubles(&records[index].h[episodes.steps()]);
                    tensors.extend(&format!("layer{index}.trace"), p, last);
                }
                if episodes.given.trace(index).is_some() {
                    let name = format!("gradient.layer{index}.trace");
                    tensors.extend(&name, p, doubles(&by_initial));
                }
            }
            tensors.extend("gradient.input", p, doubles(&by_output));
        }
        if let Objective::Target { target, mask } = &episodes.objective {
            let loss = objective(network, &variables, episodes, p).1;
            tensors.extend("loss", p, [loss.into()]);
            let mut terms = 0.0;
            for (b, records) in runs.records.iter().enumerate() {
                for (t, output) in records[records.len() - 1].y.iter().enumerate() {
                    let target = target.slice(s![p, b, t, ..]).to_vec();
                    let factor = factor(mask, p, b, t, batch).abs();
                    terms += factor * step_magnitude(network.loss(), &double(output), &target);
                }
            }
            tensors.extend_magnitude("loss", p, [terms].into_iter());
        }
        let gather = |connections: &mut [Connections<N>]| {
            let mut flat = vec![0.0; layout.size()];
            for (index, (layer, part)) in network.layers().iter().zip(connections).enumerate() {
                part.each(layout, index, layer, |value, to| {
                    let value: f64 = (*value).into();
                    flat[to] += value;
                });
            }
            flat
        };
        let (gradients, magnitudes) = (gather(&mut gradients), gather(&mut magnitudes));
        for tensor in layout.tensors() {
            let name = format!("gradient.{}", tensor.name());
            // A rate that is not learned has no gradient: zero by convention.
            let learned = |&value: &f64| if tensor.learned { value } else { 0.0 };
            tensors.extend(&name, p, gradients[tensor.range()].iter().map(learned));
            tensors.extend_magnitude(&name, p, magnitudes[tensor.range()].iter().map(learned));
        }
    }
    tensors
}
