//! Questions to a resolver, and which packets answer them. Pure but for the random id and letters' case.

use crate::probe::resolver::mnemonic;
use hickory_proto::{
    ProtoError,
    op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType},
    serialize::binary::{BinDecodable as _, BinDecoder},
};
use peerlight_proto::series::Family;

/// The largest answer that we ask for: what passes every common link in one piece.
const MAX_ANSWER: u16 = 1_232;

/// A question, as only its own answer repeats it.
#[derive(Debug, Clone)]
pub(super) struct Question {
    id: u16,
    query: Query,
}

/// What an answer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its code.
    pub(super) status: String,
    /// Whether it was cut to what fits into a datagram.
    pub(super) truncated: bool,
}

impl Question {
    /// For the records of `family`: under a random id, in letters of random case (0x20).
    pub(super) fn new(name: &str, family: Family) -> Result<Self, ProtoError> {
        let mut name = Name::from_ascii(name)?;
        name.set_fqdn(true);
        name.randomize_label_case();
        if name.eq_case(&name.to_lowercase()) {
            // In small letters alone, an answer that does not keep the case would pass.
            name = Name::from_ascii(name.to_ascii().to_ascii_uppercase())?;
        }
        let record = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        Ok(Self { id: rand::random(), query: Query::query(name, record) })
    }

    /// The packet that asks it.
    pub(super) fn packet(&self) -> Result<Vec<u8>, ProtoError> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(self.query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_ANSWER);
        message.set_edns(edns);
        message.to_vec()
    }

    /// The answer that `packet` is, if it is one to this question: its id, the name to the letter's case, type and class.
    /// What the answer's records say is not read.
    pub(super) fn answer(&self, packet: &[u8]) -> Option<Answer> {
        if packet.len() > usize::from(MAX_ANSWER) {
            return None;
        }
        let mut decoder = BinDecoder::new(packet);
        let header = Header::read(&mut decoder).ok()?;
        let said = header.metadata;
        let counts = header.counts;
        let is_ours = said.id == self.id
            && said.message_type == MessageType::Response
            && said.op_code == OpCode::Query
            && counts.queries == 1;
        if !is_ours {
            return None;
        }
        let query = Message::read_queries(&mut decoder, 1).ok()?.pop()?;
        let same = query.name().eq_case(self.query.name())
            && query.query_type() == self.query.query_type()
            && query.query_class() == DNSClass::IN;
        let code = said.response_code;
        let status = if code == ResponseCode::NXDomain {
            "NXDOMAIN".to_owned()
        } else if code != ResponseCode::NoError {
            mnemonic(code)
        } else if counts.answers == 0 && !said.truncation {
            "NODATA".to_owned()
        } else {
            "NOERROR".to_owned()
        };
        same.then_some(Answer { status, truncated: said.truncation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// To the letter's case, which parsing a name as text would not keep.
    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn question() -> Question {
        Question { id: 7, query: Query::query(name("Peerlight.tEst."), RecordType::A) }
    }

    fn reply(change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::response(7, OpCode::Query);
        message.add_query(question().query);
        change(&mut message);
        message.to_vec().unwrap()
    }

    #[test]
    fn a_name_never_goes_out_in_small_letters_alone() {
        for _draw in 0..200 {
            let question = Question::new("a.4", Family::V4).unwrap();
            assert_eq!(question.query.name().to_ascii(), "A.4.");
        }
        assert_eq!(Question::new("4.2.", Family::V4).unwrap().query.name().to_ascii(), "4.2.");
    }

    #[test]
    fn a_question_is_one_packet_that_asks_for_small_answers() {
        for (family, record) in [(Family::V4, RecordType::A), (Family::V6, RecordType::AAAA)] {
            let question = Question::new("peerlight.test", family).unwrap();
            let message = Message::from_vec(&question.packet().unwrap()).unwrap();
            assert_eq!((message.metadata.id, message.max_payload()), (question.id, MAX_ANSWER));
            assert!(message.metadata.recursion_desired);
            assert_eq!(message.queries[0].query_type(), record);
            assert_eq!(message.queries[0].name(), &name("peerlight.test."));
        }
    }

    #[test]
    fn an_answer_says_its_code_and_whether_it_was_cut() {
        let answer = |code, truncated| {
            let packet = reply(|message| {
                message.metadata.response_code = code;
                message.metadata.truncation = truncated;
            });
            question().answer(&packet).map(|answer| (answer.status, answer.truncated))
        };
        for (code, truncated, status) in [
            (ResponseCode::NoError, false, "NODATA"),
            (ResponseCode::NoError, true, "NOERROR"),
            (ResponseCode::NXDomain, false, "NXDOMAIN"),
            (ResponseCode::ServFail, false, "SERVFAIL"),
            (ResponseCode::Refused, false, "REFUSED"),
        ] {
            assert_eq!(answer(code, truncated), Some((status.to_owned(), truncated)));
        }
    }

    #[test]
    fn what_differs_in_anything_answers_another_question() {
        let other = |change: fn(&mut Message)| question().answer(&reply(change));
        assert_eq!(other(|message| message.metadata.id = 8), None);
        assert_eq!(other(|message| message.metadata.message_type = MessageType::Query), None);
        assert_eq!(other(|message| message.metadata.op_code = OpCode::Notify), None);
        assert_eq!(other(|message| message.queries.clear()), None);
        assert_eq!(other(|message| message.queries.push(message.queries[0].clone())), None);
        let named = |text: &str| {
            let query = Query::query(name(text), RecordType::A);
            question().answer(&reply(|message| message.queries = vec![query]))
        };
        assert_eq!((named("peerlight.test."), named("Peerlight.tEst.example.")), (None, None));
        assert!(named("Peerlight.tEst.").is_some());
        let of_type = Query::query(name("Peerlight.tEst."), RecordType::AAAA);
        assert_eq!(question().answer(&reply(|message| message.queries = vec![of_type])), None);
        let mut long = reply(|_| ());
        long.resize(usize::from(MAX_ANSWER) + 1, 0);
        assert_eq!(question().answer(&long), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..1_500)) {
            // Behind the id, or nearly nothing is read.
            let packet = [&7_u16.to_be_bytes()[..], &bytes].concat();
            prop_assert!(question().answer(&bytes).is_none() || bytes.starts_with(&[0, 7]));
            let _any = question().answer(&packet);
        }

        #[test]
        fn an_answer_with_any_byte_of_its_question_changed_is_none(place in 12_usize..32, change in 1_u8..) {
            let mut packet = reply(|_| ());
            prop_assume!(place < packet.len());
            packet[place] ^= change;
            prop_assert_eq!(question().answer(&packet), None);
        }
    }
}
