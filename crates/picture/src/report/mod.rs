//! Report: records in one file of HTML of bounded size, which needs nothing else. The file is a
//! fixed template with a block of data; a script in it draws. Must not know where records come
//! from.

pub mod changes;
pub mod document;
mod encode;
mod fields;
pub mod frames;
pub mod json;
mod keyed;
pub mod layers;
pub mod owners;
pub mod records;
mod sizes;
pub mod spaces;
mod template;
