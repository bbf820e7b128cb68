//! Runs that are interrupted and go on: what is there while they live, checkpoints, `metaplastic resume`.

use crate::support::{Running, assert_status, command, error_text, metaplastic, names, settings};
use crate::train::FILES;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

/// Some seconds, so that there is something to interrupt.
const LONG: [&str; 8] = [
    "one-shot",
    "--engine",
    "cpu",
    "--population",
    "2",
    "--episodes",
    "60000",
    "--checkpoint-every=20ms",
];

fn train(run: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = command();
    command
        .arg("train")
        .args(arguments)
        .arg("--output")
        .arg(run);
    command
}

fn resume(run: &Path, arguments: &[&str]) -> Output {
    let mut command = command();
    command.arg("resume").arg(run).args(arguments);
    command.output().unwrap()
}

/// Waits for what a run writes.
#[track_caller]
fn wait(child: &mut Running, there: impl Fn() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(60));
        assert!(!child.has_ended());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn send(signal: &str, child: &mut Running) {
    let mut kill = std::process::Command::new("kill");
    let status = kill.args(["-s", signal, &child.id()]).status();
    assert!(status.unwrap().success());
}

fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let folder = run.join("checkpoints");
    match folder.exists() {
        // Beside them may be one that is being written.
        true => names(&folder)
            .iter()
            .filter(|name| !name.starts_with('.'))
            .map(|name| folder.join(name))
            .collect(),
        false => Vec::new(),
    }
}

/// A run that was killed once it had some checkpoints.
#[track_caller]
fn killed(run: &Path, arguments: &[&str]) {
    let mut child = Running::start(&mut train(run, arguments));
    wait(&mut child, || checkpoints(run).len() > 1);
    child.kill();
}

#[track_caller]
fn assert_same_result(one: &Path, other: &Path) {
    for name in [
        "parameters.safetensors",
        "metrics.jsonl",
        "network.toml",
        "curve.svg",
    ] {
        let read = |run: &Path| std::fs::read(run.join(name)).unwrap();
        assert!(read(one) == read(other), "{name}");
    }
    assert_eq!(settings(one), settings(other));
    assert_eq!(summary(one), summary(other));
}

/// `summary.json` without what two equal runs differ in.
fn summary(run: &Path) -> Value {
    let text = std::fs::read(run.join("summary.json")).unwrap();
    let mut summary: Value = serde_json::from_slice(&text).unwrap();
    for key in ["seconds", "run"] {
        assert!(summary.as_object_mut().unwrap().remove(key).is_some());
    }
    summary
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    assert_status(&train(&whole, &LONG).output().unwrap(), 0);
    let mut command = train(&run, &LONG);
    for kill in 0..12 {
        let child = Running::start(&mut command);
        // At moments that have nothing to do with what the run does.
        std::thread::sleep(Duration::from_millis(40 + 37 * kill % 150));
        child.kill();
        if run.join("run.toml").exists() {
            command = crate::support::command();
            command
                .arg("resume")
                .arg(&run)
                .arg("--checkpoint-every=20ms");
        }
    }
    assert_status(&resume(&run, &[]), 0);
    assert_same_result(&run, &whole);
    assert_eq!(names(&run), FILES);
    // The one at the end of training is kept, to make the run longer.
    assert_eq!(names(&run.join("checkpoints")), ["0000059500.safetensors"]);
}

#[test]
fn a_run_that_is_killed_before_its_first_checkpoint_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    let arguments = [&LONG[..7], &["--checkpoint-every=1h"]].concat();
    assert_status(&train(&whole, &arguments).output().unwrap(), 0);
    let mut child = Running::start(&mut train(&run, &arguments));
    wait(&mut child, || run.join("run.toml").exists());
    child.kill();
    let looked = command().arg("inspect").arg(&run).output().unwrap();
    assert_status(&looked, 2);
    assert!(error_text(&looked).contains("metaplastic resume"));
    assert_status(&resume(&run, &[]), 0);
    assert_same_result(&run, &whole);
}

