//! An HTTPS server, HTTP/1.1 and 2, that answers every request after its delay.

use super::hold::{Hold, wall_clock};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use peerlight_proto::metric::Metric;
use std::{
    convert::Infallible,
    io,
    net::{self, IpAddr},
    sync::Arc,
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a server needs to serve.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its certificate and key.
    pub tls: Arc<rustls::ServerConfig>,
    /// How long it takes to answer.
    pub delay: Duration,
    /// Whether it holds answers back beyond that.
    pub hold: Option<Hold>,
}

/// Serves until `shutdown`.
pub fn serve(
    listener: net::TcpListener,
    server: Server,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let (connections, stop) = (tasks.clone(), shutdown.clone());
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(async move {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let connection = connect(server.clone(), stream, from.ip());
                    connections.spawn(stop.clone().run_until_cancelled_owned(connection));
                }
                Err(error) => tracing::debug!(%error, "an echo server could not accept a connection"),
            }
        }
    }));
    Ok(())
}

async fn connect(server: Server, stream: TcpStream, from: IpAddr) {
    let exchange = async {
        stream.set_nodelay(true)?;
        let stream = TlsAcceptor::from(Arc::clone(&server.tls)).accept(stream).await?;
        let service = service_fn(|_request: Request<Incoming>| answer(server.clone(), from));
        auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await
            .map_err(io::Error::other)
    };
    if let Err(error) = exchange.await {
        tracing::debug!(%error, %from, "a connection to an HTTPS echo server broke");
    }
}

async fn answer(server: Server, from: IpAddr) -> Result<Response<Full<Bytes>>, Infallible> {
    let asked = wall_clock();
    let decided = server.hold.as_ref().and_then(|hold| Some((hold, hold.decide(from)?)));
    // TCP would send a lost answer again, so that only UDP loses anything here.
    let wait = server.delay + decided.as_ref().and_then(|(_, verdict)| verdict.wait).unwrap_or_default();
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if let Some((hold, verdict)) = decided {
        hold.record(verdict, Metric::HttpsTtfb, asked, Some(wall_clock()));
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"the lab's echo server\n")));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    Ok(response)
}
