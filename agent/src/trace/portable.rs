//! Anywhere: no system but Linux hands ICMP errors to the socket that they are about, without a privilege.

use super::{
    TraceError,
    args::Plan,
    course::{Course, Turn},
};

/// Sends nothing.
pub(super) struct Tracer;

impl Tracer {
    /// For any target.
    pub(super) fn new(_plan: &Plan) -> Self {
        Self
    }

    /// Says that it cannot.
    #[expect(clippy::unused_self, reason = "the interface of the tracer")]
    pub(super) fn send(
        &self,
        _wave: &[Turn],
        _course: &mut Course,
        _stopped: &dyn Fn() -> bool,
    ) -> Result<(), TraceError> {
        Err(TraceError::Unsupported)
    }
}
