//! Ctrl-C, requests to terminate, and terminals that are closed.

use super::output::note;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has asked to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. A request is noted and answered; more of them change nothing, so that what is being saved is
    /// saved. Signals that were ignored when the program started (`nohup`) stay ignored.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        system::listen(interrupt.clone());
        interrupt
    }

    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes one request.
    fn ask(&self, what: &str) {
        if self.0.swap(true, Ordering::Relaxed) {
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
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    const SIGNALS: [(i32, &str); 3] = [
        (SIGINT, "interrupted"),
        (SIGTERM, "asked to terminate"),
        (SIGHUP, "the terminal was closed"),
    ];

    /// Without a handler a signal ends the process as it always does.
    pub fn listen(interrupt: Interrupt) {
        let ignored = ignored();
        let heard = SIGNALS.map(|(signal, _)| signal);
        let heard = heard
            .iter()
            .filter(|&&signal| ignored >> (signal - 1) & 1 == 0);
        let Ok(mut signals) = Signals::new(heard) else {
            return;
        };
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let known = SIGNALS.iter().find(|(number, _)| *number == signal);
                interrupt.ask(known.map_or("a signal", |(_, what)| what));
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
    pub fn listen(interrupt: Interrupt) {
        let _ = ctrlc::set_handler(move || interrupt.ask("interrupted"));
    }
}
