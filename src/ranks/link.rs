//! What carries messages between two processes.

use crate::error::Result;
use std::fmt::Debug;

/// A way to one other process. What is sent arrives whole and in order.
pub trait Link: Debug + Send {
    /// Sends a message; it may return before that has arrived.
    ///
    /// # Errors
    /// If the other process cannot be reached.
    fn send(&mut self, message: Vec<u8>) -> Result<()>;

    /// Waits for the next message.
    ///
    /// # Errors
    /// If the other process cannot be reached.
    fn receive(&mut self) -> Result<Vec<u8>>;
}
