//! What a wrong word was probably meant to be.

/// The known name that a wrong one was probably meant to be; none where no known one is much like it.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Below this likeness (Jaro-Winkler, 1 = equal) a suggestion confuses more than it helps.
    const ALIKE: f64 = 0.85;
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.to_owned())
}
