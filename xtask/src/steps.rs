//! Checks that are one or a few commands.

use std::process::Command;

use crate::run::{cargo, output, run, target, Result};

/// Manifests of the other workspaces, with flags for the compiler.
const OTHER_WORKSPACES: [(&str, &str); 3] = [
    ("bench/Cargo.toml", ""),
    ("python/Cargo.toml", ""),
    // As cargo-fuzz does; otherwise the C library contains a panic handler.
    ("fuzz/Cargo.toml", "--cfg fuzzing"),
];

/// Oldest supported Rust.
const MSRV: &str = "1.85";

/// Manifests of all workspaces.
pub(crate) fn workspaces() -> impl Iterator<Item = &'static str> {
    let others = OTHER_WORKSPACES.iter().map(|(manifest, _)| *manifest);
    std::iter::once("Cargo.toml").chain(others)
}

pub(crate) fn fmt() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    for (manifest, _) in OTHER_WORKSPACES {
        run(&mut cargo(&["fmt", "--manifest-path", manifest, "--check"]))?;
    }
    Ok(())
}

pub(crate) fn clippy() -> Result<()> {
    let workspace = ["clippy", "--workspace", "--all-targets"];
    let denied = ["--", "-D", "warnings"];
    // With the variable clippy also reads the part of `truth` that needs the C library.
    // Clippy links nothing.
    let mut own = cargo(&workspace);
    run(own.args(denied).env("TRUTH_C_OBJECT", "/dev/null"))?;
    for (manifest, flags) in OTHER_WORKSPACES {
        let mut clippy = cargo(&workspace);
        clippy.args(["--manifest-path", manifest]).args(denied);
        if !flags.is_empty() {
            // Other flags in the same directory would cause rebuilds.
            let directory = target().join("clippy").join(manifest);
            clippy
                .env("RUSTFLAGS", flags)
                .env("CARGO_TARGET_DIR", directory);
        }
        run(&mut clippy)?;
    }
    Ok(())
}

pub(crate) fn doc() -> Result<()> {
    run(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Compiles the published packages with the oldest supported Rust, from `MSRV_RUSTC` or
/// Debian's (`apt-get install rustc-web libstd-rust-web-dev` on Debian 12).
pub(crate) fn msrv() -> Result<()> {
    let rustc = std::env::var("MSRV_RUSTC").unwrap_or("/usr/bin/rustc".to_owned());
    let version = output(Command::new(&rustc).arg("--version")).map_err(|why| {
        format!("no Rust {MSRV} to check with; install rustc-web, or set MSRV_RUSTC ({why})")
    })?;
    if !version.contains(&format!(" {MSRV}.")) {
        return Err(format!(
            "{rustc} is {}, not {MSRV}; set MSRV_RUSTC",
            version.trim()
        ));
    }
    eprintln!("  {}", version.trim());
    let directory = target().join("msrv");
    let promised = [
        "process-introspection",
        "libintrospection",
        "process-introspection-export",
    ];
    let mut check = cargo(&["check"]);
    for package in promised {
        check.args(["--package", package]);
    }
    run(check.env("RUSTC", rustc).env("CARGO_TARGET_DIR", directory))
}

/// Tests the C library with gcc and clang as C and C++, shared and static, with
/// sanitizers, pkg-config and the manual pages.
pub(crate) fn c() -> Result<()> {
    run(&mut cargo(&[
        "test",
        "--package",
        "c-library",
        "--test",
        "toolchains",
        "--",
        "--include-ignored",
    ]))
}
