//! The trait of tasks: distributions of episodes, and how a network is judged by them.

use super::draw::Draw;
use super::right::{has_right_label, right_signs};
use crate::error::{Error, Result};
use crate::network::{Loss, Network};
use crate::optimiser::Optimiser;
use crate::parameters::Initial;
use crate::zip::zip_eq;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use toml::{Table, Value};

/// A paper, for a link to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Paper {
    /// Authors and year.
    pub name: &'static str,
    /// Its address.
    pub address: &'static str,
}

impl Paper {
    /// By authors and year, at an address.
    pub const fn new(name: &'static str, address: &'static str) -> Self {
        Self { name, address }
    }

    /// The paper of the first tasks.
    pub(super) const MICONI_2016: Self =
        Self::new("Miconi 2016", "https://arxiv.org/abs/1609.02228");
}

/// A distribution of episodes, and how a network is judged by them.
///
/// An episode is a function of its [`Draw`] alone, so that any of them can be made alone, in any order, on any thread.
/// Everything that trains, evaluates, draws and saves takes any task; `examples/own_task.rs` has one of its own.
pub trait Task: fmt::Debug + Send + Sync {
    /// The name in files, on the command line and in figures, such as `one-shot`.
    fn name(&self) -> &str;

    /// Presynaptic neurons `I` that a network for this task has.
    fn inputs(&self) -> usize;

    /// Postsynaptic neurons `O` that a network for this task has.
    fn outputs(&self) -> usize;

    /// Steps of an episode `T`.
    fn steps(&self) -> usize;

    /// The loss that the task is trained with.
    fn loss(&self) -> Loss;

    /// The error per counted step below which a network counts as having solved the task; the fraction of wrong answers, if
    /// that is what it is judged by.
    fn solved_below(&self) -> f64;

    /// Whether networks are judged by their answers (see [`Task::right`]) rather than by their error. By default they are not.
    fn is_judged_by_answers(&self) -> bool {
        false
    }