#[test]
fn a_run_that_is_stopped_goes_on_and_may_be_longer() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    let longer = [&LONG[..6], &["90000"]].concat();
    assert_status(&train(&whole, &longer).output().unwrap(), 0);

    let mut child = Running::start(&mut train(&run, &LONG));
    wait(&mut child, || checkpoints(&run).len() > 1);
    send("TERM", &mut child);
    assert_status(&child.output(), 130);
    assert_eq!(names(&run), FILES);
    assert_eq!(summary(&run)["interrupted"], true);
    assert_status(&resume(&run, &[]), 0);
    assert_eq!(summary(&run)["interrupted"], false);
    // It has ended: nothing is left to do, and that is no error.
    let again = resume(&run, &["--json"]);
    assert_status(&again, 0);
    assert!(error_text(&again).contains("has ended"));
    let told: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(told["solved"], summary(&run)["solved"]);

    let shorter = resume(&run, &["--episodes", "59999"]);
    assert_status(&shorter, 2);
    assert!(error_text(&shorter).contains("can only be lengthened"));
    assert_status(&resume(&run, &["--episodes", "90000"]), 0);
    assert_same_result(&run, &whole);
}

#[test]
fn a_run_that_dies_at_once_while_it_is_made_longer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    let with = |episodes| [&LONG[..5], &[episodes]].concat();
    assert_status(&train(&whole, &with("--episodes=900")).output().unwrap(), 0);
    assert_status(&train(&run, &with("--episodes=600")).output().unwrap(), 0);
    // What is written first is all that is there of the longer one.
    let path = run.join("run.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (identity, rest) = text.split_once('\n').unwrap();
    assert!(identity.starts_with("identity = "));
    let longer = rest.replace("episodes = 600", "episodes = 900");
    std::fs::write(
        &path,
        longer.replace("frozen_episodes = 60", "frozen_episodes = 90"),
    )
    .unwrap();
    let looked = command().arg("inspect").arg(&run).output().unwrap();
    assert_status(&looked, 0);
    assert!(error_text(&looked).contains("has not ended"));
    assert_status(&resume(&run, &[]), 0);
    assert_same_result(&run, &whole);
}

#[test]
fn a_longer_run_whose_learning_rate_was_to_have_fallen_by_now_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let arguments = [&LONG[..5], &["--episodes=600", "--schedule=cosine"]].concat();
    assert_status(&train(&run, &arguments).output().unwrap(), 0);
    let output = resume(&run, &["--episodes", "1000"]);
    assert_status(&output, 2);
    let message = error_text(&output);
    for part in ["episodes", "540 updates", "--from"] {
        assert!(message.contains(part), "{message}");
    }
}

/// A quarter of what it learns from, where nothing else is said.
#[test]
fn a_longer_run_whose_learning_rate_steps_by_its_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [run, whole] = ["run", "whole"].map(|name| folder.path().join(name));
    let small = [
        "one-shot",
        "--population=2",
        "--engine=cpu",
        "--schedule=step",
    ];
    let trained = |run: &Path, arguments: &[&str]| {
        let all = [&small[..], arguments, &["--force"]].concat();
        assert_status(&train(run, &all).output().unwrap(), 0);
    };
    trained(&run, &["--episodes=200"]);
    let before = settings(&run);
    let output = resume(&run, &["--episodes=400"]);
    assert_status(&output, 2);
    let message = error_text(&output);
    for part in [
        "episodes: 400",
        "every 45 updates",
        "run's 180",
        "train --from",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(settings(&run), before);
    // One that is as it would have been goes on.
    trained(&run, &["--episodes=200", "--schedule-every=20"]);
    assert_status(&resume(&run, &["--episodes=400"]), 0);
    trained(&whole, &["--episodes=400", "--schedule-every=20"]);
    assert_same_result(&run, &whole);
}

