//! `provider add|list|end|directory|link`.

use super::{
    Format, HistoryOptions, ListOptions, Output, ProviderArgs, ProviderCommand,
    output::{listed, or_dash},
    provider_link,
};
use crate::{
    api::list::List,
    client::Client,
    registry::{self, NewProvider, Provider},
    rfc3339,
};
use anyhow::{Context as _, anyhow};

const PATH: &str = "/api/v1/providers";

pub(super) async fn run(
    command: ProviderCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        ProviderCommand::Add(args) => {
            let format = args.options.format;
            let provider: Provider = client.post(PATH, &new(args)?).await?;
            let sentence = format!("added {} (provider {})", provider.name, provider.id);
            output.changed(format, &provider, &sentence)
        }
        ProviderCommand::List(options) => list(options, client, output).await,
        ProviderCommand::End { provider, options } => {
            let id = number(&provider, client).await?;
            let ended: Provider = client.delete(&format!("{PATH}/{id}"), &[]).await?;
            output.changed(options.format, &ended, &format!("ended {} (provider {id})", ended.name))
        }
        ProviderCommand::Directory(options) => directory(options, output),
        ProviderCommand::Link(command) => provider_link::run(command, client, output).await,
    }
}

/// Lists Microsoft's published partners.
pub(super) fn directory(options: ListOptions, output: &mut Output<'_>) -> anyhow::Result<()> {
    let entries = registry::directory();
    if options.format == Format::Json {
        return output.json(&entries);
    }
    let rows = entries.iter().map(|entry| {
        let place = if entry.countries.is_empty() {
            or_dash(entry.region.as_ref())
        } else {
            listed(&entry.countries)
        };
        let peering = entry
            .peering
            .as_ref()
            .map(|peering| format!("{} ({})", peering.cities.join(", "), peering.listed));
        [
            entry.name.clone(),
            entry.kind.to_string(),
            entry.listed.clone(),
            place,
            or_dash(peering),
            listed(&entry.aliases),
        ]
    });
    output.table(&["name", "kind", "listed", "for", "peering", "aliases"], rows, "the directory is empty")
}

fn new(args: ProviderArgs) -> anyhow::Result<NewProvider> {
    if let Some(name) = args.from_directory {
        return registry::directory_entry(&name)
            .map(registry::DirectoryEntry::to_provider)
            .map_err(|error| anyhow!(error));
    }
    Ok(NewProvider {
        name: args.name.context("a provider needs a name")?,
        kind: args.kind,
        countries: args.country,
        aliases: args.alias,
        asns: args.asn,
        source: None,
    })
}

async fn list(options: HistoryOptions, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let list: List<Provider> = client.get(PATH, &[("all", options.all.to_string())]).await?;
    if options.format == Format::Json {
        return output.json(&list.items);
    }
    let rows = list.items.iter().map(|provider| {
        [
            provider.id.to_string(),
            provider.name.clone(),
            provider.kind.to_string(),
            listed(&provider.countries),
            listed(&provider.asns),
            listed(&provider.aliases),
            or_dash(provider.source.as_ref()),
            or_dash(provider.ended.map(rfc3339::seconds)),
        ]
    });
    output.table(
        &["id", "name", "kind", "countries", "AS", "aliases", "source", "ended"],
        rows,
        "no providers yet; `peerlight-collector provider add` adds one, `provider directory` lists Microsoft's partners",
    )
}

/// The number of a provider that is named or numbered.
async fn number(provider: &str, client: &Client) -> anyhow::Result<i64> {
    if let Ok(id) = provider.parse() {
        return Ok(id);
    }
    let list: List<Provider> = client.get(PATH, &[]).await?;
    list.items.iter().find(|known| known.is_called(provider)).map(|known| known.id).with_context(|| {
        format!("there is no provider `{provider}`; `peerlight-collector provider list` lists them")
    })
}
