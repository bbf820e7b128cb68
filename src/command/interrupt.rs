//! Ctrl-C, requests to terminate, and terminals that are closed.

use super::output::note;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has asked to stop, or for a checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt {
    stop: Arc<AtomicBool>,
    checkpoint: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on. A request is noted and answered; more of them change nothing, so that what is being saved is
    /// saved. Signals that were ignored when the program started (`nohup`) stay ignored. A run that has `checkpoints` writes one
    /// when the system asks for it.
    pub fn listen(checkpoints: bool) -> Self {
        let interrupt = Self::default();
        system::listen(interrupt.clone(), checkpoints);
        interrupt
    }

    pub fn asked(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether a checkpoint has been asked for since the last call.
    pub fn takes_checkpoint_asked(&self) -> bool {
        self.checkpoint.swap(false, Ordering::Relaxed)
    }

    /// Takes one request.
    fn ask(&self, what: &str) {
        if self.stop.swap(true, Ordering::Relaxed) {
            return;
        }
        // Below the progress bar.
        let start = if stderr().is_terminal() { "\n" } else { "" };
        note(format_args!(
            "{start}{what}: stopping and saving what there is; once more changes nothing"
        ));
    }
}

#[cfg(unix)]
mod system {
    use super::Interrupt;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::iterator::Signals;
    use std::sync::atomic::Ordering;

    const SIGNALS: [(i32, &str); 3] = [
        (SIGINT, "interrupted"),
        (SIGTERM, "asked to terminate"),
        (SIGHUP, "the terminal was closed"),
    ];

    /// Without a handler a signal ends the process as it always does.
    pub fn listen(interrupt: Interrupt, checkpoints: bool) {
        let ignored = ignored();
        let heard = SIGNALS.map(|(signal, _)| signal);
        let heard = heard.iter().chain(checkpoints.then_some(&SIGUSR1));
        let heard = heard.filter(|&&signal| ignored >> (signal - 1) & 1 == 0);
        let Ok(mut signals) = Signals::new(heard) else {
            return;
        };
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let known = SIGNALS.iter().find(|(number, _)| *number == signal);
                match known {
                    Some((_, what)) => interrupt.ask(what),
                    None => interrupt.checkpoint.store(true, Ordering::Relaxed),
                }
            }
        });
    }

    /// The signals that are ignored, a bit each; none where the system does not say.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    }
}

#[cfg(not(unix))]
mod system {
    use super::Interrupt;

    /// Without a handler Ctrl-C ends the process as it always does.
    pub fn listen(interrupt: Interrupt, _checkpoints: bool) {
        let _ = ctrlc::set_handler(move || interrupt.ask("interrupted"));
    }
}
