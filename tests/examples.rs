//! The examples do what they say. (`own_task`, which writes a run's folder, is tested with the command.)

use metaplastic::{Network, Rule, tensors};

#[expect(dead_code, reason = "the tests call what `main` calls")]
#[path = "../examples/double_precision.rs"]
mod double_precision;
#[expect(dead_code, reason = "the tests call what `main` calls")]
#[path = "../examples/environment.rs"]
mod environment;
#[expect(dead_code, reason = "the tests call what `main` calls")]
#[path = "../examples/own_loss.rs"]
mod own_loss;
#[expect(dead_code, reason = "the tests call what `main` calls")]
#[path = "../examples/own_rule.rs"]
mod own_rule;
#[expect(dead_code, reason = "the tests call what `main` calls")]
#[path = "../examples/sweep.rs"]
mod sweep;

#[test]
fn a_loss_of_ones_own_falls() {
    let [first, last] = own_loss::train().unwrap();
    assert!(last < 0.5 * first, "{first} to {last}");
}

#[test]
fn a_rule_of_ones_own_learns() {
    // A network that knows nothing has ln 2.
    let rule = Rule::parse("(1 - 0.2 * rate) * h + rate * y * (1 - y ^ 2) * x").unwrap();
    let error = own_rule::error(rule).unwrap();
    assert!(error < 0.5 * 2f64.ln(), "{error}");
}

#[test]
fn an_environment_is_mastered_step_by_step() {
    let [first, last] = environment::train(300).unwrap();
    assert!(last < 0.5 * first, "{first} to {last}");
}

#[test]
fn the_best_of_a_sweep_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let (best, loss) = sweep::sweep(&path).unwrap();
    assert!(
        (1..63).contains(&best) && loss < 0.4,
        "network {best}: {loss}"
    );
    let network = r#"
        loss = { kind = "squared-error" }
        layer = [
            { kind = "plastic", inputs = 5, outputs = 8, rate = { value = 0.05, learned = true } },
            { kind = "dense", inputs = 8, outputs = 1 },
        ]
    "#;
    let network: Network = network.parse().unwrap();
    let saved = tensors::read_parameters::<f32>(&path, &network).unwrap();
    assert_eq!(saved.population(), 1);
}

#[test]
fn double_precision_agrees_with_single_to_its_digits() {
    let single = f64::from(double_precision::train::<f32>().unwrap());
    let double = double_precision::train::<f64>().unwrap();
    assert!(
        single != double && (single - double).abs() < 1e-4 * double,
        "{single} {double}"
    );
}
