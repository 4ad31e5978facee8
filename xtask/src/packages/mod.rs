//! The Debian packages: builds them, checks them, and uses them in a clean root. Each part
//! is a module: the build, the root, the units of systemd.

mod booted;
mod clean_root;
mod debian;
mod notices;
mod trial;
mod units;

use crate::run::Result;

/// How they are built.
#[derive(clap::Args)]
#[command(after_help = "\
The packages are in target/packages.

Needs root, and: apt-get install debhelper dh-python dpkg-dev lintian mmdebstrap util-linux

Examples:
  cargo xtask packages                  packages to publish
  cargo xtask packages --profile dev    the same checks, with a command that other checks have built
  cargo xtask packages --build-only     no checks")]
pub(crate) struct Arguments {
    /// Profile of the command's build
    #[arg(long, default_value = "release")]
    profile: String,
    /// Build the packages and do not check them
    #[arg(long)]
    build_only: bool,
}

/// Builds the packages, and unless that is all, checks them.
pub(crate) fn packages(arguments: &Arguments) -> Result<()> {
    let built = debian::build(&arguments.profile)?;
    if !arguments.build_only {
        debian::check(&built)?;
        trial::trial(&built)?;
    }
    for package in &built.packages {
        println!("{}", package.display());
    }
    Ok(())
}
