//! Changes of what users attach to things.

use crate::{Metadata, Name, Result, Tags};

/// What a caller changes of a name, tags and metadata; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// A new name; an empty one is no change.
    pub name: Option<Name>,
    /// New tags, replacing all.
    pub tags: Option<Tags>,
    /// New data, replacing the whole object.
    pub metadata: Option<Metadata>,
}

impl Change {
    /// Fails where tags or metadata are too large.
    pub fn checked(self) -> Result<Self> {
        let tags = self.tags.map(Tags::checked).transpose()?;
        let metadata = self.metadata.map(Metadata::checked).transpose()?;
        Ok(Self { tags, metadata, ..self })
    }

    /// Writes what it names over the present ones.
    pub fn apply(self, name: &mut Name, tags: &mut Tags, metadata: &mut Metadata) {
        if let Some(new) = self.name.filter(|name| !name.is_empty()) {
            *name = new;
        }
        if let Some(new) = self.tags {
            *tags = new;
        }
        if let Some(new) = self.metadata {
            *metadata = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_and_an_empty_name_change_nothing() {
        let [mut name, other]: [Name; 2] = ["one", "two"].map(|name| name.parse().unwrap());
        let mut tags: Tags = serde_json::from_str(r#"["a"]"#).unwrap();
        let mut metadata: Metadata = serde_json::from_str(r#"{"x": 1}"#).unwrap();
        let before = (name.clone(), tags.clone(), metadata.clone());
        let empty = Change { name: Some(Name::default()), ..Change::default() };
        empty.apply(&mut name, &mut tags, &mut metadata);
        assert_eq!((name.clone(), tags.clone(), metadata.clone()), before);

        let change = Change { name: Some(other.clone()), tags: Some(Tags::default()), metadata: None };
        change.apply(&mut name, &mut tags, &mut metadata);
        assert_eq!((name, tags, metadata), (other, Tags::default(), before.2));
    }
}
