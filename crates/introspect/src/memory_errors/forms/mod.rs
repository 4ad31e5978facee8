//! Table of the messages that contain a memory address: the program that prints them, the
//! format of the number, and whether it is a physical address of the system. Must not
//! know the parser's state.
//!
//! Each row was read in the source that it names: rasdaemon 0.8.5, mcelog 208 and Linux
//! 6.12 unless the row names another version. For a range of Linux versions, both ends
//! were read and those of 3.0, 3.10, 4.9, 4.14, 4.18, 4.19, 5.10, 6.1, 6.12, 6.18 and 7.2
//! that lie between (up to 4.19 in vendors' trees, from 5.10 in Debian's); the exact
//! version of a change between two of them is unknown. Samples are invented: page frame
//! 0x8e13f, address 0x8e13f2c0.

mod kernel;
mod tools;

/// A form of message.
#[derive(Debug)]
pub(crate) struct Form {
    /// Name in every output.
    pub(crate) name: &'static str,
    /// Program and source file that print it.
    #[allow(dead_code, reason = "for readers and the document")]
    pub(crate) source: &'static str,
    /// Reading of the message.
    pub(crate) reading: Reading,
    /// Messages of this form, of one or several lines, with their result.
    #[allow(dead_code, reason = "for readers and the tests")]
    pub(crate) samples: &'static [Sample],
}

/// An invented message, its address or number, and the verdict.
#[derive(Debug)]
#[allow(dead_code, reason = "for the tests")]
pub(crate) struct Sample(pub(crate) &'static str, pub(crate) u64, pub(crate) Verdict);

/// Reading of a form.
#[derive(Debug)]
pub(crate) enum Reading {
    /// One number after a text.
    Place(Place),
    /// A machine check in one line.
    Record(Record),
    /// A machine check in several lines of `__print_mce`.
    KernelCheck,
    /// A machine check in several lines of mcelog's.
    McelogCheck,
    /// A machine check in several lines of AMD's decoder.
    AmdCheck,
    /// An address whose type is on the line before.
    Typed,
    /// Numbers with the name of an address that belong to another message or are
    /// registers: they are ignored.
    Companion(&'static [&'static str]),
}

/// A number after a text.
#[derive(Debug)]
pub(crate) struct Place {
    /// The line contains one of these texts; empty for any line.
    pub(crate) needs: &'static [&'static str],
    /// One of these texts, blanks, and the number. With an empty text, the number is the
    /// word that ends before one of `behind`.
    pub(crate) before: &'static [&'static str],
    /// The line continues with one of these; empty for any text.
    pub(crate) behind: &'static [&'static str],
    pub(crate) number: Number,
    pub(crate) unit: Unit,
    /// Verdict, if the number is not 0 or all ones.
    pub(crate) verdict: Verdict,
}

/// Format of a number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// Hexadecimal, with or without `0x`; not a word such as `add`.
    Hex,
    /// Hexadecimal, with or without `0x`, where only a number is possible.
    Bare,
    /// Hexadecimal with `0x`.
    Prefixed,
    /// Decimal.
    Decimal,
}

/// Unit of a number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes.
    Byte,
    /// Bytes, as in a machine check's address register: at most 52 bits on x86; higher
    /// bits can be the number of a memory encryption key (`MCI_ADDR_PHYSADDR`,
    /// arch/x86/include/asm/mce.h).
    CheckByte,
    /// Page frames.
    Frame,
    /// Page frames; the bytes in the page follow one of these texts.
    FrameAndOffset(&'static [&'static str]),
}

/// Kind of a number in a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Physical address of the system.
    Physical,
    /// Address without a type, which is presumed to be physical.
    Presumed,
    /// No physical address of the system.
    Refused(Reason),
}

/// Reason for which a number is no physical address of the system.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// 0, or all ones: the address is unknown.
    NotKnown,
    /// By the status of the machine check, its address register is not valid.
    NotValid,
    /// The address mode in MISC is not physical: Intel's manual, volume 3,
    /// "IA32_MCi_MISC MSRs", bits 6 to 8.
    OtherMode,
    /// Address of AMD's unified memory controller, family 17h and later.
    Normalized,
    /// Address within a memory device (CXL's DPA).
    Device,
    /// Virtual address of a process or of the kernel.
    Virtual,
    /// Address of a virtual machine.
    Guest,
    /// Address of the memory controller: channel, rank, row.
    Controller,
    /// The message calls it invalid.
    CalledInvalid,
    /// Neither the message nor the source has the type of the address.
    NoType,
    /// Address of more than 64 bits, or an offset after the end of the page.
    Impossible,
}

impl Reason {
    /// Returns the reason as text.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::NotKnown => "it means that the address is unknown",
            Self::NotValid => "the status says that the address register is not valid",
            Self::OtherMode => "MISC says that it is no physical address",
            Self::Normalized => {
                "AMD's unified memory controller reports a normalized address; EDAC's message has the physical one"
            }
            Self::Device => "it is an address within a memory device",
            Self::Virtual => "it is a virtual address",
            Self::Guest => "it is an address of a virtual machine",
            Self::Controller => "it is the memory controller's own address",
            Self::CalledInvalid => "the message itself calls it invalid",
            Self::NoType => "the message does not name the type of the address",
            Self::Impossible => "no address can have this value",
        }
    }
}

/// Texts before the fields of a machine check in one line. Numbers are hexadecimal, with
/// or without `0x`.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) address: &'static str,
    /// Empty: a slash after the address.
    pub(crate) misc: &'static str,
    pub(crate) status: &'static str,
    pub(crate) ipid: &'static str,
    /// As in `PROCESSOR`: 0 is Intel, 2 AMD, 9 Hygon (arch/x86/include/asm/processor.h).
    pub(crate) vendor: &'static str,
    pub(crate) capabilities: &'static str,
    /// Empty: the message names the bank, which is enough for AMD's CPUs.
    pub(crate) cpuid: &'static str,
}

const fn place(
    before: &'static [&'static str],
    number: Number,
    unit: Unit,
    verdict: Verdict,
) -> Place {
    Place {
        needs: &[],
        before,
        behind: &[],
        number,
        unit,
        verdict,
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

/// The table, in parts. The first row that matches a number reads it.
pub(crate) static TABLE: [&[Form]; 2] = [kernel::FORMS, tools::FORMS];

/// Returns the rows of the table.
pub(crate) fn forms() -> impl Iterator<Item = &'static Form> {
    TABLE.into_iter().flatten()
}
