//! Suggestions for a misspelled name.

/// How similar a name must be to be suggested, the same as for flags. Source: clap 4.5, `did_you_mean`.
const LIKENESS: f64 = 0.7;

/// Returns the name in `names` that is most similar to `given`; `None` if none is similar enough.
pub(crate) fn nearest<'n>(
    given: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let likeness = |name: &'n str| (strsim::jaro(given, name), name);
    let most = names
        .into_iter()
        .map(likeness)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    most.filter(|(likeness, _)| *likeness > LIKENESS)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_and_another_word_is_not() {
        let names = ["primary", "primary-user", "listen", "databases"];
        let nearest = |given| nearest(given, names);
        assert_eq!(nearest("primry"), Some("primary"));
        assert_eq!(nearest("primary_user"), Some("primary-user"));
        assert_eq!(nearest("Listen"), Some("listen"));
        assert_eq!(nearest("quux"), None);
        assert_eq!(nearest(""), None);
    }
}
