//! `metaplastic gradient`.

use crate::support::{
    Inputs, Tensor, Tensors, assert_status, distance, error_text, names, read, tensor,
};
use safetensors::Dtype;

const CPU: [&str; 2] = ["--engine", "cpu"];
const CPU64: [&str; 4] = ["--engine", "cpu", "--precision", "f64"];

/// Inputs with everything that may be given besides a target.
fn everything() -> Inputs {
    let mut inputs = Inputs::new();
    for (name, phase) in [("layer0.trace", 0.3), ("layer0.trace_gradient", 0.6)] {
        let trace = tensor(Dtype::F32, &[3, 2, 3, 4], phase);
        inputs.episodes.insert(name.to_owned(), trace);
    }
    inputs
        .episodes
        .insert("mask".to_owned(), tensor(Dtype::F32, &[3, 2, 5], 0.9));
    inputs
}

/// `loss`, or the sum that is differentiated without one, of one network.
fn objective(inputs: &Inputs, results: &Tensors, network: usize) -> f64 {
    let weighted = |gradient: &str, values: &str| match inputs.episodes.get(gradient) {
        None => 0.0,
        Some(gradient) => {
            let count = gradient.values.len() / 3;
            let range = network * count..(network + 1) * count;
            let pairs = gradient.values[range.clone()]
                .iter()
                .zip(&results[values].values[range]);
            pairs.map(|(a, b)| a * b).sum()
        }
    };
    results.get("loss").map_or(0.0, |loss| loss.values[network])
        + weighted("output_gradient", "output")
        + weighted("layer0.trace_gradient", "layer0.trace")
}

#[test]
fn every_result_has_its_name_shape_and_type() {
    let results = everything().gradient(&CPU);
    let expected: [(&str, &[usize]); 11] = [
        ("gradient.input", &[3, 2, 5, 4]),
        ("gradient.layer0.bias", &[3, 3]),
        ("gradient.layer0.plasticity", &[3, 3]),
        ("gradient.layer0.rate", &[3, 3]),
        ("gradient.layer0.trace", &[3, 2, 3, 4]),
        ("gradient.layer0.weight", &[3, 3, 4]),
        ("gradient.layer1.weight", &[3, 2, 3]),
        ("gradient.layer2.bias", &[3, 2]),
        ("layer0.trace", &[3, 2, 3, 4]),
        ("loss", &[3]),
        ("output", &[3, 2, 5, 2]),
    ];
    assert_eq!(
        results.keys().collect::<Vec<_>>(),
        expected.map(|(name, _)| name)
    );
    for (name, shape) in expected {
        assert_eq!(results[name].shape, shape, "{name}");
        assert_eq!(results[name].dtype, Dtype::F32, "{name}");
    }
}

#[test]
fn single_precision_is_close_to_double() {
    let inputs = everything();
    let (single, double) = (inputs.gradient(&CPU), inputs.gradient(&CPU64));
    for (name, reference) in &double {
        assert_eq!(reference.dtype, Dtype::F64, "{name}");
        let distance = distance(&single[name], reference);
        assert!(distance < 2e-5, "{name}: {distance:e}");
    }
}

#[test]
fn gradients_are_the_differences_of_the_objective() {
    for with_target in [true, false] {
        let mut inputs = everything();
        if !with_target {
            inputs.episodes.remove("mask");
            let target = inputs.episodes.remove("target").unwrap();
            inputs.episodes.insert("output_gradient".to_owned(), target);
            inputs.network = inputs.network.replace("softmax-cross-entropy", "none");
        }
        let results = inputs.gradient(&CPU64);
        assert_eq!(results.contains_key("loss"), with_target);
        for name in [
            "layer0.weight",
            "layer0.rate",
            "layer2.bias",
            "input",
            "layer0.trace",
        ] {
            let mut objectives = [0.0; 2];
            for (objective_, step) in objectives.iter_mut().zip([1e-5, -1e-5]) {
                let mut changed = everything();
                changed.network.clone_from(&inputs.network);
                changed.parameters.clone_from(&inputs.parameters);
                changed.episodes.clone_from(&inputs.episodes);
                let tensors = [&mut changed.parameters, &mut changed.episodes];
                let tensor = tensors.into_iter().find_map(|t| t.get_mut(name)).unwrap();
                tensor.dtype = Dtype::F64;
                // The last element: of network 2.
                *tensor.values.last_mut().unwrap() += step;
                *objective_ = objective(&changed, &changed.gradient(&CPU64), 2);
            }
            let difference = (objectives[0] - objectives[1]) / 2e-5;
            let gradient = *results[&format!("gradient.{name}")].values.last().unwrap();
            assert!(
                (gradient - difference).abs() < 1e-7 * (1.0 + difference.abs()),
                "{name}: {gradient} {difference}"
            );
        }
    }
}

