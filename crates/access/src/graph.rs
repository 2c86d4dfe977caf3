//! The relation engine over the database: what the tables say, as tuples.
//!
//! | Rows | Tuples |
//! |---|---|
//! | `relations` | `object#relation@subject`, as they stand |
//! | `roles` | `<thing>#<action>@role:<id>#member` for each action |
//! | `role_members` | `role:<id>#member@user:<domain>_<user>` |
//!
//! So what a role grants is stored once, and removing a role or a thing cannot leave a right behind. The engine
//! (`relation::Graph`) keeps what it was told in memory and says what it lacks; [`Graph::check`] reads that and asks
//! again. Whoever changes rows calls [`Graph::changed`] in the same transaction: after the commit, and before its
//! caller is answered, the engine forgets what the change touched.

use std::{fmt, sync::Arc};

use db::{BoxFuture, Db, Hears, Row, Tx, Word, params};
use kernel::{DomainId, Error, Result, RoleId, UserId};
use relation::{Edge, Explanation, Fact, Id, KindId, Loaded, NodeKey, Outcome, RelationSet, Schema};
use uuid::Uuid;

use crate::Object;

/// The platform's id in relations (reference 02 §5.1).
pub const PLATFORM_ID: &str = "magistrala";

/// What has changed in it, to other nodes: an object, or an object and a subject of it, as `kind:id`.
const TOPIC: &str = "relation";

/// How much memory the graph may take.
const CAPACITY: u64 = 64 << 20;

/// The relation engine over the database; cheap to clone.
#[derive(Clone)]
pub struct Graph {
    engine: Arc<relation::Graph>,
    hears: Hears,
    db: Db,
}

/// Who asks, as relations name it (reference 02 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user in a domain: `user:<domain>_<user>`.
    Member(DomainId, UserId),
    /// An administrator of the platform, in any domain: `user:<user>`.
    PlatformAdmin(UserId),
}

impl Subject {
    /// Whether it is an administrator of the platform.
    pub const fn is_platform_admin(self) -> bool {
        matches!(self, Self::PlatformAdmin(_))
    }

    const fn id(self) -> Id {
        match self {
            Self::Member(domain, user) => Id::pair(domain.uuid().as_u128(), user.uuid().as_u128()),
            Self::PlatformAdmin(user) => Id::uuid(user.uuid().as_u128()),
        }
    }
}

impl Graph {
    /// An engine that knows nothing yet. [`crate::Access`] has the one whose changes are told; another one may only be asked
    /// while nothing changes.
    pub fn open(db: Db) -> Result<Self> {
        let schema = Arc::new(Schema::platform().map_err(Error::internal)?);
        let engine = Arc::new(relation::Graph::new(schema, CAPACITY));
        let weak = Arc::downgrade(&engine);
        db.hear(TOPIC, move |word| {
            let Some(engine) = weak.upgrade() else { return };
            match word {
                Word::This(text) => match named(engine.schema(), text) {
                    Some(key) => engine.invalidate([key]),
                    None => engine.invalidate_all(),
                },
                Word::Everything => engine.invalidate_all(),
            }
        });
        Ok(Self { engine, hears: db.hears(), db })
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        self.engine.schema()
    }

    /// Whether `subject` has `permission` on `object`. An error is never a yes.
    pub async fn check(&self, subject: Subject, permission: &str, object: Object) -> Result<bool> {
        let object = relation::Object::new(self.kind(object.kind())?, Id::uuid(object.id().as_u128()));
        self.decide(self.user(subject)?, permission, object).await
    }

    /// Whether a subject has a permission on an object, each given by kind and id: the question of another program.
    ///
    /// Invalid where the schema has no such kind or permission, or an id cannot be one. An error is never a yes.
    pub async fn check_named(
        &self,
        (subject_kind, subject): (&str, &str),
        permission: &str,
        (object_kind, object): (&str, &str),
    ) -> Result<bool> {
        let subject = self.schema().object(subject_kind, subject);
        let subject = subject.map_err(|error| Error::invalid("malformed policy subject").cause(error))?;
        let object = self.schema().object(object_kind, object);
        let object = object.map_err(|error| Error::invalid("malformed policy object").cause(error))?;
        if self.schema().item(object.kind(), permission).is_none() {
            return Err(Error::invalid("malformed policy permission"));
        }
        self.decide(subject, permission, object).await
    }

    /// Whether a user administers the platform.
    pub async fn is_platform_admin(&self, user: UserId) -> Result<bool> {
        let platform = self.schema().object("platform", PLATFORM_ID).map_err(Error::internal)?;
        self.decide(self.user(Subject::PlatformAdmin(user))?, "admin", platform).await
    }

