//! Counts allocations, to show that a path makes none.
//!
//! The allocator beneath is the product's own. Counting is per thread and costs one addition, in every role of this
//! program alike.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
};

use mimalloc::MiMalloc;

/// The product's allocator, counted.
pub(crate) struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Allocations of this thread so far.
pub(crate) fn so_far() -> u64 {
    COUNT.get()
}

fn count() {
    // A thread that is ending has no counter any more; nobody asks for its count either.
    let _ = COUNT.try_with(|counter| counter.set(counter.get() + 1));
}

// SAFETY: every call is passed on unchanged to an allocator that keeps the contract; counting touches only a
// thread-local integer without destructor, so it neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract, which is the same one below.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc_zeroed`'s contract, which is the same one below.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the pointer came from the allocator below, as all of this one's do, and the caller keeps
        // `realloc`'s contract.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the allocator below, as all of this one's do, with this layout.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}
