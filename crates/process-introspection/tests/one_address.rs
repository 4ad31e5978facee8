//! The short way to the physical address of one byte, against the walk.

use process_introspection::Process;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

#[test]
fn one_address_is_that_of_its_region_and_none_where_there_is_none() {
    if !is_root_or_skip("one address") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(8 * page());
        memory::touch(at, 3, 2);
        memory::unmap(at + 6 * page(), 2 * page());
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    for offset in (0..8 * page()).step_by(1000) {
        let byte = at + offset..at + offset + 1;
        let region = process.physical_regions(byte).unwrap().next();
        let expected = region.map(Result::unwrap).and_then(|region| {
            let into = at + offset - region.virt.start().as_u64();
            region.backing.further(into).address()
        });
        assert_eq!(process.physical_address(at + offset).unwrap(), expected);
    }
    // Past the end of every process's address space there is no entry to read.
    for nowhere in [0, 1 << 62, 0xffff_ffff_ff60_0000, u64::MAX] {
        assert_eq!(
            process.physical_address(nowhere).unwrap(),
            None,
            "{nowhere:#x}"
        );
    }
}
