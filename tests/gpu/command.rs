//! The command on the GPU.

use crate::{Body, body};
use metaplastic::Engine;
use metaplastic::engine::EngineKind;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn bodies() -> Vec<Body> {
    vec![
        body(
            "command: an adapter is found by its name in any case",
            found_in_any_case,
        ),
        body("command: an adapter is found by its index", found_by_index),
        body("command: gradients as on the CPU", gradients_as_on_the_cpu),
        body("command: f64 is refused", double_precision_is_refused),
        body("command: training", training),
        #[cfg(target_os = "linux")]
        body(
            "command: compilers are not waited for",
            compilers_are_not_waited_for,
        ),
    ]
}

/// The command, wherever these tests were built: METAPLASTIC_COMMAND, or the one beside this program or in the folder
/// above, as cargo has it.
fn command() -> PathBuf {
    if let Some(path) = std::env::var_os("METAPLASTIC_COMMAND") {
        return path.into();
    }
    let tests = std::env::current_exe().expect("the path of this program");
    let name = format!("metaplastic{}", std::env::consts::EXE_SUFFIX);
    let mut folders = tests.ancestors().skip(1).take(2);
    folders
        .find_map(|folder| Some(folder.join(&name)).filter(|path| path.is_file()))
        .unwrap_or_else(|| {
            panic!(
                "no {name} near {}: set METAPLASTIC_COMMAND",
                tests.display()
            )
        })
}

fn metaplastic(engine: &Engine, arguments: &[&str]) -> Output {
    Command::new(command())
        .env("METAPLASTIC_DEVICE", engine.device())
        .args(arguments)
        .output()
        .expect("the command starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn found_in_any_case(engine: &Engine) {
    for name in [
        engine.device().to_lowercase(),
        engine.device().to_uppercase(),
    ] {
        let found = Engine::choose(EngineKind::Gpu, Some(&name), 0).expect("an adapter");
        assert_eq!(found.engine.device(), engine.device());
        let output = Command::new(command())
            .env("METAPLASTIC_DEVICE", &name)
            .args(["devices", "--json"])
            .output()
            .expect("the command starts");
        let devices: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!(devices["auto"]["engine"], "gpu", "{devices}");
        let adapters = devices["adapters"].as_array().expect("adapters").iter();
        assert_eq!(
            adapters.filter(|adapter| adapter["auto"] == true).count(),
            1
        );
    }
}

fn found_by_index(engine: &Engine) {
    let adapters = metaplastic::gpu::adapters();
    for (index, adapter) in adapters.iter().enumerate() {
        assert_eq!(adapter.index, index);
    }
    let Engine::Gpu(gpu) = engine else {
        panic!("{} is no GPU", engine.device());
    };
    assert_eq!(adapters[gpu.index()].name, engine.device());
    let index = gpu.index().to_string();
    let devices = |wanted: &str| -> Value {
        let output = Command::new(command())
            .env("METAPLASTIC_DEVICE", wanted)
            .args(["devices", "--json"])
            .output()
            .expect("the command starts");
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    };
    let found = devices(&index);
    assert_eq!(found["auto"]["device"], engine.device(), "{found}");
    assert_eq!(found["adapters"][gpu.index()]["auto"], true, "{found}");
    // An index is never a part of a name, which a version number may be in.
    let none = adapters.len().to_string();
    let found = devices(&none);
    let reason = found["auto"]["reason"].as_str().expect("a reason");
    for part in ["index", &none, "0: "] {
        assert!(reason.contains(part), "{part:?} in {reason}");
    }
    let refused = Engine::gpu(Some(&none)).unwrap_err();
    assert_eq!(refused.to_string(), reason);
}

const NETWORK: &str = r#"
[loss]
kind = "softmax-cross-entropy"
[[layer]]
kind = "plastic"
inputs = 5
outputs = 3
activation = "tanh"
rate = { value = 0.2, per = "neuron", learned = true }
[[layer]]
kind = "dense"
inputs = 3
outputs = 2
"#;

/// Writes the network, its parameters and its episodes; returns the arguments that name them.
fn write_inputs(folder: &Path) -> Vec<String> {
    let tensors = |shapes: &[(&str, &[usize])]| -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let value = |k: usize| (0.4 * (1.7 * k as f64 + 0.3).sin()) as f32;
        shapes
            .iter()
            .map(|(name, shape)| {
                let values = 0..shape.iter().product();
                let bytes = values.flat_map(|k| value(k).to_le_bytes()).collect();
                ((*name).to_owned(), shape.to_vec(), bytes)
            })
            .collect()
    };
    let write = |file: &str, tensors: Vec<(String, Vec<usize>, Vec<u8>)>| {
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor");
            (name.clone(), view)
        });
        serialize_to_file(views, None, &folder.join(file)).expect("it is written");
    };
    std::fs::write(folder.join("net.toml"), NETWORK).expect("it is written");
    write(
        "p.safetensors",
        tensors(&[
            ("layer0.weight", &[2, 3, 5]),
            ("layer0.plasticity", &[2, 3, 5]),
            ("layer0.bias", &[2, 3]),
            ("layer1.weight", &[2, 2, 3]),
            ("layer1.bias", &[2, 2]),
        ]),
    );
    write(
        "e.safetensors",
        tensors(&[
            ("input", &[2, 4, 6, 5]),
            ("target", &[2, 4, 6, 2]),
            ("mask", &[6]),
            ("layer0.trace", &[2, 4, 3, 5]),
            ("layer0.trace_gradient", &[2, 4, 3, 5]),
        ]),
    );
    [
        "--network",
        "net.toml",
        "--parameters",
        "p.safetensors",
        "--episodes",
        "e.safetensors",
    ]
    .iter()
    .map(|argument| match argument.strip_prefix("--") {
        Some(_) => (*argument).to_owned(),
        None => text(&folder.join(argument)).to_owned(),
    })
    .collect()
}

