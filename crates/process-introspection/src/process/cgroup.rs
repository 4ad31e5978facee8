//! Cgroup of a process, and the systemd unit and the container that its path names. Pure;
//! reads no file and knows no process.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Cgroup of a process, with what the names of its path say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cgroup {
    /// Path of the cgroup that pays for the memory of the process, below the root of the
    /// reader's cgroup namespace: that of the memory controller, else that of cgroup v2,
    /// else that of systemd's own hierarchy.
    pub path: OsString,
    /// Innermost systemd unit that is not a slice, by the name that `systemctl` takes, such
    /// as `ssh.service`. Its own escapes (`\x2d`) are part of that name.
    pub unit: Option<String>,
    /// Identifier of the innermost container: the 64 hexadecimal digits that Docker,
    /// containerd, Podman and CRI-O give to a container, or to a pod's sandbox.
    pub container: Option<String>,
}

impl Cgroup {
    /// Parses `/proc/PID/cgroup` (cgroups(7), Linux 2.6.24; cgroup v2: 4.5). `None` if no
    /// hierarchy in it pays for memory or names units, as on kernels without cgroups.
    ///
    /// A path can differ in each hierarchy of cgroup v1: systemd need not give a unit a
    /// cgroup in that of the memory controller. The unit is taken from systemd's own
    /// hierarchy (in hybrid mode from v2), the container from the first that names one.
    ///
    /// ```
    /// use process_introspection::Cgroup;
    ///
    /// let cgroup = Cgroup::parse(b"0::/system.slice/ssh.service\n").unwrap();
    /// assert_eq!(cgroup.path, "/system.slice/ssh.service");
    /// assert_eq!(cgroup.unit.as_deref(), Some("ssh.service"));
    /// assert_eq!(cgroup.container, None);
    /// ```
    pub fn parse(text: &[u8]) -> Option<Self> {
        let lines = || text.split(|&byte| byte == b'\n').filter_map(Line::parse);
        let find = |is_meant: fn(&Line<'_>) -> bool| lines().find(is_meant).map(|line| line.path);
        let memory = find(|line| line.controls(b"memory"));
        let unified = find(|line| line.is_unified);
        let of_systemd = find(|line| line.controls(b"name=systemd"));
        let path = memory.or(unified).or(of_systemd)?;
        let first = |order: [Option<&[u8]>; 3], name: fn(&[u8]) -> Option<String>| {
            order.into_iter().flatten().find_map(name)
        };
        Some(Self {
            path: OsString::from_vec(path.to_vec()),
            unit: first([of_systemd, unified, memory], unit),
            container: first([memory, unified, of_systemd], container),
        })
    }

    /// Makes a cgroup of known parts, such as stored ones.
    pub fn new(path: impl Into<OsString>, unit: Option<String>, container: Option<String>) -> Self {
        Self {
            path: path.into(),
            unit,
            container,
        }
    }

    /// Returns the cgroup with this path, with what its names say.
    pub fn of_path(path: impl AsRef<OsStr>) -> Self {
        let path = path.as_ref();
        Self {
            path: path.to_owned(),
            unit: unit(path.as_bytes()),
            container: container(path.as_bytes()),
        }
    }
}

/// Line of `/proc/PID/cgroup`: `ID:CONTROLLERS:PATH`.
struct Line<'a> {
    is_unified: bool,
    controllers: &'a [u8],
    path: &'a [u8],
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        // A path can contain colons.
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_unified = id == b"0" && controllers.is_empty();
        Some(Self {
            is_unified,
            controllers,
            path: match is_unified {
                // kernel/cgroup/cgroup.c, `proc_cgroup_show`, Linux 4.5 to 7.2.
                true => path.strip_suffix(b" (deleted)").unwrap_or(path),
                false => path,
            },
        })
    }

    fn controls(&self, controller: &[u8]) -> bool {
        let mut controllers = self.controllers.split(|&byte| byte == b',');
        controllers.any(|one| one == controller)
    }
}

/// Returns the names in a path, the innermost first.
fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|&byte| byte == b'/')
}

/// Types of units that contain processes (systemd.unit(5)); slices contain other units.
const UNIT_TYPES: [&[u8]; 5] = [b"service", b"scope", b"socket", b"mount", b"swap"];

