//! What stands below the help of the command and of each subcommand, and at
//! the end of its man page.

/// Of the command.
pub(crate) const COMMAND: &str = "\
PID is a PID, a unique PID, `self` (or 0) for this command itself, or the exact
name of a process; name:NAME is always a name, also one such as 123 or self.

RANGE is START-END as in the maps file of proc(5) (hexadecimal, END exclusive),
START+SIZE (SIZE decimal, in hexadecimal with 0x, or with K, M, G or T), or one
address, which stands for its page. --mapping NAME selects the mappings that
have NAME in their name, such as [heap] or libc.so; with RANGE, what is in both.

Privileges: the layout and what of it is in memory need nothing for your own
processes, and the right to trace for others (same user, or CAP_SYS_PTRACE and
CAP_DAC_READ_SEARCH).
Physical addresses need CAP_SYS_ADMIN in the initial user namespace: run as
root. Without it the command fails; it never prints an address that is not true.

In CSV an apostrophe comes before names, paths and commands that a spreadsheet
would take for a formula (= + - @ tab return), and before an apostrophe: take one
away. Where they are not UTF-8, a field with _hex in its name has all their bytes.

An address is true when it is read. It stays so only while the page is pinned;
mlock does not pin. A device behind an IOMMU uses other addresses.

--freeze stops the process for the walk and always sets it going again, also if
introspect is killed: a watchdog sees to that (unless it is killed too). Where
the process is alone in a cgroup (v2), its freezer is used, unseen. Elsewhere it
is SIGSTOP, and SIGCONT in the end: the parent gets SIGCHLD, a shell with job
control reports a stopped job, and some waits such as epoll_wait can end with
EINTR. A process that was stopped before stays so. The records are kept until it
goes on; then one line on standard error says how long it stood still. It needs
the right to signal the process (same user, or CAP_KILL). This command itself,
the system's first process, and what a debugger has running are refused.

In a container, --procfs DIR reads the processes of the proc mounted on DIR, such
as the host's, by their numbers there; the environment variable HOST_PROC does
the same and is named on standard error. --sysfs DIR is where devices and NUMA
nodes are looked up. The container's own /proc has to be mounted all the same.
Unique PIDs are made of start times then. Programs that are started are always
those of /proc.

Lines of a table are as long as the terminal's, elsewhere as COLUMNS says, if it
is set: names and commands are cut to that.

Exit status: 0; 1 for an error, said on standard error; 2 for wrong usage. If
the reader of the output goes away, that is no error. Nor is a list of nothing:
standard error says why it is empty.

Examples:
  introspect physical 1234
  introspect physical sshd --mapping '[heap]' --format json
  introspect summary 1234
  introspect extents 1234 7f0000000000+2M --contiguous --align 2M
  introspect virtual 1234 --resident
  introspect physical 1234 --freeze
  introspect physical -- make -C src
  introspect object 1234 7f0012345678
  introspect address 11c183000
  introspect owner 11c183000
  introspect summary --all --procfs /host/proc";

/// Of `physical`: its forms.
pub(crate) const PHYSICAL_USAGE: &str = "\
introspect physical [OPTIONS] <PID> [RANGE]
       introspect physical [OPTIONS] [RANGE] -- <COMMAND>...";

/// Of `summary`: its forms.
pub(crate) const SUMMARY_USAGE: &str = "\
introspect summary [OPTIONS] <PID>...
       introspect summary [OPTIONS] --all
       introspect summary [OPTIONS] -- <COMMAND>...";

/// Of `owner`: its forms.
pub(crate) const OWNER_USAGE: &str = "\
introspect owner [OPTIONS] <PADDR>...
       introspect owner [OPTIONS] --from-log <FILE> [PADDR]...
       introspect owner [OPTIONS] --kmsg [PADDR]...";

