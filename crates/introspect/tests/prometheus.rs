//! `introspect metrics`: its formats, and its values beside those of other subcommands.
//! `cargo xtask metrics` adds promtool and Prometheus.

#[path = "support/metrics.rs"]
mod metrics;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics::{by, only, parse, sample, Series, Service, FAST, LONGEST};
use serde_json::Value;
use support::{as_nobody, names_in, number, run, succeed, Running};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;

fn once(arguments: &[&str]) -> Series {
    let arguments = [&["metrics"], arguments].concat();
    parse(&succeed(&arguments).stdout)
}

/// Starts a copy of `cat` with this file name, which waits for input.
fn named(dir: &TempDir, name: &str) -> Running {
    let path = dir.path().join(name);
    // A child that another test forks would keep a descriptor open for writing.
    let copied = Command::new("cp").arg("/bin/cat").arg(&path).status();
    assert!(copied.unwrap().success());
    let mut command = Command::new(path);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running(piped.spawn().unwrap());
    // Once it has answered, its memory no longer changes.
    running.0.stdin.as_mut().unwrap().write_all(b"?").unwrap();
    let mut answer = [0];
    let out = running.0.stdout.as_mut().unwrap();
    out.read_exact(&mut answer).unwrap();
    running
}

#[test]
fn memory_by_use_is_that_of_the_machine() {
    if !is_root_or_skip("memory_by_use_is_that_of_the_machine") {
        return;
    }
    let machine = || -> Value {
        serde_json::from_str(&succeed(&["machine", "--format", "json"]).stdout).unwrap()
    };
    let uses = |machine: &Value| -> BTreeMap<String, u64> {
        let uses = machine[0]["uses"].as_array().unwrap().iter();
        uses.map(|one| {
            (
                one["use"].as_str().unwrap().to_owned(),
                number(one, "bytes"),
            )
        })
        .collect()
    };
    let before = machine();
    let series = once(&[]);
    let after = machine();
    let nodes = by(&series, "introspect_memory_present_bytes", "node");
    let of_nodes = before[0]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), of_nodes.len());
    for node in of_nodes {
        let present = nodes[&node["node"].to_string()];
        assert_eq!(present, number(node, "present") as f64);
    }
    let memory = by(&series, "introspect_memory_bytes", "use");
    let sum: f64 = memory.values().sum();
    assert_eq!(sum, number(&before[0], "counted") as f64);
    // Other tests take and release memory meanwhile.
    let slack = sum / 20.0;
    let (before, after) = (uses(&before), uses(&after));
    for name in before.keys().chain(after.keys()) {
        let values = [&before, &after].map(|uses| uses.get(name).copied().unwrap_or(0) as f64);
        let least = values[0].min(values[1]) - slack;
        let most = values[0].max(values[1]) + slack;
        assert!((least..=most).contains(&memory[name]), "{name} {values:?}");
    }
    assert_eq!(memory["reserved"], before["reserved"] as f64);
    let counted = by(&series, "introspect_memory_counted_bytes", "counter");
    assert_eq!(counted["Slab"], memory["slab"]);
    let files = memory["page-cache-mapped"] + memory["page-cache-unmapped"];
    assert_eq!(counted["Cached+Buffers-Shmem"], files);
    only(&series, "introspect_memory_unexplained_bytes");
    assert!(only(&series, "introspect_target_lock_seconds_total") > 0.0);
    assert!(only(&series, "introspect_cpu_seconds_total") > 0.0);
}

#[test]
fn a_groups_memory_is_that_of_its_summary() {
    if !is_root_or_skip("a_groups_memory_is_that_of_its_summary") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let _process = named(&dir, "in-a-group");
    let arguments = ["summary", "--all", "--by", "command", "--format", "json"];
    // Some processes may end meanwhile, which it says.
    let groups = run(&arguments).array();
    let group = groups.iter().find(|group| group["group"] == "in-a-group");
    let group = group.expect("the group");
    let series = once(&["--by", "command", "--top", "1000"]);
    for (name, field) in [
        ("introspect_group_memory_bytes", "memory"),
        ("introspect_group_resident_memory_bytes", "resident"),
        ("introspect_group_swap_bytes", "swap"),
        ("introspect_group_processes", "processes"),
    ] {
        let groups = by(&series, name, "command");
        assert_eq!(groups["in-a-group"], number(group, field) as f64, "{name}");
        assert_eq!(groups["other"], 0.0, "{name}");
    }
    // All groups together have the processes that were read and the memory of all kinds.
    let sum = |name| by(&series, name, "command").values().sum::<f64>();
    let read = by(&series, "introspect_processes", "result")["read"];
    assert_eq!(sum("introspect_group_processes"), read);
    let kinds = by(&series, "introspect_mapped_memory_bytes", "kind");
    assert!(sum("introspect_group_resident_memory_bytes") <= kinds["all"]);
    let parts: f64 = kinds
        .iter()
        .filter(|(kind, _)| *kind != "all")
        .map(|(_, bytes)| bytes)
        .sum();
    assert_eq!(parts, kinds["all"]);
}

