//! What is done with a run: `metaplastic evaluate` and `metaplastic inspect`.

use crate::support::{assert_status, bytes, change, command, error_text, names, read, settings};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Trains into a new folder.
#[track_caller]
fn trained(arguments: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = command()
        .arg("train")
        .args(arguments)
        .args(["--engine", "cpu", "--output"])
        .arg(folder.path().join("run"))
        .output()
        .unwrap();
    assert_status(&output, 0);
    folder
}

fn on_run(name: &str, folder: &tempfile::TempDir, arguments: &[&str]) -> Output {
    let mut command = command();
    command.arg(name).arg(folder.path().join("run"));
    command.args(arguments).output().unwrap()
}

/// The one line of JSON that a command prints.
#[track_caller]
fn json(output: &Output) -> Value {
    assert_status(output, 0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches('\n').count(), 1);
    serde_json::from_str(&text).unwrap()
}

fn figure(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("figure.svg")
}

#[track_caller]
fn assert_drawing(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
}

#[test]
fn evaluation_agrees_with_the_frozen_end_of_training() {
    for task in ["completion", "one-shot", "reversal"] {
        let folder = trained(&[task, "--population", "3", "--episodes", "3000"]);
        let path = figure(&folder);
        let arguments = [
            "--json",
            "--episodes",
            "2000",
            "--output",
            path.to_str().unwrap(),
        ];
        let report = json(&on_run("evaluate", &folder, &arguments));
        assert_drawing(&path);
        assert_eq!(report["episodes"], 2000);
        let summary = std::fs::read(folder.path().join("run/summary.json")).unwrap();
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        let steps = report["steps"].as_array().unwrap();
        assert_eq!(steps.len(), if task == "completion" { 2 } else { 20 });
        for (index, network) in report["networks"].as_array().unwrap().iter().enumerate() {
            let trained = summary["final_error"]["per_network"][index]
                .as_f64()
                .unwrap();
            let fresh = network["error"].as_f64().unwrap();
            // Other episodes, the same networks.
            let close = (trained - fresh).abs() < 0.25 * trained.max(0.05);
            assert!(close, "{task} {index}: {trained} {fresh}");
            // The whole is the mean of its counted steps.
            let counted: Vec<f64> = steps
                .iter()
                .zip(network["error_at_step"].as_array().unwrap())
                .filter(|(step, _)| step["counted"] == true)
                .map(|(_, error)| error.as_f64().unwrap())
                .collect();
            let mean = counted.iter().sum::<f64>() / counted.len() as f64;
            assert!((mean - fresh).abs() < 1e-9 * fresh.max(1.0));
        }
    }
}

