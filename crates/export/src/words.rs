//! Closed lists of words, and forms of text, that several records have.

use process_introspection::{FrameUse, MappingKind, MemoryType, PageUse, UnknownReason};

use crate::state::State;

/// Pattern of a protection.
pub(crate) const PROTECTION: &str = "^[r-][w-][x-]$";
/// Pattern of bytes in hexadecimal.
pub(crate) const BYTES: &str = "^([0-9a-f]{2})+$";

/// Returns the names of kinds of mappings.
pub fn mapping_kinds() -> Vec<&'static str> {
    MappingKind::ALL.iter().map(|kind| kind.name()).collect()
}

/// Returns the names of memory types.
pub fn memory_types() -> Vec<&'static str> {
    MemoryType::ALL.iter().map(|known| known.name()).collect()
}

/// Returns the names of reasons for which a backing is unknown.
pub fn unknown_reasons() -> Vec<&'static str> {
    UnknownReason::ALL
        .iter()
        .map(|known| known.name())
        .collect()
}

/// Returns the names of uses of pages, whoever uses them.
pub fn page_uses() -> Vec<&'static str> {
    PageUse::all().map(PageUse::name).collect()
}

/// Returns the names of uses of frames, as totals count them.
pub fn frame_uses() -> Vec<&'static str> {
    FrameUse::ALL.map(FrameUse::name).to_vec()
}

/// States of memory that is mapped, with addresses.
pub fn mapped_states() -> Vec<&'static str> {
    states_without(&[State::Resident, State::Unmapped])
}

/// States of memory that is mapped or not, with addresses.
pub fn states_of_addresses() -> Vec<&'static str> {
    states_without(&[State::Resident])
}

/// States without addresses.
pub fn states_of_presence() -> Vec<&'static str> {
    states_without(&[State::Ram, State::Device, State::Zero, State::Unmapped])
}

/// Returns all protections, as [`crate::protection_name`] names them.
pub fn protections() -> Vec<&'static str> {
    vec!["---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx"]
}

fn states_without(others: &[State]) -> Vec<&'static str> {
    let states = State::ALL.iter().filter(|state| !others.contains(state));
    states.map(|state| state.name()).collect()
}
