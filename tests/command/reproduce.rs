//! `metaplastic reproduce`.

use crate::support::{assert_status, command, error_text, names, read};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

fn reproduce(folder: &Path, arguments: &[&str]) -> Output {
    command()
        .args(["reproduce", "--engine", "cpu", "--output"])
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn every_experiment_leaves_its_run_and_one_report_shows_all() {
    let folder = tempfile::tempdir().unwrap();
    let output = reproduce(folder.path(), &["--runs", "2", "--seed", "3"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "completion",
        "one-shot",
        "reversal",
        "of 2",
        "report.html",
        "worst",
    ] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    let expected = [
        "completion",
        "one-shot",
        "report.html",
        "reversal",
        "summary.json",
    ];
    assert_eq!(names(folder.path()), expected);

    let report = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert_eq!(report.matches("<svg").count(), 12);
    assert_eq!(report.matches("</svg>").count(), 12);
    assert_eq!(report.matches("<h2").count(), 3);
    // It needs no other file.
    for outside in ["src=", "url(", "<script", "<link", "@import"] {
        assert!(!report.contains(outside), "{outside}");
    }
    for part in [
        "--runs 2 --seed 3",
        "plasticity coefficients",
        "learning_rate = 0.03",
    ] {
        assert!(report.contains(part), "{part}");
    }

    // What stands in the report is what each run says of itself, and its figures are there as files too.
    for (index, task) in ["completion", "one-shot", "reversal"].iter().enumerate() {
        let run = folder.path().join(task);
        let file = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
        for figure in ["curve.svg", "network.svg", "heat-maps.svg"] {
            assert!(report.contains(file(figure).trim()), "{task}: {figure}");
        }
        let summary: Value = serde_json::from_str(&file("summary.json")).unwrap();
        assert_eq!(summary["seed"], 3);
        let median = format!("{:.4}", summary["final_error"]["median"].as_f64().unwrap());
        assert!(report.contains(&format!("<td>{median}</td>")) && text.contains(&median));
        let weights = read(&run.join("parameters.safetensors"));
        assert_eq!(weights["layer0.weight"].shape[0], 2);
        let all = std::fs::read_to_string(folder.path().join("summary.json")).unwrap();
        let all: Value = serde_json::from_str(&all).unwrap();
        assert_eq!(all["experiments"][index], summary);
    }

    // A network of a reproduction is the network that `train` makes of its seed.
    let alone = tempfile::tempdir().unwrap();
    let output = command()
        .args(["train", "reversal", "--population", "1", "--seed", "4"])
        .args(["--engine", "cpu", "--output"])
        .arg(alone.path())
        .output()
        .unwrap();
    assert_status(&output, 0);
    let alone = read(&alone.path().join("parameters.safetensors"));
    let both = read(&folder.path().join("reversal/parameters.safetensors"));
    for (name, tensor) in &alone {
        assert_eq!(
            both[name].values[tensor.values.len()..],
            tensor.values,
            "{name}"
        );
    }

    // Neither the whole nor a part of it is replaced without being asked to.
    let before = names(folder.path());
    let output = reproduce(folder.path(), &["--runs", "1"]);
    assert_status(&output, 2);
    assert!(error_text(&output).contains("--force"));
    std::fs::remove_file(folder.path().join("report.html")).unwrap();
    std::fs::remove_file(folder.path().join("summary.json")).unwrap();
    assert_status(&reproduce(folder.path(), &["--runs", "1"]), 2);
    let output = reproduce(folder.path(), &["--runs", "1", "--force", "--json"]);
    assert_status(&output, 0);
    assert_eq!(names(folder.path()), before);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["experiments"][2]["population"], 1);
    assert!(summary["report"].as_str().unwrap().ends_with("report.html"));
}

#[test]
fn bad_arguments_are_refused_with_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("place");
    for (arguments, parts) in [
        (&["--runs", "0"][..], ["population", "zero"]),
        (&["--runs", "-1"], ["--runs", "-1"]),
        (
            &["--runs", "18446744073709551615"],
            ["population of", "bytes"],
        ),
        (&["--seed", "18446744073709551615"], ["seed", "at most"]),
        (&["--device", "some"], ["--device", "some"]),
    ] {
        let output = reproduce(&place, arguments);
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(output.stdout.is_empty() && !place.exists());
    }
    std::fs::write(&place, "").unwrap();
    assert_status(&reproduce(&place, &["--runs", "1"]), 2);
}
