//! `target add|list|remove`.

use super::{Format, Output, TargetArgs, TargetCommand, output::or_dash, target_sets};
use crate::{
    api::list::List,
    client::Client,
    registry::{NewTarget, TargetEntry},
};
use anyhow::Context as _;
use peerlight_proto::{ceilings, duration};
use std::{collections::BTreeSet, time::Duration};
pub(super) use target_sets::share_permille;

const PATH: &str = "/api/v1/targets";

pub(super) async fn run(
    command: TargetCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        TargetCommand::Add(args) => {
            let format = args.options.format;
            let added: List<TargetEntry> = client.post(PATH, &new(args)?).await?;
            let sentence = |entry: &TargetEntry| {
                format!("assigned {} of {} (target {})", entry.probe, entry.address, entry.id)
            };
            let sentences: Vec<String> = added.items.iter().map(sentence).collect();
            output.changed(format, &added.items, &sentences.join("\n"))?;
            let warnings: BTreeSet<String> = added.items.iter().flat_map(warnings).collect();
            warnings.iter().try_for_each(|warning| output.note(&format!("warning: {warning}")))
        }
        TargetCommand::Sets(options) => target_sets::list(options, client, output).await,
        TargetCommand::RollOut { share, options } => {
            target_sets::roll_out(share, options, client, output).await
        }
        TargetCommand::RollBack { to, options } => target_sets::roll_back(to, options, client, output).await,
        TargetCommand::List(options) => {
            let mut query = vec![("staged", options.staged.to_string())];
            query.extend(options.set.map(|set| ("set", set.to_string())));
            let list: List<TargetEntry> = client.get(PATH, &query).await?;
            if options.format == Format::Json {
                return output.json(&list.items);
            }
            let rows = list.items.iter().map(|entry| {
                let interval = entry.interval_ms.map(|interval| Duration::from_millis(interval.into()));
                [
                    entry.id.to_string(),
                    entry.name.clone(),
                    entry.service.clone(),
                    entry.address.to_string(),
                    entry.probe.to_string(),
                    or_dash(interval.map(duration::text)),
                    or_dash(entry.provider.as_ref()),
                    or_dash(entry.location.as_ref()),
                    or_dash(entry.tag.as_ref()),
                ]
            });
            output.table(
                &["id", "name", "service", "address", "probe", "interval", "provider", "location", "tag"],
                rows,
                "no targets are assigned; agents measure what they are configured to, or Microsoft's front doors",
            )
        }
        TargetCommand::Remove { target, staged, options } => {
            let query = [("staged", staged.to_string())];
            let removed: TargetEntry = client.delete(&format!("{PATH}/{target}"), &query).await?;
            let sentence = format!("removed {} of {} (target {target})", removed.probe, removed.address);
            output.changed(options.format, &removed, &sentence)
        }
    }
}

/// What makes agents refuse all that they are assigned together with this, unless their own machine permits it (rules, §9).
fn warnings(entry: &TargetEntry) -> Vec<String> {
    const PERMIT: &str =
        "only `[limits] allow` on an agent's machine permits more, in the networks that it names";
    let TargetEntry { address, probe, .. } = entry;
    if address.ip().is_some_and(|ip| !ceilings::is_public_unicast(ip)) {
        return vec![format!(
            "agents refuse a target set with {address}, which is not public unicast; {PERMIT}"
        )];
    }
    let mut warnings = Vec::new();
    if let Some(port) = probe.port().filter(|port| !ceilings::permits_port(*port)) {
        let ports = ceilings::PORTS_TEXT;
        warnings.push(format!(
            "agents refuse a target set with {probe} of {address}: port {port} is none of {ports}; {PERMIT}"
        ));
    }
    let shortest = ceilings::shortest_interval(probe);
    if let Some(interval) = entry.interval_ms.map(|ms| Duration::from_millis(ms.into()))
        && interval < shortest
    {
        let (interval, shortest) = (duration::text(interval), duration::text(shortest));
        let refused = format!(
            "agents refuse a target set with {probe} of {address} every {interval}: {shortest} is the shortest"
        );
        // Where an assigned name leads, agents take to be public.
        warnings.push(if address.ip().is_some() { format!("{refused}; {PERMIT}") } else { refused });
    }
    warnings
}

fn new(args: TargetArgs) -> anyhow::Result<NewTarget> {
    let interval_ms = args
        .interval
        .map(|interval| u32::try_from(interval.as_millis()))
        .transpose()
        .context("the interval is longer than an hour")?;
    Ok(NewTarget {
        name: args.name,
        service: args.service,
        address: args.address,
        probes: args.probe,
        interval_ms,
        provider: args.provider,
        location: args.location,
        tag: args.tag,
        staged: args.staged,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerlight_proto::{id::TargetId, time::Timestamp};

    fn warned(address: &str, probe: &str, interval_ms: Option<u32>) -> String {
        let entry = TargetEntry {
            id: 1,
            target_id: TargetId::new([0; 16]),
            name: "x".to_owned(),
            service: String::new(),
            address: address.parse().unwrap(),
            probe: probe.parse().unwrap(),
            interval_ms,
            provider: None,
            location: None,
            tag: None,
            created: Timestamp::from_secs(0),
        };
        warnings(&entry).join("\n")
    }

    #[test]
    fn what_agents_take_is_not_warned_of() {
        for (address, probe, interval_ms) in [
            ("outlook.office365.com", "https", Some(30_000)),
            ("outlook.office365.com", "dns", None),
            ("13.107.6.152", "tcp:443", Some(1_000)),
            ("worldaz.tr.teams.microsoft.com", "udp:3478", None),
        ] {
            assert_eq!(warned(address, probe, interval_ms), "");
        }
    }

    #[test]
    fn what_agents_refuse_is_said_with_what_would_permit_it() {
        let all = [
            warned("10.1.2.3", "tcp:8443", Some(100)),
            warned("fe80::1", "icmp", None),
            warned("portal.azure.com", "https:8443/", Some(10_000)),
            warned("13.107.6.152", "icmp", Some(100)),
        ];
        insta::assert_snapshot!(all.join("\n"));
    }
}
