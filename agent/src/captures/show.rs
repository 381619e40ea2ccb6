//! What `path --captured` shows.

use super::{Capture, rule::Trigger, shelf::Shelf};
use crate::{
    format::Format,
    paths::StateDir,
    trace::{Route, write_table},
};
use anyhow::Context as _;
use comfy_table::{Table, presets};
use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

/// Writes the captures of a state directory to stdout: all as a list, or those of one target with their hops.
pub(crate) fn show(state: &StateDir, target: Option<&str>, format: Format) -> anyhow::Result<ExitCode> {
    let directory = state.captures();
    let (mut captures, unreadable) = Shelf::new(directory.clone())
        .all()
        .with_context(|| format!("cannot read {}", directory.display()))?;
    for problem in unreadable {
        writeln!(io::stderr(), "peerlight-agent: not a capture: {problem}")?;
    }
    if let Some(target) = target {
        captures.retain(|capture| capture.is_of(target));
    }
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &captures)?;
            writeln!(out)?;
        }
        Format::Table => write(&mut out, &captures, target)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

impl Capture {
    fn is_of(&self, target: &str) -> bool {
        let Route { target: host, address, .. } = &self.path;
        [&self.name, host, &address.to_string()].iter().any(|name| name.eq_ignore_ascii_case(target))
    }

    fn taken(&self) -> String {
        jiff::Timestamp::from_microsecond(self.taken_us)
            .map_or_else(|_out_of_range| self.taken_us.to_string(), |at| format!("{at:.0}"))
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u32| f64::from(us) / 1e3;
        match *self {
            Self::Lost { probes } => write!(f, "{probes} probes in a row were lost"),
            Self::Slow { median_us, usual_us } => {
                write!(f, "{:.1} ms in place of the usual {:.1} ms", ms(median_us), ms(usual_us))
            }
            Self::Recovered => f.write_str("good again"),
        }
    }
}

fn write(out: &mut impl Write, captures: &[Capture], target: Option<&str>) -> io::Result<()> {
    if captures.is_empty() {
        let of = target.map(|target| format!(" of {target}")).unwrap_or_default();
        return writeln!(
            out,
            "No path{of} was captured: the running agent keeps one when a target that was good turns bad."
        );
    }
    if target.is_some() {
        for (number, capture) in captures.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            let (taken, name, family) = (capture.taken(), &capture.name, capture.family);
            writeln!(out, "{taken}  {name} over IP{family}: {}", capture.trigger)?;
            write_table(out, &capture.path)?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TAKEN", "TARGET", "FAMILY", "BECAUSE", "PATH"]);
    for capture in captures {
        table.add_row([
            capture.taken(),
            capture.name.clone(),
            capture.family.to_string(),
            capture.trigger.to_string(),
            capture.path.conclusion(),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    writeln!(out, "\n`path --captured TARGET` shows the hops.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captures::fixture::capture;

    fn text(captures: &[Capture], target: Option<&str>) -> String {
        let mut out = Vec::new();
        write(&mut out, captures, target).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn captures_are_listed_and_those_of_a_target_with_their_hops() {
        let slow = Trigger::Slow { median_us: 91_500, usual_us: 12_340 };
        let captures = [
            capture(1_800_000_000),
            Capture { trigger: slow, ..capture(1_800_003_600) },
            Capture { trigger: Trigger::Recovered, ..capture(1_800_007_200) },
        ];
        let shown = [text(&captures, None), text(&captures[..1], Some("exchange-online")), text(&[], None)];
        insta::assert_snapshot!(shown.join("\n----\n"));
    }

    #[test]
    fn a_target_is_found_by_its_name_its_host_or_its_address() {
        let capture = capture(1);
        for name in ["exchange-online", "Outlook.office365.com", "192.0.2.9"] {
            assert!(capture.is_of(name), "{name}");
        }
        assert!(!capture.is_of("192.0.2.1"));
    }
}
