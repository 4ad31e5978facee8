//! Registers of a machine check, and whether its address is a physical address. Performs
//! no I/O and must not know lines.

use process_introspection::PhysAddr;

use super::forms::{Form, Reason, Verdict};

/// Known fields of a machine check.
#[derive(Copy, Clone, Debug)]
pub(super) struct Check {
    pub(super) form: &'static Form,
    /// Line of the address.
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
    /// The CPU has, or may have, AMD's scalable MCA (family 17h and later, Hygon): only IPID
    /// identifies its memory controllers.
    pub(super) is_scalable: bool,
}

/// ADDR and MISC are valid (arch/x86/include/asm/mce.h `MCI_STATUS_ADDRV`,
/// `MCI_STATUS_MISCV`).
const ADDRESS_VALID: u64 = 1 << 58;
const MISC_VALID: u64 = 1 << 59;
/// AMD's first family with the scalable MCA.
pub(super) const SCALABLE: u64 = 0x17;
/// MISC has Intel's architectural format (`MCG_SER_P`).
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

    /// Returns the number in ADDR, the address in it, and the verdict.
    pub(super) fn verdict(&self) -> Option<(u64, PhysAddr, Verdict)> {
        let number = self.address?;
        // A physical address has at most 52 bits on x86; higher bits can be the number
        // of a memory encryption key (MCI_ADDR_PHYSADDR).
        let address = PhysAddr::new(number & ((1 << 52) - 1));
        Some((number, address, self.judge(number)))
    }

    /// Sets the CPU from `PROCESSOR`: a vendor and a CPUID, from which the family is
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

    fn judge(&self, number: u64) -> Verdict {
        if number == 0 || number == u64::MAX {
            return Verdict::Refused(Reason::NotKnown);
        }
        let clear = |bit: u64| self.status.is_some_and(|status| status & bit == 0);
        if clear(ADDRESS_VALID) {
            return Verdict::Refused(Reason::NotValid);
        }
        // Bits 32 to 43 are the hardware ID: 0x96 is a memory controller
        // (drivers/edac/mce_amd.c, arch/x86/kernel/cpu/mce/amd.c).
        let ipid = self.ipid.filter(|&ipid| ipid != 0);
        if self.of_umc || ipid.is_some_and(|ipid| ipid >> 32 & 0xfff == 0x96) {
            return Verdict::Refused(Reason::Normalized);
        }
        if self.is_scalable && ipid.is_none() {
            return Verdict::Refused(Reason::NoType);
        }
        // AMD's MISC and error code have other formats.
        if ipid.is_some() || matches!(self.vendor, Some(2 | 9)) {
            return Verdict::Presumed;
        }
        let has_modes = self.capabilities.map(|bits| bits & RECOVERY != 0);
        let misc = self.misc.filter(|&misc| misc != 0 && !clear(MISC_VALID));
        if let (Some(misc), Some(true) | None) = (misc, has_modes) {
            match misc >> 6 & 7 {
                2 => return Verdict::Physical,
                // Without address modes, these bits have another meaning.
                0 if has_modes.is_none() => {}
                _ => return Verdict::Refused(Reason::OtherMode),
            }
        }
        // A memory controller's error: 0000 0000 1MMM CCCC, bit 12 is a filter
        // (Intel's manual, volume 3, "Compound Error Codes"; drivers/edac/skx_common.c).
        match self.status.is_some_and(|status| status & 0xef80 == 0x80) {
            true => Verdict::Physical,
            false => Verdict::Presumed,
        }
    }
}
