//! What a node saw last of the sides it touched. It may be outdated: whoever relies on it has it compared.

use std::collections::HashMap;

/// States by the names of their sides, at most as many as it has room for.
#[derive(Debug)]
pub(crate) struct Cache {
    room: usize,
    /// When the young ones fill half the room, the old ones are forgotten and the young ones are the old ones.
    young: HashMap<Vec<u8>, Vec<u8>>,
    old: HashMap<Vec<u8>, Vec<u8>>,
}

impl Cache {
    pub(crate) fn new(room: usize) -> Self {
        Self { room, young: HashMap::new(), old: HashMap::new() }
    }

    /// Takes out what is known of the side; nothing, where nothing is.
    pub(crate) fn take(&mut self, name: &[u8]) -> Vec<u8> {
        self.young.remove(name).or_else(|| self.old.remove(name)).unwrap_or_default()
    }

    pub(crate) fn put(&mut self, name: Vec<u8>, state: Vec<u8>) {
        if state.is_empty() || self.room == 0 {
            return;
        }
        if self.young.len() >= self.room.div_ceil(2) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_what_was_touched_longest_ago() {
        let mut cache = Cache::new(4);
        for n in 0..100_u8 {
            cache.put(vec![n], vec![n]);
            assert!(cache.young.len() + cache.old.len() <= 4);
            let first = cache.take(&[0]);
            assert_eq!(first, [0], "it is in use");
            cache.put(vec![0], first);
        }
        assert_eq!((cache.take(&[99]), cache.take(&[1])), (vec![99], vec![]));
    }
}
