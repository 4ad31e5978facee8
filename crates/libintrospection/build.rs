//! Compiles the C entry points into the library.

fn main() {
    for file in ["src/entry.c", "include/sys/introspection.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    cc::Build::new()
        .file("src/entry.c")
        .include("include")
        .std("c11")
        .extra_warnings(true)
        // The unwinder must pass the entry points, also on architectures where C has
        // no unwind tables by default.
        .flag("-fexceptions")
        .compile("introspection_entry");
}