/// Returns the innermost unit of a path. systemd sets an underscore before a name that the
/// kernel could use (src/basic/cgroup-util.c, `cg_escape` and `cg_path_decode_unit`).
fn unit(path: &[u8]) -> Option<String> {
    names(path).find_map(|name| {
        let name = name.strip_prefix(b"_").unwrap_or(name);
        let dot = name.iter().rposition(|&byte| byte == b'.')?;
        let (stem, kind) = (&name[..dot], &name[dot + 1..]);
        let (prefix, instance) = match stem.iter().position(|&byte| byte == b'@') {
            Some(at) => (&stem[..at], Some(&stem[at + 1..])),
            None => (stem, None),
        };
        let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(byte);
        let is_unit = UNIT_TYPES.contains(&kind)
            && !prefix.is_empty()
            // The template of instances is no unit that runs.
            && instance.is_none_or(|instance| !instance.is_empty())
            && stem.iter().all(is_valid);
        let text = std::str::from_utf8(name).ok()?;
        is_unit.then(|| text.to_owned())
    })
}

/// What runtimes set before the identifier of a container in a name. Their monitors
/// (`libpod-conmon-`, `crio-conmon-`) are no containers, and what follows these prefixes
/// there is no identifier.
///
/// With systemd: moby daemon/oci_linux.go (`docker-ID.scope`), containerd
/// internal/cri/server (`cri-containerd-ID.scope`), nerdctl (`nerdctl-ID.scope`), podman
/// libpod/container_internal_linux.go (`libpod-ID.scope`, below it `container`), cri-o
/// internal/config/cgmgr (`crio-ID.scope`).
const PREFIXES: [&[u8]; 5] = [
    b"docker-",
    b"cri-containerd-",
    b"nerdctl-",
    b"libpod-",
    b"crio-",
];