#[test]
fn double_and_mixed_inputs_are_taken() {
    let single = Inputs::new().gradient(&CPU);
    assert_eq!(Inputs::of_type(Dtype::F64).gradient(&CPU), single);
    let mut mixed = Inputs::new();
    mixed.parameters.get_mut("layer0.bias").unwrap().dtype = Dtype::F64;
    mixed.episodes.get_mut("input").unwrap().dtype = Dtype::F64;
    assert_eq!(mixed.gradient(&CPU), single);
}

#[test]
fn a_rate_that_is_not_given_is_the_descriptions() {
    let mut given = Inputs::new();
    let rates = &mut given.parameters.get_mut("layer0.rate").unwrap();
    rates.values.fill(f64::from(0.1f32));
    let mut absent = Inputs::new();
    absent.parameters.remove("layer0.rate");
    assert_eq!(absent.gradient(&CPU), given.gradient(&CPU));
}

#[test]
fn the_gradient_of_a_rate_that_is_not_learned_is_left_out() {
    let mut inputs = Inputs::new();
    inputs.network = inputs.network.replace("learned = true", "learned = false");
    let results = inputs.gradient(&CPU);
    assert!(!results.contains_key("gradient.layer0.rate"));
    // The tensor is used all the same.
    inputs.parameters.get_mut("layer0.rate").unwrap().values[0] = 0.5;
    assert_ne!(inputs.gradient(&CPU)["loss"], results["loss"]);
}

#[test]
fn an_episode_goes_on_from_its_trace() {
    let whole = Inputs::new();
    let mut first = Inputs::new();
    let mut second = Inputs::new();
    let cut = |tensor: &Tensor, steps: std::ops::Range<usize>| {
        let width = tensor.shape[3];
        let rows = tensor.values.chunks(5 * width);
        Tensor {
            dtype: tensor.dtype,
            shape: vec![3, 2, steps.len(), width],
            values: rows
                .flat_map(|row| row[steps.start * width..steps.end * width].to_vec())
                .collect(),
        }
    };
    for name in ["input", "target"] {
        let tensor = &whole.episodes[name];
        first.episodes.insert(name.to_owned(), cut(tensor, 0..2));
        second.episodes.insert(name.to_owned(), cut(tensor, 2..5));
    }
    let begun = first.gradient(&CPU64);
    second
        .episodes
        .insert("layer0.trace".to_owned(), begun["layer0.trace"].clone());
    let (ended, expected) = (second.gradient(&CPU64), whole.gradient(&CPU64));
    assert!(distance(&ended["layer0.trace"], &expected["layer0.trace"]) < 1e-12);
    for network in 0..3 {
        let loss = |results: &Tensors| results["loss"].values[network];
        let sum = loss(&begun) + loss(&ended);
        assert!((sum - loss(&expected)).abs() < 1e-12);
    }
}

#[test]
fn a_trace_gradient_alone_is_differentiated() {
    let mut inputs = everything();
    inputs.episodes.remove("target");
    inputs.episodes.remove("mask");
    let results = inputs.gradient(&CPU);
    assert!(!results.contains_key("loss"));
    assert!(results["gradient.input"].values.iter().any(|&v| v != 0.0));
}

