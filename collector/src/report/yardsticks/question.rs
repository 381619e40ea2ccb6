//! What is asked of yardsticks: what every report is asked but the metric, by site and target; and which targets they are for.

use crate::{
    organisation::OrganisationId,
    report::{Dimension, Question, question::start_of_minute},
};
use ipnet::Ipv4Net;
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::{net::Ipv4Addr, time::Duration};

/// The span of a question that names none: Microsoft's own.
pub const DEFAULT_LAST: Duration = Duration::from_hours(3 * 24);
const DEFAULT_BY: [Dimension; 3] = [Dimension::Site, Dimension::Provider, Dimension::Location];
const METRICS: [Metric; 3] = [Metric::IcmpRtt, Metric::TcpConnect, Metric::UdpRtt];
/// The parameters that a question may have.
const PARAMETERS: [&str; 8] = ["last", "from", "to", "by", "provider", "location", "site", "target"];
/// Exchange Online's front door.
const EXCHANGE: [&str; 3] = ["outlook.office365.com", "outlook.office.com", "outlook.cloud.microsoft"];
/// The relays of Teams, and the test address among them.
const TEAMS_RELAYS: &str = ".tr.teams.microsoft.com";
/// Where Teams' media goes (Microsoft 365 endpoints, id 11).
const TEAMS_MEDIA: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(13, 107, 64, 0), 18),
    (Ipv4Addr::new(52, 112, 0, 0), 14),
    (Ipv4Addr::new(52, 122, 0, 0), 15),
];

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct YardsticksQuestion {
    question: Question,
}

impl YardsticksQuestion {
    /// Reads the parameters of a URL: what can be understood of them, and everything that is wrong with them.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let (mut question, errors, given) = Question::read_some(&PARAMETERS, parameters, organisation, now);
        if !given.contains("by") {
            question.by = DEFAULT_BY.to_vec();
        }
        if !question.by.contains(&Dimension::Target) {
            question.by.push(Dimension::Target);
        }
        if !given.contains("last") && !given.contains("from") {
            question.last = Some(DEFAULT_LAST);
            question.from = start_of_minute(question.to.minus(DEFAULT_LAST));
        }
        question.metrics = METRICS.into();
        (Self { question }, errors)
    }

    /// The question of the report of latency that answers it.
    pub fn into_question(self) -> Question {
        self.question
    }
}

pub(super) fn is_exchange(address: &str) -> bool {
    EXCHANGE.contains(&address)
}

pub(super) fn is_teams_relay(address: &str) -> bool {
    let media = |address: Ipv4Addr| {
        TEAMS_MEDIA
            .iter()
            .any(|(network, length)| Ipv4Net::new(*network, *length).is_ok_and(|net| net.contains(&address)))
    };
    address.ends_with(TEAMS_RELAYS) || address.parse::<Ipv4Addr>().is_ok_and(media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_known_by_their_addresses() {
        assert!(is_exchange("outlook.office365.com") && !is_exchange("outlook.office365.com.example"));
        assert!(is_teams_relay("world.tr.teams.microsoft.com") && !is_teams_relay("teams.microsoft.com"));
        assert!(
            is_teams_relay("13.107.64.2") && is_teams_relay("52.123.0.1") && !is_teams_relay("13.107.128.1")
        );
    }

    #[test]
    fn nothing_asks_for_three_days_by_site_and_target() {
        let now = Timestamp::from_secs(1_790_000_000);
        let read = |pairs: &[(&'static str, &'static str)]| {
            let (asked, errors) = YardsticksQuestion::read(pairs.to_vec(), OrganisationId::DEFAULT, now);
            (asked.into_question(), errors)
        };
        let (question, errors) = read(&[]);
        assert_eq!((errors.len(), now.since(question.from).as_secs() / 86_400), (0, 3));
        assert_eq!(question.by, [&DEFAULT_BY[..], &[Dimension::Target]].concat());
        assert_eq!(read(&[("by", "provider")]).0.by, [Dimension::Provider, Dimension::Target]);
        assert!(read(&[("metric", "icmp.rtt")]).1[0].contains("`metric` is not a parameter"));
    }
}
