//! The `probe` command as a program: what it prints, and its exit code.

use super::servers::Https;
use crate::{
    process::{agent, text},
    proxy::server::{Manner, TestProxy},
};
use nix::pty::{Winsize, openpty};
use serde_json::Value;
use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Output,
};
use tokio::net::TcpListener;

/// Runs it beside the servers of the test.
async fn probe(args: &[String]) -> Output {
    let mut command = agent(&["probe", "--interval", "10ms", "--timeout", "5s", "--family", "v4"]);
    command.args(args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn args<const N: usize>(args: [&str; N]) -> Vec<String> {
    args.map(str::to_owned).into()
}

/// A port that takes connections.
async fn open() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    target
}

/// A port that refuses them, while it is held.
fn closed() -> (socket2::Socket, String) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let target = format!("tcp://{}", socket.local_addr().unwrap().as_socket().unwrap());
    (socket, target)
}

#[tokio::test]
async fn it_succeeds_if_anything_answered() {
    let (open, (_held, closed)) = (open().await, closed());
    let output = probe(&args([&open, &closed, "--count", "3"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = probe(&args([&closed, "--count", "3"])).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("3 × refused: Connection refused")
            || text(&output.stdout).contains("3 x refused")
    );
    let output = probe(&args(["h", "--source", "127.0.0.1", "--source", "127.0.0.2"])).await;
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
    assert!(text(&output.stderr).contains("give one for each family"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_limit_that_is_passed_has_an_exit_code_of_its_own() {
    let open = open().await;
    let over = probe(&args([&open, "--count", "10", "--fail-over", "p50=0ms,loss=0%"])).await;
    assert_eq!(over.status.code(), Some(3), "{}", text(&over.stderr));
    assert!(text(&over.stderr).contains("p50=0s"), "{}", text(&over.stderr));
    let within = probe(&args([&open, "--count", "10", "--fail-over", "p50=5s,loss=0%"])).await;
    assert_eq!((within.status.code(), text(&within.stderr).as_str()), (Some(0), ""));
    let undecided = probe(&args([&open, "--count", "10", "--fail-over", "p99=0ms"])).await;
    assert_eq!(undecided.status.code(), Some(0));
    assert!(text(&undecided.stderr).contains("p99=0s"), "{}", text(&undecided.stderr));
}

#[tokio::test]
async fn programs_read_a_line_a_probe_or_a_row_a_target() {
    let open = open().await;
    let output = probe(&args([&open, "--count", "5", "--format", "ndjson"])).await;
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut turns: Vec<_> = lines.iter().map(|line| line["probe"].as_u64().unwrap()).collect();
    turns.sort_unstable();
    assert_eq!(turns, [1, 2, 3, 4, 5]);
    for line in &lines {
        assert_eq!((line["target"].as_str(), line["family"].as_str()), (Some(open.as_str()), Some("v4")));
        let reading = &line["readings"][0];
        assert_eq!(
            (reading["metric"].as_str(), reading["ending"].as_str()),
            (Some("tcp.connect"), Some("answered"))
        );
        assert!(reading["latency_ms"].as_f64().unwrap() > 0.0);
    }
    let output = probe(&args([&open, "--count", "5", "--format", "csv"])).await;
    let mut sheet = csv::Reader::from_reader(output.stdout.as_slice());
    let header = sheet.headers().unwrap().clone();
    let row = sheet.records().next().unwrap().unwrap();
    let cell =
        |name: &str| row.get(header.iter().position(|column| column == name).unwrap()).unwrap().to_owned();
    assert_eq!([cell("metric"), cell("answered"), cell("loss_ratio")], ["tcp.connect", "5", "0.0"]);
}

#[tokio::test]
async fn https_goes_through_the_proxy_and_is_judged_by_its_end() {
    let server = Https::start("http/1.1", 200, 100).await;
    let url = format!("https://127.0.0.1:{}/", server.port);
    let authority = server.authority.path().to_string_lossy().into_owned();
    let through = |proxy: &TestProxy| {
        let mut args = args([&url, "--cacert", &authority, "--count", "2", "--format", "json", "--proxy"]);
        args.push(format!("http://{}", proxy.address));
        args
    };
    let opens = TestProxy::start(Manner::Open).await;
    let output = probe(&through(&opens)).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = document["targets"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["path"] == "proxy"), "{rows:?}");
    let total = rows.iter().find(|row| row["metric"] == "https.total").unwrap();
    assert_eq!((&total["answered"], opens.asked().len(), server.requested()), (&2.into(), 2, 2));
    // That the proxy could be connected to is no answer of the target.
    let refuses = TestProxy::start(Manner::Refuse(501)).await;
    let output = probe(&through(&refuses)).await;
    assert_eq!((output.status.code(), refuses.asked().len()), (Some(1), 2), "{}", text(&output.stderr));
}

/// Reads from the terminal until it shows this. What was read before is kept.
fn until(terminal: &mut File, shown: &mut String, wanted: &str) {
    let mut bytes = [0; 4_096];
    while !shown.contains(wanted) {
        let length = terminal.read(&mut bytes).unwrap();
        assert!(length > 0, "the terminal ended without {wanted:?}: {shown}");
        shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
}

#[tokio::test]
async fn watching_fills_the_terminal_and_leaves_it_as_it_was_with_the_result() {
    let open = open().await;
    let refused = probe(&args([&open, "--watch"])).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--watch needs a terminal"), "{}", text(&refused.stderr));

    let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let pair = openpty(&size, None).unwrap();
    let (mut terminal, inside) = (File::from(pair.master), pair.slave);
    let before = nix::sys::termios::tcgetattr(&inside).unwrap();
    let mut command = agent(&["probe", &open, "--watch", "--interval", "10ms", "--family", "v4"]);
    command.env("LANG", "C.UTF-8").env("TERM", "xterm-256color");
    command.stdin(inside.try_clone().unwrap());
    command.stdout(inside.try_clone().unwrap()).stderr(inside.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let _terminal = tokio::task::spawn_blocking(move || {
        let mut shown = String::new();
        // Of what is on the screen already only what changes is written, so that only words come whole.
        for wanted in ["\u{1b}[?1049h", "Peerlight:", "tcp.connect", "column"] {
            until(&mut terminal, &mut shown, wanted);
        }
        terminal.write_all(b"q").unwrap();
        shown.clear();
        for wanted in ["\u{1b}[?1049l", "tcp.connect", "Times in milliseconds"] {
            until(&mut terminal, &mut shown, wanted);
        }
        terminal
    })
    .await
    .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(nix::sys::termios::tcgetattr(&inside).unwrap(), before);
}