/// Returns the container that the innermost name that names one names: `docker/ID` and
/// `kubepods/burstable/podUID/ID` without systemd, `PREFIX-ID.scope` with it, and
/// `kubepods-podUID.slice:cri-containerd:ID` where the kubelet uses systemd and containerd
/// does not.
fn container(path: &[u8]) -> Option<String> {
    names(path).find_map(|name| {
        let name = name.strip_suffix(b".scope").unwrap_or(name);
        let name = name.rsplit(|&byte| byte == b':').next().unwrap_or(name);
        let id = PREFIXES
            .iter()
            .find_map(|prefix| name.strip_prefix(*prefix));
        let id = id.unwrap_or(name);
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let is_id = id.len() == 64 && id.iter().all(is_digit);
        let text = std::str::from_utf8(id).ok()?;
        is_id.then(|| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
    const OUTER: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";

    #[test]
    fn a_path_names_its_innermost_unit() {
        // systemd's src/test/test-cgroup-util.c, and systemd.special(7) for user units.
        for (path, expected) in [
            (
                "/system.slice/foobar.service/sdfdsaf",
                Some("foobar.service"),
            ),
            (
                "/system.slice/getty@tty5.service/aaa/bbb",
                Some("getty@tty5.service"),
            ),
            (
                "/system.slice/getty@tty5.service/",
                Some("getty@tty5.service"),
            ),
            ("/system.slice/getty####@tty6.service/xxx", None),
            ("/system.slice/getty@.service", None),
            (
                "/system.slice/system-waldo.slice/_cpu.service/x",
                Some("cpu.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/server.service",
                Some("server.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service",
                Some("x.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                Some("init.scope"),
            ),
            (
                "/user.slice/user-1000.slice/session-2.scope",
                Some("session-2.scope"),
            ),
            (
                r"/user.slice/user-1.slice/user@1.service/app.slice/app-a\x2db.scope",
                Some(r"app-a\x2db.scope"),
            ),
            (
                r"/system.slice/dev-hugepages.mount",
                Some("dev-hugepages.mount"),
            ),
            ("/init.scope", Some("init.scope")),
            ("/system.slice", None),
            ("/", None),
            ("", None),
            ("/../../system.slice/cron.service", Some("cron.service")),
            ("/machine.slice/.service", None),
            ("/a/b.services", None),
        ] {
            assert_eq!(Cgroup::of_path(path).unit.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_path_names_its_innermost_container() {
        let pod = "kubepods-besteffort-poddc380811_8168_4a9e_9b4a_56ded1b6fe9c.slice";
        let uid = "podac04f3f2-1f2c-11e9-b015-1ebee232acfa";
        for path in [
            format!("/docker/{ID}"),
            format!("/{ID}"),
            format!("/system.slice/docker-{ID}.scope"),
            format!("/system.slice/docker-{ID}.scope/init"),
            format!("/kubepods/besteffort/{uid}/{ID}"),
            format!("/kubepods/{uid}/{ID}"),
            format!("/kubepods.slice/kubepods-besteffort.slice/{pod}/docker-{ID}.scope"),
            format!("/kubepods.slice/kubepods-besteffort.slice/{pod}/cri-containerd-{ID}.scope"),
            format!("/kubepods.slice/kubepods-besteffort.slice/{pod}/crio-{ID}.scope"),
            format!("/kubepods.slice/kubepods-besteffort.slice/{pod}/crio-{ID}.scope/container"),
            format!("/kubepods/besteffort/{uid}/crio-{ID}"),
            format!("/system.slice/containerd.service/{pod}:cri-containerd:{ID}"),
            format!("/system.slice/nerdctl-{ID}.scope"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/user.slice/user-1.slice/user@1.service/user.slice/libpod-{ID}.scope"),
            format!("/libpod_parent/libpod-{ID}"),
            format!("/ecs/task/{ID}"),
            format!("/docker/{OUTER}/kubelet/kubepods/besteffort/{uid}/{ID}"),
            format!("/docker/{OUTER}/docker/{ID}"),
            format!("/docker/{OUTER}/system.slice/docker-{ID}.scope/system.slice/a.service"),
            format!("/../{ID}"),
        ] {
            assert_eq!(
                Cgroup::of_path(&path).container.as_deref(),
                Some(ID),
                "{path}"
            );
        }
        for path in [
            "/".to_owned(),
            "/system.slice/docker.service".to_owned(),
            format!("/kubepods.slice/kubepods-besteffort.slice/{pod}"),
            format!("/kubepods/besteffort/{uid}"),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/kubepods.slice/{pod}/crio-conmon-{ID}.scope"),
            format!("/libpod_parent/conmon-{ID}"),
            format!("/docker/{}", &ID[1..]),
            format!("/docker/{}", ID.to_uppercase()),
            format!("/docker/{ID}0"),
            format!("/system.slice/other-{ID}.scope"),
        ] {
            assert_eq!(Cgroup::of_path(&path).container, None, "{path}");
        }
        // A monitor within a container belongs to that container.
        let nested = format!("/docker/{OUTER}/machine.slice/libpod-conmon-{ID}.scope");
        assert_eq!(Cgroup::of_path(nested).container.as_deref(), Some(OUTER));
    }

    fn parsed(text: &str) -> (String, Option<String>, Option<String>) {
        let cgroup = Cgroup::parse(text.as_bytes()).unwrap();
        let path = cgroup.path.into_string().unwrap();
        (path, cgroup.unit, cgroup.container)
    }

    #[test]
    fn the_memory_controller_decides_the_path_and_systemd_the_unit() {
        let unit = |name: &str| Some(name.to_owned());
        let v2 = "0::/user.slice/user-0.slice/session-1.scope\n";
        let path = "/user.slice/user-0.slice/session-1.scope";
        let expected = (path.to_owned(), unit("session-1.scope"), None);
        assert_eq!(parsed(v2), expected);
        let v1 = "11:perf_event:/\n\
                  4:cpu,cpuacct:/system.slice\n\
                  3:hugetlb,memory:/system.slice\n\
                  1:name=systemd:/system.slice/cron.service\n";
        let expected = ("/system.slice".to_owned(), unit("cron.service"), None);
        assert_eq!(parsed(v1), expected);
        let hybrid = "9:name=systemd:/\n4:memory:/jobs/a:b\n0::/system.slice/a.service\n";
        let expected = ("/jobs/a:b".to_owned(), unit("a.service"), None);
        assert_eq!(parsed(hybrid), expected);
        // v1 without the memory controller, which then is v2's or nowhere.
        let without = "2:pids:/x\n1:name=systemd:/init.scope\n0::/y\n";
        let expected = ("/y".to_owned(), unit("init.scope"), None);
        assert_eq!(parsed(without), expected);
        let of_systemd = "2:pids:/x\n1:name=systemd:/init.scope\n";
        assert_eq!(parsed(of_systemd).0, "/init.scope");
        let docker = format!("3:memory:/\n2:cpu:/docker/{ID}\n1:name=systemd:/docker/{ID}\n");
        assert_eq!(parsed(&docker), ("/".to_owned(), None, unit(ID)));
        let ended = "0::/system.slice/a.service (deleted)\n";
        let expected = (
            "/system.slice/a.service".to_owned(),
            unit("a.service"),
            None,
        );
        assert_eq!(parsed(ended), expected);
        for nothing in ["", "\n", "2:pids:/x\n", "0:", "broken", "memory:/a\n"] {
            assert_eq!(Cgroup::parse(nothing.as_bytes()), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_path_need_not_be_text() {
        let cgroup = Cgroup::parse(b"0::/a\xff/b\xfe.service\n").unwrap();
        assert_eq!(cgroup.path.as_bytes(), b"/a\xff/b\xfe.service");
        assert_eq!(cgroup.unit, None);
    }
}
