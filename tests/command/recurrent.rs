//! `metaplastic gradient` of recurrent and modulated layers.

use crate::support::{Inputs, Tensors, distance, tensor};
use safetensors::Dtype;

const CPU: [&str; 2] = ["--engine", "cpu"];
const CPU64: [&str; 4] = ["--engine", "cpu", "--precision", "f64"];

/// 3 networks, 2 episodes, 5 steps; 4 → 3 recurrent → 2 plastic.
const NETWORK: &str = r#"
[loss]
kind = "squared-error"

[[layer]]
kind = "recurrent"
inputs = 4
outputs = 3
input = "matrix"
activation = "tanh"
plasticity = "connection"
plastic_bias = true
rule = { trace = "0.9 * h + m * e", eligibility = "a * e + rate * y * x" }
bound = 0.5
rate = { value = 0.25, per = "layer", learned = true }
modulation = { from = "network", per = "neuron" }
coefficients = { a = { value = 0.5, per = "neuron", learned = true } }

[[layer]]
kind = "plastic"
inputs = 3
outputs = 2
rule = "additive"
rate = { value = 0.25, learned = false }
modulation = { from = "episodes" }
"#;

const PARAMETERS: [(&str, &[usize]); 13] = [
    ("layer0.bias", &[3, 3]),
    ("layer0.coefficient.a", &[3, 3]),
    ("layer0.fan_out_bias", &[3, 3]),
    ("layer0.fan_out_weight", &[3, 3]),
    ("layer0.input_weight", &[3, 3, 4]),
    ("layer0.modulator_bias", &[3]),
    ("layer0.modulator_weight", &[3, 3]),
    ("layer0.plasticity", &[3, 3, 4]),
    ("layer0.rate", &[3]),
    ("layer0.weight", &[3, 3, 4]),
    ("layer1.bias", &[3, 2]),
    ("layer1.plasticity", &[3, 2, 3]),
    ("layer1.weight", &[3, 2, 3]),
];

/// What episodes are given whose gradients are results.
const GIVEN: [(&str, &[usize]); 6] = [
    ("input", &[3, 2, 5, 4]),
    ("layer0.activity", &[3, 2, 3]),
    ("layer0.eligibility", &[3, 2, 3, 4]),
    ("layer0.trace", &[3, 2, 3, 4]),
    ("layer1.modulator", &[3, 2, 5]),
    ("layer1.trace", &[3, 2, 2, 3]),
];

const OTHERS: [(&str, &[usize]); 5] = [
    ("target", &[3, 2, 5, 2]),
    ("layer0.activity_gradient", &[3, 2, 3]),
    ("layer0.eligibility_gradient", &[3, 2, 3, 4]),
    ("layer0.trace_gradient", &[3, 2, 3, 4]),
    ("layer1.trace_gradient", &[3, 2, 2, 3]),
];

/// Everything that there is.
fn everything() -> Inputs {
    let tensors = |of: &[(&str, &[usize])]| -> Tensors {
        let named = of.iter().enumerate();
        named
            .map(|(index, (name, shape))| {
                (name.to_string(), tensor(Dtype::F32, shape, index as f64))
            })
            .collect()
    };
    Inputs {
        network: NETWORK.to_owned(),
        parameters: tensors(&PARAMETERS),
        episodes: tensors(&[&GIVEN[..], &OTHERS].concat()),
        ..Inputs::new()
    }
}

#[test]
fn every_result_has_its_name_and_shape() {
    let results = everything().gradient(&CPU);
    let mut expected = vec![
        ("layer0.activity".to_owned(), vec![3, 2, 3]),
        ("layer0.eligibility".to_owned(), vec![3, 2, 3, 4]),
        ("layer0.modulator".to_owned(), vec![3, 2, 5]),
        ("layer0.trace".to_owned(), vec![3, 2, 3, 4]),
        ("layer1.trace".to_owned(), vec![3, 2, 2, 3]),
        ("loss".to_owned(), vec![3]),
        ("output".to_owned(), vec![3, 2, 5, 2]),
    ];
    let differentiated = PARAMETERS.iter().chain(&GIVEN);
    expected
        .extend(differentiated.map(|(name, shape)| (format!("gradient.{name}"), shape.to_vec())));
    expected.sort();
    let shapes: Vec<_> = results
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
        .collect();
    assert_eq!(shapes, expected);
}

#[test]
fn single_precision_is_close_to_double() {
    let inputs = everything();
    let (single, double) = (inputs.gradient(&CPU), inputs.gradient(&CPU64));
    for (name, reference) in &double {
        let distance = distance(&single[name], reference);
        assert!(distance < 2e-5, "{name}: {distance:e}");
    }
}

