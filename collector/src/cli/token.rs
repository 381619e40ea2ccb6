//! `token create|list|revoke`.

use super::{
    Format, HistoryOptions, Output, TokenArgs, TokenCommand,
    output::{listed, or_dash},
    registration,
};
use crate::{
    client::Client,
    registry::{IssuedToken, NewToken, TokenEntry},
    rfc3339,
};

const PATH: &str = "/api/v1/tokens";

pub(super) async fn run(
    command: TokenCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(args) => create(args, client, output).await,
        TokenCommand::List(options) => list(options, client, output).await,
        TokenCommand::Revoke { token, options } => {
            let revoked: TokenEntry = client.delete(&format!("{PATH}/{token}"), &[]).await?;
            output.changed(options.format, &revoked, &format!("revoked token {token} for {}", revoked.site))
        }
    }
}

async fn create(args: TokenArgs, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let registration = registration::find(&args.registration, client).await?;
    let new = NewToken {
        registration: registration.id,
        uses: Some(args.uses),
        life_s: Some(args.life.as_secs()),
        sources: args.source,
        tags: args.tag,
        re_enrol: args.re_enrol,
    };
    show(&client.post(PATH, &new).await?, args.format, output)
}

/// Shows a token, this once.
pub(super) fn show(issued: &IssuedToken, format: Format, output: &mut Output<'_>) -> anyhow::Result<()> {
    if format == Format::Json {
        return output.json(issued);
    }
    // The token alone, so that it can be piped into a file.
    output.line(&issued.token)?;
    let entry = &issued.entry;
    let agents = match (entry.agent, entry.max_uses) {
        (Some(agent), _) => format!("agent {agent} alone, with a new key,"),
        (None, 1) => "one agent".to_owned(),
        (None, uses) => format!("{uses} agents"),
    };
    let from =
        if entry.sources.is_empty() { String::new() } else { format!(" from {}", listed(&entry.sources)) };
    output.note(&format!(
        "token {} enrols {agents} of {}{from} until {}; it is shown this once",
        entry.id,
        entry.site,
        rfc3339::seconds(entry.expires)
    ))
}

async fn list(options: HistoryOptions, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let tokens: Vec<TokenEntry> = client.list(PATH, &[("all", options.all.to_string())]).await?;
    if options.format == Format::Json {
        return output.json(&tokens);
    }
    let rows = tokens.iter().map(|entry| {
        [
            entry.id.to_string(),
            entry.site.clone(),
            format!("{} of {}", entry.uses, entry.max_uses),
            rfc3339::seconds(entry.expires),
            listed(&entry.sources),
            listed(&entry.tags),
            entry.created_by.clone(),
            or_dash(entry.revoked.map(rfc3339::seconds)),
        ]
    });
    output.table(
        &["id", "site", "used", "expires", "from", "tags", "created by", "revoked"],
        rows,
        "no tokens that can still enrol; `peerlight-collector token create SITE` creates one",
    )
}
