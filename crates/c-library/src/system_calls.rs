//! The tables of the system calls of the library, which the C programs include:
//! `programs/system_calls.h`, and for registers `programs/register_calls.h`. Knows no test
//! and no filter.

use std::str::FromStr;

use syscalls::Sysno;

/// One system call of the table.
#[derive(Copy, Clone, Debug)]
pub struct SystemCall {
    /// Name where words have 64 bits.
    pub name: &'static str,
    /// Name where words have 32 bits.
    pub name_of_32_bits: &'static str,
    /// Purpose of the call.
    pub when: &'static str,
}

impl SystemCall {
    /// Returns its number on this architecture.
    ///
    /// # Panics
    /// If the table has a name that is not a system call here.
    pub fn number(&self) -> i64 {
        let name = if cfg!(target_pointer_width = "64") {
            self.name
        } else {
            self.name_of_32_bits
        };
        match Sysno::from_str(name) {
            Ok(call) => i64::from(call.id()),
            Err(()) => panic!("no system call {name}"),
        }
    }
}

/// Returns the table of all functions.
///
/// # Panics
/// If a line of the file is not an entry.
pub fn all() -> Vec<SystemCall> {
    entries(include_str!("../programs/system_calls.h"))
}

/// Returns the table of the calls that only the functions of registers make.
///
/// # Panics
/// If a line of the file is not an entry.
pub fn for_registers() -> Vec<SystemCall> {
    entries(include_str!("../programs/register_calls.h"))
}

fn entries(text: &'static str) -> Vec<SystemCall> {
    let (_, entries) = text.split_once("*/\n").expect("a comment");
    entries.lines().map(entry).collect()
}

fn entry(line: &'static str) -> SystemCall {
    let parse = || {
        let fields = line.strip_prefix("SYSTEM_CALL(")?.strip_suffix("\")")?;
        let (names, when) = fields.split_once(", \"")?;
        let (name, name_of_32_bits) = names.split_once(", ")?;
        Some(SystemCall {
            name,
            name_of_32_bits,
            when,
        })
    };
    parse().unwrap_or_else(|| panic!("no entry: {line}"))
}
