//! The contract, kept by the store in memory.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use typingd_core::contract::{self, Harness};
use typingd_core::store::memory::MemoryStore;
use typingd_core::store::{Commit, Feed};

#[derive(Default)]
struct Recorder(Mutex<Vec<Commit>>);

impl Feed for Recorder {
    fn publish(&self, commit: Commit) {
        self.0.lock().unwrap().push(commit);
    }
}

struct Memory {
    store: MemoryStore<Arc<Recorder>>,
    recorder: Arc<Recorder>,
}

impl Harness for Memory {
    type Store = MemoryStore<Arc<Recorder>>;

    fn store(&self) -> &Self::Store {
        &self.store
    }

    async fn published(&self) -> Vec<Commit> {
        std::mem::take(&mut self.recorder.0.lock().unwrap())
    }
}

#[test]
fn memory_keeps_the_contract() {
    let fresh = async || {
        let recorder = Arc::new(Recorder::default());
        Memory { store: MemoryStore::new(contract::CAPACITY, recorder.clone()), recorder }
    };
    // Memory's futures are always ready.
    let run = pin!(contract::run(fresh));
    assert_eq!(run.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
}
