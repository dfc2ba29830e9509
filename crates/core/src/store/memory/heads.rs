//! How a shard finds its lines: an open table of their hashes, at most half full, so that it takes one access to memory.

/// What it takes to find a line, to tell it from others, and to know when it is over.
#[derive(Clone, Copy, Default)]
struct Head {
    /// As [`Conversation::line_hash`] has it. Nobody knows its key, so nobody finds two lines with one hash.
    ///
    /// [`Conversation::line_hash`]: crate::Conversation
    hash: u64,
    line: u32,
    /// How many sides are of it; none in a vacant place.
    sides: u32,
}

#[derive(Default)]
pub(super) struct Heads {
    /// As many as a power of two, or none.
    places: Vec<Head>,
    len: usize,
}

impl Heads {
    pub(super) fn find(&self, hash: u64) -> Option<u32> {
        self.place(hash).ok().map(|at| self.places[at].line)
    }

    /// The line of a side that is there from now on, where it is not its first.
    pub(super) fn hold(&mut self, hash: u64) -> Option<u32> {
        let head = self.place(hash).ok().map(|at| &mut self.places[at])?;
        head.sides += 1;
        Some(head.line)
    }

    /// Puts in the line of a side that is its first.
    pub(super) fn insert(&mut self, hash: u64, line: u32) {
        self.len += 1;
        if self.len * 2 > self.places.len() {
            let larger = vec![Head::default(); (self.len * 4).next_power_of_two()];
            for head in std::mem::replace(&mut self.places, larger) {
                if head.sides > 0 {
                    self.put(head);
                }
            }
        }
        self.put(Head { hash, line, sides: 1 });
    }

    /// One of a line's sides is gone. Gives the line where it was its last.
    pub(super) fn release(&mut self, hash: u64) -> Option<u32> {
        let mut gap = self.place(hash).ok()?;
        let head = &mut self.places[gap];
        head.sides -= 1;
        if head.sides > 0 {
            return None;
        }
        let line = head.line;
        let mask = self.places.len() - 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let behind = self.places[at];
            if behind.sides == 0 {
                break;
            }
            // Nobody moves up to before its home.
            if at.wrapping_sub(behind.hash as usize) & mask >= at.wrapping_sub(gap) & mask {
                self.places[gap] = behind;
                gap = at;
            }
        }
        self.places[gap] = Head::default();
        self.len -= 1;
        Some(line)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes taken.
    pub(super) fn footprint(&self) -> usize {
        self.places.capacity() * size_of::<Head>()
    }

    fn put(&mut self, head: Head) {
        if let Err(vacant) = self.place(head.hash) {
            self.places[vacant] = head;
        }
    }

    /// Where the line is, or where it would be.
    fn place(&self, hash: u64) -> Result<usize, usize> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(head) = self.places.get(at) {
            if head.sides == 0 {
                return Err(at);
            }
            if head.hash == hash {
                return Ok(at);
            }
            at = (at + 1) & mask;
        }
        Err(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes that end alike are in each other's way, at both ends of the table.
        #[test]
        fn it_agrees_with_a_map(steps in prop::collection::vec((0..8_u64, 0..6_u64, 0..3_u8), 1..300)) {
            let (mut heads, mut model) = (Heads::default(), BTreeMap::new());
            for (low, high, step) in steps {
                let hash = high << 40 | low.wrapping_sub(4) & 0xffff;
                let line = (high * 8 + low) as u32;
                if step == 0 {
                    let sides: Option<u32> = model.remove(&hash);
                    let left = sides.unwrap_or(0).saturating_sub(1);
                    prop_assert_eq!(heads.release(hash), (sides == Some(1)).then_some(line));
                    if left > 0 {
                        model.insert(hash, left);
                    }
                } else {
                    let held = heads.hold(hash);
                    prop_assert_eq!(held, model.contains_key(&hash).then_some(line));
                    if held.is_none() {
                        heads.insert(hash, line);
                    }
                    *model.entry(hash).or_default() += 1;
                }
                prop_assert_eq!(heads.is_empty(), model.is_empty());
                for high in 0..6 {
                    for low in 0..8_u64 {
                        let hash = high << 40 | low.wrapping_sub(4) & 0xffff;
                        let line = (high * 8 + low) as u32;
                        prop_assert_eq!(heads.find(hash), model.contains_key(&hash).then_some(line));
                    }
                }
            }
        }
    }
}
