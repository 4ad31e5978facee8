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

/// On arm64 the upper byte of a pointer can be a tag; elsewhere it is of the
/// address, and nothing is there.
// A pointer of 32 bits has no room for a tag.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_tagged_pointer_means_what_it_points_to_where_pointers_have_tags() {
    if !is_root_or_skip("a tagged pointer") {
        return;
    }
    let at = memory::anonymous(page());
    memory::touch(at, 1, 1);
    let process = Process::current().unwrap();
    let tagged = at | 0xb4 << 56;
    let has_tags = cfg!(target_arch = "aarch64");
    let expected = process.physical_address(at).unwrap();
    assert!(expected.is_some());
    let given = process.physical_address(tagged as usize as *const u8);
    assert_eq!(given.unwrap(), expected.filter(|_| has_tags));
    let regions = process.physical_regions(tagged..tagged + page()).unwrap();
    let first = regions.map(Result::unwrap).next();
    assert_eq!(
        first.and_then(|region| region.backing.address()),
        expected.filter(|_| has_tags)
    );
    let mut byte = [0];
    assert_eq!(process.read_memory(tagged, &mut byte).is_ok(), has_tags);
    let code =
        a_tagged_pointer_means_what_it_points_to_where_pointers_have_tags as fn() as usize as u64;
    let object = process.object_at(code | 0xb4 << 56).unwrap();
    assert_eq!(object.is_some(), has_tags);
}
