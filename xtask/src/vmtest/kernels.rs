//! Lines of kernel packages in Debian: their names and suites. Knows neither machines
//! nor tests.

/// Architecture of a kernel or of a program.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arch {
    Amd64,
    I386,
    Arm64,
    Riscv64,
}

impl Arch {
    /// Name in Debian.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::I386 => "i386",
            Self::Arm64 => "arm64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// Suites with its kernels. Security updates are separate suites; riscv64 exists
    /// since trixie.
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

/// First and last characters of the packages' names, and first characters of the
/// kernel's release.
pub(crate) type Packages = &'static [(&'static str, &'static str, &'static str)];

/// A line of kernel packages; a row uses the newest.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) arch: Arch,
    /// Name of the line in documents.
    pub(crate) line: &'static str,
    /// Patterns in order; the first that any package matches is used.
    pub(crate) packages: Packages,
}

pub(crate) const K5_10: Kernel = Kernel {
    arch: Arch::Amd64,
    line: "5.10",
    packages: &[("linux-image-5.10.", "-cloud-amd64", "5.10.")],
};
/// With drivers that kernels for clouds lack.
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
/// With drivers, as [`K5_10_WHOLE`].
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
/// With drivers, as [`K5_10_WHOLE`]. These are packages of modules; the kernel is in a
/// second package.
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
