//! Windows: Ctrl-C, Ctrl-Break, the console's closing, and the machine's shutdown.

use std::io;
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

/// Listens from now on; what it returns waits for the word. Needs a tokio runtime.
pub fn told() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut interrupt, mut stop) = (ctrl_c()?, ctrl_break()?);
    let (mut close, mut shutdown) = (ctrl_close()?, ctrl_shutdown()?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = stop.recv() => {}
            _ = close.recv() => {}
            _ = shutdown.recv() => {}
        }
    })
}