type Change = fn(&mut Inputs);

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let cases: [(Change, &[&str]); 20] = [
        (
            |i| drop(i.parameters.remove("layer1.weight")),
            &["layer1.weight", "missing", "3, 2, 3"],
        ),
        (
            |i| drop(i.episodes.remove("input")),
            &["input", "missing", "I = 4"],
        ),
        (
            |i| put(&mut i.parameters, "layer1.bias", &[3, 2]),
            &["layer1.bias", "unknown", "layer2.bias"],
        ),
        (
            |i| put(&mut i.parameters, "layer0.Weight", &[3, 3, 4]),
            &["layer0.Weight", "unknown"],
        ),
        (
            |i| put(&mut i.episodes, "inputs", &[3]),
            &["inputs", "unknown", "output_gradient"],
        ),
        (
            |i| put(&mut i.episodes, "layer1.trace", &[3, 2, 2, 3]),
            &["layer1.trace", "unknown"],
        ),
        (
            |i| put(&mut i.parameters, "layer0.weight", &[3, 4, 3]),
            &["layer0.weight", "[3, 4, 3]", "3, 4]"],
        ),
        (
            |i| put(&mut i.parameters, "layer0.bias", &[2, 3]),
            &["layer0.bias", "[2, 3]", "P = 3"],
        ),
        (
            |i| put(&mut i.parameters, "layer0.plasticity", &[3]),
            &["layer0.plasticity", "[3]", "3]"],
        ),
        (
            |i| put(&mut i.parameters, "layer0.rate", &[3]),
            &["layer0.rate", "[3]"],
        ),
        (
            |i| put(&mut i.parameters, "layer0.weight", &[0, 3, 4]),
            &["layer0.weight", "population", "zero"],
        ),
        (
            |i| put(&mut i.episodes, "input", &[3, 2, 5, 3]),
            &["input", "[3, 2, 5, 3]", "I = 4"],
        ),
        (
            |i| put(&mut i.episodes, "input", &[2, 2, 5, 4]),
            &["input", "[2, 2, 5, 4]", "P = 3"],
        ),
        (
            |i| put(&mut i.episodes, "input", &[3, 2, 20]),
            &["input", "[3, 2, 20]"],
        ),
        (
            |i| put(&mut i.episodes, "input", &[3, 0, 5, 4]),
            &["batch", "zero"],
        ),
        (
            |i| put(&mut i.episodes, "input", &[3, 2, 0, 4]),
            &["steps", "zero"],
        ),
        (
            |i| put(&mut i.episodes, "target", &[3, 2, 4, 2]),
            &["target", "[3, 2, 4, 2]", "[3, 2, 5, 2]"],
        ),
        (
            |i| put(&mut i.episodes, "mask", &[4]),
            &["mask", "[4]", "[5]"],
        ),
        (
            |i| put(&mut i.episodes, "layer0.trace", &[3, 2, 4, 3]),
            &["layer0.trace", "[3, 2, 4, 3]", "[3, 2, 3, 4]"],
        ),
        (
            |i| put(&mut i.episodes, "layer0.trace_gradient", &[3]),
            &["layer0.trace_gradient", "[3]"],
        ),
    ];
    for (change, parts) in cases {
        refuse(change, parts);
    }
}

#[test]
fn what_is_differentiated_must_be_clear() {
    let cases: [(Change, &[&str]); 5] = [
        (
            |i| put(&mut i.episodes, "output_gradient", &[3, 2, 5, 2]),
            &["output_gradient", "target"],
        ),
        (
            |i| i.network = i.network.replace("softmax-cross-entropy", "none"),
            &["target", "none"],
        ),
        (
            |i| drop(i.episodes.remove("target")),
            &["nothing is differentiated"],
        ),
        (
            |i| {
                i.episodes.remove("target");
                put(&mut i.episodes, "mask", &[5]);
            },
            &["mask", "without a target"],
        ),
        (
            |i| {
                let target = i.episodes.remove("target").unwrap();
                i.episodes.insert("output_gradient".into(), target);
                put(&mut i.episodes, "mask", &[5]);
            },
            &["mask", "without a target"],
        ),
    ];
    for (change, parts) in cases {
        refuse(change, parts);
    }
}

#[test]
fn values_that_are_not_finite_are_refused_wherever_they_are() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let names: Vec<String> = {
            let inputs = everything();
            let names = inputs.parameters.keys().chain(inputs.episodes.keys());
            names.cloned().collect()
        };
        for name in names {
            let mut inputs = everything();
            let tensors = [&mut inputs.parameters, &mut inputs.episodes];
            let tensor = tensors.into_iter().find_map(|t| t.get_mut(&name)).unwrap();
            *tensor.values.last_mut().unwrap() = value;
            let total = format!("1 of {}", tensor.values.len());
            inputs.write();
            inputs.refused(&CPU, &[&name, "finite", &total]);
            inputs.refused(&CPU64, &[&name, "finite", &total]);
        }
    }
}

#[test]
fn a_finite_value_beyond_single_precision_is_refused_in_single_precision() {
    let mut inputs = Inputs::new();
    let weight = inputs.parameters.get_mut("layer0.weight").unwrap();
    weight.dtype = Dtype::F64;
    weight.values[5] = 1e300;
    inputs.write();
    inputs.refused(&CPU, &["layer0.weight", "[0, 1, 1]", "1e300", "f32"]);
    assert_status(&inputs.command().args(CPU64).output().unwrap(), 0);
}

/// The inputs with every value rounded to what both of `dtype` and single precision hold.
fn rounded(round: fn(f64) -> f64) -> Inputs {
    let mut inputs = everything();
    let tensors = inputs.parameters.values_mut();
    for tensor in tensors.chain(inputs.episodes.values_mut()) {
        for value in &mut tensor.values {
            *value = round(*value);
        }
    }
    inputs
}

