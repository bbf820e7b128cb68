//! Whose a folder is, and what is never lost of a run.

use crate::support::{Running, assert_status, command, error_text, names};
use crate::train::FILES;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const SMALL: [&str; 6] = ["--engine", "cpu", "--population", "2", "--episodes", "400"];

fn outputs(children: Vec<Running>) -> Vec<Output> {
    children.into_iter().map(Running::output).collect()
}

/// The learning rate of a run, all of whose files are of it.
#[track_caller]
fn learning_rate(run: &Path) -> String {
    assert_eq!(names(run), FILES);
    let output = command().arg("inspect").arg(run).output().unwrap();
    assert_status(&output, 0);
    let text = std::fs::read_to_string(run.join("run.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    table["recipe"]["optimiser"]["learning_rate"].to_string()
}

#[test]
fn runs_started_together_get_a_folder_each() {
    for count in [4, 6] {
        let folder = tempfile::tempdir().unwrap();
        let rates: Vec<_> = (1..=count).map(|rate| format!("0.0{rate}")).collect();
        let start = |rate: &String| {
            let mut command = command();
            command
                .current_dir(folder.path())
                .args(["train", "one-shot"]);
            Running::start(
                command
                    .args(SMALL)
                    .args(["--learning-rate", rate, "--json"]),
            )
        };
        let ended = outputs(rates.iter().map(start).collect());
        let mut runs = Vec::new();
        for (output, rate) in ended.iter().zip(&rates) {
            assert_status(output, 0);
            let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
            let run = summary["run"].as_str().unwrap().to_owned();
            assert_eq!(&learning_rate(&folder.path().join(&run)), rate);
            runs.push(run.trim_start_matches("runs/").to_owned());
        }
        runs.sort();
        assert_eq!(runs, names(&folder.path().join("runs")));
        assert_eq!(runs.len(), count);
    }
}

#[test]
fn of_runs_started_together_in_one_folder_one_gets_it() {
    for force in [&[][..], &["--force"]] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let start = |rate| {
            let mut command = command();
            command
                .args(["train", "one-shot", "--engine", "cpu"])
                .args(force);
            command.args(["--population", "2", "--episodes", "50000"]);
            command.args(["--learning-rate", rate]);
            Running::start(command.arg("--output").arg(&run))
        };
        let rates = ["0.01", "0.02", "0.03", "0.04"];
        let ended = outputs(rates.map(start).into());
        let mut winners = Vec::new();
        for (output, rate) in ended.iter().zip(rates) {
            if output.status.success() {
                winners.push(rate);
            } else {
                assert_status(output, 2);
                let message = error_text(output);
                let known = ["in progress", "holds a run already"];
                assert!(known.iter().any(|part| message.contains(part)), "{message}");
            }
        }
        // By force a later one may replace an earlier one, but only when that has ended.
        assert!(winners.contains(&learning_rate(&run).as_str()));
        assert!(winners.len() == 1 || !force.is_empty());
    }
}

#[test]
fn reproductions_started_together_get_a_folder_each() {
    let folder = tempfile::tempdir().unwrap();
    let start = |_| {
        let mut command = command();
        command.current_dir(folder.path());
        Running::start(command.args(["reproduce", "--runs", "1", "--engine", "cpu"]))
    };
    for output in outputs((0..2).map(start).collect()) {
        assert_status(&output, 0);
    }
    let runs = folder.path().join("runs");
    assert_eq!(names(&runs), ["reproduction-seed0", "reproduction-seed0-2"]);
    for run in names(&runs) {
        let parts = [
            "completion",
            "one-shot",
            "report.html",
            "reversal",
            "summary.json",
        ];
        assert_eq!(names(&runs.join(run)), parts);
    }
}

/// Starts a run that goes on, and waits until it has its folder and its first files.
fn endless(run: &Path) -> Running {
    let mut command = command();
    command.args(["train", "one-shot", "--engine", "cpu", "--force"]);
    command.args(["--population", "2", "--episodes", "1000000000"]);
    let child = Running::start(command.arg("--output").arg(run));
    let start = Instant::now();
    while !run.join(".metaplastic-lock").exists() || !run.join("network.toml").exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[cfg(unix)]
fn terminate(mut child: Running) -> Output {
    let number = child.id();
    let kill = Command::new("kill").args(["-s", "TERM", &number]).status();
    assert!(kill.unwrap().success());
    child.output()
}

#[test]
fn a_run_that_dies_leaves_the_old_one_and_its_folder_free() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = || {
        let mut command = command();
        command.args(["train", "one-shot", "--force"]).args(SMALL);
        command.arg("--output").arg(&run).output().unwrap()
    };
    assert_status(&train(), 0);
    endless(&run).kill();
    assert!(run.join(".metaplastic-lock").exists());
    let output = command()
        .arg("evaluate")
        .arg(&run)
        .args(["--engine", "cpu"])
        .output();
    assert_status(&output.unwrap(), 0);

    // As one that dies while it writes.
    let temporary = run.join(".metaplastic-abc");
    std::fs::create_dir(&temporary).unwrap();
    std::fs::write(temporary.join("run.toml"), "half").unwrap();
    assert_status(&train(), 0);
    assert_eq!(learning_rate(&run), "0.01");
}

#[test]
fn a_run_killed_while_it_replaces_another_leaves_one_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = |rate: &str| {
        let mut command = command();
        command.args(["train", "one-shot", "--force"]).args(SMALL);
        Running::start(
            command
                .args(["--learning-rate", rate, "--output"])
                .arg(&run),
        )
    };
    let start = Instant::now();
    assert_status(&train("0.01").output(), 0);
    let whole = start.elapsed();
    for kill in 0..12 {
        let child = train(&format!("0.{:02}", 2 + kill));
        std::thread::sleep(whole * (8 + kill) / 16);
        child.kill();
        let output = command().arg("inspect").arg(&run).output().unwrap();
        assert_status(&output, 0);
    }
    assert_status(&train("0.5").output(), 0);
    assert_eq!(learning_rate(&run), "0.5");
}

