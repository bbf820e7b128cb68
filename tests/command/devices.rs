//! `metaplastic devices`.

use crate::support::{assert_status, command, error_text, metaplastic};
use serde_json::Value;

#[test]
fn the_cpu_engine_is_always_listed() {
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
    let adapters = devices["adapters"].as_array().unwrap();
    for (index, adapter) in adapters.iter().enumerate() {
        assert_eq!(adapter["index"].as_u64(), Some(index as u64));
        for key in ["name", "backend", "type", "driver", "bus"] {
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

#[test]
fn a_driver_that_misses_windows_is_not_heard() {
    let output = command()
        .env_remove("XDG_RUNTIME_DIR")
        .arg("devices")
        .output()
        .unwrap();
    assert_status(&output, 0);
    let message = error_text(&output);
    assert!(!message.contains("XDG_RUNTIME_DIR"), "{message}");
    // What drivers say is never taken for what the command says.
    assert!(
        message.lines().all(|line| line.starts_with("driver: ")),
        "{message}"
    );
}

#[cfg(all(feature = "gpu", target_os = "linux"))]
#[test]
fn without_an_adapter_the_error_says_what_to_install() {
    let output = command()
        .env("VK_DRIVER_FILES", "/no/such/driver.json")
        .env("VK_ICD_FILENAMES", "/no/such/driver.json")
        .args(["bench", "--inputs", "2", "--outputs", "2", "--steps", "2"])
        .args(["--episodes", "1", "--engine", "gpu"])
        .output()
        .unwrap();
    assert_status(&output, 1);
    let message = error_text(&output);
    for part in [
        "found: none",
        "Install the Vulkan loader and a driver",
        "VK_DRIVER_FILES is \"/no/such/driver.json\"",
    ] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
}