    /// Whether `subject` may read every thing of this kind in the domain.
    pub async fn sees_all(&self, subject: Subject, domain: DomainId, kind: &str) -> Result<bool> {
        self.check(subject, &format!("{kind}_read_permission"), Object::domain(domain)).await
    }

    /// Why `subject` has `permission` on `object`, or why not.
    pub(crate) async fn explain(
        &self,
        subject: Subject,
        permission: &str,
        object: Object,
    ) -> Result<Explanation> {
        let object = relation::Object::new(self.kind(object.kind())?, Id::uuid(object.id().as_u128()));
        let ask = self.ask(self.user(subject)?, permission, object)?;
        self.settle(|engine, loaded| engine.explain(&ask, loaded)).await
    }

    /// Why a user has a permission on the platform, or why not.
    pub(crate) async fn explain_platform(&self, user: UserId, permission: &str) -> Result<Explanation> {
        let platform = self.schema().object("platform", PLATFORM_ID).map_err(Error::internal)?;
        let ask = self.ask(self.user(Subject::PlatformAdmin(user))?, permission, platform)?;
        self.settle(|engine, loaded| engine.explain(&ask, loaded)).await
    }

    /// The domain that a thing is in, if there is such a thing.
    pub async fn domain_of(&self, kind: &'static str, id: Uuid) -> Result<Option<DomainId>> {
        let row = self
            .db
            .read(move |tx| {
                Box::pin(async move {
                    tx.one_or_none(
                        "SELECT subject_id FROM relations
                          WHERE object_kind = $1 AND object_id = $2 AND relation = 'domain'",
                        params![kind, id.as_hyphenated().to_string()],
                    )
                    .await
                })
            })
            .await?;
        row.map(|row| row.get("subject_id")).transpose()
    }

    /// Whether there is such an object in its domain. One of another domain is as unknown as one that never was.
    pub(crate) async fn exists(&self, object: Object) -> Result<bool> {
        if object.kind() == DomainId::KIND {
            return Ok(true);
        }
        let row = self
            .db
            .read(move |tx| {
                Box::pin(async move {
                    tx.one_or_none(
                        "SELECT 1 AS known FROM relations
                          WHERE object_kind = $1 AND object_id = $2 AND relation = 'domain'
                            AND subject_kind = 'domain' AND subject_id = $3",
                        params![object.kind(), object.id_text(), object.in_domain()],
                    )
                    .await
                })
            })
            .await?;
        Ok(row.is_some())
    }

    /// Whether `subject` may know that there is no such object.
    pub(crate) async fn may_look_for(&self, subject: Subject, object: Object) -> Result<bool> {
        if object.kind() == DomainId::KIND {
            return Ok(subject.is_platform_admin());
        }
        self.sees_all(subject, object.in_domain(), object.kind()).await
    }

    /// Forgets, after the commit, what a change of an object's relations, or of the members of its roles, touches.
    pub(crate) fn changed(&self, tx: &mut Tx, object: Object, members: &[(RoleId, UserId)]) -> Result<()> {
        let kind = self.kind(object.kind())?;
        let edges = NodeKey::Edges(relation::Object::new(kind, Id::uuid(object.id().as_u128())));
        self.forget(tx, vec![edges]);
        self.members_changed(tx, object.in_domain(), members)
    }

    /// Forgets, after the commit, whether these users of a domain hold these roles.
    pub(crate) fn members_changed(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        members: &[(RoleId, UserId)],
    ) -> Result<()> {
        let pair = |(role, user): &(RoleId, UserId)| {
            let role = self.schema().object("role", role.as_str()).map_err(Error::internal)?;
            Ok(NodeKey::Pair(role, self.user(Subject::Member(domain, *user))?))
        };
        let keys = members.iter().map(pair).collect::<Result<Vec<_>>>()?;
        self.forget(tx, keys);
        Ok(())
    }

    /// Forgets, after the commit, how a user is related to the platform.
    pub(crate) fn platform_changed(&self, tx: &mut Tx, user: UserId) -> Result<()> {
        let platform = self.schema().object("platform", PLATFORM_ID).map_err(Error::internal)?;
        let user = self.user(Subject::PlatformAdmin(user))?;
        self.forget(tx, vec![NodeKey::Pair(platform, user)]);
        Ok(())
    }

    /// Forgets everything after the commit: for a change of more things than are worth naming.
    pub(crate) fn everything_changed(&self, tx: &mut Tx) {
        tx.tell(TOPIC, "");
        let engine = Arc::clone(&self.engine);
        tx.on_commit(move || engine.invalidate_all());
    }

