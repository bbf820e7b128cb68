//! `evaluate --record`: what is inside networks over an episode.

use crate::support::{assert_status, command, error_text, metadata, metaplastic, read};
use std::path::Path;

fn train(run: &Path) {
    let mut command = command();
    command.args([
        "train",
        "one-shot",
        "--population=3",
        "--episodes=30",
        "--engine=cpu",
        "--quiet",
    ]);
    assert_status(&command.arg("--output").arg(run).output().unwrap(), 0);
}

#[test]
fn every_layer_is_recorded_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, figure, run) = (path("r.safetensors"), path("r.svg"), path("run"));
    let evaluate = ["evaluate", &run, "--episodes=5", "--engine=cpu"];
    let output =
        metaplastic(&[&evaluate[..], &["--record", &file, "--activity", &figure]].concat());
    assert_status(&output, 0);
    let all = read(Path::new(&file));
    let names: Vec<_> = all.keys().map(String::as_str).collect();
    let expected = [
        "input",
        "layer0.activity",
        "layer0.trace",
        "layer1.activity",
        "steps",
        "target",
    ];
    assert_eq!(names, expected);
    assert_eq!(all["input"].shape, [3, 1, 20, 10]);
    assert_eq!(all["layer0.activity"].shape, [3, 1, 20, 2]);
    assert_eq!(all["layer0.trace"].shape, [3, 1, 20, 2, 10]);
    assert_eq!(
        all["steps"].values,
        (0..20).map(f64::from).collect::<Vec<_>>()
    );
    let settings = std::fs::read_to_string(folder.path().join("run/run.toml")).unwrap();
    let settings: toml::Table = settings.parse().unwrap();
    assert_eq!(
        metadata(Path::new(&file)).unwrap()["identity"],
        settings["identity"].as_str().unwrap()
    );
    let figure = std::fs::read_to_string(figure).unwrap();
    for part in [
        "layer 0: activity",
        "layer 0: mean |trace|",
        "layer 1: activity",
        "target",
    ] {
        assert!(figure.contains(part), "{part}");
    }
    // Of several episodes the last step's, unless others are asked for.
    let several = ["--record", &file, "--record-episodes=2"];
    assert_status(&metaplastic(&[&evaluate[..], &several].concat()), 0);
    let last = read(Path::new(&file));
    assert_eq!(
        (&last["steps"].values[..], &last["layer0.trace"].shape[..]),
        (&[19.0][..], &[3, 2, 1, 2, 10][..])
    );
    assert_eq!(
        last["layer0.trace"].values[..20],
        all["layer0.trace"].values[380..400]
    );
    let chosen = ["--record", &file, "--record-steps=3,1"];
    assert_status(&metaplastic(&[&evaluate[..], &chosen].concat()), 0);
    let some = read(Path::new(&file));
    assert_eq!(some["steps"].values, [1.0, 3.0]);
    assert_eq!(
        some["layer0.trace"].values[20..40],
        all["layer0.trace"].values[60..80]
    );
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run);
    let file = folder.path().join("r.safetensors");
    let (run, file) = (run.to_str().unwrap(), file.to_str().unwrap());
    for (arguments, parts) in [
        (
            &["--record-steps=20"][..],
            &["--record-steps", "0 to 19"][..],
        ),
        (&["--record-episodes=0"], &["--record-episodes"]),
        (&["--activity=figure"], &["--activity", ".svg"]),
        (
            &["--record-episodes=3", "--episodes=2"],
            &["--record-episodes", "3", "2 episodes"],
        ),
        (&["--record-steps=x"], &["--record-steps"]),
        (&["--activity=figure.txt"], &["--activity"]),
        (&["--activity=/no/such/folder/a.svg"], &["/no/such/folder"]),
    ] {
        let all = [
            &["evaluate", run, "--record", file, "--engine=cpu"],
            arguments,
        ]
        .concat();
        let output = metaplastic(&all);
        assert!([1, 2].contains(&output.status.code().unwrap()));
        let message = error_text(&output);
        assert!(
            parts.iter().all(|part| message.contains(part)),
            "{arguments:?}: {message}"
        );
        assert!(!Path::new(file).exists(), "{arguments:?}");
    }
    // Another file is not written over by mistake.
    let other = folder.path().join("other.toml");
    std::fs::write(&other, "other").unwrap();
    let path = other.to_str().unwrap();
    let output = metaplastic(&["evaluate", run, "--engine=cpu", "--record", path]);
    assert_status(&output, 2);
    assert!(error_text(&output).contains(".safetensors"));
    assert_eq!(std::fs::read_to_string(other).unwrap(), "other");
}

/// Neither the run's own files nor another output, by whatever path.
#[test]
fn no_file_that_is_read_or_written_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run);
    let evaluate = |arguments: &[&str]| {
        let mut command = command();
        command.current_dir(folder.path());
        command.args(["evaluate", "run", "--episodes=5", "--engine=cpu"]);
        command.args(arguments).output().unwrap()
    };
    let files = ["parameters.safetensors", "metrics.jsonl", "run.toml"];
    let checkpoints = std::fs::read_dir(run.join("checkpoints")).unwrap();
    let checkpoints = checkpoints.map(|it| it.unwrap().file_name().into_string().unwrap());
    let checkpoints = checkpoints.map(|name| format!("checkpoints/{name}"));
    for file in files.map(str::to_owned).into_iter().chain(checkpoints) {
        let before = std::fs::read(run.join(&file)).unwrap();
        for path in [format!("run/{file}"), format!("./run/../run/{file}")] {
            let output = evaluate(&["--record", &path]);
            assert_status(&output, 2);
            let error = error_text(&output);
            assert!(
                error.contains("--record") && error.contains(&file),
                "{error}"
            );
        }
        assert_eq!(std::fs::read(run.join(&file)).unwrap(), before);
    }
    let output = evaluate(&["--output=run/curve.svg"]);
    assert_status(&output, 2);
    let output = evaluate(&["--output=f.svg", "--activity=./f.svg"]);
    assert_status(&output, 2);
    let error = error_text(&output);
    assert!(
        error.contains("--activity") && error.contains("--output"),
        "{error}"
    );
    assert!(!folder.path().join("f.svg").exists());
    assert_status(&evaluate(&["--output=f.svg", "--activity=g.svg"]), 0);
    assert_status(&evaluate(&["--record-steps=1"]), 2);
}
