//! The course of a trace: which packets to send next, and what came back from each hop. Pure.

use super::answer::{Answer, AnswerKind};
use peerlight_proto::series::Clock;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// How many hops are asked at once while the target's distance is unknown: more would send many packets beyond a near
/// target, fewer would wait long where hops are silent.
const WAVE: u8 = 8;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// Its time to live, from 1.
    pub(super) hop: u8,
    /// From 0.
    pub(super) round: u32,
}

/// What came back so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Course {
    max_hops: u8,
    count: u32,
    round: u32,
    /// The first hop that the first round has not asked.
    next_hop: u8,
    /// The nearest hop beyond which no packet gets.
    end: Option<u8>,
    hops: BTreeMap<u8, Hop>,
}

/// What came back from one hop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// How many packets were to end there.
    pub(super) sent: u32,
    pub(super) answers: Vec<Answer>,
}

impl Course {
    /// Asks each of at most `max_hops` hops `count` times.
    pub(super) fn new(max_hops: u8, count: u32) -> Self {
        Self { max_hops, count, round: 0, next_hop: 1, end: None, hops: BTreeMap::new() }
    }

    /// The packets to send now, those of hop 1 first in each round; none when the course is run. In the first round
    /// hops are asked a few at a time, in those that follow at once.
    pub(super) fn next_wave(&mut self) -> Option<Vec<Turn>> {
        let first = self.next_hop;
        let hops = if first <= self.last_hop() {
            first..=first.saturating_add(WAVE - 1).min(self.max_hops)
        } else {
            self.round += 1;
            1..=self.last_hop()
        };
        self.next_hop = self.next_hop.max(hops.end().saturating_add(1));
        let round = self.round;
        (round < self.count).then(|| hops.map(|hop| Turn { hop, round }).collect())
    }

    /// A packet was sent.
    pub(super) fn sent(&mut self, turn: Turn) {
        self.hops.entry(turn.hop).or_default().sent += 1;
    }

    /// It was answered.
    pub(super) fn answered(&mut self, turn: Turn, answer: Answer) {
        if answer.kind != AnswerKind::Expired {
            self.end = Some(self.end.map_or(turn.hop, |end| end.min(turn.hop)));
        }
        self.hops.entry(turn.hop).or_default().answers.push(answer);
    }

    /// Whether an answer to this packet can still tell anything.
    pub(super) fn wants(&self, turn: Turn) -> bool {
        turn.hop <= self.last_hop()
    }

    /// The last hop that matters.
    pub(super) fn last_hop(&self) -> u8 {
        self.end.unwrap_or(self.max_hops)
    }

    /// Whether the target answered.
    pub(super) fn reached(&self) -> bool {
        let end = self.end.and_then(|end| self.hops.get(&end));
        end.is_some_and(|hop| hop.answers.iter().any(|answer| answer.kind.is_target()))
    }

    /// Whether somebody on the way lets no packet through.
    pub(super) fn blocked(&self) -> bool {
        self.end.is_some() && !self.reached()
    }

    /// The farthest hop that was asked; an interrupt may come before that is the last.
    pub(super) fn farthest(&self) -> u8 {
        self.hops.keys().next_back().copied().unwrap_or(0)
    }

    /// The hops in order, up to the last that answered.
    pub(super) fn hops(&self) -> impl Iterator<Item = (u8, &Hop)> {
        let answered = |(_, hop): &(&u8, &Hop)| !hop.answers.is_empty();
        let last = self.hops.range(..=self.last_hop()).rev().find(answered).map_or(0, |(&number, _)| number);
        self.hops.range(..=last).map(|(&number, hop)| (number, hop))
    }
}

impl Hop {
    /// Who answered, with how often, most often first.
    pub(super) fn addresses(&self) -> Vec<(IpAddr, usize)> {
        let mut counts = BTreeMap::<IpAddr, usize>::new();
        for answer in &self.answers {
            *counts.entry(answer.from).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        counts
    }

    /// The least, the median (nearest rank) and the greatest time.
    pub(super) fn latency(&self) -> Option<[Duration; 3]> {
        let mut times: Vec<Duration> = self.answers.iter().map(|answer| answer.latency).collect();
        times.sort_unstable();
        Some([*times.first()?, *times.get((times.len() - 1) / 2)?, *times.last()?])
    }

    /// The clock of most answers.
    pub(super) fn clock(&self) -> Option<Clock> {
        let mut counts = BTreeMap::<Clock, usize>::new();
        for answer in &self.answers {
            *counts.entry(answer.clock).or_default() += 1;
        }
        counts.into_iter().max_by_key(|&(_, count)| count).map(|(clock, _)| clock)
    }

    /// What was answered, each once.
    pub(super) fn kinds(&self) -> Vec<AnswerKind> {
        let mut kinds: Vec<_> = self.answers.iter().map(|answer| answer.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

#[cfg(test)]
pub(super) mod tests;
