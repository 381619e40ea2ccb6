//! One socket with what is under way on it: sends what there is room for, reads what there is, ends what is overdue.

use super::{
    Landing, Request,
    flights::{Flights, Handed, Match, Took},
    looks::{self, Waiting},
    mmsg::{self, AT_ONCE, Inbox, Name, Outgoing, Queue},
    notes::{Error, Notes},
    packet::{Incoming, LONGEST},
    socket::EchoSocket,
};
use crate::{
    probe::{
        exchange::{Exchange, now},
        settings::ProbeSettings,
        stamped::{CLOCK, stamp_now},
        strays::Strays,
        unreachable,
    },
    sample::{Outcome, Stray},
    schedule::MAX_LATENESS,
};
use peerlight_proto::{measurement::Ending, metric::Metric, series::Family};
use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

/// How many times in a row a queue is read, lest a flood of packets keep everything else from its turn.
const MAX_READS: usize = 256;
/// How many failed reads end a look, so that a socket that only fails does not spin.
const MAX_FAILED_READS: usize = 64;
/// Beyond its deadline a request is given this much, for a reply that came at the last moment.
const MARGIN: Duration = Duration::from_millis(5);

/// One socket with what is under way on it.
pub(super) struct Line {
    socket: EchoSocket,
    family: Family,
    metric: Metric,
    timeout: Duration,
    deadline: Duration,
    strays: Strays,
    flights: Flights<Landing>,
    /// Requests that wait for room, and since when.
    unsent: VecDeque<(Instant, Request)>,
    replies: Inbox,
    errors: Inbox,
    /// How many packets the kernel dropped for want of room, and when that was noticed.
    dropped: u32,
    overflowed: Option<Instant>,
    sends_since_look: u32,
}

impl Line {
    pub(super) fn new(
        socket: EchoSocket,
        metric: Metric,
        settings: &ProbeSettings,
        family: Family,
        strays: &Strays,
    ) -> Self {
        Self {
            socket,
            family,
            metric,
            timeout: settings.timeout,
            deadline: settings.deadline,
            strays: strays.clone(),
            flights: Flights::new(),
            unsent: VecDeque::new(),
            replies: Inbox::new(),
            errors: Inbox::new(),
            dropped: 0,
            overflowed: None,
            sends_since_look: 0,
        }
    }

    /// How long to wait before the next look; none if there is nothing to see.
    pub(super) fn wait(&self) -> Option<Duration> {
        let waiting = Waiting {
            held_up: !self.unsent.is_empty(),
            overdue: self.flights.oldest_open().map(|at| at + self.deadline + MARGIN),
            newest: self.flights.newest(),
            sends: self.sends_since_look,
        };
        looks::wait(waiting, now())
    }

    /// Looks, and sends what there is room for.
    pub(super) fn look(&mut self) {
        self.sends_since_look = 0;
        self.read();
        self.send_unsent();
    }

    /// Sends requests, after those that wait. That is a look, too.
    pub(super) fn send(&mut self, requests: impl IntoIterator<Item = Request>) {
        self.sends_since_look = self.sends_since_look.saturating_add(1);
        let now = now();
        self.unsent.extend(requests.into_iter().map(|request| (now, request)));
        self.read();
        self.send_unsent();
    }

    /// Reads all that there is, then ends what is overdue: this process may have slept through the answers.
    fn read(&mut self) {
        let began = now();
        let (mut failed, mut overflow_possible) = (0, false);
        for _ in 0..MAX_READS {
            let taken = self.replies.take(&self.socket.socket, Queue::Receive);
            // Only now: the stamps of the requests whose replies are in hand have come by now.
            self.read_errors();
            let Ok(taken) = taken else {
                // An ICMP error is reported here, too; the error queue says about which packet.
                failed += 1;
                if failed == MAX_FAILED_READS {
                    break;
                }
                continue;
            };
            let now = now();
            (0..taken).for_each(|number| self.read_reply(number, now));
            if taken < AT_ONCE {
                break;
            }
            overflow_possible = true;
        }
        if overflow_possible {
            self.notice_overflow(began);
        }
        self.end_overdue(began);
    }

    fn read_errors(&mut self) {
        for _ in 0..MAX_READS {
            let taken = self.errors.take(&self.socket.socket, Queue::Errors).unwrap_or(0);
            for number in 0..taken {
                let message = self.errors.message(number);
                match Notes::read(message.controls()) {
                    Notes { stamp: Some(stamp), error: Some(Error::Sent { key }) } => {
                        self.flights.left(key, stamp);
                    }
                    Notes { error: Some(Error::Unreachable { code }), .. } => {
                        let quote = self.socket.format.read_quoted(message.packet);
                        let ended = quote.and_then(|quote| self.flights.unreachable(quote, message.from));
                        if let Some(landing) = ended {
                            let error = unreachable::describe(code, self.family == Family::V6);
                            landing(Exchange::failed(CLOCK, Ending::Refused, error));
                        }
                    }
                    _ => {}
                }
            }
            if taken < AT_ONCE {
                return;
            }
        }
    }

