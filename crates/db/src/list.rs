//! One page of a list.

use kernel::{Direction, Listing, Page, PageRequest, Result, page::Order};

use crate::{Filter, Row, Tx, Val, landmarks::Key, tally::Tally};

/// How many ids behind its page a list looks for that does not know how many rows there are. Reading them costs some
/// milliseconds at most; counting costs a look at everything.
const LOOK_AHEAD: u64 = 1000;

/// What a list is over.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// The table; it has a column `id`.
    pub table: &'static str,
    /// The columns that a row is read from.
    pub columns: &'a str,
    /// The column to order by; rows with equal values are ordered by id.
    pub order: &'static str,
    /// The direction.
    pub direction: Direction,
}

impl<'a> List<'a> {
    /// A list of the registry, ordered as the caller asks.
    pub const fn ordered(table: &'static str, columns: &'a str, listing: &Listing) -> Self {
        let order = match listing.order {
            Order::Name => "name",
            Order::CreatedAt => "created_at",
            Order::UpdatedAt => "changed_at",
        };
        Self { table, columns, order, direction: listing.direction }
    }

    /// The page of the rows that `filter` lets through.
    ///
    /// `tally` is how many there are, where that is known ([`crate::tally`]). The page's ids come first and alone, so
    /// that an index that holds the filter's columns, the order and the id is all that is read of the rows passed over.
    /// Where the tally is known, the way to a late page begins at the last landmark before it ([`crate::landmarks`]).
    ///
    /// Without a tally all rows of the filter have to be looked at to count them. That is done once and not twice where
    /// few are left after the page: the look for the page then has counted them.
    pub async fn page<T>(
        &self,
        tx: &mut Tx,
        filter: Filter,
        request: PageRequest,
        tally: Option<Tally>,
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Page<T>> {
        let empty = |total| Page { total, request, items: Vec::new() };
        let (total, ids) = match tally {
            Some(all) if request.only_total || request.offset >= all.rows => return Ok(empty(all.rows)),
            None if request.only_total => return Ok(empty(self.count(tx, &filter).await?)),
            Some(all) => (all.rows, self.of_whole(tx, filter, &request, all.version).await?),
            None => self.counted(tx, filter, &request).await?,
        };
        if ids.is_empty() {
            return Ok(empty(total));
        }
        let (table, columns, by) = (self.table, self.columns, self.by());
        let these = Filter::new().and_in("id", ids.into_iter().map(Val::from));
        let sql = format!("SELECT {columns} FROM {table}{}{by}", these.sql());
        let rows = tx.all(&sql, these.params()).await?;
        let items = rows.iter().map(read).collect::<Result<Vec<T>>>()?;
        Ok(Page { total, request, items })
    }

    fn by(&self) -> String {
        format!(" ORDER BY {} {dir}, id {dir}", self.order, dir = self.direction.sql())
    }

    async fn count(&self, tx: &mut Tx, filter: &Filter) -> Result<u64> {
        let sql = format!("SELECT count(*) AS n FROM {}{}", self.table, filter.sql());
        tx.one(&sql, filter.params()).await?.get("n")
    }

    async fn ids(&self, tx: &mut Tx, filter: Filter, request: &PageRequest) -> Result<Vec<String>> {
        let (sql, filter) = self.select("id", filter, request);
        tx.all(&sql, filter.params()).await?.iter().map(|row| row.get("id")).collect()
    }

    fn select(&self, columns: &str, mut filter: Filter, request: &PageRequest) -> (String, Filter) {
        let condition = filter.sql().to_owned();
        let limits = filter.page(request);
        (format!("SELECT {columns} FROM {}{condition}{}{limits}", self.table, self.by()), filter)
    }

    /// The ids of the page of a list of which nothing but the domain and the status is asked.
    async fn of_whole(
        &self,
        tx: &mut Tx,
        filter: Filter,
        request: &PageRequest,
        version: u64,
    ) -> Result<Vec<String>> {
        let list = format!("{}{}{}{:?}", self.table, filter.sql(), self.by(), filter.params());
        let landmark = tx.landmarks().and_then(|known| known.before(&list, version, request.offset));
        let (filter, way) = match landmark {
            Some((place, key)) => (self.from(filter, key), request.offset - place),
            None => (filter, request.offset),
        };
        let (sql, filter) = self.select(
            &format!("id, {} AS at", self.order),
            filter,
            &PageRequest { offset: way, ..*request },
        );
        let rows = tx.all(&sql, filter.params()).await?;
        let key = |row: &Row| -> Result<Key> { Ok([row.get("at")?, row.get("id")?]) };
        let last = rows.len().saturating_sub(1);
        let ends = [(0, rows.first()), (last as u64, rows.last())];
        let ends = ends.into_iter().filter_map(|(at, row)| Some((request.offset + at, row?)));
        let ends = ends.map(|(place, row)| Ok((place, key(row)?))).collect::<Result<Vec<_>>>()?;
        if let Some(landmarks) = tx.landmarks() {
            landmarks.note(list, version, ends);
        }
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// And the row is the one with this key or comes after it.
    fn from(&self, filter: Filter, key: Key) -> Filter {
        let onwards = match self.direction {
            Direction::Ascending => ">=",
            Direction::Descending => "<=",
        };
        filter.and_all(&format!("({}, id) {onwards} (?, ?)", self.order), key)
    }

    /// How many rows there are, and the ids of the page.
    async fn counted(
        &self,
        tx: &mut Tx,
        filter: Filter,
        request: &PageRequest,
    ) -> Result<(u64, Vec<String>)> {
        let further = PageRequest { limit: request.limit + LOOK_AHEAD, ..*request };
        let mut ids = self.ids(tx, filter.clone(), &further).await?;
        let found = ids.len() as u64;
        let is_end = found < further.limit && (found > 0 || request.offset == 0);
        let total = if is_end { request.offset + found } else { self.count(tx, &filter).await? };
        ids.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        Ok((total, ids))
    }
}

#[cfg(test)]
mod tests {
    use kernel::{DomainId, Rng, Status, status::StatusFilter};

    use super::*;
    use crate::{both_databases, params, tally, testing::TestDb};

    #[test]
    fn each_order_has_its_column() {
        let columns = [Order::Name, Order::CreatedAt, Order::UpdatedAt].map(|order| {
            let page = PageRequest::new(None, None, false).unwrap();
            let direction = Direction::Ascending;
            let listing = Listing { page, order, direction, name: None, tags: None, metadata: None };
            List::ordered("things", "id", &listing).order
        });
        assert_eq!(columns, ["name", "created_at", "changed_at"]);
    }

    /// How SQLite would find the rows of a filter.
    async fn plan(tx: &mut Tx, filter: &Filter) -> String {
        let sql = format!("EXPLAIN QUERY PLAN SELECT id FROM things{} ORDER BY rank, id", filter.sql());
        let rows = tx.all(&sql, filter.params()).await.unwrap();
        rows.iter().map(|row| row.get::<String>("detail").unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn sqlite_goes_to_named_rows_by_their_ids_and_to_those_of_a_domain_by_its_index() {
        let db = TestDb::sqlite().await;
        let domain = DomainId::generate(&Rng::seeded(1));
        let (whole, named) = db
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    let table = "CREATE TABLE things (id text PRIMARY KEY, domain_id text, rank BIGINT)";
                    tx.execute(table, &[]).await?;
                    tx.execute("CREATE INDEX things_rank ON things (domain_id, rank, id)", &[]).await?;
                    let whole = Filter::of_domain(domain);
                    let named = whole.clone().and_in("id", (0..20_i64).map(|n| n.to_string().into()));
                    Ok((plan(tx, &whole).await, plan(tx, &named).await))
                })
            })
            .await
            .unwrap();
        assert!(whole.contains("things_rank (domain_id=?)"), "{whole}");
        assert!(!whole.contains("TEMP B-TREE"), "{whole}");
        assert!(named.contains("sqlite_autoindex_things_1 (id=?)"), "{named}");
    }