/// Of `physical`.
pub(crate) const PHYSICAL: &str = "\
Each record is a maximal run of pages of one mapping that are consecutive in
physical memory, or unbacked for one reason (STATE). The records tile what is
mapped. PADDR is the first physical address, for swapped memory the swap area
and the slot in it (0:1f); PAGE is the size of the page-table entries (- if
unbacked, mixed or unknown). Needs CAP_SYS_ADMIN. Long walks take several
threads (--threads); the records and their order are the same. NODE is the NUMA
node, on machines with several; - if unknown or not one. For an ADDRESS in a page
the line below has its own physical address (so does introspect extents ADDR+1).
Shared memory in swap is not-present: page tables do not tell it.

The table of a whole process joins records of one mapping that follow each other:
zero xN is N records of the zero page, absent xN are N that are not present, in
swap or guards, with the sizes below. --no-fold lists all of them, and --fold
joins them where RANGE or --mapping is given. Other formats have every record.

--details adds facts of the pages, below each row: how often the frames are
mapped (least-most), the flags of their entries in the page map and those of the
frames (/proc/kpageflags), by the kernel's names; NAME:N if only N pages have
it. dirty is the frame's own (to be written back); soft_dirty is the entry's.
That file is root's alone.

If the process ends or executes another program meanwhile, the records so far
stand, a JSON array is left open, so that no parser takes it for complete, and
the exit status is 1. With -o the file is not replaced then.

[RANGE] -- COMMAND starts a program and looks at it: at its exit, while all its
memory is there; with --after a time after its start; with --on whenever the
signal comes. Standard output is the program's: the records go to standard error
unless -o says where. The exit status is the program's, 128+N if signal N killed
it; 127 if it is not found, 126 if it cannot be executed; 125 if introspect
failed and the program did not.

The program is the process that was started, whatever process group, session or
namespace it enters; daemons that it leaves behind are not followed. A SIGTERM,
SIGINT, SIGQUIT or SIGHUP that reaches introspect is sent on to the program,
except what a terminal has sent to both. A program that ends within 500 ms is
looked at as usual, and its status counts; otherwise introspect exits with 128+N
then, and the program runs on untraced. During the report of an exit such a
signal ends the report. introspect never kills the program. What was ignored at
the start, such as SIGHUP after nohup, stays ignored.

For a look at the exit the program is traced (ptrace): nobody else can trace it,
set-user-ID programs gain no privileges unless you have CAP_SYS_PTRACE, and each
signal and new thread takes a detour; --after and --on do without. A program that
executes another is followed into that. The processes that it starts are not
looked at: name the one that is meant, not a shell that runs it. LeakSanitizer
(gcc or clang, -fsanitize=address or leak) fails in a traced program and changes
its exit status, of which a line on standard error warns: use --after, or set
ASAN_OPTIONS=detect_leaks=0.

Examples:
  introspect physical self
  introspect physical 1234 7ffd1c000000-7ffd1c021000
  introspect physical postgres --mapping /dev/shm --backed
  introspect physical 1234 --format jsonl | jq 'select(.state == \"swapped\")'
  introspect physical 1234 --mapping '[heap]' --details
  introspect physical 1234 --format csv -o pages.csv
  introspect physical 1234 --freeze --backed
  introspect physical --backed -o pages.txt -- sort -n words
  introspect physical --mapping '[heap]' --after 2s --freeze -- qemu-system-x86_64
  introspect physical --on USR1 --format jsonl -o now.jsonl -- redis-server";

/// Of `summary`.
pub(crate) const SUMMARY: &str = "\
By kind of mapping: what is mapped (VIRTUAL), in memory (RESIDENT), that divided
by how often each page is mapped (PSS), what nobody else maps (USS), in swap, the
zero page, and huge pages that were set aside (HUGETLB), which are no part of
RESIDENT. The numbers are the kernel's own, as in smaps_rollup, except that SWAP
is without pages of shared memory in swap: page tables do not have them.

PAGES is what memory comes in: single base pages, larger folios that are mapped
whole (by their size), parts of larger ones, hugetlb.

HUGE PAGES is what huge entries map, and why not the rest. Policy comes first, by
the name of what forbids them: a setting of the kernel (enabled, shmem_enabled),
huge= of a tmpfs, MADV_NOHUGEPAGE, PR_SET_THP_DISABLE; with what another policy
would make eligible. Then: the mapping is smaller than a huge page; alignment: it
lies at the edge of its mapping, or the file is mapped out of step; holes: other
pages of the same block are not there; frames scattered: they are not consecutive
or not aligned; page cache's folios: the file system has smaller ones; small
entries: the frames would do (khugepaged, or a new madvise, can change that).

