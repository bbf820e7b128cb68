//! Mutated inputs: descriptions, recipes, safetensors files and settings of the command.
//!
//! Whatever an input is, nothing panics and the answer comes soon. What is accepted is finite, and reads back as it is
//! written. The mutations start from a corpus of valid inputs (`corpus`, and the files that `tensors.rs` makes), and are
//! the same in every run; with `METAPLASTIC_FUZZ_SECONDS` each test goes on with others for that long.

mod mutation;
#[cfg(feature = "command")]
mod settings;
mod tensors;
mod text;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One input takes milliseconds; a machine that is busy is given time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Holds `property` against `cases` values, the same in every run, and then against others while time is left.
fn fuzz<T: Debug>(
    cases: u32,
    values: impl Strategy<Value = T>,
    property: impl Fn(T) -> Result<(), TestCaseError>,
) {
    let variable = std::env::var("METAPLASTIC_FUZZ_SECONDS");
    let seconds = variable.map_or(0, |text| text.parse().expect("a number of seconds"));
    let deadline = Instant::now() + Duration::from_secs(seconds);
    for round in 0u64.. {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let outcome = TestRunner::new_with_rng(config, random).run(&values, |value| {
            let start = Instant::now();
            property(value)?;
            let time = start.elapsed();
            proptest::prop_assert!(time < PATIENCE, "took {time:?}");
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("round {round}: {failure}");
        }
        if Instant::now() >= deadline {
            break;
        }
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

/// The files of a folder of the corpus, in the order of their names.
fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let entries = corpus().join(folder).read_dir().expect("the corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}
