//! Links the C library into the guest's program if `TRUTH_C_OBJECT` names an object
//! with only the library's own symbols, which `cargo xtask truth` makes. The archive
//! itself contains a panic handler, and the program has its own.

fn main() {
    println!("cargo:rerun-if-env-changed=TRUTH_C_OBJECT");
    if let Ok(object) = std::env::var("TRUTH_C_OBJECT") {
        println!("cargo:rerun-if-changed={object}");
        println!("cargo:rustc-link-arg-bin=truth-guest={object}");
        // The object comes after libc on the command line and needs libc, too.
        println!("cargo:rustc-link-arg-bin=truth-guest=-Wl,-Bstatic");
        println!("cargo:rustc-link-arg-bin=truth-guest=-lc");
        println!("cargo:rustc-cfg=c_library");
    }
}
