//! `metaplastic plan` and `metaplastic shaders`: no device is needed by either.

use crate::support::{NETWORK, assert_status, command, error_text, names};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;

/// A folder with a network's description.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(network: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("net.toml"), network).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = command();
        command.current_dir(self.folder.path());
        // No driver may be asked.
        command
            .env("VK_DRIVER_FILES", "/nowhere")
            .env("VK_ICD_FILENAMES", "/nowhere");
        command
            .args([name, "--network", "net.toml"])
            .args(arguments);
        command.output().unwrap()
    }

    #[track_caller]
    fn plan(&self, arguments: &[&str]) -> Value {
        let output = self.run("plan", &[arguments, &["--json"]].concat());
        assert_status(&output, 0);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

const WORK: [&str; 6] = ["--population", "3", "--batch", "40", "--steps", "10"];

const KERNELS: [&str; 13] = [
    "check",
    "check-parts",
    "layer0-backward",
    "layer0-forward",
    "layer1-backward",
    "layer1-forward",
    "layer1-input-gradient",
    "layer2-bias-backward",
    "layer2-bias-forward",
    "loss",
    "optimiser",
    "reduce",
    "sum-losses",
];

#[test]
fn a_plan_names_bytes_cuts_and_kernels() {
    let place = Place::new(NETWORK);
    let plan = place.plan(&WORK);
    let number = |key: &str| {
        plan[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key} in {plan}"))
    };
    assert_eq!(
        number("total_bytes"),
        number("resident_bytes") + number("working_bytes")
    );
    assert_eq!(number("dispatches"), KERNELS.len() as u64);
    for key in ["groups", "cuts", "segments"] {
        assert_eq!(number(key), 1, "{key}");
    }
    let mut kernels: Vec<_> = plan["kernels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kernel| kernel["name"].as_str().unwrap())
        .collect();
    kernels.sort_unstable();
    assert_eq!(kernels, KERNELS);

    let output = place.run("plan", &WORK);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["device memory", "13 per meta-step", "layer1-input-gradient"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn narrower_limits_cut_the_work() {
    let place = Place::new(NETWORK);
    let whole = place.plan(&WORK);
    let cut = place.plan(&[&WORK[..], &["--binding-bytes", "3000"]].concat());
    let number = |plan: &Value, key: &str| plan[key].as_u64().unwrap();
    assert!(number(&cut, "cuts") > 1, "{cut}");
    assert!(number(&cut, "dispatches") > number(&whole, "dispatches"));
    assert!(number(&cut, "working_bytes") < number(&whole, "working_bytes"));
}

#[test]
fn shaders_are_files_of_wgsl() {
    let place = Place::new(NETWORK);
    let arguments = [&WORK[..], &["--output", "out/shaders"]].concat();
    let output = place.run("shaders", &arguments);
    assert_status(&output, 0);
    let files = KERNELS.map(|kernel| format!("{kernel}.wgsl"));
    let folder = place.path("out/shaders");
    let mut listed = files.clone();
    listed.sort_unstable();
    assert_eq!(names(&folder), listed);
    for (file, kernel) in files.iter().zip(KERNELS) {
        let source = std::fs::read_to_string(folder.join(file)).unwrap();
        let module = naga::front::wgsl::parse_str(&source).unwrap();
        let entry = &module.entry_points[0].name;
        assert!(
            kernel.ends_with(&entry.replace('_', "-")),
            "{kernel} {entry}"
        );
    }
    // Again, over what is there: the same bytes.
    let before = std::fs::read(folder.join("layer0-forward.wgsl")).unwrap();
    assert_status(&place.run("shaders", &arguments), 0);
    assert_eq!(names(&folder), listed);
    assert_eq!(
        std::fs::read(folder.join("layer0-forward.wgsl")).unwrap(),
        before
    );
}

#[test]
fn a_device_without_subgroups_sums_in_workgroup_memory() {
    let wide = NETWORK.replace("inputs = 4", "inputs = 512");
    let place = Place::new(&wide);
    let forward = |arguments: &[&str]| {
        let plan = place.plan(&[&WORK[..], arguments].concat());
        let kernels = plan["kernels"].as_array().unwrap();
        let forward = kernels
            .iter()
            .find(|kernel| kernel["name"] == "layer0-forward");
        forward.unwrap()["workgroup_bytes"].as_u64().unwrap()
    };
    assert_eq!(forward(&[]), 0);
    assert!(forward(&["--subgroup-size", "1"]) > 0);
}

/// More networks than one binding holds are cut into groups; more work than a submission takes, into cuts.
#[test]
fn groups_come_before_cuts() {
    let place = Place::new(NETWORK);
    let plan = |arguments: &[&str]| {
        let work = ["--population", "64", "--batch", "40", "--steps", "50"];
        let plan = place.plan(&[&work[..], arguments].concat());
        ["groups", "cuts"].map(|key| plan[key].as_u64().unwrap())
    };
    assert_eq!(plan(&[]), [1, 1]);
    let [groups, cuts] = plan(&["--binding-bytes", "200000"]);
    assert!(groups > 1 && cuts > 1, "{groups}, {cuts}");
    // 3 cuts of 16 episodes of one network fit where 2 of 32 do not.
    let [groups, cuts] = plan(&["--submission-work", "20000"]);
    assert_eq!((groups, cuts), (64, 3));
}

/// Eight bytes a parameter, of its moments, exceed a binding before anything else does.
#[test]
fn a_network_beyond_every_binding_is_refused() {
    let place = Place::new(
        r#"
        [loss]
        kind = "squared-error"

        [[layer]]
        kind = "plastic"
        inputs = 4096
        outputs = 2050
        rate = { value = 0.1 }
        "#,
    );
    let output = place.run("plan", &["--batch", "1", "--steps", "2"]);
    assert_status(&output, 1);
    let message = error_text(&output);
    assert!(message.contains("Moments of one network"), "{message}");
    assert!(message.contains("134217728"), "{message}");
}

#[test]
fn bad_input_is_refused_by_name_and_nothing_is_written() {
    let place = Place::new(NETWORK);
    let refused = |arguments: &[&str], status: i32, part: &str| {
        for (name, output) in [("plan", &[][..]), ("shaders", &["--output", "out"])] {
            let output = place.run(name, &[arguments, output].concat());
            assert_status(&output, status);
            let message = error_text(&output);
            assert!(message.contains(part), "{part:?} in {message}");
            assert!(output.stdout.is_empty());
            assert!(!place.path("out").exists());
        }
    };
    refused(&["--steps", "5"], 2, "--batch");
    let turns = |number| place.plan(&[&WORK[..], &["--loop-turns", number]].concat());
    assert_eq!(turns("65_535"), turns("65535"));
    assert_eq!(turns("1e6"), turns("1000000"));
    refused(&["--batch", "-1", "--steps", "5"], 2, "-1");
    refused(&["--batch", "0", "--steps", "5"], 2, "batch");
    refused(&["--batch", "5", "--steps", "0"], 2, "steps");
    refused(&["--batch", "5", "--steps", "99999999999"], 2, "steps");
    for (option, value, status, part) in [
        ("--population", "0", 2, "population"),
        ("--subgroup-size", "0", 2, "profile.subgroup_size"),
        ("--workgroup-size", "32", 2, "profile.workgroup_size"),
        ("--binding-bytes", "0", 2, "profile.binding_bytes"),
        ("--workgroups", "0", 2, "profile.workgroups"),
        ("--submission-work", "0", 2, "profile.submission_work"),
        ("--loop-turns", "0", 2, "profile.loop_turns"),
        ("--registers", "0", 2, "profile.registers"),
        // No cut helps against these.
        ("--binding-bytes", "100", 1, "limit of 100"),
        ("--loop-turns", "10", 1, "turns of the loops of the kernel"),
        (
            "--workgroup-bytes",
            "16",
            1,
            "workgroup memory of the kernel check",
        ),
    ] {
        refused(
            &["--batch", "5", "--steps", "5", option, value],
            status,
            part,
        );
    }
    let steering = "[loss]\nkind = \"\\u001b[31mred\"\n";
    std::fs::write(place.path("net.toml"), steering).unwrap();
    refused(&["--batch", "5", "--steps", "5"], 2, "`\\u{1b}[31mred`");
    let network = NETWORK.replacen("value = 0.1", "value = 1e39", 1);
    assert_ne!(network, NETWORK);
    std::fs::write(place.path("net.toml"), network).unwrap();
    let rate = "net.toml: layer0.rate.value: 1e39, beyond the range of f32";
    refused(&["--batch", "5", "--steps", "5"], 2, rate);
    std::fs::write(place.path("net.toml"), "[loss]\nkind = 3\n").unwrap();
    refused(&["--batch", "5", "--steps", "5"], 2, "net.toml");
    std::fs::remove_file(place.path("net.toml")).unwrap();
    refused(&["--batch", "5", "--steps", "5"], 2, "net.toml");
}

#[test]
fn a_folder_that_cannot_be_made_is_the_machines_fault() {
    let place = Place::new(NETWORK);
    let arguments = [&WORK[..], &["--output", "net.toml/out"]].concat();
    let output = place.run("shaders", &arguments);
    assert_status(&output, 1);
    assert!(error_text(&output).contains("net.toml/out"));
}

/// The network of the paper's one-shot experiment.
const PAPER: &str = r#"
[loss]
kind = "softmax-cross-entropy"
[[layer]]
kind = "plastic"
inputs = 10
outputs = 2
activation = "tanh"
rate = { value = 0.02 }
[[layer]]
kind = "dense"
inputs = 2
outputs = 2
"#;

#[test]
fn a_small_networks_meta_step_is_one_dispatch() {
    let place = Place::new(PAPER);
    let work = ["--population", "1000", "--batch", "1", "--steps", "20"];
    let plan = place.plan(&work);
    assert_eq!(plan["dispatches"], 1, "{plan}");
    assert_eq!(plan["meta_steps_per_dispatch"], 1);
    assert_eq!(plan["kernels"][0]["name"], "meta-step");
    let bytes = plan["kernels"][0]["workgroup_bytes"].as_u64().unwrap();
    assert!(bytes > 0 && bytes <= 32 << 10, "{bytes}");
    let output = place.run("shaders", &[&work[..], &["--output", "out"]].concat());
    assert_status(&output, 0);
    assert_eq!(names(&place.path("out")), ["meta-step.wgsl"]);
    // Too little memory for one network.
    let plan = place.plan(&[&work[..], &["--workgroup-bytes", "1024"]].concat());
    assert!(plan["dispatches"].as_u64().unwrap() >= 8, "{plan}");
    assert!(plan["meta_steps_per_dispatch"].is_null());
}

/// Without a loss the caller's gradient on the output is taken back, and the update is a call of its own.
#[test]
fn without_a_loss_no_kernel_does_whole_meta_steps() {
    let place = Place::new(&PAPER.replace("softmax-cross-entropy", "none"));
    let plan = place.plan(&["--population", "1000", "--batch", "1", "--steps", "20"]);
    assert!(plan["meta_steps_per_dispatch"].is_null(), "{plan}");
    let kernels = plan["kernels"].as_array().unwrap().iter();
    let names: Vec<_> = kernels.map(|kernel| kernel["name"].as_str()).collect();
    assert!(names.contains(&Some("layer0-backward")), "{plan}");
    assert!(!names.contains(&Some("meta-step")) && !names.contains(&Some("loss")));
}

#[test]
fn a_tasks_dispatch_does_many_meta_steps() {
    let run = |arguments: &[&str]| command().arg("plan").args(arguments).output().unwrap();
    for task in ["one-shot", "completion", "reversal"] {
        let output = run(&["--task", task, "--population", "20", "--json"]);
        assert_status(&output, 0);
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(plan["dispatches"], 1);
        assert!(
            plan["meta_steps_per_dispatch"].as_u64().unwrap() > 100,
            "{plan}"
        );
        let large = run(&["--task", task, "--batch", "17", "--json"]);
        let plan: Value = serde_json::from_slice(&large.stdout).unwrap();
        assert!(plan["meta_steps_per_dispatch"].is_null(), "{plan}");
    }
    let output = run(&["--task", "one-shot", "--steps", "20"]);
    assert_status(&output, 2);
    assert!(error_text(&output).contains("--steps"));
    let place = Place::new(&PAPER.replace("inputs = 10", "inputs = 11"));
    let output = place.run("plan", &["--task", "one-shot"]);
    assert_status(&output, 2);
    assert!(
        error_text(&output).contains("inputs"),
        "{}",
        error_text(&output)
    );
}

/// A recurrent layer of so many units.
fn recurrent(units: usize) -> Place {
    Place::new(&format!(
        "[[layer]]\nkind = \"recurrent\"\ninputs = {units}\noutputs = {units}\ninput = \"identity\"\n\
         rate = {{ value = 0.01, learned = true }}\n"
    ))
}

#[test]
fn a_plan_of_a_recurrent_layer_names_its_checkpoints() {
    let plan = recurrent(1001).plan(&["--batch", "1", "--steps", "106"]);
    let number = |key: &str| plan[key].as_u64().unwrap();
    // After every 16 steps but the last.
    assert_eq!(number("checkpoints"), 6);
    assert_eq!(number("checkpoint_bytes"), 6 * 4 * 1001 * 1001);
    assert_eq!(number("cuts") * number("segments"), 1, "{plan}");
    assert!(number("working_bytes") < 128 << 20, "{plan}");
}

#[test]
fn a_recurrent_layer_takes_few_dispatches_where_a_workgroup_holds_it() {
    let dispatches = |registers: &str| {
        let place = recurrent(40);
        let plan = place.plan(&["--batch", "2", "--steps", "50", "--registers", registers]);
        plan["dispatches"].as_u64().unwrap()
    };
    // With states in memory, at least six a step; otherwise two for each sixteen steps, and few others.
    assert!(dispatches("1") > 6 * 50);
    assert!(dispatches("16384") < 50);
}

#[test]
fn the_time_of_a_recurrent_layer_is_cut_too() {
    let limit = ["--binding-bytes", "7000000"];
    let plan = recurrent(100).plan(&[&["--batch", "1", "--steps", "20000"], &limit[..]].concat());
    assert_eq!(plan["segments"], 2, "{plan}");
    assert_eq!(plan["checkpoints"], (20_000 - 1) / 144, "{plan}");
}
