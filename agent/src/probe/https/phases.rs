//! Phases of an HTTPS exchange, from one list of boundaries on one clock, so that they add up to the total exactly. Pure.

use super::watched::{Direction, Passage};
use std::time::{Duration, Instant};

/// Whose time a stretch of the exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The name lookup.
    Dns,
    /// The TCP connect.
    Tcp,
    /// The proxy's answer to the wish for a tunnel.
    Proxy,
    /// Waiting for the server within the TLS handshake.
    Tls,
    /// Request sent to first byte.
    Ttfb,
    /// First byte to last.
    Transfer,
    /// This machine's own work: keys, signatures, parsing.
    Local,
}

/// The boundaries of one exchange, in order: what came before each, back to the one before it, was its phase.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    start: Instant,
    boundaries: Vec<(Phase, Instant)>,
}

impl Timeline {
    /// An exchange that begins now.
    pub(super) fn new(start: Instant) -> Self {
        Self { start, boundaries: Vec::with_capacity(16) }
    }

    /// Ends a stretch of `phase` at `at`; never before the last boundary.
    pub(super) fn mark(&mut self, phase: Phase, at: Instant) {
        self.boundaries.push((phase, at.max(self.end())));
    }

    /// Ends a TLS handshake: until something came in, the server or the network was waited for; until something went out,
    /// or the handshake was over, this machine worked.
    pub(super) fn mark_handshake(&mut self, passages: &[Passage], done: Instant) {
        for passage in passages {
            let phase = match passage.direction {
                Direction::In => Phase::Tls,
                Direction::Out => Phase::Local,
            };
            self.mark(phase, passage.at);
        }
        self.mark(Phase::Local, done);
    }

    /// Ends the wait for an answer, which began when the request went out.
    pub(super) fn mark_answer(&mut self, phase: Phase, passages: &[Passage], head: Instant) {
        if let Some(request) = request(passages) {
            self.mark(Phase::Local, request.at.min(head));
        }
        self.mark(phase, head);
    }

    /// How long a phase took in all.
    pub(super) fn spent(&self, phase: Phase) -> Duration {
        let starts = std::iter::once(self.start).chain(self.boundaries.iter().map(|&(_, at)| at));
        self.boundaries
            .iter()
            .zip(starts)
            .filter(|&(&(of, _), _)| of == phase)
            .map(|(&(_, end), start)| end - start)
            .sum()
    }

    /// How long it all took.
    pub(super) fn total(&self) -> Duration {
        self.end() - self.start
    }

    fn end(&self) -> Instant {
        self.boundaries.last().map_or(self.start, |&(_, at)| at)
    }
}

/// The passage of the request. HTTP/2 writes more than that: its preface before, acknowledgements after. The request went
/// out with the last write before anything came back.
fn request(passages: &[Passage]) -> Option<&Passage> {
    let came_back = passages.iter().position(|passage| passage.direction == Direction::In);
    let before = &passages[..came_back.unwrap_or(passages.len())];
    let is_out = |passage: &&Passage| passage.direction == Direction::Out;
    before.iter().rfind(is_out).or_else(|| passages.iter().find(is_out))
}

/// How long a TLS handshake waited for the server, in nanoseconds by the kernel's stamps: each time from the last byte out to
/// the last byte in before more went out. None without a stamp for each passage up to the last byte in.
pub(super) fn stamped_handshake(passages: &[Passage]) -> Option<i64> {
    let last_in = passages.iter().rposition(|passage| passage.direction == Direction::In)?;
    let mut stamps = passages[..=last_in]
        .iter()
        .map(|passage| Some((passage.kernel?, passage.direction)))
        .collect::<Option<Vec<_>>>()?;
    // As the network saw them: this process may write between two reads of what had come at once.
    stamps.sort_by_key(|&(at, _)| at);
    let waits = stamps.windows(2).filter(|pair| pair[1].1 == Direction::In);
    Some(waits.map(|pair| pair[1].0 - pair[0].0).sum())
}

