//! Shapes: how series are described apart from their uplink, remembered by the bytes that describe them. What these bytes
//! mean is a pure function of them, so that remembering changes nothing but the time it takes.

use super::{
    DecodeError, protobuf,
    read::{series_from_wire, text},
    take_message,
};
use crate::{ack::RefusalCode, limits, series::Series, wire};
use hashbrown::HashMap;
use prost::{
    Message as _,
    encoding::{WireType, decode_key},
};
use std::sync::Arc;

/// How many are remembered; a fleet has far fewer, and whoever sends more of them gains nothing.
const MOST: usize = 8_192;
/// The longest description that is remembered, in bytes.
const LONGEST: usize = 1_024;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: HashMap<Box<[u8]>, Series>,
    /// The uplink that was read last: a batch mostly has one.
    uplink: Arc<str>,
}

impl Shapes {
    /// Reads a series, or says why it cannot be used; fails where the bytes are no message at all.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Result<Series, RefusalCode>, DecodeError> {
        let Some((uplink, shape)) = split(bytes) else { return read(bytes) };
        if let Some(known) = self.known.get(shape) {
            if *self.uplink != *uplink {
                let Some(uplink) = text(uplink.to_owned(), limits::MAX_TEXT_BYTES) else {
                    return Ok(Err(RefusalCode::Series));
                };
                self.uplink = uplink.into();
            }
            let mut series = known.clone();
            series.key.uplink = Arc::clone(&self.uplink);
            return Ok(Ok(series));
        }
        let series = match read(bytes)? {
            Ok(series) => series,
            Err(code) => return Ok(Err(code)),
        };
        // Fields may come in any order and more than once; what is remembered must not name an uplink again.
        if let Ok(shape_alone) = read(shape)?
            && shape_alone.key.uplink.is_empty()
        {
            if self.known.len() >= MOST {
                self.known.clear();
            }
            self.known.insert(shape.into(), shape_alone);
        }
        Ok(Ok(series))
    }
}

fn read(bytes: &[u8]) -> Result<Result<Series, RefusalCode>, DecodeError> {
    Ok(series_from_wire(wire::Series::decode(bytes).map_err(protobuf)?))
}

/// The uplink that a series begins with, as writers of this contract put it, and the rest.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let mut rest = bytes;
    let (1, WireType::LengthDelimited) = decode_key(&mut rest).ok()? else { return None };
    let uplink = std::str::from_utf8(take_message(&mut rest).ok()?).ok()?;
    (rest.len() <= LONGEST).then_some((uplink, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(uplink: &str, name: &str) -> Vec<u8> {
        let target = wire::Target {
            name: name.to_owned(),
            service: "Microsoft 365".to_owned(),
            address: "outlook.office365.com".to_owned(),
            probe: "https".to_owned(),
        };
        wire::Series {
            uplink: uplink.to_owned(),
            target: Some(target),
            metric: "https.ttfb".to_owned(),
            family: 4,
            path: "direct".to_owned(),
            clock: "kernel".to_owned(),
            ..wire::Series::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn an_uplink_that_comes_twice_is_the_last_one_however_often_it_was_read() {
        let mut shapes = Shapes::default();
        let mut twice = message("one", "a");
        twice.extend_from_slice(
            &wire::Series { uplink: "two".to_owned(), ..wire::Series::default() }.encode_to_vec(),
        );
        for _time in 0..3 {
            assert_eq!(shapes.read(&twice).unwrap().unwrap().key.uplink.as_ref(), "two");
            assert_eq!(shapes.read(&message("one", "a")).unwrap().unwrap().key.uplink.as_ref(), "one");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut shapes = Shapes::default();
        for number in 0..MOST + 10 {
            shapes.read(&message("one", &number.to_string())).unwrap().unwrap();
        }
        assert!(shapes.known.len() <= MOST);
    }

    proptest! {
        #[test]
        fn remembering_changes_nothing(
            script in prop::collection::vec((0_usize..3, 0_usize..3, 0_usize..400, any::<u8>(), any::<bool>()), 1..40),
        ) {
            let mut shapes = Shapes::default();
            for (uplink, name, at, byte, spoil) in script {
                let mut bytes = message(["", "one", "bad\n"][uplink], ["a", "b", "c"][name]);
                if spoil {
                    let at = at % bytes.len();
                    bytes[at] = byte;
                }
                prop_assert_eq!(shapes.read(&bytes), read(&bytes));
            }
        }
    }
}
