//! Times as Kubernetes writes them.

/// Seconds since 1970 of a time such as `2026-01-02T03:04:05Z`; `None` where the text is none.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}
