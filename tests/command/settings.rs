//! Recipes, and the options that change them: `metaplastic recipe`, `train --recipe`.

use crate::support::{assert_status, command, error_text, metaplastic};
use std::path::Path;
use toml::Table;

/// What `metaplastic recipe` prints.
#[track_caller]
fn recipe(arguments: &[&str]) -> String {
    let output = command().arg("recipe").args(arguments).output().unwrap();
    assert_status(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

fn table(arguments: &[&str]) -> Table {
    recipe(arguments).parse().unwrap()
}

/// Trains with `arguments` and returns the recipe that the run was made by.
#[track_caller]
fn trained(folder: &Path, arguments: &[&str]) -> Table {
    let output = command()
        .arg("train")
        .args(arguments)
        .args(["--engine", "cpu", "--force", "--output"])
        .arg(folder)
        .output()
        .unwrap();
    assert_status(&output, 0);
    let text = std::fs::read_to_string(folder.join("run.toml")).unwrap();
    let run: Table = text.parse().unwrap();
    run["recipe"].as_table().unwrap().clone()
}

#[test]
fn a_printed_recipe_trains_what_the_task_alone_trains() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    for task in ["completion", "one-shot", "reversal", "pattern-memory"] {
        let text = recipe(&[task]);
        assert!(text.lines().filter(|line| line.contains("# ")).count() > 20);
        std::fs::write(&file, &text).unwrap();
        let small = ["--population", "2", "--episodes", "200"];
        let runs = [&[task][..], &[task, "--recipe", file.to_str().unwrap()]].map(|arguments| {
            let folder = tempfile::tempdir().unwrap();
            let recipe = trained(folder.path(), &[arguments, &small].concat());
            let parameters = std::fs::read(folder.path().join("parameters.safetensors")).unwrap();
            (recipe, parameters)
        });
        assert!(runs[0] == runs[1], "{task}");
    }
}

#[test]
fn every_setting_is_open_to_the_command_line() {
    let changed = table(&[
        "reversal",
        "--seed",
        "4",
        "--population",
        "5",
        "--episodes",
        "800",
        "--batch",
        "2",
        "--frozen",
        "40",
        "--bits",
        "9",
        "--patterns",
        "3",
        "--steps",
        "30",
        "--hidden",
        "6",
        "--rate",
        "0.1",
        "--rate-learned",
        "--rate-per",
        "neuron",
        "--rule",
        "oja",
        "--activation",
        "logistic",
        "--plasticity",
        "neuron",
        "--optimiser",
        "adam",
        "--learning-rate",
        "0.5",
        "--beta1",
        "0.8",
        "--beta2",
        "0.98",
        "--epsilon",
        "1e-7",
        "--schedule",
        "cosine",
        "--schedule-floor",
        "0.1",
        "--max-step",
        "none",
        "--max-gradient-norm",
        "2",
        "--l1",
        "0.2",
        "--l2",
        "0.3",
        "--plasticity-min",
        "0",
        "--plasticity-max",
        "7",
        "--rate-min",
        "0.01",
        "--rate-max",
        "0.9",
        "--scale",
        "0.4",
        "--plasticity-scale",
        "0.6",
        "--plasticity-sign",
        "negative",
        "--positive-output",
        "false",
    ]);
    let expected: Table = r#"
        seed = 4
        population = 5
        episodes = 800
        batch = 2
        frozen = 40
        [task]
        kind = "reversal"
        bits = 9
        patterns = 3
        steps = 30
        [initial]
        scale = 0.4
        plasticity_scale = 0.6
        plasticity_sign = "negative"
        positive_output = false
        [optimiser]
        learning_rate = 0.5
        max_step = "none"
        max_gradient_norm = 2.0
        l1 = 0.2
        l2 = 0.3
        rate_bounds = [0.01, 0.9]
        plasticity_min = 0.0
        plasticity_max = 7.0
        method = { kind = "adam", beta1 = 0.8, beta2 = 0.98, epsilon = 1e-7 }
        schedule = { kind = "cosine", updates = 380, floor = 0.1 }
        [network]
        loss = { kind = "softmax-cross-entropy" }
        [[network.layer]]
        kind = "plastic"
        inputs = 12
        outputs = 6
        activation = "logistic"
        rule = "oja"
        plasticity = "neuron"
        rate = { value = 0.1, per = "neuron", learned = true }
        bias = true
        [[network.layer]]
        kind = "dense"
        inputs = 6
        outputs = 3
        activation = "linear"
        bias = true
    "#
    .parse()
    .unwrap();
    assert_eq!(changed, expected);

    let method = |arguments: &[&str]| {
        let recipe = table(&[&["completion", "--bits", "12"], arguments].concat());
        assert_eq!(
            recipe["network"]["layer"][1]["outputs"].as_integer(),
            Some(12)
        );
        recipe["optimiser"].clone()
    };
    let sgd = method(&["--optimiser", "sgd", "--momentum", "0.7"]);
    assert_eq!(sgd["method"]["momentum"].as_float(), Some(0.7));
    let step = method(&[
        "--mean-rate",
        "0.2",
        "--schedule",
        "step",
        "--schedule-every",
        "9",
    ]);
    assert_eq!(step["method"]["mean_rate"].as_float(), Some(0.2));
    assert_eq!(step["schedule"]["every"].as_integer(), Some(9));
    assert_eq!(step["schedule"]["factor"].as_float(), Some(0.5));
}

#[test]
fn parameters_are_frozen_or_learn_at_a_rate_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let options = [
        "one-shot",
        "--freeze",
        "layer0.weight,bias",
        "--learning-rate-factor",
        "plasticity=0.5,layer1.weight=2",
    ];
    let optimiser = table(&options)["optimiser"].clone();
    let frozen = optimiser["frozen"].as_array().unwrap();
    let frozen: Vec<_> = frozen.iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(frozen, ["layer0.weight", "bias"]);
    assert_eq!(optimiser["factors"]["plasticity"].as_float(), Some(0.5));
    assert_eq!(optimiser["factors"]["layer1.weight"].as_float(), Some(2.0));

    // From a recipe file, with any learning rate, what is frozen stays as it was drawn.
    let file = folder.path().join("frozen.toml");
    std::fs::write(&file, recipe(&options)).unwrap();
    let [slow, fast] = ["0.001", "0.1"].map(|rate| {
        let run = folder.path().join(rate);
        let small = [
            "--population",
            "2",
            "--episodes",
            "200",
            "--learning-rate",
            rate,
        ];
        let file = ["one-shot", "--recipe", file.to_str().unwrap()];
        let recipe = trained(&run, &[&file[..], &small].concat());
        assert_eq!(recipe["optimiser"]["frozen"], optimiser["frozen"]);
        crate::support::read(&run.join("parameters.safetensors"))
    });
    for (name, tensor) in &slow {
        let stays = ["layer0.weight", "layer0.bias", "layer1.bias", "layer0.rate"];
        let is_same = tensor.values == fast[name].values;
        assert_eq!(is_same, stays.contains(&name.as_str()), "{name}");
    }

    for (arguments, parts) in [
        (
            ["--freeze", "layer5.weight"],
            ["optimiser.frozen", "layer0.plasticity"],
        ),
        (
            ["--freeze", "rate"],
            ["optimiser.frozen", "layer0.plasticity"],
        ),
        (["--freeze", "alpha"], ["--freeze", "\"plasticity\""]),
        (
            ["--learning-rate-factor", "bias"],
            ["--learning-rate-factor", "plasticity=0.1"],
        ),
        (
            ["--learning-rate-factor", "bias=0"],
            ["optimiser.factors.bias", "freeze"],
        ),
        (
            ["--learning-rate-factor", "layer1.rate=2"],
            ["optimiser.factors", "layer1.weight"],
        ),
    ] {
        let output = metaplastic(&[&["recipe", "one-shot"], &arguments[..]].concat());
        assert_status(&output, 2);
        let message = error_text(&output);
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message}");
        }
    }
}

