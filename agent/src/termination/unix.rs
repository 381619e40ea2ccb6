//! Unix: SIGTERM and SIGINT.

use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Listens from now on; what it returns waits for the word. Needs a tokio runtime.
pub fn told() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
