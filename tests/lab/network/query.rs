//! DNS queries of `dns.query` and their answers: told from those of ordinary resolvers by letters of both cases (0x20).

use hickory_proto::{
    op::{Header, Message},
    serialize::binary::{BinDecodable as _, BinDecoder},
};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Where DNS servers listen.
pub(super) const PORT: u16 = 53;

/// A query, or the answer that repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// By [`hash_of`], the name that is asked for.
    pub host: u64,
    /// A hash of its identifier, its name to the letter's case, and its type.
    pub question: u64,
}

impl Query {
    /// Reads a DNS message; none if it is not one, or its name has letters of one case alone.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut decoder = BinDecoder::new(message);
        let header = Header::read(&mut decoder).ok()?;
        let asked = Message::read_queries(&mut decoder, 1).ok()?.pop()?;
        let name = asked.name().to_ascii();
        let is_mixed = name.chars().any(|char| char.is_ascii_uppercase());
        let mut question = DefaultHasher::new();
        (header.metadata.id, &name, u16::from(asked.query_type())).hash(&mut question);
        is_mixed.then(|| Self { host: hash_of(&name), question: question.finish() })
    }
}

/// A name, whatever its letters' case and whether it ends with a dot.
pub fn hash_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.trim_end_matches('.').to_ascii_lowercase().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::{
        op::{self, OpCode},
        rr::{Name, RecordType},
    };
    use proptest::prelude::*;

    fn query(id: u16, name: &str) -> Option<Query> {
        let mut message = Message::response(id, OpCode::Query);
        message.add_query(op::Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        Query::read(&message.to_vec().unwrap())
    }

    #[test]
    fn a_query_of_letters_of_both_cases_is_told_by_all_that_it_asks() {
        let this = query(7, "eChO.lab.example.").unwrap();
        assert_eq!(this.host, hash_of("echo.lab.example"));
        assert_eq!(query(7, "eChO.lab.example."), Some(this));
        for (id, name) in [(8, "eChO.lab.example."), (7, "EChO.lab.example.")] {
            assert_ne!(query(id, name).unwrap().question, this.question);
        }
        assert_eq!(query(7, "echo.lab.example."), None, "any program may ask so");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Query::read(&bytes);
        }
    }
}