What mappings were advised stands in smaps, for which the kernel looks at each
page under the process's mmap lock, about 27 ms for 1G: read only if something
depends on it, by default only if no mapping has more than 256M of small pages,
with --all never.

EXTENTS are consecutive in both address spaces, hugetlb included, the zero page
not: as many descriptors as a scatter-gather list of all of it has. By their
size: how many, how much memory. --mapping asks of a part. On machines with
several NUMA nodes follows which kind has how much memory on which.

--by mapping has a line for each mapping, by PSS (MEMORY is resident and hugetlb
together). Several processes, all of a name, or --all have a line each, by PSS,
and the sum (of PSS: what all have together); HUGE is the part of RESIDENT that
huge pages map. Processes that cannot be read are counted on standard error.

Without CAP_SYS_ADMIN there are no addresses; what can be known of your own
processes is shown all the same, and what is missing is said. In JSON and CSV,
what is not known is null or empty, and all sizes are in bytes. CSV has a line
for each number or group of them.

-- COMMAND starts a program and looks at it as introspect physical does: at its
exit, or with --after or --on. What is found goes to standard error or to -o.

Examples:
  introspect summary 1234
  introspect summary redis-server postgres --freeze
  introspect summary $(pidof chromium)
  introspect summary --all
  introspect summary --all --format json | jq '.[] | [.pid, .total.pss]'
  introspect summary 1234 --by mapping
  introspect summary 1234 --mapping '[heap]'
  introspect summary 1234 --format csv -o summary.csv
  introspect summary -- sort -n words
  introspect summary --after 2s -- qemu-system-x86_64";

/// Of `extents`.
pub(crate) const EXTENTS: &str = "\
Each record is as long as memory is consecutive in both address spaces, exact
to the byte and merged across mappings: a scatter list. Whatever is wrong is
said on standard error, and the exit status is 1 unless all of the range is
backed by RAM and every condition is met; the records are printed all the same.

Examples:
  introspect extents 1234 7f0000001010+5000
  introspect extents 1234 7f0000000000+2M --contiguous
  introspect extents 1234 7f0000000000+64M --align 2M --format json
  introspect extents qemu-system-x86_64 --mapping memfd:ram";

/// Of `virtual`.
pub(crate) const VIRTUAL: &str = "\
Mappings are listed whole, also those that only touch RANGE. With --resident,
runs of pages within RANGE that are in memory or not (STATE), and whether huge
pages map them; that needs no privilege for your own processes. Without
CAP_SYS_ADMIN the kernel does not tell pages in swap from those that are being
moved: both are swapped here. Stacks of threads that no C library has named are told
by the stack pointers (--thread-stacks), with the right to attach with ptrace.

Examples:
  introspect virtual 1234
  introspect virtual 1234 --mapping libc.so
  introspect virtual 1234 --thread-stacks
  introspect virtual 1234 --resident --backed
  introspect virtual self --format csv";

/// Of `pagetable`.
pub(crate) const PAGETABLE: &str = "\
A record for each page-table entry that maps memory, of the size that it maps,
and one for each base page that is not there. If RANGE begins in no mapping, the
first record is that page, unmapped. Needs CAP_SYS_ADMIN. --details adds facts
of the pages as it does for introspect physical.

Examples:
  introspect pagetable 1234 7f0000000000+16K
  introspect pagetable 1234 7f0000000000+1G --backed --format jsonl
  introspect pagetable 1234 --mapping '[stack]'";

/// Of `object`.
pub(crate) const OBJECT: &str = "\
A line for each field that is known. linked_vaddr is the address that the byte
was linked to, as nm and addr2line know it: for executables and shared libraries
whose file can be read. relocation is by how much the file was moved, the same in
each of its mappings; build_id tells it from others of its name. path is the
kernel's name for it; open_path, where that does not lead to it, because it was
deleted or replaced or the process has another root, is a path that does, if
there is one. Exit status 1 if nothing, or memory without an object, is mapped
there.

