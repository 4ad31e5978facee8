//! Messages that the kernel prints, and those that rasdaemon prints in the same format.

use super::Number::{Bare, Hex, Prefixed};
use super::Verdict::{Physical, Presumed, Refused};
use super::{place, Form, Reading, Reason, Record, Sample, Unit, BYTE, FRAME, PAGE};

/// Words of the CXL events, in the three programs that print them.
const OF_CXL: &[&str] = &["memdev", "cxl", "CXL", "dpa=", "dpa:"];

pub(super) static FORMS: &[Form] = &[
    Form {
        name: "memory-failure",
        source: "Linux 4.9 to 7.2, mm/memory-failure.c; 3.10 that a queue is full",
        reading: Reading::Place(place(
            &[
                "Memory failure:",
                "Memory Failure:",
                "Memory failure: pfn=",
                "when queuing memory failure at",
            ],
            Prefixed,
            Unit::Frame,
            Physical,
        )),
        samples: &[
            Sample("Memory failure: 0x8e13f: recovery action for clean LRU page: Recovered", PAGE, Physical),
            Sample("[ 1190.6] Memory failure: 0x8e13f: Sending SIGBUS to db:5421 due to hardware memory corruption", PAGE, Physical),
            Sample("Memory failure: 0x8e13f cannot catch tail", PAGE, Physical),
            Sample("Memory failure: 0x8e13f: Killing db:5421 due to hardware memory corruption", PAGE, Physical),
            Sample("Memory Failure: 0x8e13f: thp split failed", PAGE, Physical),
            Sample("Memory failure: buffer overflow when queuing memory failure at 0x8e13f", PAGE, Physical),
            Sample("Memory failure: buffer overflow when queuing memory failure at 0x0x8e13f", PAGE, Physical),
            Sample("Memory failure: pfn=0x8e13f, invalid nid=-1", PAGE, Physical),
            Sample("Memory failure: 0xfffffffffffff1: recovery action for clean LRU page: Recovered", 0xfffffffffffff1, Refused(Reason::Impossible)),
        ],
    },
    Form {
        name: "memory-failure-old",
        source: "Linux 3.0 to 3.10, mm/memory-failure.c; until a change of 2016, after 4.6",
        reading: Reading::Place(place(&["MCE"], Prefixed, Unit::Frame, Physical).behind(&[":"])),
        samples: &[
            Sample("MCE 0x8e13f: recovery action for dirty LRU page: Recovered", PAGE, Physical),
            Sample("MCE 0x8e13f: dirty LRU page recovery: Recovered", PAGE, Physical),
            Sample("MCE 0x8e13f: Killing db:5421 due to hardware memory corruption", PAGE, Physical),
        ],
    },
    Form {
        name: "memory-failure-panic",
        source: "Linux 3.0 to 7.2, mm/memory-failure.c `memory_failure`",
        reading: Reading::Place(place(&["on page"], Bare, Unit::Frame, Physical).needs(&[
            "Memory failure on page",
            "Memory failure from trap",
        ])),
        samples: &[
            Sample("Kernel panic - not syncing: Memory failure on page 8e13f", PAGE, Physical),
            Sample("Kernel panic - not syncing: Memory failure from trap 18 on page 8e13f", PAGE, Physical),
            Sample("Kernel panic - not syncing: Memory failure on page bed", 0xbed000, Physical),
        ],
    },
    // The text says address, but the source passes the page frame.
    Form {
        name: "memory-failure-unmapped",
        source: "Linux 3.0 to 7.2, mm/memory-failure.c `add_to_kill`, later `__add_to_kill`",
        reading: Reading::Place(
            place(&["Unable to find user space address"], Bare, Unit::Frame, Physical)
                .behind(&[" in "]),
        ),
        samples: &[
            Sample("Memory failure: Unable to find user space address 8e13f in db", PAGE, Physical),
            Sample("MCE: Unable to find user space address 8e13f in db", PAGE, Physical),
        ],
    },
    Form {
        name: "memory-failure-offset",
        source: "Linux 7.2, mm/memory-failure.c `add_to_kill_pgoff` (an offset in a file, in pages)",
        reading: Reading::Place(
            place(&["Unable to find address"], Bare, Unit::Frame, Refused(Reason::NoType))
                .behind(&[" in "]),
        ),
        samples: &[Sample("Memory failure: Unable to find address 8e13f in db", FRAME, Refused(Reason::NoType))],
    },
    Form {
        name: "memory-failure-virtual",
        source: "Linux 3.0 to 7.2, arch/x86/mm/fault.c `do_sigbus`; 4.9 to 7.2, arch/powerpc; 4.14 to 7.2, arch/parisc",
        reading: Reading::Place(place(
            &["due to hardware memory corruption fault at"],
            Hex,
            Unit::Byte,
            Refused(Reason::Virtual),
        )),
        samples: &[
            Sample("MCE: Killing db:5421 due to hardware memory corruption fault at 8e13f2c0", BYTE, Refused(Reason::Virtual)),
        ],
    },
    Form {
        name: "soft-offline",
        source: "Linux 3.0 to 7.2, mm/memory-failure.c",
        reading: Reading::Place(place(
            &[
                "Soft offline:",
                "soft offline:",
                "soft_offline:",
                "soft_offline_page:",
                "get_any_page:",
                "__get_any_page:",
            ],
            Prefixed,
            Unit::Frame,
            Physical,
        )),
        samples: &[
            Sample("Soft offline: 0x8e13f: page already poisoned", PAGE, Physical),
            Sample("soft offline: 0x8e13f: page migration failed -16", PAGE, Physical),
            Sample("soft_offline: 0x8e13f: invalidated", PAGE, Physical),
            Sample("Memory failure: soft_offline: 0x8e13f: unknown page type: 0x0", PAGE, Physical),
            Sample("soft_offline_page: 0x8e13f page already poisoned", PAGE, Physical),
            Sample("get_any_page: 0x8e13f free huge page", PAGE, Physical),
            Sample("__get_any_page: 0x8e13f: unknown zero refcount page type 1000", PAGE, Physical),
        ],
    },
    Form {
        name: "unpoison",
        source: "Linux 4.9 to 7.2, mm/memory-failure.c `unpoison_memory`; 3.0 and 3.10 with MCE",
        reading: Reading::Place(
            place(
                &[
                    "Unpoison:",
                    "Software-unpoisoned page",
                    "Software-unpoisoned free page",
                    "Page was already unpoisoned",
                    "Someone grabs the hwpoison page",
                    "Someone maps the hwpoison page",
                    "the hwpoison page has non-NULL mapping",
                    "Memory failure is now running on",
                    "Memory failure is now running on free hugepage",
                    "Disabled after HW memory failure",
                    "huge zero page is not supported",
                    "failed to grab page",
                ],
                Prefixed,
                Unit::Frame,
                Physical,
            )
            .needs(&["Unpoison:", "MCE:"]),
        ),
        samples: &[
            Sample("Unpoison: 0x8e13f: software-unpoisoned page", PAGE, Physical),
            Sample("Unpoison: Software-unpoisoned page 0x8e13f", PAGE, Physical),
            Sample("Memory failure: Unpoison: Software-unpoisoned page 0x8e13f", PAGE, Physical),
            Sample("MCE: Software-unpoisoned page 0x8e13f", PAGE, Physical),
            Sample("MCE: Software-unpoisoned free page 0x8e13f", PAGE, Physical),
            Sample("MCE: Page was already unpoisoned 0x8e13f", PAGE, Physical),
            Sample("MCE: Memory failure is now running on free hugepage 0x8e13f", PAGE, Physical),
            Sample("Unpoison: Page was already unpoisoned 0x8e13f", PAGE, Physical),
            Sample("Unpoison: Someone grabs the hwpoison page 0x8e13f", PAGE, Physical),
            Sample("Unpoison: Someone maps the hwpoison page 0x8e13f", PAGE, Physical),
            Sample("Unpoison: the hwpoison page has non-NULL mapping 0x8e13f", PAGE, Physical),
            Sample("Unpoison: Memory failure is now running on 0x8e13f", PAGE, Physical),
            Sample("Unpoison: Disabled after HW memory failure 0x8e13f", PAGE, Physical),
            Sample("Unpoison: huge zero page is not supported 0x8e13f", PAGE, Physical),
            Sample("Unpoison: failed to grab page 0x8e13f", PAGE, Physical),
        ],
    },
    Form {
        name: "madvise",
        source: "Linux 4.14 to 7.2, mm/madvise.c `madvise_inject_error`",
        reading: Reading::Place(place(
            &["Soft offlining pfn", "Injecting memory failure for pfn"],
            Prefixed,
            Unit::Frame,
            Physical,
        )),
        samples: &[
            Sample("Soft offlining pfn 0x8e13f at process virtual address 0x7f3a1c0d2000", PAGE, Physical),
            Sample("Injecting memory failure for pfn 0x8e13f at process virtual address 0x20ffd000", PAGE, Physical),
        ],
    },
    Form {
        name: "madvise-old",
        source: "Linux 3.0 to 4.9, mm/madvise.c `madvise_hwpoison`; without 0x to 3.10",
        reading: Reading::Place(
            place(
                &["Soft offlining page", "Injecting memory failure for page"],
                Bare,
                Unit::Frame,
                Physical,
            )
            .behind(&[" at "]),
        ),
        samples: &[
            Sample("Soft offlining page 0x8e13f at 0x7f3a1c0d2000", PAGE, Physical),
            Sample("Injecting memory failure for page 8e13f at 20ffd000", PAGE, Physical),
        ],
    },
    Form {
        name: "hwpoison-inject",
        source: "Linux 6.12, mm/hwpoison-inject.c",
        reading: Reading::Place(place(
            &["Injecting memory failure at pfn"],
            Prefixed,
            Unit::Frame,
            Physical,
        )),
        samples: &[Sample("Injecting memory failure at pfn 0x8e13f", PAGE, Physical)],
    },
    Form {
        name: "cec",
        source: "Linux 6.12, drivers/ras/cec.c",
        reading: Reading::Place(place(&["Soft-offlining pfn:"], Prefixed, Unit::Frame, Physical)),
        samples: &[Sample("RAS: Soft-offlining pfn: 0x8e13f", PAGE, Physical)],
    },
    Form {
        name: "called-invalid",
        source: "Linux 6.12, drivers/ras/cec.c; drivers/edac/e752x_edac.c, e7xxx_edac.c",
        reading: Reading::Place(
            place(&["CEC: Invalid pfn:", "Invalid page"], Hex, Unit::Frame, Refused(Reason::CalledInvalid)),
        ),
        samples: &[
            Sample("RAS: CEC: Invalid pfn: 0x8e13f", FRAME, Refused(Reason::CalledInvalid)),
            Sample("EDAC e752x: Invalid page 8e13f - out of range", FRAME, Refused(Reason::CalledInvalid)),
        ],
    },
    Form {
        name: "memory-failure-event",
        source: "Linux 6.12, include/ras/ras_event.h (memory_failure_event)",
        reading: Reading::Place(
            place(&["pfn"], Prefixed, Unit::Frame, Physical).behind(&[": recovery action"]),
        ),
        samples: &[Sample("kworker-77 [1] .... 12.5: memory_failure_event: pfn 0x8e13f: recovery action for dirty LRU page: Recovered", PAGE, Physical)],
    },
    Form {
        name: "frame-line",
        source: "Linux 6.12, drivers/edac/fsl_ddr_edac.c; rasdaemon, contrib/mem_fail_trigger",
        reading: Reading::Place(place(&["PFN:"], Prefixed, Unit::Frame, Physical)),
        samples: &[
            Sample("EDAC FSL_DDR MC0: PFN: 0x0008e13f", PAGE, Physical),
            Sample("PFN: 0x8e13f", PAGE, Physical),
        ],
    },
    Form {
        name: "edac",
        source: "Linux 3.10 to 7.2, drivers/edac/edac_mc.c; 3.0 with blanks and commas",
        reading: Reading::Place(
            place(
                &["page:", "page"],
                Prefixed,
                Unit::FrameAndOffset(&["offset:0x", "offset 0x"]),
                Physical,
            )
            .needs(&["EDAC", "CE ", "UE "]),
        ),
        samples: &[
            Sample("EDAC MC1: 1 CE memory read error on CPU_SrcID#1_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x8e13f offset:0x2c0 grain:32 syndrome:0x0 -  area:DRAM err_code:0001:0091)", BYTE, Physical),
            Sample("Kernel panic - not syncing: UE on mc#0csrow#1 (csrow:1 page:0x8e13f offset:0x2c0 grain:8)", BYTE, Physical),
            Sample("EDAC MC0: CE page 0x8e13f, offset 0x2c0, grain 8, syndrome 0x1d, row 0, channel 1, label \"\": i82875p_edac", BYTE, Physical),
            Sample("EDAC MC0: 1 UE on unknown memory (csrow:0 page:0x0 offset:0x0 grain:0)", 0, Refused(Reason::NotKnown)),
            Sample("EDAC MC0: 1 UE on unknown memory (csrow:0 page:0x1 offset:0xfffffff grain:0)", 1, Refused(Reason::Impossible)),
        ],
    },
    Form {
        name: "edac-page",
        source: "Linux 6.12, drivers/edac/e752x_edac.c; edac_mc.c `edac_mc_find_csrow_by_page`",
        reading: Reading::Place(
            place(
                &["CE page", "could not look up page error address"],
                Hex,
                Unit::Frame,
                Physical,
            )
            .needs(&["EDAC"]),
        ),
        samples: &[
            Sample("EDAC e752x MC0: CE page 0x8e13f, row 1 : Memory read retry", PAGE, Physical),
            Sample("EDAC MC0: could not look up page error address 8e13f", PAGE, Physical),
        ],
    },
    Form {
        name: "edac-called-invalid",
        source: "Linux 6.12, drivers/edac/skx_common.c `skx_mce_check_error`",
        reading: Reading::Place(
            place(&["Invalid address"], Prefixed, Unit::Byte, Refused(Reason::CalledInvalid))
                .behind(&[" in IA32_MC"]),
        ),
        samples: &[Sample("Invalid address 0x8e13f2c0 in IA32_MC7_ADDR", BYTE, Refused(Reason::CalledInvalid))],
    },
    Form {
        name: "edac-address",
        source: "Linux 6.12, drivers/edac/{sb,skx_common,pnd2,igen6}_edac.c",
        reading: Reading::Place(place(&["ADDR"], Hex, Unit::CheckByte, Physical).needs(&["EDAC "])),
        samples: &[
            Sample("EDAC sbridge MC0: ADDR 8e13f2c0 ", BYTE, Physical),
            Sample("EDAC skx MC2: ADDR 0x8e13f2c0 ", BYTE, Physical),
            Sample("EDAC igen6 MC0: ADDR 0x8e13f2c0 ", BYTE, Physical),
        ],
    },
    Form {
        name: "edac-driver",
        source: "Linux 6.12, drivers/edac/{fsl_ddr,sb,pnd2,amd64}_edac.c",
        reading: Reading::Place(
            place(
                &[
                    "Err addr:",
                    "area, on addr",
                    "is too high for addr",
                    "Error address",
                    "failed to map error addr",
                    "sys_addr",
                ],
                Prefixed,
                Unit::CheckByte,
                Physical,
            )
            .needs(&["EDAC"]),
        ),
        samples: &[
            Sample("EDAC FSL_DDR MC0: Err addr: 0x8e13f2c0", BYTE, Physical),
            Sample("EDAC MC0: 1 CE Error at TOLM area, on addr 0x8e13f2c0 on any memory", BYTE, Physical),
            Sample("EDAC MC0: 1 CE Can't calculate ch addr: TAD offset 0x00000100 is too high for addr 0x8e13f2c0! on any memory", BYTE, Physical),
            Sample("EDAC MC0: 1 UE Error address 0x8e13f2c0 is not DRAM on unknown memory", BYTE, Physical),
            Sample("EDAC amd64 MC0: failed to map error addr 0x8e13f2c0 to a node", BYTE, Physical),
            Sample("EDAC amd64: amd64_map: sys_addr 0x8e13f2c0 falls outside base/limit address map", BYTE, Physical),
        ],
    },
    Form {
        name: "edac-controller",
        source: "Linux 6.12, drivers/edac/sb_edac.c, cpc925_edac.c",
        reading: Reading::Place(
            place(
                &["memory rank for ch addr", "Mem Err Address"],
                Prefixed,
                Unit::Byte,
                Refused(Reason::Controller),
            )
            .needs(&["EDAC"]),
        ),
        samples: &[
            Sample("EDAC MC0: 1 CE Can't discover the memory rank for ch addr 0x8e13f2c0 on any memory", BYTE, Refused(Reason::Controller)),
            Sample("EDAC CPC925 MC0: Mem Err Address\t0x8e13f2c0", BYTE, Refused(Reason::Controller)),
        ],
    },
    Form {
        name: "cper-memory",
        source: "Linux 6.12, drivers/firmware/efi/cper.c `cper_print_mem` (GHES, extlog, BERT)",
        reading: Reading::Place(place(&["physical_address:"], Prefixed, Unit::Byte, Physical)),
        samples: &[
            Sample("{1}[Hardware Error]:   physical_address: 0x000000008e13f2c0", BYTE, Physical),
            Sample("{\"PRIORITY\":\"3\",\"MESSAGE\":\"{1}[Hardware Error]:   physical_address: 0x000000008e13f2c0\"}", BYTE, Physical),
            Sample("{1}[Hardware Error]:   physical_address: 0x0000000000000000", 0, Refused(Reason::NotKnown)),
        ],
    },
    Form {
        name: "ghes-called-invalid",
        source: "Linux 6.12, drivers/acpi/apei/ghes.c `ghes_do_memory_failure`",
        reading: Reading::Place(place(
            &["Invalid address in generic error data:"],
            Prefixed,
            Unit::Byte,
            Refused(Reason::CalledInvalid),
        )),
        samples: &[Sample(
            "GHES: Invalid address in generic error data: 0x8e13f2c0",
            BYTE,
            Refused(Reason::CalledInvalid),
        )],
    },
    Form {
        name: "cper-processor",
        source: "Linux 6.12, drivers/firmware/efi/cper.c `cper_print_proc_generic`",
        reading: Reading::Place(place(&["target_address:"], Prefixed, Unit::Byte, Refused(Reason::NoType))),
        samples: &[Sample("{1}[Hardware Error]:   target_address: 0x000000008e13f2c0", BYTE, Refused(Reason::NoType))],
    },
    Form {
        name: "arm-physical",
        source: "Linux 6.12, drivers/firmware/efi/cper-arm.c; rasdaemon, ras-arm-handler.c",
        reading: Reading::Place(place(&["physical fault address:"], Prefixed, Unit::Byte, Physical)),
        samples: &[
            Sample("{3}[Hardware Error]:    physical fault address: 0x000000008e13f2c0", BYTE, Physical),
            Sample("rasdaemon: arm_event: 2026-01-02 03:04:05 +0000 error_type: cache error error_info: 0x0 physical fault address: 0x000000008e13f2c0", BYTE, Physical),
        ],
    },
    Form {
        name: "arm-virtual",
        source: "as arm-physical",
        reading: Reading::Place(place(&["virtual fault address:"], Prefixed, Unit::Byte, Refused(Reason::Virtual))),
        samples: &[Sample("{3}[Hardware Error]:    virtual fault address: 0x000000008e13f2c0", BYTE, Refused(Reason::Virtual))],
    },
    Form {
        name: "extlog",
        source: "Linux 6.12, include/ras/ras_event.h (extlog_mem_event); rasdaemon, ras-extlog-handler.c",
        reading: Reading::Place(place(&["physical addr:"], Hex, Unit::Byte, Physical)),
        samples: &[
            Sample("extlog_mem_event: {1} corrected error: single-bit ECC physical addr: 000000008e13f2c0 (mask lsb: 6) FRU: 00000000-0000-0000-0000-000000000000 DIMM", BYTE, Physical),
            Sample("rasdaemon: extlog_mem_event: 2026-01-02 03:04:05 +0000 1 corrected error: single-bit ECC physical addr: 0x8e13f2c0 mask: 0x3f node:0 DIMM", BYTE, Physical),
            Sample("extlog_mem_event: {1} corrected error: unknown physical addr: ffffffffffffffff (mask lsb: ff) FRU: 0", u64::MAX, Refused(Reason::NotKnown)),
        ],
    },
    Form {
        name: "mc-event",
        source: "Linux 6.12, include/ras/ras_event.h (mc_event); rasdaemon, ras-mc-handler.c",
        reading: Reading::Place(place(&["address:"], Prefixed, Unit::Byte, Physical).needs(&[" grain:"])),
        samples: &[
            Sample("mc_event: 1 Corrected error: memory read error on DIMM_A1 (mc:0 location:1:0:-1 address:0x8e13f2c0 grain:32 syndrome:0x00000000 area:DRAM)", BYTE, Physical),
            Sample("rasdaemon: mc_event: 2026-01-02 03:04:05 +0000 1 Corrected error: memory read error on DIMM_A1 (mc: 0 location: 1:0 address: 0x8e13f2c0 grain: 5 area:DRAM)", BYTE, Physical),
            Sample("mc_event: 1 Corrected error: memory read error on DIMM_A1 (mc:0 location:1:0:-1 address:0x00000000 grain:32 syndrome:0x00000000)", 0, Refused(Reason::NotKnown)),
        ],
    },
    Form {
        name: "cxl",
        source: "Linux 6.12, drivers/cxl/core/trace.h; rasdaemon, ras-cxl-handler.c, util/ras-mc-ctl.in",
        reading: Reading::Place(place(&["hpa=", "hpa:"], Hex, Unit::Byte, Physical).needs(OF_CXL)),
        samples: &[
            Sample("cxl_poison: memdev=mem1 host=0000:0d:00.0 serial=3 trace_type=List region=region0 region_uuid=0 hpa=0x8e13f2c0 dpa_length=0x40 source=Internal", BYTE, Physical),
            Sample("cxl_dram: memdev=mem1 log=Warning : channel=1 rank=0 hpa=8e13f2c0 region=region0", BYTE, Physical),
            Sample("rasdaemon: cxl_poison: 2026-01-02 memdev:mem1 region:region0 hpa:0x8e13f2c0 ", BYTE, Physical),
            Sample("1 2026-01-02 03:04:05 +0000 error: memdev=mem1, host=0000:0d:00.0, region=region0, hpa=0x8e13f2c0, ", BYTE, Physical),
            Sample("cxl_poison: memdev=mem1 region= hpa=0xffffffffffffffff source=Internal", u64::MAX, Refused(Reason::NotKnown)),
            Sample("1 2026-01-02 03:04:05 +0000 error: memdev=mem1, hpa=0x0, ", 0, Refused(Reason::NotKnown)),
        ],
    },
    Form {
        name: "cxl-alias",
        source: "Linux after 6.12, drivers/cxl/core/trace.h (the other address of an extended linear cache); rasdaemon 0.8.5",
        reading: Reading::Place(place(&["hpa_alias0=", "hpa_alias0:"], Hex, Unit::Byte, Physical).needs(OF_CXL)),
        samples: &[
            Sample("cxl_dram: memdev=mem1 channel=1 hpa_alias0=8e13f2c0 region=region0", BYTE, Physical),
            Sample("rasdaemon: cxl_dram: memdev:mem1 hpa_alias0:0xffffffffffffffff ", u64::MAX, Refused(Reason::NotKnown)),
        ],
    },
    Form {
        name: "cxl-device",
        source: "as cxl",
        reading: Reading::Place(place(&["dpa=", "dpa:"], Hex, Unit::Byte, Refused(Reason::Device))),
        samples: &[
            Sample("cxl_dram: memdev=mem1 log=Warning : dpa=8e13f2c0 dpa_flags='' channel=1", BYTE, Refused(Reason::Device)),
            Sample("rasdaemon: cxl_poison: memdev:mem1 dpa:0x8e13f2c0 dpa_length:0x40 ", BYTE, Refused(Reason::Device)),
        ],
    },
    Form {
        name: "mce-user",
        source: "Linux 3.10 to 7.2, arch/x86/kernel/cpu/mce/core.c `kill_me_maybe`, to 4.19 in other functions; 6.1 to 7.2 `kill_me_never`",
        reading: Reading::Place(place(
            &[
                "memory error in user-access at",
                "accessed poison in user space at",
            ],
            Hex,
            Unit::CheckByte,
            Physical,
        )),
        samples: &[
            Sample("mce: Uncorrected hardware memory error in user-access at 8e13f2c0", BYTE, Physical),
            Sample("mce: Kernel accessed poison in user space at 8e13f2c0", BYTE, Physical),
        ],
    },
    Form {
        name: "powerpc",
        source: "Linux 6.12, arch/powerpc/kernel/mce.c",
        reading: Reading::Place(place(&["paddr:"], Hex, Unit::Byte, Physical).needs(&["MCE:"])),
        samples: &[
            Sample("MCE: CPU3: machine check (Severe)  UE Load/Store paddr: 000000008e13f2c0 [Not recovered]", BYTE, Physical),
            Sample("MCE: CPU3: PID: 5421 Comm: db NIP: [00007fff88410000] paddr: 000000008e13f2c0", BYTE, Physical),
        ],
    },
    Form {
        name: "powerpc-virtual",
        source: "as powerpc",
        reading: Reading::Place(place(&["DAR:"], Hex, Unit::Byte, Refused(Reason::Virtual)).needs(&["MCE:"])),
        samples: &[Sample("MCE: CPU3: machine check (Severe)  UE Load/Store DAR: 000000008e13f2c0 [Recovered]", BYTE, Refused(Reason::Virtual))],
    },
    Form {
        name: "mce-record-oldest",
        source: "Linux 3.0 to 3.10, include/trace/events/mce.h",
        reading: Reading::Record(Record {
            address: "ADDR/MISC: ",
            misc: "",
            status: "MC",
            ipid: "IPID: ",
            vendor: "PROCESSOR: ",
            capabilities: "MCGc/s: ",
            cpuid: "PROCESSOR: ",
        }),
        samples: &[
            Sample("mce_record: CPU: 1, MCGc/s: 1000c14/0, MC7: 8c00004000010091, ADDR/MISC: 000000008e13f2c0/000000000000008c, RIP: 00:<0000000000000000>, TSC: 1, PROCESSOR: 0:306e4, TIME: 1, SOCKET: 0, APIC: 2", BYTE, Physical),
            Sample("mce_record: CPU: 1, MCGc/s: 106/0, MC4: 9c00400000080a13, ADDR/MISC: 000000008e13f2c0/0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PROCESSOR: 2:100f42, TIME: 1, SOCKET: 0, APIC: 2", BYTE, Presumed),
        ],
    },
    Form {
        name: "mce-record-old",
        source: "Linux 4.9 to 6.1, include/trace/events/mce.h; until commit ac5e80e94f5c of 2024",
        reading: Reading::Record(Record {
            address: "ADDR/MISC/SYND: ",
            misc: "",
            status: "MC",
            ipid: "IPID: ",
            vendor: "PROCESSOR: ",
            capabilities: "MCGc/s: ",
            cpuid: "PROCESSOR: ",
        }),
        samples: &[
            Sample("mce_record: CPU: 1, MCGc/s: 1000c14/0, MC7: 8c00004000010091, IPID: 0000000000000000, ADDR/MISC/SYND: 000000008e13f2c0/000000000000008c/0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PROCESSOR: 0:306f2, TIME: 1, SOCKET: 0, APIC: 2", BYTE, Physical),
            Sample("mce_record: CPU: 1, MCGc/s: 117/0, MC17: dc2040000000011b, IPID: 0000009600150f00, ADDR/MISC/SYND: 000000008e13f2c0/d01a0ffe00000000/000000000a800102, RIP: 00:<0000000000000000>, TSC: 1, PROCESSOR: 2:830f10, TIME: 1, SOCKET: 0, APIC: 2", BYTE, Refused(Reason::Normalized)),
            Sample("mce_record: CPU: 1, MCGc/s: 1000c14/0, MC0: 8000004000010005, IPID: 0000000000000000, ADDR/MISC/SYND: 000000008e13f2c0/0/0, RIP: 00:<0000000000000000>, TSC: 1, PROCESSOR: 0:306f2, TIME: 1, SOCKET: 0, APIC: 2", BYTE, Refused(Reason::NotValid)),
        ],
    },
    Form {
        name: "mce-record",
        source: "Linux 6.12 to 7.2, include/trace/events/mce.h; since commit ac5e80e94f5c of 2024",
        reading: Reading::Record(Record {
            address: ", ADDR: ",
            misc: ", MISC: ",
            status: "MC",
            ipid: "IPID: ",
            vendor: "vendor: ",
            capabilities: "MCGc/s: ",
            cpuid: "CPUID: ",
        }),
        samples: &[
            Sample("mce_record: CPU: 1, MCGc/s: 1000c14/0, MC7: 8c00004000010091, IPID: 0000000000000000, ADDR: 000000008e13f2c0, MISC: 000000000000008c, SYND: 0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PPIN: 0, vendor: 0, CPUID: 306f2, time: 1, socket: 0, APIC: 2, microcode: 1", BYTE, Physical),
            Sample("mce_record: CPU: 1, MCGc/s: 1000c14/0, MC7: 8c00004000010151, IPID: 0000000000000000, ADDR: 000000008e13f2c0, MISC: 000000000000004c, SYND: 0000000000000000, RIP: 00:<0000000000000000>, TSC: 1, PPIN: 0, vendor: 0, CPUID: 306f2, time: 1, socket: 0, APIC: 2, microcode: 1", BYTE, Refused(Reason::OtherMode)),
        ],
    },
    Form {
        name: "mce",
        source: "Linux 3.0 to 7.2, arch/x86/kernel/cpu/mce/core.c `__print_mce`, to 4.19 in mcheck/mce.c",
        reading: Reading::KernelCheck,
        samples: &[
            Sample("mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 7: 8c00004000010091\nmce: [Hardware Error]: TSC 1a4b2c ADDR 8e13f2c0 MISC 140141486 \nmce: [Hardware Error]: PROCESSOR 0:306f2 TIME 1700000000 SOCKET 0 APIC 2 microcode 49", BYTE, Physical),
            Sample("CPU 1: Machine Check Exception:                4 Bank 4: b200000000070f0f\nTSC 1a4b2c ADDR 8e13f2c0 \n", BYTE, Refused(Reason::NotValid)),
            Sample("mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 17: dc2040000000011b\nmce: [Hardware Error]: TSC 0 ADDR 8e13f2c0 MISC d01a0ffe00000000 SYND 4d00 IPID 9600050f00 \nmce: [Hardware Error]: PROCESSOR 2:830f10 TIME 1700000000 SOCKET 0 APIC 2 microcode 49", BYTE, Refused(Reason::Normalized)),
        ],
    },
    Form {
        name: "mce-amd",
        source: "Linux 4.9 to 7.2, drivers/edac/mce_amd.c `amd_decode_mce`; 3.10 as MC4_ADDR",
        reading: Reading::AmdCheck,
        samples: &[
            Sample(
                "[Hardware Error]: CPU:2 (10:4:2) MC4_STATUS[-|CE|MiscV|AddrV|CECC]: 0x9c00400000080a13\n[Hardware Error]: Error Addr: 0x000000008e13f2c0",
                BYTE,
                Presumed,
            ),
            Sample(
                "[Hardware Error]: Error Addr: 0x000000008e13f2c0",
                BYTE,
                Refused(Reason::NoType),
            ),
            Sample("[Hardware Error]: CPU:2 (10:4:2) MC4_STATUS[-|CE|MiscV|-|AddrV|CECC]: 0x9c00400000080a13\n[Hardware Error]: MC4_ADDR: 0x000000008e13f2c0", BYTE, Presumed),
            Sample("[Hardware Error]: CPU:2 (17:31:0) MC17_STATUS[Over|CE|MiscV|AddrV|-|-|SyndV|CECC|-|-|-]: 0xdc2040000000011b\n[Hardware Error]: Error Addr: 0x000000008e13f2c0\n[Hardware Error]: IPID: 0x0000009600150f00, Syndrome: 0x4d0000000a800102\n[Hardware Error]: Unified Memory Controller Ext. Error Code: 0, DRAM ECC error.", BYTE, Refused(Reason::Normalized)),
            Sample("[Hardware Error]: Error Addr: 0x000000008e13f2c0\n[Hardware Error]: MC4 Error (node 0): DRAM ECC error detected on the NB.", BYTE, Presumed),
            Sample("[Hardware Error]: Error Addr: 0x000000008e13f2c0\n[Hardware Error]: IPID: 0x000000b000000000, Syndrome: 0x4d00", BYTE, Presumed),
        ],
    },
    Form {
        name: "companion",
        source: "Linux 6.12, drivers/firmware/efi/cper*.c; rasdaemon, non-standard-nvidia.c",
        reading: Reading::Companion(&[
            "physical_address_mask:",
            "MSR Address:",
            "MM Register Address:",
            "rcrb_base_address:",
            "agent_address:",
            "address space:",
            "Reg[",
            ".reg[",
        ]),
        samples: &[],
    },
];
