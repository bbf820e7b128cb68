//! `metaplastic train pattern-memory`, and its control; the control of every other task too.

use crate::support::{assert_status, command, error_text, names, read};
use crate::train::FILES;
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use toml::Table;

/// Two patterns of 8 bits.
const SMALL: [&str; 8] = [
    "--bits",
    "8",
    "--population",
    "2",
    "--episodes",
    "60",
    "--seed",
    "3",
];

#[track_caller]
fn train(task: &str, folder: &Path, arguments: &[&str]) -> Output {
    let output = command()
        .args(["train", task, "--engine", "cpu", "--output"])
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert_status(&output, 0);
    output
}

fn evaluate(run: &Path, arguments: &[&str]) -> Output {
    let mut command = command();
    command.arg("evaluate").arg(run).args(arguments);
    command.output().unwrap()
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

fn recipe_of(run: &Path) -> Table {
    let text = std::fs::read_to_string(run.join("run.toml")).unwrap();
    text.parse::<Table>().unwrap()["recipe"]
        .as_table()
        .unwrap()
        .clone()
}

#[test]
fn a_run_shows_what_comes_back_and_is_judged_by_that() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let text = String::from_utf8(train("pattern-memory", &run, &SMALL).stdout).unwrap();
    assert!(text.contains("(wrong answers below 0.01)"), "{text}");
    let mut expected = FILES.to_vec();
    expected.insert(5, "recall.svg");
    assert_eq!(names(&run), expected);
    let page = folder.path().join("page.html");
    let mut report = command();
    report
        .args(["report", "--engine=cpu", "--episodes=2"])
        .arg(&run);
    assert_status(&report.arg("--output").arg(&page).output().unwrap(), 0);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("arxiv.org/abs/1804.02464") && !page.contains("1609.02228"));
    let figure = std::fs::read_to_string(run.join("recall.svg")).unwrap();
    assert!(figure.contains("Pattern memory: what comes back"));
    assert_eq!(figure.matches(" of 4 wrong").count(), 3);
    let curve = std::fs::read_to_string(run.join("curve.svg")).unwrap();
    assert!(curve.contains("median") && !curve.contains("solved below"));

    // As many fresh episodes as ran frozen.
    let summary = json(&std::fs::read(run.join("summary.json")).unwrap());
    let report = evaluate(&run, &["--json", "--episodes", "6"]);
    assert_status(&report, 0);
    let report = json(&report.stdout);
    let wrong = summary["wrong_answers"]["per_network"].as_array().unwrap();
    assert_eq!(
        (wrong.len(), report["solved"].clone()),
        (2, summary["solved"].clone())
    );
    for (index, wrong) in wrong.iter().enumerate() {
        let right = report["networks"][index]["accuracy"].as_f64().unwrap();
        assert_eq!(wrong.as_f64().unwrap(), 1.0 - right);
    }
    let text = String::from_utf8(evaluate(&run, &["--episodes", "6"]).stdout).unwrap();
    assert!(text.contains("less than 1 % wrong"), "{text}");
}

