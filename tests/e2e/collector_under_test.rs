//! A collector that a test starts, kills and starts again: `collector-under-test DIRECTORY`, with the agents' listener
//! as standard input and the operators' as standard output, so that both outlive it and no port is ever guessed.

use anyhow::Context as _;
use peerlight_collector::{Listeners, config::Config, run};
use std::{
    io::{stdin, stdout},
    net::TcpListener,
    os::fd::AsFd,
};
use tokio_util::sync::CancellationToken;

/// As in the collector's own program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os().nth(1).context("name the state directory")?;
    let listeners = Listeners { agents: inherited(&stdin())?, operators: inherited(&stdout())? };
    let mut config = Config::default();
    config.agents.listen = listeners.agents.local_addr()?;
    config.operators.listen = listeners.operators.local_addr()?;
    config.store.directory = directory.into();
    // A backlog comes as fast as this machine can push it.
    (config.limits.requests_per_minute, config.limits.burst) = (1_000_000, 1_000_000);
    let runtime = tokio::runtime::Runtime::new()?;
    Ok(runtime.block_on(run(config, listeners, CancellationToken::new()))?)
}

fn inherited(stream: &impl AsFd) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::from(stream.as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    Ok(listener)
}
