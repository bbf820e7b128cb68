//! `metaplastic report`, and figures as files.

use crate::support::{assert_status, command, error_text, metaplastic, names};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Trains into a folder; the exit status is given back.
fn train(run: &Path, arguments: &[&str]) -> Option<i32> {
    let mut command = command();
    command.arg("train").args(arguments);
    command.args(["--engine", "cpu", "--output"]).arg(run);
    command.output().unwrap().status.code()
}

const REVERSAL: [&str; 5] = ["reversal", "--population", "3", "--episodes", "600"];

/// Runs the command within `folder`.
fn within(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command();
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

fn report(folder: &Path, arguments: &[&str]) -> Output {
    let first = ["report", "--engine", "cpu", "--episodes", "50"];
    within(folder, &[&first[..], arguments].concat())
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_run_has_a_report_that_needs_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert_eq!(train(&run, &REVERSAL), Some(0));
    let output = report(folder.path(), &["run"]);
    assert_status(&output, 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("run/report.html"));
    let page = text(run.join("report.html"));
    for outside in ["src=", "url(", "<script", "<link", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in [
        "name=\"viewport\"",
        "prefers-color-scheme: dark",
        "svg [fill=\"#2B2F36\"]",
        "href=\"https://arxiv.org/abs/1609.02228\"",
        "href=\"https://docs.rs/metaplastic\"",
        "<dt>version</dt>",
        "<dt>engine</dt>",
        "Reversal learning",
        "labels swap",
        "learning_rate",
        "metaplastic report run",
        "The error of each network over the episodes. Shaded: the last episodes",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // A row for each network, by its seed.
    for seed in 0..3 {
        assert!(page.contains(&format!("<tr><td>{seed}</td>")), "{seed}");
    }
    assert!(!page.contains("<tr><td>3</td>"));

    // Each figure has a title, by a name of its own.
    assert_eq!(page.matches("<svg").count(), 4);
    let titles: BTreeSet<_> = page
        .split("role=\"img\" aria-labelledby=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(titles.len(), 4);
    for title in titles {
        assert_eq!(page.matches(&format!("<title id=\"{title}\">")).count(), 1);
    }

    // Its figures are those of the run and of `evaluate`.
    let figure = folder.path().join("steps.svg");
    let arguments = ["evaluate", "run", "--engine", "cpu", "--episodes", "50"];
    let output = [&arguments[..], &["--output", figure.to_str().unwrap()]].concat();
    assert_status(&within(folder.path(), &output), 0);
    for file in [figure, run.join("curve.svg")] {
        assert!(page.contains(text(file.clone()).trim()), "{file:?}");
    }
}

#[test]
fn several_runs_have_one_report_where_one_stands() {
    let folder = tempfile::tempdir().unwrap();
    train(&folder.path().join("a"), &REVERSAL);
    let completion = ["completion", "--population", "1", "--episodes", "50"];
    train(&folder.path().join("b"), &completion);
    assert_status(&report(folder.path(), &["a", "b"]), 0);
    assert_eq!(names(folder.path()), ["a", "b", "report.html"]);
    let page = text(folder.path().join("report.html"));
    for part in [
        "2 runs",
        "href=\"#run-1\"",
        "id=\"run-2\"",
        "Pattern completion",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_status(&report(folder.path(), &["b", "--output", "b.html"]), 0);
    assert!(folder.path().join("b.html").exists());
}

#[test]
fn a_report_takes_the_place_of_a_report_only() {
    let folder = tempfile::tempdir().unwrap();
    let completion = ["completion", "--population", "1", "--episodes", "50"];
    train(&folder.path().join("run"), &completion);
    let page = folder.path().join("mine.html");
    std::fs::write(&page, "<html>mine</html>").unwrap();
    let output = report(folder.path(), &["run", "--output", "mine.html"]);
    assert_status(&output, 2);
    let message = error_text(&output);
    assert!(
        message.contains("mine.html") && message.contains("--force"),
        "{message}"
    );
    assert_eq!(text(page.clone()), "<html>mine</html>");
    assert_status(
        &report(folder.path(), &["run", "--output", "mine.html", "--force"]),
        0,
    );
    // Now it is one.
    assert_status(&report(folder.path(), &["run", "--output", "mine.html"]), 0);
    assert!(text(page).contains("Pattern completion"));
}

#[test]
fn networks_that_failed_are_named_in_the_curve_and_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let arguments = ["completion", "--population", "3", "--episodes", "60"];
    let arguments = [&arguments[..], &["--seed", "5", "--scale", "1e25"]].concat();
    assert_eq!(train(&run, &arguments), Some(3));
    let curve = text(run.join("curve.svg"));
    assert!(
        curve.contains("3 networks failed (seed 5, 6, 7)"),
        "{curve}"
    );
    assert_status(&report(folder.path(), &["run"]), 0);
    let page = text(run.join("report.html"));
    assert!(page.contains("3 networks failed (seed 5, 6, 7)"));
    assert_eq!(page.matches("failed after 0 (").count(), 3);
    assert!(page.contains("<td>not finite</td>") && !page.contains("NaN"));
}

#[test]
fn the_report_of_patterns_shows_what_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let small = [
        "pattern-memory",
        "--bits",
        "8",
        "--population",
        "2",
        "--episodes",
        "30",
    ];
    train(&folder.path().join("run"), &small);
    assert_status(&report(folder.path(), &["run"]), 0);
    let page = text(folder.path().join("run/report.html"));
    let recall = text(folder.path().join("run/recall.svg"));
    assert!(page.contains(recall.trim()));
    // No network of nodes and lines, where all are connected with all.
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("<th scope=\"col\">wrong</th>"));
}

#[test]
fn a_folder_without_a_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = report(folder.path(), &["nothing"]);
    assert_status(&output, 2);
    assert!(error_text(&output).contains("nothing"));
    assert_status(&report(folder.path(), &[]), 2);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn figures_have_the_format_of_their_ending() {
    let folder = tempfile::tempdir().unwrap();
    train(&folder.path().join("run"), &REVERSAL);
    let small = [
        "pattern-memory",
        "--bits",
        "8",
        "--population",
        "1",
        "--episodes",
        "30",
    ];
    train(&folder.path().join("memory"), &small);
    let evaluate = [
        "evaluate",
        "run",
        "--engine",
        "cpu",
        "--episodes",
        "20",
        "--output",
    ];
    let recall = [
        "evaluate",
        "memory",
        "--engine",
        "cpu",
        "--episodes",
        "2",
        "--recall",
    ];
    for (arguments, name, start) in [
        (&evaluate[..], "a.png", &b"\x89PNG"[..]),
        (&evaluate, "a.PDF", b"%PDF"),
        (&evaluate, "a.svg", b"<svg"),
        (&recall, "b.pdf", b"%PDF"),
        (&["inspect", "run", "--output"], "c.png", b"\x89PNG"),
        (&["inspect", "memory", "--output"], "d.pdf", b"%PDF"),
    ] {
        let output = within(folder.path(), &[arguments, &[name]].concat());
        assert_status(&output, 0);
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        assert!(bytes.starts_with(start), "{name}");
    }
    // Before anything is read: there is no such run.
    for arguments in [
        ["evaluate", "no-run", "--output", "a.jpeg"],
        ["evaluate", "no-run", "--recall", "a.jpeg"],
        ["inspect", "no-run", "--output", "a.jpeg"],
    ] {
        let output = within(folder.path(), &arguments);
        assert_status(&output, 2);
        let message = error_text(&output);
        for part in [arguments[2], "a.jpeg", ".svg, .png or .pdf"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}

#[test]
fn a_report_goes_with_the_run_that_it_is_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let path = run.to_str().unwrap();
    let train = [
        "train",
        "one-shot",
        "--population=1",
        "--episodes=20",
        "--engine=cpu",
        "--quiet",
        "--force",
    ];
    let train = || assert_status(&metaplastic(&[&train[..], &["--output", path]].concat()), 0);
    train();
    let report = metaplastic(&["report", path, "--episodes=5", "--engine=cpu"]);
    assert_status(&report, 0);
    assert!(run.join("report.html").exists());
    train();
    assert!(!run.join("report.html").exists());
    // What is no report is none of ours.
    std::fs::write(run.join("report.html"), "mine").unwrap();
    train();
    assert!(run.join("report.html").exists());
}

#[test]
fn no_file_of_another_kind_becomes_a_report_or_a_figure() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["one-shot", "--population=1", "--episodes=20"];
    assert_eq!(train(&folder.path().join("run"), &small), Some(0));
    for (arguments, file, part) in [
        (&["report", "run", "--output"][..], "a.txt", ".html"),
        (&["report", "run", "--force", "--output"], "a", ".html"),
        (&["evaluate", "run", "--output"], "a", ".svg, .png or .pdf"),
        (
            &["evaluate", "run", "--activity"],
            "a",
            ".svg, .png or .pdf",
        ),
        (&["inspect", "run", "--output"], "a", ".svg, .png or .pdf"),
        (&["inspect", "run", "--output"], "run/curve.svg", "input"),
        (
            &["report", "run", "./run", "--output"],
            "a.html",
            "given twice",
        ),
    ] {
        let output = within(folder.path(), &[arguments, &[file]].concat());
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(message.contains(file) || part == "given twice", "{message}");
        assert!(message.contains(part), "{part} in {message}");
        assert!(file.contains('/') || !folder.path().join(file).exists());
    }
    // What is no file is called what it is called.
    let output = within(folder.path(), &["inspect", "run", "--output", "/dev/null"]);
    assert_status(&output, 0);
}
