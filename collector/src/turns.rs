//! Turns: who may push when more want to than the collector can take at once.
//!
//! After an outage every agent has a backlog, and live batches come beside it. Agents push their newest batch first, so one
//! that has not pushed for a while brings something live: it is let in as long as there is room at all. Whoever has just
//! pushed brings backlog: from when many pushes are under way, it is told to come again after the pace that all agents' backlogs
//! keep alike, which grows as long as it is crowded and falls when it is not. What is under way is bounded, and so is the
//! memory that it takes.

use crate::config::Limits;
use hashbrown::HashMap;
use peerlight_proto::id::AgentId;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How far apart one agent's pushes are at least once it was crowded: from this …
const FASTEST: Duration = Duration::from_secs(1);
/// … to this. Agents push every minute: what is live is never held up by it.
const SLOWEST: Duration = Duration::from_secs(50);
/// How often the pace changes.
const STEP: Duration = Duration::from_secs(1);
/// It is crowded from this part of the most pushes on.
const CROWDED: usize = 4;
/// When there is no room at all, agents come again after this, and their own jitter.
const NO_ROOM: Duration = Duration::from_secs(5);

/// Who pushes now, and who has.
#[derive(Debug)]
pub struct Turns {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    under_way: usize,
    pace: Duration,
    changed: Option<Instant>,
    /// When each agent was last let in.
    last: HashMap<AgentId, Instant>,
}

/// A push that was let in, until this is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

/// What is seen of it from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// How many pushes are under way.
    pub under_way: usize,
    /// How far apart the pushes of one agent's backlog are, once it was crowded.
    pub pace: Duration,
}

impl Turns {
    /// Nobody has pushed yet.
    pub fn new(limits: &Limits) -> Self {
        // `check-config` refuses zero; should one come from code, it means one.
        let most = usize::try_from(limits.pushes).unwrap_or(usize::MAX).max(1);
        let state = State { under_way: 0, pace: FASTEST, changed: None, last: HashMap::new() };
        Self { most, state: Mutex::new(state) }
    }

    /// How long an agent would be put off now; none if it would be let in. Asked before a signature is verified, so that
    /// putting off costs little, and of whatever agent the request names: nothing changes by it.
    pub fn put_off(&self, agent: AgentId, now: Instant) -> Option<Duration> {
        self.state().put_off(self.most, agent, now)
    }

