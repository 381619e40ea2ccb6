//! `audit`.

use super::{AuditOptions, Format, Output};
use crate::{api::list::List, client::Client, registry::AuditEntry, rfc3339};

const PATH: &str = "/api/v1/audit";

pub(super) async fn run(
    options: AuditOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let list: List<AuditEntry> = client.get(PATH, &[("limit", options.limit.to_string())]).await?;
    if options.format == Format::Json {
        return output.json(&list.items);
    }
    let rows = list.items.iter().map(|change| {
        [rfc3339::seconds(change.at), change.who.clone(), change.what.clone(), change.object.clone()]
    });
    output.table(&["at", "who", "what", "object"], rows, "nothing has been changed yet")
}