#[cfg(unix)]
#[test]
fn a_folder_that_disappears_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("gone/run");
    let child = endless(&run);
    std::fs::remove_dir_all(folder.path().join("gone")).unwrap();
    let output = terminate(child);
    assert_status(&output, 130);
    assert_eq!(names(&run), FILES);
    assert!(error_text(&output).contains("making it again"));
}

#[cfg(unix)]
#[test]
fn a_run_whose_folder_cannot_be_written_to_is_saved_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // A file is in its place: the run goes beside it.
    let child = endless(&run);
    std::fs::remove_dir_all(&run).unwrap();
    std::fs::write(&run, "a file").unwrap();
    let output = terminate(child);
    assert_status(&output, 1);
    let beside = folder.path().join("run-2");
    assert_eq!(names(&beside), FILES);
    let message = error_text(&output);
    assert!(message.contains(beside.to_str().unwrap()), "{message}");
    assert_eq!(std::fs::read(&run).unwrap(), b"a file");

    // Another run is in its place, which is not overwritten.
    let mut command = command();
    command.args(["train", "one-shot", "--engine", "cpu", "--population", "2"]);
    let other = folder.path().join("other");
    command
        .args(["--episodes", "1000000000", "--output"])
        .arg(&other);
    let child = Running::start(&mut command);
    while !other.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(200));
    std::fs::rename(&beside, folder.path().join("kept")).unwrap();
    std::fs::remove_dir_all(&other).unwrap();
    std::fs::rename(folder.path().join("kept"), &other).unwrap();
    let before = std::fs::read(other.join("run.toml")).unwrap();
    let output = terminate(child);
    assert_status(&output, 1);
    assert_eq!(std::fs::read(other.join("run.toml")).unwrap(), before);
    assert_eq!(names(&folder.path().join("other-2")), FILES);
}

/// A run without end in the folder that it is started in, once it has claimed that.
#[cfg(unix)]
fn endless_here(folder: &Path, temporary: &Path) -> Running {
    std::fs::create_dir(folder).unwrap();
    let mut command = command();
    command.current_dir(folder).env("TMPDIR", temporary);
    command.args(["train", "one-shot", "--engine", "cpu", "--population", "2"]);
    command.args(["--episodes", "1000000000", "--output", "."]);
    let child = Running::start(&mut command);
    let start = Instant::now();
    while !folder.join(".metaplastic-lock").exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(500));
    child
}

/// What a run prints that ends soon after it was told to.
#[cfg(unix)]
#[track_caller]
fn soon(mut child: Running) -> Output {
    let number = child.id();
    let kill = Command::new("kill").args(["-s", "TERM", &number]).status();
    assert!(kill.unwrap().success());
    let start = Instant::now();
    while !child.has_ended() {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.output()
}

#[cfg(unix)]
#[test]
fn a_run_whose_working_directory_is_gone_is_saved_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (here, temporary) = (folder.path().join("here"), folder.path().join("temporary"));
    std::fs::create_dir(&temporary).unwrap();
    let child = endless_here(&here, &temporary);
    std::fs::remove_dir_all(&here).unwrap();
    let output = soon(child);
    assert_status(&output, 1);
    assert!(error_text(&output).contains(temporary.to_str().unwrap()));
    assert_eq!(names(&temporary.join("run")), FILES);
}