#[test]
fn the_command_line_overrides_a_recipe_file_and_the_file_the_paper() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clipped.toml");
    std::fs::write(
        &file,
        "population = 3\nbatch = 2\n[optimiser]\nplasticity_min = 0\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let run = folder.path().join("run");
    let recipe = trained(
        &run,
        &[
            "reversal",
            "--recipe",
            file,
            "--batch",
            "4",
            "--episodes",
            "400",
        ],
    );
    assert_eq!(recipe["population"].as_integer(), Some(3));
    assert_eq!(recipe["batch"].as_integer(), Some(4));
    assert_eq!(recipe["optimiser"]["plasticity_min"].as_float(), Some(0.0));
    assert_eq!(recipe["optimiser"]["learning_rate"].as_float(), Some(0.01));

    let parameters = crate::support::read(&run.join("parameters.safetensors"));
    let plasticity = &parameters["layer0.plasticity"].values;
    assert!(plasticity.iter().all(|&value| value >= 0.0));
    assert!(plasticity.contains(&0.0));
}

#[test]
fn a_recipe_of_other_sizes_adapts_the_network_as_the_options_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wide.toml");
    for (task, text, options) in [
        ("one-shot", "bits = 16", &["--bits", "16"][..]),
        ("completion", "bits = 3", &["--bits", "3"]),
        (
            "reversal",
            "bits = 7\npatterns = 3",
            &["--bits", "7", "--patterns", "3"],
        ),
    ] {
        std::fs::write(&file, format!("[task]\n{text}\n")).unwrap();
        assert_eq!(
            recipe(&[task, "--recipe", file.to_str().unwrap()]),
            recipe(&[&[task], options].concat())
        );
    }
}

