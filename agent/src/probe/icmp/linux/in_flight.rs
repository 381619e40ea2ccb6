//! Requests in flight on one ICMP socket: which probe a reply, a stamp or an ICMP error belongs to. Pure: takes `now`.

use super::echo::{Cookie, Echo};
use peerlight_proto::id::TargetId;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a request is remembered after it was sent, so that late copies of its reply are known for what they are.
const REMEMBERED: Duration = Duration::from_mins(1);
/// How many addresses are remembered for telling whose foreign replies come in.
const MAX_ADDRESSES: usize = 4_096;

/// What came back for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its reply.
    Reply {
        /// From the kernel's stamp of the request to that of the reply, in nanoseconds, if there are both.
        kernel: Option<i64>,
        /// The same by this process.
        user: Duration,
    },
    /// An ICMP error, in words.
    Unreachable(String),
}

/// What a reply turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// The first reply to a request.
    First,
    /// A further reply to a request of this target.
    Duplicate(TargetId),
    /// No reply of ours, but from the address of this target.
    Foreign(TargetId),
    /// From nowhere that we probe.
    Unknown,
}

struct Request {
    target: TargetId,
    cookie: Cookie,
    at: Instant,
    left: Option<i64>,
    answered: bool,
    waiter: Option<oneshot::Sender<Answer>>,
}

/// The requests of one socket.
#[derive(Default)]
pub(super) struct InFlight {
    requests: HashMap<u16, Request>,
    oldest_first: VecDeque<(Instant, u16)>,
    by_key: HashMap<u32, u16>,
    targets: HashMap<IpAddr, TargetId>,
    next: u16,
}

impl InFlight {
    /// Numbers a request that is sent now; none if all numbers are in use.
    pub(super) fn begin(
        &mut self,
        target: TargetId,
        to: IpAddr,
        cookie: Cookie,
        now: Instant,
    ) -> Option<(u16, oneshot::Receiver<Answer>)> {
        self.forget(now);
        let sequence = (0..=u16::MAX)
            .map(|step| self.next.wrapping_add(step))
            .find(|sequence| !self.requests.contains_key(sequence))?;
        self.next = sequence.wrapping_add(1);
        let (waiter, answer) = oneshot::channel();
        let request = Request { target, cookie, at: now, left: None, answered: false, waiter: Some(waiter) };
        self.requests.insert(sequence, request);
        self.oldest_first.push_back((now, sequence));
        if self.targets.len() >= MAX_ADDRESSES {
            self.targets.clear();
        }
        self.targets.insert(to, target);
        Some((sequence, answer))
    }

    /// Notes the key by which the stamp of a request will come.
    pub(super) fn keyed(&mut self, sequence: u16, key: u32) {
        self.by_key.insert(key, sequence);
    }

    /// Takes back a request that could not be sent.
    pub(super) fn take_back(&mut self, sequence: u16) {
        self.requests.remove(&sequence);
        self.oldest_first.retain(|&(_, other)| other != sequence);
    }

    /// Notes when a request left.
    pub(super) fn left(&mut self, key: u32, at: i64) {
        if let Some(request) = self.by_key.remove(&key).and_then(|sequence| self.requests.get_mut(&sequence))
        {
            request.left = Some(at);
        }
    }

    /// Whether the request of this reply is waiting for the stamp of when it left.
    pub(super) fn lacks_stamp(&self, echo: &Echo) -> bool {
        self.requests.get(&echo.sequence).is_some_and(|request| !request.answered && request.left.is_none())
    }

    /// Matches a reply, and answers its probe if it is the first.
    pub(super) fn replied(
        &mut self,
        from: Option<IpAddr>,
        echo: &Echo,
        kernel: Option<i64>,
        at: Instant,
    ) -> Match {
        let request =
            self.requests.get_mut(&echo.sequence).filter(|request| echo.cookie == Some(request.cookie));
        let Some(request) = request else {
            let target = from.and_then(|from| self.targets.get(&from));
            return target.map_or(Match::Unknown, |&target| Match::Foreign(target));
        };
        if std::mem::replace(&mut request.answered, true) {
            return Match::Duplicate(request.target);
        }
        let kernel = kernel.zip(request.left).map(|(came, left)| came - left);
        let user = at.saturating_duration_since(request.at);
        if let Some(waiter) = request.waiter.take() {
            // A probe that has reached its deadline is not there any more.
            let _gone = waiter.send(Answer::Reply { kernel, user });
        }
        Match::First
    }

    /// Answers the probe whose request an ICMP error quotes. Routers may quote the header alone.
    pub(super) fn unreachable(&mut self, echo: &Echo, error: String) {
        let request = self.requests.get_mut(&echo.sequence);
        let ours = |request: &&mut Request| echo.cookie.is_none_or(|cookie| cookie == request.cookie);
        if let Some(waiter) = request.filter(ours).and_then(|request| request.waiter.take()) {
            let _gone = waiter.send(Answer::Unreachable(error));
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some(&(at, sequence)) = self.oldest_first.front()
            && now.saturating_duration_since(at) >= REMEMBERED
        {
            self.oldest_first.pop_front();
            self.requests.remove(&sequence);
        }
        // Stamps that never came leave keys behind.
        if self.by_key.len() > 2 * self.requests.len() + 64 {
            let requests = &self.requests;
            self.by_key.retain(|_, sequence| requests.get(sequence).is_some_and(|r| r.left.is_none()));
        }
    }
}

#[cfg(test)]
mod tests;
