//! Sweeps: settings that have several values.

use crate::support::{Running, assert_status, command, error_text, metaplastic, names, read};
use serde_json::Value;
use std::path::Path;

const SMALL: [&str; 5] = [
    "--population=2",
    "--episodes=30",
    "--engine=cpu",
    "--seed=3",
    "--quiet",
];

fn train(run: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = command();
    command
        .args(["train", "one-shot"])
        .args(SMALL)
        .args(arguments);
    command.arg("--output").arg(run).output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_sweep_is_one_population_and_every_file_is_by_value() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let swept = ["--learning-rate=0.01,0.1", "--plasticity-scale=none,0.5"];
    assert_status(&train(&run, &swept), 0);
    let summary = json(&run.join("summary.json"));
    assert_eq!(summary["population"], 8);
    assert_eq!(
        summary["final_error"]["per_network"]
            .as_array()
            .unwrap()
            .len(),
        8
    );
    let points = summary["points"].as_array().unwrap();
    assert_eq!(points.len(), 4);
    assert_eq!(points[3]["name"], "plasticity_scale 0.5, learning_rate 0.1");
    assert_eq!(points[3]["settings"]["optimiser.learning_rate"], 0.1);
    assert_eq!(points[0]["settings"]["initial.plasticity_scale"], "none");
    assert_eq!(
        (&points[3]["first_network"], &points[3]["population"]),
        (&6.into(), &2.into())
    );
    let best = summary["best"].as_u64().unwrap() as usize;
    let median = |index: usize| points[index]["median"].as_f64().unwrap();
    assert!((0..4).all(|index| median(best) <= median(index)));
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert_eq!(line["points"].as_array().unwrap().len(), 4);
    let errors: Vec<f64> = (2..4)
        .map(|network| line["error"][network].as_f64().unwrap())
        .collect();
    let median = line["points"][1]["median"].as_f64().unwrap();
    assert!((median - (errors[0] + errors[1]) / 2.0).abs() < 1e-12);
    let figure = std::fs::read_to_string(run.join("curve.svg")).unwrap();
    for point in points {
        assert!(figure.contains(point["name"].as_str().unwrap()));
    }
    assert!(figure.contains("best: "));
    // A network is that of a plain run with its value and seed.
    let plain = folder.path().join("plain");
    let arguments = ["--learning-rate=0.1", "--population=1", "--seed=4"];
    let mut alone = command();
    alone
        .args([
            "train",
            "one-shot",
            "--episodes=30",
            "--engine=cpu",
            "--quiet",
        ])
        .args(arguments);
    assert_status(&alone.arg("--output").arg(&plain).output().unwrap(), 0);
    let [all, one] = [&run, &plain].map(|run| read(&run.join("parameters.safetensors")));
    for (name, one) in one {
        let size = one.values.len();
        assert_eq!(
            all[&name].values[3 * size..][..size],
            one.values[..],
            "{name}"
        );
    }
    // The settings run again, and stay what they were.
    let again = folder.path().join("again");
    let recipe = run.join("run.toml");
    let arguments = ["train", "--engine=cpu", "--quiet", "--recipe"];
    let output = command()
        .args(arguments)
        .arg(&recipe)
        .arg("--output")
        .arg(&again)
        .output();
    assert_status(&output.unwrap(), 0);
    assert_eq!(
        read(&run.join("parameters.safetensors")),
        read(&again.join("parameters.safetensors"))
    );
    assert!(
        std::fs::read_to_string(recipe)
            .unwrap()
            .contains("learning_rate = [0.01, 0.1]")
    );
}

