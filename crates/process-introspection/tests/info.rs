//! Facts about processes and the machine, compared with the files and with what the
//! processes say of themselves.

use std::fs;
use std::time::{Duration, SystemTime};

use process_introspection::{
    machine_id, Host, ListedProcess, Mounts, PageSize, Process, UniquePid,
};
use testkit::target::Target;

#[test]
fn a_process_is_what_it_says_of_itself() {
    let before = SystemTime::now();
    let target = Target::spawn(|| {
        // SAFETY: takes no memory.
        let (parent, user) = unsafe { (libc::getppid(), libc::geteuid()) };
        vec![parent as u64, u64::from(user)]
    });
    let after = SystemTime::now();
    let process = Process::open(target.pid()).unwrap();
    let info = process.info().unwrap();
    let [parent, user] = *target.addresses() else {
        panic!()
    };
    assert_eq!(u64::from(info.parent), parent);
    assert_eq!(u64::from(info.uid), user);
    assert!(!info.is_kernel_thread);
    let own = fs::read_link("/proc/self/exe").unwrap();
    assert_eq!(info.exe.as_deref(), Some(own.as_os_str()));
    let comm = fs::read_to_string(format!("/proc/{}/comm", target.pid())).unwrap();
    assert_eq!(info.command().to_str(), Some(comm.trim_end()));
    // The boot is known to a second, and the clock may be corrected meanwhile.
    let host = Host::read();
    let started = info.started_at(host.boot_time.unwrap()).unwrap();
    let slack = Duration::from_secs(2);
    assert!(started + slack >= before && started <= after + slack);
    assert!(info.started <= host.uptime.unwrap());
    let text = fs::read_to_string("/proc/self/cgroup").unwrap();
    if let Some(cgroup) = &info.cgroup {
        let path = cgroup.path.to_str().unwrap();
        assert!(
            text.lines().any(|line| line.ends_with(path)),
            "{path}: {text}"
        );
    } else {
        assert!(
            !text.contains(":memory:") && !text.contains("0::"),
            "{text}"
        );
    }
    let unique = UniquePid::of(target.pid()).unwrap();
    assert_eq!(Mounts::new().process_info(unique).unwrap(), info);
}

#[test]
fn a_process_that_has_ended_is_gone() {
    let target = Target::spawn(Vec::new);
    let process = Process::open(target.pid()).unwrap();
    let unique = UniquePid::of(target.pid()).unwrap();
    drop(target);
    assert!(process.info().unwrap_err().is_gone());
    let error = Mounts::new().process_info(unique).unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[test]
fn every_process_is_listed_and_kernel_threads_are_known_as_such() {
    let mounts = Mounts::new();
    let listed = mounts.listed_processes().unwrap();
    assert!(listed.is_sorted_by_key(|process| process.pid));
    let own = std::process::id();
    let is_own = |process: &ListedProcess| process.pid == own && process.unique_pid.is_ok();
    assert!(listed.iter().any(is_own));
    let mut kernels = 0;
    for process in listed {
        let pid = process.pid;
        let Ok(info) = process
            .unique_pid
            .and_then(|unique| mounts.process_info(unique))
        else {
            continue;
        };
        if !info.is_kernel_thread {
            continue;
        }
        kernels += 1;
        assert_eq!((info.exe, info.uid), (None, 0));
        assert!(info.parent == 0 || info.parent == 2, "{pid}");
        let process = Process::open(pid);
        assert!(process.is_ok_and(|process| !process.has_memory()), "{pid}");
    }
    // In a PID namespace of its own nobody sees them.
    let has_first = fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm == "kthreadd\n");
    assert_eq!(kernels > 0, has_first);
}

#[test]
fn the_machine_is_what_system_calls_say() {
    let host = Host::read();
    // SAFETY: the kernel fills the structure.
    let names = unsafe {
        let mut names = std::mem::zeroed::<libc::utsname>();
        libc::uname(&mut names);
        names
    };
    let text = |field: &[libc::c_char]| -> String {
        let bytes = field.iter().take_while(|&&byte| byte != 0);
        bytes.map(|&byte| char::from(byte as u8)).collect()
    };
    assert_eq!(host.kernel.as_deref(), Some(&*text(&names.release)));
    assert_eq!(host.architecture, text(&names.machine));
    assert_eq!(host.name.as_deref(), Some(&*text(&names.nodename)));
    assert_eq!(host.page_size, PageSize::base());
    assert_eq!(host.boot_id.map(|id| id.len()), Some(36));
    // SAFETY: the kernel fills the structure.
    let info = unsafe {
        let mut info = std::mem::zeroed::<libc::sysinfo>();
        libc::sysinfo(&mut info);
        info
    };
    let total = u128::from(info.totalram) * u128::from(info.mem_unit);
    assert_eq!(host.memory_total.map(u128::from), Some(total));
    let uptime = host.uptime.unwrap().as_secs();
    assert!(uptime.abs_diff(info.uptime as u64) <= 2, "{uptime}");
    let boot = SystemTime::now() - host.uptime.unwrap();
    let known = host.boot_time.unwrap();
    let apart = boot
        .duration_since(known)
        .or_else(|_| known.duration_since(boot));
    assert!(apart.unwrap() < Duration::from_secs(3));
    let nodes = fs::read_dir("/sys/devices/system/node").map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        let is_node = |name: &std::ffi::OsString| {
            let number = name.to_str().and_then(|name| name.strip_prefix("node"));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        };
        names.filter(is_node).count() as u32
    });
    assert_eq!(host.nodes, nodes.ok());
    for (value, file) in [
        (host.swappiness, "vm/swappiness"),
        (host.numa_balancing, "kernel/numa_balancing"),
        (host.defrag_mode.map(u32::from), "vm/defrag_mode"),
    ] {
        let text = fs::read_to_string(format!("/proc/sys/{file}")).ok();
        assert_eq!(value.map(|value| format!("{value}\n")), text, "{file}");
    }
    let has_pressure = fs::read("/proc/pressure/memory").is_ok();
    assert_eq!(host.memory_pressure.is_some(), has_pressure);
    if let Some(pressure) = host.memory_pressure {
        assert!(pressure.full.total <= pressure.some.total);
        assert!((0.0..=100.0).contains(&pressure.some.avg10));
    }
    if let Some(id) = machine_id() {
        assert!(fs::read_to_string("/etc/machine-id")
            .unwrap()
            .starts_with(&id));
    }
}
