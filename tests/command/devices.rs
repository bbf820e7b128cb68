//! `metaplastic devices`.

use crate::support::{assert_status, command, metaplastic};
use serde_json::Value;

#[test]
fn the_cpu_is_always_there() {
    let output = metaplastic(&["devices"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("CPU") && text.contains("threads"), "{text}");
    assert!(text.contains("auto takes"), "{text}");
}

#[test]
fn json_is_one_line() {
    let output = metaplastic(&["devices", "--json"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    let devices: Value = serde_json::from_str(&text).unwrap();
    assert!(devices["cpu"]["threads"].as_u64().unwrap() > 0);
    assert!(devices["cpu"]["instruction_set"].is_string());
    assert!(devices["auto"]["reason"].is_string());
    for adapter in devices["adapters"].as_array().unwrap() {
        for key in ["name", "backend", "type", "driver"] {
            assert!(adapter[key].is_string(), "{key} of {adapter}");
        }
        assert!(adapter["limits"].is_object());
        // A software adapter is taken only when asked for.
        assert!(adapter["type"] != "software" || adapter["auto"] == false);
    }
}

#[test]
fn a_device_that_is_not_there_is_reported_and_no_failure() {
    let output = command()
        .env("METAPLASTIC_DEVICE", "no-such-adapter")
        .args(["devices", "--json"])
        .output()
        .unwrap();
    assert_status(&output, 0);
    let devices: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(devices["auto"]["engine"].is_null(), "{devices}");
}
