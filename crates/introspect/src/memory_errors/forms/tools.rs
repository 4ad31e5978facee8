//! Messages of rasdaemon, `ras-mc-ctl`, mcelog and others.

use super::Number::{Decimal, Hex, Prefixed};
use super::Verdict::{Physical, Presumed, Refused};
use super::{place, Form, Reading, Reason, Record, Sample, Unit, BYTE, PAGE};

/// Words of a line that is about memory errors, for texts that other messages contain as well.
const OF_ERRORS: &[&str] = &[
    "error", "Error", "ERROR", "failure", "Failure", "poison", "MCE", "mce", "ECC", "corrupt",
];

pub(super) static FORMS: &[Form] = &[
    Form {
        name: "rasdaemon-memory-failure",
        source: "rasdaemon, ras-memory-failure-handler.c; util/ras-mc-ctl.in --errors",
        reading: Reading::Place(
            place(&["pfn="], Prefixed, Unit::Frame, Physical).needs(&[
                "page_type=",
                "emory failure",
                "memory_failure",
            ]),
        ),
        samples: &[
            Sample("rasdaemon: memory_failure_event: 2026-01-02 03:04:05 +0000 pfn=0x8e13f page_type=dirty LRU page action_result=Recovered", PAGE, Physical),
            Sample("1 2026-01-02 03:04:05 +0000 error: pfn=0x8e13f, page_type=dirty LRU page, action_result=Recovered", PAGE, Physical),
            Sample("Memory failure event: pfn=0x8e13f", PAGE, Physical),
        ],
    },
    Form {
        name: "ras-mc-ctl-extlog",
        source: "rasdaemon, util/ras-mc-ctl.in --errors",
        reading: Reading::Place(place(&["address="], Prefixed, Unit::Byte, Physical).needs(&["severity="])),
        samples: &[Sample("1 2026-01-02 03:04:05 +0000 error: type=single-bit ECC, severity=corrected, address=0x8e13f2c0, fru_id=00000000-0000-0000-0000-000000000000, fru_text='DIMM', ", BYTE, Physical)],
    },
    Form {
        name: "ras-mc-ctl-mc",
        source: "rasdaemon 0.6.0 to 0.8.5, util/ras-mc-ctl.in --errors (decimal)",
        reading: Reading::Place(
            place(&["addr"], Decimal, Unit::Byte, Physical)
                .needs(&["location:"])
                .behind(&[", grain "]),
        ),
        samples: &[
            Sample("1 2026-01-02 03:04:05 +0000 1 Corrected error(s): memory read error at DIMM_A1 location: 0:1:0:-1, addr 2383671999, grain 5, syndrome 0 area:DRAM", 2_383_671_999, Physical),
            Sample("2 2026-01-02 03:04:05 +0000 1 Corrected error(s): memory read error at DIMM_A1 mc: 0 location: 3:1:0:-1, addr 469810184128, grain 5, syndrome 0 ", 469_810_184_128, Physical),
            Sample("3 2026-01-02 03:04:05 +0000 1 Corrected error(s): memory read error at DIMM_A1 location: 0:1:0:-1, addr 0, grain 5, syndrome 0 ", 0, Refused(Reason::NotKnown)),
        ],
    },
    Form {
        name: "rasdaemon-page",
        source: "rasdaemon, ras-page-isolation.c",
        reading: Reading::Place(place(
            &[
                "Corrected Errors at",
                "offlining page at",
                "offline page at",
                "rasdaemon: page at",
                "page offline addr(",
            ],
            Prefixed,
            Unit::Byte,
            Physical,
        )),
        samples: &[
            Sample("rasdaemon: Corrected Errors at 0x8e13f000 exceeded threshold", PAGE, Physical),
            Sample("rasdaemon: Result of offlining page at 0x8e13f000: offlined", PAGE, Physical),
            Sample("rasdaemon: PAGE_CE_ACTION=off, ignore to offline page at 0x8e13f000", PAGE, Physical),
            Sample("rasdaemon: page at 0x8e13f000 is already offlined, ignore", PAGE, Physical),
            Sample("rasdaemon: page offline addr(0x8e13f000) by /sys/devices/system/memory/soft_offline_page failed, errno:16", PAGE, Physical),
        ],
    },
    Form {
        name: "guest",
        source: "any program, by its words",
        reading: Reading::Place(
            place(
                &["guest physical address", "Guest physical address", "guest physical address:"],
                Prefixed,
                Unit::Byte,
                Refused(Reason::Guest),
            )
            .needs(OF_ERRORS),
        ),
        samples: &[Sample("qemu: memory error at guest physical address 0x8e13f2c0", BYTE, Refused(Reason::Guest))],
    },
    Form {
        name: "physical-address",
        source: "any program, by its words",
        reading: Reading::Place(
            place(
                &[
                    "physical address",
                    "physical address:",
                    "Physical address",
                    "Physical address:",
                    "Physical Address:",
                ],
                Hex,
                Unit::Byte,
                Physical,
            )
            .needs(&[
                "error", "Error", "ERROR", "failure", "Failure", "poison", "MCE", "mce", "ECC",
                "corrupt", "    Physical address:",
            ]),
        ),
        samples: &[
            Sample("uncorrectable memory error at physical address 0x8e13f2c0", BYTE, Physical),
            Sample("[   12.5]     Physical address:  000000008e13f2c0", BYTE, Physical),
        ],
    },
    Form {
        name: "reported-address",
        source: "any program, by its words",
        reading: Reading::Place(
            place(&["reported address", "reported address:"], Prefixed, Unit::Byte, Presumed)
                .needs(OF_ERRORS),
        ),
        samples: &[Sample("memory error, reported address 0x8e13f2c0", BYTE, Presumed)],
    },
    Form {
        name: "mcelog-page",
        source: "mcelog, page.c",
        reading: Reading::Place(place(
            &[
                "Corrected memory errors on page",
                "Offlining page",
                "Soft offlining of page",
            ],
            Hex,
            Unit::Byte,
            Physical,
        )),
        samples: &[
            Sample("mcelog: Corrected memory errors on page 8e13f000 exceed threshold 10 in 24h: 10 in 24h", PAGE, Physical),
            Sample("mcelog: Offlining page 8e13f000", PAGE, Physical),
            Sample("mcelog: Soft offlining of page 8e13f000 failed, trying hard offlining", PAGE, Physical),
        ],
    },
    Form {
        name: "mcelog-page-trigger",
        source: "mcelog, page.c (decimal)",
        reading: Reading::Place(place(
            &["soft trigger run for page"],
            Decimal,
            Unit::Byte,
            Physical,
        )),
        samples: &[
            Sample("mcelog: pre soft trigger run for page 2383671296", 2_383_671_296, Physical),
            Sample("mcelog: post soft trigger run for page 2383671296", 2_383_671_296, Physical),
        ],
    },
    Form {
        name: "mcelog-page-list",
        source: "mcelog --client, page.c `dump_page_errors`",
        reading: Reading::Place(
            place(&[""], Hex, Unit::Byte, Physical)
                .needs(&[" seen \""])
                .behind(&[": total "]),
        ),
        samples: &[Sample("8e13f000: total 3 seen \"3 in 24h\" online", PAGE, Physical)],
    },
    Form {
        name: "mcelog-dimm",
        source: "mcelog --dmi, dmi.c",
        reading: Reading::Place(
            place(&["No DIMM found for"], Hex, Unit::Byte, Refused(Reason::NoType)).behind(&[" in SMBIOS"]),
        ),
        samples: &[Sample("No DIMM found for 8e13f2c0 in SMBIOS", BYTE, Refused(Reason::NoType))],
    },
    Form {
        name: "hisilicon",
        source: "rasdaemon, non-standard-hisi_hip08.c",
        reading: Reading::Place(place(&["ERR_ADDR="], Prefixed, Unit::Byte, Refused(Reason::NoType))),
        samples: &[Sample("ERR_ADDR=0x8e13f2c0", BYTE, Refused(Reason::NoType))],
    },
    Form {
        name: "yitian",
        source: "rasdaemon, util/ras-mc-ctl.in --vendor-errors (decimal; non-standard-yitian.c stores 0)",
        reading: Reading::Place(
            place(&["Error Address:"], Decimal, Unit::Byte, Refused(Reason::NoType))
                .behind(&[" Error Registers Dump"]),
        ),
        samples: &[Sample("1. 2026-01-02 03:04:05 +0000 Error Address: 0 Error Registers Dump: 0x1", 0, Refused(Reason::NotKnown))],
    },
    Form {
        name: "reri",
        source: "rasdaemon 0.8.5, ras-reri-handler.c",
        reading: Reading::Typed,
        samples: &[
            Sample(" address_type: Supervisor Physical Address\n address: 0x8e13f2c0", BYTE, Physical),
            Sample(" address_type: Guest Physical Address\n address: 0x8e13f2c0", BYTE, Refused(Reason::Guest)),
            Sample(" address_type: Virtual Address\n address: 0x8e13f2c0", BYTE, Refused(Reason::Virtual)),
            Sample(" address_type: Unknown\n address: 0x8e13f2c0", BYTE, Refused(Reason::NoType)),
        ],
    },
    Form {
        name: "rasdaemon-mce",
        source: "rasdaemon 0.5 to 0.8.5, ras-mce-handler.c",
        reading: Reading::Record(Record {
            address: ", addr= ",
            misc: ", misc= ",
            status: ", status= ",
            ipid: ", ipid= ",
            vendor: ", cpu_type= ",
            capabilities: ", mcgcap= ",
            cpuid: "",
        }),
        samples: &[
            Sample("rasdaemon: mce_record: 2026-01-02 03:04:05 +0000 bank=7, status= 8c00004000010091, MEMORY CONTROLLER RD_CHANNEL1_ERR, mci=Corrected_error, cpu_type= Intel Xeon v3 (Haswell) EP/EX, cpu= 1, socketid= 0, misc= 8c, addr= 8e13f2c0, mcgstatus= 0, mcgcap= 1000c14, apicid= 2", BYTE, Physical),
            Sample("rasdaemon: mce_record: 2026-01-02 03:04:05 +0000 Unified Memory Controller (bank=17), status= 9c2040000000011b, Corrected error, cpu_type= AMD Scalable MCA, cpu= 1, socketid= 0, misc= d01a0ffe00000000, addr= 8e13f2c0, synd= a800102, ipid= 9600150f00, mcgstatus= 0, mcgcap= 117, apicid= 2", BYTE, Refused(Reason::Normalized)),
            Sample("rasdaemon: mce_record: 2026-01-02 03:04:05 +0000 Load Store Unit (bank=0), status= 9c2040000000011b, Corrected error, cpu_type= AMD Scalable MCA, cpu= 1, socketid= 0, misc= d01a0ffe00000000, addr= 8e13f2c0, ipid= b000000000, mcgstatus= 0, mcgcap= 117, apicid= 2", BYTE, Presumed),
        ],
    },
    Form {
        name: "ras-mc-ctl-mce",
        source: "rasdaemon 0.6.0 to 0.8.5, util/ras-mc-ctl.in --errors",
        reading: Reading::Record(Record {
            address: ", addr=0x",
            misc: ", misc=0x",
            status: ", status=0x",
            ipid: ", ipid=0x",
            vendor: ", CPU ",
            capabilities: ", mcgcap=0x",
            cpuid: "",
        }),
        samples: &[
            Sample("1 2026-01-02 03:04:05 +0000 error: MEMORY CONTROLLER RD_CHANNEL0_ERR, bank bank=7, mci Corrected_error, mcgcap=0x01000c14, status=0x8c00004200800090, addr=0x8e13f2c0, misc=0x0000008c, walltime=0x69571e45, cpuid=0x000306f2, bank=0x00000007", BYTE, Physical),
            Sample("2 2026-01-02 03:04:05 +0000 error: DRAM ECC error, CPU 2, bank Unified Memory Controller (bank=17), mcgcap=0x00000117, status=0xdc2040000000011b, addr=0x8e13f2c0, misc=0xd01a0ffe00000000, bank=0x00000011", BYTE, Refused(Reason::Normalized)),
        ],
    },
    Form {
        name: "mcelog",
        source: "mcelog, mcelog.c `dump_mce`, `dump_mce_raw_ascii`",
        reading: Reading::McelogCheck,
        samples: &[
            Sample("CPU 2 BANK 8 \nMISC 2 ADDR 8e13f2c0 \nTIME 1700000000\nMEMORY CONTROLLER RD_CHANNEL0_ERR\nSTATUS 8c0000400001009f MCGSTATUS 0\nMCGCAP 1c09 APICID 4 SOCKETID 0 \nCPUID Vendor Intel Family 6 Model 26", BYTE, Physical),
            Sample("mcelog: CPU 2 BANK 8 MISC 2 ADDR 8e13f2c0 ", BYTE, Presumed),
            Sample("MISC 0 ADDR 8e13f2c0", BYTE, Presumed),
            Sample("CPU 0 4 northbridge ADDR 8e13f2c0 ", BYTE, Presumed),
            Sample("CPU 1\nBANK 7\nTSC 0x1a4b2c\nRIP 00:0\nMISC 0x8c\nADDR 0x8e13f2c0\nSTATUS 0x8c00004000010151\nMCGSTATUS 0\nPROCESSOR 0:0x306f2", BYTE, Physical),
            Sample("CPU 0 BANK 2 TSC 1a4b2c \nADDR 8e13f2c0 \nSTATUS 9000004000010135 MCGSTATUS 0", BYTE, Refused(Reason::NotValid)),
        ],
    },
];
