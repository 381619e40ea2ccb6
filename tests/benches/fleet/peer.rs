//! The least that a push can cost by these libraries: rustls and hyper as anybody would put them together, which resume sessions by
//! the same cryptography, read a push, look at nothing in it, keep nothing, and answer. What the collector takes beyond it is its own.

use anyhow::Context as _;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use peerlight_agent::clock::Clock;
use peerlight_collector::identity::Identity;
use peerlight_lab::{
    fleet::{self, Answers, Plan, Prepared, Tally},
    process,
};
use peerlight_proto::limits::MAX_BODY_BYTES;
use rustls::{ServerConfig, crypto::aws_lc_rs, sign::SingleCertAndKey};
use std::{
    convert::Infallible,
    io::stdin,
    net::TcpListener,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    process::{Child, Command},
    sync::Arc,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// What the peer of a collector spent.
pub(super) struct Cost {
    /// CPU microseconds of a push.
    pub(super) push_us: f64,
    /// Pushes that were counted.
    pub(super) pushes: f64,
}

/// Lets a fleet push to a peer, in a process of its own, with the identity that `directory` holds.
pub(super) async fn measure(prepared: &Prepared, directory: &Path, plan: Plan) -> anyhow::Result<Cost> {
    let plan = Plan { answers: Answers::Unread, ..plan };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let program = std::env::current_exe()?;
    let inherited = OwnedFd::from(listener.try_clone()?);
    let peer = Peer(Command::new(program).arg("--peer-of").arg(directory).stdin(inherited).spawn()?);
    let tally = Arc::new(Tally::default());
    let ready = fleet::ready(prepared, listener.local_addr()?, plan).await?;
    let warm = ready.begin() + plan.warm_up();
    let look = async {
        tokio::time::sleep_until(warm).await;
        peer.spent(&tally)
    };
    let (ran, from) = tokio::join!(ready.run(&tally), look);
    ran?;
    let (from, to) = (from?, peer.spent(&tally)?);
    let pushes = to.1 - from.1;
    Ok(Cost { push_us: (to.0 - from.0) * 1e6 / pushes, pushes })
}

/// The process of a peer.
struct Peer(Child);

impl Peer {
    /// Its CPU seconds, and the pushes that it answered.
    fn spent(&self, tally: &Tally) -> anyhow::Result<(f64, f64)> {
        Ok((process::cpu_seconds(self.0.id())?, tally.counts().acknowledged as f64))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Serves on the listener that is standard input, until the process is killed.
pub(super) fn serve(directory: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::from(stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    let certificate =
        Identity::open(directory)?.issue(vec!["127.0.0.1".to_owned()], Clock::system().wall())?;
    let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)));
    tls.ticketer = aws_lc_rs::Ticketer::new()?;
    tls.send_tls13_tickets = 1;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _address) = listener.accept().await.context("no connection")?;
            let acceptor = acceptor.clone();
            // A connection that breaks shows in the fleet's tally.
            tokio::spawn(async move { converse(stream, acceptor).await.ok() });
        }
    })
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await?;
    Ok(())
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let read = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
    let mut response = Response::new(Empty::new());
    *response.status_mut() = if read.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(response)
}
