//! Pragmas whose setting belongs to a connection, and so has to be made again on a new stream.

/// The name, in lower case, of the pragma that `sql` sets, if it must be set again on a new stream. `sql` begins with
/// `PRAGMA`.
pub(super) fn name_of_session_pragma(sql: &str) -> Option<String> {
    const OF_A_SESSION: [&str; 15] = [
        "automatic_index",
        "busy_timeout",
        "cache_size",
        "cache_spill",
        "case_sensitive_like",
        "cell_size_check",
        "checkpoint_fullfsync",
        "foreign_keys",
        "ignore_check_constraints",
        "legacy_alter_table",
        "query_only",
        "recursive_triggers",
        "reverse_unordered_selects",
        "temp_store",
        "trusted_schema",
    ];
    let rest = sql.get("PRAGMA".len()..)?.trim_start();
    let (name, value) = rest.split_at(rest.find(['=', '('])?);
    let name = name.rsplit('.').next()?.trim().to_ascii_lowercase();
    (value.len() > 1 && OF_A_SESSION.contains(&name.as_str())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_pragmas_are_recognised() {
        assert_eq!(
            name_of_session_pragma("PRAGMA foreign_keys=off").as_deref(),
            Some("foreign_keys")
        );
        assert_eq!(
            name_of_session_pragma("pragma main.Query_Only (1)").as_deref(),
            Some("query_only")
        );
        assert_eq!(name_of_session_pragma("pragma foreign_keys"), None);
        assert_eq!(name_of_session_pragma("pragma user_version=4"), None);
    }
}
