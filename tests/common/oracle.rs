//! The reference: serial, in float64, one line per equation, and another derivation than the engines'.
//!
//! Plain back-propagation through the stored traces of every step, with `∂L/∂H` itself going backwards: no adjoint trace
//! `M`, no recurrence for `S`, no division by the retention, no retention or gain, no state computed twice: the rule is what
//! its texts say a synapse's traces become, differentiated by forward accumulation (dual numbers). Every layer is treated as
//! recurrent and modulated: in others nothing comes back, a modulator is given that is 1, and a dense layer has `α = 0` and no
//! trace, a bias layer the identity as its weights besides. All of it is generic over the number type: complex-step derivatives
//! check the gradients, and in `f32` it shows what precision plain back-propagation has.

use super::compare::Tensors;
use super::laws::Law;
use metaplastic::episodes::Objective;
use metaplastic::network::{ModulatorFrom, Plastic, RatePer, RecurrentInput};
use metaplastic::number::Number as Formula;
use metaplastic::parameters::{Layout, Tensor};
use metaplastic::rule::Synapse;
use metaplastic::{
    Activation, Dynamic, Dynamics, Episodes, Layer, Loss, Mask, Network, Parameters, Role,
};
use ndarray::{Array4, ArrayBase, ArrayD, Axis, CowArray, Data, Ix4, s};
use num_complex::ComplexFloat;
use num_traits::Zero;
use std::collections::BTreeMap;
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
    #[inline(always)]
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

// What a synapse has at a step, zero where there are fewer coefficients of the rule's own.
const ETA: usize = 0;
const H: usize = 1;
const X: usize = 2;
const Y: usize = 3;
const M: usize = 4;
const E: usize = 5;
const KAPPA: usize = 6;

/// The most that there are in the tests.
const MOST: usize = KAPPA + 3;

/// What a rule makes of a synapse's trace and eligibility trace, with the derivatives by the first `K` variables.
fn follow<N: Number, const K: usize>(law: Law<'_>, of: &[N; MOST]) -> [Dual<N, K>; 2] {
    let dual = |index: usize| match index < K {
        true => Dual::variable(of[index], index),
        false => Dual::fixed(of[index]),
    };
    law.follow(Synapse {
        trace: dual(H),
        eligibility: dual(E),
        presynaptic: dual(X),
        postsynaptic: dual(Y),
        modulator: dual(M),
        rate: dual(ETA),
        coefficients: &[dual(KAPPA), dual(KAPPA + 1), dual(KAPPA + 2)],
    })
}