Examples:
  introspect object 1234 7f0012345678
  introspect object 1234 0x7f0012345678 --format json";

/// Of `address`.
pub(crate) const ADDRESS: &str = "\
For each address: what sort of thing is there and the range that it belongs to
(/proc/iomem), the NUMA node whose memory it is, and the flags and the number of
mappings of its page frame (/proc/kpageflags, /proc/kpagecount; the flags have
the kernel's names). Whose page it is: introspect owner.

Without CAP_SYS_ADMIN the kernel shows no ranges and no flags. What is left is
printed, KIND is hidden, and the exit status is 1.

Examples:
  introspect address 11c183000
  introspect address 0xfee00000 pfn:1163651 --format json";

/// Of `owner`.
pub(crate) const OWNER: &str = "\
PADDR is a physical address in hexadecimal or pfn:N, a page frame in decimal or
with 0x: its page. START-END and START+SIZE are ranges of addresses. However many
are given, all processes are looked at once. Needs root: CAP_SYS_ADMIN, and the
right to trace every process.

A record for each run of pages and each process that maps it, processes in the
order of PIDs; below its row the mapping, and how often page tables map each
page by the kernel's count (mapcount). Then a record for pages that no process
maps (unmapped), or that none of those maps that could be read (not-found). USE is what a page is: free, slab, page-table, page-cache
(files and shared memory), anonymous, swap-cache, ksm, zero, hugetlb, poisoned,
offline (a balloon's), kernel, kernel-or-free (the kernel marks neither its own
pages nor those free in the stock of a CPU), reserved (at boot), and where there
is no RAM that the kernel manages pci, device, firmware, firmware-reserved,
persistent-memory, unclaimed or not-managed. A device's memory is found where a
process maps it, if its address can be known.

Processes that ended meanwhile, were refused, or did not answer for the time of
--deadline are counted on standard error, and listed with --unread, by unread_pid
in place of pid. What a
process maps in the moment that it is looked at is found: a page that moves, or
a process that starts meanwhile, can be missed. A mapcount that is greater than
the number of owners found says so, too. A poisoned page is taken away from the
processes that had it; those that are still there are listed (\"had it\"), unless
the page was of a file that can be read again, or of hugetlb. In CSV, unique PIDs
have more digits than spreadsheets keep: import that column as text.

--from-log and --kmsg take the addresses out of messages about memory errors: the
kernel's (machine checks, EDAC, firmware, memory failure, CXL), rasdaemon's,
mcelog's and those of ras-mc-ctl --errors; docs/MESSAGES.md lists them. FILE may
be compressed with gzip. Each record names the first line that names its memory.
Listed on standard error: numbers that are no physical address of the system's,
such as a CXL device's own, with the reason; and lines that look like messages
about memory errors but cannot be read. If none could be read, the exit status
is 1.

An address above RAM that nothing claims gets a warning, with its decimal reading
if there is RAM: ras-mc-ctl prints decimal addresses, owner takes hexadecimal.

--watch looks at the addresses where the memory was found mapped again and
again, and prints a record when a page there has moved, until all the processes
have ended. Of a range of over 4096 pages found it refuses to.

Examples:
  introspect owner 11c183000
  introspect owner pfn:1163651 100000+2M --format json
  introspect owner 11c183000 --watch --interval 100ms
  introspect owner --kmsg
  introspect owner --from-log /var/log/kern.log.2.gz --unread
  ras-mc-ctl --errors | introspect owner --from-log -
  introspect owner --from-log - --format csv -o owners.csv";

/// Of `read`.
pub(crate) const READ: &str = "\
Needs the right to attach with ptrace: same user and a kernel.yama.ptrace_scope
that allows it, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. If not all of the
range can be read, what comes before the first byte that cannot is written, and
the exit status is 1.
Several mappings of one name are written one after the other.

Examples:
  introspect read 1234 7ffd1c000000+256
  introspect read 1234 --mapping '[vdso]' -o vdso.so
  introspect read self 400000+64 --hex";