#[test]
fn whole_numbers_are_understood_as_people_write_them() {
    let plain = ["--episodes", "1000000", "--batch", "10000", "--seed", "12"];
    let written = ["--episodes", "1e6", "--batch", "10_000", "--seed", "1.2e1"];
    assert_eq!(
        recipe(&[&["one-shot"], &plain[..]].concat()),
        recipe(&[&["one-shot"], &written[..]].concat())
    );
    for (arguments, parts) in [
        (["--episodes", "1.5"], ["--episodes", "not a whole number"]),
        (
            ["--episodes", "1e30"],
            ["--episodes", "beyond 18446744073709551615"],
        ),
        (["--population", "-1e3"], ["--population", "at least 0"]),
        (
            ["--schedule-every", "1e10"],
            ["--schedule-every", "beyond 4294967295"],
        ),
        (["--bits", "many"], ["--bits", "1e6"]),
        (["--learning-rate", "1e400"], ["1e400", "range of f64"]),
        (["--max-step", "-1e400"], ["-1e400", "range of f64"]),
    ] {
        let output = metaplastic(&[&["recipe", "one-shot"], &arguments[..]].concat());
        assert_status(&output, 2);
        let message = error_text(&output);
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message}");
        }
    }
}

#[test]
fn settings_beyond_single_precision_are_refused_as_that() {
    for (option, field) in [
        ("--learning-rate", "optimiser.learning_rate"),
        ("--max-step", "optimiser.max_step"),
        ("--max-gradient-norm", "optimiser.max_gradient_norm"),
        ("--l1", "optimiser.l1"),
        ("--l2", "optimiser.l2"),
        ("--epsilon", "optimiser.epsilon"),
        ("--plasticity-min", "optimiser.plasticity_min"),
        ("--plasticity-max", "optimiser.plasticity_max"),
        ("--rate-max", "optimiser.rate_bounds"),
        ("--scale", "initial.scale"),
        ("--plasticity-scale", "initial.plasticity_scale"),
        ("--rate", "layer0.rate.value"),
    ] {
        for value in ["1e39", "1e300", "1e-45", "1e-300"] {
            let output = metaplastic(&["recipe", "one-shot", option, value]);
            assert_status(&output, 2);
            let message = error_text(&output);
            for part in [field, value, "beyond the range of f32"] {
                assert!(message.contains(part), "{part:?} in {message}");
            }
        }
    }
}

#[test]
fn tasks_of_other_sizes_can_be_trained() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &[
            "one-shot",
            "--bits",
            "12",
            "--patterns",
            "4",
            "--hidden",
            "5",
        ][..],
        &["completion", "--bits", "5"],
        &[
            "reversal",
            "--steps",
            "31",
            "--plasticity",
            "layer",
            "--rule",
            "oja",
        ],
    ] {
        let small = ["--population", "2", "--episodes", "100"];
        trained(folder.path(), &[arguments, &small].concat());
    }
}

