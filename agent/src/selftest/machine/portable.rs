//! Anywhere: nothing is known.

use super::ReceiveBuffer;

/// Not known.
pub(super) fn kernel() -> Option<String> {
    None
}

/// Not known.
pub(super) fn load() -> Option<f64> {
    None
}

/// Not known.
pub(super) fn clock_source() -> Option<String> {
    None
}

/// There is no such thing.
pub(super) fn ping_group_range() -> Option<String> {
    None
}

/// Not known.
pub(super) fn receive_buffer() -> Option<ReceiveBuffer> {
    None
}
