//! The lines of kernel packages that Debian has: the one place for their names
//! and suites. Knows neither machines nor tests.

/// An architecture, for a kernel or for a program.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arch {
    Amd64,
    I386,
    Arm64,
    Riscv64,
}

impl Arch {
    /// Debian's name.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::I386 => "i386",
            Self::Arm64 => "arm64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// The suites of its kernels. (riscv64 came with trixie.) Security updates
    /// are suites of their own.
    pub(crate) const fn suites(self) -> &'static [&'static str] {
        match self {
            Self::Amd64 => &[
                "bullseye-security",
                "bookworm",
                "bookworm-security",
                "bookworm-backports",
                "sid",
            ],
            Self::I386 => &["bookworm", "bookworm-security"],
            Self::Arm64 => &["bookworm", "bookworm-security", "bookworm-backports"],
            Self::Riscv64 => &["trixie", "trixie-security", "sid"],
        }
    }
}

/// How the packages' names begin and end, and how the kernel's own release
/// begins.
pub(crate) type Packages = &'static [(&'static str, &'static str, &'static str)];

/// A line of kernel packages, of which the newest is taken.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) arch: Arch,
    /// For people.
    pub(crate) line: &'static str,
    /// The first that there are any of.
    pub(crate) packages: Packages,
}

pub(crate) const K5_10: Kernel = Kernel {
    arch: Arch::Amd64,
    line: "5.10",
    packages: &[("linux-image-5.10.", "-cloud-amd64", "5.10.")],
};
/// With drivers that the kernels for clouds lack.
pub(crate) const K5_10_WHOLE: Kernel = Kernel {
    arch: Arch::Amd64,
    line: "5.10",
    packages: &[("linux-image-5.10.", "-amd64", "5.10.")],
};
pub(crate) const K6_1: Kernel = Kernel {
    arch: Arch::Amd64,
    line: "6.1",
    packages: &[("linux-image-6.1.", "-cloud-amd64", "6.1.")],
};
pub(crate) const K6_12: Kernel = Kernel {
    arch: Arch::Amd64,
    line: "6.12",
    packages: &[("linux-image-6.12.", "-cloud-amd64", "6.12.")],
};
/// As that one of 5.10.
pub(crate) const K6_12_WHOLE: Kernel = Kernel {
    arch: Arch::Amd64,
    line: "6.12",
    packages: &[("linux-image-6.12.", "-amd64", "6.12.")],
};
pub(crate) const K7: Kernel = Kernel {
    arch: Arch::Amd64,
    line: "7.x",
    packages: &[("linux-binary-7.", "-cloud-amd64", "7.")],
};
/// As that one of 5.10. The packages of the modules, beside which there is one of
/// the kernel.
pub(crate) const K7_WHOLE: Kernel = Kernel {
    arch: Arch::Amd64,
    line: "7.x",
    packages: &[("linux-modules-7.", "-amd64", "7.")],
};
pub(crate) const K6_1_686: Kernel = Kernel {
    arch: Arch::I386,
    line: "6.1",
    packages: &[("linux-image-6.1.", "-686-pae", "6.1.")],
};
pub(crate) const K6_12_ARM64: Kernel = Kernel {
    arch: Arch::Arm64,
    line: "6.12",
    packages: &[("linux-image-6.12.", "-cloud-arm64", "6.12.")],
};
pub(crate) const K6_12_ARM64_16K: Kernel = Kernel {
    arch: Arch::Arm64,
    line: "6.12",
    packages: &[("linux-image-6.12.", "-arm64-16k", "6.12.")],
};
pub(crate) const RISCV64: Kernel = Kernel {
    arch: Arch::Riscv64,
    line: "6.12, else 7.x",
    packages: &[
        ("linux-image-6.12.", "-riscv64", "6.12."),
        ("linux-binary-7.", "-riscv64", "7."),
    ],
};
