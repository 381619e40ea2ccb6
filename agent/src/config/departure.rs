//! The checks of how probes leave this machine: by which interface, with which mark. Pure.

use super::{check::Problems, raw};
use crate::probe::{CAN_STEER, Dscp, IcmpEngine, Interface};
use std::fmt::Display;

const LINUX_ALONE: &str = "works on Linux alone";

/// The interface of this key.
pub(super) fn interface(
    key: impl Display,
    raw: Option<&String>,
    problems: &mut Problems,
) -> Option<Interface> {
    let raw = raw?;
    if !CAN_STEER {
        problems.add(key, format!("{LINUX_ALONE}; write source_v4 or source_v6 instead"));
        return None;
    }
    problems.check(key, raw.parse())
}

/// The mark of this key, for probes of this engine.
pub(super) fn dscp(
    key: impl Display,
    raw: Option<&raw::Dscp>,
    engine: IcmpEngine,
    problems: &mut Problems,
) -> Option<Dscp> {
    let raw = raw?;
    if !CAN_STEER {
        problems.add(key, LINUX_ALONE);
        return None;
    }
    if engine == IcmpEngine::Portable {
        problems.add(key, "the portable ICMP engine cannot mark packets; write icmp_engine = \"native\"");
        return None;
    }
    problems.check(key, raw.0.parse())
}
