//! `operator create|list|revoke`, and `operator session list|end`.

use super::{Format, HistoryOptions, ListOptions, OperatorCommand, Output, SessionCommand, output::or_dash};
use crate::{
    api::list::List,
    auth::SessionEntry,
    client::Client,
    registry::{IssuedOperatorToken, NewOperatorToken, OperatorToken},
    rfc3339,
};

const PATH: &str = "/api/v1/operators";
const SESSIONS: &str = "/api/v1/sessions";

pub(super) async fn run(
    command: OperatorCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        OperatorCommand::Create { name, role, format } => {
            let issued: IssuedOperatorToken = client.post(PATH, &NewOperatorToken { name, role }).await?;
            if format == Format::Json {
                return output.json(&issued);
            }
            // The token alone, so that it can be piped into a file.
            output.line(&issued.token)?;
            let entry = &issued.entry;
            output.note(&format!("operator token of {} ({}); it is shown this once", entry.name, entry.role))
        }
        OperatorCommand::List(options) => list(options, client, output).await,
        OperatorCommand::Revoke { token, options } => {
            let revoked: OperatorToken = client.delete(&format!("{PATH}/{token}"), &[]).await?;
            let sentence = format!("revoked the operator token of {}", revoked.name);
            output.changed(options.format, &revoked, &sentence)
        }
        OperatorCommand::Session(SessionCommand::List(options)) => sessions(options, client, output).await,
        OperatorCommand::Session(SessionCommand::End { session, options }) => {
            let ended: SessionEntry = client.delete(&format!("{SESSIONS}/{session}"), &[]).await?;
            let sentence = format!("ended session {session} of {}", ended.name);
            output.changed(options.format, &ended, &sentence)
        }
    }
}

async fn sessions(options: ListOptions, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let list: List<SessionEntry> = client.get(SESSIONS, &[]).await?;
    if options.format == Format::Json {
        return output.json(&list.items);
    }
    let rows = list.items.iter().map(|session| {
        [
            session.id.to_string(),
            session.name.clone(),
            session.role.to_string(),
            session.address.to_string(),
            rfc3339::seconds(session.opened),
            rfc3339::seconds(session.ends),
        ]
    });
    output.table(&["id", "whose", "role", "from", "opened", "ends"], rows, "nobody is signed in by a browser")
}

async fn list(options: HistoryOptions, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let list: List<OperatorToken> = client.get(PATH, &[("all", options.all.to_string())]).await?;
    if options.format == Format::Json {
        return output.json(&list.items);
    }
    let rows = list.items.iter().map(|token| {
        [
            token.id.to_string(),
            token.name.clone(),
            token.role.to_string(),
            rfc3339::seconds(token.created),
            or_dash(token.revoked.map(rfc3339::seconds)),
        ]
    });
    output.table(&["id", "name", "role", "created", "revoked"], rows, "no operator tokens")
}
