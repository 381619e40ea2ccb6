//! How often one caller may ask.

use crate::config::Limits;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use peerlight_proto::id::AgentId;
use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

/// The rates of every caller heard of lately.
#[derive(Debug)]
pub struct Rates {
    agents: DefaultKeyedRateLimiter<AgentId>,
    attempts: DefaultKeyedRateLimiter<IpAddr>,
}

impl Rates {
    /// Rates within these limits.
    pub fn new(limits: &Limits) -> Self {
        // `check-config` refuses zero; should one come from code, it means the slowest rate.
        let positive = |limit| NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
        let agents =
            Quota::per_minute(positive(limits.requests_per_minute)).allow_burst(positive(limits.burst));
        let attempts = Quota::per_minute(positive(limits.attempts_per_minute));
        Self { agents: RateLimiter::keyed(agents), attempts: RateLimiter::keyed(attempts) }
    }

    /// Whether the agent may ask now; else how long it waits.
    pub fn agent(&self, agent: AgentId) -> Result<(), Duration> {
        check(&self.agents, &agent)
    }

    /// Whether the address may try a token now; else how long it waits.
    pub fn attempt(&self, address: IpAddr) -> Result<(), Duration> {
        check(&self.attempts, &network(address))
    }

    /// Forgets callers whose rate has recovered.
    pub fn forget_idle(&self) {
        self.agents.retain_recent();
        self.attempts.retain_recent();
    }
}

fn check<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Duration> {
    limiter.check_key(key).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
}

/// One site may use any address of its /64, so that is what counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_over_its_rate_does_not_slow_another() {
        let rates = Rates::new(&Limits { requests_per_minute: 1, burst: 2, ..Limits::default() });
        let (one, other) = (AgentId::new([1; 16]), AgentId::new([2; 16]));
        assert!(rates.agent(one).is_ok() && rates.agent(one).is_ok());
        assert!(rates.agent(one).unwrap_err() > Duration::from_secs(30));
        assert!(rates.agent(other).is_ok());
    }

    #[test]
    fn addresses_of_one_64_share_a_rate() {
        let rates = Rates::new(&Limits { attempts_per_minute: 1, ..Limits::default() });
        assert!(rates.attempt("2001:db8::1".parse().unwrap()).is_ok());
        assert!(rates.attempt("2001:db8::2".parse().unwrap()).is_err());
        assert!(rates.attempt("2001:db8:0:1::2".parse().unwrap()).is_ok());
    }
}
