//! Training by several processes of an MPI program, on one machine: the result is that of one process.

use crate::support::{Running, assert_status, binary, command, error_text, names};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// `mpirun` with so many processes, more than there are cores if need be.
fn mpirun(ranks: usize) -> Command {
    let mut mpirun = Command::new("mpirun");
    mpirun
        .env_remove("METAPLASTIC_DEVICE")
        .envs([
            // Open MPI refuses to be root, and more processes than cores, unless it is told; then processes wait politely.
            ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
            ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
            ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
            ("OMPI_MCA_mpi_yield_when_idle", "1"),
            ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
        ])
        .args(["-n", &ranks.to_string()])
        .arg(binary());
    mpirun
}

fn train(mut command: Command, run: &Path, arguments: &[&str]) -> Command {
    command.args(["train", "--engine", "cpu"]);
    command.args(arguments).arg("--output").arg(run);
    command
}

/// Everything that a run is but when and where it was.
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
    let summary = |run: &Path| {
        let text = std::fs::read(run.join("summary.json")).unwrap();
        let mut summary: Value = serde_json::from_slice(&text).unwrap();
        for key in ["seconds", "run", "device"] {
            assert!(
                summary.as_object_mut().unwrap().remove(key).is_some(),
                "{key}"
            );
        }
        summary
    };
    assert_eq!(summary(one), summary(other));
    assert_eq!(names(one), names(other));
}

/// Some networks more than processes, and a batch of several blocks of one network.
const WORK: [&[&str]; 3] = [
    &["one-shot", "--population", "5", "--episodes", "300"],
    &[
        "completion",
        "--population",
        "1",
        "--episodes",
        "1600",
        "--batch",
        "100",
    ],
    &[
        "reversal",
        "--population",
        "2",
        "--episodes",
        "800",
        "--batch",
        "80",
    ],
];

#[test]
fn any_number_of_processes_has_the_bits_of_one() {
    for work in WORK {
        let folder = tempfile::tempdir().unwrap();
        let alone = folder.path().join("alone");
        assert_status(&train(command(), &alone, work).output().unwrap(), 0);
        for ranks in [1, 2, 3, 4] {
            let run = folder.path().join(ranks.to_string());
            let output = train(mpirun(ranks), &run, work).output().unwrap();
            assert_status(&output, 0);
            assert_same_result(&run, &alone);
            let told = error_text(&output);
            assert_eq!(
                told.contains(&format!("rank 0 of {ranks}")),
                ranks > 1,
                "{told}"
            );
            assert_eq!(told.matches("run: ").count(), 1, "{told}");
        }
    }
}

/// Some seconds, so that there is something to interrupt.
const LONG: [&str; 6] = [
    "one-shot",
    "--population",
    "3",
    "--episodes",
    "40000",
    "--checkpoint-every=20ms",
];

/// Waits for two checkpoints.
#[track_caller]
fn wait(child: &mut Running, run: &Path) {
    let start = Instant::now();
    let folder = run.join("checkpoints");
    while !folder.exists()
        || names(&folder)
            .iter()
            .filter(|name| !name.starts_with('.'))
            .count()
            < 2
    {
        assert!(start.elapsed() < Duration::from_secs(60));
        assert!(!child.has_ended());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The processes that run for a folder, but `mpirun`.
fn processes(run: &Path) -> Vec<u32> {
    let all = Path::new("/proc").read_dir().unwrap();
    let ids = all.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let runs_it = |id: &u32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let mut words = line.split(|&byte| byte == 0);
        let is_command = words.next() == Some(binary().as_os_str().as_encoded_bytes());
        is_command && words.any(|word| word == run.as_os_str().as_encoded_bytes())
    };
    let mut ids: Vec<u32> = ids.filter(runs_it).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_run_goes_on_with_another_number_of_processes() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    assert_status(&train(command(), &whole, &LONG).output().unwrap(), 0);
    let mut child = Running::start(&mut train(mpirun(3), &run, &LONG));
    wait(&mut child, &run);
    let status = Command::new("kill")
        .args(["-s", "TERM", &child.id()])
        .status();
    assert!(status.unwrap().success());
    child.output();
    // `mpirun` may be gone before them.
    let start = Instant::now();
    while !processes(&run).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!run.join("summary.json").exists() || run.join("checkpoints").exists());
    let mut resume = mpirun(2);
    resume.arg("resume").arg(&run);
    assert_status(&resume.output().unwrap(), 0);
    assert_same_result(&run, &whole);
}

#[test]
fn a_process_that_dies_ends_the_run_with_an_error_and_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    assert_status(&train(command(), &whole, &LONG).output().unwrap(), 0);
    let mut child = Running::start(&mut train(mpirun(3), &run, &LONG));
    wait(&mut child, &run);
    let ids = processes(&run);
    assert_eq!(ids.len(), 3);
    let status = Command::new("kill")
        .args(["-s", "KILL", &ids[2].to_string()])
        .status();
    assert!(status.unwrap().success());
    let output = child.output();
    assert!(!output.status.success());
    assert!(!error_text(&output).is_empty());
    // Another number of processes, here one, goes on from there.
    let mut resume = command();
    assert_status(&resume.arg("resume").arg(&run).output().unwrap(), 0);
    assert_same_result(&run, &whole);
}

#[test]
fn what_is_wrong_is_said_once() {
    let mut wrong = mpirun(3);
    let output = wrong
        .args(["train", "one-shot", "--population", "0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = error_text(&output);
    assert_eq!(told.matches("population").count(), 1, "{told}");
}