    /// So many things of one domain, some of equal rank, and their tally.
    async fn things(db: &TestDb, count: i64) -> DomainId {
        let domain = DomainId::generate(&Rng::seeded(1));
        db.migrate(&[]).await.unwrap();
        db.db()
            .write(move |tx| {
                Box::pin(async move {
                    let table = "CREATE TABLE things (id text PRIMARY KEY, domain_id text, rank BIGINT)";
                    tx.execute(table, &[]).await?;
                    let row = |n: i64| vec![format!("{n:05}").into(), domain.into(), Val::Int(n / 7)];
                    let insert = "INSERT INTO things (id, domain_id, rank) VALUES";
                    tx.insert_many(insert, (0..count).map(row).collect()).await?;
                    tally::add(tx, "thing", domain, 1, vec![(Status::Enabled, count)]).await
                })
            })
            .await
            .unwrap();
        domain
    }

    async fn late_page(db: &TestDb, domain: DomainId, direction: Direction, offset: u64) -> Page<String> {
        db.db()
            .scan(move |tx| {
                Box::pin(async move {
                    let list = List { table: "things", columns: "id", order: "rank", direction };
                    let request = PageRequest::new(Some(offset), Some(10), false)?;
                    let all = tally::sum(tx, "thing", domain, StatusFilter::All).await?;
                    let filter = Filter::of_domain(domain);
                    list.page(tx, filter, request, Some(all), |row| row.get::<String>("id")).await
                })
            })
            .await
            .unwrap()
    }

