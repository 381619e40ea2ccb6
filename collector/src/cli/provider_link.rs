//! `provider link create|list|revoke`.

use super::{Format, HistoryOptions, Output, ProviderLinkCommand, output::or_dash};
use crate::{
    api::list::List,
    client::Client,
    registry::{IssuedProviderLink, NewProviderLink, ProviderLink},
    rfc3339,
};

const PATH: &str = "/api/v1/provider-links";

pub(super) async fn run(
    command: ProviderLinkCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        ProviderLinkCommand::Create { provider, note, life, format } => {
            let new = NewProviderLink { provider, note, life_s: Some(life.as_secs()) };
            let issued: IssuedProviderLink = client.post(PATH, &new).await?;
            if format == Format::Json {
                return output.json(&issued);
            }
            // The link alone, so that it can be piped into a mail.
            output.line(&issued.link)?;
            let entry = &issued.entry;
            let beside = if issued.link.starts_with('/') {
                " (a path of the operators' listener: `[alerts] url` says how that is reached)"
            } else {
                ""
            };
            output.note(&format!(
                "link {} shows the numbers of {} alone until {}; it is shown this once{beside}",
                entry.id,
                entry.provider,
                rfc3339::seconds(entry.expires)
            ))
        }
        ProviderLinkCommand::List(options) => list(options, client, output).await,
        ProviderLinkCommand::Revoke { link, options } => {
            let revoked: ProviderLink = client.delete(&format!("{PATH}/{link}"), &[]).await?;
            let sentence = format!("revoked link {link} of {}", revoked.provider);
            output.changed(options.format, &revoked, &sentence)
        }
    }
}

async fn list(options: HistoryOptions, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let list: List<ProviderLink> = client.get(PATH, &[("all", options.all.to_string())]).await?;
    if options.format == Format::Json {
        return output.json(&list.items);
    }
    let rows = list.items.iter().map(|link| {
        [
            link.id.to_string(),
            link.provider.clone(),
            link.note.clone(),
            link.created_by.clone(),
            rfc3339::seconds(link.expires),
            link.opened.to_string(),
            or_dash(link.last_opened.map(rfc3339::seconds)),
            or_dash(link.revoked.map(rfc3339::seconds)),
        ]
    });
    output.table(
        &["id", "provider", "for", "created by", "expires", "opened", "last opened", "revoked"],
        rows,
        "no links that hold; `peerlight-collector provider link create NAME` makes one",
    )
}
