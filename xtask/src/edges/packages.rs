//! Allowed dependencies between packages, and of packages on others. Reads
//! `cargo metadata`.

use serde_json::Value;

use crate::run::{cargo, output, Result};

/// Each package of the workspace with the packages of the workspace and the others that
/// it may depend on.
const ALLOWED: [(&str, &[&str], Others); 12] = [
    (
        "process-introspection-core",
        &[],
        Others::Only(&["syscalls", "linux-raw-sys"]),
    ),
    (
        "process-introspection",
        &["process-introspection-core"],
        Others::Only(&["libc", "rustix"]),
    ),
    (
        "libintrospection",
        &["process-introspection-core"],
        Others::Only(&[]),
    ),
    (
        "process-introspection-export",
        &["process-introspection"],
        Others::Any,
    ),
    (
        "process-introspection-dataset",
        &["process-introspection", "process-introspection-export"],
        Others::Any,
    ),
    (
        "process-introspection-picture",
        &["process-introspection", "process-introspection-export"],
        Others::Any,
    ),
    (
        "introspect-cli",
        &[
            "process-introspection",
            "process-introspection-export",
            "process-introspection-dataset",
            "process-introspection-picture",
        ],
        Others::Any,
    ),
    ("testkit", &[], Others::Only(&["libc"])),
    ("c-library", &[], Others::Only(&["libc", "syscalls"])),
    ("vmtest-guest", &[], Others::Only(&["libc"])),
    ("truth", &["process-introspection"], Others::Only(&["libc"])),
    ("xtask", &["c-library", "testkit", "truth"], Others::Any),
];

enum Others {
    Any,
    Only(&'static [&'static str]),
}

pub(crate) fn check() -> Result<()> {
    let metadata = output(&mut cargo(&[
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let packages = metadata["packages"]
        .as_array()
        .ok_or("cargo metadata lists no packages")?;
    let ours: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut wrong = Vec::new();
    for package in packages {
        check_package(package, &ours, &mut wrong);
    }
    for (name, ..) in ALLOWED {
        if !ours.contains(&name) {
            wrong.push(format!("{name} is no package any more: remove its line"));
        }
    }
    if wrong.is_empty() {
        eprintln!("  {} packages keep to their edges", packages.len());
        return Ok(());
    }
    Err(wrong.join("\n"))
}

fn check_package(package: &Value, ours: &[&str], wrong: &mut Vec<String>) {
    let name = package["name"].as_str().unwrap_or_default();
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    // Dependencies of tests are not restricted; `kind` is null for the others.
    let to_run = dependencies.filter(|dependency| dependency["kind"].is_null());
    let Some((_, own, others)) = ALLOWED.iter().find(|(allowed, ..)| *allowed == name) else {
        if to_run.count() > 0 {
            wrong.push(format!(
                "{name} depends on something but has no line in the list of edges"
            ));
        }
        return;
    };
    for dependency in to_run {
        let on = dependency["name"].as_str().unwrap_or_default();
        let allowed = match others {
            _ if ours.contains(&on) => own.contains(&on),
            Others::Any => true,
            Others::Only(names) => names.contains(&on),
        };
        if !allowed {
            wrong.push(format!("{name} must not depend on {on}"));
        }
    }
}