#[test]
fn the_number_of_groups_is_bounded_and_the_rest_is_a_sum() {
    let all = once(&["--by", "command", "--top", "1000"]);
    let some = once(&["--by", "command", "--top", "2"]);
    let none = once(&["--by", "command", "--top", "0"]);
    let name = "introspect_group_resident_memory_bytes";
    assert!(by(&all, name, "command").len() > 3);
    let some = by(&some, name, "command");
    assert_eq!(some.len(), 3);
    assert!(some["other"] > 0.0);
    let none: Vec<_> = by(&none, name, "command").into_keys().collect();
    assert_eq!(none, ["other"]);
}

#[test]
fn hostile_names_are_labels_like_others() {
    let dir = TempDir::new().unwrap();
    let hostile = ["a\"} 1\n# b", "back\\slash", "\u{202e}txt\u{1b}[2J"];
    let _processes = hostile.map(|name| named(&dir, name));
    let text = succeed(&["metrics", "--by", "command", "--top", "1000"]).stdout;
    let groups = by(&parse(&text), "introspect_group_processes", "command");
    for label in ["a\"} 1\\n# b", "back\\slash", "\\u{202e}txt\\x1b[2J"] {
        assert_eq!(groups.get(label), Some(&1.0), "{label}: {groups:?}");
    }
}

#[test]
fn without_privileges_unknown_values_have_no_series() {
    let run = as_nobody(&["metrics"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("no metrics of frames: "), "{run:?}");
    let series = parse(&run.stdout);
    for unknown in [
        "introspect_memory_bytes",
        "introspect_memory_unexplained_bytes",
    ] {
        assert!(by(&series, unknown, "").is_empty(), "{unknown}");
    }
    assert!(!by(&series, "introspect_unusable_free_space_ratio", "order").is_empty());
    assert!(!by(&series, "introspect_memory_present_bytes", "node").is_empty());
    let processes = by(&series, "introspect_processes", "result");
    assert!(processes["denied"] + processes["hidden"] > 0.0);
    let failures = by(&series, "introspect_walk_failures_total", "part");
    assert_eq!((failures["frames"], failures["processes"]), (1.0, 0.0));
}

#[test]
fn both_formats_have_the_same_series() {
    let [prometheus, openmetrics] = ["prometheus", "openmetrics"].map(|format| {
        let run = succeed(&["metrics", "--format", format, "--by", "user", "--top", "0"]);
        run.stdout
    });
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| sample(line).0).collect()
    };
    assert_eq!(names(&prometheus), names(&openmetrics));
    assert!(openmetrics.ends_with("\n# EOF\n"));
    assert_eq!(openmetrics.matches("# EOF").count(), 1);
    assert!(openmetrics.contains("\n# TYPE introspect_target_lock_seconds counter\n"));
    assert!(openmetrics.contains("\n# UNIT introspect_target_lock_seconds seconds\n"));
}

#[test]
fn a_file_is_replaced_only_by_complete_metrics() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("introspect.prom");
    fs::write(&path, "before").unwrap();
    let output = path.to_str().unwrap();
    let failed = run(&[
        "metrics",
        "--procfs",
        dir.path().to_str().unwrap(),
        "-o",
        output,
    ]);
    assert_ne!(failed.status, 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    let reader = {
        let path = path.clone();
        thread::spawn(move || loop {
            let text = fs::read_to_string(&path).unwrap();
            if text != "before" {
                return text;
            }
            thread::yield_now();
        })
    };
    succeed(&["metrics", "--top", "0", "-o", output]);
    let first = reader.join().unwrap();
    assert!(!parse(&first).is_empty());
    assert_eq!(first, fs::read_to_string(&path).unwrap());
    assert_eq!(names_in(dir.path()), ["introspect.prom"]);
}

#[test]
fn the_command_cannot_clear_what_the_kernel_notes_of_pages() {
    let program = fs::read(env!("CARGO_BIN_EXE_introspect")).unwrap();
    let name = b"clear_refs";
    assert!(!program.windows(name.len()).any(|bytes| bytes == name));
}

