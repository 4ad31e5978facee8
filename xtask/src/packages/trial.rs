//! The packages in a clean root: installed, used, removed. Each step is a function, named
//! after what it shows.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use super::booted;
use super::clean_root::{CleanRoot, Contents};
use super::debian::Built;
use super::units::Service;
use crate::run::{target, Result};

/// Folder of the units in the root.
const UNITS: &str = "/lib/systemd/system";

/// Settings of the services.
const SETTINGS: &str = "/etc/default/introspect";

/// The lake of the services.
const LAKE: &str = "/var/lib/introspect";

/// Services, each with the unit that an administrator enables, and with the exposure that
/// `systemd-analyze security` may find at most, in tenths of its points from 0 to 10.
const SERVICES: [(&str, &str, u8); 3] = [
    (
        "introspect-snapshot.service",
        "introspect-snapshot.timer",
        17,
    ),
    ("introspect-prune.service", "introspect-prune.timer", 5),
    (
        "introspect-metrics.service",
        "introspect-metrics.service",
        26,
    ),
];

/// A metric of frames, and one of processes.
const FRAMES: &str = "introspect_memory_bytes{";
const PROCESSES: &str = "introspect_group_memory_bytes{";

/// Asks the service of metrics until its first walk of processes has ended, in the words of
/// bash: no package brings a client. With its budget, a walk of frames takes minutes.
const SCRAPE: &str = "\
scrape() (
    exec 3<>/dev/tcp/127.0.0.1/9925
    printf 'GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3
    cat <&3
)
for attempt in {1..100}; do
    scrape | grep \"$1\" && exit
    sleep 0.1
done
exit 1
";

/// Examples of the C library with the package of pkg-config that each needs.
const EXAMPLES: [(&str, &str); 3] = [
    ("regions", "introspection"),
    ("growing", "introspection"),
    ("qnx_processes", "introspection-qnx"),
];

