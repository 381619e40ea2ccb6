//! What Windows writes where it names proxies: lists such as `http=a:80;https=b:8080` and `c:3128 d:3128`, and whom they do
//! not serve, such as `<local>;*.corp.example;10.*`. Pure.

use crate::proxy::Proxy;

/// The proxy for HTTPS of a list: the one for `https=`, else the first that is for everything. The first alone is taken:
/// to go on with the next would measure now one way, now another.
pub(super) fn for_https(list: &str) -> Option<Proxy> {
    let words = || list.split([';', ' ', '\t']).map(str::trim).filter(|word| !word.is_empty());
    let own = words().find_map(|word| {
        let (scheme, rest) = word.split_once('=')?;
        scheme.eq_ignore_ascii_case("https").then_some(rest)
    });
    own.or_else(|| words().find(|word| !word.contains('='))).and_then(|address| address.parse().ok())
}

/// Whether a list of exceptions covers `host`.
pub(super) fn bypasses(list: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split([';', ' ', '\t']).map(str::trim).filter(|word| !word.is_empty()).any(|word| {
        if word.eq_ignore_ascii_case("<local>") {
            return !host.contains(['.', ':']);
        }
        let word = word.to_ascii_lowercase();
        let name = word.rsplit_once("://").map_or(word.as_str(), |(_scheme, name)| name);
        matches(name.as_bytes(), host.as_bytes())
    })
}

/// Whether `text` is as `pattern` says, in which `*` stands for anything.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Goes back to the last star alone, so it takes at most the product of both lengths.
    let (mut at, mut star, mut from) = (0, None, 0);
    let mut place = 0;
    while let Some(byte) = text.get(place) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some(at);
                from = place;
                at += 1;
            }
            Some(expected) if expected == byte => {
                at += 1;
                place += 1;
            }
            Some(_) | None => {
                let Some(star) = star else { return false };
                at = star + 1;
                from += 1;
                place = from;
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_proxy_for_https_is_its_own_or_the_one_for_everything() {
        for (list, expected) in [
            ("proxy.test:3128", Some("proxy.test:3128")),
            ("http=a.test:80;https=b.test:8080", Some("b.test:8080")),
            ("http=a.test:80;HTTPS=http://b.test:8080/", Some("b.test:8080")),
            ("first.test:1;second.test:2", Some("first.test:1")),
            ("first.test:1 second.test:2", Some("first.test:1")),
            ("http=a.test:80", None),
            ("socks=s.test:1080", None),
            ("https=socks5://s.test:1080", None),
            ("", None),
            (" ; ", None),
        ] {
            assert_eq!(for_https(list).map(|proxy| proxy.to_string()).as_deref(), expected, "{list}");
        }
    }

    #[test]
    fn exceptions_are_names_patterns_and_whatever_has_no_dot() {
        let list = "<local>;*.Corp.test; 10.*\t192.168.*.1 https://only.test";
        for host in ["intranet", "a.corp.test", "A.CORP.TEST", "10.1.2.3", "192.168.7.1", "only.test"] {
            assert!(bypasses(list, host), "{host}");
        }
        for host in
            ["corp.test", "110.1.2.3", "192.168.7.2", "a.only.test", "outlook.office365.com", "2001:db8::1"]
        {
            assert!(!bypasses(list, host), "{host}");
        }
        assert!(!bypasses("", "intranet") && bypasses("*", "anybody.test"));
    }

    proptest! {
        #[test]
        fn a_pattern_made_of_a_text_matches_it(text in "[a-c.]{0,12}", cuts in prop::collection::vec(0..13_usize, 0..4)) {
            let mut pattern: Vec<u8> = text.bytes().collect();
            for cut in cuts {
                // A star in the place of a byte, or of nothing.
                if cut < pattern.len() { pattern[cut] = b'*' } else { pattern.push(b'*') }
            }
            prop_assert!(matches(&pattern, text.as_bytes()));
            let plain = text.as_bytes();
            prop_assert!(!matches(plain, &[plain, b"x"].concat()));
        }
    }
}
