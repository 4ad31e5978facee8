//! Description of records that were read now: facts of the machine, as the metadata of streams
//! and files has them. Must not know processes and records.

use std::time::SystemTime;

use process_introspection::{Host, PageSize};
use process_introspection_export::Time;

/// Returns the facts of a machine whose memory is read from now on, each with its name.
pub fn of_machine(host: Host, page_size: PageSize) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("started_at", Time::from(SystemTime::now()).to_string()),
        ("page_size", page_size.bytes().to_string()),
        ("architecture", host.architecture),
    ];
    facts.extend(host.boot_id.map(|boot| ("boot_id", boot)));
    facts.extend(host.name.map(|name| ("host", name)));
    facts.extend(host.kernel.map(|kernel| ("kernel", kernel)));
    facts
}
