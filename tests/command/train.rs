//! `metaplastic train`.

use crate::support::{assert_status, command, error_text, metaplastic, names, read, settings};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

/// What a run leaves.
pub const FILES: [&str; 7] = [
    "checkpoints",
    "curve.svg",
    "metrics.jsonl",
    "network.toml",
    "parameters.safetensors",
    "run.toml",
    "summary.json",
];

/// Trains on the CPU into `folder`.
fn train(task: &str, folder: &Path, arguments: &[&str]) -> Output {
    command()
        .args(["train", task, "--engine", "cpu", "--output"])
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap()
}

const SMALL: [&str; 4] = ["--population", "3", "--episodes", "600"];

#[test]
fn every_task_trains_and_leaves_a_complete_run() {
    for (task, networks) in [("one-shot", 2), ("reversal", 2), ("completion", 8)] {
        let folder = tempfile::tempdir().unwrap();
        let output = train(
            task,
            folder.path(),
            &[&SMALL[..], &["--seed", "7"]].concat(),
        );
        assert_status(&output, 0);
        assert_eq!(names(folder.path()), FILES);
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(text.contains("of 3 networks"), "{text}");
        assert!(
            text.contains("median") && text.contains("quartiles"),
            "{text}"
        );
        assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
        assert!(error_text(&output).contains("engine: cpu"));

        let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let run: toml::Table = file("run.toml").parse().unwrap();
        assert_eq!(run["engine"].as_str(), Some("cpu"));
        assert_eq!(run["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        let recipe = &run["recipe"];
        assert_eq!(recipe["seed"].as_integer(), Some(7));
        assert_eq!(recipe["episodes"].as_integer(), Some(600));
        assert_eq!(recipe["task"]["kind"].as_str(), Some(task));

        let reports: Vec<Value> = file("metrics.jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(reports.last().unwrap()["episode"], 600);
        assert!(
            reports
                .iter()
                .all(|r| r["error"].as_array().unwrap().len() == 3)
        );
        let learned = |report: &&Value| report["phase"] == "training";
        let learned = reports.iter().rfind(learned).unwrap();
        assert_eq!(learned["episode"], 540);

        let parameters = read(&folder.path().join("parameters.safetensors"));
        assert_eq!(parameters["layer0.weight"].shape[..2], [3, networks]);
        assert_eq!(parameters["layer0.rate"].shape, [3]);
        let curve = file("curve.svg");
        assert!(curve.starts_with("<svg") && curve.trim_end().ends_with("</svg>"));
    }
}

#[test]
fn json_is_one_line_with_everything() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(
        "one-shot",
        folder.path(),
        &[&SMALL[..], &["--json"]].concat(),
    );
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["population"], 3);
    assert!(summary["solved"].is_u64());
    assert!(summary["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(summary["engine"], "cpu");
    assert!(summary["device"].as_str().unwrap().contains("thread"));
    assert_eq!(summary["run"], folder.path().to_str().unwrap());
    let error = &summary["final_error"];
    let number = |key: &str| error[key].as_f64().unwrap();
    assert!(number("q25") <= number("median") && number("median") <= number("q75"));
    assert!(number("q75") <= number("worst"));
    let each = error["per_network"].as_array().unwrap();
    assert_eq!(each.len(), 3);
    assert!(each.iter().all(Value::is_f64));
}

#[test]
fn a_quiet_run_prints_its_folder_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(
        "one-shot",
        folder.path(),
        &[&SMALL[..], &["--quiet"]].concat(),
    );
    assert_status(&output, 0);
    let line = format!("{}\n", folder.path().display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), line);
    assert!(output.stderr.is_empty());
}

#[test]
fn one_shot_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(
        "one-shot",
        folder.path(),
        &["--population", "8", "--episodes", "4000", "--json"],
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Chance is ln 2 = 0.69; about 0.06 is usual here.
    let median = summary["final_error"]["median"].as_f64().unwrap();
    assert!(median < 0.2, "{median}");
}

#[test]
fn equal_runs_are_equal_bit_for_bit() {
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for folder in [&one, &two] {
        assert_status(&train("reversal", folder.path(), &SMALL), 0);
    }
    for name in ["parameters.safetensors", "metrics.jsonl", "curve.svg"] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(one.path()) == read(two.path()), "{name}");
    }
    assert_eq!(settings(one.path()), settings(two.path()));
}

#[test]
fn a_run_is_replaced_only_by_force_and_other_files_never() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    assert_status(&train("one-shot", folder.path(), &SMALL), 0);
    let run = || std::fs::read_to_string(folder.path().join("run.toml")).unwrap();
    let before = run();

    let other = [&SMALL[..], &["--seed", "5"]].concat();
    let output = train("one-shot", folder.path(), &other);
    assert_status(&output, 2);
    assert!(
        error_text(&output).contains("--force"),
        "{}",
        error_text(&output)
    );
    assert_eq!(run(), before);

    let forced = [&other[..], &["--force"]].concat();
    assert_status(&train("one-shot", folder.path(), &forced), 0);
    assert!(run().contains("seed = 5"));
    let notes = std::fs::read_to_string(folder.path().join("notes.txt")).unwrap();
    assert_eq!(notes, "mine");
    assert_eq!(names(folder.path()).len(), FILES.len() + 1);
}

#[test]
fn without_an_output_folder_each_run_gets_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = command()
            .current_dir(folder.path())
            .args(["train", "one-shot", "--engine", "cpu", "--seed", "3"])
            .args(SMALL)
            .output()
            .unwrap();
        assert_status(&output, 0);
    }
    let runs = names(&folder.path().join("runs"));
    assert_eq!(runs, ["one-shot-seed3", "one-shot-seed3-2"]);
}

