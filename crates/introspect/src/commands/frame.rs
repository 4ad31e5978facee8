//! `introspect frame`: what is at physical addresses of this machine.

use clap::Args;
use process_introspection::{Error, FrameFlags, Frames, PageSize, Pfn, PhysAddr, PhysicalMap};
use process_introspection_dataset::lake::Snapshot;
use process_introspection_dataset::tables::frames::FrameRow;
use process_introspection_export::{AddressRecord, Record};

use crate::commands::address_check;
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::from::{as_user, no_frames, FromOptions};
use crate::options::mounts::MountOptions;
use crate::options::output::OutputOptions;
use crate::options::range::PhysicalText;
use crate::output::sink::Sink;

const EXAMPLES: &str = "\
Examples:
  introspect frame 11c183000
  introspect frame 0xfee00000 pfn:1163651 --format json
  introspect frame 11c183000 --from lake";

pub(crate) const MANUAL: &str = include_str!("manual/frame.txt");

/// Show what is at physical addresses: RAM, device, flags, mapcount
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all(["procfs", "sysfs"])))]
pub(crate) struct Arguments {
    /// Physical address in hexadecimal, or page frame pfn:N
    #[arg(value_name = "PADDR", required = true)]
    addresses: Vec<PhysicalText>,
    #[command(flatten)]
    from: FromOptions,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(snapshot) = self.from.open()? {
            return self.stored(&snapshot);
        }
        let base = PageSize::base();
        let addresses = self.addresses(base)?;
        let mounts = self.mounts.mounts()?;
        let map = PhysicalMap::read_in(&mounts)?;
        address_check::warn(&map, addresses.iter().copied(), []);
        let frames = Frames::open_in(&mounts);
        let context = WalkContext::default();
        let mut sink = Sink::open(&self.output, &AddressRecord::LAYOUT, None, &[], context)?;
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
}

impl Arguments {
    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.from.check([])
    }

    fn addresses(&self, base: PageSize) -> Result<Vec<PhysAddr>, Failure> {
        let addresses = self.addresses.iter().map(|text| text.resolve(base));
        let addresses: Option<Vec<_>> = addresses.collect();
        addresses.ok_or_else(address_check::no_such_frame)
    }

    /// Writes the frames of a snapshot.
    fn stored(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let base = snapshot.page_size()?;
        let addresses = self.addresses(base)?;
        let context = WalkContext::default();
        let layout = &AddressRecord::LAYOUT;
        let mut sink = Sink::open(&self.output, layout, Some(snapshot), &[], context)?;
        for address in addresses {
            let pfn = address.pfn(base).as_u64();
            let frame = as_user(|| {
                let Some(mut rows) = snapshot.frames(pfn..=pfn)? else {
                    return Ok(None);
                };
                let has = |row: &FrameRow| (row.pfn..row.pfn + row.pages).contains(&pfn);
                let found = rows.find(|row| row.as_ref().is_ok_and(has) || row.is_err());
                Ok(Some(found.transpose()?))
            });
            let frame = frame?.ok_or_else(|| no_frames(snapshot))?;
            let frame = frame.map(|row| {
                let flags = FrameFlags::from_bits(row.flags.0);
                (row.node, flags, row.mapcount)
            });
            sink.write(&AddressRecord::stored(address, frame, base))?;
        }
        sink.finish()
    }
}

/// Reads the flags and the mapcount of a frame; `None` if the frame does not exist.
fn facts(frames: &Frames, frame: Pfn) -> Result<(Option<FrameFlags>, Option<u64>), Error> {
    let (mut flags, mut mapcount) = ([FrameFlags::default()], [0]);
    let with_flags = frames.read_flags(frame, &mut flags)?;
    let with_mapcount = frames.read_mapcounts(frame, &mut mapcount)?;
    Ok((
        (with_flags > 0).then_some(flags[0]),
        (with_mapcount > 0).then_some(mapcount[0]),
    ))
}