#[test]
fn bad_settings_are_refused_with_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let file = folder.path().join("bad.toml");
    let file = file.to_str().unwrap();
    let output_of = |command_name: &str, task: &str, arguments: &[&str]| {
        let mut command = command();
        command.args([command_name, task]).args(arguments);
        if command_name == "train" {
            command.args(["--engine", "cpu", "--output"]).arg(&run);
        }
        command.output().unwrap()
    };
    let refused = |task: &str, arguments: &[&str], parts: &[&str]| {
        for name in ["train", "recipe"] {
            let output = output_of(name, task, arguments);
            assert_status(&output, 2);
            let message = error_text(&output);
            for part in parts {
                assert!(message.contains(part), "{arguments:?}: {part} in {message}");
            }
            assert!(output.stdout.is_empty() && !run.exists(), "{arguments:?}");
        }
    };
    let options: [(&str, &[&str], &[&str]); 34] = [
        (
            "pattern-memory",
            &["--bits", "51"],
            &["task.bits", "51", "even"],
        ),
        ("pattern-memory", &["--bits", "0"], &["task.bits", "0"]),
        (
            "pattern-memory",
            &["--bits", "65538"],
            &["task.bits", "65538"],
        ),
        (
            "pattern-memory",
            &["--patterns", "0"],
            &["task.patterns", "0"],
        ),
        (
            "pattern-memory",
            &["--patterns", "65"],
            &["task.patterns", "65"],
        ),
        ("pattern-memory", &["--show", "0"], &["task.show", "0"]),
        (
            "pattern-memory",
            &["--gap", "1048577"],
            &["steps", "1048577"],
        ),
        ("pattern-memory", &["--gain", "0"], &["task.gain", "0"]),
        (
            "pattern-memory",
            &["--steps", "9"],
            &["--steps", "pattern-memory"],
        ),
        (
            "pattern-memory",
            &["--recipe", "reliable"],
            &["reliable", "expected paper, or a file"],
        ),
        (
            "pattern-memory",
            &["--plasticity", "none", "--rate", "0.1"],
            &["--rate", "none"],
        ),
        (
            "one-shot",
            &["--learning-rate", "-1"],
            &["learning_rate", "-1"],
        ),
        (
            "one-shot",
            &["--learning-rate", "nan"],
            &["learning_rate", "NaN"],
        ),
        ("one-shot", &["--max-step", "0"], &["max_step", "0"]),
        ("one-shot", &["--max-step", "much"], &["--max-step", "much"]),
        (
            "one-shot",
            &["--momentum", "0.5"],
            &["--momentum", "rmsprop"],
        ),
        (
            "one-shot",
            &["--optimiser", "adam", "--mean-rate", "1"],
            &["--mean-rate", "adam"],
        ),
        (
            "one-shot",
            &["--optimiser", "newton"],
            &["newton", "rmsprop"],
        ),
        (
            "one-shot",
            &["--schedule-floor", "0"],
            &["--schedule-floor", "constant"],
        ),
        (
            "one-shot",
            &["--schedule", "step", "--schedule-updates", "3"],
            &["--schedule-updates", "step"],
        ),
        (
            "one-shot",
            &["--schedule", "cosine", "--schedule-updates", "0"],
            &["schedule.updates", "0"],
        ),
        (
            "one-shot",
            &["--plasticity-min", "1", "--plasticity-max", "0"],
            &["plasticity", "1", "0"],
        ),
        ("one-shot", &["--scale", "inf"], &["initial.scale", "inf"]),
        ("one-shot", &["--scale", "-1"], &["initial.scale", "-1"]),
        (
            "one-shot",
            &["--plasticity-scale", "-0.5"],
            &["initial.plasticity_scale", "-0.5", "standard deviation"],
        ),
        ("one-shot", &["--rate", "nan"], &["rate", "NaN"]),
        ("one-shot", &["--hidden", "0"], &["layer0.outputs", "zero"]),
        (
            "completion",
            &["--hidden", "3"],
            &["hidden", "no hidden layer"],
        ),
        (
            "completion",
            &["--patterns", "3"],
            &["--patterns", "completion"],
        ),
        ("completion", &["--steps", "3"], &["--steps", "completion"]),
        ("one-shot", &["--bits", "129"], &["task.bits", "129"]),
        ("reversal", &["--steps", "4"], &["task.steps", "4"]),
        (
            "one-shot",
            &["--recipe", "best"],
            &["--recipe", "best", "paper"],
        ),
        (
            "one-shot",
            &["--recipe", "no-such-file.toml"],
            &["no-such-file.toml", "cannot read"],
        ),
    ];
    for (task, arguments, parts) in options {
        refused(task, arguments, parts);
    }
    for (text, parts) in [
        ("batch = 0", &["batch", "zero"][..]),
        ("bathc = 3", &["bad.toml", "bathc"]),
        (
            "[optimiser]\nplasticity-min = 0",
            &["bad.toml", "plasticity-min"],
        ),
        (
            "[task]\nkind = \"completion\"\nbits = 8",
            &["bad.toml", "completion", "one-shot"],
        ),
        ("[task]\nbits = 129", &["bad.toml", "task.bits", "129"]),
        (
            "[task]\nbits = 9\n[[network.layer]]\nkind = \"dense\"\ninputs = 10\noutputs = 2",
            &["bad.toml", "inputs of the network", "10"],
        ),
        (
            "[[network.layer]]\nkind = \"plastic\"\ninputs = 1",
            &["bad.toml", "outputs"],
        ),
        ("batch = [", &["bad.toml", "line 1"]),
        ("[initial]\nscale = inf", &["initial.scale", "inf"]),
        ("\0", &["bad.toml"]),
    ] {
        std::fs::write(file, text).unwrap();
        refused("one-shot", &["--recipe", file], parts);
    }
    std::fs::write(file, b"\xff\xfe").unwrap();
    refused("one-shot", &["--recipe", file], &["bad.toml", "UTF-8"]);
    refused("one-shot", &["--recipe", "/tmp/.."], &["cannot read"]);
}

