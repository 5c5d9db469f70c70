//! The nodes of a set, the links between them, and the order in which they were added.

use std::sync::OnceLock;

use ahash::RandomState;
use hashbrown::HashTable;

use super::point::{Kind, Point};

/// An element: its vector, its attributes, and its neighbours in each layer that it is in.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The id that other nodes' links have for it in snapshots. It is never reused.
    pub(super) id: u64,
    pub(super) name: Vec<u8>,
    pub(super) attributes: Option<Box<[u8]>>,
    pub(super) point: Point,
    /// The original length of its vector.
    pub(super) length: f32,
    /// Its layers, lowest first. All nodes are in the lowest.
    pub(super) layers: Vec<Layer>,
    /// The nodes that were added directly after and before it.
    pub(super) newer: Option<u32>,
    pub(super) older: Option<u32>,
}

/// A node's neighbours in one layer. Links go both ways.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) links: Vec<u32>,
    pub(super) links_max: u32,
    /// The distance and the place of the farthest neighbour, as far as they are known. A snapshot of Redis 8.0 contains neither,
    /// so they stay zero there until a link is removed.
    pub(super) worst_distance: f32,
    pub(super) worst_at: usize,
}

impl Layer {
    pub(super) fn has_room(&self) -> bool {
        self.links.len() < self.links_max as usize
    }
}

impl Node {
    /// Stands in where there is no node.
    const NONE: Self = Self {
        id: 0,
        name: Vec::new(),
        attributes: None,
        point: Point::EMPTY,
        length: 0.0,
        layers: Vec::new(),
        newer: None,
        older: None,
    };

    /// The highest layer that it is in.
    pub(super) const fn level(&self) -> usize {
        self.layers.len().saturating_sub(1)
    }

    /// Returns its neighbours in a layer. There are none in a layer that it is not in.
    pub(super) fn links(&self, layer: usize) -> &[u32] {
        self.layers.get(layer).map_or(&[], |layer| &layer.links)
    }

    fn heap_bytes(&self) -> usize {
        let links = self.layers.iter().map(|layer| layer.links_max as usize);
        let attributes = self.attributes.as_ref().map_or(0, |text| text.len());
        self.name.capacity()
            + attributes
            + self.point.heap_bytes()
            + links.sum::<usize>() * size_of::<u32>()
            + self.layers.len() * size_of::<Layer>()
    }
}

/// What all nodes of a set have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The number of components of a vector.
    pub dim: u32,
    /// How vectors are stored.
    pub kind: Kind,
    /// How many neighbours a node seeks. In the lowest layer it may have twice as many.
    pub neighbours: u32,
}

/// Nodes, found by their place in a table, by name, and in the order in which they were added.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    pub(super) shape: Shape,
    /// Removed nodes are left as [`Node::NONE`], and their places are reused.
    nodes: Vec<Node>,
    free: Vec<u32>,
    names: HashTable<u32>,
    /// The heap bytes of all nodes.
    node_bytes: usize,
    pub(super) newest: Option<u32>,
    /// The node where searches start. It is in the highest layer.
    pub(super) enter: Option<u32>,
    pub(super) level_max: usize,
    pub(super) last_id: u64,
}

impl Graph {
    pub(super) const fn new(shape: Shape) -> Self {
        Self {
            shape,
            nodes: Vec::new(),
            free: Vec::new(),
            names: HashTable::new(),
            node_bytes: 0,
            newest: None,
            enter: None,
            level_max: 0,
            last_id: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The exclusive upper bound of the places of nodes.
    pub(super) const fn places(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.node_bytes
            + self.nodes.capacity() * size_of::<Node>()
            + self.free.capacity() * size_of::<u32>()
            + self.names.allocation_size()
    }

    /// The heap bytes of all nodes.
    #[cfg(test)]
    pub(super) const fn node_bytes(&self) -> usize {
        self.node_bytes
    }

    pub(super) fn node(&self, at: u32) -> &Node {
        static NONE: Node = Node::NONE;
        let node = self.nodes.get(at as usize);
        debug_assert!(
            node.is_some_and(|node| node.id != 0),
            "a link must lead to a node"
        );
        node.unwrap_or(&NONE)
    }

    /// Returns a layer of a node, mutable.
    pub(super) fn layer_mut(&mut self, at: u32, layer: usize) -> Option<&mut Layer> {
        self.nodes.get_mut(at as usize)?.layers.get_mut(layer)
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        let is_it = |at: &u32| self.node(*at).name == name;
        self.names.find(hash(name), is_it).copied()
    }

    pub(super) fn distance(&self, one: u32, other: u32) -> f32 {
        self.distance_to(&self.node(one).point, other)
    }

    pub(super) fn distance_to(&self, point: &Point, node: u32) -> f32 {
        point.distance(&self.node(node).point, self.shape.dim)
    }

    /// Returns how many neighbours a node may have in a layer by default.
    pub(super) const fn links_max(&self, layer: usize) -> u32 {
        match layer {
            0 => self.shape.neighbours * 2,
            _ => self.shape.neighbours,
        }
    }

    /// Adds a node as the newest. Its name must be new. Returns `None` if there is no room for another node.
    pub(super) fn add(&mut self, mut node: Node) -> Option<u32> {
        let at = match self.free.pop() {
            Some(at) => at,
            None => u32::try_from(self.nodes.len()).ok()?,
        };
        node.newer = None;
        node.older = self.newest.replace(at);
        if let Some(older) = node.older {
            self.change(older, |older| older.newer = Some(at));
        }
        self.node_bytes += node.heap_bytes();
        let hash_of_name = hash(&node.name);
        match self.nodes.get_mut(at as usize) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        let nodes = &self.nodes;
        let rehash = |at: &u32| nodes.get(*at as usize).map_or(0, |node| hash(&node.name));
        self.names.insert_unique(hash_of_name, at, rehash);
        Some(at)
    }

    /// Removes a node from the order, the names and the table, but not from other nodes' links.
    pub(super) fn take(&mut self, at: u32) -> Node {
        let Some(place) = self.nodes.get_mut(at as usize) else {
            return Node::NONE;
        };
        let node = std::mem::replace(place, Node::NONE);
        self.node_bytes -= node.heap_bytes();
        if let Ok(entry) = self
            .names
            .find_entry(hash(&node.name), |found| *found == at)
        {
            entry.remove();
        }
        match node.newer {
            Some(newer) => self.change(newer, |newer| newer.older = node.older),
            None => self.newest = node.older,
        }
        if let Some(older) = node.older {
            self.change(older, |older| older.newer = node.newer);
        }
        self.free.push(at);
        node
    }

    /// Changes a node. Its name must stay the same.
    pub(super) fn change(&mut self, at: u32, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            self.node_bytes -= node.heap_bytes();
            change(node);
            self.node_bytes += node.heap_bytes();
        }
    }

    /// Iterates over all nodes and their places, newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Node)> {
        self.iter_from(self.newest)
    }

    /// Like [`iter`](Self::iter), but starts at the node `from`.
    pub(super) fn iter_from(&self, from: Option<u32>) -> impl Iterator<Item = (u32, &Node)> {
        let first = from.map(|at| (at, self.node(at)));
        std::iter::successors(first, |(_, node)| node.older.map(|at| (at, self.node(at))))
    }
}

/// Hashes with a random seed for the whole process, which protects against names chosen to collide.
fn hash(name: &[u8]) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one(name)
}
