//! The stack of a function of the built archive: the deepest chain of calls in its
//! code, from the disassembly. A painted stack shows the use of some calls; this is
//! the bound of all calls. Knows no function by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use crate::run;

/// Stack of external functions: memcpy and the like, and C's own small functions.
const OUTSIDE: u64 = 128;

/// Stack of a call that the header promises, exclusive, in bytes.
pub const PROMISED: u64 = 6 << 10;

/// Functions that are not entered, by parts of their names, with the reasons.
const ENDS: [&str; 5] = [
    // These end the program.
    "panicking",
    "_fail",
    "unwrap_failed",
    // Servers of file systems are avoided only on request, which C lacks.
    "is_of_server",
    "copy_start",
];

/// Returns the stack of each call of the library.
///
/// # Errors
/// As [`Code::deepest`].
pub fn of_calls(code: &Code) -> Result<Vec<(String, Chain)>, String> {
    let calls = code.functions.keys();
    let calls = calls.filter(|name| name.starts_with("introspection_") || *name == "getpid64");
    let ends = |name: &str| ENDS.iter().any(|end| name.contains(end));
    calls
        .map(|name| Ok((name.clone(), code.deepest(name, &ends)?)))
        .collect()
}

/// A function, and the deepest chain of calls below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Total in bytes.
    pub bytes: u64,
    /// The functions and the stack of each, outermost first.
    pub frames: Vec<(String, u64)>,
}

#[derive(Default)]
struct Function {
    frame: u64,
    /// Functions, and data that can contain their addresses.
    uses: BTreeSet<String>,
    /// Whether its frame varies.
    varies: bool,
    is_data: bool,
}

/// Code of an archive.
#[derive(Default)]
pub struct Code {
    functions: BTreeMap<String, Function>,
}

impl Code {
    /// Reads an archive for x86-64 or arm64, by the `objdump` for it.
    ///
    /// # Errors
    /// Errors of `objdump`, and other architectures.
    pub fn of_archive(objdump: &str, archive: &Path) -> Result<Self, String> {
        let shown = |options: &[&str]| run(Command::new(objdump).args(options).arg(archive));
        let mut code = Self::default();
        code.add_instructions(&shown(&["--disassemble", "--reloc", "--no-show-raw-insn"])?)?;
        code.add_data(&shown(&["--reloc"])?);
        Ok(code)
    }

    /// Returns the deepest chain below `name`. `ends` selects the functions that are not
    /// entered: those that end the program, or are known not to be called.
    ///
    /// # Errors
    /// A function below `name` that calls itself or whose frame varies; no function
    /// of that name.
    pub fn deepest(&self, name: &str, ends: &dyn Fn(&str) -> bool) -> Result<Chain, String> {
        if !self.functions.contains_key(name) {
            return Err(format!("there is no function {name}"));
        }
        let mut search = Search {
            code: self,
            ends,
            known: HashMap::new(),
            within: Vec::new(),
        };
        search.below(name)
    }

    fn add_instructions(&mut self, text: &str) -> Result<(), String> {
        let mut arch: Option<fn(&mut Function, &str)> = None;
        let mut name = String::new();
        // A call within a member names its target itself, unless the next line
        // is a relocation, which then does.
        let mut called: Option<String> = None;
        for line in text.lines() {
            if let Some((_, format)) = line.split_once("file format ") {
                arch = Some(match format.trim() {
                    "elf64-x86-64" => x86,
                    "elf64-littleaarch64" => arm,
                    other => return Err(format!("{other} is not known here")),
                });
                continue;
            }
            if let Some(begun) = begun(line) {
                name = begun.to_owned();
                self.functions.entry(name.clone()).or_default();
                called = None;
                continue;
            }
            let Some(function) = self.functions.get_mut(&name) else {
                continue;
            };
            if let Some(symbol) = relocation(line) {
                function.uses.insert(symbol);
                called = None;
                continue;
            }
            function.uses.extend(called.take());
            if let (Some(arch), Some((_, instruction))) = (arch, line.split_once(":\t")) {
                arch(function, instruction.trim());
                let what = instruction.split_whitespace().next();
                let is_call = matches!(what, Some("call" | "bl"));
                called = target(instruction).filter(|target| is_call || *target != name);
            }
        }
        Ok(())
    }

    /// Addresses of functions in data. (Tables of jumps hold differences.)
    fn add_data(&mut self, text: &str) {
        let mut section = None;
        for line in text.lines() {
            if let Some(named) = line.strip_prefix("RELOCATION RECORDS FOR [") {
                section = in_data(named.trim_end_matches("]:"));
                continue;
            }
            let is_address = ["R_X86_64_64", "R_AARCH64_ABS64"]
                .iter()
                .any(|kind| line.contains(kind));
            if let (Some(name), Some(symbol), true) = (section, relocation(line), is_address) {
                let data = self.functions.entry(name.to_owned()).or_default();
                data.is_data = true;
                data.uses.insert(symbol);
            }
        }
    }
}

