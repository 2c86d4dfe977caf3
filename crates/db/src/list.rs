//! One page of a list.

use kernel::{Direction, Listing, Page, PageRequest, Result, page::Order};

use crate::{Filter, Row, Tx};

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
    /// `total` is how many there are, where that is known ([`crate::tally`]); otherwise they are counted. The page's
    /// ids come first and alone, so that an index that holds the filter's columns, the order and the id is all that is
    /// read of the rows passed over, however far in the page is.
    pub async fn page<T>(
        &self,
        tx: &mut Tx,
        mut filter: Filter,
        request: PageRequest,
        total: Option<u64>,
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Page<T>> {
        let Self { table, columns, order, direction } = self;
        let total = match total {
            Some(total) => total,
            None => {
                let sql = format!("SELECT count(*) AS n FROM {table}{}", filter.sql());
                tx.one(&sql, filter.params()).await?.get("n")?
            }
        };
        if request.only_total || request.offset >= total {
            return Ok(Page { total, request, items: Vec::new() });
        }
        let by = format!(" ORDER BY {order} {dir}, id {dir}", dir = direction.sql());
        let condition = filter.sql().to_owned();
        let limits = filter.page(&request);
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE id IN (SELECT id FROM {table}{condition}{by}{limits}){by}"
        );
        let rows = tx.all(&sql, filter.params()).await?;
        let items = rows.iter().map(read).collect::<Result<Vec<T>>>()?;
        Ok(Page { total, request, items })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{both_databases, params, testing::TestDb};

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
    }
}