/// The same with the derivatives by all variables that the rule hears.
fn follow_slopes<N: Number>(
    plastic: &Plastic,
    law: Law<'_>,
    of: &[N; MOST],
) -> [(N, [N; MOST]); 2] {
    fn first<N: Number, const K: usize>(law: Law<'_>, of: &[N; MOST]) -> [(N, [N; MOST]); 2] {
        follow::<N, K>(law, of).map(|dual| {
            let mut slopes = [N::zero(); MOST];
            slopes[..K].copy_from_slice(&dual.slopes);
            (dual.value, slopes)
        })
    }
    let is_plain = plastic.modulation.is_none() && plastic.rule.eligibility().is_none();
    match plastic.coefficients.is_empty() {
        true if is_plain => first::<N, M>(law, of),
        true => first::<N, KAPPA>(law, of),
        false => first::<N, MOST>(law, of),
    }
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

/// One layer's parameters, all granularities spread out: values or gradients.
struct Connections<N> {
    /// `[O][J]`.
    w: Matrix<N>,
    /// `[O][J]`.
    alpha: Matrix<N>,
    b: Vec<N>,
    eta: Vec<N>,
    /// `[O][I]`: how the input of a recurrent layer comes in.
    u: Matrix<N>,
    /// Of each coefficient of the rule, `[O][J]`.
    kappa: Vec<Matrix<N>>,
    v: Vec<N>,
    c: Vec<N>,
    phi: Vec<N>,
    beta: Vec<N>,
}

/// Presynaptic neurons.
fn presynaptic(layer: &Layer) -> usize {
    layer
        .as_plastic()
        .map_or(layer.inputs(), Plastic::presynaptic)
}

fn with_trace(layer: &Layer) -> Option<&Plastic> {
    layer.as_plastic().filter(|plastic| plastic.has_trace())
}

/// The layer's modulation, if it is from there.
fn is_modulated(layer: &Layer, from: ModulatorFrom) -> bool {
    let modulation = with_trace(layer).and_then(|plastic| plastic.modulation);
    modulation.is_some_and(|it| it.from == from)
}

impl<N: Number> Connections<N> {
    fn zeros(layer: &Layer) -> Self {
        let (outputs, columns) = (layer.outputs(), presynaptic(layer));
        let coefficients = with_trace(layer).map_or(0, |plastic| plastic.coefficients.len());
        assert!(
            KAPPA + coefficients <= MOST,
            "more coefficients than MOST says"
        );
        let zeros = vec![N::zero(); outputs];
        Self {
            w: matrix(outputs, columns),
            alpha: matrix(outputs, columns),
            b: zeros.clone(),
            eta: zeros.clone(),
            u: matrix(outputs, layer.inputs()),
            kappa: vec![matrix(outputs, columns); coefficients],
            v: zeros.clone(),
            c: vec![N::zero()],
            phi: zeros.clone(),
            beta: zeros,
        }
    }

    /// Zero or one where there is no parameter.
    fn fixed(layer: &Layer) -> Self {
        let mut fixed = Self::zeros(layer);
        let diagonal = |matrix: &mut Matrix<N>| {
            (0..layer.outputs()).for_each(|i| matrix[i][i] = N::one());
        };
        if let Layer::Bias(_) = layer {
            diagonal(&mut fixed.w);
        }
        if let Some(recurrent) = layer.as_recurrent()
            && recurrent.input == RecurrentInput::Identity
        {
            diagonal(&mut fixed.u);
        }
        fixed.phi.fill(N::one());
        fixed
    }

    /// Calls `visit` with every value that is a parameter's, and the index of the parameter.
    fn each(&mut self, layout: &Layout, layer: usize, mut visit: impl FnMut(&mut N, usize)) {
        let mut coefficients = self.kappa.iter_mut();
        for tensor in layout.of_layer(layer) {
            match tensor.role {
                Role::Weight => each_of_matrix(&mut self.w, tensor, &mut visit),
                Role::Plasticity => each_of_matrix(&mut self.alpha, tensor, &mut visit),
                Role::Bias => each_of_neurons(&mut self.b, tensor, &mut visit),
                Role::Rate => each_of_neurons(&mut self.eta, tensor, &mut visit),
                Role::InputWeight => each_of_matrix(&mut self.u, tensor, &mut visit),
                Role::Coefficient => {
                    let kappa = coefficients.next().expect("one for each");
                    each_of_matrix(kappa, tensor, &mut visit);
                }
                Role::ModulatorWeight => each_of_neurons(&mut self.v, tensor, &mut visit),
                Role::ModulatorBias => each_of_neurons(&mut self.c, tensor, &mut visit),
                Role::FanOutWeight => each_of_neurons(&mut self.phi, tensor, &mut visit),
                Role::FanOutBias => each_of_neurons(&mut self.beta, tensor, &mut visit),
                other => unreachable!("{other} has no equation here"),
            }
        }
    }
}

/// Values that are elements of a tensor `[O, columns]`, `[O]` or `[]`.
fn each_of_matrix<N>(
    values: &mut Matrix<N>,
    tensor: &Tensor,
    visit: &mut impl FnMut(&mut N, usize),
) {
    for (i, row) in values.iter_mut().enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            let element = match tensor.shape[..] {
                [_, columns] => i * columns + j,
                [_] => i,
                _ => 0,
            };
            visit(value, tensor.offset + element);
        }
    }
}

/// Values that are elements of a tensor `[O]` or `[]`.
fn each_of_neurons<N>(values: &mut [N], tensor: &Tensor, visit: &mut impl FnMut(&mut N, usize)) {
    for (i, value) in values.iter_mut().enumerate() {
        let element = if tensor.shape.is_empty() { 0 } else { i };
        visit(value, tensor.offset + element);
    }
}

/// What one layer is given in one episode.
struct Start<N> {
    /// `[O][J]`.
    h: Matrix<N>,
    /// `[O][J]`.
    e: Matrix<N>,
    /// `[O]`.
    y: Vec<N>,
    /// `[T][O]`: a modulator that the network does not compute.
    m: Matrix<N>,
}