#[cfg(unix)]
#[test]
fn a_lock_that_cannot_be_made_is_an_error_and_loses_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let (here, temporary) = (folder.path().join("here"), folder.path().join("temporary"));
    std::fs::create_dir(&temporary).unwrap();
    let dangling = || std::os::unix::fs::symlink("no/such/file", here.join(".metaplastic-lock"));
    let child = endless_here(&here, &temporary);
    std::fs::remove_file(here.join(".metaplastic-lock")).unwrap();
    dangling().unwrap();
    let output = soon(child);
    assert_status(&output, 1);
    // Beside it, where the folder has a name for that.
    assert_eq!(names(&folder.path().join("here-2")), FILES);

    let mut command = command();
    command.args(["train", "one-shot", "--force"]).args(SMALL);
    let output = command.arg("--output").arg(&here).output().unwrap();
    assert_status(&output, 1);
    assert!(error_text(&output).contains("cannot write"));
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_replaces_none() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut command = command();
    command.args(["train", "one-shot"]).args(SMALL);
    assert_status(&command.arg("--output").arg(&run).output().unwrap(), 0);
    let before = std::fs::read(run.join("run.toml")).unwrap();
    let child = endless(&run);
    std::thread::sleep(Duration::from_millis(500));
    let output = terminate(child);
    assert_status(&output, 130);
    assert_eq!(std::fs::read(run.join("run.toml")).unwrap(), before);
    let beside = folder.path().join("run-2");
    assert_eq!(names(&beside), FILES);
    let message = error_text(&output);
    for part in ["is kept", beside.to_str().unwrap()] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn a_folder_that_cannot_be_claimed_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    // As where the lock is another user's.
    let lock = folder.path().join("runs/one-shot-seed0/.metaplastic-lock");
    std::fs::create_dir_all(lock).unwrap();
    let mut command = command();
    command.current_dir(folder.path());
    let output = command.args(["train", "one-shot"]).args(SMALL).output();
    assert_status(&output.unwrap(), 0);
    assert_eq!(names(&folder.path().join("runs/one-shot-seed0-2")), FILES);
}

#[test]
fn a_run_that_is_being_replaced_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["0.01", "0.02"].map(|rate| {
        let run = folder.path().join(rate);
        let mut command = command();
        command.args(["train", "one-shot"]).args(SMALL);
        command.args(["--learning-rate", rate, "--output"]);
        assert_status(&command.arg(&run).output().unwrap(), 0);
        run
    });
    let run = folder.path().join("run");
    let replace = |by: &Path| {
        let new = run.join(".metaplastic-new");
        std::fs::create_dir_all(&new).unwrap();
        let files = || FILES.into_iter().filter(|name| *name != "checkpoints");
        for name in files() {
            std::fs::copy(by.join(name), new.join(name)).unwrap();
        }
        let complete = run.join(".metaplastic-complete");
        std::fs::rename(new, &complete).unwrap();
        for name in files() {
            std::fs::rename(complete.join(name), run.join(name)).unwrap();
        }
        std::fs::remove_dir(complete).unwrap();
    };
    replace(&runs[0]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for by in runs.iter().cycle() {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                replace(by);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let outputs: Vec<_> = (0..200)
            .map(|_| command().arg("inspect").arg(&run).output().unwrap())
            .collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for output in outputs {
            assert_status(&output, 0);
        }
    });
}

#[test]
fn files_that_cannot_be_replaced_are_found_out_before_a_run() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in [("train", "curve.svg"), ("reproduce", "report.html")] {
        let run = folder.path().join(name);
        std::fs::create_dir_all(run.join(file)).unwrap();
        let mut command = command();
        command
            .arg(name)
            .args(["--engine", "cpu", "--force", "--output"]);
        command.arg(&run);
        match name {
            "train" => command.args(["one-shot", "--population", "2", "--episodes", "1000000000"]),
            _ => command.args(["--runs", "100000"]),
        };
        let start = Instant::now();
        let output = command.output().unwrap();
        assert_status(&output, 1);
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(error_text(&output).contains(file));
        assert_eq!(names(&run), [file]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_working_directory_that_is_gone_is_named_as_that() {
    for arguments in [&["--output", "."][..], &["--output", "run"], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("sh")
            .args([
                "-c",
                "mkdir gone && cd gone && rmdir ../gone && exec \"$@\"",
                "sh",
            ])
            .arg(crate::support::binary())
            .args(["train", "one-shot"])
            .args(SMALL)
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_status(&output, 1);
        let message = error_text(&output);
        assert!(
            message.contains("the working directory has been removed"),
            "{message}"
        );
    }
}
