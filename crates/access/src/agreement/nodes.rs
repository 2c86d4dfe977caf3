//! What two nodes that share a database remember is what is stored: a change at one is one at the other.

use db::{Db, Options, Sharing, testing::TestDb};
use kernel::Rng;

use super::World;
use crate::{
    Access, Object,
    gates::Gate,
    graph::Subject,
    identity::accounts::Account,
    roles::{members, store},
};

async fn node(owner: &TestDb) -> Db {
    Db::open(owner.url(), Options { sharing: Sharing::Nodes, ..Options::default() }).await.unwrap()
}

/// Whether the world's user may read a channel, by the word of another node.
async fn may(access: &Access, world: &World, channel: Object) -> bool {
    let subject = Subject::Member(channel.in_domain(), world.user);
    access.graph().check(subject, "read_permission", channel).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_given_or_taken_at_one_node_is_at_the_other() {
    let owner = TestDb::postgres().await;
    let (one, two) = (node(&owner).await, node(&owner).await);
    let world = World::new(&one).await;
    let other = World::access(&two, Rng::seeded(8)).await;
    let domain = world.domain().await;
    let channel = world.thing("channel", domain).await;

    assert!(!may(&other, &world, channel).await);
    world.grant(channel, &["read"]).await;
    testkit::wait_until_async("the right is there", async || may(&other, &world, channel).await).await;
    let access = world.access.clone();
    let named = store::on(channel).and_in("member_id", [db::Val::from(world.user)]);
    world
        .write(move |tx| {
            Box::pin(async move { members::take_out(tx, &access, channel, named).await.map(drop) })
        })
        .await;
    testkit::wait_until_async("the right is gone", async || !may(&other, &world, channel).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_and_a_gate_that_change_at_one_node_do_at_the_other() {
    let owner = TestDb::postgres().await;
    let (one, two) = (node(&owner).await, node(&owner).await);
    let world = World::new(&one).await;
    let other = World::access(&two, Rng::seeded(8)).await;
    let (user, domain) = (world.user, world.domain().await);

    let access = world.access.clone();
    let account = Account { enabled: true, verified: true, generation: 0, credential_generation: 0 };
    world.write(move |tx| Box::pin(async move { access.accounts().create(tx, user, account).await })).await;
    testkit::wait_until_async("the account is there", async || {
        other.accounts().get(&two, user).await.unwrap().is_some_and(|account| account.enabled)
    })
    .await;
    assert_eq!(other.gates().get(&two, domain).await.unwrap(), None);
    let access = world.access.clone();
    world
        .write(move |tx| {
            Box::pin(async move {
                access.accounts().set_enabled(tx, user, false).await?;
                access.gates().set(tx, domain, Gate::Frozen).await
            })
        })
        .await;
    testkit::wait_until_async("the account is disabled", async || {
        !other.accounts().get(&two, user).await.unwrap().unwrap().enabled
    })
    .await;
    assert_eq!(
        other.gates().get(&two, domain).await.unwrap(),
        Some(Gate::Frozen),
        "one commit is heard as a whole"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_signs_at_one_node_verifies_at_the_other() {
    let owner = TestDb::postgres().await;
    let (one, two) = (node(&owner).await, node(&owner).await);
    let world = World::new(&one).await;
    let other = World::access(&two, Rng::seeded(8)).await;
    let kids = |access: &Access| {
        let keys = access.tokens().keys().public().keys;
        keys.into_iter().map(|key| key.kid.clone()).collect::<Vec<_>>()
    };
    assert_eq!(kids(&world.access), kids(&other), "the second node takes over what the first has made");
    let now = world.access.clock().now();
    let change = world.access.tokens().keys().rotation(now).await.unwrap();
    world.write(move |tx| Box::pin(async move { change.apply(tx, now).await })).await;
    assert_eq!(kids(&world.access).len(), 2);
    testkit::wait_until_async("the other has the new key, too", async || kids(&world.access) == kids(&other))
        .await;
}
