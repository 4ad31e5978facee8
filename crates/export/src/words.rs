//! Closed lists of words, and forms of text, that several records have.

use process_introspection::{MappingKind, MemoryType, UnknownReason};

use crate::state::State;

/// Pattern of a protection.
pub(crate) const PROTECTION: &str = "^[r-][w-][x-]$";
/// Pattern of bytes in hexadecimal.
pub(crate) const BYTES: &str = "^([0-9a-f]{2})+$";

pub(crate) fn mapping_kinds() -> Vec<&'static str> {
    MappingKind::ALL.iter().map(|kind| kind.name()).collect()
}

pub(crate) fn memory_types() -> Vec<&'static str> {
    MemoryType::ALL.iter().map(|known| known.name()).collect()
}

pub(crate) fn unknown_reasons() -> Vec<&'static str> {
    UnknownReason::ALL
        .iter()
        .map(|known| known.name())
        .collect()
}

/// States of memory that is mapped, with addresses.
pub(crate) fn mapped_states() -> Vec<&'static str> {
    states_without(&[State::Resident, State::Unmapped])
}

/// States of memory that is mapped or not, with addresses.
pub(crate) fn states_of_addresses() -> Vec<&'static str> {
    states_without(&[State::Resident])
}

/// States without addresses.
pub(crate) fn states_of_presence() -> Vec<&'static str> {
    states_without(&[State::Ram, State::Device, State::Zero, State::Unmapped])
}

fn states_without(others: &[State]) -> Vec<&'static str> {
    let states = State::ALL.iter().filter(|state| !others.contains(state));
    states.map(|state| state.name()).collect()
}
