//! The crates as a registry gets them.

use crate::run::{cargo, run, Result};

/// Packs each crate that is published and builds it from its archive, with the crates of this
/// workspace that it depends on, in the order in which they would be published.
pub(crate) fn publish() -> Result<()> {
    // Changes that are not committed are no error here; docs/RELEASING.md publishes without.
    let options = ["--workspace", "--dry-run", "--allow-dirty", "--quiet"];
    run(cargo(&["publish"]).args(options))
}
