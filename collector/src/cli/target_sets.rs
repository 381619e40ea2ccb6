//! `target sets|roll-out|roll-back`.

use super::{ChangeOptions, Format, ListOptions, Output, output::or_dash};
use crate::{
    api::list::List,
    client::Client,
    registry::{NewShare, RollBack, RollOut, TargetSetEntry, TargetSetState},
    rfc3339,
};

const PATH: &str = "/api/v1/target-sets";

/// A share of the agents as people write it: `5%`, `0.5 %`, `100%`.
pub(super) fn share_permille(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is no share; write 5%, 0.5% or 100%, in steps of 0.1%");
    let number = text.strip_suffix('%').ok_or_else(wrong)?.trim();
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(tenths) || tenths.len() != 1 || whole.len() > 3 {
        return Err(wrong());
    }
    let permille =
        whole.parse::<u16>().ok().zip(tenths.parse::<u16>().ok()).map(|(whole, tenths)| whole * 10 + tenths);
    permille.filter(|share| *share <= 1_000).ok_or_else(wrong)
}

/// The same for people.
fn percent(permille: u16) -> String {
    match permille % 10 {
        0 => format!("{} %", permille / 10),
        tenths => format!("{}.{tenths} %", permille / 10),
    }
}

pub(super) async fn list(
    options: ListOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let list: List<TargetSetEntry> = client.get(PATH, &[]).await?;
    if options.format == Format::Json {
        return output.json(&list.items);
    }
    let rows = list.items.iter().map(|entry| {
        [
            entry.number.to_string(),
            state(entry),
            entry.targets.to_string(),
            entry.held_by.to_string(),
            entry.refused_by.to_string(),
            or_dash(entry.made_of.filter(|before| *before > 0)),
            rfc3339::seconds(entry.created),
            entry.created_by.clone(),
        ]
    });
    output.table(
        &["set", "state", "targets", "held by", "refused by", "made of", "created", "created by"],
        rows,
        "nothing was ever assigned; `peerlight-collector target add` makes the first target set",
    )
}

fn state(entry: &TargetSetEntry) -> String {
    match entry.state {
        TargetSetState::InForce => "in force".to_owned(),
        TargetSetState::Staged => format!("staged, {}", percent(entry.share_permille.unwrap_or(0))),
        TargetSetState::Past => "-".to_owned(),
    }
}

pub(super) async fn roll_out(
    share_permille: u16,
    options: ChangeOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let after: RollOut = client.post(&format!("{PATH}/roll-out"), &NewShare { share_permille }).await?;
    let sentence = match after.staged {
        Some(staged) => {
            format!(
                "target set {staged} goes to {} of the agents within minutes",
                percent(after.share_permille)
            )
        }
        None => format!("target set {} is in force", after.in_force),
    };
    output.changed(options.format, &after, &sentence)
}

pub(super) async fn roll_back(
    to: Option<u32>,
    options: ChangeOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let after: RollOut = client.post(&format!("{PATH}/roll-back"), &RollBack { to }).await?;
    let sentence = format!("target set {} is in force again; agents have it within minutes", after.in_force);
    output.changed(options.format, &after, &sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_in_percent() {
        for (text, permille) in [("5%", 50), ("0.5%", 5), ("100%", 1_000), ("0%", 0), ("12.5 %", 125)] {
            assert_eq!(share_permille(text), Ok(permille), "{text}");
        }
        for text in ["5", "101%", "-1%", "0.55%", "%", "a%", ".5%", "1.%", "99999%"] {
            assert!(share_permille(text).is_err(), "{text}");
        }
        assert_eq!([5, 50, 125].map(percent), ["0.5 %", "5 %", "12.5 %"]);
    }
}
