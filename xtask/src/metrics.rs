//! Metrics as Prometheus reads them: its own checks of rules, and the tests that start it.

use std::process::Command;

use crate::run::{cargo, output, root, run, Result};

/// Checks the rules with promtool, and runs the tests of metrics with promtool and Prometheus.
pub(crate) fn metrics() -> Result<()> {
    for program in ["prometheus", "promtool"] {
        let version = output(Command::new(program).arg("--version"));
        let version = version.map_err(|error| format!("{error}; install prometheus"))?;
        eprintln!("  {}", version.lines().next().unwrap_or_default());
    }
    let rules = root().join("dashboards");
    for (what, file) in [("check", "rules.yml"), ("test", "rules_test.yml")] {
        let mut promtool = Command::new("promtool");
        run(promtool.args([what, "rules", file]).current_dir(&rules))?;
    }
    let tests = [
        "test",
        "--package",
        "introspect-cli",
        "--test",
        "prometheus",
    ];
    run(cargo(&tests).env("INTROSPECT_PROMETHEUS", "1"))
}
