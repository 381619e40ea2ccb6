//! What the registry's operations take where it holds a fleet: 100,000 registrations of 12 providers in 30 states, each
//! with a prefix of either family and an enrolled agent. Every answer is checked.
//!
//! `cargo bench --bench registry`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table, and its progress beside it"
)]
#![expect(clippy::disallowed_methods, reason = "a benchmark takes the time")]
#![expect(clippy::cast_precision_loss, reason = "counts and times stay far below 2^53")]

mod fleet;
mod stopwatch;

use anyhow::{Context as _, ensure};
use clap::Parser;
use fleet::{NOW, ORGANISATION, SOURCE, agent, registration, request, token, v4, v6};
use peerlight_collector::{
    api::reports::Snapshot,
    registry::{
        AgentHealth, AgentPlace, AgentQuery, BatchSighting, NewRegistration, Operator, RegistrationId,
        RegistrationIndex, Registry, Sight, Sighting,
    },
    report::{Groups, Question},
    store::Presences,
};
use peerlight_proto::{id::SessionId, time::Timestamp};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::BTreeSet,
    hint::black_box,
    net::IpAddr,
    time::{Duration, Instant},
};
use stopwatch::Stopwatch;

/// Measures the registry where it is large.
#[derive(Debug, Parser)]
#[command(name = "registry")]
struct Arguments {
    /// How many sites it holds, each with a registration and an agent.
    #[arg(long, default_value_t = 100_000)]
    registrations: u32,
    /// How often each operation is done.
    #[arg(long, default_value_t = 500)]
    repeat: u32,
    /// Where its file goes; a temporary directory unless told.
    #[arg(long)]
    directory: Option<std::path::PathBuf>,
    /// Given by `cargo bench`, without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// So many sightings are noted at once.
const GROUP: u32 = 1_000;

/// The registry, and what is asked of it.
struct Bench {
    registry: Registry,
    sites: u32,
    repeat: u32,
    random: StdRng,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let directory = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    eprintln!("… {} registrations, tokens and agents are made", arguments.registrations);
    let path = fleet::make(directory.path(), arguments.registrations)?;
    let opened = Instant::now();
    let registry = Registry::open(&path)?;
    println!(
        "{} registrations and agents; opened in {:.0} ms; load average {}\n",
        arguments.registrations,
        opened.elapsed().as_secs_f64() * 1e3,
        std::fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default()
    );
    let mut bench = Bench {
        registry,
        sites: arguments.registrations,
        repeat: arguments.repeat,
        random: StdRng::seed_from_u64(1),
    };
    Stopwatch::header();
    bench.changes()?;
    bench.agents()?;
    bench.lists()?;
    bench.reports()?;
    bench.longest_match()
}

impl Bench {
    /// One of the sites.
    fn any(&mut self) -> u32 {
        self.random.random_range(0..self.sites)
    }

    /// What operators and new agents change.
    fn changes(&mut self) -> anyhow::Result<()> {
        let local = Operator::local();
        let (mut add, mut refuse) = (Stopwatch::default(), Stopwatch::default());
        let (mut create, mut enrol, mut end) =
            (Stopwatch::default(), Stopwatch::default(), Stopwatch::default());
        for number in self.sites..self.sites + self.repeat {
            let new = registration(number);
            let added = add.time(|| self.registry.add_registration(&new, &local, NOW))?;
            let taken = NewRegistration { site: format!("another {number}"), ..registration(self.any()) };
            ensure!(refuse.time(|| self.registry.check_registration(&taken, &local, NOW)).is_err());
            let secret = create.time(|| token(&self.registry, added.id))?;
            let request = request(secret, number);
            let enrolled = enrol.time(|| self.registry.enrol(&request, SOURCE, NOW))?;
            ensure!(enrolled == added);
        }
        let later = NOW.plus(Duration::from_hours(1));
        for number in self.sites..self.sites + self.repeat {
            let id = RegistrationId(i64::from(number) + 1);
            let ended = end.time(|| self.registry.end_registration(id, later, &local, NOW))?;
            ensure!(ended.valid_to == Some(later));
        }
        add.print("add a registration");
        refuse.print("check one whose prefixes are taken");
        end.print("end a registration");
        create.print("create a token");
        enrol.print("enrol an agent");
        Ok(())
    }

    /// What agents ask, and what is kept of them.
    fn agents(&mut self) -> anyhow::Result<()> {
        let (mut caller, mut assignment) = (Stopwatch::default(), Stopwatch::default());
        for _ in 0..self.repeat {
            let number = self.any();
            let found = caller.time(|| self.registry.caller(agent(number), NOW))?.context("no such agent")?;
            ensure!(found.registration.site == registration(number).site);
            assignment.time(|| self.registry.assignment(agent(number), NOW))?;
        }
        let (mut note, mut revoke) = (Stopwatch::default(), Stopwatch::default());
        for turn in 0..self.repeat.div_ceil(10) {
            let at = NOW.plus(Duration::from_mins(u64::from(turn) + 1));
            for offset in 0..GROUP {
                let number = (turn * GROUP + offset) * 7 % self.sites;
                self.registry.sighting(agent(number), sighting(number, at));
            }
            note.time(|| self.registry.note_sightings())?;
        }
        for number in (0..self.sites).step_by(7).take(self.repeat as usize) {
            let revoked =
                revoke.time(|| self.registry.revoke_agent(agent(number), &Operator::local(), NOW))?;
            ensure!(revoked.revoked.is_some());
        }
        caller.print("look a caller up");
        assignment.print("assignment of an agent");
        note.print_each("note a sighting (of groups of 1,000)", GROUP);
        revoke.print("revoke an agent");
        Ok(())
    }

