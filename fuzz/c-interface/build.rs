//! Compiles the C entry points, as libintrospection's own build script does.

fn main() {
    let library = "../../crates/libintrospection";
    let (entry, include) = (
        format!("{library}/src/entry.c"),
        format!("{library}/include"),
    );
    println!("cargo:rerun-if-changed={entry}");
    println!("cargo:rerun-if-changed={include}");
    cc::Build::new()
        .file(entry)
        .include(include)
        .std("c11")
        .extra_warnings(true)
        .flag("-fexceptions")
        .compile("introspection_entry");
}