/// Returns the name after which a section of data that the linker or loader fills in
/// is named. (`.rodata` has tables of jumps, named after their functions.)
fn in_data(section: &str) -> Option<&str> {
    let prefixes = [".data.rel.ro.local.", ".data.rel.ro.", ".data."];
    let named = prefixes
        .iter()
        .find_map(|prefix| section.strip_prefix(prefix));
    named.or_else(|| section.starts_with(".data").then_some(section))
}

/// `0000000000000000 <name>:`
fn begun(line: &str) -> Option<&str> {
    let (address, rest) = line.split_once(" <")?;
    let is_address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit());
    rest.strip_suffix(">:").filter(|_| is_address)
}

/// Returns the target of a relocation's line: a function, or a section of data. A
/// section of one function is named after it.
fn relocation(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("R_")?;
    let symbol = rest.split_whitespace().nth(1)?;
    let symbol = symbol.split("-0x").next()?.split("+0x").next()?;
    let of_text = symbol.strip_prefix(".text.");
    let name = of_text.map(|name| name.strip_prefix("unlikely.").unwrap_or(name));
    Some(
        name.or_else(|| in_data(symbol))
            .unwrap_or(symbol)
            .to_owned(),
    )
}

/// Returns the function that an instruction without a relocation calls.
fn target(instruction: &str) -> Option<String> {
    let (_, symbol) = instruction.split_once('<')?;
    let symbol = symbol.trim_end().strip_suffix('>')?;
    Some(symbol.split("+0x").next()?.to_owned())
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn x86(function: &mut Function, instruction: &str) {
    let mut words = instruction.split_whitespace();
    let (what, operands) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if what.starts_with("push") {
        function.frame += 8;
        return;
    }
    let Some(from) = operands.strip_suffix(",%rsp") else {
        return;
    };
    let immediate = from.strip_prefix('$').and_then(number);
    match (what, immediate) {
        ("sub" | "subq", Some(size)) => function.frame += size,
        // Adding -128 is the short form of subtracting 128.
        ("add" | "addq", Some(size)) if size > 1 << 63 => function.frame += size.wrapping_neg(),
        ("add" | "addq", Some(_)) => {}
        ("and" | "andq", Some(mask)) => function.frame += mask.wrapping_neg(),
        // A released frame.
        ("mov" | "lea", _) if from.contains("%rbp") => {}
        _ => function.varies = true,
    }
}

fn arm(function: &mut Function, instruction: &str) {
    let (what, operands) = instruction.split_once('\t').unwrap_or((instruction, ""));
    if let Some((_, back)) = operands.split_once("[sp, #-") {
        // Stored below, and the pointer moved there.
        let size = back.strip_suffix("]!").and_then(number);
        function.frame += size.unwrap_or(0);
    } else if let Some(rest) = operands.strip_prefix("sp, sp, ") {
        let mut parts = rest.trim_start_matches('#').split(", lsl #");
        let size = parts.next().and_then(number);
        let shift = parts.next().and_then(number).unwrap_or(0);
        match (what, size) {
            ("sub", Some(size)) => function.frame += size << shift,
            ("add", Some(_)) => {}
            _ => function.varies = true,
        }
    }
}

struct Search<'a> {
    code: &'a Code,
    ends: &'a dyn Fn(&str) -> bool,
    known: HashMap<String, Chain>,
    within: Vec<String>,
}

impl Search<'_> {
    fn below(&mut self, name: &str) -> Result<Chain, String> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        if self.within.iter().any(|outer| outer == name) {
            return Err(format!("{name} calls itself: {:?}", self.within));
        }
        let Some(function) = self.code.functions.get(name) else {
            // A dot begins the names of data.
            return Ok(Chain {
                bytes: if name.starts_with('.') { 0 } else { OUTSIDE },
                frames: Vec::new(),
            });
        };
        if function.varies {
            return Err(format!("how much {name} takes is not told by its code"));
        }
        self.within.push(name.to_owned());
        let mut deepest = Chain::default();
        for used in &function.uses {
            if (self.ends)(used) {
                continue;
            }
            let below = self.below(used)?;
            if below.bytes > deepest.bytes {
                deepest = below;
            }
        }
        self.within.pop();
        // With the return address, wherever it is stored.
        let own = if function.is_data {
            0
        } else {
            function.frame + 8
        };
        deepest.bytes += own;
        deepest.frames.insert(0, (name.to_owned(), own));
        self.known.insert(name.to_owned(), deepest.clone());
        Ok(deepest)
    }
}
