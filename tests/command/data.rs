//! Episodes of one's own: training on a file, and everything that a run has.

use crate::support::{
    Running, Tensor, Tensors, assert_status, bytes, command, error_text, metaplastic, read, tensor,
};
use safetensors::Dtype;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const NETWORK: &str = "[loss]\nkind = \"softmax-cross-entropy\"\n[[layer]]\nkind = \"plastic\"\ninputs = 3\noutputs = 4\n\
                       activation = \"tanh\"\nrate = { value = 0.1, learned = true }\n[[layer]]\nkind = \"dense\"\n\
                       inputs = 4\noutputs = 2\n";

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("net.toml"), NETWORK).unwrap();
        let files = Self { folder };
        files.write("e.safetensors", &episodes(7, 0.0));
        files.write("v.safetensors", &episodes(3, 1.0));
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, tensors: &Tensors) {
        std::fs::write(self.path(name), bytes(tensors)).unwrap();
    }

    fn train(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command
            .current_dir(self.folder.path())
            .args(["train", "--engine=cpu", "--quiet"]);
        let usual = [
            "--network=net.toml",
            "--data=e.safetensors",
            "--population=2",
            "--episodes=60",
            "--batch=4",
        ];
        let option = |text: &str| text.split('=').next().unwrap().to_owned();
        let is_other = |usual: &&&str| arguments.iter().all(|it| option(it) != option(usual));
        command.args(usual.iter().filter(is_other)).args(arguments);
        command
    }

    fn trained(&self, run: &str, arguments: &[&str]) -> PathBuf {
        let output = self
            .train(arguments)
            .args(["--output", run])
            .output()
            .unwrap();
        assert_status(&output, 0);
        self.path(run)
    }
}

/// So many episodes of 5 steps, the first of which does not count, with classes as targets.
fn episodes(count: usize, phase: f64) -> Tensors {
    let classes = (0..count * 5).map(|k| ((k * 7 / 3) % 2) as f64);
    let named = [
        ("input", tensor(Dtype::F32, &[1, count, 5, 3], phase)),
        (
            "target",
            Tensor {
                dtype: Dtype::I64,
                shape: vec![1, count, 5],
                values: classes.collect(),
            },
        ),
        (
            "mask",
            Tensor {
                dtype: Dtype::F32,
                shape: vec![5],
                values: vec![0.0, 1.0, 1.0, 1.0, 1.0],
            },
        ),
    ];
    named.map(|(name, tensor)| (name.to_owned(), tensor)).into()
}

