//! `metaplastic bench`.

use crate::support::{assert_status, error_text, metaplastic};
use serde_json::Value;

const SMALL: [&str; 9] = [
    "bench",
    "--inputs",
    "5",
    "--outputs",
    "3",
    "--steps",
    "4",
    "--episodes",
    "7",
];

#[test]
fn json_is_one_line_with_the_figures() {
    let output = metaplastic(
        &[
            &SMALL[..],
            &["--population", "2", "--engine", "cpu", "--json"],
        ]
        .concat(),
    );
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let number = |key: &str| {
        report[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key} in {report}"))
    };
    assert_eq!(report["engine"], "cpu");
    assert!(report["device"].as_str().unwrap().contains("thread"));
    let synapse_steps = 2.0 * 7.0 * 4.0 * 5.0 * 3.0;
    assert_eq!(number("synapse_steps"), synapse_steps);
    let product = number("seconds") * number("synapse_steps_per_second");
    assert!((product / synapse_steps - 1.0).abs() < 1e-9, "{report}");
    assert!(number("sweeps") >= 5.0);
    assert!(
        number("fma_share") > 0.0 && number("fma_share") < 1.0,
        "{report}"
    );
    #[cfg(target_os = "linux")]
    assert!(number("peak_bytes") > 1e6, "{report}");
}

#[test]
fn people_are_told_what_was_measured() {
    let output = metaplastic(&[&SMALL[..], &["--engine", "cpu"]].concat());
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    for part in ["time", "synapse-steps/s", "memory", "multiply-adds/s"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(error_text(&output).contains("engine: cpu"));
}

#[test]
fn a_recurrent_layer_is_timed() {
    let square = |outputs| {
        let mut arguments = SMALL.to_vec();
        arguments[4] = outputs;
        arguments.push("--recurrent");
        arguments
    };
    let output = metaplastic(&[&square("5")[..], &["--engine", "cpu", "--json"]].concat());
    assert_status(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["synapse_steps"], 7 * 4 * 5 * 5);
    assert_eq!(report["engine"], "cpu");
    // Each input goes to the neuron of its number.
    let output = metaplastic(&square("3"));
    assert_status(&output, 2);
    let message = error_text(&output);
    for part in ["outputs", "3 outputs", "5 inputs"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn bad_sizes_are_refused_by_name() {
    for (option, value, part) in [
        ("--inputs", "0", "inputs"),
        ("--outputs", "0", "outputs"),
        ("--outputs", "99999999999", "outputs"),
        ("--steps", "0", "steps"),
        ("--steps", "99999999999", "steps"),
        ("--episodes", "0", "episodes"),
        ("--population", "0", "population"),
        ("--inputs", "-3", "-3"),
        ("--engine", "abacus", "abacus"),
    ] {
        // The last of two options of a kind counts for none of them: it is given once.
        let mut arguments = SMALL.to_vec();
        match arguments.iter().position(|&known| known == option) {
            Some(at) => arguments[at + 1] = value,
            None => arguments.extend([option, value]),
        }
        let output = metaplastic(&arguments);
        assert_status(&output, 2);
        assert!(
            error_text(&output).contains(part),
            "{}",
            error_text(&output)
        );
        assert!(output.stdout.is_empty());
    }
    let mut too_much = SMALL.to_vec();
    too_much[6] = "2000000000";
    too_much[8] = "2000000000";
    let output = metaplastic(&too_much);
    assert_status(&output, 2);
    assert!(
        error_text(&output).contains("bytes"),
        "{}",
        error_text(&output)
    );
}
