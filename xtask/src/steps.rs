//! The checks, each by itself.

use std::process::Command;

use crate::run::{cargo, output, run, target, Result};

/// The workspaces beside the main one: their manifests, and what their compiler
/// must be told.
const OTHER_WORKSPACES: [(&str, &str); 2] = [
    ("bench/Cargo.toml", ""),
    // As cargo-fuzz does: without it the C library has a panic handler.
    ("fuzz/Cargo.toml", "--cfg fuzzing"),
];

/// The oldest Rust that compiles what users get.
const MSRV: &str = "1.85";

/// The manifests of all workspaces.
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
    // The variable: so that the part of `truth` is seen that links the C library;
    // nothing links here.
    let mut own = cargo(&workspace);
    run(own.args(denied).env("TRUTH_C_OBJECT", "/dev/null"))?;
    for (manifest, flags) in OTHER_WORKSPACES {
        let mut clippy = cargo(&workspace);
        clippy.args(["--manifest-path", manifest]).args(denied);
        if !flags.is_empty() {
            // Another place, or each would undo the other's work.
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

/// With a compiler of exactly that version: from `MSRV_RUSTC`, else Debian's
/// (`apt-get install rustc-web libstd-rust-web-dev` on Debian 12).
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
    let users_packages = [
        "process-introspection",
        "libintrospection",
        "introspect-cli",
    ];
    let mut check = cargo(&["check"]);
    for package in users_packages {
        check.args(["--package", package]);
    }
    run(check.env("RUSTC", rustc).env("CARGO_TARGET_DIR", directory))
}

/// Shared and static, gcc and clang, C and C++, sanitizers, pkg-config, manuals.
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
