//! The CPUs that this process runs on.

/// A set of CPUs.
#[derive(Copy, Clone)]
pub(crate) struct Cpus(libc::cpu_set_t);

impl Cpus {
    /// Returns the CPUs that the process may run on.
    pub(crate) fn allowed() -> Self {
        // SAFETY: plain bits, filled by the call.
        unsafe {
            let mut all = std::mem::zeroed::<libc::cpu_set_t>();
            let got = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut all);
            assert_eq!(got, 0, "sched_getaffinity");
            Self(all)
        }
    }

    /// Returns a CPU by its place in their order; `None` if there are fewer.
    pub(crate) fn nth(&self, place: usize) -> Option<Self> {
        // SAFETY: the numbers are within the set.
        unsafe {
            let cpu = (0..libc::CPU_SETSIZE as usize)
                .filter(|&cpu| libc::CPU_ISSET(cpu, &self.0))
                .nth(place)?;
            let mut one = std::mem::zeroed::<libc::cpu_set_t>();
            libc::CPU_SET(cpu, &mut one);
            Some(Self(one))
        }
    }

    /// Restricts this process and its later children to these CPUs.
    pub(crate) fn run_on(&self) {
        // SAFETY: a live set with its size.
        let set = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &self.0) };
        assert_eq!(set, 0, "sched_setaffinity");
    }
}
