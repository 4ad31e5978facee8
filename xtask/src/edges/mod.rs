//! Who may depend on whom: packages, and the modules inside them.

mod imports;
mod modules;
mod packages;
mod table;

use crate::run::Result;

/// Compares packages and modules with what is allowed.
pub(crate) fn check() -> Result<()> {
    packages::check()?;
    modules::check_all()
}
