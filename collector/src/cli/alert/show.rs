//! What `alert show` prints.

use crate::{
    alert::{Event, EventKind, message},
    api::alerts::AlertDetail,
    cli::{Output, output::or_dash},
    registry::DeliveryEntry,
    rfc3339,
};

/// What receivers are told, and what became of telling them.
pub(super) fn detail(detail: &AlertDetail, output: &mut Output<'_>) -> anyhow::Result<()> {
    let event = Event { kind: EventKind::Updated, at: detail.alert.evidence.at, alert: detail.alert.clone() };
    output.line(&message::text(&event, None))?;
    let rows = detail.deliveries.iter().map(|delivery| {
        [
            delivery.receiver.clone(),
            delivery.kind.name().to_owned(),
            rfc3339::seconds(delivery.created),
            state(delivery).to_owned(),
            delivery.attempts.to_string(),
            or_dash(delivery.error.as_ref()),
        ]
    });
    let header = ["receiver", "told", "at", "state", "attempts", "last error"];
    output.table(&header, rows, "no receiver was told; `[alerts]` of the configuration names them")
}

const fn state(delivery: &DeliveryEntry) -> &'static str {
    match (delivery.delivered, delivery.ended) {
        (true, _) => "delivered",
        (false, Some(_)) => "given up",
        (false, None) => "waiting",
    }
}