    /// Lets an agent in, or says after which time it may come again.
    pub fn begin(&self, agent: AgentId, now: Instant) -> Result<Turn<'_>, Duration> {
        let mut state = self.state();
        state.keep_pace(self.most, now);
        if let Some(wait) = state.put_off(self.most, agent, now) {
            return Err(wait);
        }
        state.under_way += 1;
        state.last.insert(agent, now);
        Ok(Turn(self))
    }

    /// How crowded it is.
    pub fn crowd(&self) -> Crowd {
        let state = self.state();
        Crowd { under_way: state.under_way, pace: state.pace }
    }

    /// Forgets agents whose last push no longer counts.
    pub fn forget_idle(&self, now: Instant) {
        self.state().last.retain(|_agent, last| now.duration_since(*last) <= SLOWEST);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put_off(&self, most: usize, agent: AgentId, now: Instant) -> Option<Duration> {
        if self.under_way >= most {
            return Some(NO_ROOM);
        }
        // Whoever comes in a lull waits as the others do, else some would go on and on.
        if self.under_way < most.div_ceil(CROWDED) && self.pace <= FASTEST {
            return None;
        }
        let since = now.duration_since(*self.last.get(&agent)?);
        self.pace.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    /// Slower by half while it is crowded, faster by a fifth while it is not.
    fn keep_pace(&mut self, most: usize, now: Instant) {
        if self.changed.is_some_and(|changed| now.duration_since(changed) < STEP) {
            return;
        }
        self.changed = Some(now);
        self.pace = if self.under_way >= most.div_ceil(CROWDED) {
            self.pace.mul_f64(1.5).min(SLOWEST)
        } else {
            self.pace.mul_f64(0.8).max(FASTEST)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    fn turns(pushes: u32) -> Turns {
        Turns::new(&Limits { pushes, ..Limits::default() })
    }

    fn agent(number: u32) -> AgentId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        AgentId::new(id)
    }

    #[test]
    fn no_more_than_the_most_are_under_way_and_each_that_ends_makes_room() {
        let (turns, now) = (turns(3), Instant::now());
        let mut held: Vec<_> = (0..3).map(|number| turns.begin(agent(number), now).unwrap()).collect();
        assert_eq!(turns.begin(agent(9), now).unwrap_err(), NO_ROOM);
        assert_eq!(turns.put_off(agent(9), now), Some(NO_ROOM));
        drop(held.pop());
        assert!(turns.begin(agent(9), now).is_ok());
    }

    #[test]
    fn while_it_is_crowded_whoever_has_just_pushed_waits_and_whoever_has_not_does_not() {
        let (turns, now) = (turns(8), Instant::now());
        let held: Vec<_> = (0..2).map(|number| turns.begin(agent(number), now).unwrap()).collect();
        let wait = turns.begin(agent(0), now).unwrap_err();
        assert!(wait <= SLOWEST && wait >= FASTEST / 2, "{wait:?}");
        let live = turns.begin(agent(7), now).unwrap();
        assert!(turns.begin(agent(0), now + SLOWEST).is_ok(), "the next minute's batch");
        drop((held, live));
        let lull = now + SLOWEST + Duration::from_secs(20);
        (1..20).for_each(|second| turns.state().keep_pace(8, now + SLOWEST + Duration::from_secs(second)));
        drop(turns.begin(agent(0), lull).unwrap());
        assert!(turns.begin(agent(0), lull).is_ok(), "nobody else has wanted to for a while");
    }

    #[test]
    fn agents_that_have_been_quiet_are_forgotten() {
        let (turns, now) = (turns(8), Instant::now());
        drop(turns.begin(agent(1), now).unwrap());
        turns.forget_idle(now + SLOWEST * 2);
        assert!(turns.state().last.is_empty());
    }

    /// A day after an outage in small: every agent has a backlog and a live batch each minute, and the collector is slower
    /// than all of them together.
    #[test]
    fn a_flood_is_absorbed_fairly_with_live_batches_first() {
        const AGENTS: u32 = 400;
        const BACKLOG: u32 = 20;
        const MINUTE: u64 = 60_000;
        let (turns, begin) = (turns(32), Instant::now());
        let mut random = StdRng::seed_from_u64(5);
        let mut backlog = [BACKLOG; AGENTS as usize];
        let mut live_due: Vec<u64> = (0..AGENTS).map(|_| random.random_range(0..MINUTE)).collect();
        let mut next_try: Vec<u64> = (0..AGENTS).map(|_| random.random_range(0..1_000)).collect();
        let mut open: Vec<(u64, Turn<'_>)> = Vec::new();
        let (mut latest_live, mut halfway) = (0, None);
        for ms in (0..).step_by(10) {
            // Eight pushes end each 100 ms: 80 a second, a fourth of what could come.
            open.retain(|(end, _turn)| *end > ms);
            for number in 0..AGENTS as usize {
                let live = live_due[number] <= ms;
                if next_try[number] > ms || (backlog[number] == 0 && !live) {
                    continue;
                }
                match turns.begin(agent(u32::try_from(number).unwrap()), begin + Duration::from_millis(ms)) {
                    Ok(turn) => {
                        open.push((ms + 50 + open.len() as u64 * 12, turn));
                        if live {
                            latest_live = latest_live.max(ms - live_due[number]);
                            live_due[number] += MINUTE;
                        } else {
                            backlog[number] -= 1;
                        }
                        next_try[number] = ms + 100;
                    }
                    Err(wait) => {
                        let wait = u64::try_from(wait.as_millis()).unwrap();
                        next_try[number] = ms + wait + random.random_range(0..=wait / 4);
                    }
                }
                assert!(open.len() <= 32);
            }
            let left: u32 = backlog.iter().sum();
            if halfway.is_none() && left <= AGENTS * BACKLOG / 2 {
                halfway = Some(backlog);
            }
            if left == 0 {
                break;
            }
            assert!(ms < 3_600_000, "{left} batches were not absorbed within an hour");
        }
        let halfway = halfway.unwrap();
        let mut done: Vec<u32> = halfway.iter().map(|left| BACKLOG - left).collect();
        done.sort_unstable();
        assert!(done[AGENTS as usize / 20] * 3 >= done[AGENTS as usize * 19 / 20], "5 % and 95 %: {done:?}");
        assert!(latest_live <= MINUTE, "a live batch waited for {latest_live} ms");
    }
}