#[test]
fn a_run_that_has_lost_a_file_is_named_and_makes_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let [run, other] = ["run", "other"].map(|name| folder.path().join(name));
    for run in [&run, &other] {
        let small = [
            "one-shot",
            "--population=2",
            "--engine=cpu",
            "--episodes=200",
        ];
        assert_status(&train(run, &small).output().unwrap(), 0);
    }
    let path = run.to_str().unwrap();
    for name in ["summary.json", "parameters.safetensors", "network.toml"] {
        std::fs::remove_file(run.join(name)).unwrap();
        for arguments in [
            &["evaluate", path][..],
            &["inspect", path],
            &["report", path],
            &["compare", path, other.to_str().unwrap()],
            &["runs", path],
        ] {
            let output = metaplastic(arguments);
            assert_status(&output, if arguments[0] == "runs" { 0 } else { 2 });
            let message = error_text(&output);
            for part in [name, "missing", "metaplastic resume"] {
                assert!(message.contains(part), "{arguments:?}: {part} in {message}");
            }
        }
        let output = resume(&run, &[]);
        assert_status(&output, 0);
        assert!(error_text(&output).contains(name));
        assert_same_result(&run, &other);
    }
    // Without a checkpoint there is nothing to make it of.
    std::fs::remove_file(run.join("summary.json")).unwrap();
    std::fs::remove_dir_all(run.join("checkpoints")).unwrap();
    let output = resume(&run, &[]);
    assert_status(&output, 2);
    assert!(error_text(&output).contains("train --recipe"));
    assert!(run.join("parameters.safetensors").exists());
}

#[test]
fn a_checkpoint_is_written_when_the_system_asks_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let arguments = [&LONG[..6], &["1000000000", "--checkpoint-every=1h"]].concat();
    let mut child = Running::start(&mut train(&run, &arguments));
    wait(&mut child, || {
        run.join("metrics.jsonl")
            .metadata()
            .is_ok_and(|it| it.len() > 0)
    });
    assert!(checkpoints(&run).is_empty());
    for asked in 1..4 {
        send("USR1", &mut child);
        wait(&mut child, || {
            checkpoints(&run).len() == std::cmp::min(asked, 2)
        });
        std::thread::sleep(Duration::from_millis(300));
    }
    send("TERM", &mut child);
    let output = child.output();
    assert_status(&output, 130);
    assert_eq!(error_text(&output).matches("checkpoint after").count(), 3);
}

