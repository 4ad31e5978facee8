//! Table of the messages that carry a memory address: who prints them, how the
//! number is written, and whether it is a physical address of the system.
//! Owns the facts; knows no parser state.
//!
//! Each row was read in the source that it names, rasdaemon 0.8.5, mcelog 208 and
//! Linux 6.12 unless it says otherwise. A range of Linux was read at both ends
//! and at what lies between of 3.0, 3.10, 4.9, 4.14, 4.18, 4.19, 5.10, 6.1, 6.12,
//! 6.18 and 7.2 (to 4.19 in vendors' trees, from 5.10 in Debian's); what came
//! between two of them is not known to the version. Samples are of our own making: page
//! frame 0x8e13f, address 0x8e13f2c0.

mod kernel;
mod tools;

/// A form of message.
#[derive(Debug)]
pub(crate) struct Form {
    /// Its name in every output.
    pub(crate) name: &'static str,
    /// The program and file that print it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers and the document"))]
    pub(crate) source: &'static str,
    /// How it is read.
    pub(crate) reading: Reading,
    /// Messages of this form, of one or several lines, and what they give.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers and the tests"))]
    pub(crate) samples: &'static [Sample],
}

/// A message of our own making.
#[derive(Debug)]
pub(crate) struct Sample(
    #[cfg_attr(not(test), expect(dead_code, reason = "for the tests"))] pub(crate) &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the tests"))] pub(crate) u64,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the tests"))] pub(crate) Says,
);

/// How a form is read.
#[derive(Debug)]
pub(crate) enum Reading {
    /// One number behind a text.
    Place(Place),
    /// A machine check in one line.
    Record(Record),
    /// A machine check in several lines of `__print_mce`.
    KernelCheck,
    /// A machine check in several lines of mcelog's.
    McelogCheck,
    /// A machine check in several lines of AMD's decoder.
    AmdCheck,
    /// An address whose sort another line says before.
    Typed,
    /// Numbers that are named like addresses and belong to another message, or
    /// to a register: nothing to say.
    Companion(&'static [&'static str]),
}

/// A number that stands behind a text.
#[derive(Debug)]
pub(crate) struct Place {
    /// One of these texts is in the line; none if any line will do.
    pub(crate) needs: &'static [&'static str],
    /// One of these texts, then blanks, then the number. An empty text: the
    /// number is the word that ends before the text behind it.
    pub(crate) before: &'static [&'static str],
    /// The line goes on with one of these; none if with anything.
    pub(crate) behind: &'static [&'static str],
    pub(crate) number: Number,
    pub(crate) unit: Unit,
    /// What the number is, if it is not 0 or all ones.
    pub(crate) says: Says,
}

/// How a number is written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// Hexadecimal, with or without `0x`; not a word such as `add`.
    Hex,
    /// Hexadecimal, with or without `0x`, where only a number can stand.
    Bare,
    /// Hexadecimal with `0x`.
    Prefixed,
    /// Decimal.
    Decimal,
}

/// What a number counts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes.
    Byte,
    /// Bytes, as a machine check's address register holds them: at most 52 bits
    /// on x86; above can stand the number of a memory encryption key
    /// (`MCI_ADDR_PHYSADDR`, arch/x86/include/asm/mce.h).
    CheckByte,
    /// Page frames.
    Frame,
    /// Page frames; bytes in the page stand behind one of these texts.
    FrameAndOffset(&'static [&'static str]),
}

/// What a message says of its number.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Says {
    /// It is a physical address of the system.
    Physical,
    /// Nothing of its sort; it is taken for a physical address.
    Presumed,
    /// It is none.
    Refused(Why),
}

/// Why a number is no physical address of the system.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// 0, or all ones, which stand for an unknown address.
    NotKnown,
    /// The status of a machine check: its address register is not valid.
    NotValid,
    /// The address mode in MISC is not physical: Intel's manual, volume 3,
    /// "IA32_MCi_MISC MSRs", bits 6 to 8.
    OtherMode,
    /// The address of AMD's unified memory controller, family 17h and later.
    Normalized,
    /// The address within a memory device (CXL's DPA).
    Device,
    /// An address of a process or of the kernel.
    Virtual,
    /// An address of a virtual machine.
    Guest,
    /// The memory controller's own: channel, rank, row.
    Controller,
    /// The message calls it invalid.
    CalledInvalid,
    /// The message names no sort, and the source does not tell one.
    NoSort,
    /// No address of 64 bits, or an offset past the end of the page.
    Impossible,
}

impl Why {
    /// The reason, in words.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::NotKnown => "it stands for an address that is not known",
            Self::NotValid => "the status says that the address register is not valid",
            Self::OtherMode => "by its MISC it is no physical address",
            Self::Normalized => {
                "AMD's unified memory controller gives a normalized address; a message of EDAC has the system's"
            }
            Self::Device => "it is an address within a memory device",
            Self::Virtual => "it is a virtual address",
            Self::Guest => "it is an address of a virtual machine",
            Self::Controller => "it is the memory controller's own address",
            Self::CalledInvalid => "the message itself calls it invalid",
            Self::NoSort => "the message does not say what sort of address it is",
            Self::Impossible => "there can be no such address",
        }
    }
}

/// The texts before the fields of a machine check in one line. Numbers are
/// hexadecimal, with or without `0x`.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) address: &'static str,
    /// Empty: a slash behind the address.
    pub(crate) misc: &'static str,
    pub(crate) status: &'static str,
    pub(crate) ipid: &'static str,
    /// As in `PROCESSOR`: 0 is Intel, 2 AMD, 9 Hygon (arch/x86/include/asm/processor.h).
    pub(crate) vendor: &'static str,
    pub(crate) capabilities: &'static str,
    /// Empty: the message names the bank, as AMD's CPUs need.
    pub(crate) cpuid: &'static str,
}

const fn place(before: &'static [&'static str], number: Number, unit: Unit, says: Says) -> Place {
    Place {
        needs: &[],
        before,
        behind: &[],
        number,
        unit,
        says,
    }
}

impl Place {
    const fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }

    const fn behind(self, behind: &'static [&'static str]) -> Self {
        Self { behind, ..self }
    }
}

const FRAME: u64 = 0x8e13f;
const PAGE: u64 = 0x8e13f000;
const BYTE: u64 = 0x8e13f2c0;

/// The table, in parts. A number is read by the first row that fits it.
pub(crate) static TABLE: [&[Form]; 2] = [kernel::FORMS, tools::FORMS];

/// The rows of the table.
pub(crate) fn forms() -> impl Iterator<Item = &'static Form> {
    TABLE.into_iter().flatten()
}
