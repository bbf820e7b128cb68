//! The comparison of an engine's results with the oracle's, and all its tolerances.

use metaplastic::Parameters;
use metaplastic::engine::Gradients;
use metaplastic::number::Real;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How far an engine may be from the oracle: `‖Δ‖ / ‖reference‖` of every tensor of every network.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Every tensor but the gradient of a rate.
    pub most: f64,
    /// The gradient of a rate: a difference of sums over the whole episode that nearly cancel.
    pub rate: f64,
    /// Where the terms of a sum cancel, what is left has no relative precision: a reference whose norm is below this
    /// share of the norm of its terms' absolute values counts as that share.
    pub cancelled: f64,
    /// References smaller than this count as this: a small result of numbers of size one, as the cases' are, keeps
    /// the rounding of these.
    pub smallest: f64,
}

/// The CPU engine in `f64`: rounding (1e-16) over some thousand additions, times the condition of a sum whose terms
/// cancel.
pub const CPU_F64: Tolerance = Tolerance {
    most: 1e-11,
    rate: 1e-11,
    cancelled: 1e-3,
    smallest: 1e-9,
};

/// The CPU engine in `f32`: rounding (6e-8) carried through some thousand steps and additions, in traces that Oja's
/// rule brings close to instability.
pub const CPU_F32: Tolerance = Tolerance {
    most: 2e-5,
    rate: 1e-4,
    cancelled: 0.03,
    smallest: 1e-3,
};

/// The GPU engine: `f32` too, but division, `exp` and `tanh` are only good to a few units in the last place there, and
/// drivers may contract or reorder.
pub const GPU: Tolerance = Tolerance {
    most: 1e-4,
    rate: 1e-3,
    cancelled: 0.03,
    smallest: 1e-2,
};

/// Parameters' changes by 20 updates with given gradients, on any engine: a few times the rounding of a parameter of size
/// one, 6e-8, which a penalty rounds once more than the reference does, in a change of a hundredth.
pub const OPTIMISER: Tolerance = Tolerance {
    most: 2e-5,
    rate: 2e-5,
    cancelled: 0.0,
    smallest: 1e-2,
};

/// Parameters' changes by 20 meta-steps on the CPU engine: the gradients' errors besides, relative to which RMSprop and
/// Adam make the steps of small gradients large.
pub const CPU_LEARNING: Tolerance = Tolerance {
    most: 2e-5,
    ..OPTIMISER
};

/// The same on the GPU engine, whose gradients have the errors of [`GPU`].
pub const GPU_LEARNING: Tolerance = Tolerance {
    most: 1e-3,
    rate: 1e-3,
    ..OPTIMISER
};

/// Named tensors, each with one part for every network.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors {
    population: usize,
    pub parts: BTreeMap<String, Vec<Vec<f64>>>,
    /// Of the tensors that are sums of many terms: the sums of the terms' absolute values.
    magnitudes: BTreeMap<String, Vec<Vec<f64>>>,
}

impl Tensors {
    pub fn new(population: usize) -> Self {
        Self {
            population,
            parts: BTreeMap::new(),
            magnitudes: BTreeMap::new(),
        }
    }

    /// Appends values to network `p`'s part of a tensor.
    pub fn extend(&mut self, name: &str, p: usize, values: impl IntoIterator<Item = f64>) {
        let parts = self.parts.entry(name.to_owned());
        let parts = parts.or_insert_with(|| vec![Vec::new(); self.population]);
        parts[p].extend(values);
    }

    /// Appends sums of absolute values to network `p`'s part of a tensor.
    pub fn extend_magnitude(&mut self, name: &str, p: usize, values: impl Iterator<Item = f64>) {
        let parts = self.magnitudes.entry(name.to_owned());
        let parts = parts.or_insert_with(|| vec![Vec::new(); self.population]);
        parts[p].extend(values);
    }

