//! Names as people type them: checked, and folded where case must not matter.

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// The form in which names are compared: lower case, single spaces.
pub(super) fn fold(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Checks a name and trims it; what is wrong goes to `errors`.
pub(super) fn check(field: &str, name: &str, errors: &mut Vec<String>) -> String {
    let name = name.trim();
    if name.is_empty() {
        errors.push(format!("{field} is empty"));
    } else if name.len() > MAX_NAME_BYTES {
        errors.push(format!("{field} is longer than {MAX_NAME_BYTES} bytes"));
    } else if name.chars().any(char::is_control) {
        errors.push(format!("{field} has control characters"));
    }
    name.to_owned()
}

/// The ones of `names` that are closest to `name`, as a hint behind it in an error.
pub(super) fn suggest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let wanted = fold(name);
    names
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&wanted, &fold(known)), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map_or_else(String::new, |(_, known)| format!(" (did you mean `{known}`?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_spacing_do_not_make_another_name() {
        assert_eq!(fold(" Example   TELECOM "), fold("example telecom"));
    }

    #[test]
    fn an_unusable_name_is_named() {
        let mut errors = Vec::new();
        check("site", "  ", &mut errors);
        check("site", "a\nb", &mut errors);
        check("site", &"x".repeat(129), &mut errors);
        assert_eq!(errors, ["site is empty", "site has control characters", "site is longer than 128 bytes"]);
        assert_eq!(
            suggest("Exmple Telecom", ["Sample", "Example Telecom"]),
            " (did you mean `Example Telecom`?)"
        );
    }
}