#[test]
fn settings_out_of_range_are_refused_with_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for (arguments, parts) in [
        (["--population", "0"], ["population", "zero"]),
        (
            ["--population", "1000000000000"],
            ["population of", "bytes"],
        ),
        (
            ["--population", "18446744073709551615"],
            ["population of", "bytes"],
        ),
        (["--episodes", "0"], ["episodes", "zero"]),
        (["--episodes", "1"], ["episodes", "1"]),
        (
            ["--episodes", "9999999999999"],
            ["episodes", "9999999999999"],
        ),
        (
            ["--seed", "18446744073709551615"],
            ["seed", "18446744073709551615"],
        ),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--device", "some"], ["--device", "some"]),
        (["--device", " "], ["--device", "an empty name"]),
    ] {
        let output = train("one-shot", &run, &arguments);
        assert_status(&output, 2);
        let message = error_text(&output);
        for part in parts {
            assert!(message.contains(part), "{arguments:?}: {part} in {message}");
        }
        assert!(output.stdout.is_empty() && !run.exists(), "{arguments:?}");
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_status(&train("one-shot", &file, &SMALL), 2);
}

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for engine in ["gpu", "auto"] {
        let output = command()
            .env("METAPLASTIC_DEVICE", "no-such-adapter")
            .args(["train", "one-shot", "--engine", engine, "--output"])
            .arg(&run)
            .output()
            .unwrap();
        assert_status(&output, 1);
        assert!(!run.exists());
        if cfg!(feature = "gpu") {
            let message = error_text(&output);
            assert!(message.contains("no-such-adapter"), "{message}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_found_out_at_once() {
    let start = Instant::now();
    let output = train(
        "one-shot",
        Path::new("/proc/no/such/folder"),
        &["--episodes", "1000000000"],
    );
    assert_status(&output, 1);
    assert!(error_text(&output).contains("/proc/no/such/folder"));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command()
        .args(["train", "one-shot", "--engine", "cpu", "--output"])
        .arg(folder.path())
        .args(SMALL)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(names(folder.path()), FILES);
}

#[cfg(target_os = "linux")]
#[test]
fn paths_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join(std::ffi::OsStr::from_bytes(b"r\xffn"));
    let output = train("one-shot", &run, &[&SMALL[..], &["--json"]].concat());
    assert_status(&output, 0);
    assert!(run.join("run.toml").exists());
    serde_json::from_slice::<Value>(&output.stdout).unwrap();
}

#[test]
fn a_run_can_be_fed_to_the_gradient_command() {
    let folder = tempfile::tempdir().unwrap();
    assert_status(&train("one-shot", folder.path(), &SMALL), 0);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let episodes = [
        ("input", vec![3, 1, 4, 10]),
        ("output_gradient", vec![3, 1, 4, 2]),
    ]
    .map(|(name, shape)| {
        let tensor = crate::support::tensor(safetensors::Dtype::F32, &shape, 0.0);
        (name.to_owned(), tensor)
    });
    std::fs::write(file("e"), crate::support::bytes(&episodes.into())).unwrap();
    let output = metaplastic(&[
        "gradient",
        "--engine",
        "cpu",
        "--network",
        &file("network.toml"),
        "--parameters",
        &file("parameters.safetensors"),
        "--episodes",
        &file("e"),
        "--output",
        &file("out"),
    ]);
    assert_status(&output, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_cannot_be_started_are_no_panic() {
    for arguments in [
        &["devices"][..],
        &["train", "one-shot"],
        &["recipe", "one-shot"],
    ] {
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 400000; exec \"$0\" \"$@\""])
            .arg(crate::support::binary())
            .args(arguments)
            .env("RAYON_NUM_THREADS", "1000")
            .output()
            .unwrap();
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(
            message.contains("1000 threads cannot be started"),
            "{message}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_the_address_space_counts_as_memory() {
    let folder = tempfile::tempdir().unwrap();
    for limit in [400_000, 600_000, 800_000] {
        for population in ["50000", "400000", "3000000"] {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("ulimit -v {limit}; exec \"$0\" \"$@\"")])
                .arg(crate::support::binary())
                .args(["train", "one-shot", "--engine", "cpu", "--force"])
                .args(["--episodes", "2", "--population", population, "--output"])
                .arg(folder.path())
                .output()
                .unwrap();
            if population == "3000000" {
                assert_status(&output, 2);
                assert!(error_text(&output).contains("bytes requested"));
            } else {
                // Refused or done, but not aborted.
                let status = output.status.code();
                let message = error_text(&output);
                assert!(
                    matches!(status, Some(0 | 2)),
                    "{limit} {population}: {status:?} {message}"
                );
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_larger_limit_on_the_address_space_refuses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut least = None;
    // With less than the first the program itself, fonts included, cannot be loaded.
    for limit in (40_000..=340_000).step_by(10_000) {
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("ulimit -v {limit}; exec \"$0\" \"$@\"")])
            .arg(crate::support::binary())
            .args(["train", "reversal", "--engine", "cpu", "--force"])
            .args(["--episodes", "2", "--output"])
            .arg(folder.path())
            .env("RAYON_NUM_THREADS", "2")
            .output()
            .unwrap();
        let message = error_text(&output);
        if output.status.success() {
            least.get_or_insert(limit);
            continue;
        }
        assert_eq!(least, None, "{limit}: {message}");
        assert_status(&output, 2);
        assert!(message.contains("bytes requested"), "{limit}: {message}");
    }
    assert!(least.is_some());
}
