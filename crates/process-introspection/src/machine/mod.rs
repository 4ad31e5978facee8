//! Physical memory of the machine: frames, resources, nodes, memory types, swap areas and
//! settings. Knows processes only as far as reading requires it.

pub(crate) mod balance;
pub(crate) mod blocks;
pub(crate) mod buddy;
pub(crate) mod census;
pub(crate) mod cgroups;
pub(crate) mod counters;
pub(crate) mod frame_changes;
pub(crate) mod frame_runs;
pub(crate) mod frame_use;
pub(crate) mod frames;
pub(crate) mod host;
pub(crate) mod huge_page_activity;
pub(crate) mod huge_pages;
pub(crate) mod huge_pools;
pub(crate) mod memory_types;
pub(crate) mod page_use;
pub(crate) mod physical_map;
pub(crate) mod ram_pieces;
pub(crate) mod range;
pub(crate) mod swap_areas;
pub(crate) mod zones;
