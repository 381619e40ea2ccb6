//! Front doors: where an answer says that it entered Microsoft's network, and which region answered it. Pure.
//!
//! A code is kept as the header has it. What it stands for is not guessed: a third of Microsoft's codes are no airport's, or
//! another airport's, and several are in no table at all.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderMap;
use serde::Deserialize;

/// The longest code or name, in bytes; a longer one is as good as none.
pub(super) const MAX_NAME: usize = 64;
/// The longest header that is looked at, in bytes.
const MAX_HEADER: usize = 4 << 10;
/// A front door that names itself without saying where it is.
const UNKNOWN: &str = "unknown";
/// Before the place in a second-generation `X-Azure-Ref`, behind the id.
const BEFORE_PLACE: &str = "hC1";
/// The length of that id.
const ID: usize = 16;

/// What an answer says of its way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct FrontDoor {
    /// The code of the front door that the request entered by.
    pub(super) entry: Option<String>,
    /// The region, or the front end in it, that answered: where Exchange's differs from the entry, the request was passed on.
    pub(super) region: Option<String>,
}

/// Reads the headers of an answer.
pub(super) fn read(headers: &HeaderMap) -> FrontDoor {
    let azure = text(headers, "x-azure-ref").map(azure_ref);
    let edge = text(headers, "x-msedge-ref").map(msedge_ref);
    let silent = azure.is_some() || edge.is_some();
    let entry = azure.flatten().or_else(|| edge.flatten());
    let first_hop = || text(headers, "x-firsthopcafeefz").and_then(name);
    FrontDoor {
        entry: entry.or_else(first_hop).or_else(|| silent.then(|| UNKNOWN.to_owned())),
        region: region(headers),
    }
}

fn region(headers: &HeaderMap) -> Option<String> {
    let of = |header| text(headers, header);
    of("x-feefzinfo")
        .and_then(name)
        .or_else(|| of("report-to").and_then(destination))
        .or_else(|| of("x-calculatedfetarget").and_then(first_label))
        .or_else(|| of("x-feserver").and_then(first_label))
        .or_else(|| of("x-ms-ests-server").and_then(slice))
        .or_else(|| of("x-ms-ags-diagnostic").and_then(data_center))
        .or_else(|| of("x-ms-routing-request-id").and_then(routed_to))
}

/// `Ref A: <id> Ref B: <node> Ref C: <time>`.
fn msedge_ref(value: &str) -> Option<String> {
    let (_, behind) = value.split_once("Ref B:")?;
    let (node, _) = behind.split_once("Ref C:")?;
    place_of(node.trim())
}

fn azure_ref(value: &str) -> Option<String> {
    second_azure_ref(value).or_else(|| first_azure_ref(value))
}

/// `0` and base64: time (4 bytes), four zero bytes, id (16 bytes), the node up to a zero byte, a GUID in text.
fn first_azure_ref(value: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(value.strip_prefix('0')?).ok()?;
    if bytes.get(4..8)? != [0; 4] {
        return None;
    }
    let node = bytes.get(24..)?.split(|byte| *byte == 0).next()?;
    place_of(str::from_utf8(node).ok()?)
}

/// `YYYYMMDDThhmmssZ-<id>hC1<place>…`; some have no place.
fn second_azure_ref(value: &str) -> Option<String> {
    let (time, behind) = value.split_once('-')?;
    let is_time = time.len() == 16 && time.ends_with('Z') && time.as_bytes().get(8) == Some(&b'T');
    let place = behind.get(ID..)?.strip_prefix(BEFORE_PLACE)?.get(..3).filter(|_| is_time)?;
    let code = place.trim_end_matches(|char: char| char.is_ascii_digit());
    is_code(code).then(|| code.to_owned())
}

/// The code in a node's name, `AMSEDGE0312` or `PNQ241100406036`; a name of another style stays whole.
fn place_of(node: &str) -> Option<String> {
    let letters = node.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits =
        |text: &str, most: usize| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    let old = node.rsplit_once("EDGE").filter(|(_, number)| number.len() == 4 && digits(number, 4));
    let code = match old {
        Some((place, _)) => {
            let code = place.trim_end_matches(|char: char| char.is_ascii_digit());
            Some(code).filter(|code| digits(place.strip_prefix(code).unwrap_or(place), 2))
        }
        None => node
            .split_at_checked(letters)
            .filter(|(_, id)| id.len() == 12 && digits(id, 12))
            .map(|(code, _)| code),
    };
    code.filter(|code| is_code(code)).map_or_else(|| name(node), |code| Some(code.to_owned()))
}

fn is_code(text: &str) -> bool {
    (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Exchange's error reporting: `…&DestinationEndpoint=PHX"…`.
fn destination(value: &str) -> Option<String> {
    let (_, behind) = value.split_once("DestinationEndpoint=")?;
    name(behind.split(|char: char| !char.is_ascii_alphanumeric()).next()?)
}

/// `PS2PR02CU002.internal.outlook.com`.
fn first_label(value: &str) -> Option<String> {
    name(value.split('.').next()?)
}

/// Sign-in: `2.1.23687.3 - WEULR1 ProdSlices`.
fn slice(value: &str) -> Option<String> {
    name(value.split_once(" - ")?.1.split_whitespace().next()?)
}

/// Microsoft Graph: `{"ServerInfo":{"DataCenter":"UK South",…}}`.
fn data_center(value: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Diagnostic {
        server_info: ServerInfo,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct ServerInfo {
        data_center: String,
    }
    name(&serde_json::from_str::<Diagnostic>(value).ok()?.server_info.data_center)
}

/// Azure Resource Manager: `WESTEUROPE:20260715T161434Z:<guid>`.
fn routed_to(value: &str) -> Option<String> {
    let (region, behind) = value.split_once(':')?;
    behind.contains(':').then_some(region).and_then(name)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).filter(|value| value.len() <= MAX_HEADER)?.to_str().ok().map(str::trim)
}

/// A name as it stands, if it can be one.
fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= MAX_NAME;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte);
    (fits && text.bytes().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
