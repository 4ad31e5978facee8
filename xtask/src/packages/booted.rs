//! systemd, booted in a clean root: runs services with all of their restrictions. What it changes
//! in the root is in memory and lost. Knows no service by name.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::clean_root::CleanRoot;
use crate::run::Result;

/// Makes a cgroup, below which systemd makes those of its units, and boots in new namespaces.
const START: &str = "\
groups=$(mktemp -d) && mount -t cgroup2 cgroup2 $groups || exit
own=$groups/introspect-trial-$$
mkdir $own && echo $$ > $own/cgroup.procs || exit
timeout --signal=KILL 900 unshare --pid --fork --kill-child --mount --cgroup --ipc --uts --net \
    --propagation=private sh -e -c \"$BOOT\" \"$0\" \"$@\"
status=$?
echo $$ > $groups/cgroup.procs
find $own -depth -type d -exec rmdir {} +
umount $groups && rmdir $groups
exit $status";

/// Boots in an overlay of the root. `$1` has units to add, and what they write in /mnt.
const BOOT: &str = "\
mkdir -p $1/memory
mount -t tmpfs tmpfs $1/memory
mkdir $1/memory/upper $1/memory/work $1/memory/root
mount -t overlay -o lowerdir=$0,upperdir=$1/memory/upper,workdir=$1/memory/work overlay $1/memory/root
cd $1/memory/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --bind $1 mnt
cp -r $1/units/. etc/systemd/system
pivot_root . opt
umount -l opt
exec env -i container=trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=trial.service --log-target=null";

/// Boots systemd in a root, runs services one after the other, and then a line of shell, which
/// must succeed too.
pub(crate) fn run(root: &CleanRoot, folder: &Path, services: &[&str], check: &str) -> Result<()> {
    let units = folder.join("units");
    let write = |name: String, text: String| {
        let path = units.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&units))?;
        fs::write(path, text)
    };
    let written = || {
        for (index, service) in services.iter().enumerate() {
            let before = index.checked_sub(1).map_or("", |index| services[index]);
            let ending = "ExecStopPost=+sh -c 'journalctl --no-hostname --unit=%n >> /mnt/log'";
            let text = format!(
                "[Unit]\nAfter={before}\nFailureAction=exit\nFailureActionExitStatus=1\n[Service]\n{ending}\n"
            );
            write(format!("{service}.d/trial.conf"), text)?;
        }
        let all = services.join(" ");
        let actions = "SuccessAction=exit\nFailureAction=exit\nFailureActionExitStatus=1";
        let ran = format!("ExecStart=/bin/sh -c '({check}) >> /mnt/log 2>&1'");
        let text = format!(
            "[Unit]\nRequires={all}\nAfter={all}\n{actions}\n[Service]\nType=oneshot\n{ran}\n"
        );
        write("trial.service".to_owned(), text)
    };
    written().map_err(|error: std::io::Error| format!("{}: {error}", folder.display()))?;
    eprintln!("  systemd: {}, then {check}", services.join(", "));
    let mut start = Command::new("sh");
    start.args(["-c", START]).arg(root.path("/")).arg(folder);
    let status = start.env("BOOT", BOOT).status();
    let status = status.map_err(|error| format!("sh: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            Err(format!("systemd ended with {status}:\n{log}"))
        }
    }
}
