//! `registration import`.

use super::{ImportArgs, Output};
use crate::{
    client::Client,
    registry::import::{Imported, MAX_FILE_BYTES},
};
use anyhow::{Context as _, ensure};
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

const PATH: &str = "/api/v1/registrations/import";

/// Imports a file and says what that did.
pub(super) async fn run(args: ImportArgs, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let file = read(&args.file)?;
    let query = [("dry_run", args.dry_run.to_string())];
    let imported: Imported = client.post_csv(PATH, &query, file).await?;
    output.changed(args.options.format, &imported, &sentence(&imported))
}

/// The whole file, if the collector would take it.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path).with_context(context)?)
    };
    let mut file = Vec::new();
    reader.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut file).with_context(context)?;
    ensure!(
        file.len() <= MAX_FILE_BYTES,
        "{} is over {MAX_FILE_BYTES} bytes; import it in parts",
        path.display()
    );
    Ok(file)
}

fn sentence(imported: &Imported) -> String {
    let sites = |count: usize| if count == 1 { "1 site".to_owned() } else { format!("{count} sites") };
    let Imported { added, unchanged, dry_run } = *imported;
    let stays = if unchanged == 0 { String::new() } else { format!("; {unchanged} were there already") };
    if dry_run {
        format!("every check passes: {} would be registered{stays}; nothing was", sites(added))
    } else {
        format!("registered {}{stays}", sites(added))
    }
}
