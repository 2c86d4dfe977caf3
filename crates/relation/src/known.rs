//! What one question has already found out.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::{id::Object, schema::ItemId};

/// Where looking one by one is faster than hashing, and needs no allocation.
const FEW: usize = 16;

/// (object, item) → answer, for the length of one question.
pub(crate) struct Known<T> {
    few: SmallVec<[(Object, ItemId, T); FEW]>,
    /// None until it is needed: most questions never do, and a seed is not free.
    many: Option<HashMap<(Object, ItemId), T, foldhash::fast::RandomState>>,
}

impl<T: Clone> Known<T> {
    pub(crate) fn new() -> Self {
        Self { few: SmallVec::new(), many: None }
    }

    pub(crate) fn get(&self, object: Object, item: ItemId) -> Option<T> {
        let few = self.few.iter().find(|(known, of, _)| *of == item && *known == object);
        match few {
            Some((.., answer)) => Some(answer.clone()),
            None => self.many.as_ref()?.get(&(object, item)).cloned(),
        }
    }

    pub(crate) fn insert(&mut self, object: Object, item: ItemId, answer: T) {
        if self.few.len() < FEW {
            self.few.push((object, item, answer));
        } else {
            self.many.get_or_insert_default().insert((object, item), answer);
        }
    }
}
