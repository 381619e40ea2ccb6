//! Answers: what came back for a packet. Pure.

use peerlight_proto::series::Clock;
use std::{net::IpAddr, time::Duration};

/// How much longer than this process's own time a kernel's may be: the two clocks are read at slightly different moments.
const MARGIN: Duration = Duration::from_millis(1);

/// What came back for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// Who answered.
    pub(super) from: IpAddr,
    pub(super) kind: AnswerKind,
    /// The time from sending to the answer …
    pub(super) latency: Duration,
    /// … by this clock.
    pub(super) clock: Clock,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AnswerKind {
    /// A router: the packet's time to live ended there.
    Expired,
    /// The target: an echo reply, a connection, or a packet.
    Reply,
    /// The target: nothing listens at the port.
    Refused,
    /// A router, or the target: no packet gets beyond it, by this ICMP code.
    Unreachable(u8),
}

impl AnswerKind {
    /// What an ICMP message about a packet to `target` means; none if it is neither about time nor reach.
    pub(super) fn of_icmp(kind: u8, code: u8, from: IpAddr, target: IpAddr) -> Option<Self> {
        let (expired, unreachable, port) = if target.is_ipv4() { (11, 3, 3) } else { (3, 1, 4) };
        if kind == expired && code == 0 {
            Some(Self::Expired)
        } else if kind == unreachable && code == port && from == target {
            Some(Self::Refused)
        } else if kind == unreachable {
            Some(Self::Unreachable(code))
        } else {
            None
        }
    }

    /// Whether the target said it.
    pub(super) fn is_target(self) -> bool {
        matches!(self, Self::Reply | Self::Refused)
    }

    /// In words (RFC 792, RFC 4443).
    pub(super) fn describe(self, v6: bool) -> String {
        let unreachable = match (v6, self) {
            (_, Self::Expired) => return "time exceeded".into(),
            (_, Self::Reply) => return "reached".into(),
            (_, Self::Refused) => return "reached, refused".into(),
            (_, Self::Unreachable(0)) => "no route",
            (false, Self::Unreachable(1)) | (true, Self::Unreachable(3)) => "host unreachable",
            (false, Self::Unreachable(2)) => "protocol unreachable",
            (false, Self::Unreachable(3)) | (true, Self::Unreachable(4)) => "port unreachable",
            (false, Self::Unreachable(9 | 10 | 13)) | (true, Self::Unreachable(1 | 5 | 6)) => "prohibited",
            (_, Self::Unreachable(code)) => return format!("unreachable (code {code})"),
        };
        unreachable.into()
    }
}

/// The stamps of a packet and its answer, in nanoseconds of the kernel's clock, as far as there are any, and the time
/// between both by this process's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamps {
    /// When the packet left …
    pub(super) left: Option<i64>,
    /// … or was about to, read by this process from the same clock.
    pub(super) about_to_leave: Option<i64>,
    pub(super) came: Option<i64>,
    pub(super) user: Duration,
}

impl Stamps {
    /// The time, by the best clock that is plausible. Between this process's send and the kernel's receive stamp lies
    /// a moment of this process, so that the clock is called its own.
    pub(super) fn latency(&self) -> (Duration, Clock) {
        let between = |sent: Option<i64>| {
            let nanos = self.came?.checked_sub(sent?)?;
            let latency = Duration::from_nanos(u64::try_from(nanos).ok()?);
            (latency <= self.user + MARGIN).then_some(latency)
        };
        if let Some(latency) = between(self.left) {
            (latency, Clock::Kernel)
        } else {
            (between(self.about_to_leave).unwrap_or(self.user), Clock::User)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn icmp_means_what_the_standards_say() {
        let (router, v4, v6) = ("192.0.2.1", "198.51.100.1", "2001:db8::1");
        let of = |kind, code, from: &str, target: &str| {
            AnswerKind::of_icmp(kind, code, from.parse().unwrap(), target.parse().unwrap())
        };
        assert_eq!(of(11, 0, router, v4), Some(AnswerKind::Expired));
        assert_eq!(of(3, 0, router, v6), Some(AnswerKind::Expired));
        assert_eq!(of(3, 3, v4, v4), Some(AnswerKind::Refused));
        assert_eq!(of(3, 3, router, v4), Some(AnswerKind::Unreachable(3)));
        assert_eq!(of(1, 4, v6, v6), Some(AnswerKind::Refused));
        assert_eq!(of(1, 1, v6, v6), Some(AnswerKind::Unreachable(1)));
        assert_eq!(of(11, 1, router, v4), None, "a reassembly that took too long is about another packet");
        assert_eq!(of(12, 0, router, v4), None);
        assert_eq!(AnswerKind::Unreachable(13).describe(false), "prohibited");
        assert_eq!(AnswerKind::Unreachable(3).describe(true), "host unreachable");
        assert_eq!(AnswerKind::Unreachable(99).describe(true), "unreachable (code 99)");
    }

    #[test]
    fn the_best_plausible_clock_counts() {
        let us = Duration::from_micros;
        let stamps =
            Stamps { left: Some(20_000), about_to_leave: Some(10_000), came: Some(120_000), user: us(150) };
        assert_eq!(stamps.latency(), (us(100), Clock::Kernel));
        assert_eq!(Stamps { left: None, ..stamps }.latency(), (us(110), Clock::User));
        assert_eq!(Stamps { came: None, ..stamps }.latency(), (us(150), Clock::User));
        let stepped = Stamps { came: Some(-1), ..stamps };
        assert_eq!(stepped.latency(), (us(150), Clock::User));
        let stepped = Stamps { came: Some(9_000_000_000), ..stamps };
        assert_eq!(stepped.latency(), (us(150), Clock::User));
    }
}
