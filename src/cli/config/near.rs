//! Suggesting the name that was meant.

/// How like two names must be for one to be suggested for the other: as for flags. Source: clap 4.5, `did_you_mean`.
const LIKENESS: f64 = 0.7;

/// The one of `names` that is most like `given`, if one is like it at all.
pub(in crate::cli) fn nearest<'n>(
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
