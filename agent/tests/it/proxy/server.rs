//! An HTTP proxy that tests script: it opens real tunnels, or does what proxies do instead.

use http::{Method, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{Request, body::Incoming, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What a proxy does when it is asked for a tunnel.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// Opens it.
    Open,
    /// Opens it to those who give this `Proxy-Authorization`.
    OpenTo(&'static str),
    /// Opens it after so long.
    Slow(Duration),
    /// Says no so.
    Refuse(u16),
    /// Sends these bytes and listens on.
    Say(Vec<u8>),
    /// Hangs up.
    HangUp,
}

/// What a proxy was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Where to.
    pub(crate) to: String,
    /// The `Proxy-Authorization` that came with it.
    pub(crate) authorization: Option<String>,
}

/// A running proxy; ends with the test. Wherever it is asked to lead, it leads to that port of this machine.
pub(crate) struct TestProxy {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl TestProxy {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::leading_to(None, manner).await
    }

    /// The same; its tunnels lead to this port, if there is one.
    pub(crate) async fn leading_to(port: Option<u16>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (heard, manner) = (Arc::clone(&asked), Arc::new(manner));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, port, Arc::clone(&manner), Arc::clone(&heard)));
            }
        });
        Self { address, asked }
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, port: Option<u16>, manner: Arc<Manner>, asked: Arc<Mutex<Vec<Asked>>>) {
    match &*manner {
        Manner::Say(bytes) => {
            let _question = stream.read(&mut [0; 4_096]).await;
            // It may be hung up on in the middle of it.
            let _cut = stream.write_all(bytes).await;
            let _end = stream.read(&mut [0; 64]).await;
        }
        Manner::HangUp => {
            let _question = stream.read(&mut [0; 4_096]).await;
        }
        Manner::Open | Manner::OpenTo(_) | Manner::Slow(_) | Manner::Refuse(_) => {
            let service = service_fn(move |request| {
                let (manner, asked) = (Arc::clone(&manner), Arc::clone(&asked));
                async move { Ok::<_, std::convert::Infallible>(answer(request, port, &manner, &asked).await) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client may go at any time.
            let _gone = connection.with_upgrades().await;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    port: Option<u16>,
    manner: &Manner,
    asked: &Mutex<Vec<Asked>>,
) -> Response<Empty<&'static [u8]>> {
    assert_eq!(request.method(), Method::CONNECT);
    let authorization = request.headers().get(header::PROXY_AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
    let to = request.uri().authority().unwrap().clone();
    asked.lock().unwrap().push(Asked { to: to.to_string(), authorization: authorization.clone() });
    let status = match manner {
        Manner::OpenTo(given) if authorization.as_deref() != Some(*given) => 407,
        Manner::Refuse(status) => *status,
        Manner::Slow(pause) => {
            tokio::time::sleep(*pause).await;
            200
        }
        Manner::Open | Manner::OpenTo(_) | Manner::Say(_) | Manner::HangUp => 200,
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if status == 407 {
        response.headers_mut().insert(header::PROXY_AUTHENTICATE, "Basic realm=\"test\"".parse().unwrap());
    }
    if status == 200 {
        let port = port.or(to.port_u16()).unwrap();
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(target) => drop(tokio::spawn(tunnel(hyper::upgrade::on(request), target))),
            Err(_refused) => *response.status_mut() = StatusCode::BAD_GATEWAY,
        }
    }
    response
}

async fn tunnel(upgrade: hyper::upgrade::OnUpgrade, mut target: TcpStream) {
    let upgraded: Upgraded = upgrade.await.unwrap();
    // Either side may break it.
    let _broken = tokio::io::copy_bidirectional(&mut TokioIo::new(upgraded), &mut target).await;
}