/// What one layer did in one episode.
struct Record<N> {
    /// The input, `[T][I]`.
    u: Matrix<N>,
    /// Presynaptic activity, `[T][J]`.
    x: Matrix<N>,
    /// `[T][O]`.
    z: Matrix<N>,
    /// `[T][O]`.
    y: Matrix<N>,
    /// The activity of the layer before each step and after the last one, `[T + 1][O]`.
    last: Matrix<N>,
    /// `[T]`.
    mu: Vec<N>,
    /// `[T][O]`.
    m: Matrix<N>,
    /// `[T + 1][O][J]`.
    h: Vec<Matrix<N>>,
    /// `[T + 1][O][J]`.
    e: Vec<Matrix<N>>,
}

/// Everything that the rule hears of synapse `(i, j)` at step `t`.
#[inline]
fn variables<N: Number>(
    connections: &Connections<N>,
    record: &Record<N>,
    [t, i, j]: [usize; 3],
) -> [N; MOST] {
    let mut all = [N::zero(); MOST];
    (all[H], all[E]) = (record.h[t][i][j], record.e[t][i][j]);
    (all[X], all[Y]) = (record.x[t][j], record.y[t][i]);
    (all[M], all[ETA]) = (record.m[t][i], connections.eta[i]);
    for (all, kappa) in all[KAPPA..].iter_mut().zip(&connections.kappa) {
        *all = kappa[i][j];
    }
    all
}

/// Whether a trace is held to its bound, and not what the rule makes of it.
fn is_beyond<N: Number>(plastic: &Plastic, trace: N) -> bool {
    let re = |value| number::<N>(value).re();
    let is_outside = |bound: f64| trace.re() > re(bound) || trace.re() < re(-bound);
    plastic.bound.is_some_and(is_outside)
}

fn forward<N: Number>(
    layer: &Layer,
    connections: &Connections<N>,
    start: Start<N>,
    input: Matrix<N>,
) -> Record<N> {
    let Connections {
        w, alpha, b, u, v, ..
    } = connections;
    let (outputs, columns, steps) = (layer.outputs(), presynaptic(layer), input.len());
    let is_recurrent = layer.as_recurrent().is_some();
    let mut record = Record {
        x: Vec::new(),
        z: matrix(steps, outputs),
        y: matrix(steps, outputs),
        last: vec![start.y],
        mu: vec![N::zero(); steps],
        m: start.m,
        h: vec![start.h],
        e: vec![start.e],
        u: input,
    };
    for t in 0..steps {
        let mut x = match is_recurrent {
            true => record.last[t].clone(),
            false => record.u[t].clone(),
        };
        x.resize(columns, N::one());
        for i in 0..outputs {
            let z = &mut record.z[t][i];
            *z = b[i];
            if is_recurrent {
                *z += sum((0..layer.inputs()).map(|k| u[i][k] * record.u[t][k]));
            }
            for j in 0..columns {
                *z += (w[i][j] + alpha[i][j] * record.h[t][i][j]) * x[j];
            }
            record.y[t][i] = activate(layer.activation(), *z);
        }
        record.x.push(x);
        record.last.push(record.y[t].clone());
        if is_modulated(layer, ModulatorFrom::Network) {
            let heard = sum((0..outputs).map(|i| v[i] * record.y[t][i]));
            record.mu[t] = (connections.c[0] + heard).tanh();
            for i in 0..outputs {
                record.m[t][i] = connections.phi[i] * record.mu[t] + connections.beta[i];
            }
        }
        let [mut h, mut e] = [(); 2].map(|()| matrix(outputs, columns));
        if let Some(plastic) = with_trace(layer) {
            let law = Law::of(&plastic.rule);
            for i in 0..outputs {
                for j in 0..columns {
                    let of = variables(connections, &record, [t, i, j]);
                    let [trace, eligibility] = follow::<N, 0>(law, &of).map(|dual| dual.value);
                    h[i][j] = match plastic.bound {
                        Some(bound) if is_beyond(plastic, trace) => {
                            let sign = if trace.re() > N::Real::zero() {
                                1.0
                            } else {
                                -1.0
                            };
                            number(sign * bound)
                        }
                        _ => trace,
                    };
                    e[i][j] = eligibility;
                }
            }
        }
        record.h.push(h);
        record.e.push(e);
    }
    record
}

/// What back-propagation through one layer and episode brings down.
struct Below<N> {
    /// `∂L/∂u`, `[T][I]`.
    u: Matrix<N>,
    /// The gradients on what the layer was given.
    start: Start<N>,
}

