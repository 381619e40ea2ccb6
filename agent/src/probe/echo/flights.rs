//! Requests in flight on one socket: which of them a reply, a stamp or an ICMP error belongs to, and which are overdue. Pure:
//! takes `now`. `L` is where a request's ending is wanted.
//!
//! Requests are numbered as they are sent, so that they lie in a queue in which a number is a place.

use super::packet::{Cookie, Quote, Token, low_half};
use peerlight_proto::{id::TargetId, series::Clock};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long a request is remembered after it was sent, so that late copies of its reply are known for what they are …
const REMEMBERED: Duration = Duration::from_mins(1);
/// … unless there are more of them than this.
const MAX_REMEMBERED: usize = 65_536;
/// A request without a reply after this long needs no room for one in the receive buffer: the few that are this slow do not
/// come all at once.
const EXPECTED: Duration = Duration::from_millis(100);
/// How far back the request is looked for that a foreign reply, or an ICMP error that quotes next to nothing, may belong to.
const MAX_SEARCH: usize = 4_096;

/// When a request was handed to the kernel, by this process's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handed {
    /// On the clock that never goes back.
    pub(super) at: Instant,
    /// On the kernel's clock of stamps, in nanoseconds.
    pub(super) stamp: i64,
}

/// How long a reply took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Took {
    /// By the better clock, in nanoseconds: from stamp to stamp, or from this process's own reading of the same clock where
    /// the kernel did not stamp the request. None if it did not stamp the reply.
    pub(super) stamped: Option<(Clock, i64)>,
    /// Until this process looked.
    pub(super) user: Duration,
    /// When the request was handed to the kernel.
    pub(super) handed: Instant,
}

/// What a reply turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match<L> {
    /// The first reply to a request, for whoever still waits for it.
    First(Option<L>, Took),
    /// A further reply to a request of this target.
    Duplicate(TargetId),
    /// No reply of ours, but from the address of this target; or to a request of ours, but from another address.
    Foreign(TargetId),
    /// From nowhere that we probe.
    Unknown,
}

/// A request without an ending by its deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overdue<L> {
    /// Where that is wanted.
    pub(super) landing: L,
    /// When it was sent.
    pub(super) handed: Instant,
}

#[derive(Debug)]
struct Request<L> {
    target: TargetId,
    to: SocketAddr,
    cookie: Cookie,
    handed: Handed,
    left: Option<i64>,
    answered: bool,
    /// None once it has ended.
    landing: Option<L>,
}

impl<L> Request<L> {
    /// Whether it was sent to this address and port. Scopes and flow labels are the kernel's to write.
    fn is_to(&self, other: Option<SocketAddr>) -> bool {
        other.is_some_and(|other| (other.ip(), other.port()) == (self.to.ip(), self.to.port()))
    }
}

/// The requests of one socket.
#[derive(Debug)]
pub(super) struct Flights<L> {
    requests: VecDeque<Request<L>>,
    /// The number of the first of them.
    first: u32,
    /// The number of the request whose stamp has key 0.
    key_zero: u32,
    /// Before this place no request is open.
    open_from: usize,
    open: usize,
    /// Before this place no reply is expected.
    expected_from: usize,
    expected: usize,
}

