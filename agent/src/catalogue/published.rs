//! The address ranges that Microsoft publishes, and the names that lead into them: a dated copy in the program, a newer one
//! in the state directory once `catalogue update` was run. Pure but for reading and writing that file.

use crate::{durable, paths::StateDir};
use ipnet::IpNet;
use peerlight_proto::target::Host;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

/// The largest file or answer that is read.
pub const MAX_BYTES: usize = 4 << 20;
/// The most names and the most ranges; Microsoft publishes about 200 and 100.
const MAX_ENTRIES: usize = 8_192;
/// The copy in the program. What it was copied from stands in it.
const BUILT_IN: &[u8] = include_bytes!("published.json");

/// The published ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Published {
    /// Where this was copied from.
    pub sources: Vec<String>,
    /// As of which day, such as `2026-08-11`.
    pub dated: String,
    /// Names whose addresses are published; `*` stands for any letters.
    names: Vec<String>,
    /// The ranges of all of them.
    ranges: Vec<IpNet>,
}

/// A text that holds no published ranges.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is too large.
    #[error("it is over {} MiB: that is not Microsoft's list", MAX_BYTES >> 20)]
    TooLarge,
    /// It is not the list.
    #[error("it is not what https://endpoints.office.com/endpoints/worldwide answers: {0}")]
    Shape(#[from] serde_json::Error),
    /// It holds nothing, or far too much.
    #[error("it holds {names} names and {ranges} ranges: that is not Microsoft's list")]
    Size {
        /// So many names that have ranges.
        names: usize,
        /// So many ranges.
        ranges: usize,
    },
    /// A range holds every address.
    #[error("it holds {0}, which is every address")]
    Everything(IpNet),
}

/// A record of the endpoints web service; what is not needed is left out.
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    ips: Vec<IpNet>,
}

impl Published {
    /// The copy in the program.
    pub fn built_in() -> Arc<Self> {
        static COPY: LazyLock<Arc<Published>> =
            LazyLock::new(|| Arc::new(serde_json::from_slice(BUILT_IN).unwrap_or_default()));
        Arc::clone(&COPY)
    }

    /// The copy in the state directory, unless the one in the program is newer. A damaged one is reported.
    pub fn load(state: &StateDir) -> Arc<Self> {
        let path = state.published();
        if !path.exists() {
            return Self::built_in();
        }
        match read_file(&path).and_then(|bytes| serde_json::from_slice::<Self>(&bytes)?.checked()) {
            Ok(stored) if stored.dated >= Self::built_in().dated => Arc::new(stored),
            Ok(_older) => Self::built_in(),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the copy of Microsoft's ranges is damaged; the one in the program is used: run `peerlight-agent catalogue update`");
                Self::built_in()
            }
        }
    }

    /// Reads the endpoints web service's answer, as it came from `source` on the day `dated`.
    pub fn parse(answer: &[u8], source: &str, dated: String) -> Result<Self, PublishedError> {
        if answer.len() > MAX_BYTES {
            return Err(PublishedError::TooLarge);
        }
        let mut published = Self { sources: vec![source.to_owned()], dated, ..Self::default() };
        let records: Vec<Record> = serde_json::from_slice(answer)?;
        for record in records.into_iter().filter(|record| !record.ips.is_empty()) {
            published.names.extend(record.urls.iter().map(|name| name.to_ascii_lowercase()));
            published.ranges.extend(record.ips.iter().map(IpNet::trunc));
        }
        published.names.sort_unstable();
        published.names.dedup();
        published.ranges.sort_unstable();
        published.ranges.dedup();
        published.checked()
    }

    /// Keeps this copy for the agent's next start.
    pub fn store(&self, state: &StateDir) -> io::Result<()> {
        durable::replace(&state.published(), &serde_json::to_vec_pretty(self)?)
    }

    /// Whether `address`, to which `name` resolved, lies outside what Microsoft publishes. False for names whose addresses it
    /// does not publish.
    pub fn excludes(&self, name: &Host, address: IpAddr) -> bool {
        self.lists(name) && !self.ranges.iter().any(|range| range.contains(&address))
    }

    /// Whether the addresses of `name` are published.
    pub fn lists(&self, name: &Host) -> bool {
        self.names.iter().any(|pattern| matches(pattern, name.as_str()))
    }

    /// How many ranges there are.
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }

    fn checked(self) -> Result<Self, PublishedError> {
        let (names, ranges) = (self.names.len(), self.ranges.len());
        if !(1..=MAX_ENTRIES).contains(&names) || !(1..=MAX_ENTRIES).contains(&ranges) {
            return Err(PublishedError::Size { names, ranges });
        }
        match self.ranges.iter().find(|range| range.prefix_len() == 0) {
            Some(everything) => Err(PublishedError::Everything(*everything)),
            None => Ok(self),
        }
    }
}

/// Reads a file up to the limit.
pub fn read_file(path: &Path) -> Result<Vec<u8>, PublishedError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| PublishedError::Read { path: path.to_owned(), source })?;
    if bytes.len() > MAX_BYTES { Err(PublishedError::TooLarge) } else { Ok(bytes) }
}