    fn forget(&self, tx: &mut Tx, keys: Vec<NodeKey>) {
        for key in &keys {
            tx.tell(TOPIC, &name(self.schema(), *key));
        }
        let engine = Arc::clone(&self.engine);
        tx.on_commit(move || engine.invalidate(keys));
    }

    async fn decide(
        &self,
        subject: relation::Object,
        permission: &str,
        object: relation::Object,
    ) -> Result<bool> {
        let ask = self.ask(subject, permission, object)?;
        self.settle(|engine, loaded| engine.check(&ask, loaded)).await
    }

    fn ask(
        &self,
        subject: relation::Object,
        permission: &str,
        object: relation::Object,
    ) -> Result<relation::Ask> {
        let permission = self.schema().item(object.kind(), permission).ok_or_else(|| {
            Error::internal(format!("the schema has no permission `{permission}` for this kind of object"))
        })?;
        Ok(relation::Ask { subject: subject.into(), permission, object })
    }

    /// Asks the engine, and loads what it lacks, until it knows.
    async fn settle<T>(
        &self,
        question: impl Fn(&relation::Graph, &Loaded) -> Result<Outcome<T>, relation::AskError> + Send,
    ) -> Result<T> {
        let mut loaded = Loaded::default();
        if !self.hears.now() {
            // Others may have changed what has been loaded for an earlier question.
            self.engine.invalidate_all();
        }
        loop {
            match question(&self.engine, &loaded).map_err(Error::internal)? {
                Outcome::Decided(answer) => return Ok(answer),
                Outcome::Need(keys) => {
                    let ticket = self.engine.ticket();
                    for fact in self.load(keys).await? {
                        self.engine.insert(ticket, fact, &mut loaded);
                    }
                }
            }
        }
    }

    /// Boxed, so that it is compiled once and takes no room in the futures of those who find what they need in memory.
    fn load(&self, keys: Vec<NodeKey>) -> BoxFuture<'_, Result<Vec<Fact>>> {
        let schema = Arc::clone(self.engine.schema());
        Box::pin(self.db.read(move |tx| {
            Box::pin(async move {
                let mut facts = Vec::with_capacity(keys.len());
                for key in keys {
                    facts.push(load_one(tx, &schema, key).await?);
                }
                Ok(facts)
            })
        }))
    }

    fn kind(&self, name: &str) -> Result<KindId> {
        kind(self.schema(), name)
    }

    fn user(&self, subject: Subject) -> Result<relation::Object> {
        Ok(relation::Object::new(self.kind(UserId::KIND)?, subject.id()))
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({} bytes)", self.engine.bytes())
    }
}

fn kind(schema: &Schema, name: &str) -> Result<KindId> {
    schema.kind(name).ok_or_else(|| Error::internal(format!("the schema has no definition `{name}`")))
}

/// A node's name to other nodes, which `named` reads.
fn name(schema: &Schema, key: NodeKey) -> String {
    match key {
        NodeKey::Edges(object) | NodeKey::Members(object) => schema.show_object(object).to_string(),
        NodeKey::Pair(object, subject) => {
            format!("{} {}", schema.show_object(object), schema.show_object(subject))
        }
    }
}

fn named(schema: &Schema, text: &str) -> Option<NodeKey> {
    match text.split_once(' ') {
        None => schema.parse_object(text).ok().map(NodeKey::Edges),
        Some((object, subject)) => {
            Some(NodeKey::Pair(schema.parse_object(object).ok()?, schema.parse_object(subject).ok()?))
        }
    }
}

async fn load_one(tx: &mut Tx, schema: &Schema, key: NodeKey) -> Result<Fact> {
    match key {
        NodeKey::Edges(object) => {
            let mut edges = stored_edges(tx, schema, object).await?;
            edges.extend(role_edges(tx, schema, object).await?);
            Ok(Fact::edges(object, edges))
        }
        NodeKey::Pair(object, subject) => {
            let relations = match schema.kind_name(object.kind()) {
                "role" => role_membership(tx, schema, object, subject).await?,
                _ => stored_pair(tx, schema, object, subject).await?,
            };
            Ok(Fact::pair(object, subject, relations))
        }
        NodeKey::Members(object) => Ok(Fact::members(object, role_members(tx, schema, object).await?)),
    }
}

