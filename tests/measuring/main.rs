//! The scripts that measure and write pages: short runs of them on what the tests have built, into pages
//! of their own.

mod load_test;
mod scale;
mod script;
