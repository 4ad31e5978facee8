//! Description of the machine and the date of the results.

use std::ffi::CStr;
use std::fs;

/// Returns CPU, cores, memory, kernel, compiler and date.
pub(crate) fn description() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or("an unnamed CPU".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|size| size.strip_suffix(" kB")?.parse::<u64>().ok())
        .unwrap_or_default();
    let memory = (memory as f64 / f64::from(1 << 20)).round();
    let (kernel, architecture) = kernel();
    let compiler = env!("BENCH_RUSTC_VERSION");
    let date = date();
    format!("{cpu}, {cores} cores, {memory} GiB, Linux {kernel} {architecture}, {compiler}, {date}")
}

/// Returns the value of the first line `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    value(&text, name).map(str::to_owned)
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn kernel() -> (String, String) {
    // SAFETY: plain bytes, which the call fills with NUL-terminated names.
    unsafe {
        let mut name = std::mem::zeroed::<libc::utsname>();
        assert_eq!(libc::uname(&mut name), 0);
        let text = |bytes: &[libc::c_char]| {
            CStr::from_ptr(bytes.as_ptr())
                .to_string_lossy()
                .into_owned()
        };
        (text(&name.release), text(&name.machine))
    }
}

fn date() -> String {
    // SAFETY: plain numbers; both calls only write what they are given.
    let now = unsafe {
        let seconds = libc::time(std::ptr::null_mut());
        let mut now = std::mem::zeroed::<libc::tm>();
        assert!(!libc::gmtime_r(&seconds, &mut now).is_null());
        now
    };
    format!(
        "{:04}-{:02}-{:02}",
        now.tm_year + 1900,
        now.tm_mon + 1,
        now.tm_mday
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "processor\t: 0\nmodel name\t: A: B\nmodel\t\t: 17\nMemTotal:  5 kB\n";
        assert_eq!(value(text, "model name"), Some("A: B"));
        assert_eq!(value(text, "model"), Some("17"));
        assert_eq!(value(text, "MemTotal"), Some("5 kB"));
        assert_eq!(value(text, "name"), None);
    }

    #[test]
    fn the_description_is_of_this_machine() {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert!(description().contains(release.trim()));
    }
}
