//! A TCP server that accepts and closes: all that a connect needs.

use std::{io, net};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Accepts and closes until `shutdown`.
pub fn serve(
    listener: net::TcpListener,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let shutdown = shutdown.clone();
    tasks.spawn(shutdown.run_until_cancelled_owned(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(stream),
                Err(error) => tracing::debug!(%error, "an echo server could not accept a connection"),
            }
        }
    }));
    Ok(())
}