/// Whether `name` is what `pattern` describes, in which each `*` stands for any letters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').map_or(("", rest), |(middle, last)| (middle, last));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        match name.split_once(part) {
            Some((_, behind)) => name = behind,
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use proptest::prelude::*;

    fn parse(answer: &str) -> Result<Published, PublishedError> {
        Published::parse(answer.as_bytes(), "a test", "2026-11-23".to_owned())
    }

    fn excludes(published: &Published, name: &str, address: &str) -> bool {
        published.excludes(&name.parse().unwrap(), address.parse().unwrap())
    }

    const ANSWER: &str = r#"[
        {"id":1,"serviceArea":"Exchange","serviceAreaDisplayName":"Exchange Online",
         "urls":["outlook.office.com","Outlook.Office365.com"],"ips":["13.107.6.153/31","2603:1006::/40"],
         "tcpPorts":"80,443","expressRoute":true,"category":"Optimize","required":true},
        {"id":31,"serviceArea":"SharePoint","urls":["*.sharepoint.com"],"ips":["13.107.136.0/22"]},
        {"id":8,"serviceArea":"Exchange","urls":["*.outlook.com"],"tcpPorts":"80,443","category":"Default"}]"#;

    #[test]
    fn the_web_services_answer_says_which_names_lead_where() {
        let published = parse(ANSWER).unwrap();
        assert_eq!((published.names.len(), published.ranges()), (3, 3));
        for (name, address, outside) in [
            ("outlook.office365.com", "13.107.6.152", false),
            ("outlook.office365.com", "2603:1006::1", false),
            ("outlook.office365.com", "13.107.136.9", false),
            ("outlook.office365.com", "203.0.113.9", true),
            ("outlook.office365.com", "10.0.0.1", true),
            ("contoso.sharepoint.com", "198.51.100.1", true),
            ("sharepoint.com", "198.51.100.1", false),
            ("smtp.outlook.com", "198.51.100.1", false),
            ("example.com", "198.51.100.1", false),
        ] {
            assert_eq!(excludes(&published, name, address), outside, "{name} {address}");
        }
    }

    #[test]
    fn what_is_not_the_list_is_refused() {
        for (answer, why) in [
            ("<html>sign in</html>", "it is not what"),
            ("{}", "it is not what"),
            ("[]", "it holds 0 names and 0 ranges"),
            (r#"[{"urls":["a.example"]}]"#, "it holds 0 names and 0 ranges"),
            (r#"[{"urls":["a.example"],"ips":["10.0.0.0/33"]}]"#, "it is not what"),
            (r#"[{"urls":["a.example"],"ips":["0.0.0.0/0"]}]"#, "it holds 0.0.0.0/0"),
        ] {
            let error = parse(answer).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
        let long = vec![b' '; MAX_BYTES + 1];
        assert!(matches!(Published::parse(&long, "", String::new()), Err(PublishedError::TooLarge)));
    }

    #[test]
    fn the_copy_in_the_program_is_dated_and_knows_the_catalogue() {
        let published = Published::built_in();
        assert!(published.dated.as_str() >= "2026-08-11" && published.sources.len() == 2);
        let listed = catalogue::microsoft().into_iter().filter(|target| published.lists(&target.address));
        let listed: std::collections::BTreeSet<_> = listed.map(|target| target.name).collect();
        let expected =
            ["entra-id", "exchange-online", "graph", "sharepoint-online", "teams", "teams-transport-relay"];
        assert!(listed.iter().eq(expected.iter()), "{listed:?}");
        assert!(!excludes(&published, "outlook.office365.com", "52.98.1.1"));
        assert!(excludes(&published, "outlook.office365.com", "100.64.1.1"));
    }

    #[test]
    fn a_stored_copy_is_used_and_a_damaged_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path());
        assert_eq!(Published::load(&state), Published::built_in());
        let published = parse(ANSWER).unwrap();
        published.store(&state).unwrap();
        assert_eq!(*Published::load(&state), published);
        let older = Published { dated: "2026-08-10".to_owned(), ..published };
        older.store(&state).unwrap();
        assert_eq!(Published::load(&state), Published::built_in());
        for damaged in ["", "{", r#"{"sources":[],"dated":"","names":[],"ranges":[]}"#] {
            std::fs::write(state.published(), damaged).unwrap();
            assert_eq!(Published::load(&state), Published::built_in());
        }
    }

    #[test]
    fn patterns_are_those_that_microsoft_writes() {
        for (pattern, name, expected) in [
            ("*.teams.microsoft.com", "world.tr.teams.microsoft.com", true),
            ("*.teams.microsoft.com", "teams.microsoft.com", false),
            ("*cdn.onenote.net", "cdn.onenote.net", true),
            ("autodiscover.*.onmicrosoft.com", "autodiscover.contoso.onmicrosoft.com", true),
            ("autodiscover.*.onmicrosoft.com", "autodiscover.onmicrosoft.com", false),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xbyazc", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Published::parse(&bytes, "", String::new()).is_err());
        }

        #[test]
        fn a_pattern_without_stars_is_a_name(pattern in "[a-c.]{0,6}", name in "[a-c.]{0,6}") {
            prop_assert_eq!(matches(&pattern, &name), pattern == name);
            let starred = format!("*{pattern}");
            prop_assert_eq!(matches(&starred, &name), name.ends_with(&pattern));
        }
    }
}
