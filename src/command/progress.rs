//! How far a run has come, on standard error: a bar, or a line now and then where that is no terminal.

use super::output::note;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use metaplastic::runs::decimal::decimal;
use metaplastic::training::{Event, Phase, Recipe, Report, Statistics};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Between two lines.
const LINES: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: ProgressBar,
    /// When the last line was written, where lines are.
    last_line: Option<Instant>,
    start: Instant,
    /// Episodes at `start`.
    first: u64,
    episode: u64,
    /// Errors below it solve the task; none where it judges by something else.
    solved_below: Option<f64>,
    state: String,
}

impl Progress {
    /// Of a run that has `episode` episodes behind it. Nothing is shown where `quiet`.
    pub fn new(recipe: &Recipe, episode: u64, quiet: bool) -> Self {
        let episodes = u64::from(recipe.meta_steps()) * recipe.batch as u64;
        let is_terminal = stderr().is_terminal();
        let bar = match quiet || !is_terminal {
            true => ProgressBar::hidden(),
            false => ProgressBar::no_length().with_position(episode),
        };
        let style = ProgressStyle::with_template(
            "{bar:30.cyan/238} {human_pos}/{human_len} episodes  {msg}  {per_sec:.0} episodes/s  {eta} left",
        );
        bar.set_length(episodes);
        bar.reset_eta();
        let style = style.expect("the template is valid").with_key(
            "per_sec",
            |state: &indicatif::ProgressState, to: &mut dyn std::fmt::Write| {
                let _ = write!(to, "{}", HumanCount(state.per_sec() as u64));
            },
        );
        bar.set_style(style);
        // Nothing may be to be told for long.
        bar.enable_steady_tick(Duration::from_millis(250));
        let now = Instant::now();
        Self {
            bar,
            last_line: (!quiet && !is_terminal).then_some(now),
            start: now,
            first: episode,
            episode,
            solved_below: (!recipe.task.is_judged_by_answers()).then(|| recipe.task.solved_below()),
            state: String::new(),
        }
    }

    pub fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Report(report) => {
                self.episode = report.episode;
                self.state = self.describe(report);
                self.bar.set_message(self.state.clone());
            }
            Event::Pause(pause) => self.episode = pause.episode(),
            _ => {}
        }
        self.bar.set_position(self.episode);
        if self.last_line.is_some_and(|last| last.elapsed() >= LINES) {
            self.last_line = Some(Instant::now());
            self.line();
        }
    }

    /// `median error 0.012, 13 of 20 solved`.
    fn describe(&self, report: &Report) -> String {
        let Some(error) = Statistics::of(&report.error) else {
            return String::new();
        };
        let mut parts = vec![format!("median error {}", decimal(error.median))];
        if let Some(below) = self.solved_below {
            let solved = report.error.iter().filter(|error| **error < below);
            parts.push(format!(
                "{} of {} solved",
                solved.count(),
                report.error.len()
            ));
        }
        if report.failed > 0 {
            parts.push(format!("{} failed", report.failed));
        }
        if report.phase == Phase::Frozen {
            parts.push("frozen".to_owned());
        }
        parts.join(", ")
    }

    /// The state of the run in a line.
    fn line(&self) {
        let all = self.bar.length().unwrap_or(0);
        let done = (self.episode - self.first) as f64;
        let rate = done / self.start.elapsed().as_secs_f64();
        let state = match self.state.is_empty() {
            true => String::new(),
            false => format!(", {}", self.state),
        };
        let left = match done > 0.0 {
            true => format!(", {} left", left((all - self.episode) as f64 / rate)),
            false => String::new(),
        };
        note(format_args!(
            "{} of {} episodes{state}, {rate:.1} episodes/s{left}",
            HumanCount(self.episode),
            HumanCount(all),
        ));
    }

    /// Says something without disturbing the bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| note(line));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// `6 hours`, of seconds.
fn left(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds);
    HumanDuration(time.unwrap_or(Duration::MAX)).to_string()
}
