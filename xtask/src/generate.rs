//! Files that are generated from the sources and committed. A test compares each file with
//! the sources; the same test writes it.

use crate::run::{cargo, run, Result};
use crate::vmtest::document;

/// Tests that write files: the schemas and FIELDS.md, DATASETS.md and golden lakes that are
/// missing, MESSAGES.md, PICTURES.md and pictures.
const TESTS: [&str; 4] = [
    "--package process-introspection-export --test generated",
    "--package process-introspection-dataset --test generated --test golden",
    "--package introspect-cli --test pure the_document",
    "--package process-introspection-picture --test pictures",
];

/// Writes the generated files in `docs`.
pub(crate) fn generate() -> Result<()> {
    for test in TESTS {
        let mut command = cargo(&["test", "--quiet"]);
        run(command.args(test.split(' ')).env("GENERATE", "1"))?;
    }
    document::write()
}
