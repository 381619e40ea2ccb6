//! What is wrong with a file: the first of it in words, and how much more there is.

/// How many faults are told in words.
pub(super) const MAX_TOLD: usize = 100;

/// The faults of a file in the order of its lines.
#[derive(Debug, Default)]
pub(super) struct Faults {
    told: Vec<String>,
    more: usize,
}

impl Faults {
    /// Adds what is wrong with a line.
    pub(super) fn add(&mut self, line: u64, faults: impl IntoIterator<Item = String>) {
        for fault in faults {
            if self.told.len() < MAX_TOLD {
                self.told.push(format!("line {line}: {fault}"));
            } else {
                self.more += 1;
            }
        }
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether what is added from now on is only counted.
    pub(super) fn is_full(&self) -> bool {
        self.told.len() == MAX_TOLD
    }

    /// The faults in words, at most [`MAX_TOLD`] and one that says how many more there are.
    pub(super) fn into_words(self) -> Vec<String> {
        let mut told = self.told;
        if self.more > 0 {
            told.push(format!("and {} more", self.more));
        }
        told
    }
}
