//! `metaplastic runs` and `metaplastic compare`.

use crate::support::{Running, assert_status, command, error_text};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

fn train(folder: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = command();
    command.current_dir(folder);
    command.args(["train", "one-shot", "--engine=cpu", "--population=2"]);
    command.args(arguments);
    command
}

#[test]
fn runs_are_listed_with_how_far_they_are_and_what_they_differ_in() {
    let folder = tempfile::tempdir().unwrap();
    let list = |arguments: &[&str]| {
        let mut command = command();
        command
            .current_dir(folder.path())
            .arg("runs")
            .args(arguments);
        let output = command.output().unwrap();
        assert_status(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    assert_eq!(list(&[]), "");
    for arguments in [
        ["--episodes=600", "--learning-rate=0.01", "--tag=a"],
        ["--episodes=700", "--learning-rate=0.03", "--name=fast"],
    ] {
        assert_status(&train(folder.path(), &arguments).output().unwrap(), 0);
    }
    let endless = ["--episodes=1000000000", "--name=endless"];
    let live = folder.path().join("runs/endless");
    let mut children = [0, 1].map(|_| {
        let child = Running::start(&mut train(folder.path(), &endless));
        let start = Instant::now();
        while !live
            .join("metrics.jsonl")
            .metadata()
            .is_ok_and(|it| it.len() > 0)
        {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(child)
    });
    let second = folder.path().join("runs/endless-2");
    while !second.join("run.toml").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    children[1].take().unwrap().kill();

    let text = list(&[]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    for (line, parts) in [
        (0, ["run", "state", "settings that differ"]),
        (1, ["runs/endless ", "running", "episodes=1000000000"]),
        (
            2,
            [
                "runs/endless-2 (endless)",
                "interrupted",
                "learning_rate=0.01",
            ],
        ),
        (3, ["runs/fast ", "done", "learning_rate=0.03"]),
        (4, ["runs/one-shot-seed0 ", "done", "episodes=600"]),
    ] {
        let line = lines[line];
        assert!(parts.iter().all(|part| line.contains(part)), "{text}");
    }
    // In these two they do not differ.
    assert!(!text.contains("seed=") && !text.contains("population="));

    let all: Vec<Value> = list(&["--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let states: Vec<_> = all
        .iter()
        .map(|run| run["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["running", "interrupted", "done", "done"]);
    assert!(all[0]["solved"].is_null() && all[2]["solved"].is_u64());
    assert!(all[0]["error"].is_f64() && all[3]["error"].is_f64());
    assert_eq!(all[2]["settings"]["optimiser.learning_rate"], "0.03");
    let tagged = list(&["--tag", "a", "--json"]);
    assert!(tagged.lines().count() == 1 && tagged.contains("one-shot-seed0"));

    // One that cannot be read is named, and hides no other.
    std::fs::write(second.join("run.toml"), "half = ").unwrap();
    let mut command = command();
    let output = command.arg("runs").arg(folder.path()).output().unwrap();
    assert_status(&output, 0);
    assert!(error_text(&output).contains("endless-2"));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 4);
    children[0].take().unwrap().kill();

    let nowhere = crate::support::metaplastic(&["runs", "no/such/folder"]);
    assert_status(&nowhere, 2);
    assert!(error_text(&nowhere).contains("no/such/folder"));
}

#[test]
fn runs_are_compared_in_a_table_and_a_figure() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["slow", "fast"] {
        let rate = match name {
            "slow" => "--learning-rate=0.001",
            _ => "--learning-rate=0.03",
        };
        let arguments = ["--episodes=1200", rate, "--name", name];
        assert_status(&train(folder.path(), &arguments).output().unwrap(), 0);
    }
    let compare = |arguments: &[&str]| {
        let mut command = command();
        command.current_dir(folder.path()).arg("compare");
        command.args(arguments).output().unwrap()
    };
    let figure = folder.path().join("both.svg");
    let output = compare(&["runs/slow", "runs/fast", "--output", "both.svg"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("slow") && lines[2].starts_with("fast"));
    let drawn = std::fs::read_to_string(&figure).unwrap();
    for part in ["slow", "fast", "solved below 0.05"] {
        assert!(drawn.contains(part), "{part}");
    }
    assert_eq!(drawn.matches("<polygon").count(), 2);

    let lines = compare(&["runs/fast", "runs/slow", "--json"]).stdout;
    let lines = String::from_utf8(lines).unwrap();
    let errors: Vec<f64> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["final_error"]["median"].as_f64().unwrap())
        .collect();
    assert!(errors[0] < errors[1], "{lines}");

    for (arguments, part) in [
        (["runs/fast", "runs/fast"].as_slice(), "given twice"),
        (&["runs/fast", "runs/slow", "./runs/fast/"], "given twice"),
        (
            &["runs/fast", "runs/slow", "--output=runs/fast/curve.svg"],
            "input",
        ),
        (&["runs/fast", "runs/slow", "--output=both"], ".png"),
        (&["runs/fast"], "RUN"),
        (&["runs/fast", "runs/nowhere"], "nowhere"),
        (&["runs/fast", "runs/slow", "--output=both.gif"], ".png"),
    ] {
        let output = compare(arguments);
        assert_status(&output, 2);
        assert!(
            error_text(&output).contains(part),
            "{}",
            error_text(&output)
        );
    }
}

#[test]
fn settings_that_differ_are_told_apart_and_short() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        ["--optimiser=sgd", "--max-gradient-norm=1e30"],
        ["--schedule=step", "--max-gradient-norm=1e-30"],
    ] {
        let all = [&["--episodes=200"][..], &arguments].concat();
        assert_status(&train(folder.path(), &all).output().unwrap(), 0);
    }
    let mut command = command();
    let output = command.arg("runs").arg(folder.path()).output().unwrap();
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        " method.kind=sgd ",
        " schedule.kind=step",
        "max_gradient_norm=1e30 ",
        "max_gradient_norm=1e-30 ",
        " every=45 ",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains(" kind="), "{text}");
}
