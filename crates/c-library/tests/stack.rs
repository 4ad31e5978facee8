//! The promised stack, compared with the code of the built archive.

#![cfg(target_arch = "x86_64")]

mod programs;

use std::fs;
use std::path::Path;
use std::process::Command;

use c_library::run;
use c_library::stack::{self, Code, PROMISED};
use programs::library;

#[test]
fn no_chain_of_calls_takes_more_stack_than_is_promised() {
    let code = Code::of_archive("objdump", &library().archive).unwrap();
    let header = fs::read_to_string(library().include.join("sys/introspection.h")).unwrap();
    assert!(header.contains(&format!("less than {} KiB of stack", PROMISED >> 10)));
    let chains = stack::of_calls(&code).unwrap();
    assert!(chains.len() >= 10, "{}", chains.len());
    for (call, chain) in &chains {
        println!("{call}: {} bytes", chain.bytes);
        assert!(chain.bytes < PROMISED, "{call}: {chain:#?}");
    }
    let deepest = chains.iter().map(|(_, chain)| chain.bytes).max();
    assert!(
        deepest > Some(PROMISED / 2),
        "storage for entries alone is 2 KiB"
    );
}

/// The oracle is the C compiler, which reports the stack of each function.
#[test]
fn a_chain_is_the_sum_of_what_the_compiler_says() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stack-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let source = "
        __attribute__((noinline)) static int low(int n) { volatile char a[1000]; a[n] = 1; return a[0]; }
        __attribute__((noinline)) static int small(int n) { volatile char a[100]; a[n] = 1; return a[1]; }
        __attribute__((noinline)) int middle(int n) {
            volatile char a[120]; a[n] = 2; return a[0] + low(n) + small(n);
        }
        int (*const table[])(int) = {middle, small};
        int high(int n) { volatile long a[4096]; a[n] = 3; return a[1] + table[n & 1](n); }
        int again(int n) { volatile int a[8]; a[n & 7] = n; return n ? again(n - 1) + a[1] : a[0]; }
        int varies(int n) { volatile char a[n]; a[0] = 1; return small(n) + a[0]; }
    ";
    fs::write(dir.join("a.c"), source).unwrap();
    let compile = run(Command::new("gcc")
        .args(["-O1", "-fstack-usage", "-fdata-sections", "-c", "a.c"])
        .current_dir(&dir));
    let packed = compile.and_then(|_| {
        run(Command::new("ar")
            .args(["rcs", "a.a", "a.o"])
            .current_dir(&dir))
    });
    let usage = fs::read_to_string(dir.join("a.su"));
    let code = packed.and_then(|_| Code::of_archive("objdump", &dir.join("a.a")));
    fs::remove_dir_all(&dir).unwrap();
    let (usage, code) = (usage.unwrap(), code.unwrap());
    let says = |name: &str| -> u64 {
        let line = usage
            .lines()
            .find(|line| line.contains(&format!(":{name}\t")))
            .unwrap();
        line.split('\t').nth(1).unwrap().parse().unwrap()
    };
    let none = |_: &str| false;
    let deepest = |name| code.deepest(name, &none);
    let middle = says("middle") + says("low");
    assert_eq!(deepest("middle").unwrap().bytes, middle);
    assert_eq!(
        deepest("high").unwrap().bytes,
        says("high") + middle,
        "by a table"
    );
    let without = code.deepest("middle", &|name| name == "low").unwrap();
    assert_eq!(without.bytes, says("middle") + says("small"));
    assert!(deepest("again").unwrap_err().contains("calls itself"));
    assert!(deepest("varies").unwrap_err().contains("not told"));
    assert!(deepest("absent").is_err());
}
