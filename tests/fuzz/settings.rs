//! Settings on the command line.

use crate::mutation::{Input, mutated};
use crate::{PATIENCE, corpus, fuzz};
use assert_cmd::cargo::cargo_bin;
use metaplastic::training::Recipe;
use proptest::prelude::*;
use std::path::Path;
use std::process::Output;

/// `metaplastic recipe` with arguments, in a folder of its own.
fn recipe(folder: &Path, arguments: &[&str]) -> Output {
    assert_cmd::Command::new(cargo_bin("metaplastic"))
        .current_dir(folder)
        .arg("recipe")
        .args(arguments)
        .timeout(PATIENCE)
        .output()
        .unwrap()
}

#[test]
fn mutated_command_lines_are_taken_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lines = std::fs::read_to_string(corpus().join("settings.txt")).unwrap();
    for line in lines.lines() {
        let output = recipe(folder.path(), &line.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{line}");
    }
    let seeds = lines.lines().map(|line| line.as_bytes().to_vec()).collect();
    fuzz(150, mutated(seeds), |Input(bytes)| {
        // No system passes on an argument with a zero byte.
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        let arguments: Vec<_> = line.split_whitespace().collect();
        let output = recipe(folder.path(), &arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8(output.stdout).unwrap();
        match output.status.code() {
            Some(0) if text.contains("Usage:") => {}
            Some(0) => {
                Recipe::from_toml(&text, "the recipe").unwrap();
                let file = folder.path().join("again.toml");
                std::fs::write(&file, &text).unwrap();
                let task = text.lines().find_map(|line| line.strip_prefix("kind = \""));
                let task = task.and_then(|rest| rest.split('"').next()).unwrap();
                let again = recipe(folder.path(), &[task, "--recipe", "again.toml"]);
                prop_assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
            }
            Some(2) => prop_assert!(!message.is_empty() && message.len() < 5_000, "{message}"),
            other => prop_assert!(false, "{other:?}: {message}"),
        }
        Ok(())
    });
}