    both_databases! {
        async fn pages_follow_each_other_and_ties_are_broken_by_id(db: TestDb) {
            let rows = db.db().write(|tx| Box::pin(async move {
                tx.execute("CREATE TABLE things (id text PRIMARY KEY, rank BIGINT NOT NULL)", params![]).await?;
                for n in 0..25_i64 {
                    tx.execute("INSERT INTO things VALUES ($1, $2)", params![format!("{n:02}"), n / 10]).await?;
                }
                let list = List { table: "things", columns: "id", order: "rank", direction: Direction::Descending };
                let mut seen = Vec::new();
                for offset in [0, 10, 20, 30] {
                    let request = PageRequest::new(Some(offset), Some(10), false)?;
                    let page = list.page(tx, Filter::new(), request, None, |row| row.get::<String>("id")).await?;
                    assert_eq!(page.total, 25);
                    seen.extend(page.items);
                }
                Ok(seen)
            })).await.unwrap();
            let mut expected: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
            expected.sort_by_key(|id| std::cmp::Reverse((id[..1].to_owned(), id.clone())));
            assert_eq!(rows, expected);
        }

        async fn a_late_page_is_the_same_from_a_landmark_and_after_a_change(db: TestDb) {
            const ROWS: i64 = 2_500;
            let domain = things(&db, ROWS).await;
            let mut expected: Vec<String> = (0..ROWS).map(|n| format!("{n:05}")).collect();
            for changed in 0..3 {
                for direction in [Direction::Ascending, Direction::Descending] {
                    for offset in [2_450, 2_450, 2_460, 2_300, 1_500, 1_490, 2_495, 2_459] {
                        let page = late_page(&db, domain, direction, offset).await;
                        let all: Vec<&String> = match direction {
                            Direction::Ascending => expected.iter().collect(),
                            Direction::Descending => expected.iter().rev().collect(),
                        };
                        assert_eq!(page.total, expected.len() as u64);
                        let wanted: Vec<_> = all.into_iter().skip(offset as usize).take(10).collect();
                        assert_eq!(page.items.iter().collect::<Vec<_>>(), wanted, "{direction:?} {offset}");
                    }
                }
                let gone = expected.remove(1_000 + changed);
                db.db().write(move |tx| Box::pin(async move {
                    tx.execute("DELETE FROM things WHERE id = $1", params![gone]).await?;
                    tally::add(tx, "thing", domain, 1, vec![(Status::Enabled, -1)]).await
                })).await.unwrap();
            }
        }

        async fn a_late_page_is_reached_from_the_one_before_and_not_from_the_start(db: TestDb) {
            let domain = things(&db, 2_500).await;
            late_page(&db, domain, Direction::Ascending, 2_400).await;
            // Behind the back of the tally, so that the version says that nothing has changed.
            db.db().write(|tx| Box::pin(async move {
                tx.execute("DELETE FROM things WHERE id < '00500'", &[]).await
            })).await.unwrap();
            let page = late_page(&db, domain, Direction::Ascending, 2_405).await;
            assert_eq!(page.items.first().unwrap(), "02405");
        }

        async fn a_total_is_right_however_it_is_found(db: TestDb) {
            const ROWS: u64 = LOOK_AHEAD + 500;
            let totals = db.db().write(move |tx| Box::pin(async move {
                tx.execute("CREATE TABLE things (id text PRIMARY KEY, rank BIGINT NOT NULL)", params![]).await?;
                let rows = (0..ROWS as i64).map(|n| vec![format!("{n:05}").into(), Val::Int(n % 2)]).collect();
                tx.insert_many("INSERT INTO things (id, rank) VALUES", rows).await?;
                let list = List { table: "things", columns: "id", order: "id", direction: Direction::Ascending };
                let mut totals = Vec::new();
                for (rank, offset, only) in [
                    (None, 0, false), (None, 600, false), (None, ROWS, false), (None, ROWS - 1, false),
                    (None, 0, true), (Some(1), 0, false), (Some(1), ROWS, false), (Some(2), 0, false),
                ] {
                    let filter = Filter::new().and_opt("rank = ?", rank.map(Val::Int));
                    let request = PageRequest::new(Some(offset), Some(10), only)?;
                    let page = list.page(tx, filter, request, None, |row| row.get::<String>("id")).await?;
                    totals.push((page.total, page.items.len()));
                }
                Ok(totals)
            })).await.unwrap();
            let half = ROWS / 2;
            assert_eq!(
                totals,
                [(ROWS, 10), (ROWS, 10), (ROWS, 0), (ROWS, 1), (ROWS, 0), (half, 10), (half, 0), (0, 0)]
            );
        }
    }
}
