//! The example of a task of one's own does what it says.

use crate::support::{assert_status, error_text, metaplastic};
use metaplastic::tasks::{Draw, Task};

#[expect(dead_code, reason = "the tests call what `main` calls")]
#[path = "../../examples/own_task.rs"]
mod example;

#[test]
fn a_task_of_ones_own_is_trained_evaluated_and_saved() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("echo");
    example::run(&folder).unwrap();
    for name in [
        "parameters.safetensors",
        "network.toml",
        "metrics.jsonl",
        "curve.svg",
        "summary.json",
        "run.toml",
        "steps.svg",
    ] {
        assert!(folder.join(name).exists(), "{name}");
    }
    let summary = std::fs::read_to_string(folder.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["task"], "echo");
    assert!(summary["solved"].as_u64() > Some(15), "{summary}");
    let curve = std::fs::read_to_string(folder.join("curve.svg")).unwrap();
    assert!(curve.contains("Echo"));
    // The folder is a run like any other, and taken.
    assert!(
        example::run(&folder)
            .unwrap_err()
            .to_string()
            .contains("holds a run")
    );
    // The command knows the tasks that come with the crate.
    let output = metaplastic(&["inspect", folder.to_str().unwrap()]);
    assert_status(&output, 2);
    assert!(
        error_text(&output).contains("echo"),
        "{}",
        error_text(&output)
    );
}

#[test]
fn episodes_of_a_task_of_ones_own_are_what_it_says() {
    let task = example::Echo { tones: 3 };
    let (mut tones, sizes) = ([0; 3], [task.inputs(), task.outputs(), task.steps()]);
    assert_eq!(sizes, [4, 3, 6]);
    for episode in 0..60 {
        let (mut input, mut target) = ([0.0; 24], [0.0; 18]);
        task.fill(Draw::new([1, 2, 3, 0], 5, episode), &mut input, &mut target);
        let tone = input[..3].iter().position(|&x| x == 1.0).unwrap();
        tones[tone] += 1;
        for step in 0..6 {
            assert_eq!(input[4 * step + 3], 1.0);
            assert_eq!(
                input[4 * step..][..3].iter().sum::<f32>(),
                f32::from(u8::from(step == 0))
            );
            assert_eq!(target[3 * step + tone], 1.0);
        }
        assert_eq!(target.iter().sum::<f32>(), 6.0);
    }
    assert!(tones.iter().all(|&count| count > 8), "{tones:?}");
}
