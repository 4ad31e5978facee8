//! Numbers of things, in words for people.

/// `1 page`, `2 pages`.
pub(crate) fn counted(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}

/// `1 process`, `2 processes`.
pub(crate) fn processes(count: u64) -> String {
    counted(count, "process", "processes")
}
