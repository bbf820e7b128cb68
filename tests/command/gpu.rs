//! What is the same on a GPU. These tests need an adapter: the one that METAPLASTIC_DEVICE names, or Mesa's llvmpipe.

use crate::support::{command, metaplastic};
use serde_json::Value;

/// A part of the adapter's name; `None` where there is no such adapter and none is required.
fn adapter() -> Option<String> {
    let wanted = std::env::var("METAPLASTIC_DEVICE").unwrap_or_else(|_| "llvmpipe".to_owned());
    let output = metaplastic(&["devices", "--json"]);
    let devices: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = devices["adapters"].as_array().unwrap().iter().any(|a| {
        let name = a["name"].as_str().unwrap().to_lowercase();
        name.contains(&wanted.to_lowercase())
    });
    let required = std::env::var_os("METAPLASTIC_REQUIRE_GPU").is_some();
    assert!(found || !required, "no adapter is called {wanted:?}");
    if !found {
        eprintln!("skipped: no adapter is called {wanted:?}");
    }
    found.then_some(wanted)
}

#[test]
fn an_adapter_is_found_by_a_part_of_its_name_in_any_case() {
    let Some(adapter) = adapter() else { return };
    for name in [adapter.to_lowercase(), adapter.to_uppercase()] {
        let output = command()
            .env("METAPLASTIC_DEVICE", &name)
            .args(["devices", "--json"])
            .output()
            .unwrap();
        let devices: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(devices["auto"]["engine"], "gpu", "{devices}");
        let taken = devices["adapters"].as_array().unwrap().iter();
        assert_eq!(taken.filter(|adapter| adapter["auto"] == true).count(), 1);
    }
}
