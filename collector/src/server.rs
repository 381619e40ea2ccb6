//! Listeners: sockets, a bounded number of connections, and a drain that ends.

mod connection;
mod cores;
mod proxy_protocol;
mod tls;

pub use connection::Deadlines;
pub use cores::serve_on_each_core;
pub use tls::{AgentsCertificate, TlsError, operators_acceptor};

use crate::{config::Config, cost::Costs, metrics::ConnectionFaults};
use axum::Router;
use ipnet::IpNet;
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long accepting rests after it failed: usually the process is out of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// See [`crate::fuzzing::proxy_header`].
#[cfg(feature = "fuzzing")]
pub(crate) fn read_proxy_header(bytes: &[u8]) -> Option<(Option<std::net::IpAddr>, usize)> {
    use futures::FutureExt as _;
    let mut rest = bytes;
    // Memory is never waited for.
    let source = proxy_protocol::read(&mut rest).now_or_never()?.ok()?;
    Some((source, bytes.len() - rest.len()))
}

/// The two bound sockets. Binding before anything else runs makes a taken port the first thing that is said.
#[derive(Debug)]
pub struct Listeners {
    /// For agents.
    pub agents: TcpListener,
    /// For operators.
    pub operators: TcpListener,
}

/// A socket that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {whom}; is another collector running, or the port taken?")]
pub struct BindError {
    whom: &'static str,
    address: SocketAddr,
    source: io::Error,
}

impl Listeners {
    /// Binds both.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let bind =
            |whom, address| TcpListener::bind(address).map_err(|source| BindError { whom, address, source });
        Ok(Self {
            agents: bind("agents", config.agents.listen)?,
            operators: bind("operators", config.operators.listen)?,
        })
    }
}

/// One listener at work.
pub struct Service {
    /// What it is called in logs and metrics.
    pub name: &'static str,
    /// TLS; plain HTTP without.
    pub tls: Option<TlsAcceptor>,
    /// What answers.
    pub router: Router,
    /// Peers whose connections begin with a PROXY protocol header; nobody else may send one.
    pub proxies: Vec<IpNet>,
    /// How many connections are held at once; more wait in the kernel's queue.
    pub connections: u32,
    /// How long peers may take.
    pub deadlines: Deadlines,
    /// Counts the connections that ended badly.
    pub faults: ConnectionFaults,
    /// Adds up what handshakes cost.
    pub costs: Costs,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Serves until `shutdown`, then lets open requests finish within [`Deadlines::drain`].
pub async fn serve(listener: tokio::net::TcpListener, service: Service, shutdown: CancellationToken) {
    accept_until(listener, service, vec![Handle::current()], shutdown).await;
}

/// Accepts until `shutdown`; one of the runtimes after another serves what was accepted.
async fn accept_until(
    listener: tokio::net::TcpListener,
    service: Service,
    runtimes: Vec<Handle>,
    shutdown: CancellationToken,
) {
    let limit = usize::try_from(service.connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(limit));
    let service = Arc::new(service);
    let open = TaskTracker::new();
    let here = Handle::current().id();
    for runtime in runtimes.iter().cycle() {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = service.name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let (service, shutdown) = (Arc::clone(&service), shutdown.clone());
        let attend = async move |stream| {
            let _permit = permit;
            let _open = service.faults.opened(service.name);
            connection::attend(&service, stream, peer, &shutdown).await;
        };
        if runtime.id() == here {
            open.spawn(attend(stream));
        } else {
            open.spawn_on(
                async move {
                    match moved(stream) {
                        Ok(stream) => attend(stream).await,
                        Err(error) => tracing::warn!(%peer, %error, "a connection could not be served"),
                    }
                },
                runtime,
            );
        }
    }
    drop(listener);
    open.close();
    // Each connection ends by itself within the deadline.
    open.wait().await;
}

/// The stream, driven by the runtime that this is called on.
fn moved(stream: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(stream.into_std()?)
}

/// Cancels `shutdown` when the process is told to end: SIGTERM, or Ctrl-C.
pub async fn stop_requested(shutdown: CancellationToken) {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(error) => {
                tracing::error!(%error, "SIGTERM cannot be heard");
                std::future::pending::<()>().await;
            }
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = terminated => {}
        interrupted = tokio::signal::ctrl_c() => if let Err(error) = interrupted {
            tracing::error!(%error, "Ctrl-C cannot be heard");
            std::future::pending::<()>().await;
        },
    }
    tracing::info!("told to stop; open requests may finish");
    shutdown.cancel();
}

async fn accept(
    listener: &tokio::net::TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

#[cfg(test)]
mod tests;