    /// What operators look at.
    fn lists(&mut self) -> anyhow::Result<()> {
        let [mut site, mut page, mut agents, mut count, mut audit] = <[Stopwatch; 5]>::default();
        for _ in 0..self.repeat.div_ceil(5) {
            let number = self.any();
            let wanted = registration(number).site.to_uppercase();
            let found = site.time(|| self.registry.registrations_of_site(ORGANISATION, &wanted));
            ensure!(found.len() == 1);
            let after = RegistrationId(i64::from(number));
            let listed: Vec<_> = page.time(|| {
                let all = self.registry.registrations(ORGANISATION);
                all.after(Some(after)).take(100).cloned().collect()
            });
            ensure!(listed[0].id.0 == after.0 + 1);
            let place = AgentPlace { site: registration(number).site, agent: agent(number) };
            let query = AgentQuery { revoked: true, after: Some(place), limit: Some(100) };
            let listed = agents.time(|| self.registry.list_agents(ORGANISATION, &query, NOW))?;
            ensure!(listed.first().is_none_or(|first| first.site == registration(number + 1).site));
            count.time(|| self.registry.count_agents(ORGANISATION, false))?;
            let changes = audit.time(|| self.registry.audit(ORGANISATION, 100))?;
            ensure!(changes.len() == 100);
        }
        site.print("registrations of a site");
        page.print("a page of 100 registrations");
        agents.print("a page of 100 agents");
        count.print("how many agents there are");
        audit.print("a page of 100 changes");
        Ok(())
    }

    /// What a report asks of the registry.
    fn reports(&mut self) -> anyhow::Result<()> {
        let [mut take, mut all, mut filtered] = <[Stopwatch; 3]>::default();
        let (sight, nothing) = (Sight::whole(ORGANISATION), Presences::default());
        for _ in 0..self.repeat.div_ceil(10) {
            let snapshot = take.time(|| Snapshot::take(&self.registry, &sight, NOW))?;
            let question = Question::new(ORGANISATION, NOW);
            all.time(|| {
                black_box(question.unknown_names(&snapshot.registrations, &nothing));
                black_box(question.query(&snapshot.registrations));
                black_box(Groups::new(question.clone(), snapshot.registrations.clone(), &nothing));
            });
            let question = Question { providers: BTreeSet::from(["Provider 07".to_owned()]), ..question };
            let chosen = filtered.time(|| question.query(&snapshot.registrations).registrations);
            ensure!(chosen.is_some_and(|ids| ids.len() >= self.sites as usize / 12));
        }
        take.print("what a report asks of the registry");
        all.print("    and groups by it, of all registrations");
        filtered.print("    choosing those of a provider");
        Ok(())
    }

    /// Whose an address is.
    fn longest_match(&mut self) -> anyhow::Result<()> {
        let asked: Vec<(u32, IpAddr)> = (0..300_000)
            .map(|turn| {
                let number = self.any();
                let host = self.random.random::<u8>();
                let address =
                    if turn % 2 == 0 { v4(number, host).into() } else { v6(number, host.into()).into() };
                (number, address)
            })
            .collect();
        let snapshot = self.registry.registrations(ORGANISATION);
        let index: RegistrationIndex = snapshot.iter().cloned().collect();
        let begun = stopwatch::thread_cpu();
        let found = asked.iter().filter(|(number, address)| {
            index.owner(*address, NOW).is_some_and(|(_, id)| id.0 == i64::from(*number) + 1)
        });
        ensure!(found.count() == asked.len(), "an address was given to another registration");
        let owner = stopwatch::thread_cpu().saturating_sub(begun);
        let begun = stopwatch::thread_cpu();
        let found = asked.iter().filter(|(number, address)| {
            let entry = snapshot.get(RegistrationId(i64::from(*number) + 1));
            entry.is_some_and(|entry| entry.longest_prefix(*address).is_some())
        });
        ensure!(found.count() == asked.len(), "an address is off the prefixes of its registration");
        let own = stopwatch::thread_cpu().saturating_sub(begun);
        let each = |spent: Duration| spent.as_secs_f64() * 1e9 / asked.len() as f64;
        println!();
        Stopwatch::print_nanoseconds("longest match among all registrations", each(owner));
        Stopwatch::print_nanoseconds("an agent's own prefix, found by its registration's number", each(own));
        Ok(())
    }
}

/// A push of an agent.
fn sighting(number: u32, at: Timestamp) -> Sighting {
    let batch = BatchSighting {
        session: SessionId::new(*agent(number).as_bytes()),
        span: Some((at.minus(Duration::from_mins(1)), at)),
        interval: Duration::from_mins(1),
        created: at,
        clock_offset_us: Some(10),
        version: "0.1.0".to_owned(),
        health: AgentHealth::default(),
    };
    Sighting { at, address: Some(v4(number, 1).into()), batch: Some(batch) }
}