    /// Writes one episode: `input` is `[T, I]`, `target` is `[T, O]`, both zero before.
    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]);

    /// Writes one episode of each of several networks, which lie side by side: `input` is `[T, I, draws]`, `target` is
    /// `[T, O, draws]`, and every element is written. Each has the values that [`Task::fill`] gives it, by which this is done
    /// where a task has no faster way. The same draw may be there several times.
    fn fill_side_by_side(&self, draws: &[Draw], input: &mut [f32], target: &mut [f32]) {
        let sizes = [self.inputs(), self.outputs()].map(|size| self.steps() * size);
        let [mut one_input, mut one_target] = sizes.map(|size| vec![0.0; size]);
        for (n, &draw) in draws.iter().enumerate() {
            let is_there = n > 0 && draws[n - 1] == draw;
            if !is_there {
                one_input.fill(0.0);
                one_target.fill(0.0);
                self.fill(draw, &mut one_input, &mut one_target);
            }
            for (to, from) in [(&mut *input, &one_input), (&mut *target, &one_target)] {
                for (to, &from) in zip_eq(to.chunks_exact_mut(draws.len()), from) {
                    to[n] = from;
                }
            }
        }
    }

    /// The network, and how it starts and learns, where nothing else is said.
    ///
    /// # Errors
    /// If there is no such network.
    fn setup(&self) -> Result<Setup>;

    /// Whether step `step` counts towards the loss; where that differs between episodes, whether it may. By default every step
    /// does.
    fn counts(&self, step: usize) -> bool {
        step < self.steps()
    }

    /// How many steps count; where that differs between episodes, how many may.
    fn counted_steps(&self) -> usize {
        (0..self.steps()).filter(|&step| self.counts(step)).count()
    }

    /// Whether the steps that count differ between episodes, as [`Task::fill_counts`] says. By default they do not.
    fn counts_by_episode(&self) -> bool {
        false
    }

    /// Writes which steps of one episode count, `[T]`; at least one must. By default they are those of [`Task::counts`].
    fn fill_counts(&self, draw: Draw, counts: &mut [bool]) {
        let _ = draw;
        for (step, counts) in counts.iter_mut().enumerate() {
            *counts = self.counts(step);
        }
    }

    /// What part of one step's output, `[O]`, is right: 0 to 1; the input, `[I]`, may say which outputs are looked at. By
    /// default, with a softmax, whether the output is largest where the target is, and else the fraction of outputs with the
    /// target's sign.
    fn right(&self, input: &[f64], output: &[f64], target: &[f64]) -> f64 {
        let _ = input;
        match self.loss() {
            Loss::SoftmaxCrossEntropy => f64::from(u8::from(has_right_label(output, target))),
            Loss::SquaredError | Loss::None => right_signs(output, target),
        }
    }

    /// What part of its answers is right (see [`Task::right`]) where a network guesses, if that is known. By default it is with
    /// a softmax: one of as many labels.
    fn chance(&self) -> Option<f64> {
        match self.loss() {
            Loss::SoftmaxCrossEntropy => Some(1.0 / self.outputs() as f64),
            Loss::SquaredError | Loss::None => None,
        }
    }

    /// The steps at which something changes within an episode, each with a word or two for figures. By default nothing does.
    fn changes(&self) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// What an input neuron is called in figures.
    fn input_name(&self, neuron: usize) -> String {
        format!("input {}", neuron + 1)
    }

    /// What an output neuron is called in figures.
    fn output_name(&self, neuron: usize) -> String {
        format!("output {}", neuron + 1)
    }

    /// How many inputs, the first ones, show what is to be remembered. By default all.
    fn pattern_inputs(&self) -> usize {
        self.inputs()
    }

    /// The step at which the output is a pattern of bits that the input shows in part, if there is one to be drawn. By
    /// default there is none. Inputs, outputs and targets are the same bits then.
    fn recall_step(&self) -> Option<usize> {
        None
    }

    /// The paper that the task is from. By default none.
    fn paper(&self) -> Option<Paper> {
        None
    }

    /// The heading of a report on the task.
    fn title(&self) -> String {
        self.name().to_owned()
    }

    /// In a few words, what a network has to do.
    fn summary(&self) -> String {
        self.title()
    }

    /// In a few sentences, what an episode is and what a network has to do.
    fn account(&self) -> String {
        String::new()
    }

    /// What its kind leaves open: sizes and the like, as recipe files have them beside the name. Two tasks of one name with
    /// the same settings have the same episodes.
    fn settings(&self) -> Vec<TaskSetting> {
        Vec::new()
    }

    /// The task of this kind with some of its settings changed. By default there are none.
    ///
    /// # Errors
    /// Names the first setting that is unknown or out of its range.
    fn with_settings(&self, settings: &Table) -> Result<Arc<dyn Task>> {
        let first = settings.keys().next().map_or("", String::as_str);
        Err(Error::setting(
            format!("task.{first}"),
            format!("{} has no such setting", self.name()),
        ))
    }

    /// Another setup, if one is known that solves the task from nearly every seed.
    fn reliable_setup(&self) -> Option<Result<Setup>> {
        None
    }

    /// Makes ready what episodes are made of, such as files. It is called before the first episode is made. By default there is
    /// nothing to do.
    ///
    /// # Errors
    /// If that cannot be done.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the frozen end has episodes of its own ([`Purpose::Validation`](crate::random::Purpose::Validation)). By default it
    /// has more of those of training.
    fn has_validation(&self) -> bool {
        false
    }

    /// The most episodes that a batch may have, if that is limited. By default it is not.
    fn most_in_batch(&self) -> Option<usize> {
        None
    }

    /// How many episodes an evaluation can go through before they come again, if they do. By default each is a new one.
    fn episodes_in_all(&self) -> Option<usize> {
        None
    }

    /// The same episodes made by a GPU. Without this, or where the steps that count differ between episodes, the host makes them,
    /// and takes them to the device at each meta-step.
    fn kernel(&self) -> Option<TaskKernel> {
        None
    }
}

/// A setting of a task.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TaskSetting {
    /// The name in files; on the command line with hyphens.
    pub name: &'static str,
    /// What it is.
    pub value: Value,
    /// What it is about, for people.
    pub account: String,
}

