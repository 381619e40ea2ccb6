//! Peers that are slow, silent, too many or in the middle of something, over real sockets. Each test waits for the event
//! itself: the end of a connection, or an answer.

use super::*;
use crate::{client_address::Peer, identity::Identity, metrics::Metrics, vitals::Vitals};
use axum::{
    Extension,
    body::Bytes,
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use proxy_header::{ProxiedAddress, ProxyHeader};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// The head of an upload, and half of its body.
const HALF_AN_UPLOAD: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\nab";
/// A deadline that comes soon.
const SOON: Duration = Duration::from_millis(50);
/// One that no test reaches.
const NEVER: Duration = Duration::from_secs(30);
const PATIENT: Deadlines =
    Deadlines { handshake: NEVER, head: NEVER, idle: NEVER, liveness: NEVER, drain: NEVER };
/// More than the buffers of both ends hold.
const MUCH: usize = 64 << 20;

/// A listener at work.
struct Server {
    address: SocketAddr,
    metrics: Metrics,
    /// Says when an upload's handler has begun.
    uploads: mpsc::UnboundedReceiver<()>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    ca: CertificateDer<'static>,
}

impl Server {
    fn start(change: impl FnOnce(&mut Service)) -> Self {
        Self::start_with_tls(false, change)
    }

    /// `GET /` tells whom the connection speaks for, `GET /thread` who serves it, `GET /much` is long, `POST /` answers with what
    /// was sent.
    fn start_with_tls(tls: bool, change: impl FnOnce(&mut Service)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Arc::new(Identity::open(directory.path()).unwrap());
        let issued =
            AgentsCertificate::issue(identity, vec!["localhost".into()], crate::clock::Clock::system().now())
                .unwrap();
        let ca = CertificateDer::from_pem_file(crate::paths::ca(directory.path())).unwrap();
        let (begun, uploads) = mpsc::unbounded_channel();
        let upload = async move |body: axum::body::Body| {
            begun.send(()).unwrap();
            body.collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .map_err(|_aborted| http::StatusCode::BAD_REQUEST)
        };
        let who = async |Extension(peer): Extension<Peer>| format!("{:?}", peer.source);
        let router = Router::new()
            .route("/", get(who).merge(post(upload)))
            .route("/thread", get(async || std::thread::current().name().unwrap().to_owned()))
            .route("/much", get(async || Bytes::from(vec![0; MUCH])));
        let metrics = Metrics::default();
        let mut service = Service {
            name: "test",
            tls: tls.then(|| Arc::new(issued).acceptor().unwrap()),
            router,
            proxies: Vec::new(),
            connections: 10,
            deadlines: PATIENT,
            faults: metrics.connection_faults(),
            costs: crate::cost::Costs::default(),
        };
        change(&mut service);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let serving = serve_on_each_core(listener, service, stop.clone());
        let task = tokio::spawn(async { serving.await.unwrap() });
        Self { address, metrics, uploads, stop, task, ca }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn connect_tls(&self, alpn: &[u8]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.connect().await).await.unwrap()
    }

    /// Connects, sends this and asks who it is taken for; the answer's body, if there is one.
    async fn ask_after(&self, first: &[u8]) -> Option<String> {
        let mut stream = self.connect().await;
        stream.write_all(&[first, GET].concat()).await.unwrap();
        answer(&mut stream).await
    }

    /// Stops it; returns what was counted against its connections.
    async fn stop(self) -> String {
        self.stop.cancel();
        self.task.await.unwrap();
        let text = self.metrics.render(&Vitals::default());
        let faults =
            text.lines().filter_map(|line| line.strip_prefix("peerlight_collector_connection_faults_total"));
        faults.collect::<Vec<_>>().join("\n")
    }
}

/// The body of the next answer; none if the connection ends instead.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                return Some(body.to_owned());
            }
        }
        let mut bytes = [0; 1_024];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => text.push_str(std::str::from_utf8(&bytes[..read]).unwrap()),
        }
    }
}

/// Waits for the end of a connection, without an answer on it.
async fn end_of(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut bytes = Vec::new();
    let _reset_or_closed = stream.read_to_end(&mut bytes).await;
    assert_eq!(String::from_utf8_lossy(&bytes), "");
}

fn one(reason: &str) -> String {
    format!("{{listener=\"test\",reason=\"{reason}\"}} 1")
}

