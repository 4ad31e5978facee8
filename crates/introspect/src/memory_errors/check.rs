//! A machine check: what its registers say of the address. Pure; knows no line.

use process_introspection::PhysAddr;

use super::forms::{Form, Says, Why};

/// The fields of a machine check that are known.
#[derive(Copy, Clone, Debug)]
pub(super) struct Check {
    pub(super) form: &'static Form,
    /// The line of the address.
    pub(super) line: u64,
    pub(super) address: Option<u64>,
    pub(super) misc: Option<u64>,
    pub(super) status: Option<u64>,
    pub(super) ipid: Option<u64>,
    /// As in `PROCESSOR`: 0 is Intel, 2 AMD, 9 Hygon (arch/x86/include/asm/processor.h).
    pub(super) vendor: Option<u64>,
    /// MCG_CAP.
    pub(super) capabilities: Option<u64>,
    /// The message names AMD's unified memory controller.
    pub(super) of_umc: bool,
    /// The CPU has AMD's scalable MCA (family 17h and later, Hygon's), or may
    /// have: its memory controllers are known by IPID alone.
    pub(super) is_scalable: bool,
}

/// ADDR and MISC hold something (arch/x86/include/asm/mce.h `MCI_STATUS_ADDRV`,
/// `MCI_STATUS_MISCV`).
const ADDRESS_VALID: u64 = 1 << 58;
const MISC_VALID: u64 = 1 << 59;
/// AMD's first family with the scalable MCA.
pub(super) const SCALABLE: u64 = 0x17;
/// MISC has Intel's architectural form (`MCG_SER_P`).
const RECOVERY: u64 = 1 << 24;

impl Check {
    pub(super) fn new(form: &'static Form) -> Self {
        Self {
            form,
            line: 0,
            address: None,
            misc: None,
            status: None,
            ipid: None,
            vendor: None,
            capabilities: None,
            of_umc: false,
            is_scalable: false,
        }
    }

    /// The number in ADDR, the address in it and what it is worth.
    pub(super) fn says(&self) -> Option<(u64, PhysAddr, Says)> {
        let number = self.address?;
        // The physical address has at most 52 bits on x86; above can stand the
        // number of a memory encryption key (MCI_ADDR_PHYSADDR).
        let address = PhysAddr::new(number & ((1 << 52) - 1));
        Some((number, address, self.judged(number)))
    }

    /// Takes the CPU of `PROCESSOR`: a vendor and a CPUID, from which the family is
    /// calculated as in arch/x86/lib/cpu.c `x86_family`.
    pub(super) fn set_processor(&mut self, vendor: Option<u64>, cpuid: Option<u64>) {
        let cpuid = cpuid.unwrap_or(0);
        let family = match cpuid >> 8 & 0xf {
            0xf => 0xf + (cpuid >> 20 & 0xff),
            family => family,
        };
        self.vendor = vendor;
        self.is_scalable = vendor == Some(9) || (vendor == Some(2) && family >= SCALABLE);
    }

    fn judged(&self, number: u64) -> Says {
        if number == 0 || number == u64::MAX {
            return Says::Refused(Why::NotKnown);
        }
        let clear = |bit: u64| self.status.is_some_and(|status| status & bit == 0);
        if clear(ADDRESS_VALID) {
            return Says::Refused(Why::NotValid);
        }
        // Bits 32 to 43 are the sort of hardware: 0x96 is a memory controller
        // (drivers/edac/mce_amd.c, arch/x86/kernel/cpu/mce/amd.c).
        let ipid = self.ipid.filter(|&ipid| ipid != 0);
        if self.of_umc || ipid.is_some_and(|ipid| ipid >> 32 & 0xfff == 0x96) {
            return Says::Refused(Why::Normalized);
        }
        if self.is_scalable && ipid.is_none() {
            return Says::Refused(Why::NoSort);
        }
        // AMD has other things in MISC and in the error code.
        if ipid.is_some() || matches!(self.vendor, Some(2 | 9)) {
            return Says::Presumed;
        }
        let has_modes = self.capabilities.map(|bits| bits & RECOVERY != 0);
        let misc = self.misc.filter(|&misc| misc != 0 && !clear(MISC_VALID));
        if let (Some(misc), Some(true) | None) = (misc, has_modes) {
            match misc >> 6 & 7 {
                2 => return Says::Physical,
                // Before there were modes, these bits meant other things.
                0 if has_modes.is_none() => {}
                _ => return Says::Refused(Why::OtherMode),
            }
        }
        // A memory controller's error: 0000 0000 1MMM CCCC, bit 12 is a filter
        // (Intel's manual, volume 3, "Compound Error Codes"; drivers/edac/skx_common.c).
        match self.status.is_some_and(|status| status & 0xef80 == 0x80) {
            true => Says::Physical,
            false => Says::Presumed,
        }
    }
}
