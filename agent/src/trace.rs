//! The `path` command: which routers stand between this machine and a target, hop by hop.
//!
//! Packets are sent with a time to live of one, two, three …; the router where one expires says so by ICMP. The kernel hands
//! that to the very socket that sent the packet (`IP_RECVERR`), so neither a raw socket nor a privilege is needed for it.

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux's engine uses it"))]
mod answer;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux's engine uses it"))]
mod args;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux's engine uses it"))]
mod course;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux's engine uses it"))]
mod echo;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;
mod render;
mod route;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use portable as platform;

use anyhow::Context as _;
use course::Course;
use platform::Tracer;
use std::{io, net::IpAddr, process::ExitCode, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub(crate) use args::Plan;
pub use args::{Method, PathArgs, Version};
pub(crate) use render::write_table;
pub(crate) use route::Route;
#[cfg(test)]
pub(crate) use route::{HopAddress, HopLatency, RouteHop};

/// Whether paths can be found on this system.
pub(crate) const WORKS_HERE: bool = cfg!(target_os = "linux");

/// Why there is no path to show.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux's engine uses it"))]
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// The system lets this process send no ICMP.
    #[error(
        "ICMP is not permitted: put this process's group into the sysctl net.ipv4.ping_group_range (such as \
         \"0 2147483647\"), or give it the capability CAP_NET_RAW; --method udp and tcp need neither"
    )]
    IcmpNotPermitted(#[source] io::Error),
    /// A packet did not leave this machine.
    #[error("cannot send to {to} from this machine: {source}")]
    Send {
        /// Where it was to go.
        to: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address to send from cannot be used.
    #[error("cannot send from {address}: {source}")]
    Source {
        /// Which.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Answers cannot be awaited.
    #[error("cannot wait for answers: {0}")]
    Wait(#[source] io::Error),
    /// There is no engine for this system.
    #[cfg(not(target_os = "linux"))]
    #[error("paths can be traced on Linux only")]
    Unsupported,
}

/// Finds the path, or what of it there was before an interrupt, and writes it to stdout. The exit code tells whether the
/// target was reached.
pub async fn run(args: PathArgs, shutdown: &CancellationToken) -> anyhow::Result<ExitCode> {
    let format = args.format;
    let plan = args.plan().await?;
    let route = find(&plan, shutdown).await?;
    render::write(&route, format).context("cannot write the path")?;
    Ok(if route.reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Finds the path, or what of it there was before an interrupt.
pub(crate) async fn find(plan: &Plan, shutdown: &CancellationToken) -> anyhow::Result<Route> {
    let mut course = Course::new(plan.max_hops, plan.count);
    let tracer = Arc::new(Tracer::new(plan));
    let mut next_round = Instant::now();
    while let Some(wave) = course.next_wave() {
        if wave.first().is_some_and(|turn| turn.hop == 1) {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = sleep_until(next_round) => {}
            }
            next_round = Instant::now() + plan.interval;
        }
        if shutdown.is_cancelled() {
            break;
        }
        let (tracer, shutdown) = (Arc::clone(&tracer), shutdown.clone());
        course = tokio::task::spawn_blocking(move || {
            tracer.send(&wave, &mut course, &|| shutdown.is_cancelled()).map(|()| course)
        })
        .await
        .context("the tracing thread ended early")??;
    }
    Ok(Route::of(plan, &course))
}

/// The longest wait for answers after which it is looked whether to stop.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux's engine uses it"))]
const LOOK: Duration = Duration::from_millis(100);
