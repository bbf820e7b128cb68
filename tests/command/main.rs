//! The command, end to end, as a user meets it.

mod bench;
mod devices;
mod folders;
mod gradient;
mod own_task;
mod pattern_memory;
#[cfg(feature = "gpu")]
mod plan;
mod recurrent;
mod report;
mod reproduce;
mod rules;
mod runs;
mod settings;
// Signals are set by `env` of the GNU tools.
#[cfg(target_os = "linux")]
mod signals;
mod support;
mod train;

#[test]
fn help_names_every_command_and_exit_status() {
    let output = support::metaplastic(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "train",
        "recipe",
        "gradient",
        "devices",
        "Exit status",
        "130",
    ] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
}

#[test]
fn unknown_options_are_bad_input() {
    for arguments in [
        &["train", "one-shot", "--speed", "3"][..],
        &["train", "chess"],
        &["train"],
        &[],
        &["devices", "--engine", "cpu"],
    ] {
        let output = support::metaplastic(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn no_tip_proposes_to_replace_a_run() {
    for arguments in [
        &["train", "one-shot", "--forse"][..],
        &["train", "one-shot", "--for", "3"],
        &["reproduce", "--forc"],
    ] {
        let output = support::metaplastic(arguments);
        assert_eq!(output.status.code(), Some(2));
        let message = support::error_text(&output);
        assert!(!message.contains("--force"), "{message}");
        assert!(message.contains(arguments[arguments.len() - 1]) || message.contains("--for"));
    }
    // Other tips stay.
    let output = support::metaplastic(&["train", "one-shot", "--populatio", "3"]);
    assert!(support::error_text(&output).contains("--population"));
}