#[test]
fn what_a_sweep_left_is_shown_by_value() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert_status(&train(&run, &["--l1=0,1e-3", "--optimiser=adam,sgd"]), 0);
    let path = run.to_str().unwrap();
    let text = |arguments: &[&str]| {
        let output = metaplastic(arguments);
        assert_status(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let evaluated = text(&["evaluate", path, "--episodes=5", "--engine=cpu"]);
    assert!(
        evaluated.contains("best: ") && evaluated.contains("method sgd"),
        "{evaluated}"
    );
    let report: Value = serde_json::from_str(&text(&[
        "evaluate",
        path,
        "--episodes=5",
        "--engine=cpu",
        "--json",
    ]))
    .unwrap();
    let networks = report["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 8);
    // Every point sees the same episodes.
    let seeds: Vec<_> = networks
        .iter()
        .map(|it| it["seed"].as_u64().unwrap())
        .collect();
    assert_eq!(seeds, [3, 4, 3, 4, 3, 4, 3, 4]);
    assert_eq!(report["points"].as_array().unwrap().len(), 4);
    // The network that is shown is of the best point.
    let summary = json(&run.join("summary.json"));
    let best = summary["points"][summary["best"].as_u64().unwrap() as usize]["name"].clone();
    let inspected = text(&["inspect", path]);
    assert!(inspected.contains(best.as_str().unwrap()), "{inspected}");
    let listed = text(&["runs", folder.path().to_str().unwrap()]);
    assert!(
        listed.contains("of 8") && listed.contains("best: "),
        "{listed}"
    );
    let report = folder.path().join("report.html");
    text(&[
        "report",
        path,
        "--episodes=5",
        "--engine=cpu",
        "--output",
        report.to_str().unwrap(),
    ]);
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.contains("method sgd"));
    // The figure is of points.
    assert!(page.contains("the median of each point"));
    assert!(!page.contains("The error of each network over"));
}

#[test]
fn what_cannot_differ_in_a_population_is_trained_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let output = train(&run, &["--batch=1,2", "--bits=4,5", "--l1=0,1e-3"]);
    assert_status(&output, 0);
    let inside = [
        "batch-1_bits-4",
        "batch-1_bits-5",
        "batch-2_bits-4",
        "batch-2_bits-5",
    ];
    let expected = [&inside[..], &["curve.svg", "summary.json", "sweep.toml"]].concat();
    assert_eq!(names(&run), expected);
    let summary = json(&run.join("summary.json"));
    let points = summary["points"].as_array().unwrap();
    assert_eq!((points.len(), &summary["interrupted"]), (8, &false.into()));
    assert_eq!(points[7]["name"], "batch 2, bits 5, l1 0.001");
    assert_eq!(points[7]["run"], "batch-2_bits-5");
    // By their keys, as in the summary of a run.
    let keys: Vec<_> = points[7]["settings"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["batch", "optimiser.l1", "task.bits"]);
    assert_eq!(points[7]["settings"]["batch"], 2);
    assert_eq!(points[7]["settings"]["task.bits"], 5);
    let best = &points[summary["best"].as_u64().unwrap() as usize];
    let figure = std::fs::read_to_string(run.join("curve.svg")).unwrap();
    assert!(figure.contains(best["name"].as_str().unwrap()));
    // Each is a run of its own; of all, the best is looked at.
    let path = run.to_str().unwrap();
    let output = metaplastic(&["inspect", path]);
    assert_status(&output, 0);
    assert!(error_text(&output).contains(best["run"].as_str().unwrap()));
    let output = metaplastic(&["compare", path]);
    assert_status(&output, 0);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 5);
    let output = metaplastic(&["resume", path]);
    assert_status(&output, 0);
    // What is there is not replaced.
    for more in [&[][..], &["--force"]] {
        let output = train(&run, &[&["--batch=1,2"], more].concat());
        assert_status(&output, 2);
    }
    assert_eq!(json(&run.join("summary.json")), summary);
}

#[test]
fn runs_one_after_the_other_go_on_where_they_were_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let [run, whole] = ["run", "whole"].map(|name| folder.path().join(name));
    let arguments = [
        "--batch=1,2",
        "--l1=0,1e-3",
        "--episodes=3000",
        "--quiet",
        "--population=2",
    ];
    let begin = |run: &Path| {
        let mut command = command();
        command.args([
            "train",
            "one-shot",
            "--engine=cpu",
            "--checkpoint-every=5ms",
        ]);
        command.args(arguments).arg("--output").arg(run);
        command
    };
    let mut child = Running::start(&mut begin(&run));
    let start = std::time::Instant::now();
    while !run.join("batch-1/checkpoints").exists() {
        assert!(start.elapsed().as_secs() < 60 && !child.has_ended());
    }
    assert!(run.join("batch-2/run.toml").exists());
    let mut kill = std::process::Command::new("kill");
    assert!(
        kill.args(["-s", "TERM", &child.id()])
            .status()
            .unwrap()
            .success()
    );
    let output = child.output();
    assert_status(&output, 130);
    assert_eq!(json(&run.join("summary.json"))["interrupted"], true);
    let output = command()
        .arg("resume")
        .arg(&run)
        .arg("--quiet")
        .output()
        .unwrap();
    assert_status(&output, 0);
    assert_status(&begin(&whole).output().unwrap(), 0);
    for part in ["batch-1", "batch-2"] {
        let [one, other] =
            [&run, &whole].map(|it| read(&it.join(part).join("parameters.safetensors")));
        assert_eq!(one, other, "{part}");
    }
    let [one, other] = [&run, &whole].map(|it| json(&it.join("summary.json"))["points"].clone());
    assert_eq!(one, other);
}

#[test]
fn what_is_no_sweep_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for (arguments, parts) in [
        (
            &["--learning-rate=0.1,0.1"][..],
            &["learning-rate", "twice"][..],
        ),
        (
            &["--learning-rate=0.1,1e-1"],
            &["--learning-rate", "0.1 and 1e-1", "twice"],
        ),
        (
            &["--learning-rate=0.1,0.2,0.10"],
            &["--learning-rate", "0.1 and 0.10", "twice"],
        ),
        (&["--batch=2,2.0"], &["--batch", "2 and 2.0", "twice"]),
        (&["--steps=10,20,1e1"], &["--steps", "10 and 1e1", "twice"]),
        (
            &["--learning-rate=0.1,"],
            &["--learning-rate", "not a number"],
        ),
        (&["--learning-rate=0.1,-1"], &["optimiser.learning_rate"]),
        (&["--optimiser=adam,sgd", "--momentum=0.5"], &["momentum"]),
        (
            &["--optimiser=adam,rmsprop", "--epsilon=1e-8,1e-6"],
            &["method"],
        ),
        (&["--seed=1,2"], &["--seed"]),
        (&["--batch=1,0"], &["batch", "zero"]),
        (&["--batch=2,3000"], &["episodes"]),
    ] {
        let output = train(&run, arguments);
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(
            parts.iter().all(|part| message.contains(part)),
            "{arguments:?}: {message}"
        );
        assert!(!run.exists(), "{arguments:?}");
    }
}

