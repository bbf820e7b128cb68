//! Changes to an input, blind ones and such as its format invites.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Numbers that are seldom expected: none, negative, beyond some type, not finite, not written as they might be.
const NUMBERS: [&str; 24] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "64",
    "129",
    "0.5",
    "-0.0",
    "1e39",
    "-1e308",
    "1e-50",
    "5e-324",
    "nan",
    "inf",
    "-inf",
    "1_0",
    "1e6",
    "16777217",
    "99999999",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "\"\"",
];

/// What means something somewhere.
const WORDS: [&str; 30] = [
    "[[layer]]\n",
    "[loss]\n",
    "[network]\n",
    "kind = \"none\"\n",
    "kind = \"bias\"\n",
    "learned = true\n",
    "rate = {}\n",
    "plastic",
    "dense",
    "bias",
    "none",
    "oja",
    "neuron",
    "layer",
    "one-shot",
    "completion",
    "adam",
    "sgd",
    "cosine",
    "\"F16\"",
    "\"BF16\"",
    "\"F64\"",
    "\"BOOL\"",
    "\"I64\"",
    "\"F8_E4M3\"",
    "[]",
    "{}",
    "\n",
    "\"",
    ",",
];

/// Somewhere in an input: its length wraps this round.
type Place = u16;

/// One change.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// Flips a bit.
    Flip(Place, u8),
    /// Puts bytes in.
    Insert(Place, Vec<u8>),
    /// Takes bytes out.
    Remove(Place, usize),
    /// Repeats bytes.
    Repeat(Place, usize, usize),
    /// Writes another number in the place of one.
    Number(Place, &'static str),
    /// Puts a word in.
    Word(Place, &'static str),
    /// Writes a word in the place of one.
    Replace(Place, &'static str),
}

/// A few changes; numbers and words more often than bytes, which the parsers refuse soon.
pub fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<Place>;
    vec(
        prop_oneof![
            1 => (at(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
            1 => (at(), vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
            2 => (at(), 1..40usize).prop_map(|(at, len)| Mutation::Remove(at, len)),
            2 => (at(), 1..80usize, 1..4usize).prop_map(|(at, len, n)| Mutation::Repeat(at, len, n)),
            1 => at().prop_map(|at| Mutation::Repeat(at, 1, 20_000)),
            8 => (at(), select(&NUMBERS[..])).prop_map(|(at, number)| Mutation::Number(at, number)),
            2 => (at(), select(&WORDS[..])).prop_map(|(at, word)| Mutation::Word(at, word)),
            4 => (at(), select(&WORDS[..])).prop_map(|(at, word)| Mutation::Replace(at, word)),
        ],
        0..4,
    )
}

impl Mutation {
    /// The input after this change; as it is where there is nothing to change.
    pub fn apply(&self, input: &mut Vec<u8>) {
        let place = |at: &Place, input: &[u8]| usize::from(*at) % (input.len() + 1);
        let range = |at: &Place, len: usize, input: &[u8]| {
            let start = place(at, input);
            start..(start + len).min(input.len())
        };
        match self {
            Self::Flip(at, bit) => {
                if !input.is_empty() {
                    let at = usize::from(*at) % input.len();
                    input[at] ^= 1 << bit;
                }
            }
            Self::Insert(at, bytes) => {
                let at = place(at, input);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(at, len) => drop(input.drain(range(at, *len, input))),
            Self::Repeat(at, len, times) => {
                let range = range(at, *len, input);
                let repeated = input[range.clone()].repeat(*times);
                input.splice(range.end..range.end, repeated);
            }
            Self::Number(at, number) => replace(input, at, number, |byte, inside| {
                byte.is_ascii_digit() || inside && matches!(byte, b'.' | b'_' | b'e' | b'-')
            }),
            Self::Word(at, word) => {
                let at = place(at, input);
                input.splice(at..at, word.bytes());
            }
            Self::Replace(at, word) => replace(input, at, word, |byte, inside| {
                byte.is_ascii_alphabetic() || inside && matches!(byte, b'-' | b'_')
            }),
        }
    }
}

/// Puts `text` in the place of one of the runs of bytes that `belongs` tells, given whether a run has begun.
fn replace(input: &mut Vec<u8>, at: &Place, text: &str, belongs: impl Fn(u8, bool) -> bool) {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, &byte) in input.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.end == at && belongs(byte, true) => run.end = at + 1,
            _ if belongs(byte, false) => runs.push(at..at + 1),
            _ => {}
        }
    }
    if !runs.is_empty() {
        let run = runs[usize::from(*at) % runs.len()].clone();
        input.splice(run, text.bytes());
    }
}

/// An input, which failures show as text.
#[derive(Clone)]
pub struct Input(pub Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One of `seeds` with changes.
pub fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Input> {
    (select(seeds), mutations()).prop_map(|(mut input, mutations)| {
        for mutation in mutations {
            mutation.apply(&mut input);
        }
        Input(input)
    })
}

#[test]
fn mutations_change_what_they_say() {
    let apply = |mutation: Mutation| {
        let mut input = b"outputs = 12".to_vec();
        mutation.apply(&mut input);
        String::from_utf8(input).unwrap()
    };
    let first = 0;
    assert_eq!(apply(Mutation::Number(first, "nan")), "outputs = nan");
    assert_eq!(apply(Mutation::Replace(first, "bias")), "bias = 12");
    assert_eq!(apply(Mutation::Word(first, "[]")), "[]outputs = 12");
    assert_eq!(apply(Mutation::Remove(first, 3)), "puts = 12");
    assert_eq!(apply(Mutation::Repeat(first, 3, 2)), "outoutoutputs = 12");
    assert_eq!(apply(Mutation::Flip(first, 0)), "nutputs = 12");
    assert_eq!(apply(Mutation::Insert(first, vec![b'x'])), "xoutputs = 12");
}
