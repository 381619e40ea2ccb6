//! The system's own choice, asked for each host: what is set for this account or machine, where PAC files and WPAD are run
//! by the system and never within the agent. Answers are kept for ten minutes.

#[cfg(any(windows, test))]
mod choice;
#[cfg(not(windows))]
mod portable;
#[cfg(windows)]
mod windows;

use super::Proxy;
#[cfg(not(windows))]
use portable as platform;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
#[cfg(windows)]
use windows as platform;

/// For how long an answer is believed without asking again.
const FRESH: Duration = Duration::from_mins(10);
/// How many answers are kept. Agents have some hundred targets at most.
const MAX_KEPT: usize = 4_096;

/// What the system says of a host and port: a proxy, or none where it is reached directly.
type Ask = dyn Fn(&str, u16) -> Option<Proxy> + Send + Sync;

/// The system's choice. A cheap handle; clones share what was answered.
#[derive(Clone)]
pub struct SystemProxies(Arc<Memory>);

struct Memory {
    ask: Box<Ask>,
    answers: Mutex<BTreeMap<(String, u16), Answer>>,
}

struct Answer {
    proxy: Option<Arc<Proxy>>,
    asked: Instant,
    /// Somebody asks again.
    renewed: bool,
}

impl SystemProxies {
    /// That of the system this runs on; none where a system has no such choice.
    pub fn open() -> Option<Self> {
        platform::ASK.map(Self::asking)
    }

    fn asking(ask: impl Fn(&str, u16) -> Option<Proxy> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Memory { ask: Box::new(ask), answers: Mutex::default() }))
    }

    /// The proxy in front of `host`. The first question for a host waits for the system, which may take the seconds in which
    /// a PAC file is fetched; later ones get the last answer at once, and one that is no longer fresh is asked for again
    /// meanwhile.
    pub(super) fn of(&self, host: &str, port: u16) -> Option<Arc<Proxy>> {
        let key = (host.to_owned(), port);
        let now = Instant::now();
        let known = self.0.answers().get_mut(&key).map(|answer| {
            let renew = !answer.renewed && now.duration_since(answer.asked) >= FRESH;
            answer.renewed |= renew;
            (answer.proxy.clone(), renew)
        });
        match known {
            None => self.0.ask(key),
            Some((proxy, false)) => proxy,
            Some((proxy, true)) => {
                let memory = Arc::clone(&self.0);
                std::thread::spawn(move || memory.ask(key));
                proxy
            }
        }
    }
}

impl Memory {
    fn ask(&self, key: (String, u16)) -> Option<Arc<Proxy>> {
        let proxy = (self.ask)(&key.0, key.1).map(Arc::new);
        let mut answers = self.answers();
        if answers.len() >= MAX_KEPT {
            answers.clear();
        }
        answers.insert(key, Answer { proxy: proxy.clone(), asked: Instant::now(), renewed: false });
        proxy
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<(String, u16), Answer>> {
        // Answers are replaced as a whole: whoever panicked left none half written.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SystemProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemProxies")
    }
}

impl PartialEq for SystemProxies {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SystemProxies {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn the_system_is_asked_once_in_ten_minutes_and_nobody_waits_but_the_first() {
        let (asked, questions) = mpsc::channel();
        let proxies = SystemProxies::asking(move |host, port| {
            asked.send((host.to_owned(), port)).unwrap();
            (host != "near.test").then(|| "p.test:3128".parse().unwrap())
        });
        let of = |host| proxies.of(host, 443).map(|proxy| proxy.to_string());
        for _ in 0..3 {
            assert_eq!(of("far.test").as_deref(), Some("p.test:3128"));
            assert_eq!(of("near.test"), None);
        }
        let asked: Vec<_> = questions.try_iter().map(|(host, _)| host).collect();
        assert_eq!(asked, ["far.test", "near.test"]);
        tokio::time::advance(FRESH).await;
        for _ in 0..3 {
            assert_eq!(of("far.test").as_deref(), Some("p.test:3128"));
        }
        // The thread that asks again may still be under way; it asks once.
        assert_eq!(questions.recv().unwrap(), ("far.test".to_owned(), 443));
        assert!(questions.try_recv().is_err());
    }
}