impl<L> Flights<L> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            requests: VecDeque::new(),
            first: 0,
            key_zero: 0,
            open_from: 0,
            open: 0,
            expected_from: 0,
            expected: 0,
        }
    }

    /// Numbers a request that is about to be sent.
    pub(super) fn begin(
        &mut self,
        target: TargetId,
        to: SocketAddr,
        cookie: Cookie,
        handed: Handed,
        landing: L,
    ) -> Token {
        let number = self.next_number();
        self.requests.push_back(Request {
            target,
            to,
            cookie,
            handed,
            left: None,
            answered: false,
            landing: Some(landing),
        });
        self.open += 1;
        self.expected += 1;
        Token { number, cookie }
    }

    /// Takes back the newest request, which was not sent after all.
    pub(super) fn take_back(&mut self) -> Option<(TargetId, SocketAddr, L)> {
        let place = self.requests.len().checked_sub(1)?;
        let landing = self.end(place);
        self.open_from = self.open_from.min(place);
        self.expected_from = self.expected_from.min(place);
        let request = self.requests.pop_back()?;
        Some((request.target, request.to, landing?))
    }

    /// From the next request on the kernel's keys count from 0 again.
    pub(super) fn keys_restart(&mut self) {
        self.key_zero = self.next_number();
    }

    /// Notes when a request left.
    pub(super) fn left(&mut self, key: u32, stamp: i64) {
        let number = self.key_zero.wrapping_add(key);
        if let Some(request) = self.place(number).and_then(|place| self.requests.get_mut(place)) {
            request.left.get_or_insert(stamp);
        }
    }

    /// Matches a reply that came in from there when the kernel's clock showed `stamp`, and was seen at `now`. Only who was
    /// asked can answer: from anybody else it leaves the request open.
    pub(super) fn replied(
        &mut self,
        token: Token,
        from: Option<SocketAddr>,
        stamp: Option<i64>,
        now: Instant,
    ) -> Option<Match<L>> {
        let place = self.named(token)?;
        let request = self.requests.get_mut(place)?;
        if !request.is_to(from) {
            return Some(Match::Foreign(request.target));
        }
        if std::mem::replace(&mut request.answered, true) {
            return Some(Match::Duplicate(request.target));
        }
        let stamped = stamp.map(|came| match request.left {
            Some(left) => (Clock::Kernel, came - left),
            None => (Clock::User, came - request.handed.stamp),
        });
        let handed = request.handed.at;
        let took = Took { stamped, user: now.saturating_duration_since(handed), handed };
        Some(Match::First(self.end(place), took))
    }

    /// Whose a reply is that names no request of this socket.
    pub(super) fn foreign(&self, from: Option<SocketAddr>) -> Match<L> {
        let newest = self.requests.iter().rev().take(MAX_SEARCH).find(|request| request.is_to(from));
        newest.map_or(Match::Unknown, |request| Match::Foreign(request.target))
    }

    /// Ends the request that an ICMP error is about, if anyone still waits for it. `to` is where that was sent.
    pub(super) fn unreachable(&mut self, quote: Quote, to: Option<SocketAddr>) -> Option<L> {
        let newest = |fits: &dyn Fn(u32, &Request<L>) -> bool| {
            let all = self.requests.iter().enumerate().rev().take(MAX_SEARCH);
            let mut open = all.filter(|(_, request)| request.landing.is_some());
            open.find(|(place, request)| fits(self.number(*place), request)).map(|(place, _)| place)
        };
        let place = match quote {
            Quote::Token(token) => self.named(token),
            Quote::Sequence(sequence) => newest(&|number, _| low_half(number) == sequence),
            Quote::Nothing => newest(&|_, request| request.is_to(to)),
        };
        self.end(place?)
    }

    /// Takes the requests that were sent `deadline` ago or earlier and have not ended.
    pub(super) fn overdue(&mut self, deadline: Duration, now: Instant) -> Vec<Overdue<L>> {
        let mut overdue = Vec::new();
        while let Some(request) = self.requests.get(self.open_from) {
            let handed = request.handed.at;
            let ended = request.landing.is_none();
            if !ended && now.saturating_duration_since(handed) < deadline {
                break;
            }
            overdue.extend(self.end(self.open_from).map(|landing| Overdue { landing, handed }));
            self.open_from += 1;
        }
        self.forget(now);
        overdue
    }

    /// How many replies the receive buffer needs room for.
    pub(super) fn expected(&mut self, now: Instant) -> usize {
        while let Some(request) = self.requests.get(self.expected_from)
            && now.saturating_duration_since(request.handed.at) >= EXPECTED
        {
            self.expected -= usize::from(request.landing.is_some());
            self.expected_from += 1;
        }
        self.expected
    }

    /// When the oldest was sent that has not ended.
    pub(super) fn oldest_open(&self) -> Option<Instant> {
        let open = || self.requests.range(self.open_from..).find(|request| request.landing.is_some());
        if self.open > 0 { open().map(|request| request.handed.at) } else { None }
    }

    /// When the newest request was sent.
    pub(super) fn newest(&self) -> Option<Instant> {
        self.requests.back().map(|request| request.handed.at)
    }

    fn end(&mut self, place: usize) -> Option<L> {
        let landing = self.requests.get_mut(place)?.landing.take()?;
        self.open -= 1;
        if place >= self.expected_from {
            self.expected -= 1;
        }
        Some(landing)
    }

    fn named(&self, token: Token) -> Option<usize> {
        let place = self.place(token.number)?;
        self.requests.get(place).filter(|request| request.cookie == token.cookie).map(|_| place)
    }

    fn place(&self, number: u32) -> Option<usize> {
        usize::try_from(number.wrapping_sub(self.first)).ok()
    }

    fn number(&self, place: usize) -> u32 {
        self.first.wrapping_add(u32::try_from(place).unwrap_or(u32::MAX))
    }

    fn next_number(&self) -> u32 {
        self.number(self.requests.len())
    }

    fn forget(&mut self, now: Instant) {
        while let Some(request) = self.requests.front()
            && self.open_from > 0
            && self.expected_from > 0
            && (now.saturating_duration_since(request.handed.at) >= REMEMBERED
                || self.open_from > MAX_REMEMBERED)
        {
            self.requests.pop_front();
            self.first = self.first.wrapping_add(1);
            self.open_from -= 1;
            self.expected_from -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
