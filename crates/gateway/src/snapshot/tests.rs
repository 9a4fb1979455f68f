//! That a change is everywhere once it is made, and that none is lost, whoever else makes one.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, SeqCst},
    },
    thread::ScopedJoinHandle,
};

use mortise_framework::{
    Framework,
    config::{Environment, FileKind},
};
use proptest::prelude::*;

use super::*;
use crate::config::LoadOptions;

fn first() -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mortise.yaml"), "plugins: []").unwrap();
    let mut options = LoadOptions::new(folder.path(), Environment::default());
    options.files.push(("mortise.yaml".into(), FileKind::Own));
    let framework = Framework::builder().build();
    let settled = Settled::load(&options, &framework).unwrap();
    Snapshot {
        number: 0,
        pipelines: framework.pipelines(),
        catalogs: Arc::new(Catalogs::empty()),
        llms: Arc::default(),
        datasources: Arc::default(),
        access: Arc::new(Access::new(&settled, &settled.listen, 1)),
    }
}

/// What each worker would load.
fn seen(snapshots: &Snapshots) -> Vec<u64> {
    snapshots.current.all().map(|own| own.load().number).collect()
}

fn next(now: &Snapshot) -> Snapshot {
    Snapshot { number: now.number + 1, ..now.clone() }
}

#[test]
fn change_is_seen_by_every_worker_and_not_by_a_request_that_began_before() {
    let snapshots = Snapshots::new(first());
    let request = snapshots.load();
    let before = snapshots.change(next);
    assert_eq!((request.number, before.number, snapshots.load().number), (0, 0, 1));
    let seen = seen(&snapshots);
    assert!(seen.len() > 1 && seen.iter().all(|number| *number == 1), "{seen:?}");
    let kept: Vec<_> = snapshots.current.all().map(ArcSwap::load_full).collect();
    assert!(
        kept.iter().all(|one| Arc::ptr_eq(&one.access, &request.access)),
        "what did not change is shared"
    );
}

#[test]
fn change_that_panics_leaves_what_was_in_force_and_does_not_hold_up_the_next() {
    let snapshots = Snapshots::new(first());
    let broken = catch_unwind(AssertUnwindSafe(|| snapshots.change(|_| panic!("on purpose"))));
    assert!(broken.is_err());
    assert!(seen(&snapshots).iter().all(|number| *number == 0));
    snapshots.change(next);
    assert!(seen(&snapshots).iter().all(|number| *number == 1));
}

/// Writers and, for each worker's copy, a reader; what was made by a change that has returned is seen by every load
/// that begins afterwards.
fn changed_by_many(writers: usize, changes: u64) {
    let snapshots = Snapshots::new(first());
    let (made, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let readers: Vec<_> = snapshots
            .current
            .all()
            .map(|own| {
                let (made, over) = (&made, &over);
                scope.spawn(move || {
                    let mut last = 0;
                    while !over.load(Acquire) {
                        let returned = made.load(SeqCst);
                        let number = own.load_full().number;
                        assert!(number >= returned, "{number} is loaded after {returned} was made");
                        assert!(number >= last, "back from {last} to {number}");
                        last = number;
                    }
                })
            })
            .collect();
        let writing: Vec<_> = (0..writers)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..changes {
                        let before = snapshots.change(next);
                        made.fetch_max(before.number + 1, SeqCst);
                    }
                })
            })
            .collect();
        let written: Vec<_> = writing.into_iter().map(ScopedJoinHandle::join).collect();
        over.store(true, SeqCst);
        let read: Vec<_> = readers.into_iter().map(ScopedJoinHandle::join).collect();
        assert!(written.iter().chain(&read).all(Result::is_ok));
    });
    let all = writers as u64 * changes;
    assert!(
        seen(&snapshots).iter().all(|number| *number == all),
        "a change was lost: {:?}",
        seen(&snapshots)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_change_is_lost_and_no_worker_goes_back(writers in 1..5_usize, changes in 1..300_u64) {
        changed_by_many(writers, changes);
    }
}
