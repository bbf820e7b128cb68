//! Calls that change what is on a device, and what they leave when they fail.

use crate::error::{Error, Result};

/// Whether every change came to its end.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// What the device said when it failed in the middle of a call, if it did.
    unfinished: Option<String>,
}

impl Changes {
    /// Fails where an earlier call failed when something had changed: there is no further change.
    pub fn require_finished(&self) -> Result<()> {
        match &self.unfinished {
            None => Ok(()),
            Some(reason) => Err(Error::Unfinished {
                reason: reason.clone(),
            }),
        }
    }

    /// Takes note of a call, which may have ended when its change was under way.
    pub fn note<T>(&mut self, result: &Result<T>, under_way: bool) {
        match result {
            Err(error) if under_way || matches!(error, Error::DeviceLost { .. }) => {
                self.unfinished = Some(error.to_string());
            }
            _ => {}
        }
    }
}