/// Back-propagation through one layer and episode. `by_output` is `∂L/∂y`, `end` the gradients on the final states; adds to
/// `gradient`, and its terms' absolute values to `magnitude`.
fn backward<N: RealNumber>(
    layer: &Layer,
    connections: &Connections<N>,
    record: &Record<N>,
    by_output: &Matrix<N>,
    end: Start<N>,
    gradient: &mut Connections<N>,
    magnitude: &mut Connections<N>,
) -> Below<N> {
    let Connections {
        w,
        alpha,
        u,
        v,
        phi,
        ..
    } = connections;
    let (outputs, columns, steps) = (layer.outputs(), presynaptic(layer), record.u.len());
    let is_recurrent = layer.as_recurrent().is_some();
    let mut below = Below {
        u: matrix(steps, layer.inputs()),
        start: end,
    };
    for t in (0..steps).rev() {
        let (x, y, mu) = (&record.x[t], &record.y[t], record.mu[t]);
        // `∂L/∂y(t)`: from the layer above and from the step after.
        let mut by_y = by_output[t].clone();
        if is_recurrent {
            (0..outputs).for_each(|i| by_y[i] += below.start.y[i]);
        }
        let mut by_x = vec![N::zero(); columns];
        if let Some(plastic) = with_trace(layer) {
            let law = Law::of(&plastic.rule);
            let mut by_m = vec![N::zero(); outputs];
            for i in 0..outputs {
                // The part of the traces and the part of `x` in the gradient of the rate.
                let mut by_eta = [N::zero(); 2];
                for j in 0..columns {
                    let mut of = variables(connections, record, [t, i, j]);
                    let [(trace, by), (_, also_by)] = follow_slopes(plastic, law, &of);
                    let epsilon = below.start.e[i][j];
                    let lambda = match is_beyond(plastic, trace) {
                        true => N::zero(),
                        false => below.start.h[i][j],
                    };
                    let through = |k: usize| lambda * by[k] + epsilon * also_by[k];
                    by_y[i] += through(Y);
                    by_m[i] += through(M);
                    by_x[j] += through(X);
                    for (number, kappa) in gradient.kappa.iter_mut().enumerate() {
                        kappa[i][j] += through(KAPPA + number);
                        magnitude.kappa[number][i][j] += through(KAPPA + number).abs();
                    }
                    (below.start.h[i][j], below.start.e[i][j]) = (through(H), through(E));
                    (of[H], of[E]) = (N::zero(), N::zero());
                    let [by, also_by] = follow::<N, 1>(law, &of).map(|dual| dual.slopes[ETA]);
                    let of_x = lambda * by + epsilon * also_by;
                    by_eta[0] += through(ETA) - of_x;
                    by_eta[1] += of_x;
                }
                gradient.eta[i] += by_eta[0] + by_eta[1];
                magnitude.eta[i] += by_eta[0].abs() + by_eta[1].abs();
            }
            if is_modulated(layer, ModulatorFrom::Network) {
                let slope = N::one() - mu * mu;
                let sigma = sum((0..outputs).map(|i| phi[i] * by_m[i])) * slope;
                let terms = sum((0..outputs).map(|i| (phi[i] * by_m[i]).abs())) * slope;
                for i in 0..outputs {
                    by_y[i] += sigma * v[i];
                    gradient.v[i] += sigma * y[i];
                    gradient.phi[i] += by_m[i] * mu;
                    gradient.beta[i] += by_m[i];
                    magnitude.v[i] += (terms * y[i]).abs();
                    magnitude.phi[i] += (by_m[i] * mu).abs();
                    magnitude.beta[i] += by_m[i].abs();
                }
                gradient.c[0] += sigma;
                magnitude.c[0] += terms;
            }
            below.start.m[t] = by_m;
        }
        let h = &record.h[t];
        for i in 0..outputs {
            let delta = by_y[i] * slope(layer.activation(), record.z[t][i]);
            gradient.b[i] += delta;
            magnitude.b[i] += delta.abs();
            for j in 0..columns {
                gradient.w[i][j] += delta * x[j];
                gradient.alpha[i][j] += delta * h[i][j] * x[j];
                magnitude.w[i][j] += (delta * x[j]).abs();
                magnitude.alpha[i][j] += (delta * h[i][j] * x[j]).abs();
                by_x[j] += delta * (w[i][j] + alpha[i][j] * h[i][j]);
                below.start.h[i][j] += delta * alpha[i][j] * x[j];
            }
            if is_recurrent {
                for (k, &weight) in u[i].iter().enumerate() {
                    gradient.u[i][k] += delta * record.u[t][k];
                    magnitude.u[i][k] += (delta * record.u[t][k]).abs();
                    below.u[t][k] += delta * weight;
                }
            }
        }
        // What is always 1 hears nothing.
        if is_recurrent {
            by_x.truncate(outputs);
            below.start.y = by_x;
        } else {
            by_x.truncate(layer.inputs());
            below.u[t] = by_x;
        }
    }
    below
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
    /// What layers are given.
    pub given: BTreeMap<(usize, Dynamic), ArrayD<N>>,
}

