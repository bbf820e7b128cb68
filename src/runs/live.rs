//! A run that goes on, in its folder.

use super::checkpoint::{self, StoredCheckpoint};
use super::files::{METRICS, NETWORK, RUN};
use super::folder::Folder;
use super::run::{Begun, Run};
use super::summary::Summary;
use super::write::line;
use crate::error::{Error, Result};
use crate::file::write_atomically;
use crate::training::{Checkpoint, Event, Pause, Report, Trained};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Checkpoints that are kept, beside the one at the end of training.
const KEPT: usize = 2;

/// Between two checkpoints, where nothing else is asked for.
const EVERY: Duration = Duration::from_secs(60);

/// Of the time between two checkpoints, how much may go into one then: a hundredth.
const SHARE: u32 = 100;

/// A run that goes on. Its folder has `run.toml` from the beginning, a line in `metrics.jsonl` for every report, and
/// checkpoints.
#[derive(Debug)]
pub struct Live {
    folder: Folder,
    begun: Begun,
    /// None where it could not be opened, which has been told.
    metrics: Option<File>,
    every: Option<Duration>,
    next: Instant,
    start: Instant,
    /// Wall time of training before `start`.
    before: Duration,
    /// Whether a checkpoint could not be written the last time.
    fails: bool,
    /// Whether one has been asked for.
    asked: bool,
    /// Of a run that is about to stop.
    stopped_at: Option<Checkpoint>,
}

impl Live {
    /// Begins a run in a folder, or goes on from a checkpoint there. Where the folder holds another run, which this one
    /// replaces by force, it lies in a folder beside until it ends. A checkpoint is written `every` so often; where that is not
    /// given, every minute, or as seldom as takes a hundredth of the time.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn begin(
        mut folder: Folder,
        begun: Begun,
        from: Option<&StoredCheckpoint>,
        every: Option<Duration>,
    ) -> Result<Self> {
        let path = folder.make_place()?.to_owned();
        checkpoint::tidy(&path);
        let settings = begun.settings().to_toml();
        // First of all: from then on no file there passes for one of a run that has ended, and whoever dies here can go on.
        write_atomically(path.join(RUN), |file| file.write_all(settings.as_bytes()))?;
        write_atomically(path.join(METRICS), |file| {
            let reports = from.map(|from| &from.checkpoint.progress.history);
            for report in reports.into_iter().flatten() {
                file.write_all(&line(&begun.recipe, report, None))?;
            }
            Ok(())
        })?;
        let metrics = path.join(METRICS);
        let metrics = OpenOptions::new()
            .append(true)
            .open(&metrics)
            .map_err(|source| Error::Write {
                path: metrics,
                source,
            })?;
        let network = begun.recipe.network.to_toml();
        write_atomically(path.join(NETWORK), |file| {
            file.write_all(network.as_bytes())
        })?;
        let start = Instant::now();
        let before = from.map_or(0.0, |from| from.seconds);
        Ok(Self {
            folder,
            begun,
            metrics: Some(metrics),
            every,
            next: start + every.unwrap_or(EVERY),
            start,
            before: Duration::try_from_secs_f64(before).unwrap_or_default(),
            fails: false,
            asked: false,
            stopped_at: None,
        })
    }

    /// Where the run lies until it ends.
    pub fn path(&self) -> &Path {
        self.folder.place()
    }

    /// What the run was begun with.
    pub fn begun(&self) -> &Begun {
        &self.begun
    }

    /// Wall time of training so far, in seconds.
    pub fn seconds(&self) -> f64 {
        (self.before + self.start.elapsed()).as_secs_f64()
    }

    /// A checkpoint at the next pause, of which whoever waits hears.
    pub fn ask_for_checkpoint(&mut self) {
        self.asked = true;
    }

    /// Writes what there is to write of an event: a report's line; a checkpoint where its time has come, or where everything
    /// is learned. What cannot be written stops no run: whoever waits hears of it by `tell`, and it is tried again.
    pub fn hear(&mut self, event: &Event<'_>, tell: impl FnMut(&str)) {
        match event {
            Event::Report(report) => self.report(report, tell),
            Event::Pause(pause) if pause.episode() > 0 => self.pause(pause, tell),
            Event::Pause(_) => {}
        }
    }

    fn report(&mut self, report: &Report, mut tell: impl FnMut(&str)) {
        let Some(metrics) = &mut self.metrics else {
            return;
        };
        if let Err(error) = metrics.write_all(&line(&self.begun.recipe, report, None)) {
            // Half a line may be there. The end writes all of them.
            self.metrics = None;
            let path = self.folder.place().join(METRICS);
            tell(&format!(
                "{}: cannot write: {error}; the run goes on, and writes it at its end",
                path.display()
            ));
        }
    }

    fn pause(&mut self, pause: &Pause<'_>, mut tell: impl FnMut(&str)) {
        let is_time = self.asked || Instant::now() >= self.next;
        if !is_time && !pause.is_end_of_training() {
            return;
        }
        let start = Instant::now();
        let written = pause
            .checkpoint()
            .and_then(|checkpoint| self.write(&checkpoint));
        let least = EVERY.max(SHARE * start.elapsed());
        self.next = Instant::now() + self.every.unwrap_or(least);
        let asked = std::mem::take(&mut self.asked);
        match written {
            Ok(()) => {
                self.fails = false;
                if asked {
                    tell(&format!("checkpoint after {} episodes", pause.episode()));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.fails, true) || asked {
                    tell(&format!(
                        "{error}; the run goes on without this checkpoint, and tries again"
                    ));
                }
            }
        }
    }

    fn write(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.folder.require_place()?;
        checkpoint::write(self.folder.place(), checkpoint, self.seconds())?;
        self.prune(KEPT);
        Ok(())
    }

    fn prune(&self, keep: usize) {
        let recipe = &self.begun.recipe;
        let end = recipe.learned_episodes() / recipe.batch as u64;
        checkpoint::prune(self.folder.place(), keep, end as u32);
    }

    /// Writes a checkpoint of a run that is about to stop, so that it can go on from there. Where that cannot be done now,
    /// [`Live::end`] does it.
    pub fn stop(&mut self, checkpoint: Checkpoint) {
        let _ = self.write(&checkpoint);
        self.stopped_at = Some(checkpoint);
    }

    /// Writes every file of the run, as [`Folder::save`] does. Of a run that has come to its end, the checkpoint at the end of
    /// training is kept, from which a longer run can go on; one that was stopped has one of where it was.
    ///
    /// # Errors
    /// As [`Folder::save`], or if the checkpoint cannot be written.
    pub fn end(
        mut self,
        trained: &Trained,
        figures: &[(&'static str, &str)],
        tell: impl FnMut(&str),
    ) -> Result<Summary> {
        if !trained.stopped {
            self.prune(0);
        }
        let seconds = self.seconds();
        let run = Run::new(&self.begun, trained, seconds).figures(figures);
        let saved = self.folder.save(&run, tell);
        let path = match &saved {
            Ok(summary) => summary.folder().map(Path::new),
            Err(Error::SavedElsewhere { path, .. }) => Some(&**path),
            Err(_) => None,
        };
        if let (Some(path), Some(checkpoint)) = (path, &self.stopped_at)
            && !checkpoint::path(path, checkpoint.progress.meta_steps).exists()
        {
            checkpoint::write(path, checkpoint, seconds)?;
        }
        saved
    }
}