#[test]
fn the_matrices_of_a_recurrent_network_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (run, file) = (folder.path().join("run"), folder.path().join("a.svg"));
    train("pattern-memory", &run, &SMALL);
    let inspect = |arguments: &[&str]| {
        let mut command = command();
        command.arg("inspect").arg(&run).args(arguments);
        let output = command.output().unwrap();
        assert_status(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let text = inspect(&["--output", file.to_str().unwrap()]);
    assert!(
        text.contains("plastic, α") && !text.contains("no plasticity"),
        "{text}"
    );
    let drawing = std::fs::read_to_string(&file).unwrap();
    for part in [
        "α, plasticity coefficients of layer 0",
        ">bit 8<",
        ">constant<",
    ] {
        assert!(drawing.contains(part), "{part}");
    }
    // 8 postsynaptic neurons of 9 presynaptic ones, twice; colour bars; the background.
    assert_eq!(drawing.matches("<rect").count(), 2 * (8 * 9 + 41) + 1);
    let networks = &json(inspect(&["--json"]).as_bytes())["networks"];
    assert_eq!(networks[1]["units"], Value::Array(Vec::new()));
}

#[test]
fn a_control_is_drawn_beside() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (run, control, figure) = (place("run"), place("control"), place("a.svg"));
    train("pattern-memory", &run, &SMALL);
    train(
        "pattern-memory",
        &control,
        &[&SMALL[..], &["--plasticity", "none"]].concat(),
    );
    let drawn = |others: &[&str]| {
        let figure = figure.to_str().unwrap();
        let arguments = [&["--episodes", "5", "--recall", figure][..], others].concat();
        let output = evaluate(&run, &arguments);
        (output, std::fs::read_to_string(figure).unwrap_or_default())
    };
    let (output, alone) = drawn(&[]);
    assert_status(&output, 0);
    // Of the run's own episodes, as its folder has it.
    let own = std::fs::read_to_string(run.join("recall.svg")).unwrap();
    assert_eq!(alone, own);
    let (output, both) = drawn(&["--control", control.to_str().unwrap()]);
    assert_status(&output, 0);
    assert!(both.contains(">control: seed ") && both.contains(">control's recall<"));
    assert_eq!(both.matches(" of 4 wrong").count(), 6);

    let (other, completion) = (place("other"), place("completion"));
    train(
        "pattern-memory",
        &other,
        &[&SMALL[2..], &["--bits", "6"]].concat(),
    );
    train("completion", &completion, &SMALL[2..]);
    std::fs::remove_file(&figure).unwrap();
    let (output, text) = drawn(&["--control", other.to_str().unwrap()]);
    assert_status(&output, 2);
    let message = error_text(&output);
    assert!(message.contains("--control") && text.is_empty());
    assert!(
        message.contains("a run on bits 6, expected one on bits 8,"),
        "{message}"
    );
    let (output, _) = drawn(&["--control", completion.to_str().unwrap()]);
    assert_status(&output, 2);
    let message = error_text(&output);
    let names = "a run on completion, expected one on pattern-memory,";
    assert!(message.contains(names), "{message}");
    let path = figure.to_str().unwrap();
    let output = evaluate(&completion, &["--recall", path]);
    assert_status(&output, 2);
    let message = error_text(&output);
    assert!(
        message.contains("--recall") && message.contains("completion"),
        "{message}"
    );
    assert_status(&evaluate(&run, &["--control", path]), 2);
    assert!(!figure.exists());
}

#[test]
fn the_larger_setting_is_the_papers() {
    let output = command()
        .args(["recipe", "pattern-memory", "--bits", "1000"])
        .output()
        .unwrap();
    assert_status(&output, 0);
    let recipe: Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let expected = "kind = \"pattern-memory\"\nbits = 1000\npatterns = 5\ncycles = 2\nshow = 6\ngap = 4\ntest = 6\ngain = 20.0";
    assert_eq!(
        recipe["task"],
        toml::Value::Table(expected.parse().unwrap())
    );
    let layer = &recipe["network"]["layer"][0];
    assert_eq!(layer["outputs"].as_integer(), Some(1_000));
    assert_eq!(recipe["population"].as_integer(), Some(1));
    // What is said has the last word.
    let output = command()
        .args([
            "recipe",
            "pattern-memory",
            "--bits",
            "1000",
            "--cycles",
            "1",
        ])
        .output()
        .unwrap();
    let recipe: Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    assert_eq!(recipe["task"]["cycles"].as_integer(), Some(1));
    assert_eq!(recipe["task"]["patterns"].as_integer(), Some(5));
}

#[test]
fn every_task_has_a_control_without_plasticity() {
    for (task, inputs) in [
        ("completion", 8),
        ("one-shot", 10),
        ("reversal", 10),
        ("pattern-memory", 50),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let small = [
            "--population",
            "1",
            "--episodes",
            "20",
            "--plasticity",
            "none",
        ];
        train(task, folder.path(), &small);
        let layers = recipe_of(folder.path())["network"]["layer"].clone();
        let layer = layers.as_array().unwrap()[0].as_table().unwrap().clone();
        assert_eq!(layer["plasticity"].as_str(), Some("none"));
        assert!(
            ["rule", "rate", "plastic_bias"]
                .iter()
                .all(|key| !layer.contains_key(*key))
        );
        let parameters = read(&folder.path().join("parameters.safetensors"));
        let weight = &parameters["layer0.weight"];
        assert_eq!(*weight.shape.last().unwrap(), inputs);
        assert!(parameters.contains_key("layer0.bias"), "{task}");
        let plastic = ["layer0.plasticity", "layer0.rate"];
        assert!(plastic.iter().all(|name| !parameters.contains_key(*name)));
        // Any run can be evaluated and inspected.
        assert_status(&evaluate(folder.path(), &["--episodes", "5"]), 0);
        let mut inspect = command();
        assert_status(
            &inspect.arg("inspect").arg(folder.path()).output().unwrap(),
            0,
        );
    }
}
