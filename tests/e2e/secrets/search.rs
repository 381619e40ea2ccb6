//! Secrets in every form that they might be written in, and files that are searched for them.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use peerlight_proto::enrolment::EnrolmentToken;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// In a file of the system's own form for an ed25519 key, the seed stands here.
const SEED: std::ops::Range<usize> = 16..48;

/// Something that nobody else may read.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    name: String,
    /// The forms that it might be written in.
    forms: Vec<Vec<u8>>,
    /// The files that hold it, for their owner alone.
    homes: Vec<PathBuf>,
}

impl Secret {
    /// A text that is secret as it stands.
    pub(crate) fn text(name: &str, text: &str) -> Self {
        assert!(text.len() >= 16, "{name} is too short to be found by no chance");
        Self { name: name.to_owned(), forms: vec![text.as_bytes().to_vec()], homes: Vec::new() }
    }

    /// An operator token: 32 bytes in hexadecimal after a prefix.
    pub(crate) fn token(name: &str, token: &str) -> Self {
        let secret = token.rsplit('.').next().unwrap();
        Self::text(name, token).or(bytes(&hex::decode(secret).unwrap()))
    }

    /// An enrolment token: its secret alone is one, too.
    pub(crate) fn enrolment(name: &str, token: &EnrolmentToken) -> Self {
        Self::text(name, &token.to_text()).or(bytes(&hex::decode(&token.secret).unwrap()))
    }

    /// An ed25519 key, as its file holds it.
    pub(crate) fn private_key(name: &str, file: &[u8]) -> Self {
        Self { name: name.to_owned(), forms: bytes(&file[SEED]), homes: Vec::new() }
    }

    /// These 32 bytes.
    pub(crate) fn seed(name: &str, seed: &[u8]) -> Self {
        Self { name: name.to_owned(), forms: bytes(seed), homes: Vec::new() }
    }

    /// The same, which these files hold.
    pub(crate) fn kept_in(self, homes: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { homes: homes.into_iter().collect(), ..self }
    }

    fn or(mut self, forms: Vec<Vec<u8>>) -> Self {
        self.forms.extend(forms);
        self
    }

    fn is_in(&self, content: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(content, form))
    }
}

/// What bytes look like: as they are, in hexadecimal, in base64 (without its ends, which depend on what stands beside), and as
/// the list of numbers that a debugger prints.
fn bytes(secret: &[u8]) -> Vec<Vec<u8>> {
    let list = secret[..8].iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let texts = [
        hex::encode(secret),
        hex::encode_upper(secret),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        list,
    ];
    std::iter::once(secret.to_vec()).chain(texts.map(String::into_bytes)).collect()
}

fn contains(content: &[u8], form: &[u8]) -> bool {
    content.windows(form.len()).any(|window| window == form)
}

/// Files and what they hold.
pub(crate) struct Search(Vec<(PathBuf, Vec<u8>)>);

/// What they hold stays out of messages.
impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(path, content)| (path, content.len()))).finish()
    }
}

impl Search {
    pub(crate) fn of_files(paths: Vec<PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect())
    }

    /// Every file in and below these directories.
    pub(crate) fn of_trees(directories: &[PathBuf]) -> Self {
        let (mut directories, mut files) = (directories.to_vec(), Vec::new());
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { directories.push(path) } else { files.push(path) }
            }
        }
        Self::of_files(files)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// That the search finds what is there, in one file or another.
    pub(crate) fn assert_says(&self, texts: &[&str]) {
        for text in texts {
            let is_said = self.0.iter().any(|(_, content)| contains(content, text.as_bytes()));
            assert!(is_said, "nobody says `{text}`: {self:?}");
        }
    }

    pub(crate) fn assert_holds_none_of(&self, secrets: &[Secret]) {
        let mut told = Vec::new();
        for (path, content) in &self.0 {
            for line in content.split(|byte| *byte == b'\n') {
                let here = secrets.iter().filter(|secret| secret.is_in(line));
                // Enough of the line to find who wrote it.
                let begin = String::from_utf8_lossy(&line[..line.len().min(120)]);
                told.extend(here.map(|secret| format!("{}: {}: {begin}", path.display(), secret.name)));
            }
        }
        assert!(told.is_empty(), "{} lines tell a secret: {:#?}", told.len(), &told[..told.len().min(20)]);
    }

    /// That a secret stands in its own files alone, and those are their owner's alone.
    pub(crate) fn assert_holds_secrets_at_home_alone(&self, secrets: &[Secret]) {
        for secret in secrets {
            for (path, content) in &self.0 {
                if secret.is_in(content) {
                    assert!(secret.homes.contains(path), "{} holds {}", path.display(), secret.name);
                }
            }
        }
        let homes: Vec<&Path> =
            secrets.iter().flat_map(|secret| &secret.homes).map(PathBuf::as_path).collect();
        assert!(!homes.is_empty());
        for home in homes.into_iter().filter(|home| home.exists()) {
            let file = fs::metadata(home).unwrap();
            let owner = fs::metadata("/proc/self").unwrap().uid();
            assert_eq!((file.mode() & 0o777, file.uid()), (0o600, owner), "{}", home.display());
        }
    }
}
