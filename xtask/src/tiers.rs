//! Tiers of checks: `quick` while one works, `deep` for what takes hours. The
//! gate, `.ci/run`, lies between the two. Each step is a command that a person
//! can run alone; what it checks is not known here.

use std::time::Instant;

use crate::run::{cargo, run, Result};

/// What is checked while one works.
const QUICK: [&str; 5] = [
    "xtask fmt",
    "xtask clippy",
    "xtask edges",
    "test --quiet --workspace --exclude libintrospection --lib --bins --test pure --test pure_parts",
    "xtask vmtest --only amd64-5.10$ --program oracle",
];

/// Commands of cargo for everything long; `SECONDS` is what the user chose.
const DEEP: [&str; 11] = [
    "xtask minimal-versions",
    "test --package process-introspection --test storm -- --nocapture",
    "test --package c-library --test storm -- --nocapture",
    "test --release --package introspect-cli --test report_size -- --ignored",
    "xtask truth --seconds 60",
    "xtask fuzz --seconds SECONDS",
    "xtask bench --strict",
    "xtask fleet --large",
    "xtask packages",
    "xtask publish",
    "xtask vmtest",
];

/// Which long checks to run.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask deep                        everything, more than 70 minutes
  cargo xtask deep fuzz truth             only steps whose command contains one of these
  cargo xtask deep storm --seconds 3600   storms of an hour each
  cargo xtask deep --seconds 5            a trial of the steps themselves

The benchmark and physical addresses need root. Guests need what
`cargo xtask vmtest --help` lists. A step that fails does not stop the others.")]
pub(crate) struct Deep {
    /// Run only steps whose command contains one of these
    #[arg(value_name = "PART")]
    parts: Vec<String>,
    /// Duration of each storm and of each fuzz target
    #[arg(long, value_name = "N", default_value_t = 600,
          value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// Runs the quick checks up to the first that fails.
pub(crate) fn quick() -> Result<()> {
    let mut steps = Steps::default();
    let result = QUICK.iter().try_for_each(|step| steps.run(step, &[]));
    steps.print();
    result
}

/// Runs the long checks, also after one has failed.
pub(crate) fn deep(arguments: &Deep) -> Result<()> {
    let seconds = arguments.seconds.to_string();
    let is_chosen = |step: &str| {
        let parts = &arguments.parts;
        parts.is_empty() || parts.iter().any(|part| step.contains(part.as_str()))
    };
    let mut steps = Steps::default();
    let mut failed = Vec::new();
    for step in DEEP.iter().filter(|step| is_chosen(step)) {
        let step = step.replace("SECONDS", &seconds);
        failed.extend(
            steps
                .run(&step, &[(testkit::storm::SECONDS, &seconds)])
                .err(),
        );
    }
    steps.print();
    match failed[..] {
        [] if steps.0.is_empty() => Err("no step's command contains that".to_owned()),
        [] => Ok(()),
        _ => Err(failed.join("\n")),
    }
}

/// Steps that were run, each with its seconds and whether it succeeded.
#[derive(Default)]
struct Steps(Vec<(String, u64, bool)>);

impl Steps {
    fn run(&mut self, step: &str, environment: &[(&str, &str)]) -> Result<()> {
        eprintln!("\n== cargo {step}");
        let words: Vec<&str> = step.split(' ').collect();
        let begun = Instant::now();
        let result = run(cargo(&words).envs(environment.iter().copied()));
        let seconds = begun.elapsed().as_secs();
        self.0
            .push((format!("cargo {step}"), seconds, result.is_ok()));
        result
    }

    fn print(&self) {
        println!();
        for (step, seconds, is_ok) in &self.0 {
            let result = if *is_ok { "ok" } else { "FAILED" };
            println!("{seconds:>6} s  {result:<6}  {step}");
        }
        let all: u64 = self.0.iter().map(|(_, seconds, _)| seconds).sum();
        println!("{all:>6} s  in all");
    }
}