    fn read_reply(&mut self, number: usize, now: Instant) {
        let message = self.replies.message(number);
        let matched = match self.socket.format.read(message.packet) {
            Incoming::Other => return,
            Incoming::Foreign => None,
            Incoming::Reply(token) => {
                let stamp = Notes::read(message.controls()).stamp;
                self.flights.replied(token, message.from, stamp, now)
            }
        };
        let (target, duplicate) = match matched.unwrap_or_else(|| self.flights.foreign(message.from)) {
            Match::First(Some(landing), took) => return landing(self.judge(took).handed_at(took.handed)),
            Match::First(None, _) | Match::Unknown => return,
            Match::Duplicate(target) => (target, true),
            Match::Foreign(target) => (target, false),
        };
        self.strays.report(Stray { target, metric: self.metric, family: self.family, duplicate });
    }

    fn judge(&self, took: Took) -> Exchange {
        let Some((clock, nanos)) = took.stamped else {
            return Exchange::failed(CLOCK, Ending::Voided, "the kernel did not stamp the reply");
        };
        let exchange = Exchange::timed(took.stamped, took.user, self.timeout);
        let overdue = u64::try_from(nanos).is_ok_and(|nanos| Duration::from_nanos(nanos) > self.deadline);
        if overdue && exchange.outcome == Outcome::Failed(Ending::Late) {
            Exchange::lost(clock)
        } else {
            exchange
        }
    }

    /// Whether the kernel dropped packets since the last time.
    fn notice_overflow(&mut self, now: Instant) {
        let dropped = mmsg::dropped(&self.socket.socket).unwrap_or(self.dropped);
        if std::mem::replace(&mut self.dropped, dropped) != dropped {
            self.overflowed = Some(now);
        }
    }

    fn end_overdue(&mut self, now: Instant) {
        for overdue in self.flights.overdue(self.deadline + MARGIN, now) {
            // What this machine dropped, the network did not lose.
            let ours = self.overflowed.is_some_and(|noticed| noticed >= overdue.handed);
            let exchange = if ours {
                Exchange::failed(CLOCK, Ending::Voided, "the socket's receive buffer overflowed meanwhile")
            } else {
                Exchange::lost(CLOCK)
            };
            (overdue.landing)(exchange.handed_at(overdue.handed));
        }
    }

    fn send_unsent(&mut self) {
        let mut refused = false;
        loop {
            let room = self.socket.room.saturating_sub(self.flights.expected(now()));
            let count = self.unsent.len().min(AT_ONCE).min(room);
            if count == 0 {
                return self.give_up_late();
            }
            match self.send_some(count) {
                Ok(_perhaps_fewer) => refused = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.give_up_late(),
                // An ICMP error about an earlier packet is reported once; it says nothing about this packet.
                Err(_perhaps_of_another) if !refused => refused = true,
                Err(error) => {
                    refused = false;
                    if let Some((_, request)) = self.unsent.pop_front() {
                        let error = format!("cannot send from this machine: {error}");
                        (request.landing)(Exchange::failed(CLOCK, Ending::SendFailed, error));
                    }
                }
            }
            if !self.unsent.is_empty() {
                self.read();
            }
        }
    }

    /// Sends the first `count` of what waits, and says how many of them went; an error is about the first.
    fn send_some(&mut self, count: usize) -> io::Result<usize> {
        let handed = Handed { at: now(), stamp: stamp_now() };
        let mut packets = [[0; LONGEST]; AT_ONCE];
        let mut written = Vec::with_capacity(count);
        for ((since, request), packet) in self.unsent.drain(..count).zip(&mut packets) {
            let Request { target, to, landing } = request;
            let token = self.flights.begin(target, to, rand::random(), handed, landing);
            let length = self.socket.format.write(token, packet);
            written.push((since, Outgoing { packet: &packet[..length], to: Name::new(to) }));
        }
        let (since, messages): (Vec<_>, Vec<_>) = written.into_iter().unzip();
        let sent = mmsg::send(&self.socket.socket, &messages);
        let gone = *sent.as_ref().unwrap_or(&0);
        if gone < count {
            for since in since.into_iter().skip(gone).rev() {
                if let Some((target, to, landing)) = self.flights.take_back() {
                    self.unsent.push_front((since, Request { target, to, landing }));
                }
            }
            self.read_errors();
            // Without keys there are no stamps, and times are this process's.
            let _unsupported = self.socket.restart_keys();
            self.flights.keys_restart();
        }
        sent
    }

    /// A request that has waited too long is a turn that was missed.
    fn give_up_late(&mut self) {
        let now = now();
        while let Some((_, request)) =
            self.unsent.pop_front_if(|(since, _)| now.saturating_duration_since(*since) > MAX_LATENESS)
        {
            let error = "the buffers of this machine had no room for it in time";
            (request.landing)(Exchange::failed(CLOCK, Ending::Skipped, error));
        }
    }
}