impl<N: Number> Variables<N> {
    pub fn new(network: &Network, parameters: &Parameters<f64>, episodes: &Episodes<f64>) -> Self {
        assert_eq!(&Layout::new(network).expect("it fits"), parameters.layout());
        let array = |array: &CowArray<'_, f64, Ix4>| array.map(|&value| number(value));
        let given = episodes.given.iter().map(|(layer, dynamic, array)| {
            let array = array.map(|&value| number(value));
            ((layer, dynamic), array)
        });
        Self {
            parameters: parameters.values().iter().copied().map(number).collect(),
            input: array(&episodes.input),
            given: given.collect(),
        }
    }

    /// What a layer is given in one episode: zeros where it is given nothing, and a modulator of 1.
    fn start(&self, index: usize, layer: &Layer, [p, b]: [usize; 2]) -> Start<N> {
        let steps = self.input.dim().2;
        let (outputs, columns) = (layer.outputs(), presynaptic(layer));
        let given = |dynamic| -> Option<Vec<N>> {
            Some(of_episode(self.given.get(&(index, dynamic))?, p, b))
        };
        let states = |dynamic| match given(dynamic) {
            Some(values) => rows(&values, columns),
            None => matrix(outputs, columns),
        };
        Start {
            h: states(Dynamic::Trace),
            e: states(Dynamic::Eligibility),
            y: given(Dynamic::Activity).unwrap_or_else(|| vec![N::zero(); outputs]),
            m: match given(Dynamic::Modulator) {
                Some(values) if is_per_neuron(layer) => rows(&values, outputs),
                Some(values) => values.iter().map(|&m| vec![m; outputs]).collect(),
                None => vec![vec![N::one(); outputs]; steps],
            },
        }
    }
}

/// Whether each neuron of a layer has a modulator of its own.
fn is_per_neuron(layer: &Layer) -> bool {
    let modulation = layer.as_plastic().and_then(|plastic| plastic.modulation);
    modulation.is_some_and(|it| it.per == RatePer::Neuron)
}

/// Episode `[p, b]` of an array, in the order of its axes.
fn of_episode<N: Number>(array: &ArrayD<N>, p: usize, b: usize) -> Vec<N> {
    let networks = array.index_axis(Axis(0), p);
    networks.index_axis(Axis(0), b).iter().copied().collect()
}

fn rows<N: Number>(values: &[N], columns: usize) -> Matrix<N> {
    values.chunks(columns).map(<[N]>::to_vec).collect()
}

/// The gradients on what a layer has after the last step of one episode; zeros where there are none.
fn end<N: Number>(
    gradients: &Dynamics<'_, f64>,
    index: usize,
    layer: &Layer,
    [p, b, steps]: [usize; 3],
) -> Start<N> {
    let (outputs, columns) = (layer.outputs(), presynaptic(layer));
    let on = |dynamic| -> Option<Vec<N>> {
        let array = gradients.get(index, dynamic)?.map(|&value| number(value));
        Some(of_episode(&array, p, b))
    };
    let states = |dynamic| match on(dynamic) {
        Some(values) => rows(&values, columns),
        None => matrix(outputs, columns),
    };
    Start {
        h: states(Dynamic::Trace),
        e: states(Dynamic::Eligibility),
        y: on(Dynamic::Activity).unwrap_or_else(|| vec![N::zero(); outputs]),
        m: matrix(steps, outputs),
    }
}