#[test]
fn help_says_what_each_setting_is() {
    let text = String::from_utf8(metaplastic(&["train", "--help"]).stdout).unwrap();
    for word in [
        "--recipe",
        "--plasticity-min",
        "--schedule",
        "Task and network",
        "rmsprop",
    ] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
}

#[test]
fn a_count_in_a_recipe_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [file, run] = ["r.toml", "run"].map(|name| folder.path().join(name));
    let every = "[optimiser.schedule]\nkind = \"step\"\nfactor = 0.5\nevery = -1";
    let layer = "[[network.layer]]\nkind = \"dense\"\ninputs = 10\noutputs = -2";
    for (text, part) in [
        ("population = -1", "population: -1"),
        ("episodes = -5", "episodes: -5"),
        ("batch = -2", "batch: -2"),
        ("frozen = -2", "frozen: -2"),
        ("seed = -2", "seed: -2"),
        ("batch = 1.5", "batch: 1.5"),
        ("population = \"many\"", "population: \"many\""),
        (every, "optimiser.schedule.every: -1"),
        (layer, "network.layer0.outputs: -2"),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut command = command();
        command.args(["train", "one-shot", "--recipe"]).arg(&file);
        let output = command.arg("--output").arg(&run).output().unwrap();
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(message.contains(part), "{part} in {message}");
        assert!(message.contains("whole number"), "{message}");
        assert!(!run.exists());
    }
}

#[test]
fn settings_of_another_type_are_refused_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let [file, run] = ["r.toml", "run"].map(|name| folder.path().join(name));
    let layer = "[[network.layer]]\nkind = \"plastic\"\ninputs = 10\noutputs = 2\nrate = \"quick\"";
    for (text, part) in [
        ("[optimiser]\nlearning_rate = \"x\"", "expected a number"),
        (layer, "expected a Rate"),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut command = command();
        command.args(["train", "one-shot", "--recipe"]).arg(&file);
        let output = command.arg("--output").arg(&run).output().unwrap();
        assert_status(&output, 2);
        let message = error_text(&output);
        assert!(message.contains(part), "{part} in {message}");
        let words = ["f64", "struct", "usize"];
        assert!(
            words.iter().all(|word| !message.contains(word)),
            "{message}"
        );
        assert!(!message.ends_with("\n\n"), "{message:?}");
        assert!(!run.exists());
    }
}
