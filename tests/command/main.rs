//! The command, end to end, as a user meets it.

mod bench;
mod data;
mod devices;
mod folders;
mod gradient;
mod listing;
mod own_task;
mod pattern_memory;
#[cfg(feature = "gpu")]
mod plan;
#[cfg(feature = "mpi")]
mod processes;
mod record;
mod recurrent;
mod report;
mod reproduce;
mod resume;
mod rules;
mod runs;
mod settings;
// Signals are set by `env` of the GNU tools.
#[cfg(target_os = "linux")]
mod signals;
mod support;
mod sweeps;
mod train;

#[test]
fn help_names_every_command_and_exit_status() {
    let output = support::metaplastic(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "train",
        "resume",
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

#[test]
fn every_command_has_an_example_and_defaults_are_those_of_the_tasks() {
    let help = |arguments: &[&str]| {
        let output = support::metaplastic(arguments);
        support::assert_status(&output, 0);
        let text = String::from_utf8(output.stdout).unwrap();
        // Lines are as wide as a terminal.
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for command in [
        "train",
        "resume",
        "recipe",
        "reproduce",
        "evaluate",
        "inspect",
        "runs",
        "report",
        "compare",
        "gradient",
        "bench",
        "plan",
        "shaders",
        "devices",
        "completions",
        "man",
    ] {
        let is_there = cfg!(feature = "gpu") || !["plan", "shaders"].contains(&command);
        if is_there {
            let text = help(&[command, "--help"]);
            let example = format!("Example: metaplastic {command}");
            assert!(text.contains(&example), "{text}");
        }
    }
    let text = help(&["train", "--help"]);
    for part in [
        "paper, reliable",
        "10000 for one-shot and reversal, 75000 for pattern-memory]",
        "before the schedule [default: 0.03 for completion",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // What it says is so.
    let recipe = help(&["recipe", "one-shot"]);
    assert!(recipe.contains("episodes = 10000"));
}

#[test]
fn shells_and_man_get_what_they_need() {
    for shell in ["bash", "zsh", "fish"] {
        let output = support::metaplastic(&["completions", shell]);
        support::assert_status(&output, 0);
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["checkpoint-every", "pattern-memory", "resume"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
    let output = support::metaplastic(&["man"]);
    support::assert_status(&output, 0);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains(".TH metaplastic 1")
    );
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let output = support::metaplastic(&["man", "--output", pages.to_str().unwrap()]);
    support::assert_status(&output, 0);
    let page = std::fs::read_to_string(pages.join("metaplastic-train.1")).unwrap();
    assert!(page.contains("checkpoint") && page.contains("Example"));
    let names = support::names(&pages);
    assert!(names.contains(&"metaplastic.1".to_owned()), "{names:?}");
}

/// What is asked for and cannot be written is an error; who stops reading asks for no more.
#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_an_error() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["train", "--help"],
        &["help", "train"],
        &["recipe", "one-shot"],
        &["completions", "bash"],
        &["man"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = support::command();
        let output = command.args(arguments).stdout(full.unwrap());
        let output = output.output().unwrap();
        support::assert_status(&output, 1);
        let message = support::error_text(&output);
        assert!(message.contains("standard output"), "{message}");
        let mut closed = support::command();
        closed.args(arguments).stdout(closed_pipe());
        let output = closed.output().unwrap();
        support::assert_status(&output, 0);
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

/// A pipe that nobody reads.
#[cfg(target_os = "linux")]
fn closed_pipe() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}
