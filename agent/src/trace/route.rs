//! A path as it was found: what is shown, written as JSON, and kept when a target turned bad.

use super::{
    args::{Method, Plan},
    course::{Course, Hop},
};
use peerlight_proto::series::Clock;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, time::Duration};

/// The routers between this machine and a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Route {
    /// As it was named.
    pub(crate) target: String,
    pub(crate) address: IpAddr,
    /// None for ICMP.
    pub(crate) port: Option<u16>,
    pub(crate) method: Method,
    /// Whether the target answered.
    pub(crate) reached: bool,
    /// Whether somebody on the way says that no packet gets through.
    pub(crate) blocked: bool,
    /// How far was looked at most, and how far it came to that.
    pub(crate) max_hops: u8,
    pub(crate) asked_hops: u8,
    /// Up to the last that answered.
    pub(crate) hops: Vec<RouteHop>,
}

/// What came back from one hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RouteHop {
    /// From 1.
    pub(crate) hop: u8,
    pub(crate) sent: u32,
    pub(crate) answered: usize,
    /// Who answered, most often first.
    pub(crate) addresses: Vec<HopAddress>,
    pub(crate) latency_ms: Option<HopLatency>,
    /// The clock of most answers.
    pub(crate) clock: Option<Clock>,
    /// What was answered besides that the packet expired.
    pub(crate) says: Vec<String>,
}

/// An address that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HopAddress {
    pub(crate) address: IpAddr,
    pub(crate) answered: usize,
}

/// Times of a hop, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct HopLatency {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Route {
    pub(super) fn of(plan: &Plan, course: &Course) -> Self {
        let v6 = plan.to.is_ipv6();
        Self {
            target: plan.target.clone(),
            address: plan.to.ip(),
            port: (plan.method != Method::Icmp).then(|| plan.to.port()),
            method: plan.method,
            reached: course.reached(),
            blocked: course.blocked(),
            max_hops: plan.max_hops,
            asked_hops: course.farthest(),
            hops: course.hops().map(|(number, hop)| RouteHop::of(number, hop, v6)).collect(),
        }
    }

    /// How far it led, in a sentence.
    pub(crate) fn conclusion(&self) -> String {
        let asked = in_words(self.asked_hops);
        match self.hops.last() {
            Some(last) if self.reached => format!("The target is {} away.", in_words(last.hop)),
            Some(last) if self.blocked => format!("Hop {} lets no packet through to the target.", last.hop),
            Some(last) => {
                format!("The target did not answer within {asked}; the last that did is hop {}.", last.hop)
            }
            None => format!("Nothing answered within {asked}."),
        }
    }
}

impl RouteHop {
    fn of(number: u8, hop: &Hop, v6: bool) -> Self {
        // To the nanosecond, as it was measured.
        let ms = |time: Duration| (time.as_secs_f64() * 1e9).round() / 1e6;
        let addresses = hop.addresses().into_iter();
        Self {
            hop: number,
            sent: hop.sent,
            answered: hop.answers.len(),
            addresses: addresses.map(|(address, answered)| HopAddress { address, answered }).collect(),
            latency_ms: hop.latency().map(|[min, median, max]| HopLatency {
                min: ms(min),
                median: ms(median),
                max: ms(max),
            }),
            clock: hop.clock(),
            says: hop.kinds().into_iter().map(|kind| kind.describe(v6)).collect(),
        }
    }
}

fn in_words(hops: u8) -> String {
    if hops == 1 { "one hop".to_owned() } else { format!("{hops} hops") }
}