#[test]
fn half_precision_is_taken_exactly() {
    type Round = fn(f64) -> f64;
    let types: [(Dtype, Round); 2] = [
        (Dtype::F16, |value| half::f16::from_f64(value).to_f64()),
        (Dtype::BF16, |value| half::bf16::from_f64(value).to_f64()),
    ];
    for (dtype, round) in types {
        let single = rounded(round);
        let mut half = rounded(round);
        let tensors = half.parameters.values_mut();
        for tensor in tensors.chain(half.episodes.values_mut()) {
            tensor.dtype = dtype;
        }
        assert_eq!(half.gradient(&CPU), single.gradient(&CPU), "{dtype:?}");
        assert_eq!(half.gradient(&CPU64), single.gradient(&CPU64), "{dtype:?}");
        half.episodes.get_mut("input").unwrap().values[3] = f64::INFINITY;
        half.write();
        half.refused(&CPU, &["e.safetensors: input", "[0, 0, 0, 3]", "inf"]);
    }
}

const INTEGERS: [Dtype; 8] = [
    Dtype::U8,
    Dtype::I8,
    Dtype::U16,
    Dtype::I16,
    Dtype::U32,
    Dtype::I32,
    Dtype::U64,
    Dtype::I64,
];

/// `[0, 1, 1, 0, 1, …]`.
fn zeros_and_ones(shape: &[usize]) -> Tensor {
    let mut tensor = tensor(Dtype::F32, shape, 0.4);
    for value in &mut tensor.values {
        *value = f64::from(*value > 0.0);
    }
    tensor
}

#[test]
fn masks_inputs_and_targets_may_be_integers_or_booleans() {
    let mut floats = Inputs::new();
    for (name, shape) in [
        ("input", &[3, 2, 5, 4][..]),
        ("target", &[3, 2, 5, 2]),
        ("mask", &[3, 2, 5]),
    ] {
        floats.episodes.insert(name.into(), zeros_and_ones(shape));
    }
    let expected = floats.gradient(&CPU);
    for dtype in INTEGERS.into_iter().chain([Dtype::BOOL]) {
        for tensor in floats.episodes.values_mut() {
            tensor.dtype = dtype;
        }
        assert_eq!(floats.gradient(&CPU), expected, "{dtype:?}");
    }
    floats.episodes.get_mut("mask").unwrap().values[6] = 2.0;
    floats.write();
    floats.refused(&CPU, &["mask", "[0, 1, 1]", "2", "0 or 1", "BOOL"]);

    // Also negative ones, as far as the precision holds them.
    let mut signed = Inputs::new();
    signed.episodes.get_mut("input").unwrap().values = (-60..60).map(f64::from).collect();
    let expected = signed.gradient(&CPU);
    for dtype in [Dtype::I8, Dtype::I16, Dtype::I32, Dtype::I64] {
        signed.episodes.get_mut("input").unwrap().dtype = dtype;
        assert_eq!(signed.gradient(&CPU), expected, "{dtype:?}");
    }
    signed.episodes.get_mut("input").unwrap().values[7] = f64::from((1 << 24) + 1);
    signed.write();
    signed.refused(&CPU, &["input", "[0, 0, 1, 3]", "16777217", "f32"]);
    assert_status(&signed.command().args(CPU64).output().unwrap(), 0);
}

/// Every tensor of the episodes that the networks have in common, one after the other; the classes of a target too.
#[test]
fn what_networks_have_in_common_is_given_once() {
    let of_first = |tensor: &Tensor| {
        let count = tensor.values.len() / 3;
        let shape = [&[1], &tensor.shape[1..]].concat();
        let values = tensor.values[..count].to_vec();
        Tensor {
            shape,
            values,
            ..tensor.clone()
        }
    };
    let mut classes = everything();
    let target = Tensor {
        dtype: Dtype::I64,
        ..zeros_and_ones(&[3, 2, 5])
    };
    classes.episodes.insert("target".into(), target);
    for inputs in [everything(), classes] {
        for name in inputs.episodes.keys() {
            let (mut once, mut copied) = (everything(), everything());
            once.episodes.clone_from(&inputs.episodes);
            copied.episodes.clone_from(&inputs.episodes);
            let first = of_first(&inputs.episodes[name]);
            copied.episodes.get_mut(name).unwrap().values = first.values.repeat(3);
            once.episodes.insert(name.clone(), first);
            assert_eq!(once.gradient(&CPU), copied.gradient(&CPU), "{name}");
        }
    }
    let mut two = everything();
    let input = two.episodes.get_mut("input").unwrap();
    input.shape[0] = 2;
    input.values.truncate(2 * 2 * 5 * 4);
    two.write();
    two.refused(
        &CPU,
        &["e.safetensors: input", "P = 3 or 1", "[2, 2, 5, 4]"],
    );
}

