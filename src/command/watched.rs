//! Training under the eyes of whoever started it, and its end.

use super::interrupt::Interrupt;
use super::output::{Ending, note, say};
use super::progress::Progress;
use super::recall;
use super::subject::Subject;
use metaplastic::Result;
use metaplastic::runs::files::RECALL;
use metaplastic::runs::{Live, Summary};
use metaplastic::training::{Checkpoint, Event, Trained, Training};
use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How long a run that is asked to stop may take to come to a pause.
const PATIENCE: Duration = Duration::from_millis(400);

/// What the thread that trains shares with the one that waits.
struct Shared {
    /// The folder of the run, if it has one yet, until the run is over.
    live: Option<Live>,
    /// The run as it was before a step that takes long.
    before_long_step: Option<Checkpoint>,
    progress: Progress,
}

/// What came of training.
pub(super) struct Watched {
    pub trained: Trained,
    pub live: Option<Live>,
}

/// Trains with a progress bar, until the end or Ctrl-C, and says which networks failed. What happens is written into the folder
/// of `live`, if there is one.
pub(super) fn watched(
    training: Training,
    live: Option<Live>,
    interrupt: &Interrupt,
    quiet: bool,
) -> Result<Watched> {
    let progress = Progress::new(training.recipe(), training.episode(), quiet);
    let shared = Arc::new(Mutex::new(Shared {
        live,
        before_long_step: None,
        progress,
    }));
    let trained = until_asked(training, interrupt, &shared)?;
    let mut shared = lock(&shared);
    shared.progress.finish();
    for failure in &trained.failures {
        note(format_args!(
            "network {} stopped learning after {} episodes: {} is not finite",
            failure.network, failure.episode, failure.tensor
        ));
    }
    let live = shared.live.take();
    Ok(Watched { trained, live })
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("nobody panics with it")
}

impl Shared {
    /// What is done at an event. A run that is to stop leaves a checkpoint.
    fn hear(&mut self, event: &Event<'_>, interrupt: &Interrupt) -> Result<ControlFlow<()>> {
        let Self {
            live,
            before_long_step,
            progress,
        } = self;
        progress.hear(event);
        let tell = |text: &str| progress.say(text);
        if let Some(live) = live {
            if interrupt.takes_checkpoint_asked() {
                live.ask_for_checkpoint();
            }
            live.hear(event, tell);
        }
        let Event::Pause(pause) = event else {
            return Ok(ControlFlow::Continue(()));
        };
        let asked = interrupt.asked();
        *before_long_step = match asked || pause.is_before_long_step() {
            true => Some(pause.checkpoint()?),
            false => None,
        };
        if !asked {
            return Ok(ControlFlow::Continue(()));
        }
        if let (Some(live), Some(checkpoint)) = (live, before_long_step.take()) {
            live.stop(checkpoint);
        }
        Ok(ControlFlow::Break(()))
    }
}

/// Trains on a thread of its own, so that a meta-step that takes long need not be waited for: of a run that is stopped
/// within one, the result is what there was before it.
fn until_asked(
    training: Training,
    interrupt: &Interrupt,
    shared: &Arc<Mutex<Shared>>,
) -> Result<Trained> {
    let (sender, receiver) = mpsc::channel();
    let (heard, asked) = (shared.clone(), interrupt.clone());
    std::thread::spawn(move || {
        let mut failed = None;
        let trained = training.run_watched(|event| {
            lock(&heard).hear(&event, &asked).unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            })
        });
        // Nobody waits for a result that came too late.
        let _ = sender.send(match failed {
            Some(error) => Err(error),
            None => trained,
        });
    });
    let mut waited = Duration::ZERO;
    loop {
        let look = Duration::from_millis(20);
        match receiver.recv_timeout(look) {
            Ok(trained) => return trained,
            Err(RecvTimeoutError::Timeout) if interrupt.asked() => waited += look,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("training panicked"),
        }
        if waited < PATIENCE {
            continue;
        }
        let mut shared = lock(shared);
        if let Some(checkpoint) = shared.before_long_step.take() {
            let trained = checkpoint.trained();
            if let Some(live) = &mut shared.live {
                live.stop(checkpoint);
            }
            return Ok(trained);
        }
    }
}

/// How a run tells of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling {
    pub quiet: bool,
    pub json: bool,
}

/// Draws and saves what came of a run, and tells it.
pub(super) fn complete(watched: Watched, telling: Telling) -> Result<Ending> {
    let (summary, ending) = save(watched)?;
    if telling.json {
        say(summary.to_json())?;
    } else if telling.quiet {
        if let Some(folder) = summary.folder() {
            say(folder)?;
        }
    } else {
        say(summary)?;
    }
    Ok(ending)
}

/// Draws and saves what came of a run.
pub(super) fn save(watched: Watched) -> Result<(Summary, Ending)> {
    let Watched { trained, live } = watched;
    let ending = ending(&trained);
    let live = live.expect("a run that is to be saved has a folder");
    let begun = live.begun().clone();
    let subject = Subject::of_trained(&begun.recipe, &trained);
    let recalled = recall::draw(&begun.choice.engine, &subject, None, begun.recipe.seed)?;
    let figures: Vec<_> = recalled
        .iter()
        .map(|figure| (RECALL, figure.as_str()))
        .collect();
    let summary = live.end(&trained, &figures, |text| note(text))?;
    Ok((summary, ending))
}

/// How a command that trains ends.
pub(super) fn ending(trained: &Trained) -> Ending {
    if trained.stopped {
        Ending::Interrupted
    } else if trained.failures.is_empty() {
        Ending::Done
    } else {
        Ending::NotFinite
    }
}