#[test]
fn what_is_there_while_a_run_goes_on_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let [run, ended] = ["run", "ended"].map(|name| folder.path().join(name));
    let short = [&LONG[..5], &["--episodes=50"]].concat();
    assert_status(&train(&ended, &short).output().unwrap(), 0);
    let arguments = [
        &LONG[..5],
        &["--episodes=1000000000", "--checkpoint-every=20ms"],
    ]
    .concat();
    let arguments = [&arguments[..], &["--name=first", "--tag=a", "--tag=b c"]].concat();
    let mut child = Running::start(&mut train(&run, &arguments));
    wait(&mut child, || checkpoints(&run).len() > 1);
    let reports = || std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let before = reports();
    let now = settings(&run);
    assert_eq!(now["name"].as_str(), Some("first"));
    assert_eq!(now["tags"], toml::Value::from(vec!["a", "b c"]));
    assert!(now.contains_key("host") && now.contains_key("recipe"));
    assert!(!now.contains_key("identity"));
    wait(&mut child, || reports().len() > before.len());
    // Line by line, and nothing that was written changes.
    assert!(reports().starts_with(&before) && before.ends_with('\n'));
    for line in before.lines() {
        let report: Value = serde_json::from_str(line).unwrap();
        assert!(report["median"].is_f64());
    }
    for arguments in [
        ["inspect"].as_slice(),
        &["evaluate", "--engine=cpu", "--episodes=2"],
    ] {
        let mut command = command();
        let output = command.args(arguments).arg(&run).output().unwrap();
        assert_status(&output, 0);
        assert!(error_text(&output).contains("has not ended"));
    }
    let page = folder.path().join("report.html");
    let curves = folder.path().join("curves.svg");
    let mut report = command();
    report.args(["report", "--engine=cpu", "--episodes=2"]);
    let mut compare = command();
    compare.arg("compare").arg(&ended);
    for (mut looked, file) in [(report, &page), (compare, &curves)] {
        let looked = looked.arg(&run).arg("--output").arg(file);
        let output = looked.output().unwrap();
        assert_status(&output, 0);
        assert!(error_text(&output).contains("has not ended"));
        assert!(file.exists());
    }
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("the run has not ended"));
    // Nobody else goes on with it meanwhile.
    let other = resume(&run, &[]);
    assert_status(&other, 2);
    assert!(error_text(&other).contains("in progress"));
    child.kill();
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    assert_status(&train(&whole, &LONG).output().unwrap(), 0);
    killed(&run, &LONG);
    let [before, newest] = &checkpoints(&run)[..] else {
        panic!("two are kept");
    };
    let good = std::fs::read(newest).unwrap();
    // In the header, in the tensors, cut off, empty.
    let mut harmed = vec![good[..good.len() / 2].to_vec(), Vec::new()];
    for place in [40, good.len() - 9] {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        harmed.push(bytes);
    }
    let copy = folder.path().join("copy");
    for bytes in harmed {
        copy_run(&run, &copy);
        let newest = copy.join("checkpoints").join(newest.file_name().unwrap());
        std::fs::write(&newest, bytes).unwrap();
        let output = resume(&copy, &[]);
        assert_status(&output, 0);
        let message = error_text(&output);
        assert!(message.contains(newest.to_str().unwrap()), "{message}");
        let meta_steps = before.file_stem().unwrap().to_str().unwrap();
        let episode = meta_steps.trim_start_matches('0');
        assert!(
            message.contains(&format!("from episode {episode}")),
            "{message}"
        );
        assert_same_result(&copy, &whole);
        std::fs::remove_dir_all(&copy).unwrap();
    }
    // Where none is left, the run begins anew.
    for checkpoint in checkpoints(&run) {
        std::fs::write(checkpoint, "no checkpoint").unwrap();
    }
    let output = resume(&run, &[]);
    assert_status(&output, 0);
    assert!(error_text(&output).contains("begins anew"));
    assert_same_result(&run, &whole);
}

fn copy_run(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("checkpoints")).unwrap();
    for path in [from.to_owned(), from.join("checkpoints")] {
        for entry in path.read_dir().unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                let place = entry.path();
                let place = to.join(place.strip_prefix(from).unwrap());
                std::fs::copy(entry.path(), place).unwrap();
            }
        }
    }
}

#[test]
fn what_is_no_run_cannot_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    for (place, part) in [(folder.path(), "no run.toml"), (&nowhere, "no such folder")] {
        let output = resume(place, &[]);
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(names(folder.path()).len(), 0);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(error_text(&resume(&file, &[])).contains("no folder"));
    for name in ["evaluate", "inspect", "report", "compare", "runs"] {
        let output = metaplastic(&[name, nowhere.to_str().unwrap()]);
        assert_status(&output, 2);
        assert!(error_text(&output).contains("no such folder"), "{name}");
    }
}

#[test]
fn a_run_by_force_lies_beside_the_old_one_until_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run, beside] = ["whole", "run", "run-2"].map(|name| folder.path().join(name));
    let small = [&LONG[..5], &["--episodes=600", "--seed=9"]].concat();
    assert_status(&train(&run, &small).output().unwrap(), 0);
    let before = settings(&run);
    killed_beside(&run, &beside);
    assert_eq!(settings(&run), before);
    // It goes on where it is.
    assert_status(&resume(&beside, &[]), 0);
    assert_status(&train(&whole, &LONG).output().unwrap(), 0);
    assert_same_result(&beside, &whole);
    std::fs::remove_dir_all(&beside).unwrap();
    // One that ends takes the place of the old one, its checkpoint too.
    let forced = [&LONG[..], &["--force"]].concat();
    assert_status(&train(&run, &forced).output().unwrap(), 0);
    assert_same_result(&run, &whole);
    assert_eq!(names(&run.join("checkpoints")), ["0000059500.safetensors"]);
    assert_eq!(names(folder.path()), ["run", "whole"]);
}

