//! Plasticity rules as texts, in every place that takes one.

use crate::support::{Inputs, assert_status, command, error_text, read};
use std::path::Path;

const CPU: [&str; 2] = ["--engine", "cpu"];

fn with_rule(rule: &str) -> Inputs {
    let mut inputs = Inputs::new();
    inputs.network = inputs.network.replace("rule = \"oja\"", rule);
    inputs
}

#[test]
fn a_named_rule_and_its_text_give_the_same_bits() {
    for (name, text) in [
        ("hebb", "h - rate * h + rate * y * x"),
        ("oja", "rate * y * x + (1 - rate * y^2) * h"),
        ("oja", "h + rate * m * y * (x - y * h)"),
    ] {
        for precision in ["f32", "f64"] {
            let arguments = [&CPU[..], &["--precision", precision]].concat();
            let named = with_rule(&format!("rule = \"{name}\"")).gradient(&arguments);
            let own = with_rule(&format!("rule = {{ trace = \"{text}\" }}")).gradient(&arguments);
            for (tensor, named) in &named {
                let pairs = named.values.iter().zip(&own[tensor].values);
                let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                let bound = if precision == "f32" { 1e-6 } else { 1e-14 };
                assert!(worst <= bound, "{tensor} {text} {worst:e}");
            }
        }
    }
}

#[test]
fn what_is_no_rule_is_pointed_at() {
    for (rule, parts) in [
        (
            "rule = { trace = \"h + rate * * x\" }",
            &[
                "net.toml",
                "column 12: expected a number",
                "\n             ^",
            ][..],
        ),
        (
            "rule = { trace = \"a * h\" }\ncoefficients = { q = { value = 1 } }",
            &["column 1", "unknown name `a`"],
        ),
        (
            "coefficients = { q = { value = 1 } }",
            &["coefficient `q`", "does not use it"],
        ),
        (
            "bound = -1.0",
            &["layer0.bound: -1, expected a finite value above 0"],
        ),
        (
            "rule = { trace = \"h + x\", bound = 1.0 }",
            &["rule.bound: a key of the layer"],
        ),
        (
            "rule = \"h + x\"",
            &["\"hebb\", \"oja\", \"additive\", \"retroactive\", { trace"],
        ),
        (
            "rule = { trace = \"h\\u001B[31m\" }",
            &["column 2: unexpected character `\\u{1b}`"],
        ),
    ] {
        let inputs = with_rule(rule);
        inputs.write();
        inputs.refused(&CPU, parts);
    }
    let output = command()
        .args([
            "train",
            "one-shot",
            "--rule",
            "h + speed * x",
            "--engine",
            "cpu",
        ])
        .output()
        .unwrap();
    assert_status(&output, 2);
    let message = error_text(&output);
    assert!(
        message.contains("--rule") && message.contains("unknown name `speed`"),
        "{message}"
    );
}

#[test]
fn a_rule_without_a_value_is_reported_as_that() {
    for trace in [
        "log(y) * h + rate * y * x",
        "h + 1e30 * exp(9 * y) * 1e30 * x",
    ] {
        let inputs = with_rule(&format!("rule = {{ trace = \"{trace}\" }}"));
        inputs.write();
        let output = inputs.command().args(CPU).output().unwrap();
        assert_status(&output, 3);
        assert!(
            error_text(&output).contains("not finite: "),
            "{}",
            error_text(&output)
        );
    }
}

/// Runs a command on the folder of a run.
#[track_caller]
fn on_run(name: &str, folder: &Path) -> String {
    let output = command().arg(name).arg(folder).output().unwrap();
    assert_status(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_run_keeps_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = |arguments: &[&str], run: &Path| {
        let output = command()
            .args([
                "train",
                "one-shot",
                "--population",
                "2",
                "--episodes",
                "100",
            ])
            .args(CPU)
            .args(arguments)
            .arg("--output")
            .arg(run)
            .output()
            .unwrap();
        assert_status(&output, 0);
        read(&run.join("parameters.safetensors"))
    };
    let rule = "-0.5*h + rate*tanh(y)*x";
    let trained = train(&["--rule", rule], &run);
    let text = std::fs::read_to_string(run.join("run.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    let layer = &settings["recipe"]["network"]["layer"][0];
    let kept = layer["rule"]["trace"].as_str();
    assert_eq!(kept, Some("-0.5 * h + rate * tanh(y) * x"));
    for name in ["evaluate", "inspect"] {
        on_run(name, &run);
    }
    // As a recipe, with comments too.
    let output = command()
        .args(["recipe", "one-shot", "--rule", rule])
        .output()
        .unwrap();
    assert_status(&output, 0);
    let recipe = folder.path().join("recipe.toml");
    std::fs::write(&recipe, output.stdout).unwrap();
    let again = train(
        &["--recipe", recipe.to_str().unwrap()],
        &folder.path().join("again"),
    );
    assert_eq!(again, trained);
}
