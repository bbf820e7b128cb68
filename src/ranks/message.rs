//! What processes tell each other. A message is the length of a text of JSON, 8 bytes, least first; the text; and arrays as they lie in
//! memory, one after the other. The text has the lengths of the arrays.

use crate::computation::{Failure, TrainingState};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use crate::random::Purpose;
use crate::tasks::{EpisodeSource, Task};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// What rank 0 asks of another. Numbers of learners and of held episodes are rank 0's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Command {
    /// A learner with the parameters that follow.
    Open {
        learner: u64,
        network: Network,
        double: bool,
        population: usize,
        optimisers: Vec<Optimiser>,
        /// Whether every process has all the networks, and its share of every batch.
        shares_batches: bool,
    },
    Close(u64),
    /// A meta-step on the episodes that follow, as a file of tensors.
    Step(u64),
    Hold {
        learner: u64,
        held: u64,
    },
    StepOn {
        learner: u64,
        held: u64,
    },
    Release(u64),
    /// One update with the gradients that follow.
    Apply(u64),
    /// Whether episodes can be had from there.
    Check(u64, Source),
    Run {
        learner: u64,
        source: Source,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    },
    Parameters(u64),
    Failures(u64),
    State(u64),
    /// The state whose arrays follow.
    SetState(u64, StateHead),
    /// There is nothing more to do with the engine.
    End,
    /// The program is over.
    Leave,
}

/// An [`EpisodeSource`], whose task the other process knows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Source {
    #[serde(with = "crate::training::written")]
    task: Arc<dyn Task>,
    seed: u64,
    purpose: u32,
    batch: usize,
    seeds: Option<usize>,
    first: usize,
}

/// What comes back; arrays may follow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// With parameters, where they were asked for.
    Done,
    /// After meta-steps, with their losses.
    Failures(Vec<Failure>),
    State(StateHead),
    Failed(String),
}

/// A [`TrainingState`] without its arrays.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StateHead {
    updates: Vec<u32>,
    episodes: u64,
    failures: Vec<Failure>,
    meta_steps: u32,
}

impl Source {
    pub fn new(source: &EpisodeSource) -> Self {
        Self {
            task: source.task.clone(),
            seed: source.seed,
            purpose: source.purpose as u32,
            batch: source.batch,
            seeds: source.seeds,
            first: source.first,
        }
    }

    pub fn read(self) -> Result<EpisodeSource> {
        let purposes = [
            Purpose::Initial,
            Purpose::Training,
            Purpose::Evaluation,
            Purpose::Validation,
        ];
        let purpose = purposes.into_iter().find(|&it| it as u32 == self.purpose);
        Ok(EpisodeSource {
            task: self.task,
            seed: self.seed,
            purpose: purpose.ok_or_else(|| malformed("no such purpose"))?,
            batch: self.batch,
            seeds: self.seeds,
            first: self.first,
        })
    }
}

/// A state, as what is said of it and its arrays: parameters, moments, losses.
pub(super) fn state_parts<R: Real>(state: &TrainingState<R>) -> (StateHead, [&[u8]; 4]) {
    let [first, second] = &state.moments;
    let head = StateHead {
        updates: state.updates.clone(),
        episodes: state.episodes,
        failures: state.failures.clone(),
        meta_steps: state.meta_steps,
    };
    let arrays = [
        bytes_of(state.parameters.values()),
        bytes_of(first.values()),
        bytes_of(second.values()),
        bytes_of(&state.losses),
    ];
    (head, arrays)
}

/// The state of so many networks that [`state_parts`] took apart.
pub(super) fn state<R: Real>(
    head: StateHead,
    arrays: &[Vec<u8>],
    layout: &Arc<Layout>,
    population: usize,
) -> Result<TrainingState<R>> {
    let [parameters, first, second, losses] = arrays else {
        return Err(malformed("a state has four arrays"));
    };
    let of = |bytes: &[u8]| parameters_of::<R>(bytes, layout, population);
    let mut state = TrainingState::new(of(parameters)?)?;
    state.moments = [of(first)?, of(second)?];
    state.losses = numbers(losses)?;
    let StateHead {
        updates,
        episodes,
        failures,
        meta_steps,
    } = head;
    (state.updates, state.episodes) = (updates, episodes);
    (state.failures, state.meta_steps) = (failures, meta_steps);
    Ok(state)
}

/// Parameters of so many networks from their values.
pub(super) fn parameters_of<R: Real>(
    bytes: &[u8],
    layout: &Arc<Layout>,
    population: usize,
) -> Result<Parameters<R>> {
    let mut parameters = Parameters::zeros(layout.clone(), population)?;
    let values = numbers(bytes)?;
    if values.len() != parameters.values().len() {
        return Err(malformed("parameters of another network"));
    }
    parameters.values_mut().copy_from_slice(&values);
    Ok(parameters)
}

pub(super) fn bytes_of<T: bytemuck::NoUninit>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// The numbers that lie in some bytes.
pub(super) fn numbers<R: Real>(bytes: &[u8]) -> Result<Vec<R>> {
    match bytes.len().is_multiple_of(size_of::<R>()) {
        true => Ok(bytemuck::pod_collect_to_vec(bytes)),
        false => Err(malformed("half a number")),
    }
}

#[derive(Serialize, Deserialize)]
struct Text<H> {
    head: H,
    lengths: Vec<usize>,
}

pub(super) fn encode<H: Serialize>(head: &H, arrays: &[&[u8]]) -> Vec<u8> {
    let lengths = arrays.iter().map(|array| array.len()).collect();
    let text = serde_json::to_vec(&Text { head, lengths }).expect("plain values");
    let length = (text.len() as u64).to_le_bytes();
    [&[&length[..], &text], arrays].concat().concat()
}

pub(super) fn decode<H: DeserializeOwned>(message: &[u8]) -> Result<(H, Vec<Vec<u8>>)> {
    let short = || malformed("it ends early");
    let (length, rest) = message.split_first_chunk().ok_or_else(short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| short())?;
    let (text, mut rest) = rest.split_at_checked(length).ok_or_else(short)?;
    let Text { head, lengths } =
        serde_json::from_slice(text).map_err(|error| malformed(&error.to_string()))?;
    let arrays = lengths.into_iter().map(|length| {
        let (array, after) = rest.split_at_checked(length).ok_or_else(short)?;
        rest = after;
        Ok(array.to_vec())
    });
    Ok((head, arrays.collect::<Result<_>>()?))
}

/// Of a message that is none.
pub(super) fn malformed(reason: &str) -> Error {
    Error::setting("a message from another rank", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let values = [1.5f32, f32::INFINITY, -0.0];
        let message = encode(&Command::Apply(7), &[bytes_of(&values), &[]]);
        let (head, arrays) = decode::<Command>(&message).unwrap();
        assert!(matches!(head, Command::Apply(7)));
        assert_eq!(numbers::<f32>(&arrays[0]).unwrap(), values);
        assert!(arrays[1].is_empty());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let message = encode(&Command::End, &[&[1, 2, 3]]);
        for length in 0..message.len() {
            decode::<Command>(&message[..length]).unwrap_err();
        }
        let text = br#"{"head":"Begin","lengths":[]}"#;
        let length = (text.len() as u64).to_le_bytes();
        let error = decode::<Command>(&[&length[..], text].concat()).unwrap_err();
        assert!(error.to_string().contains("Begin"), "{error}");
        assert!(numbers::<f32>(&[0; 6]).is_err());
    }
}
