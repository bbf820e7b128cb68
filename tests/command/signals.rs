//! What is left of a run that is told to stop.

use crate::support::{Running, assert_status, binary, command, error_text, names, read};
use crate::train::FILES;
use metaplastic::runs::staging::find;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a run may take from the signal to its end: a second, and another one where other tests run beside it.
const SOON: Duration = Duration::from_secs(2);

/// Starts training, with the signals as `env` is told, and waits until it listens to them.
fn start(signals: &str, run: &Path, arguments: &[&str]) -> Running {
    let mut command = Command::new("env");
    command
        .arg(signals)
        .arg(binary())
        .args(["train", "one-shot", "--engine", "cpu"])
        .env_remove("METAPLASTIC_DEVICE")
        .args(arguments)
        .arg("--output")
        .arg(run);
    let mut child = Running::start(&mut command);
    wait_for(&run.join(LOCK), &mut child);
    child
}

/// The folder is claimed when the signals are listened to.
const LOCK: &str = ".metaplastic-lock";

#[track_caller]
fn wait_for(path: &Path, child: &mut Running) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        assert!(!child.has_ended());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn send(signal: &str, child: &mut Running) {
    // It may have ended by now.
    Command::new("kill")
        .args(["-s", signal, &child.id()])
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

/// The output of a run that ends soon after `signals`.
fn stopped(mut child: Running, signals: &[&str]) -> Output {
    let start = Instant::now();
    for signal in signals {
        send(signal, &mut child);
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.output();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_status(&output, 130);
    output
}

const DEFAULT: &str = "--default-signal=INT,TERM,HUP";

/// The fewest synapses, so that there are many meta-steps from one report to the next.
const ENDLESS: [&str; 4] = ["--population", "2", "--episodes", "1000000000"];

#[test]
fn every_signal_ends_a_run_soon_with_what_it_had_reached() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let child = start(DEFAULT, &run, &[&ENDLESS[..], &["--json"]].concat());
        std::thread::sleep(Duration::from_millis(500));
        let output = stopped(child, &[signal]);
        assert!(error_text(&output).contains("saving"), "{signal}");
        assert_eq!(names(&run), FILES);
        let weights = &read(&run.join("parameters.safetensors"))["layer0.weight"];
        assert_eq!(weights.shape, [2, 2, 10]);

        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["interrupted"], true);
        let episodes = summary["episodes"].as_u64().unwrap();
        assert!(0 < episodes && episodes < 1_000_000_000);
        let errors = summary["final_error"]["per_network"].as_array().unwrap();
        let errors: Vec<_> = errors.iter().map(|error| error.as_f64().unwrap()).collect();
        let solved = errors.iter().filter(|error| **error < 0.05).count();
        assert_eq!(summary["solved"], solved);
        let curve = std::fs::read_to_string(run.join("curve.svg")).unwrap();
        assert!(curve.contains("stopped after") && curve.contains("<polyline"));
        // The axis ends where the run did.
        assert!(!curve.contains("1,000,000,000"));
        let output = command().arg("inspect").arg(&run).output().unwrap();
        assert_status(&output, 0);
    }
}

#[test]
fn more_signals_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let arguments = [
        "--population",
        "1000",
        "--hidden",
        "100",
        "--episodes",
        "1000000",
    ];
    let child = start(DEFAULT, &run, &arguments);
    let output = stopped(child, &["HUP", "HUP", "INT", "TERM", "INT", "INT"]);
    assert_eq!(names(&run), FILES);
    assert_eq!(error_text(&output).matches("saving").count(), 1);
    let output = command().arg("inspect").arg(&run).output().unwrap();
    assert_status(&output, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn signals_that_were_ignored_stay_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = start("--ignore-signal=INT,HUP", &run, &ENDLESS);
    for signal in ["HUP", "INT"] {
        send(signal, &mut child);
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(!child.has_ended());
    let output = stopped(child, &["TERM"]);
    assert_eq!(names(&run), FILES);
    assert!(error_text(&output).contains("terminate"));
}

/// A meta-step of many seconds.
const LONG: [&str; 10] = [
    "--population",
    "2",
    "--hidden",
    "200",
    "--bits",
    "128",
    "--batch",
    "32768",
    "--episodes",
    "1000000",
];

#[test]
fn a_long_meta_step_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let child = start(DEFAULT, &run, &LONG);
    stopped(child, &["TERM"]);
    assert_eq!(names(&run), FILES);

    // What has learned nothing replaces nothing.
    let identity = || std::fs::read_to_string(run.join("run.toml")).unwrap();
    let before = identity();
    let arguments = [&LONG[..], &["--force", "--seed", "7", "--json"]].concat();
    let output = stopped(start(DEFAULT, &run, &arguments), &["TERM"]);
    assert!(error_text(&output).contains("is kept"));
    assert_eq!(identity(), before);
    // There is no file of it.
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["identity"].is_null() && summary["run"].is_null());
}

#[test]
fn a_stopped_reproduction_leaves_the_runs_so_far_and_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let (old, beside) = (folder.path().join("old"), folder.path().join("old-2"));
    let reproduce = |runs: &str| {
        let mut command = Command::new("env");
        command.arg(DEFAULT).arg(binary());
        command.args(["reproduce", "--engine", "cpu", "--force"]);
        command.args(["--runs", runs, "--output"]).arg(&old);
        command
    };
    assert_status(&reproduce("1").output().unwrap(), 0);
    let files = || {
        ["report.html", "summary.json", "completion/run.toml"]
            .map(|name| std::fs::read(old.join(name)).unwrap())
    };
    let before = files();
    let mut child = Running::start(&mut reproduce("3000"));
    wait_for(&old.join(LOCK), &mut child);
    std::thread::sleep(Duration::from_millis(1500));
    let output = stopped(child, &["INT"]);
    // The old reproduction stays, since the new one is not complete.
    assert!(files() == before);
    assert!(error_text(&output).contains(beside.to_str().unwrap()));
    assert_eq!(names(&beside), ["completion", "summary.json"]);
    let summary = std::fs::read(beside.join("summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert!(summary["report"].is_null());
    let run = &summary["experiments"][0];
    assert_eq!(run["interrupted"], true);
    assert_eq!(run["population"], 3000);
    let settings = std::fs::read_to_string(beside.join("completion/run.toml")).unwrap();
    assert!(settings.contains(run["identity"].as_str().unwrap()));
}

#[test]
fn a_killed_reproduction_keeps_the_experiments_that_had_ended() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old");
    let reproduce = |runs: &str| {
        let mut command = command();
        command.args(["reproduce", "--engine", "cpu", "--force"]);
        command.args(["--runs", runs, "--output"]).arg(&old);
        command
    };
    // What lies beside an old one is gone when the new one is complete.
    for _ in 0..2 {
        assert_status(&reproduce("1").output().unwrap(), 0);
        assert_eq!(names(folder.path()), ["old"]);
    }
    let report = || std::fs::read(old.join("report.html")).unwrap();
    let before = report();
    let mut child = Running::start(&mut reproduce("200"));
    let kept = folder.path().join("old-2/completion");
    wait_for(&kept.join("run.toml"), &mut child);
    child.kill();
    assert!(report() == before);
    let output = command().arg("inspect").arg(&kept).output().unwrap();
    assert_status(&output, 0);
    // It may have been killed while it moved its files to their places.
    let parameters = find(&kept, "parameters.safetensors");
    assert_eq!(read(&parameters)["layer0.weight"].shape[0], 200);
}
