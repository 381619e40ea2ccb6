//! The kernel's stamps: when a packet passed it, where it tells.

#[cfg(target_os = "linux")]
mod linux;

use peerlight_proto::series::Clock;

#[cfg(target_os = "linux")]
pub(crate) use linux::{Notice, Room, notice, receive, stamp, stamp_now, stamps};

/// The clock that times what passes this machine's kernel.
pub(crate) const CLOCK: Clock = if cfg!(target_os = "linux") { Clock::Kernel } else { Clock::User };
