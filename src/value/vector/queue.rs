//! Keeps the nearest nodes seen so far.
//!
//! Source: redis 8.0 modules/vector-sets/hnsw.c, `pq_push`. Replies show which of two nodes at the same distance is kept, and
//! which comes first.

use std::cmp::Ordering;

/// A node and its distance from the searched point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    pub(super) node: u32,
    pub(super) distance: f32,
}

/// The nearest of the nodes pushed, up to a maximum number.
#[derive(Debug)]
pub(super) struct Queue {
    /// Sorted, farthest first.
    items: Vec<Near>,
    len_max: usize,
}

impl Queue {
    pub(super) const fn new(len_max: usize) -> Self {
        Self {
            items: Vec::new(),
            len_max,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it accepts only nodes that are nearer than its farthest.
    pub(super) const fn is_full(&self) -> bool {
        self.items.len() >= self.len_max
    }

    pub(super) fn push(&mut self, node: u32, distance: f32) {
        let near = Near { node, distance };
        if !self.is_full() {
            // Compares exactly like the server: NaN is neither nearer nor farther.
            let behind = |item: &Near| item.distance.partial_cmp(&distance) != Some(Ordering::Less);
            let at = self.items.iter().rposition(behind).map_or(0, |at| at + 1);
            return self.items.insert(at, near);
        }
        let Some(farthest) = self.items.first() else {
            return;
        };
        if distance >= farthest.distance {
            return;
        }
        let farther = |item: &&Near| item.distance > distance;
        let passed = self.items.iter().skip(1).take_while(farther).count();
        if let Some(passed) = self.items.get_mut(..=passed) {
            passed.rotate_left(1);
            if let Some(last) = passed.last_mut() {
                *last = near;
            }
        }
    }

    /// Removes and returns the nearest node.
    pub(super) fn pop(&mut self) -> Option<Near> {
        self.items.pop()
    }

    pub(super) fn nearest(&self) -> Option<Near> {
        self.items.last().copied()
    }

    /// Returns the distance of the farthest node, or infinity if the queue is empty.
    pub(super) fn farthest_distance(&self) -> f32 {
        self.items.first().map_or(f32::INFINITY, |far| far.distance)
    }

    /// Iterates over all nodes, nearest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Near> {
        self.items.iter().rev().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(len_max: usize, distances: &[f32]) -> Vec<u32> {
        let mut queue = Queue::new(len_max);
        for (node, distance) in (0..).zip(distances) {
            queue.push(node, *distance);
        }
        queue.iter().map(|near| near.node).collect()
    }

    #[test]
    fn keeps_the_nearest_and_gives_them_in_order() {
        assert_eq!(nodes(3, &[5.0, 1.0, 4.0, 2.0, 9.0, 3.0]), [1, 3, 5]);
        assert_eq!(nodes(9, &[5.0, 1.0, 4.0]), [1, 2, 0]);
    }

    #[test]
    fn of_two_at_one_distance_the_later_comes_first_but_where_it_takes_the_place_of_another() {
        assert_eq!(nodes(4, &[1.0, 1.0, 1.0]), [2, 1, 0]);
        assert_eq!(nodes(2, &[1.0, 1.0, 1.0]), [1, 0]);
        assert_eq!(nodes(2, &[2.0, 1.0, 1.0]), [1, 2]);
    }
}