#[test]
fn targets_of_a_softmax_may_be_classes() {
    let mut one_hot = Inputs::new();
    let classes: Vec<f64> = zeros_and_ones(&[3, 2, 5]).values;
    let target = one_hot.episodes.get_mut("target").unwrap();
    target.values = classes
        .iter()
        .flat_map(|&class| [1.0 - class, class])
        .collect();
    let expected = one_hot.gradient(&CPU);
    for dtype in INTEGERS {
        let mut inputs = Inputs::new();
        let target = Tensor {
            dtype,
            shape: vec![3, 2, 5],
            values: classes.clone(),
        };
        inputs.episodes.insert("target".into(), target);
        assert_eq!(inputs.gradient(&CPU), expected, "{dtype:?}");
    }
    type Target = (Dtype, &'static [usize], f64);
    let cases: [(Target, &[&str]); 5] = [
        (
            (Dtype::I64, &[3, 2, 5], 2.0),
            &["e.safetensors: target", "[2, 1, 4]", "2", "0 to 1"],
        ),
        (
            (Dtype::I8, &[3, 2, 5], -100.0),
            &["target", "[2, 1, 4]", "-100", "0 to 1"],
        ),
        (
            (Dtype::I32, &[3, 2, 4], 0.0),
            &["target", "[3, 2, 4]", "[3, 2, 5]"],
        ),
        (
            (Dtype::F32, &[3, 2, 5], 0.0),
            &["target", "F32", "integer", "[P, B, T, O]"],
        ),
        (
            (Dtype::BOOL, &[3, 2, 5], 0.0),
            &["target", "BOOL", "integer"],
        ),
    ];
    for ((dtype, shape, last), parts) in cases {
        let mut inputs = Inputs::new();
        let mut target = zeros_and_ones(shape);
        target.dtype = dtype;
        *target.values.last_mut().unwrap() = last;
        inputs.episodes.insert("target".into(), target);
        inputs.write();
        inputs.refused(&CPU, parts);
    }
    // A squared error has no classes.
    let mut inputs = Inputs::new();
    inputs.network = inputs
        .network
        .replace("softmax-cross-entropy", "squared-error");
    let mut target = zeros_and_ones(&[3, 2, 5]);
    target.dtype = Dtype::I64;
    inputs.episodes.insert("target".into(), target);
    inputs.write();
    inputs.refused(&CPU, &["target", "[3, 2, 5]", "[P, B, T, O]"]);
}

#[test]
fn a_tensor_without_axes_is_one_number() {
    let network = "[loss]\nkind = \"squared-error\"\n[[layer]]\nkind = \"plastic\"\ninputs = 2\noutputs = 1\n\
                   plasticity = \"layer\"\nrate = { value = 0.1, learned = true }\nbias = false\n";
    let inputs = |scalar: &[usize]| {
        let mut inputs = Inputs::new();
        inputs.network = network.to_owned();
        inputs.parameters.clear();
        inputs.episodes.clear();
        put(&mut inputs.parameters, "layer0.weight", &[1, 1, 2]);
        put(&mut inputs.episodes, "input", &[1, 1, 1, 2]);
        put(&mut inputs.episodes, "target", &[1, 1, 1, 1]);
        for (name, phase) in [("layer0.plasticity", 0.2), ("layer0.rate", 0.5)] {
            let number = tensor(Dtype::F32, scalar, phase);
            inputs.parameters.insert(name.into(), number);
        }
        let mask = tensor(Dtype::F32, scalar, 0.7);
        inputs.episodes.insert("mask".into(), mask);
        inputs
    };
    assert_eq!(inputs(&[]).gradient(&CPU), inputs(&[1]).gradient(&CPU));
    // But not where several are meant.
    let refused = |inputs: &Inputs, name| {
        inputs.write();
        inputs.refused(&CPU, &[name, "[1]"]);
    };
    let mut several = inputs(&[]);
    put(&mut several.episodes, "input", &[1, 1, 2, 2]);
    put(&mut several.episodes, "target", &[1, 1, 2, 1]);
    refused(&several, "mask");
    let mut several = Inputs::new();
    put(&mut several.parameters, "layer0.rate", &[]);
    refused(&several, "layer0.rate");
}

#[test]
fn parameters_must_be_floats() {
    for dtype in INTEGERS.into_iter().chain([Dtype::BOOL]) {
        let mut inputs = Inputs::new();
        inputs.parameters.get_mut("layer2.bias").unwrap().dtype = dtype;
        inputs.write();
        let actual = format!("{dtype:?}");
        inputs.refused(&CPU, &["p.safetensors: layer2.bias", &actual, "F64"]);
    }
}

#[test]
fn what_does_not_fit_is_named_with_its_file() {
    let cases: [(Change, &str); 7] = [
        (
            |i| drop(i.parameters.remove("layer1.weight")),
            "p.safetensors: layer1.weight: missing",
        ),
        (
            |i| put(&mut i.parameters, "layer1.bias", &[3, 2]),
            "p.safetensors: layer1.bias: unknown",
        ),
        (
            |i| put(&mut i.parameters, "layer0.bias", &[2, 3]),
            "p.safetensors: layer0.bias: shape",
        ),
        (
            |i| i.parameters.get_mut("layer0.bias").unwrap().values[1] = f64::NAN,
            "p.safetensors: layer0.bias: element [0, 1] is NaN",
        ),
        (
            |i| put(&mut i.episodes, "input", &[3, 0, 5, 4]),
            "e.safetensors: batch",
        ),
        (
            |i| put(&mut i.episodes, "mask", &[4]),
            "e.safetensors: mask: shape",
        ),
        (
            |i| i.network = i.network.replace("inputs = 4", "inputs = 0"),
            "net.toml: layer0.inputs: zero",
        ),
    ];
    for (change, part) in cases {
        refuse(change, &[part]);
    }
}

#[test]
fn no_message_repeats_a_long_field() {
    let long = "x".repeat(100_000);
    let message_of = |inputs: &Inputs| {
        let output = inputs.command().args(CPU).output().unwrap();
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(message.len() < 5_000, "{} characters", message.len());
        message
    };
    let mut inputs = Inputs::new();
    put(&mut inputs.parameters, &long, &[3, 2]);
    inputs.write();
    assert!(message_of(&inputs).contains("unknown tensor"));
    for (from, to) in [
        ("\"oja\"", format!("\"{long}\"")),
        ("rule", format!("{long} = 1\nrule")),
        ("inputs = 4", format!("inputs = {}", "9".repeat(100_000))),
    ] {
        let mut inputs = Inputs::new();
        inputs.network = inputs.network.replace(from, &to);
        inputs.write();
        assert!(message_of(&inputs).contains("net.toml"));
    }
    let inputs = Inputs::new();
    inputs.write();
    for arguments in [
        ["--precision", &long],
        ["--network", &long],
        ["--device", &long],
        ["--engine", &long],
        [&format!("--{long}"), "1"],
    ] {
        let output = inputs.command().args(arguments).output().unwrap();
        assert!([Some(1), Some(2)].contains(&output.status.code()));
        let message = error_text(&output);
        assert!(!message.is_empty() && message.len() < 5_000, "{message}");
    }
    let output = crate::support::command()
        .env("METAPLASTIC_DEVICE", &long)
        .args(["devices", "--json"])
        .output()
        .unwrap();
    assert_status(&output, 0);
    assert!(output.stdout.len() < 10_000);
}

#[test]
fn files_that_are_cut_or_malformed_are_refused() {
    let inputs = Inputs::new();
    for file in ["p.safetensors", "e.safetensors"] {
        inputs.write();
        let whole = std::fs::read(inputs.path(file)).unwrap();
        for length in [0, 4, 20, whole.len() / 2, whole.len() - 1] {
            std::fs::write(inputs.path(file), &whole[..length]).unwrap();
            inputs.refused(&CPU, &[file, "safetensors"]);
        }
        let longer = [&whole[..], &[0; 4]].concat();
        std::fs::write(inputs.path(file), longer).unwrap();
        inputs.refused(&CPU, &[file, "safetensors"]);
        // A header that claims more than any memory holds.
        let header = r#"{"input":{"dtype":"F32","shape":[4294967295,4294967295,4,4],"data_offsets":[0,16]}}"#;
        let mut absurd = (header.len() as u64).to_le_bytes().to_vec();
        absurd.extend(header.as_bytes());
        absurd.extend([0; 16]);
        std::fs::write(inputs.path(file), absurd).unwrap();
        inputs.refused(&CPU, &[file]);
        std::fs::remove_file(inputs.path(file)).unwrap();
        inputs.refused(&CPU, &[file, "cannot read"]);
    }
}

#[test]
fn descriptions_that_are_wrong_are_refused() {
    for (from, to, part) in [
        ("inputs = 4", "inputs = 0", "layer0.inputs"),
        ("inputs = 3", "inputs = 5", "layer1.inputs"),
        ("inputs = 4", "inputs = 99999999999", "99999999999"),
        ("rule = \"oja\"", "rule = \"oja\"\nspeed = 1", "speed"),
        ("\"oja\"", "\"anti-oja\"", "anti-oja"),
        ("value = 0.1", "value = inf", "layer0.rate.value"),
        (
            "value = 0.1",
            "value = 1e300",
            "net.toml: layer0.rate.value: 1e300, beyond the range of f32",
        ),
        ("[loss]", "[loss", "net.toml"),
        ("kind = \"bias\"", "kind = \"gate\"", "gate"),
    ] {
        let mut inputs = Inputs::new();
        inputs.network = inputs.network.replace(from, to);
        inputs.write();
        inputs.refused(&CPU, &[part]);
    }
    let inputs = Inputs::new();
    inputs.write();
    std::fs::write(inputs.path("net.toml"), [0xff, 0xfe]).unwrap();
    inputs.refused(&CPU, &["net.toml"]);
}

#[test]
fn a_layer_that_no_memory_holds_is_refused() {
    let mut inputs = Inputs::new();
    let size = "16777216";
    inputs.network = format!("[[layer]]\nkind = \"dense\"\ninputs = {size}\noutputs = {size}\n");
    inputs.parameters.clear();
    put(&mut inputs.parameters, "layer0.weight", &[1, 2, 2]);
    inputs.write();
    inputs.refused(&CPU, &["layer0.weight", size, "[1, 2, 2]"]);
}

#[test]
fn gpus_do_not_compute_in_double_precision() {
    let inputs = Inputs::new();
    inputs.write();
    let double = ["--precision", "f64"];
    inputs.refused(
        &[&double[..], &["--engine", "gpu"]].concat(),
        &["f32", "f64"],
    );
    inputs.refused(
        &[&double[..], &["--device", "any"]].concat(),
        &["f32", "f64"],
    );
    let output = inputs.command().args(double).output().unwrap();
    assert_status(&output, 0);
    let message = error_text(&output);
    assert!(
        message.contains("cpu") && message.contains("f64"),
        "{message}"
    );
}

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let inputs = Inputs::new();
    inputs.write();
    for arguments in [&["--engine", "gpu"][..], &[]] {
        let before = names(inputs.folder.path());
        let output = inputs
            .command()
            .env("METAPLASTIC_DEVICE", "no-such-adapter")
            .args(arguments)
            .output()
            .unwrap();
        assert_status(&output, 1);
        assert_eq!(names(inputs.folder.path()), before);
    }
}

