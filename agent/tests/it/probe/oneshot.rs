//! The `probe` command, as far as its exit code.

use clap::Parser;
use peerlight_agent::oneshot::{self, ProbeArgs};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    probe: ProbeArgs,
}

async fn run(args: &str) -> ExitCode {
    let args = std::iter::once("probe").chain(args.split_whitespace());
    oneshot::run(Cli::try_parse_from(args).unwrap().probe, &CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn it_succeeds_if_anything_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let common = "--count 3 --interval 10ms --timeout 1s --format json";
    let code = run(&format!("tcp://127.0.0.1:{open} tcp://127.0.0.1:{closed} {common}")).await;
    assert_eq!(code, ExitCode::SUCCESS);
    assert_eq!(run(&format!("tcp://127.0.0.1:{closed} {common}")).await, ExitCode::FAILURE);
}