fn gradients_as_on_the_cpu(engine: &Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = write_inputs(folder.path());
    let mut results = Vec::new();
    for kind in ["gpu", "cpu"] {
        let path = folder.path().join(kind);
        let mut arguments = vec!["gradient", "--engine", kind, "--output", text(&path)];
        arguments.extend(inputs.iter().map(String::as_str));
        let output = metaplastic(engine, &arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        results.push(std::fs::read(&path).expect("results"));
    }
    let [gpu, cpu] = [&results[0], &results[1]]
        .map(|bytes| SafeTensors::deserialize(bytes).expect("a safetensors file"));
    let mut names = cpu.names();
    names.sort_unstable();
    let mut on_gpu = gpu.names();
    on_gpu.sort_unstable();
    assert_eq!(on_gpu, names);
    assert!(names.contains(&"gradient.layer0.rate") && names.contains(&"gradient.layer0.trace"));
    for name in names {
        let values = |file: &SafeTensors<'_>| -> Vec<f64> {
            let tensor = file.tensor(name).expect("listed");
            let words = tensor.data().as_chunks::<4>().0.iter();
            words
                .map(|word| f64::from(f32::from_le_bytes(*word)))
                .collect()
        };
        let (gpu, cpu) = (values(&gpu), values(&cpu));
        assert_eq!(gpu.len(), cpu.len(), "{name}");
        let norm =
            |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let difference = norm(&mut gpu.iter().zip(&cpu).map(|(a, b)| a - b));
        let size = norm(&mut cpu.iter().copied());
        assert!(
            size > 0.0 && difference <= 1e-4 * size,
            "{name}: {difference} of {size}"
        );
    }
}

fn double_precision_is_refused(engine: &Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = write_inputs(folder.path());
    let path = folder.path().join("out");
    let mut arguments = vec![
        "gradient",
        "--engine",
        "gpu",
        "--precision",
        "f64",
        "--output",
        text(&path),
    ];
    arguments.extend(inputs.iter().map(String::as_str));
    let output = metaplastic(engine, &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("f64"));
    assert!(!path.exists());
}

fn training(engine: &Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let output = metaplastic(
        engine,
        &[
            "train",
            "one-shot",
            "--engine",
            "gpu",
            "--population",
            "3",
            "--episodes",
            "200",
            "--output",
            text(&path),
            "--json",
            "--quiet",
        ],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let summary: Value = serde_json::from_str(&printed).expect("one JSON object");
    assert_eq!(summary["engine"], "gpu");
    assert_eq!(summary["device"], engine.device());
    assert_eq!(summary["population"], 3);
    for file in [
        "run.toml",
        "metrics.jsonl",
        "parameters.safetensors",
        "curve.svg",
    ] {
        assert!(path.join(file).exists(), "{file}");
    }
}

/// So many layers that software drivers compile their kernels for ten seconds.
#[cfg(target_os = "linux")]
fn compilers_are_not_waited_for(engine: &Engine) {
    use metaplastic::tasks::Association;
    use metaplastic::training::Recipe;
    use metaplastic::{Activation, Layer, Network, Plastic, Rate};
    use std::time::{Duration, Instant};
    let mut recipe = Recipe {
        population: 1,
        episodes: 1_000_000,
        ..Recipe::new(std::sync::Arc::new(Association::ONE_SHOT)).expect("the paper's")
    };
    let between = (0..60)
        .map(|_| Layer::from(Plastic::new(2, 2, Rate::learned(0.02)).activation(Activation::Tanh)));
    let [first, last] = recipe.network.layers() else {
        panic!("the paper's network has two layers");
    };
    let layers = std::iter::once(first.clone())
        .chain(between)
        .chain([last.clone()]);
    recipe.network = Network::new(recipe.network.loss(), layers).expect("a valid network");
    let folder = tempfile::tempdir().expect("a folder");
    let [file, run] = ["recipe.toml", "run"].map(|name| folder.path().join(name));
    std::fs::write(&file, recipe.to_toml()).expect("a file");
    let mut child = Command::new(command())
        .env("METAPLASTIC_DEVICE", engine.device())
        .args([
            "train", "one-shot", "--engine", "gpu", "--quiet", "--recipe",
        ])
        .args([text(&file), "--output", text(&run)])
        .spawn()
        .expect("the command starts");
    // The folder is claimed when signals are listened to.
    let start = Instant::now();
    while !run.join(".metaplastic-lock").exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    let start = Instant::now();
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.expect("kill starts").success());
    let status = child.wait().expect("the command ends");
    // A second, and another one where other tests run beside it.
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(status.code(), Some(130));
    assert!(run.join("parameters.safetensors").exists());
}
