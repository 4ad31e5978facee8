//! Stores the registers of a thread in C's buffer.

use process_introspection_core::registers::{self, Registers};
use process_introspection_core::{CoreError, Errno, Operation};

use crate::output::Output;
use crate::{lists, Result};

pub(crate) fn general(pid64: i64, tid: u32, output: Output) -> Result<u64> {
    lists::store_all(output, &read(pid64, tid)?.general)
}

pub(crate) fn floating_point(pid64: i64, tid: u32, output: Output) -> Result<u64> {
    let registers = read(pid64, tid)?.floating_point;
    let none = CoreError::new(Errno::EOPNOTSUPP, Operation::ReadRegisters);
    lists::store_all(output, &registers.ok_or(none)?)
}

#[inline(never)]
fn read(pid64: i64, tid: u32) -> Result<Registers> {
    registers::read(&lists::open(pid64)?, tid)
}
