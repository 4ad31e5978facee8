//! Links the C library into the guest's program if it is told where that is:
//! one object with only the library's own symbols, made by `cargo xtask truth`.
//! The archive itself has a panic handler, of which a program has one already.

fn main() {
    println!("cargo:rerun-if-env-changed=TRUTH_C_OBJECT");
    if let Ok(object) = std::env::var("TRUTH_C_OBJECT") {
        println!("cargo:rerun-if-changed={object}");
        println!("cargo:rustc-link-arg-bin=truth-guest={object}");
        // It comes after libc, of which it needs something.
        println!("cargo:rustc-link-arg-bin=truth-guest=-Wl,-Bstatic");
        println!("cargo:rustc-link-arg-bin=truth-guest=-lc");
        println!("cargo:rustc-cfg=c_library");
    }
}