/// Distributions over two classes as the targets of so many episodes, but for the last one; the first step, which does not count, has
/// zeros.
fn chances(count: usize, last: [f64; 2]) -> Tensor {
    let of_step = |k: usize| match k % 5 {
        0 => [0.0; 2],
        _ if k + 1 == 5 * count => last,
        _ => [0.25, 0.75],
    };
    Tensor {
        dtype: Dtype::F32,
        shape: vec![1, count, 5, 2],
        values: (0..count * 5).flat_map(of_step).collect(),
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text(output: Output) -> String {
    assert_status(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_run_on_a_file_has_everything_that_a_run_has() {
    let files = Files::new();
    let run = files.trained("run", &["--validation=v.safetensors", "--name=mine"]);
    let path = run.to_str().unwrap();
    let summary = json(&run.join("summary.json"));
    assert_eq!(
        (&summary["task"], &summary["episodes"]),
        (&"data".into(), &60.into())
    );
    assert!(run.join("curve.svg").exists() && run.join("checkpoints").exists());
    let settings = std::fs::read_to_string(run.join("run.toml")).unwrap();
    for part in [
        "e.safetensors",
        "v.safetensors",
        "counted = \"1-4\"",
        "digest = ",
    ] {
        assert!(settings.contains(part), "{part} in {settings}");
    }
    // A network is that of its seed alone, and run.toml runs again.
    let alone = files.trained(
        "alone",
        &["--validation=v.safetensors", "--population=1", "--seed=1"],
    );
    let [all, one] = [&run, &alone].map(|run| read(&run.join("parameters.safetensors")));
    for (name, one) in one {
        let size = one.values.len();
        assert_eq!(all[&name].values[size..], one.values[..], "{name}");
    }
    let again = files.path("again");
    let mut command = command();
    command
        .args(["train", "--engine=cpu", "--quiet", "--recipe"])
        .arg(run.join("run.toml"));
    assert_status(&command.arg("--output").arg(&again).output().unwrap(), 0);
    let [one, other] =
        [&run, &again].map(|run| json(&run.join("summary.json"))["identity"].clone());
    assert_eq!(one, other);
    // Each episode of the validation once; or those of another file.
    let report: Value =
        serde_json::from_str(&text(metaplastic(&["evaluate", path, "--json"]))).unwrap();
    assert_eq!(report["episodes"], 3);
    let more = files.path("e.safetensors");
    let arguments = ["evaluate", path, "--json", "--data", more.to_str().unwrap()];
    let report: Value = serde_json::from_str(&text(metaplastic(&arguments))).unwrap();
    assert_eq!(report["episodes"], 7);
    assert_eq!(report["steps"][0]["counted"], false);
    assert!(text(metaplastic(&["inspect", path])).contains("data"));
    assert!(
        text(metaplastic(&[
            "runs",
            files.folder.path().to_str().unwrap()
        ]))
        .contains("mine")
    );
    text(metaplastic(&["report", path, "--engine=cpu"]));
    assert!(run.join("report.html").exists());
    text(metaplastic(&["compare", path, alone.to_str().unwrap()]));
    let swept = files.trained("swept", &["--learning-rate=0.001,0.01"]);
    assert_eq!(json(&swept.join("summary.json"))["population"], 4);
    // Begun with the networks of another run, on other episodes.
    let from = [
        "train",
        "--from",
        path,
        "--data",
        more.to_str().unwrap(),
        "--quiet",
        "--engine=cpu",
    ];
    let output = metaplastic(
        &[
            &from[..],
            &["--output", files.path("from").to_str().unwrap()],
        ]
        .concat(),
    );
    assert_status(&output, 0);
}

#[test]
fn a_run_on_a_file_goes_on_with_the_same_bits() {
    let files = Files::new();
    let long = ["--episodes=60000", "--checkpoint-every=10ms"];
    let run = files.path("run");
    let mut child = Running::start(files.train(&long).args(["--output", "run"]));
    let start = std::time::Instant::now();
    while !run.join("checkpoints").exists() {
        assert!(start.elapsed().as_secs() < 60 && !child.has_ended());
    }
    child.kill();
    assert!(!run.join("summary.json").exists());
    let output = command()
        .arg("resume")
        .arg(&run)
        .arg("--quiet")
        .output()
        .unwrap();
    assert_status(&output, 0);
    let whole = files.trained("whole", &long);
    let [one, other] =
        [&run, &whole].map(|run| json(&run.join("summary.json"))["identity"].clone());
    assert_eq!(one, other);
}

#[test]
fn each_episode_may_have_a_mask_of_its_own() {
    let files = Files::new();
    // Episode `n` of 7 counts from its step `n % 5` on.
    let mut tensors = episodes(7, 0.0);
    let mask = (0..35).map(|k| f64::from(u8::from(k % 5 >= k / 5 % 5)));
    let mask = Tensor {
        dtype: Dtype::U8,
        shape: vec![1, 7, 5],
        values: mask.collect(),
    };
    tensors.insert("mask".into(), mask);
    files.write("masks.safetensors", &tensors);
    let run = files.trained("run", &["--data=masks.safetensors"]);
    let settings = std::fs::read_to_string(run.join("run.toml")).unwrap();
    assert!(settings.contains("counted = \"by episode\""), "{settings}");
    let path = run.to_str().unwrap();
    let evaluation = text(metaplastic(&["evaluate", path, "--engine=cpu", "--json"]));
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    // By step, in how many of the 7 it counts.
    let counts = [2.0, 4.0, 5.0, 6.0, 7.0];
    for network in evaluation["networks"].as_array().unwrap() {
        let steps = network["error_at_step"].as_array().unwrap();
        let steps = steps.iter().map(|error| error.as_f64().unwrap());
        let sum: f64 = steps.zip(counts).map(|(error, count)| error * count).sum();
        let error = network["error"].as_f64().unwrap();
        assert!((sum / 24.0 - error).abs() < 1e-9 * error, "{network}");
    }
    text(metaplastic(&["report", path, "--engine=cpu"]));
    // Another file may have the same steps for all episodes, but that of the validation must be as that of the training.
    let other = files.path("e.safetensors");
    text(metaplastic(&[
        "evaluate",
        path,
        "--engine=cpu",
        "--data",
        other.to_str().unwrap(),
    ]));
    let arguments = ["--data=masks.safetensors", "--validation=v.safetensors"];
    let output = files.train(&arguments).output().unwrap();
    assert_status(&output, 2);
    let message = error_text(&output);
    assert!(
        message.contains("1-4") && message.contains("by episode"),
        "{message}"
    );
}

#[test]
fn a_changed_file_is_refused_with_both_digests_and_what_is_there_can_be_seen() {
    let files = Files::new();
    let run = files.trained("run", &[]);
    let settings = std::fs::read_to_string(run.join("run.toml")).unwrap();
    let settings: toml::Table = settings.parse().unwrap();
    let before = settings["recipe"]["task"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    files.write("e.safetensors", &episodes(7, 2.0));
    let run = run.to_str().unwrap();
    let again = files.path("again");
    let recipe = format!("{run}/run.toml");
    let arguments = [
        "train",
        "--engine=cpu",
        "--recipe",
        &recipe,
        "--output",
        again.to_str().unwrap(),
    ];
    for arguments in [&arguments[..], &["evaluate", run, "--engine=cpu"]] {
        let output = metaplastic(arguments);
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(
            message.contains(&before) && message.contains("changed"),
            "{message}"
        );
        assert!(message.contains("e.safetensors"), "{message}");
    }
    assert!(!again.exists());
    assert_status(&metaplastic(&["inspect", run]), 0);
}

#[test]
fn what_cannot_be_learned_from_is_refused_before_anything_is_written() {
    let files = Files::new();
    let change = |name: &str, change: &dyn Fn(&mut Tensors)| {
        let mut tensors = episodes(7, 0.0);
        change(&mut tensors);
        files.write(name, &tensors);
    };
    change("wide.safetensors", &|it| {
        drop(it.insert("input".into(), tensor(Dtype::F32, &[1, 7, 5, 4], 0.0)))
    });
    change("two.safetensors", &|it| {
        drop(it.insert("input".into(), tensor(Dtype::F32, &[2, 7, 5, 3], 0.0)))
    });
    change("none.safetensors", &|it| *it = episodes(0, 0.0));
    change("nan.safetensors", &|it| {
        it.get_mut("input").unwrap().values[3] = f64::NAN
    });
    change("aimless.safetensors", &|it| drop(it.remove("target")));
    change("trace.safetensors", &|it| {
        drop(it.insert(
            "layer0.trace".into(),
            tensor(Dtype::F32, &[1, 7, 4, 3], 0.0),
        ))
    });
    change("class.safetensors", &|it| {
        it.get_mut("target").unwrap().values[0] = 2.0
    });
    change("masks.safetensors", &|it| {
        let mut mask = tensor(Dtype::F32, &[1, 7, 5], 0.0);
        for (index, value) in mask.values.iter_mut().enumerate() {
            *value = f64::from(u8::from(index < 30));
        }
        drop(it.insert("mask".into(), mask))
    });
    for (name, last) in [("sum", [0.25, 0.25]), ("negative", [-0.25, 1.25])] {
        change(&format!("{name}.safetensors"), &|it| {
            it.insert("target".into(), chances(7, last));
        });
    }
    std::fs::write(files.path("text.safetensors"), "text").unwrap();
    for (arguments, parts) in [
        (
            &["--data=wide.safetensors"][..],
            &["wide", "input", "I = 3"][..],
        ),
        (&["--data=two.safetensors"], &["two", "input", "2"]),
        (&["--data=none.safetensors"], &["none", "zero"]),
        (&["--data=nan.safetensors"], &["nan", "input"]),
        (&["--data=aimless.safetensors"], &["aimless", "target"]),
        (&["--data=trace.safetensors"], &["trace", "layer0.trace"]),
        (&["--data=class.safetensors"], &["class", "target"]),
        (
            &["--data=masks.safetensors"],
            &["masks", "mask", "episode 6"],
        ),
        (
            &["--data=sum.safetensors"],
            &[
                "sum.safetensors",
                "target: network 0, episode 6, step 4: the sum is 0.5,",
            ],
        ),
        (
            &["--data=negative.safetensors"],
            &["target: network 0, episode 6, step 4: -0.25 is in it, the sum is 1,"],
        ),
        (&["--validation=sum.safetensors"], &["episode 6, step 4"]),
        (&["--steps=3"], &["--steps", "from a file"]),
        (&["--data=text.safetensors"], &["text.safetensors"]),
        (&["--data=absent.safetensors"], &["absent.safetensors"]),
        (&["--validation=wide.safetensors"], &["wide", "input"]),
        (&["--network=absent.toml"], &["absent.toml"]),
        (&["--batch=8"], &["batch", "7 episodes"]),
        (&["--solved-below=nan"], &["solved-below"]),
    ] {
        let option = arguments[0].split('=').next().unwrap();
        let kept = ["--network=net.toml", "--data=e.safetensors", "--batch=4"];
        let kept = kept.iter().filter(|it| !it.starts_with(option));
        let mut command = command();
        command
            .current_dir(files.folder.path())
            .args(["train", "--engine=cpu", "--output=run"]);
        let output = command.args(kept).args(arguments).output().unwrap();
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(
            parts.iter().all(|part| message.contains(part)),
            "{arguments:?}: {message}"
        );
        assert!(!files.path("run").exists());
    }
    let mut command = command();
    command
        .current_dir(files.folder.path())
        .args(["train", "--data=e.safetensors"]);
    let output = command.output().unwrap();
    assert_status(&output, 2);
    assert!(error_text(&output).contains("--network"));
}

#[test]
fn a_task_takes_none_of_the_settings_of_files() {
    let files = Files::new();
    for setting in [
        "--solved-below=0.9",
        "--network=net.toml",
        "--validation=e.safetensors",
    ] {
        let mut command = command();
        command.current_dir(files.folder.path());
        command.args([
            "train",
            "one-shot",
            "--episodes=10",
            "--output=run",
            setting,
        ]);
        let output = command.output().unwrap();
        assert_status(&output, 2);
        let name = setting.split('=').next().unwrap();
        assert!(
            error_text(&output).contains(name),
            "{}",
            error_text(&output)
        );
        assert!(!files.path("run").exists());
    }
}

#[test]
fn targets_may_be_distributions() {
    let files = Files::new();
    let mut tensors = episodes(7, 0.0);
    tensors.insert("target".into(), chances(7, [0.3, 0.7]));
    files.write("e.safetensors", &tensors);
    files.trained("run", &[]);
}

#[test]
fn what_is_in_a_file_is_not_called_fresh() {
    let files = Files::new();
    let run = files.trained("run", &["--validation=v.safetensors"]);
    let path = run.to_str().unwrap();
    let more = files.path("e.safetensors");
    let other = ["evaluate", path, "--data", more.to_str().unwrap()];
    for (arguments, part) in [
        (&["evaluate", path][..], "3 episodes of v.safetensors each"),
        (
            &["evaluate", path, "--episodes=1"],
            "1 episode of v.safetensors each",
        ),
        (&other, "7 episodes of e.safetensors each"),
    ] {
        let text = text(metaplastic(arguments));
        assert!(text.contains(part) && !text.contains("fresh"), "{text}");
    }
    text(metaplastic(&["report", path, "--engine=cpu"]));
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    for part in [
        "2 networks, 3 episodes of v.safetensors each",
        "on the episodes of v.safetensors, step by step",
        "evaluation error",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("fresh"));
    for (option, part) in [
        ("--seed=7", "whatever the seed"),
        ("--steps=3", "from a file"),
    ] {
        let output = metaplastic(&["evaluate", path, option]);
        assert_status(&output, 2);
        let message = error_text(&output);
        let name = option.split('=').next().unwrap();
        assert!(
            message.contains(name) && message.contains(part),
            "{message}"
        );
        assert!(!message.contains("task."), "{message}");
    }
}