/// The tuples on an object from the relations table.
async fn stored_edges(tx: &mut Tx, schema: &Schema, object: relation::Object) -> Result<Vec<Edge>> {
    let rows = tx
        .all(
            "SELECT relation, subject_kind, subject_id FROM relations WHERE object_kind = $1 AND object_id = $2",
            params![schema.kind_name(object.kind()), object.id().to_string()],
        )
        .await?;
    let paired = schema.paired_relations(object.kind());
    let mut edges = Vec::with_capacity(rows.len());
    for row in &rows {
        let relations = relation_named(schema, object.kind(), row)?;
        if relations.meets(paired) {
            continue;
        }
        let (kind, id): (String, String) = (row.get("subject_kind")?, row.get("subject_id")?);
        let subject = schema.object(&kind, &id).map_err(Error::internal)?;
        edges.push(Edge { subject: subject.into(), relations });
    }
    Ok(edges)
}

/// The tuples on an object from the roles table: one edge per role, with all of its actions.
async fn role_edges(tx: &mut Tx, schema: &Schema, object: relation::Object) -> Result<Vec<Edge>> {
    let rows = tx
        .all(
            "SELECT id, actions FROM roles WHERE entity_kind = $1 AND entity_id = $2",
            params![schema.kind_name(object.kind()), object.id().to_string()],
        )
        .await?;
    let member = schema
        .relation(kind(schema, "role")?, "member")
        .ok_or_else(|| Error::internal("the schema has no relation `member` for roles"))?;
    rows.iter()
        .map(|row| {
            let role = schema.object("role", &row.get::<String>("id")?).map_err(Error::internal)?;
            let actions: Vec<String> =
                serde_json::from_str(&row.get::<String>("actions")?).map_err(Error::internal)?;
            // An action that the schema does not know grants nothing.
            let relations =
                actions.iter().filter_map(|action| schema.relation(object.kind(), action)).collect();
            Ok(Edge { subject: relation::Subject::userset(role, member.into()), relations })
        })
        .collect()
}

/// How a user is related to the platform.
async fn stored_pair(
    tx: &mut Tx,
    schema: &Schema,
    object: relation::Object,
    subject: relation::Object,
) -> Result<RelationSet> {
    let rows = tx
        .all(
            "SELECT relation FROM relations
              WHERE object_kind = $1 AND object_id = $2 AND subject_kind = $3 AND subject_id = $4",
            params![
                schema.kind_name(object.kind()),
                object.id().to_string(),
                schema.kind_name(subject.kind()),
                subject.id().to_string()
            ],
        )
        .await?;
    let mut relations = RelationSet::EMPTY;
    for row in &rows {
        relations = relations | relation_named(schema, object.kind(), row)?;
    }
    Ok(relations)
}

/// Whether a user of a domain holds a role. A bare user (an administrator of the platform) holds none.
async fn role_membership(
    tx: &mut Tx,
    schema: &Schema,
    role: relation::Object,
    subject: relation::Object,
) -> Result<RelationSet> {
    let Some((domain, user)) = subject.id().as_pair() else { return Ok(RelationSet::EMPTY) };
    let (domain, user) =
        (DomainId::from_uuid(Uuid::from_u128(domain)), UserId::from_uuid(Uuid::from_u128(user)));
    let row = tx
        .one_or_none(
            "SELECT 1 AS member FROM role_members WHERE role_id = $1 AND member_id = $2 AND domain_id = $3",
            params![role.id().to_string(), user, domain],
        )
        .await?;
    Ok(match (row, schema.relation(role.kind(), "member")) {
        (Some(_), Some(member)) => RelationSet::of(member),
        _ => RelationSet::EMPTY,
    })
}

/// Everybody who holds a role.
async fn role_members(tx: &mut Tx, schema: &Schema, role: relation::Object) -> Result<Vec<Edge>> {
    let rows = tx
        .all(
            "SELECT member_id, domain_id FROM role_members WHERE role_id = $1",
            params![role.id().to_string()],
        )
        .await?;
    let user = kind(schema, UserId::KIND)?;
    let relations = schema.relation(role.kind(), "member").into_iter().collect();
    rows.iter()
        .map(|row| {
            let subject = Subject::Member(row.get("domain_id")?, row.get("member_id")?);
            Ok(Edge { subject: relation::Object::new(user, subject.id()).into(), relations })
        })
        .collect()
}

fn relation_named(schema: &Schema, kind: KindId, row: &Row) -> Result<RelationSet> {
    let name: String = row.get("relation")?;
    let relation = schema.relation(kind, &name).ok_or_else(|| {
        Error::internal(format!("the table `relations` has a relation `{name}` that the schema has not"))
    })?;
    Ok(RelationSet::of(relation))
}
