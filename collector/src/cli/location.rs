//! `location add|list|end`.

use super::{Format, LocationCommand, Output, output::or_dash};
use crate::{
    api::list::List,
    client::Client,
    registry::{Location, NewLocation},
    rfc3339,
};
use anyhow::Context as _;

const PATH: &str = "/api/v1/locations";

pub(super) async fn run(
    command: LocationCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        LocationCommand::Add(args) => {
            let new = NewLocation {
                code: args.code,
                name: args.name,
                time_zone: args.time_zone,
                latitude: args.latitude,
                longitude: args.longitude,
            };
            let location: Location = client.post(PATH, &new).await?;
            let sentence = format!("added {} ({}, {})", location.code, location.name, location.time_zone);
            output.changed(args.options.format, &location, &sentence)
        }
        LocationCommand::List(options) => {
            let list: List<Location> = client.get(PATH, &[("all", options.all.to_string())]).await?;
            if options.format == Format::Json {
                return output.json(&list.items);
            }
            let rows = list.items.iter().map(|location| {
                let coordinates = location.latitude.zip(location.longitude);
                [
                    location.code.clone(),
                    location.name.clone(),
                    location.time_zone.clone(),
                    or_dash(
                        coordinates.map(|(latitude, longitude)| format!("{latitude:.4}, {longitude:.4}")),
                    ),
                    or_dash(location.ended.map(rfc3339::seconds)),
                ]
            });
            output.table(
                &["code", "name", "time zone", "coordinates", "ended"],
                rows,
                "no locations yet; `peerlight-collector location add GB-LND` adds one",
            )
        }
        LocationCommand::End { location, options } => {
            let list: List<Location> = client.get(PATH, &[]).await?;
            let known = list
                .items
                .iter()
                .find(|known| known.code.eq_ignore_ascii_case(location.trim()))
                .with_context(|| {
                    format!(
                        "there is no location `{location}`; `peerlight-collector location list` lists them"
                    )
                })?;
            let ended: Location = client.delete(&format!("{PATH}/{}", known.id), &[]).await?;
            output.changed(options.format, &ended, &format!("ended {}", ended.code))
        }
    }
}
