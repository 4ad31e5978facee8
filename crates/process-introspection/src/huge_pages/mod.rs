//! Transparent huge pages: what the kernel is set to do, and whether that lets a
//! mapping have them. Knows no pages.

mod policy;
mod settings;
mod tmpfs;

pub use policy::HugePolicy;
pub(crate) use policy::{Decision, HugeRules, MappingClass};
pub use settings::{AnonymousMode, HugePageSettings, SharedMode};
