//! `introspect address`: what is at physical addresses of this machine.

use process_introspection::{Error, FrameFlags, Frames, PageSize, Pfn, PhysicalMap};
use process_introspection_export::{AddressRecord, Record};

use crate::commands::beyond;
use crate::commands::PhysicalAddresses;
use crate::failure::Failure;
use crate::output::sink::{Setting, Sink};

/// `introspect address`.
pub(crate) fn address(arguments: &PhysicalAddresses) -> Result<(), Failure> {
    let base = PageSize::base();
    let mut addresses = Vec::new();
    for text in &arguments.addresses {
        addresses.push(text.resolve(base).ok_or_else(|| {
            Failure::Message(
                "there is no page frame of such a number: its address has over 64 bits".to_owned(),
            )
        })?);
    }
    let mounts = arguments.mounts.mounts()?;
    let map = PhysicalMap::read_in(&mounts)?;
    beyond::warn(&map, addresses.iter().copied(), []);
    let frames = Frames::open_in(&mounts);
    let mut sink = Sink::open(
        &arguments.output,
        &AddressRecord::LAYOUT,
        &[],
        Setting::default(),
    )?;
    for address in addresses {
        let (flags, mapcount) = match &frames {
            Ok(frames) => facts(frames, address.pfn(base))?,
            Err(_) => (None, None),
        };
        let place = map.at(address);
        sink.write(&AddressRecord::new(address, &place, flags, mapcount, base))?;
    }
    sink.finish()?;
    if !map.sees_resources() {
        return Err(Failure::Message(
            "what is at physical addresses is hidden: the kernel shows /proc/iomem only to \
             CAP_SYS_ADMIN in the initial user namespace (run as root)"
                .to_owned(),
        ));
    }
    frames.map(|_| ()).map_err(Failure::from)
}

fn facts(frames: &Frames, frame: Pfn) -> Result<(Option<FrameFlags>, Option<u64>), Error> {
    let (mut flags, mut mapcount) = ([FrameFlags::default()], [0]);
    let told = frames.read_flags(frame, &mut flags)?;
    let counted = frames.read_mapcounts(frame, &mut mapcount)?;
    Ok((
        (told > 0).then_some(flags[0]),
        (counted > 0).then_some(mapcount[0]),
    ))
}