#[test]
fn what_is_not_given_is_the_descriptions_or_zero() {
    let mut given = everything();
    for (name, value) in [
        ("layer0.rate", 0.25),
        ("layer0.coefficient.a", 0.5),
        ("layer0.fan_out_weight", 1.0),
        ("layer0.fan_out_bias", 0.0),
    ] {
        given.parameters.get_mut(name).unwrap().values.fill(value);
    }
    let mut absent = everything();
    for name in ["rate", "coefficient.a", "fan_out_weight", "fan_out_bias"] {
        absent.parameters.remove(&format!("layer0.{name}"));
    }
    for name in ["layer0.activity", "layer0.eligibility", "layer0.trace"] {
        given.episodes.get_mut(name).unwrap().values.fill(0.0);
        absent.episodes.remove(name);
    }
    let (given, absent) = (given.gradient(&CPU), absent.gradient(&CPU));
    for (name, tensor) in &absent {
        assert_eq!(tensor, &given[name], "{name}");
    }
    let states = ["activity", "eligibility", "trace"];
    let left_out = states.map(|state| format!("gradient.layer0.{state}"));
    assert!(left_out.iter().all(|name| !absent.contains_key(name)));
}

#[test]
fn every_tensor_of_another_shape_is_refused_by_name() {
    for (name, shape) in PARAMETERS.iter().chain(&GIVEN).chain(&OTHERS) {
        let mut inputs = everything();
        let mut other = shape.to_vec();
        *other.last_mut().unwrap() += 1;
        let of_file = match inputs.parameters.contains_key(*name) {
            true => &mut inputs.parameters,
            false => &mut inputs.episodes,
        };
        of_file.insert(name.to_string(), tensor(Dtype::F32, &other, 0.0));
        inputs.write();
        inputs.refused(&CPU, &[name, &format!("{other:?}")]);
    }
}

#[test]
fn every_value_that_is_not_finite_is_refused_by_name() {
    for (name, _) in PARAMETERS.iter().chain(&GIVEN).chain(&OTHERS) {
        for value in [f64::NAN, f64::NEG_INFINITY] {
            let mut inputs = everything();
            let files = [&mut inputs.parameters, &mut inputs.episodes];
            let tensor = files.into_iter().find_map(|file| file.get_mut(*name));
            *tensor.unwrap().values.last_mut().unwrap() = value;
            inputs.write();
            inputs.refused(&CPU, &[name, "finite"]);
        }
    }
}

#[test]
fn tensors_that_layers_do_not_have_or_that_are_missing_are_refused() {
    let put = |name: &str, shape: &[usize]| {
        let mut inputs = everything();
        let tensor = tensor(Dtype::F32, shape, 0.0);
        inputs.episodes.insert(name.to_owned(), tensor);
        inputs.write();
        inputs.refused(&CPU, &[name]);
    };
    put("layer0.modulator", &[3, 2, 5]);
    put("layer1.activity", &[3, 2, 2]);
    put("layer1.eligibility", &[3, 2, 2, 3]);
    put("layer1.modulator_gradient", &[3, 2, 5]);
    put("layer1.activity_gradient", &[3, 2, 2]);
    for (name, shape) in [
        ("layer0.coefficient.b", &[3, 3][..]),
        ("layer1.input_weight", &[3, 2, 3]),
        ("layer1.modulator_weight", &[3, 2]),
    ] {
        let mut inputs = everything();
        let tensor = tensor(Dtype::F32, shape, 0.0);
        inputs.parameters.insert(name.to_owned(), tensor);
        inputs.write();
        inputs.refused(&CPU, &[name]);
    }
    let mut inputs = everything();
    inputs.episodes.remove("layer1.modulator");
    inputs.write();
    inputs.refused(&CPU, &["layer1.modulator", "missing"]);
    for name in ["layer0.input_weight", "layer0.modulator_bias"] {
        let mut inputs = everything();
        inputs.parameters.remove(name);
        inputs.write();
        inputs.refused(&CPU, &[name, "missing"]);
    }
}

#[test]
fn descriptions_that_make_no_sense_are_refused() {
    let rule = "rule = { trace = \"0.9 * h + m * e\", eligibility = \"a * e + rate * y * x\" }";
    for (from, to, parts) in [
        (
            "\"matrix\"",
            "\"identity\"",
            &["layer0.inputs", "identity"][..],
        ),
        (
            "\"connection\"",
            "\"none\"",
            &["plasticity", "none", "rule"],
        ),
        (rule, "", &["coefficient `a`: the rule does not use it"]),
        ("0.9 * h + m * e", "0.9 * h + m * q", &["column 15", "q"]),
        ("\"a * e + rate", "\"a * e + pace", &["column 9", "pace"]),
        ("\"a * e", "\"0.5 * e", &["`a`", "does not use it"]),
        ("bound = 0.5", "bound = 0.0", &["layer0.bound"]),
        ("bound = 0.5", "bound = -1.0", &["layer0.bound"]),
        ("bound = 0.5", "bound = nan", &["layer0.bound"]),
        ("bound = 0.5", "bound = inf", &["layer0.bound"]),
        (
            "{ a = { value = 0.5",
            "{ a = { value = inf",
            &["layer0.coefficients.a"],
        ),
        (
            "{ value = 0.25, per",
            "{ value = nan, per",
            &["layer0.rate"],
        ),
        ("from = \"network\"", "from = \"reward\"", &["reward"]),
        ("\"additive\"", "\"subtractive\"", &["subtractive"]),
    ] {
        let mut inputs = everything();
        assert!(NETWORK.contains(from), "{from}");
        inputs.network = NETWORK.replacen(from, to, 1);
        inputs.write();
        inputs.refused(&CPU, parts);
    }
}