/// Returns whether Prometheus and promtool are there, which `cargo xtask metrics` requires.
fn has_prometheus(test: &str) -> bool {
    let is_there = env::var_os("INTROSPECT_PROMETHEUS").is_some();
    if !is_there {
        eprintln!("SKIPPED {test}: needs INTROSPECT_PROMETHEUS, see cargo xtask metrics");
    }
    is_there
}

#[test]
fn promtool_finds_no_fault() {
    if !has_prometheus("promtool_finds_no_fault") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let _process = named(&dir, "a\"} 1\n# b");
    let text = succeed(&["metrics", "--by", "command", "--top", "1000"]).stdout;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // Advice on names does not make it fail.
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}

/// Server that scrapes a service.
struct Prometheus {
    _running: Running,
    address: SocketAddr,
}

impl Prometheus {
    fn start(dir: &Path, service: &Service) -> Self {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dashboards/rules.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules}]\n\
             scrape_configs:\n- job_name: introspect\n  static_configs:\n  - targets: ['{}']\n",
            service.address
        );
        let file = dir.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let running = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .spawn();
        let running: Child = running.unwrap();
        Self {
            _running: Running(running),
            address,
        }
    }

    /// Returns the values that a query finds, with their labels; none before the server is up.
    fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let encoded = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        let query: String = query.bytes().map(encoded).collect();
        let Ok(mut stream) = TcpStream::connect(self.address) else {
            return Vec::new();
        };
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
        let mut answer = String::new();
        if stream.write_all(request.as_bytes()).is_err()
            || stream.read_to_string(&mut answer).is_err()
        {
            return Vec::new();
        }
        let Some((_, body)) = answer.split_once("\r\n\r\n") else {
            return Vec::new();
        };
        let Ok(body) = serde_json::from_str::<Value>(body) else {
            return Vec::new();
        };
        let results = body["data"]["result"].as_array().cloned();
        let value = |result: Value| {
            let value = result["value"][1].as_str().unwrap().parse().unwrap();
            (result["metric"].clone(), value)
        };
        results.into_iter().flatten().map(value).collect()
    }

    /// Waits until a query finds a value.
    fn wait(&self, query: &str) -> Vec<(Value, f64)> {
        let begun = Instant::now();
        loop {
            let found = self.query(query);
            if !found.is_empty() {
                return found;
            }
            assert!(begun.elapsed() < LONGEST, "{query}");
            thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn prometheus_has_the_values_of_a_service_that_it_scrapes() {
    let name = "prometheus_has_the_values_of_a_service_that_it_scrapes";
    if !has_prometheus(name) || !is_root_or_skip(name) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let _process = named(&dir, "a\"} 1\n# b");
    let mut arguments = FAST.to_vec();
    arguments.extend(["--by", "command", "--top", "1000"]);
    let service = Service::start(&arguments);
    service.walked();
    let prometheus = Prometheus::start(dir.path(), &service);
    prometheus.wait("introspect_walks_total{part=\"frames\"} == 1");
    let series = parse(&service.get("text/plain").body);
    // Every series has its value: nothing is walked meanwhile.
    let found = prometheus.wait("{job=\"introspect\",__name__=~\"introspect_.*\"}");
    let mut scraped = Series::new();
    for (metric, value) in found {
        let mut labels = BTreeMap::new();
        for (label, value) in metric.as_object().unwrap() {
            labels.insert(label.clone(), value.as_str().unwrap().to_owned());
        }
        labels.remove("instance");
        labels.remove("job");
        let name = labels.remove("__name__").unwrap();
        scraped.insert((name, labels), value);
    }
    // To Prometheus an empty label is none.
    let without_empty = series.into_iter().map(|((name, mut labels), value)| {
        labels.retain(|_, value| !value.is_empty());
        ((name, labels), value)
    });
    assert_eq!(scraped, without_empty.collect());
    let query = "introspect_group_processes{command=\"a\\\"} 1\\\\n# b\"}";
    assert_eq!(prometheus.wait(query)[0].1, 1.0);
    let kind = "instance_use:introspect_memory_bytes:ratio{use=\"free\"}";
    let ratio = prometheus.wait(kind)[0].1;
    assert!((0.0..=1.0).contains(&ratio), "{ratio}");
    let up = prometheus.query("up{job=\"introspect\"}");
    assert_eq!(up[0].1, 1.0);
    // Each query of the dashboard finds something.
    let dashboard = include_str!("../../../dashboards/grafana.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(queries.len() > 15, "{queries:?}");
    for query in queries {
        prometheus.wait(&query.replace("$instance", ".*"));
    }
}
