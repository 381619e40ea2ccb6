//! `operator create|list|revoke`.

use super::{Format, HistoryOptions, OperatorCommand, Output, output::or_dash};
use crate::{
    api::list::List,
    client::Client,
    registry::{IssuedOperatorToken, NewOperatorToken, OperatorToken},
    rfc3339,
};

const PATH: &str = "/api/v1/operators";

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
    }
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