#[test]
fn an_input_is_never_overwritten() {
    let inputs = Inputs::new();
    inputs.write();
    let before = std::fs::read(inputs.path("p.safetensors")).unwrap();
    let path = inputs.path("p.safetensors");
    let mut command = crate::support::command();
    command.args(["gradient", "--engine", "cpu", "--network"]);
    command.arg(inputs.path("net.toml"));
    command.arg("--parameters").arg(&path);
    command.arg("--episodes").arg(inputs.path("e.safetensors"));
    command.arg("--output").arg(&path);
    let output = command.output().unwrap();
    assert_status(&output, 2);
    assert!(error_text(&output).contains("--output"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn results_that_are_not_finite_are_written_and_reported() {
    let mut inputs = Inputs::new();
    inputs.network = inputs
        .network
        .replace("softmax-cross-entropy", "squared-error");
    inputs.parameters.get_mut("layer2.bias").unwrap().values[0] = 1e30;
    inputs.write();
    let output = inputs.command().args(CPU).output().unwrap();
    assert_status(&output, 3);
    assert!(
        error_text(&output).contains("not finite: loss"),
        "{}",
        error_text(&output)
    );
    assert!(inputs.output().exists());
}

/// A tensor of that name, in the place of one there is.
fn put(tensors: &mut Tensors, name: &str, shape: &[usize]) {
    tensors.insert(name.to_owned(), tensor(Dtype::F32, shape, 0.0));
}

#[track_caller]
fn refuse(change: Change, parts: &[&str]) {
    let mut inputs = Inputs::new();
    change(&mut inputs);
    inputs.write();
    inputs.refused(&CPU, parts);
}

#[test]
fn an_output_that_cannot_be_written_is_found_out_before_anything_is_read() {
    let inputs = Inputs::new();
    inputs.write();
    // A later check would find this first.
    std::fs::write(inputs.path("p.safetensors"), "garbage").unwrap();
    std::fs::create_dir(inputs.path("folder")).unwrap();
    for output in ["folder", "no/such/folder/out", "e.safetensors/out", "out/"] {
        let mut command = inputs.command_with(inputs.path("e.safetensors"), inputs.path(output));
        let output = command.output().unwrap();
        let message = error_text(&output);
        assert_status(&output, 1);
        assert!(message.contains("cannot write"), "{message}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_not_for_this_user_to_write_is_found_out_before_anything_is_read() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::process::Command;
    let inputs = Inputs::new();
    inputs.write();
    std::fs::write(inputs.path("p.safetensors"), "garbage").unwrap();
    // As a folder for everybody is.
    let permissions = PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(inputs.path(""), permissions).unwrap();
    std::fs::write(inputs.path("theirs"), "").unwrap();
    let pipe = Command::new("mkfifo")
        .args(["-m", "400"])
        .arg(inputs.path("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(inputs.path("socket")).unwrap();
    // The superuser may write anything.
    let is_superuser = inputs.path("theirs").metadata().unwrap().uid() == 0;
    std::fs::copy(crate::support::binary(), inputs.path("metaplastic")).unwrap();
    let run = |output: &str| {
        let command = inputs.command_with(inputs.path("e.safetensors"), inputs.path(output));
        let mut other = match is_superuser {
            true => Command::new("setpriv"),
            false => Command::new("env"),
        };
        if is_superuser {
            other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        let program = other.arg(inputs.path("metaplastic"));
        program.args(command.get_args()).output().unwrap()
    };
    let mut bad = vec!["pipe", "socket"];
    if is_superuser {
        bad.push("theirs");
    }
    for name in bad {
        let output = run(name);
        let message = error_text(&output);
        assert_status(&output, 1);
        assert!(message.contains(name) && message.contains("cannot write"));
    }
    // What may be written: the next fault is found.
    assert_status(&run("new"), 2);
    assert!(!inputs.path("new").exists());
}

#[cfg(unix)]
#[test]
fn a_link_keeps_pointing_where_it_points() {
    let inputs = Inputs::new();
    inputs.write();
    std::os::unix::fs::symlink("results.safetensors", inputs.output()).unwrap();
    // At first to nothing, then to the results.
    for _ in 0..2 {
        let output = inputs.command().args(CPU).output().unwrap();
        assert_status(&output, 0);
        assert!(inputs.output().is_symlink());
        let results = inputs.path("results.safetensors");
        assert!(!results.is_symlink() && read(&results).contains_key("loss"));
    }
}

#[cfg(unix)]
#[test]
fn input_without_a_known_length_is_read_as_far_as_its_header_says() {
    let inputs = Inputs::new();
    inputs.write();
    let run = |arguments: &[&str], stdin: &str| {
        let mut command = inputs.command_with("/dev/stdin", inputs.output());
        command.args(CPU).args(arguments);
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let bytes = std::fs::read(inputs.path(stdin)).unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &bytes).unwrap();
        child.wait_with_output().unwrap()
    };
    assert_status(&run(&[], "e.safetensors"), 0);
    for endless in ["/dev/zero", "/dev/urandom"] {
        let start = std::time::Instant::now();
        let output = inputs
            .command_with(endless, inputs.output())
            .args(CPU)
            .output()
            .unwrap();
        assert_status(&output, 2);
        assert!(error_text(&output).contains(endless));
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
    }
    // A good header with an endless tail.
    let start = std::time::Instant::now();
    let script = "cat \"$0\" /dev/zero | exec \"$@\"";
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", script])
        .arg(inputs.path("e.safetensors"));
    let endless = inputs.command_with("/dev/stdin", inputs.output());
    command.arg(endless.get_program()).args(endless.get_args());
    let output = command.args(CPU).output().unwrap();
    assert_status(&output, 2);
    assert!(error_text(&output).contains("/dev/stdin"));
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn what_a_killed_process_left_is_cleared() {
    let inputs = Inputs::new();
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let old = [".metaplastic-file-old", ".metaplastic-lock", "notes.txt"];
    for name in old.iter().chain(&[".metaplastic-file-new"]) {
        let file = std::fs::File::create(inputs.path(name)).unwrap();
        if old.contains(name) {
            file.set_modified(before).unwrap();
        }
    }
    inputs.gradient(&[]);
    assert!(!inputs.path(".metaplastic-file-old").exists());
    // One that is being written, and what is no temporary file.
    for name in [".metaplastic-file-new", ".metaplastic-lock", "notes.txt"] {
        assert!(inputs.path(name).exists(), "{name}");
    }
}