    /// Network `p` alone.
    pub fn network(&self, p: usize) -> Self {
        let alone = |parts: &BTreeMap<String, Vec<Vec<f64>>>| {
            let parts = parts.iter();
            parts
                .map(|(name, parts)| (name.clone(), vec![parts[p].clone()]))
                .collect()
        };
        Self {
            population: 1,
            parts: alone(&self.parts),
            magnitudes: alone(&self.magnitudes),
        }
    }

    /// The tensor `name` alone, of network `p` alone.
    pub fn part(&self, name: &str, p: usize) -> Self {
        let mut part = self.network(p);
        part.parts.retain(|other, _| other == name);
        part.magnitudes.retain(|other, _| other == name);
        part
    }

    /// Keeps the tensors whose names suit.
    pub fn retain(&mut self, suits: impl Fn(&String) -> bool) {
        self.parts.retain(|name, _| suits(name));
        self.magnitudes.retain(|name, _| suits(name));
    }

    /// Everything that an engine returned, by the names of the command's files.
    pub fn from_gradients<R: Real>(gradients: &Gradients<R>) -> Self {
        let Gradients {
            outcome,
            parameters,
            input,
            given,
            ..
        } = gradients;
        let population = parameters.population();
        let mut tensors = Self::new(population);
        let mut add = |name: &str, values: Vec<f64>| {
            assert_eq!(values.len() % population, 0, "{name}");
            for (p, part) in values.chunks(values.len() / population).enumerate() {
                tensors.extend(name, p, part.iter().copied());
            }
        };
        // In the order of the axes, whatever the memory layout.
        fn all<'a, R: Real>(values: impl Iterator<Item = &'a R>) -> Vec<f64> {
            values.map(|value| value.as_f64()).collect()
        }
        if let Some(output) = &outcome.output {
            add("output", all(output.iter()));
        }
        if let Some(loss) = &outcome.loss {
            add("loss", all(loss.iter()));
        }
        if let Some(input) = input {
            add("gradient.input", all(input.iter()));
        }
        for (prefix, dynamics) in [("", &outcome.finals), ("gradient.", given)] {
            for (index, dynamic, array) in dynamics.iter() {
                let name = format!("{prefix}layer{index}.{dynamic}");
                add(&name, all(array.iter()));
            }
        }
        tensors.add_parameters("gradient.", parameters);
        tensors
    }

    /// One tensor for each of the parameters.
    pub fn add_parameters<R: Real>(&mut self, prefix: &str, parameters: &Parameters<R>) {
        for tensor in parameters.layout().tensors() {
            for p in 0..parameters.population() {
                let values = &parameters.network(p)[tensor.range()];
                let values = values.iter().map(|value| value.as_f64());
                self.extend(&format!("{prefix}{}", tensor.name()), p, values);
            }
        }
    }
}

/// What a tensor is, whichever layer's: `gradient.layer2.rate` is a `gradient.rate`.
fn kind(name: &str) -> String {
    let parts = name.split('.').filter(|part| !part.starts_with("layer"));
    parts.collect::<Vec<_>>().join(".")
}

/// The worst error of each kind of tensor.
#[derive(Clone, Debug, Default)]
pub struct Report(BTreeMap<String, (f64, String)>);

impl Report {
    fn note(&mut self, kind: String, error: f64, case: &str) {
        let worst = self.0.entry(kind).or_insert((0.0, String::new()));
        if error >= worst.0 {
            *worst = (error, case.to_owned());
        }
    }

    /// Takes another report in.
    pub fn merge(&mut self, other: &Self, case: &str) {
        for (kind, (error, _)) in &other.0 {
            self.note(kind.clone(), *error, case);
        }
    }

    /// The worst error of all.
    pub fn worst_of_all(&self) -> f64 {
        self.0.values().map(|worst| worst.0).fold(0.0, f64::max)
    }