#[tokio::test]
async fn a_handshake_that_is_never_finished_ends() {
    let server = Server::start_with_tls(true, |service| service.deadlines.handshake = SOON);
    let mut stream = server.connect().await;
    // The beginning of a ClientHello.
    stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    end_of(&mut stream).await;
    assert_eq!(server.stop().await, one("slow-handshake"));
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_turned_away_and_counted() {
    let server = Server::start_with_tls(true, |_service| ());
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    let mut alert = Vec::new();
    let _reset_or_closed = stream.read_to_end(&mut alert).await;
    assert!(!alert.starts_with(b"HTTP"), "{alert:?}");
    assert_eq!(server.stop().await, one("tls"));
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_nothing_else() {
    let mut random = StdRng::seed_from_u64(31);
    for tls in [false, true] {
        let server = Server::start_with_tls(tls, |service| {
            service.connections = 2;
            (service.deadlines.handshake, service.deadlines.head) = (SOON, SOON);
        });
        for turn in 0..200 {
            let mut bytes: Vec<u8> = (0..random.random_range(1..600)).map(|_at| random.random()).collect();
            // As it comes, as a record of a handshake, as the preface of HTTP/2, as a request.
            let beginning: &[u8] = match turn % 4 {
                0 => b"",
                1 => &[22, 3, 1, 1, 0, 1],
                2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                _ => b"GET / HTTP/1.1\r\nhost:",
            };
            bytes.splice(..0, beginning.iter().copied());
            let mut stream = server.connect().await;
            let _may_be_cut_off = stream.write_all(&bytes).await;
            let mut answered = Vec::new();
            let _reset_or_closed = stream.read_to_end(&mut answered).await;
            assert!(!answered.starts_with(b"HTTP/1.1 200"), "{bytes:?}");
        }
        if tls {
            let mut stream = server.connect_tls(b"http/1.1").await;
            stream.write_all(GET).await.unwrap();
            assert!(answer(&mut stream).await.is_some());
        } else {
            assert!(server.ask_after(b"").await.is_some());
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_handler_that_panics_takes_its_own_connection_at_most() {
    let server = Server::start(|service| {
        service.connections = 1;
        service.router = std::mem::take(&mut service.router).route("/panic", get(panicking));
    });
    for _turn in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /panic HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        end_of(&mut stream).await;
    }
    assert!(server.ask_after(b"").await.is_some(), "the one connection is free again");
    server.stop().await;
}

async fn panicking() {
    panic!("on purpose");
}

#[tokio::test]
async fn a_head_that_dribbles_ends() {
    let server = Server::start(|service| service.deadlines.head = SOON);
    let (mut read, mut write) = server.connect().await.into_split();
    write.write_all(&GET[..20]).await.unwrap();
    let mut bytes = Vec::new();
    let mut dribble = tokio::time::interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            _end = read.read_to_end(&mut bytes) => break,
            _ = dribble.tick() => drop(write.write_all(b"x").await),
        }
    }
    assert!(!bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes));
    server.stop().await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_ever_asked_ends_whatever_was_agreed() {
    let server = Server::start_with_tls(true, |service| {
        (service.deadlines.head, service.deadlines.drain) = (SOON, SOON);
    });
    for alpn in [tls::HTTP2, b"http/1.1"] {
        let mut stream = server.connect_tls(alpn).await;
        let mut bytes = Vec::new();
        let _reset_or_closed = stream.read_to_end(&mut bytes).await;
        assert!(!bytes.starts_with(b"HTTP/1.1 200"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_falls_silent_ends() {
    let server = Server::start(|service| service.deadlines.idle = SOON);
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    assert!(answer(&mut stream).await.is_some());
    end_of(&mut stream).await;
    assert_eq!(server.stop().await, "");
}

#[tokio::test]
async fn a_peer_that_does_not_take_its_answer_holds_nothing_for_long() {
    let server = Server::start(|service| {
        service.connections = 1;
        (service.deadlines.idle, service.deadlines.drain) = (SOON, SOON);
    });
    let mut greedy = server.connect().await;
    greedy.write_all(b"GET /much HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(server.ask_after(b"").await.is_some(), "the one connection is free again");
    drop(greedy);
    assert_eq!(server.stop().await, one("cut"));
}

#[tokio::test]
async fn each_core_serves_the_connections_that_it_was_given() {
    let server = Server::start(|service| service.connections = u32::MAX);
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut connections = Vec::new();
    for _core in 0..cores {
        connections.push(server.connect().await);
    }
    let mut threads = std::collections::BTreeSet::new();
    for connection in &mut connections {
        let mut asked = async || {
            connection.write_all(b"GET /thread HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            answer(connection).await.unwrap()
        };
        let thread = asked().await;
        assert_eq!(asked().await, thread);
        threads.insert(thread);
    }
    assert_eq!(threads, (0..cores).map(|core| format!("agents-{core}")).collect());
    drop(connections);
    assert_eq!(server.stop().await, "");
}

#[tokio::test]
async fn a_listener_that_nobody_waits_for_any_more_ends() {
    let server = Server::start(|_| {});
    let mut connection = server.connect().await;
    connection.write_all(GET).await.unwrap();
    answer(&mut connection).await.unwrap();
    server.task.abort();
    end_of(&mut connection).await;
}

#[tokio::test]
async fn more_connections_than_the_limit_wait_their_turn() {
    let server = Server::start(|service| service.connections = 2);
    let mut first = [server.connect().await, server.connect().await];
    for stream in &mut first {
        stream.write_all(GET).await.unwrap();
        assert!(answer(stream).await.is_some());
    }
    let mut third = server.connect().await;
    third.write_all(HALF_AN_UPLOAD).await.unwrap();
    let mut server = server;
    // The server is at work all the while, and does not look at the third.
    for _ in 0..20 {
        for stream in &mut first {
            stream.write_all(GET).await.unwrap();
            assert!(answer(stream).await.is_some());
        }
    }
    assert!(server.uploads.try_recv().is_err(), "the third was served");
    drop(first);
    server.uploads.recv().await.unwrap();
    third.write_all(b"cd").await.unwrap();
    assert_eq!(answer(&mut third).await.as_deref(), Some("abcd"));
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_open_at_shutdown_is_finished() {
    let mut server = Server::start(|_service| ());
    let mut idle = server.connect().await;
    idle.write_all(GET).await.unwrap();
    assert!(answer(&mut idle).await.is_some());
    let mut busy = server.connect().await;
    busy.write_all(HALF_AN_UPLOAD).await.unwrap();
    server.uploads.recv().await.unwrap();

    server.stop.cancel();
    end_of(&mut idle).await;
    busy.write_all(b"cd").await.unwrap();
    assert_eq!(answer(&mut busy).await.as_deref(), Some("abcd"));
    end_of(&mut busy).await;
    let address = server.address;
    assert_eq!(server.stop().await, "");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_cut_off() {
    let mut server = Server::start(|service| service.deadlines.drain = SOON);
    let mut busy = server.connect().await;
    busy.write_all(HALF_AN_UPLOAD).await.unwrap();
    server.uploads.recv().await.unwrap();
    assert_eq!(server.stop().await, one("cut"));
    end_of(&mut busy).await;
}

#[tokio::test]
async fn a_handshake_that_is_under_way_at_shutdown_holds_nothing_up() {
    let server = Server::start_with_tls(true, |service| service.connections = 1);
    let mut held = server.connect().await;
    held.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    assert_eq!(server.stop().await, "");
    end_of(&mut held).await;
}

/// A header for these addresses, as a proxy writes it.
fn header(source: &str, destination: &str) -> Vec<u8> {
    let address = ProxiedAddress::stream(source.parse().unwrap(), destination.parse().unwrap());
    let mut bytes = Vec::new();
    ProxyHeader::with_address(address).encode_v2(&mut bytes).unwrap();
    bytes
}

/// A listener to which this machine is a trusted proxy.
fn behind_a_proxy() -> Server {
    Server::start(|service| {
        service.proxies = vec!["127.0.0.0/8".parse().unwrap()];
        service.deadlines.handshake = SOON * 20;
    })
}

#[tokio::test]
async fn a_proxy_header_says_whom_a_connection_speaks_for() {
    let server = behind_a_proxy();
    let ask = async |first: &[u8]| server.ask_after(first).await.unwrap();
    assert_eq!(ask(&header("203.0.113.7:4711", "192.0.2.1:443")).await, "Some(203.0.113.7)");
    assert_eq!(ask(&header("[2001:db8::7]:4711", "[2001:db8::1]:443")).await, "Some(2001:db8::7)");
    assert_eq!(ask(&header("[::ffff:203.0.113.7]:1", "[2001:db8::1]:443")).await, "Some(203.0.113.7)");
    let mut local = Vec::new();
    ProxyHeader::with_local().encode_v2(&mut local).unwrap();
    assert_eq!(ask(&local).await, "None");
    assert_eq!(server.stop().await, "");
}

#[tokio::test]
async fn a_trusted_proxy_without_a_usable_header_is_turned_away() {
    let server = behind_a_proxy();
    let whole = header("203.0.113.7:4711", "192.0.2.1:443");
    let mut too_long = whole.clone();
    too_long[14..16].copy_from_slice(&[0xff, 0xff]);
    for bad in [&b""[..], b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n", &too_long] {
        assert_eq!(server.ask_after(bad).await, None, "{bad:?}");
    }
    let mut truncated = server.connect().await;
    truncated.write_all(&whole[..20]).await.unwrap();
    truncated.shutdown().await.unwrap();
    end_of(&mut truncated).await;
    assert_eq!(server.stop().await, "{listener=\"test\",reason=\"proxy-header\"} 4");
}

#[tokio::test]
async fn a_proxy_header_that_never_ends_is_a_slow_handshake() {
    let server = behind_a_proxy();
    let mut stream = server.connect().await;
    stream.write_all(&header("203.0.113.7:4711", "192.0.2.1:443")[..20]).await.unwrap();
    end_of(&mut stream).await;
    assert_eq!(server.stop().await, one("slow-handshake"));
}

#[tokio::test]
async fn a_peer_that_is_no_trusted_proxy_speaks_for_itself_alone() {
    let server = Server::start(|service| service.proxies = vec!["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(server.ask_after(b"").await.unwrap(), "Some(127.0.0.1)");
    let mut forger = server.connect().await;
    forger.write_all(&header("203.0.113.7:4711", "192.0.2.1:443")).await.unwrap();
    forger.write_all(GET).await.unwrap();
    let mut bytes = Vec::new();
    let _reset_or_closed = forger.read_to_end(&mut bytes).await;
    assert!(!bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes));
    server.stop().await;
}
