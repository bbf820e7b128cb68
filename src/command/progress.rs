//! The progress bar of a run, on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use metaplastic::runs::decimal::decimal;
use metaplastic::training::{Phase, Report, Statistics};

#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `episodes`; nothing is drawn where `quiet`, or where standard error is no terminal.
    pub fn new(episodes: u64, quiet: bool) -> Self {
        let bar = if quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(episodes)
        };
        let style = ProgressStyle::with_template(
            "{bar:30.cyan/238} {human_pos}/{human_len} episodes  {msg}  {per_sec}  {eta} left",
        );
        bar.set_style(style.expect("the template is valid"));
        Self { bar }
    }

    pub fn report(&self, report: &Report) {
        if let Some(error) = Statistics::of(&report.error) {
            let phase = match report.phase {
                Phase::Frozen => ", frozen",
                _ => "",
            };
            let failed = match report.failed {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            self.bar
                .set_message(format!("error {}{phase}{failed}", decimal(error.median)));
        }
        self.bar.set_position(report.episode);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