/// How long an answer took from the request, in nanoseconds by the kernel's stamps. None without both.
pub(super) fn stamped_answer(passages: &[Passage], head: Option<Passage>) -> Option<i64> {
    Some(head?.kernel? - request(passages)?.kernel?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Phase; 7] =
        [Phase::Dns, Phase::Tcp, Phase::Proxy, Phase::Tls, Phase::Ttfb, Phase::Transfer, Phase::Local];

    fn passage(start: Instant, direction: Direction, ms: u64) -> Passage {
        let stamp = i64::try_from(ms).unwrap() * 1_000_000 - 1_000;
        Passage::new(direction, start + Duration::from_millis(ms), Some(stamp))
    }

    proptest! {
        #[test]
        fn phases_add_up_to_the_total(marks in prop::collection::vec((0..7_usize, 0..5_000_u64), 0..40)) {
            let start = crate::probe::exchange::now();
            let mut timeline = Timeline::new(start);
            for (phase, at) in marks {
                timeline.mark(ALL[phase], start + Duration::from_micros(at));
            }
            prop_assert_eq!(ALL.iter().map(|&phase| timeline.spent(phase)).sum::<Duration>(), timeline.total());
        }
    }

    #[test]
    fn the_handshake_is_waiting_and_working() {
        let start = crate::probe::exchange::now();
        let mut timeline = Timeline::new(start);
        let passages = [(Direction::Out, 1), (Direction::In, 21), (Direction::In, 22), (Direction::Out, 25)]
            .map(|(direction, ms)| passage(start, direction, ms));
        timeline.mark_handshake(&passages, start + Duration::from_millis(26));
        assert_eq!(timeline.spent(Phase::Tls), Duration::from_millis(21));
        assert_eq!(timeline.spent(Phase::Local), Duration::from_millis(5));
        assert_eq!(stamped_handshake(&passages), Some(21_000_000));
    }

    #[test]
    fn a_handshake_that_lacks_a_stamp_has_no_time_by_the_kernel() {
        let start = crate::probe::exchange::now();
        let mut passages = [(Direction::Out, 1), (Direction::In, 21), (Direction::Out, 25)]
            .map(|(direction, ms)| passage(start, direction, ms));
        // Nobody waits for what follows the last answer.
        passages[2].kernel = None;
        assert_eq!(stamped_handshake(&passages), Some(20_000_000));
        passages[0].kernel = None;
        assert_eq!(stamped_handshake(&passages), None);
    }

    #[test]
    fn what_came_before_a_write_was_waited_for_however_late_it_was_read() {
        let start = crate::probe::exchange::now();
        let mut passages =
            [(Direction::Out, 1), (Direction::In, 21), (Direction::Out, 30), (Direction::In, 31)]
                .map(|(direction, ms)| passage(start, direction, ms));
        passages[3].kernel = Some(22_000_000);
        assert_eq!(stamped_handshake(&passages), Some(21_001_000));
    }

    #[test]
    fn the_first_byte_is_waited_for_from_the_last_write_before_anything_came() {
        let start = crate::probe::exchange::now();
        let mut timeline = Timeline::new(start);
        let passages = [(Direction::Out, 1), (Direction::Out, 2), (Direction::In, 12), (Direction::Out, 13)]
            .map(|(direction, ms)| passage(start, direction, ms));
        timeline.mark_answer(Phase::Ttfb, &passages, start + Duration::from_millis(42));
        assert_eq!(timeline.spent(Phase::Local), Duration::from_millis(2));
        assert_eq!(timeline.spent(Phase::Ttfb), Duration::from_millis(40));
        let head = passage(start, Direction::In, 42);
        assert_eq!(stamped_answer(&passages, Some(head)), Some(40_000_000));
    }

    #[test]
    fn settings_that_come_before_the_request_goes_out_are_no_answer_to_it() {
        let start = crate::probe::exchange::now();
        let mut timeline = Timeline::new(start);
        let passages = [(Direction::In, 1), (Direction::Out, 2), (Direction::In, 12)]
            .map(|(direction, ms)| passage(start, direction, ms));
        timeline.mark_answer(Phase::Ttfb, &passages, start + Duration::from_millis(12));
        assert_eq!(timeline.spent(Phase::Ttfb), Duration::from_millis(10));
    }
}