#[test]
fn a_sweep_begins_with_the_networks_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let [first, swept] = ["first", "swept"].map(|name| folder.path().join(name));
    assert_status(&train(&first, &[]), 0);
    let from = ["--from", first.to_str().unwrap(), "--learning-rate=0,0.1"];
    assert_status(&train(&swept, &from), 0);
    let [before, after] = [&first, &swept].map(|run| read(&run.join("parameters.safetensors")));
    for (name, before) in before {
        // With a learning rate of 0 and no penalty they stay as they are.
        let values = &after[&name].values;
        assert_eq!(values.len(), 2 * before.values.len());
        if name.ends_with("rate") {
            assert_eq!(values[..before.values.len()], before.values[..]);
        }
    }
    // Overridden, nothing of the sweep is left.
    let plain = folder.path().join("plain");
    let recipe = swept.join("run.toml");
    let output = train(
        &plain,
        &[
            "--recipe",
            recipe.to_str().unwrap(),
            "--learning-rate=0.2",
            "--force",
        ],
    );
    assert_status(&output, 0);
    assert_eq!(json(&plain.join("summary.json"))["population"], 2);
}

#[test]
fn a_run_does_not_replace_a_sweep_of_several() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert_status(&train(&run, &["--batch=1,2"]), 0);
    let before = [names(&run), names(&run.join("batch-1"))];
    for arguments in [&[][..], &["--force"]] {
        let output = train(&run, arguments);
        assert_status(&output, 2);
        assert!(error_text(&output).contains("run"), "{arguments:?}");
    }
    assert_eq!([names(&run), names(&run.join("batch-1"))], before);
    // Nor in the folder that has the run's name, where none is asked for.
    let unasked = |arguments: &[&str]| {
        let mut command = command();
        command
            .current_dir(folder.path())
            .args(["train", "one-shot"]);
        command.args(SMALL).args(arguments).output().unwrap()
    };
    assert_status(&unasked(&["--batch=1,2"]), 0);
    assert_status(&unasked(&["--force"]), 2);
    assert_status(&unasked(&[]), 0);
    assert!(
        folder
            .path()
            .join("runs/one-shot-seed3-2/run.toml")
            .exists()
    );
}

#[test]
fn runs_of_a_sweep_without_results_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert_status(&train(&run, &["--batch=1,2"]), 0);
    // As though it had been stopped before the second.
    for file in ["parameters.safetensors", "summary.json", "metrics.jsonl"] {
        std::fs::remove_file(run.join("batch-2").join(file)).unwrap();
    }
    std::fs::remove_dir_all(run.join("batch-2/checkpoints")).unwrap();
    let report = folder.path().join("report.html");
    let path = run.to_str().unwrap();
    let output = metaplastic(&[
        "report",
        path,
        "--episodes=5",
        "--engine=cpu",
        "--output",
        report.to_str().unwrap(),
    ]);
    assert_status(&output, 0);
    let told = error_text(&output);
    assert!(told.contains("batch-2: left out"), "{told}");
    // What a sweep consists of is no place for a report.
    for file in ["batch-1/run.toml", "batch-1/parameters.safetensors"] {
        let file = run.join(file);
        let before = std::fs::read(&file).unwrap();
        let link = folder.path().join("link.html");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for (output, part) in [(&file, ".html"), (&link, "also an input")] {
            let output = output.to_str().unwrap();
            let output = metaplastic(&["report", path, "--force", "--output", output]);
            assert_status(&output, 2);
            let message = error_text(&output);
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), before);
        std::fs::remove_file(link).unwrap();
    }
}

#[test]
fn runs_told_apart_by_their_length_do_not_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut command = command();
    command.args(["train", "one-shot", "--engine=cpu", "--population=1"]);
    command.args(["--episodes=20,30", "--output"]).arg(&run);
    assert_status(&command.output().unwrap(), 0);
    let before = json(&run.join("summary.json"));
    let output = metaplastic(&["resume", run.to_str().unwrap(), "--episodes=40"]);
    assert_status(&output, 2);
    assert!(error_text(&output).contains("told apart"));
    assert_eq!(json(&run.join("summary.json")), before);
}

#[test]
fn a_list_in_a_recipe_has_each_value_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    for (text, part) in [
        ("[optimiser]\nl1 = [0, 0.0]", "optimiser.l1"),
        ("batch = [1, -2]", "batch: -2"),
    ] {
        std::fs::write(&file, text).unwrap();
        let run = folder.path().join("run");
        let output = train(&run, &["--recipe", file.to_str().unwrap()]);
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(message.contains(part), "{part} in {message}");
        assert!(!run.exists());
    }
}
