//! One connection, from its first byte to its last: the PROXY header, TLS, requests. Nothing of it waits without a deadline.

use super::{Service, proxy_protocol, tls};
use crate::{client_address::Peer, cost::Stage, metrics::ConnectionFault};
use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{io, net::SocketAddr, pin::pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How many requests one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 32;
/// How many bytes the head of a request may have.
const MAX_HEAD_BYTES: u32 = 16 << 10;

/// How long a peer may take for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// The PROXY header and the TLS handshake together.
    pub handshake: Duration,
    /// The head of a request over HTTP/1, and the first request over either.
    pub head: Duration,
    /// From one request to the next.
    pub idle: Duration,
    /// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
    pub liveness: Duration,
    /// Open requests, once the collector is told to stop; and taking the last answer of an idle connection.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_mins(1),
            // A backlog comes over one connection; agents that have pushed close theirs, and resume the session later.
            idle: Duration::from_secs(15),
            liveness: Duration::from_secs(20),
            drain: Duration::from_secs(5),
        }
    }
}

/// Why a connection ended badly.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("a trusted proxy sent no usable PROXY protocol header: {0}")]
    ProxyHeader(#[from] proxy_protocol::HeaderError),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("the handshake took longer than {0:?}")]
    SlowHandshake(Duration),
    #[error("it was cut off: it took longer than {0:?} to end")]
    Cut(Duration),
    #[error("{0}")]
    Http(Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    const fn kind(&self) -> ConnectionFault {
        match self {
            Self::ProxyHeader(_) => ConnectionFault::ProxyHeader,
            Self::Tls(_) => ConnectionFault::Tls,
            Self::SlowHandshake(_) => ConnectionFault::SlowHandshake,
            Self::Cut(_) => ConnectionFault::Cut,
            Self::Http(_) => ConnectionFault::Http,
        }
    }
}

/// Serves a connection until it ends: by its peer, by a deadline, or after `stop` as soon as its open requests are done.
pub(super) async fn attend(
    service: &Service,
    stream: TcpStream,
    socket: SocketAddr,
    stop: &CancellationToken,
) {
    let Err(fault) = converse(service, stream, socket, stop).await else { return };
    let first = service.faults.count(service.name, fault.kind(), socket.ip());
    if matches!(fault, Fault::Cut(_)) && stop.is_cancelled() {
        tracing::warn!(listener = service.name, peer = %socket, %fault, "a connection ended early");
    } else if first {
        tracing::debug!(listener = service.name, peer = %socket, %fault, "a connection ended early");
    }
}

async fn converse(
    service: &Service,
    stream: TcpStream,
    socket: SocketAddr,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    // Answers are small and whole; waiting for more to send only delays them. A peer that is gone already shows below.
    let _ = stream.set_nodelay(true);
    let deadlines = service.deadlines;
    let (peer, stream) = tokio::select! {
        // A handshake is nothing that must be finished.
        () = stop.cancelled() => return Ok(()),
        outcome = timeout(deadlines.handshake, shake_hands(service, stream, socket)) => {
            outcome.map_err(|_elapsed| Fault::SlowHandshake(deadlines.handshake))??
        }
    };
    let router = service.router.clone();
    match stream {
        Stream::Plain(stream) => answer(stream, Protocol::Http1, peer, router, deadlines, stop).await,
        Stream::Tls(stream) => {
            let protocol = Protocol::agreed(stream.get_ref().1.alpn_protocol());
            answer(stream, protocol, peer, router, deadlines, stop).await
        }
    }
}

async fn shake_hands(
    service: &Service,
    mut stream: TcpStream,
    socket: SocketAddr,
) -> Result<(Peer, Stream), Fault> {
    let peer = identify(service, &mut stream, socket).await?;
    let stream = match &service.tls {
        None => Stream::Plain(stream),
        Some(tls) => {
            let handshake = service.costs.spend_on(Stage::Tls, tls.accept(stream));
            Stream::Tls(Box::new(handshake.await.map_err(Fault::Tls)?))
        }
    };
    Ok((peer, stream))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// Who is at the other end. Where PROXY headers are expected depends on the address alone: nothing is guessed from bytes.
async fn identify(service: &Service, stream: &mut TcpStream, socket: SocketAddr) -> Result<Peer, Fault> {
    let address = socket.ip().to_canonical();
    if service.proxies.iter().any(|net| net.contains(&address)) {
        Ok(Peer { address, source: proxy_protocol::read(stream).await? })
    } else {
        Ok(Peer::direct(address))
    }
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

/// Answers requests.
async fn answer<S>(
    stream: S,
    protocol: Protocol,
    peer: Peer,
    router: Router,
    deadlines: Deadlines,
    stop: &CancellationToken,
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (asked, watched) = watch::channel(Asked::default());
    let respond = service_fn(move |request: Request<Incoming>| {
        let opened = Opened::new(&asked);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let response = router.clone().oneshot(request);
        async move {
            let _opened = opened;
            response.await
        }
    });
    let builder = builder(protocol, deadlines);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), respond));
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(Fault::Http),
        () = stop.cancelled() => {}
        () = quiet(watched, deadlines) => {}
    }
    connection.as_mut().graceful_shutdown();
    match timeout(deadlines.drain, connection).await {
        Ok(ended) => ended.map_err(Fault::Http),
        Err(_elapsed) => Err(Fault::Cut(deadlines.drain)),
    }
}

fn builder(protocol: Protocol, deadlines: Deadlines) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(deadlines.head)
        .max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(deadlines.liveness)
        .keep_alive_timeout(deadlines.liveness)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}

/// What was asked on a connection.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    open: usize,
    ever: bool,
}

/// An open request, counted until this is dropped.
struct Opened(watch::Sender<Asked>);

impl Opened {
    fn new(asked: &watch::Sender<Asked>) -> Self {
        asked.send_modify(|asked| *asked = Asked { open: asked.open + 1, ever: true });
        Self(asked.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.send_modify(|asked| asked.open -= 1);
    }
}

/// Resolves when no request was open for too long.
async fn quiet(mut asked: watch::Receiver<Asked>, deadlines: Deadlines) {
    // The connection holds the sender, and this ends with it.
    while let Ok(ever) = asked.wait_for(|asked| asked.open == 0).await.map(|asked| asked.ever) {
        let patience = if ever { deadlines.idle } else { deadlines.head };
        if timeout(patience, asked.changed()).await.is_err() {
            return;
        }
    }
}
