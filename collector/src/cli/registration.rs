//! `registration add|check|list|end`; `import` stands in `import.rs`, the commands that move measurements in
//! `reattribution.rs`.

use super::{
    Format, Output, RegistrationArgs, RegistrationCommand, RegistrationListOptions, import,
    output::{listed, or_dash},
    reattribution,
};
use crate::{
    api::{list::List, registrations::Checked},
    client::Client,
    registry::{NewRegistration, Registration},
    rfc3339,
};
use anyhow::bail;

const PATH: &str = "/api/v1/registrations";

pub(super) async fn run(
    command: RegistrationCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        RegistrationCommand::Add(args) => {
            let format = args.options.format;
            let added: Registration = client.post(PATH, &new(args)).await?;
            output.changed(format, &added, &format!("registered {}", describe(&added)))?;
            output.note(&format!("next: `peerlight-collector token create {}` for its agent", added.site))
        }
        RegistrationCommand::Check(args) => {
            let format = args.options.format;
            let passed: Checked = client.post(&format!("{PATH}/check"), &new(args)).await?;
            output.changed(format, &passed, "every check passes; nothing was registered")
        }
        RegistrationCommand::Import(args) => import::run(args, client, output).await,
        RegistrationCommand::List(options) => list(options, client, output).await,
        RegistrationCommand::Reattribute(args) => reattribution::reattribute(args, client, output).await,
        RegistrationCommand::Reattributions(options) => reattribution::list(options, client, output).await,
        RegistrationCommand::End { registration, at, options } => {
            let found = find(&registration, client).await?;
            let query: Vec<(&str, String)> = at.map(|at| ("at", at)).into_iter().collect();
            let ended: Registration = client.delete(&format!("{PATH}/{}", found.id.0), &query).await?;
            let end = or_dash(ended.valid_to.map(rfc3339::seconds));
            output.changed(options.format, &ended, &format!("{} ends at {end}", describe(&ended)))
        }
    }
}

/// The one registration of a site that has not ended, or the one of this number.
pub(super) async fn find(registration: &str, client: &Client) -> anyhow::Result<Registration> {
    let number: Option<i64> = registration.parse().ok();
    let query = match number {
        Some(_) => vec![("all", "true".to_owned())],
        None => vec![("site", registration.to_owned())],
    };
    let mut list: List<Registration> = client.get(PATH, &query).await?;
    list.items.retain(|found| number.is_none_or(|number| found.id.0 == number));
    match list.items.as_slice() {
        [found] => Ok(found.clone()),
        [] => bail!(
            "there is no registration `{registration}`; `peerlight-collector registration list` lists them"
        ),
        several => {
            let numbers: Vec<i64> = several.iter().map(|found| found.id.0).collect();
            bail!("`{registration}` has several registrations; give the number of one: {}", listed(&numbers))
        }
    }
}

fn new(args: RegistrationArgs) -> NewRegistration {
    NewRegistration {
        site: args.site,
        provider: args.provider,
        location: args.location,
        prefixes: args.prefix,
        count_declared: args.count_declared,
        allow_non_public: args.allow_non_public,
        nested: args.nested,
        valid_from: args.from,
        valid_to: args.to,
    }
}

fn describe(registration: &Registration) -> String {
    format!(
        "{} through {} in {} (registration {})",
        registration.site, registration.provider, registration.location, registration.id.0
    )
}

async fn list(
    options: RegistrationListOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let mut query = vec![("all", options.history.all.to_string())];
    query.extend(options.address.map(|address| ("address", address.to_string())));
    let list: List<Registration> = client.get(PATH, &query).await?;
    if options.history.format == Format::Json {
        return output.json(&list.items);
    }
    let rows = list.items.iter().map(|registration| {
        [
            registration.id.0.to_string(),
            registration.site.clone(),
            registration.provider.clone(),
            registration.location.clone(),
            listed(&registration.prefixes),
            if registration.count_declared { "counted" } else { "shown" }.to_owned(),
            rfc3339::seconds(registration.valid_from),
            or_dash(registration.valid_to.map(rfc3339::seconds)),
        ]
    });
    output.table(
        &["id", "site", "provider", "location", "prefixes", "declared", "from", "to"],
        rows,
        "no registrations; `peerlight-collector registration add` registers a site",
    )
}
