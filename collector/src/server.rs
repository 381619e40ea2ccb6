//! Listeners: accept, TLS, one deadline for everything that a slow or hostile peer could hold open, and a drain that ends.

mod tls;

pub use tls::{AgentsCertificate, TlsError, operators_acceptor};

use crate::{client_address::Peer, config::Config};
use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long a TLS handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may idle.
const HEAD_DEADLINE: Duration = Duration::from_mins(1);
/// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const LIVENESS: Duration = Duration::from_secs(20);
/// How many requests one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 32;
/// How many bytes the head of a request may have.
const MAX_HEAD_BYTES: u32 = 16 << 10;
/// How long open requests may take once the collector is told to stop.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// How long accepting rests after it failed: usually the process is out of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

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
    /// What it is called in logs.
    pub name: &'static str,
    /// The bound socket.
    pub listener: tokio::net::TcpListener,
    /// TLS; plain HTTP without.
    pub tls: Option<TlsAcceptor>,
    /// What answers.
    pub router: Router,
    /// How many connections are held at once; more wait in the kernel's queue.
    pub connections: u32,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Serves until `shutdown`, then lets open requests finish within [`DRAIN_DEADLINE`].
pub async fn serve(service: Service, shutdown: CancellationToken) {
    let Service { name, listener, tls, router, connections } = service;
    let permits = Arc::new(Semaphore::new(
        usize::try_from(connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS),
    ));
    let graceful = GracefulShutdown::new();
    // A handshake is nothing that must be finished; it ends with the listener.
    let stop = shutdown.child_token();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let (tls, router, stop, watcher) = (tls.clone(), router.clone(), stop.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit;
            let outcome = match tls {
                None => converse(stream, Protocol::Http1, peer, router, watcher).await,
                Some(tls) => {
                    let handshake = tokio::time::timeout(HANDSHAKE_DEADLINE, tls.accept(stream));
                    let stream = tokio::select! {
                        () = stop.cancelled() => return,
                        stream = handshake => stream,
                    };
                    match stream {
                        Ok(Ok(stream)) => {
                            let protocol = Protocol::agreed(stream.get_ref().1.alpn_protocol());
                            converse(stream, protocol, peer, router, watcher).await
                        }
                        Ok(Err(error)) => Err(error.into()),
                        Err(elapsed) => Err(elapsed.into()),
                    }
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(listener = name, %peer, error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_DEADLINE, graceful.shutdown()).await.is_err() {
        tracing::warn!(listener = name, "requests were cut off: they took longer than the drain waits");
    }
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
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are small and whole; waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

/// What is spoken on a connection. It is known before the first byte, so that a peer which sends none cannot wait in the
/// detection of the protocol, which has no deadline.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    fn agreed(alpn: Option<&[u8]>) -> Self {
        if alpn == Some(tls::HTTP2) { Self::Http2 } else { Self::Http1 }
    }
}

async fn converse<S>(
    stream: S,
    protocol: Protocol,
    peer: SocketAddr,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(LIVENESS)
        .keep_alive_timeout(LIVENESS)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES);
    let builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    watcher.watch(connection).await
}