/// A step of the trial, with its name.
type Step = (&'static str, fn(&CleanRoot) -> Result<()>);

/// Installs the packages in a new clean root, uses what they contain, removes them and looks
/// for what is left.
pub(crate) fn trial(built: &Built) -> Result<()> {
    let root = CleanRoot::new(target().join("packages/root"))?;
    for package in &built.packages {
        root.take(package, "/debs")?;
    }
    let before = root.contents()?;
    root.run(&[
        "sh",
        "-c",
        "apt-get install --yes --no-install-recommends /debs/*.deb",
    ])?;
    let steps: [Step; 8] = [
        ("the command, its pages and completions", command),
        ("the group", group),
        ("programs in C", programs),
        ("checks of the units", units),
        ("what the services execute", executed),
        ("the services, by systemd", services),
        ("an override of the owner and the mode", statoverride),
        ("Python", python),
    ];
    for (name, step) in steps {
        eprintln!("== {name}");
        step(&root).map_err(|error| format!("{name}: {error}"))?;
    }
    eprintln!("== removal");
    removal(&root, built, &before)
}

fn command(root: &CleanRoot) -> Result<()> {
    contains(
        &root.output(&["introspect", "--version"])?,
        env!("CARGO_PKG_VERSION"),
    )?;
    contains(&root.output(&["introspect", "physical", "self"])?, " ram ")?;
    for page in [
        "introspect",
        "introspect-physical",
        "introspection_get_physical_regions",
    ] {
        contains(&root.output(&["man", "--where", page])?, ".gz")?;
        contains(&root.output(&["man", page])?, "NAME")?;
    }
    let complete = ". /usr/share/bash-completion/bash_completion; _completion_loader introspect; \
                    complete -p introspect";
    contains(&root.output(&["bash", "-c", complete])?, "_introspect")?;
    for (file, text) in [
        (
            "/usr/share/zsh/vendor-completions/_introspect",
            "#compdef introspect",
        ),
        (
            "/usr/share/fish/vendor_completions.d/introspect.fish",
            "complete -c introspect",
        ),
    ] {
        contains(&text_of(&root.path(file))?, text)?;
    }
    Ok(())
}

fn group(root: &CleanRoot) -> Result<()> {
    let stat = root.output(&["stat", "--format=%U:%G %a", "/usr/bin/introspect"])?;
    contains(&stat, "root:introspect 750")?;
    let physical = ["introspect", "physical", "self"];
    // Not by setpriv, which keeps root's rights until it executes the program.
    let nobody = ["runuser", "-u", "nobody", "-g", "nogroup"];
    let member = [&nobody[..], &["-G", "introspect", "--"]].concat();
    contains(&root.output(&[&member[..], &physical].concat())?, " ram ")?;
    let other = [&nobody[..], &["--"], &physical].concat();
    fails(root, &other, "Permission denied")?;
    // The third capability is for services that have it.
    let read = ["introspect", "read", "1", "0+1"];
    fails(root, &[&member[..], &read].concat(), "CAP_SYS_PTRACE")
}

fn programs(root: &CleanRoot) -> Result<()> {
    for (name, package) in EXAMPLES {
        let compile = |options: &str, output: &str| {
            let sources = "/usr/share/doc/libintrospection-dev/examples";
            let flags = format!("$(pkg-config {options} --cflags --libs {package})");
            let line = format!("cc -Wall -Werror {options} {sources}/{name}.c -o {output} {flags}");
            // `-static` is the compiler's word, `--static` that of pkg-config.
            let line = line.replace("-Werror --static", "-Werror -static");
            root.run(&["sh", "-c", &line])
        };
        let [shared, archive] = [format!("/debs/{name}"), format!("/debs/{name}-static")];
        compile("", &shared)?;
        compile("--static", &archive)?;
        contains(
            &root.output(&["ldd", &shared])?,
            "libintrospection.so.1 => /lib/",
        )?;
        for program in [shared, archive] {
            let printed = root.output(&[&program])?;
            if printed.is_empty() {
                return Err(format!("{program} printed nothing"));
            }
        }
    }
    Ok(())
}

fn python(root: &CleanRoot) -> Result<()> {
    let rows = "\
import importlib.metadata, process_introspection
rows = list(process_introspection.Process(0).physical_regions(backed=True))
assert any(row['paddr'] for row in rows), rows
print(importlib.metadata.version('process-introspection'))";
    contains(
        &root.output(&["python3", "-c", rows])?,
        env!("CARGO_PKG_VERSION"),
    )
}

fn units(root: &CleanRoot) -> Result<()> {
    for (service, enabled, exposure) in SERVICES {
        // Warnings, of unknown settings for instance, are on standard error only.
        let verify = format!("systemd-analyze verify {service} {enabled} 2>&1");
        let said = root.output(&["sh", "-c", &verify])?;
        if !said.is_empty() {
            return Err(said);
        }
        let threshold = format!("--threshold={exposure}");
        let security = ["systemd-analyze", "security", "--offline=true"];
        root.run(&[&security[..], &[&threshold, service]].concat())?;
        let links = root.output(&["find", "/etc/systemd/system", "-name", enabled])?;
        if !links.is_empty() {
            return Err(format!("{enabled} is enabled by the installation"));
        }
    }
    Ok(())
}

/// Runs what the services execute as systemd would: with their user, and with their capabilities
/// and no others.
fn executed(root: &CleanRoot) -> Result<()> {
    let service = |name: &str| Service::read(&root.path(UNITS).join(format!("{name}.service")));
    let (snapshot, prune, metrics) = (
        service("introspect-snapshot")?,
        service("introspect-prune")?,
        service("introspect-metrics")?,
    );
    let settings = text_of(&root.path(SETTINGS))?;
    // As StateDirectory= does.
    root.run(&[
        "install",
        "-d",
        "-m",
        "700",
        "-o",
        "_introspect",
        "-g",
        "introspect",
        LAKE,
    ])?;
    let execute = |service: &Service, settings: &str, without: &[&str]| {
        let (options, command) = (service.setpriv(without)?, service.command(settings)?);
        let words = std::iter::once("setpriv").chain(options.iter().map(String::as_str));
        let words: Vec<_> = words.chain(command.iter().map(String::as_str)).collect();
        root.output(&words)
    };
    let target = Target::start()?;
    let stored = execute(&snapshot, &settings, &[])?;
    let listed = ["introspect", "snapshots", LAKE, "--format", "jsonl"];
    let snapshots = root.output(&listed)?;
    contains(&snapshots, stored.trim())?;
    // Frames are there, of processes of other users too.
    let pid = target.0.id().to_string();
    let stored_memory = ["introspect", "physical", &pid, "--backed", "--from", LAKE];
    contains(&root.output(&stored_memory)?, " ram ")?;
    // Pruning keeps what is new, and by an administrator's setting removes it.
    execute(&prune, &settings, &[])?;
    if root.output(&listed)? != snapshots {
        return Err("a new snapshot was pruned".to_owned());
    }
    // Each capability is needed. That of ptrace was, before Linux 6.15.
    let changed = "SNAPSHOT_OPTIONS=\"PID --frames\"\nPRUNE_OPTIONS=\"--keep 1\"\n";
    let one = format!("{settings}\n{}", changed.replace("PID", &pid));
    for (capability, why) in [
        ("CAP_SYS_ADMIN", "page frame numbers"),
        ("CAP_DAC_READ_SEARCH", "CAP_DAC_"),
    ] {
        match execute(&snapshot, &one, &[capability]) {
            Ok(_) => return Err(format!("a snapshot of frames needs no {capability}")),
            Err(error) => contains(&error, why)?,
        }
    }
    let second = execute(&snapshot, &one, &[])?;
    contains(&execute(&prune, &one, &[])?, stored.trim())?;
    let left = root.output(&listed)?;
    contains(&left, second.trim())?;
    // Printed once, where nobody is to be answered.
    let printed = format!("{settings}\nMETRICS_OPTIONS=\n");
    contains(&execute(&metrics, &printed, &[])?, FRAMES)?;
    for capability in ["CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH"] {
        if execute(&metrics, &printed, &[capability])?.contains(FRAMES) {
            return Err(format!("metrics of frames need no {capability}"));
        }
    }
    match left.lines().count() {
        1 => Ok(()),
        count => Err(format!("{count} snapshots are left of 1")),
    }
}

/// Runs the services with all of their restrictions.
fn services(root: &CleanRoot) -> Result<()> {
    let services = SERVICES.map(|(service, _, _)| service);
    fs::write(root.path("/debs/scrape"), SCRAPE).map_err(|error| error.to_string())?;
    let check = format!(
        "introspect snapshots {LAKE} && introspect physical 1 --backed --from {LAKE} | grep -m 1 \" ram \" && \
         bash /debs/scrape {PROCESSES}"
    );
    booted::run(root, &target().join("packages/booted"), &services, &check)
}

/// An administrator's owner and mode stay when the package is installed again, and a program
/// that everybody may execute has no capabilities.
fn statoverride(root: &CleanRoot) -> Result<()> {
    let program = "/usr/bin/introspect";
    let again = "apt-get install --yes --reinstall /debs/introspect_*.deb";
    let capabilities = || root.output(&["getcap", program]);
    root.run(&["sh", "-c", again])?;
    contains(&capabilities()?, "cap_sys_admin")?;
    root.run(&["dpkg-statoverride", "--remove", program])?;
    root.run(&[
        "dpkg-statoverride",
        "--update",
        "--add",
        "root",
        "root",
        "0755",
        program,
    ])?;
    root.run(&["sh", "-c", again])?;
    let stat = root.output(&["stat", "--format=%U:%G %a", program])?;
    contains(&stat, "root:root 755")?;
    match capabilities()?.as_str() {
        "" => Ok(()),
        text => Err(format!("everybody may execute {text}")),
    }
}

/// Nothing is left, except the settings and the lake until the packages are purged.
fn removal(root: &CleanRoot, built: &Built, before: &Contents) -> Result<()> {
    let mut names = Vec::new();
    for package in &built.packages {
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        names.extend(name.split('_').next().map(str::to_owned));
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    root.run(&[&["apt-get", "remove", "--yes"][..], &names].concat())?;
    for kept in [SETTINGS, LAKE] {
        if !root.path(kept).exists() {
            return Err(format!("{kept} is removed before the package is purged"));
        }
    }
    // Not by apt, which does not know a package that nothing is left of.
    root.run(&[&["dpkg", "--purge"][..], &names].concat())?;
    // What was installed for the packages.
    root.run(&["apt-get", "autoremove", "--purge", "--yes"])?;
    root.run(&[
        "sh",
        "-c",
        "cd /debs && find . -type f -not -name '*.deb' -delete",
    ])?;
    root.contents()?.is_as(before)
}

/// A process of root.
struct Target(Child);

impl Target {
    fn start() -> Result<Self> {
        let sleep = Command::new("sleep").arg("infinity").spawn();
        sleep.map(Self).map_err(|error| format!("sleep: {error}"))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It ends by the signal, or has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn fails(root: &CleanRoot, words: &[&str], why: &str) -> Result<()> {
    match root.output(words) {
        Ok(printed) => Err(format!("{} succeeded: {printed}", words.join(" "))),
        Err(error) => contains(&error, why),
    }
}

fn contains(text: &str, part: &str) -> Result<()> {
    match text.contains(part) {
        true => Ok(()),
        false => Err(format!("no {part:?} in: {text}")),
    }
}

fn text_of(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