    /// The worst error of a kind of tensor.
    pub fn worst(&self, kind: &str) -> f64 {
        self.0.get(kind).map_or(0.0, |worst| worst.0)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, (error, case)) in &self.0 {
            writeln!(f, "  {kind:24} {error:8.1e}  {case}")?;
        }
        Ok(())
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Compares every tensor of every network; the error lists all that is wrong.
pub fn compare(
    reference: &Tensors,
    actual: &Tensors,
    tolerance: &Tolerance,
) -> Result<Report, String> {
    let mut report = Report::default();
    let mut complaints = String::new();
    for name in actual.parts.keys() {
        if !reference.parts.contains_key(name) {
            let _ = writeln!(complaints, "{name}: not expected");
        }
    }
    let magnitudes = &reference.magnitudes;
    for (name, reference) in &reference.parts {
        let Some(actual) = actual.parts.get(name) else {
            let _ = writeln!(complaints, "{name}: missing");
            continue;
        };
        if reference.len() != actual.len() {
            let (expected, actual) = (reference.len(), actual.len());
            let _ = writeln!(complaints, "{name}: {actual} networks, expected {expected}");
        }
        for (p, (reference, actual)) in reference.iter().zip(actual).enumerate() {
            if reference.len() != actual.len() || reference.is_empty() {
                let (expected, actual) = (reference.len(), actual.len());
                let _ = writeln!(
                    complaints,
                    "{name}, network {p}: {actual} elements, expected {expected}"
                );
                continue;
            }
            let kind = kind(name);
            let allowed = match kind.as_str() {
                "gradient.rate" => tolerance.rate,
                _ => tolerance.most,
            };
            let terms = magnitudes.get(name).map_or(&[][..], |parts| &parts[p]);
            let size = norm(reference.iter().copied())
                .max(tolerance.cancelled * norm(terms.iter().copied()))
                .max(tolerance.smallest);
            let error = norm(reference.iter().zip(actual).map(|(r, a)| r - a)) / size;
            // Not `error > allowed`, which a NaN would pass.
            if error <= allowed {
                report.note(kind, error, name);
                continue;
            }
            let distance = |k: usize| match (reference[k] - actual[k]).abs() {
                distance if distance.is_nan() => f64::INFINITY,
                distance => distance,
            };
            let worst = (0..reference.len())
                .max_by(|&a, &b| distance(a).total_cmp(&distance(b)))
                .expect("not empty");
            let _ = writeln!(
                complaints,
                "{name}, network {p}: error {error:.2e}, allowed {allowed:.0e}; worst element {worst}: {} against {}",
                actual[worst], reference[worst]
            );
        }
    }
    if complaints.is_empty() {
        Ok(report)
    } else {
        Err(complaints)
    }
}

/// How many times as large as those of back-propagation in `f32` the CPU engine's errors may be.
pub const CPU_PRECISION: f64 = 3.0;

/// The GPU engine's, for the reasons that [`GPU`] has.
pub const GPU_PRECISION: f64 = 10.0;

/// The same of the gradients of learned rates alone, in episodes of any length.
pub const GPU_RATE_PRECISION: f64 = 5.0;

/// Compares errors over many cases with those of another computation in the same precision: from the small ones to the large
/// ones they must be at most so many `times` as large.
pub fn compare_precision(yardstick: &[f64], errors: &[f64], times: f64) -> Result<String, String> {
    if yardstick.len() < 100 || yardstick.len() != errors.len() {
        let (expected, actual) = (yardstick.len(), errors.len());
        return Err(format!("{actual} errors against {expected}"));
    }
    let sorted = |errors: &[f64]| {
        let mut errors = errors.to_vec();
        errors.sort_by(f64::total_cmp);
        errors
    };
    let (expected, actual) = (sorted(yardstick), sorted(errors));
    let mut table = String::new();
    let mut right = actual.iter().all(|error| error.is_finite());
    for percent in [25, 50, 75, 90, 95] {
        let at = errors.len() * percent / 100;
        right &= actual[at] <= times * expected[at];
        let _ = writeln!(
            table,
            "  {percent} % of cases within {:.1e}, against {:.1e}",
            actual[at], expected[at]
        );
    }
    if right { Ok(table) } else { Err(table) }
}