/// Row `[p, b]` of an array as a matrix.
fn slice<N: Number, S: Data<Elem = N>>(array: &ArrayBase<S, Ix4>, p: usize, b: usize) -> Matrix<N> {
    let rows = array.slice(s![p, b, .., ..]);
    rows.rows().into_iter().map(|row| row.to_vec()).collect()
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
            let mut connections = Connections::fixed(layer);
            connections.each(&layout, index, |value, from| *value = values[from]);
            connections
        })
        .collect();
    let records = (0..variables.input.dim().1)
        .map(|b| {
            let mut records: Vec<Record<N>> = Vec::new();
            for (index, layer) in network.layers().iter().enumerate() {
                let start = variables.start(index, layer, [p, b]);
                let input = match records.last() {
                    Some(below) => below.y.clone(),
                    None => slice(&variables.input, p, b),
                };
                records.push(forward(layer, &connections[index], start, input));
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
        for (index, dynamic, gradient) in episodes.final_gradients.iter() {
            let record = &records[index];
            let last = record.h.len() - 1;
            let values = match dynamic {
                Dynamic::Trace => record.h[last].concat(),
                Dynamic::Eligibility => record.e[last].concat(),
                Dynamic::Activity => record.last[last].clone(),
                other => unreachable!("{other} has no gradient"),
            };
            let gradient = of_episode(&gradient.map(|&value| number::<N>(value)), p, b);
            assert_eq!(gradient.len(), values.len(), "layer {index}, {dynamic}");
            total += sum(gradient.iter().zip(&values).map(|(&by, &value)| by * value));
        }
    }
    (total + loss, loss)
}

/// What a layer has after the last step, and the modulators that the network computed.
fn finals<N: RealNumber>(layer: &Layer, record: &Record<N>) -> Vec<(Dynamic, Vec<f64>)> {
    let last = record.h.len() - 1;
    let mut finals = Vec::new();
    if let Some(plastic) = with_trace(layer) {
        finals.push((Dynamic::Trace, doubles(&record.h[last])));
        if plastic.rule.eligibility().is_some() {
            finals.push((Dynamic::Eligibility, doubles(&record.e[last])));
        }
    }
    if layer.as_recurrent().is_some() {
        finals.push((Dynamic::Activity, double(&record.last[last])));
    }
    if is_modulated(layer, ModulatorFrom::Network) {
        finals.push((Dynamic::Modulator, double(&record.mu)));
    }
    finals
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
                let record = &records[index];
                let below = backward(
                    layer,
                    &runs.connections[index],
                    record,
                    &by_output,
                    end(
                        &episodes.final_gradients,
                        index,
                        layer,
                        [p, b, episodes.steps()],
                    ),
                    &mut gradients[index],
                    &mut magnitudes[index],
                );
                by_output = below.u;
                for (dynamic, values) in finals(layer, record) {
                    tensors.extend(&format!("layer{index}.{dynamic}"), p, values);
                }
                for (&(_, dynamic), _) in variables
                    .given
                    .range((index, Dynamic::Trace)..)
                    .take_while(|((of, _), _)| *of == index)
                {
                    let values = match dynamic {
                        Dynamic::Trace => doubles(&below.start.h),
                        Dynamic::Eligibility => doubles(&below.start.e),
                        Dynamic::Activity => double(&below.start.y),
                        Dynamic::Modulator if is_per_neuron(layer) => doubles(&below.start.m),
                        Dynamic::Modulator => {
                            let steps = below.start.m.iter();
                            steps.map(|by| sum(by.iter().copied()).into()).collect()
                        }
                        other => unreachable!("{other} has no equation here"),
                    };
                    tensors.extend(&format!("gradient.layer{index}.{dynamic}"), p, values);
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
            for (index, part) in connections.iter_mut().enumerate() {
                part.each(layout, index, |value, to| {
                    let value: f64 = (*value).into();
                    flat[to] += value;
                });
            }
            flat
        };
        let (gradients, magnitudes) = (gather(&mut gradients), gather(&mut magnitudes));
        for tensor in layout.tensors() {
            let name = format!("gradient.{}", tensor.name());
            // A rate or coefficient that is not learned has no gradient: zero by convention.
            let learned = |&value: &f64| if tensor.learned { value } else { 0.0 };
            tensors.extend(&name, p, gradients[tensor.range()].iter().map(learned));
            tensors.extend_magnitude(&name, p, magnitudes[tensor.range()].iter().map(learned));
        }
    }
    tensors
}