impl TaskSetting {
    /// Any setting.
    pub fn new(name: &'static str, value: impl Into<Value>, account: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
            account: account.into(),
        }
    }

    /// A size. Those beyond 2⁶³ − 1, which files cannot hold, are written as that.
    pub fn size(name: &'static str, size: usize, account: impl Into<String>) -> Self {
        Self::new(name, i64::try_from(size).unwrap_or(i64::MAX), account)
    }
}

/// What a task is learned with, where nothing else is said.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Setup {
    /// The network.
    pub network: Network,
    /// How its parameters start.
    pub initial: Initial,
    /// How they follow their gradients.
    pub optimiser: Optimiser,
    /// Episodes that each network sees.
    pub episodes: u64,
    /// Of them, how many at each update.
    pub batch: usize,
    /// Networks that are trained side by side.
    pub population: usize,
}

impl Setup {
    /// 20 networks that start as [`Initial::default`] says, and see one episode at each update.
    pub fn new(network: Network, optimiser: Optimiser, episodes: u64) -> Self {
        Self {
            network,
            initial: Initial::default(),
            optimiser,
            episodes,
            batch: 1,
            population: 20,
        }
    }

    /// The same with parameters that start otherwise.
    #[must_use]
    pub fn initial(self, initial: Initial) -> Self {
        Self { initial, ..self }
    }

    /// Updates: at the end, 500 episodes, or a tenth of fewer than 1,000, run with frozen parameters.
    pub(super) fn updates(&self) -> u32 {
        let learned = self.episodes - frozen_episodes(self.episodes);
        u32::try_from(learned / self.batch as u64).unwrap_or(u32::MAX)
    }
}

/// Episodes at the end of so many that run with frozen parameters, where nothing else is said.
pub(crate) fn frozen_episodes(episodes: u64) -> u64 {
    if episodes >= 1_000 {
        500
    } else {
        (episodes / 10).max(1)
    }
}

/// How a GPU makes a task's episodes, bit for bit as [`Task::fill`] does: WGSL with these functions.
///
/// ```wgsl
/// struct Shown { … }                                      // what an episode's words say about one step
/// fn draw_episode(key: vec4<u32>, counter: vec4<u32>, at: u32, apart: u32)          // writes the words
/// fn shown_at(at: u32, apart: u32, now: u32) -> Shown     // of step `now`
/// fn input_at(shown: Shown, now: u32, j: u32) -> f32      // input `j` of step `now`
/// fn target_at(shown: Shown, now: u32, o: u32) -> f32     // the target of output `o`
/// fn counts_at(now: u32) -> bool                          // as `Task::counts`
/// ```
///
/// There is an array `words` of `vec4<u32>`, in which those of the episode lie at `at`, `at + apart`, `at + 2 * apart`, …;
/// `threefry(key, counter + vec4<u32>(0, 0, first, second))`, which is [`Draw::words`]; and `bit(pattern, j)`, which is bit `j`
/// of a `vec4<u32>` as ±1. A text that is no WGSL is an error where it is first used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskKernel {
    /// The text, in which `{{ name }}` stands for the value of that name.
    pub template: Cow<'static, str>,
    /// Values by name.
    pub values: Vec<(Cow<'static, str>, u32)>,
    /// Elements (`vec4<u32>`) of `words` that an episode needs, at least 1.
    pub words: usize,
    /// Turns that all loops of `draw_episode` make together, at most, of which each nested one counts anew. Drivers may
    /// limit them.
    pub turns: u64,
}

/// Whether they have the same episodes and are judged alike.
impl PartialEq for dyn Task + '_ {
    fn eq(&self, other: &Self) -> bool {
        let sizes = |task: &Self| [task.inputs(), task.outputs(), task.steps()];
        let settings = |task: &Self| {
            let all = task.settings().into_iter();
            all.map(|setting| (setting.name, setting.value))
                .collect::<Vec<_>>()
        };
        self.name() == other.name()
            && sizes(self) == sizes(other)
            && self.loss() == other.loss()
            && settings(self) == settings(other)
    }
}
