//! The ways to what was probed: `--path`. Each goal is traced once, however many targets lead there.

use super::{args::Plan, render, targets::Subject};
use crate::{
    causes::with_causes,
    format::Format,
    trace::{self, PathArgs, Version},
};
use peerlight_proto::{series::Family, target::ProbeKind};
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;

const MAX_HOPS: u8 = 30;
const COUNT: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Shows the way to each target, one after the other, until an interrupt. What cannot be traced is said.
pub(super) async fn show(plan: &Plan, shutdown: &CancellationToken) {
    let goals: BTreeSet<String> = plan.subjects.iter().filter_map(goal).collect();
    for (goal, &family) in
        goals.iter().flat_map(|goal| plan.families.iter().map(move |family| (goal, family)))
    {
        if shutdown.is_cancelled() {
            break;
        }
        render::tell("");
        if let Err(error) = trace::run(path(goal, family, plan), shutdown).await {
            render::tell(&format!("no {family} path to {goal}: {}", with_causes(error.as_ref())));
        }
    }
}

/// Where a target's packets go; none if that is a DNS server, not the target.
fn goal(Subject { text, target }: &Subject) -> Option<String> {
    match &target.probe {
        ProbeKind::Icmp | ProbeKind::Tcp { .. } | ProbeKind::Udp { .. } => Some(text.clone()),
        ProbeKind::Https { port, .. } => {
            let host = target.address.as_str();
            Some(if host.contains(':') {
                format!("tcp://[{host}]:{port}")
            } else {
                format!("tcp://{host}:{port}")
            })
        }
        ProbeKind::Dns => None,
    }
}

fn path(goal: &str, family: Family, plan: &Plan) -> PathArgs {
    PathArgs {
        target: Some(goal.to_owned()),
        captured: false,
        method: None,
        max_hops: MAX_HOPS,
        count: COUNT,
        interval: PAUSE,
        timeout: PAUSE,
        family: Some(match family {
            Family::V4 => Version::V4,
            Family::V6 => Version::V6,
        }),
        source: plan.settings.source(family),
        format: Format::Table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_traced_by_tcp_and_names_are_not_traced() {
        let goals = |text: &str| -> Vec<_> { Subject::read(text).unwrap().iter().map(goal).collect() };
        assert_eq!(goals("https://h:8443/a"), [Some("tcp://h:8443".to_owned())]);
        assert_eq!(goals("https://[::1]/"), [Some("tcp://[::1]:443".to_owned())]);
        assert_eq!(goals("dns://h"), [None]);
        let all: BTreeSet<_> = goals("h").into_iter().flatten().collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["icmp://h", "tcp://h:443"]);
    }
}
