//! What a provider's wire says about typing, in either direction: a signal before anybody says for how long it holds.

use typingd_core::Signal;

/// What somebody does, as RFC 3994 and XEP-0085 name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatState {
    /// Types.
    Composing,
    /// Stopped typing without a message.
    Paused,
    /// Sent the message.
    Sent,
}

impl ChatState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Composing, Self::Paused, Self::Sent];
}

impl From<Signal> for ChatState {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Composing { .. } => Self::Composing,
            Signal::Paused => Self::Paused,
            Signal::Sent => Self::Sent,
        }
    }
}