#[test]
fn evaluation_depends_on_its_seed_alone() {
    let folder = trained(&[
        "one-shot",
        "--population",
        "2",
        "--episodes",
        "400",
        "--seed",
        "5",
    ]);
    let of = |arguments: &[&str]| {
        let output = on_run(
            "evaluate",
            &folder,
            &[&["--json", "--episodes", "50"], arguments].concat(),
        );
        let mut report = json(&output);
        report.as_object_mut().unwrap().remove("engine");
        report
    };
    let first = of(&[]);
    assert_eq!(first, of(&["--seed", "5"]));
    let other = of(&["--seed", "6"]);
    assert_ne!(first["networks"][0]["error"], other["networks"][0]["error"]);
    assert_eq!(other["networks"][0]["seed"], 6);

    let output = on_run("evaluate", &folder, &["--episodes", "50"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["not counted", "fresh episodes", "right", "quartiles"] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
}

#[test]
fn inspection_finds_what_is_in_the_parameters() {
    let folder = trained(&["reversal", "--population", "2", "--episodes", "400"]);
    let file = folder.path().join("run/parameters.safetensors");
    change(&file, |parameters| {
        for tensor in parameters.values_mut() {
            tensor.values.iter_mut().for_each(|value| *value = 0.0);
        }
        // Of network 1: the second hidden unit listens to all bits with negative plasticity, to a label with a weight.
        let plasticity = &mut parameters.get_mut("layer0.plasticity").unwrap().values;
        plasticity[30..38].fill(-2.0);
        plasticity[37] = -4.0;
        plasticity[20] = 3.0;
        parameters.get_mut("layer0.weight").unwrap().values[39] = 5.0;
    });

    let path = figure(&folder);
    let arguments = [
        "--json",
        "--network",
        "1",
        "--output",
        path.to_str().unwrap(),
    ];
    let report = json(&on_run("inspect", &folder, &arguments));
    assert_drawing(&path);
    assert_eq!(report["all_negative"], 1);
    assert_eq!(report["networks"][0]["all_negative"], false);
    assert_eq!(report["networks"][0]["strong"].as_array().unwrap().len(), 0);
    let network = &report["networks"][1];
    assert_eq!(network["all_negative"], true);
    let unit = |index: usize| &network["units"][index];
    assert_eq!(
        (&unit(0)["negative"], &unit(0)["positive"]),
        (&0.into(), &1.into())
    );
    assert_eq!(
        (&unit(1)["negative"], &unit(1)["largest"]),
        (&8.into(), &(-4.0).into())
    );
    let strong = network["strong"].as_array().unwrap();
    assert_eq!(strong.len(), 1 + 9);
    assert_eq!(strong[0]["kind"], "weight");
    assert_eq!(
        (&strong[0]["from"], &strong[0]["to"]),
        (&"label 2".into(), &"hidden 2".into())
    );
    assert_eq!(
        (&strong[1]["from"], &strong[1]["value"]),
        (&"bit 8".into(), &(-4.0).into())
    );

    let output = on_run("inspect", &folder, &["--network", "1"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["all negative", "8 of 8", "-4.000", "label 2", "network 1"] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
}

#[test]
fn any_network_of_a_run_can_be_inspected() {
    for arguments in [
        &[
            "one-shot",
            "--bits",
            "20",
            "--patterns",
            "3",
            "--hidden",
            "50",
            "--plasticity",
            "neuron",
        ][..],
        &["reversal", "--plasticity", "layer", "--rule", "oja"],
    ] {
        let folder = trained(&[arguments, &["--population", "2", "--episodes", "100"]].concat());
        for name in ["evaluate", "inspect"] {
            let path = figure(&folder);
            assert_status(
                &on_run(name, &folder, &["--output", path.to_str().unwrap()]),
                0,
            );
            assert_drawing(&path);
        }
    }
}

/// The names in the folder of a run, but that of its checkpoints.
fn files(run: &Path) -> Vec<String> {
    let names = names(run).into_iter();
    names.filter(|name| name != "checkpoints").collect()
}

/// Changes a copy of a good run, after which both commands must refuse it by a message with all `parts`.
#[track_caller]
fn refused(good: &tempfile::TempDir, change: impl FnOnce(&Path), parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    std::fs::create_dir(&run).unwrap();
    for name in files(&good.path().join("run")) {
        std::fs::copy(good.path().join("run").join(&name), run.join(name)).unwrap();
    }
    change(&run);
    let path = figure(&folder);
    for name in ["evaluate", "inspect"] {
        let output = on_run(name, &folder, &["--output", path.to_str().unwrap()]);
        assert_status(&output, 2);
        let message = error_text(&output);
        for part in parts {
            assert!(message.contains(part), "{name}: {part} in {message}");
        }
        assert!(output.stdout.is_empty() && !path.exists());
    }
}

fn replace(path: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{old} in {text}");
    std::fs::write(path, text.replacen(old, new, 1)).unwrap();
}

#[test]
fn what_is_no_complete_run_is_refused() {
    let good = trained(&["one-shot", "--population", "2", "--episodes", "100"]);
    for name in [
        "run.toml",
        "network.toml",
        "parameters.safetensors",
        "summary.json",
    ] {
        let missing = match name {
            "run.toml" => "holds no run",
            _ => "missing",
        };
        refused(
            &good,
            |run| std::fs::remove_file(run.join(name)).unwrap(),
            &[name, missing],
        );
        let cut = |run: &Path| {
            let bytes = std::fs::read(run.join(name)).unwrap();
            std::fs::write(run.join(name), &bytes[..bytes.len() / 2]).unwrap();
        };
        refused(&good, cut, &[name]);
        let garbage = |run: &Path| std::fs::write(run.join(name), b"\xff\0\xfe").unwrap();
        refused(&good, garbage, &[name]);
        let empty = |run: &Path| std::fs::write(run.join(name), b"").unwrap();
        refused(&good, empty, &[name]);
    }
    for (name, old, new, parts) in [
        (
            "run.toml",
            "population = 2",
            "population = 3",
            &["parameters", "2", "3"][..],
        ),
        (
            "run.toml",
            "population = 2",
            "population = 9007199254740993",
            &["parameters", "9007199254740993"],
        ),
        (
            "run.toml",
            "population = 2",
            "population = 0",
            &["population", "zero"],
        ),
        ("run.toml", "version", "wersion", &["run.toml", "wersion"]),
        (
            "run.toml",
            "bits = 8",
            "bits = 9",
            &["inputs of the network", "11"],
        ),
        (
            "network.toml",
            "tanh",
            "relu",
            &["network.toml", "another network"],
        ),
        (
            "network.toml",
            "inputs = 10",
            "inputs = 11",
            &["network.toml", "another network"],
        ),
        (
            "summary.json",
            "one-shot",
            "reversal",
            &["summary.json", "reversal"],
        ),
        (
            "summary.json",
            "\"population\":2",
            "\"population\":7",
            &["summary.json", "7"],
        ),
        (
            "summary.json",
            "\"per_network\":[",
            "\"per_network\":[0.5,",
            &["summary.json", "3 values"],
        ),
        (
            "summary.json",
            "\"failures\":[]",
            "\"failures\":[{\"network\":2,\"episode\":0,\"tensor\":\"loss\"}]",
            &["summary.json", "network 2"],
        ),
        (
            "summary.json",
            "\"solved_below\":0.05",
            "\"solved_below\":5.0",
            &["summary.json", "0.05"],
        ),
    ] {
        refused(&good, |run| replace(&run.join(name), old, new), parts);
    }
    let other_shape = |run: &Path| {
        change(&run.join("parameters.safetensors"), |parameters| {
            parameters.get_mut("layer1.weight").unwrap().shape = vec![1, 4, 2];
        });
    };
    refused(&good, other_shape, &["layer1.weight"]);
    let not_finite = |run: &Path| {
        change(&run.join("parameters.safetensors"), |parameters| {
            parameters.get_mut("layer1.weight").unwrap().values[3] = f64::NAN;
        });
    };
    refused(&good, not_finite, &["layer1.weight", "NaN"]);
    refused(
        &good,
        |run| std::fs::remove_dir_all(run).unwrap(),
        &["no such folder", "cannot read"],
    );
}

#[test]
fn files_of_two_runs_never_pass_for_one() {
    // As alike as two runs can be.
    let [one, other] = ["0.01", "0.02"].map(|rate| {
        trained(&[
            "one-shot",
            "--population",
            "2",
            "--episodes",
            "100",
            "--learning-rate",
            rate,
        ])
    });
    let identity = |folder: &tempfile::TempDir| {
        let run = std::fs::read_to_string(folder.path().join("run/run.toml")).unwrap();
        let run: toml::Table = run.parse().unwrap();
        run["identity"].as_str().unwrap().to_owned()
    };
    assert_ne!(identity(&one), identity(&other));
    // Every file says which run it is of.
    for name in files(&one.path().join("run")) {
        let bytes = std::fs::read(one.path().join("run").join(&name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(&identity(&one)), "{name}");
    }
    for name in [
        "parameters.safetensors",
        "network.toml",
        "summary.json",
        "run.toml",
        "curve.svg",
        "metrics.jsonl",
    ] {
        let mix = |run: &Path| {
            let file = other.path().join("run").join(name);
            std::fs::copy(file, run.join(name)).unwrap();
        };
        let (found, expected) = (identity(&other), identity(&one));
        let parts = [" and ", "run.toml are of different runs", &found, &expected];
        refused(&one, mix, &parts);
    }
    let anonymous = |run: &Path| {
        let file = run.join("parameters.safetensors");
        let parameters = bytes(&read(&file));
        std::fs::write(file, parameters).unwrap();
    };
    refused(&one, anonymous, &["parameters", "no identity"]);
}

#[test]
fn a_run_is_a_recipe() {
    let folder = trained(&["one-shot", "--population", "2", "--episodes", "100"]);
    let recipe = folder.path().join("run/run.toml");
    let again = folder.path().join("again");
    let output = command()
        .args(["train", "one-shot", "--engine", "cpu", "--recipe"])
        .arg(&recipe)
        .arg("--output")
        .arg(&again)
        .output()
        .unwrap();
    assert_status(&output, 0);
    let read = |run: &Path| std::fs::read(run.join("parameters.safetensors")).unwrap();
    let first = folder.path().join("run");
    assert!(read(&again) == read(&first));
    assert_eq!(settings(&again), settings(&first));
    let output = command()
        .args(["recipe", "reversal", "--recipe"])
        .arg(&recipe)
        .output()
        .unwrap();
    assert_status(&output, 2);
    let message = error_text(&output);
    for part in ["task.kind", "one-shot", "reversal"] {
        assert!(message.contains(part), "{message}");
    }
    // Beside the recipe a setting would count for nothing.
    replace(&recipe, "identity =", "population = 7\nidentity =");
    let output = command()
        .args(["recipe", "one-shot", "--recipe"])
        .arg(&recipe)
        .output()
        .unwrap();
    assert_status(&output, 2);
    let message = error_text(&output);
    for part in ["run.toml: population", "unknown key"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn arguments_out_of_range_are_refused() {
    let folder = trained(&["one-shot", "--population", "2", "--episodes", "100"]);
    for (name, arguments, parts) in [
        ("evaluate", ["--episodes", "0"], ["episodes", "zero"]),
        (
            "evaluate",
            ["--episodes", "18446744073709551615"],
            ["episodes", "at most"],
        ),
        ("evaluate", ["--seed", "-1"], ["--seed", "-1"]),
        ("evaluate", ["--device", "some"], ["--engine", "some"]),
        ("inspect", ["--network", "2"], ["--network", "0 to 1"]),
        ("inspect", ["--network", "-1"], ["--network", "-1"]),
    ] {
        let cpu: &[&str] = if name == "evaluate" {
            &["--engine", "cpu"]
        } else {
            &[]
        };
        let output = on_run(name, &folder, &[&arguments[..], cpu].concat());
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(output.stdout.is_empty());
    }
    let nowhere = ["--output", "/proc/no/such/figure.svg"];
    for name in ["evaluate", "inspect"] {
        assert_status(&on_run(name, &folder, &nowhere), 1);
    }
}

#[test]
fn a_run_is_evaluated_on_other_episodes_of_its_task() {
    let folder = trained(&["one-shot", "--population", "2", "--episodes", "2000"]);
    let usual = json(&on_run("evaluate", &folder, &["--json", "--episodes=64"]));
    let same = json(&on_run(
        "evaluate",
        &folder,
        &["--json", "--episodes=64", "--steps=20"],
    ));
    assert_eq!(same, usual);
    let longer = ["--json", "--episodes=64", "--steps=50"];
    let longer = json(&on_run("evaluate", &folder, &longer));
    assert_eq!(longer["steps"].as_array().unwrap().len(), 50);
    assert_ne!(longer["error"], usual["error"]);
    for (option, parts) in [
        // The network would have to be larger.
        ("--patterns=4", ["inputs", "12"]),
        ("--cycles=2", ["--cycles", "no such setting"]),
        ("--steps=0", ["steps", "more than 2"]),
    ] {
        let output = on_run("evaluate", &folder, &["--engine=cpu", option]);
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(output.stdout.is_empty());
    }
}
