//! The checks, each by itself.

use std::process::Command;

use crate::edges;
use crate::run::{cargo, output, run, target, Result};

/// The workspaces beside the main one, by their manifests.
const OTHER_WORKSPACES: [&str; 1] = ["bench/Cargo.toml"];

/// The oldest Rust that compiles what users get.
const MSRV: &str = "1.85";

pub(crate) fn fmt() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    for manifest in OTHER_WORKSPACES {
        run(&mut cargo(&["fmt", "--manifest-path", manifest, "--check"]))?;
    }
    Ok(())
}

pub(crate) fn clippy() -> Result<()> {
    let mut clippy = cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    // So that the part of it is seen that links the C library; nothing links here.
    run(clippy.env("TRUTH_C_OBJECT", "/dev/null"))?;
    for manifest in OTHER_WORKSPACES {
        run(&mut cargo(&[
            "clippy",
            "--manifest-path",
            manifest,
            "--",
            "-D",
            "warnings",
        ]))?;
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

pub(crate) fn check() -> Result<()> {
    fmt()?;
    clippy()?;
    doc()?;
    edges::check()?;
    msrv()?;
    c()
}
