//! Linux: what /proc and /sys tell.

use super::{ReceiveBuffer, WANTED_RECEIVE_BUFFER};
use nix::sys::socket::{SetSockOpt as _, sockopt};
use socket2::{Domain, Socket, Type};
use std::fs;

/// The kernel's release.
pub(super) fn kernel() -> Option<String> {
    line("/proc/sys/kernel/osrelease")
}

/// How many threads wanted a CPU, over the last minute.
pub(super) fn load() -> Option<f64> {
    line("/proc/loadavg")?.split_whitespace().next()?.parse().ok()
}

/// What the kernel reads the time from.
pub(super) fn clock_source() -> Option<String> {
    line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
}

/// The groups that may open ICMP sockets.
pub(super) fn ping_group_range() -> Option<String> {
    let range = line("/proc/sys/net/ipv4/ping_group_range")?;
    Some(range.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What a socket gets that asks as the engines do.
pub(super) fn receive_buffer() -> Option<ReceiveBuffer> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok()?;
    if sockopt::RcvBufForce.set(&socket, &WANTED_RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(WANTED_RECEIVE_BUFFER).ok()?;
    }
    // The kernel doubles what it grants, for its own bookkeeping.
    let granted = socket.recv_buffer_size().ok()? / 2;
    let rmem_max = line("/proc/sys/net/core/rmem_max").and_then(|text| text.parse().ok());
    Some(ReceiveBuffer { wanted: WANTED_RECEIVE_BUFFER, granted, rmem_max })
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