fn killed_beside(run: &Path, beside: &Path) {
    let forced = [&LONG[..], &["--force"]].concat();
    let mut child = Running::start(&mut train(run, &forced));
    wait(&mut child, || checkpoints(beside).len() > 1);
    child.kill();
}

/// A folder of a file system that has little room, where this process may make one.
#[cfg(target_os = "linux")]
#[test]
fn a_run_survives_a_folder_that_cannot_be_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    assert_status(&train(&whole, &LONG).output().unwrap(), 0);
    let mut child = Running::start(&mut train(&run, &LONG));
    wait(&mut child, || checkpoints(&run).len() > 1);
    // No checkpoint can be written where a file is in the place of their folder.
    std::fs::rename(run.join("checkpoints"), folder.path().join("old")).unwrap();
    std::fs::write(run.join("checkpoints"), "a file").unwrap();
    let output = child.output();
    assert_status(&output, 0);
    let message = error_text(&output);
    assert_eq!(message.matches("the run goes on").count(), 1, "{message}");
    assert_same_result(&run, &whole);
}

#[test]
fn a_run_begins_with_the_parameters_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, again] = ["first", "second", "again"].map(|name| folder.path().join(name));
    let small = [&LONG[..5], &["--episodes=600"]].concat();
    assert_status(&train(&first, &small).output().unwrap(), 0);
    let from = first.to_str().unwrap();
    // With a learning rate of zero they stay what they are.
    let arguments = [
        "--from",
        from,
        "--engine=cpu",
        "--learning-rate=0",
        "--l1=0",
        "--seed=3",
    ];
    assert_status(&train(&second, &arguments).output().unwrap(), 0);
    let parameters = |run: &Path| crate::support::read(&run.join("parameters.safetensors"));
    assert_eq!(parameters(&second), parameters(&first));
    let now = settings(&second);
    assert_eq!(now["from"]["run"].as_str(), Some(from));
    assert_eq!(now["recipe"]["episodes"].as_integer(), Some(600));
    // Another task of the same sizes has its own settings, and the network of the run.
    let arguments = ["reversal", "--from", from, "--engine=cpu", "--episodes=600"];
    assert_status(&train(&again, &arguments).output().unwrap(), 0);
    assert_eq!(
        settings(&again)["recipe"]["network"],
        now["recipe"]["network"]
    );
    assert_eq!(
        settings(&again)["recipe"]["task"]["kind"].as_str(),
        Some("reversal")
    );

    // Its `run.toml` is a recipe that says all.
    let recipe = again.join("run.toml");
    let copy = folder.path().join("copy");
    let arguments = ["--engine=cpu", "--recipe", recipe.to_str().unwrap()];
    assert_status(&train(&copy, &arguments).output().unwrap(), 0);
    assert_same_result(&copy, &again);
    let refused = |arguments: &[&str], parts: &[&str]| {
        let place = folder.path().join("refused");
        let output = train(&place, arguments).output().unwrap();
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(!place.exists());
    };
    refused(&["--from", from, "--hidden=7"], &["parameters"]);
    refused(&["--from", from, "--population=3"], &["parameters"]);
    refused(&["completion", "--from", from], &["inputs"]);
    refused(&["--from", "nowhere"], &["nowhere"]);
    refused(&["--recipe", "reliable"], &["--recipe", "name the task"]);
    // The run that it began with is another by now.
    let forced = [&small[..], &["--seed=5", "--force"]].concat();
    assert_status(&train(&first, &forced).output().unwrap(), 0);
    refused(&arguments, &["from", "another run"]);
}

#[test]
fn a_run_needs_a_task_from_somewhere() {
    let output = metaplastic(&["train"]);
    assert_status(&output, 2);
    assert!(error_text(&output).contains("TASK"));
}
