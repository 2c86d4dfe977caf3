//! A page of a domain is read from an index alone and in its order, on both databases, whatever is asked for.

use db::{Engine, Tx, both_databases, testing::TestDb};
use kernel::Result;

use crate::plant::Plant;

/// Things in the domain, of which one in twenty is disabled. PostgreSQL chooses by what its tables hold; SQLite does not.
const THINGS: u32 = 20_000;

/// Fills PostgreSQL's tables, and tells it what is in them.
async fn fill(tx: &mut Tx) -> Result<()> {
    if tx.engine() == Engine::Sqlite {
        return Ok(());
    }
    for (table, columns, values) in [
        (
            "clients",
            ", identity, private_metadata, secret_digest, secret_sealed, created_by",
            ", '', '{}', decode(md5(n::text), 'hex'), '\\x00', 'u'",
        ),
        ("channels", ", created_by", ", 'u'"),
        ("groups", "", ""),
    ] {
        tx.execute(
            &format!(
                "INSERT INTO {table} (id, domain_id, name, tags, metadata, status, created_at, changed_at{columns})
                 SELECT md5('i' || n), 'd', md5('n' || n), '[]', '{{}}', CASE WHEN n % 20 = 0 THEN 1 ELSE 0 END, n, n{values}
                   FROM generate_series(1, {THINGS}) AS n"
            ),
            &[],
        )
        .await?;
        tx.execute(&format!("ANALYZE {table}"), &[]).await?;
        // As after a VACUUM, which cannot be in a transaction.
        let visible = format!("UPDATE pg_class SET relallvisible = relpages WHERE relname = '{table}'");
        tx.execute(&visible, &[]).await?;
    }
    Ok(())
}

/// How the database would find the page.
async fn plan(tx: &mut Tx, select: &str) -> Result<String> {
    let lines = match tx.engine() {
        Engine::Sqlite => {
            let rows = tx.all(&format!("EXPLAIN QUERY PLAN {select}"), &[]).await?;
            rows.iter().map(|row| row.get::<String>("detail")).collect::<Result<Vec<_>>>()?
        }
        Engine::Postgres => {
            let rows = tx.all(&format!("EXPLAIN (COSTS OFF) {select}"), &[]).await?;
            rows.iter().map(|row| row.get::<String>(0)).collect::<Result<Vec<_>>>()?
        }
    };
    Ok(lines.join("\n"))
}

/// Every list of a whole domain that can be asked for, from its first row and from a remembered one.
fn selects() -> Vec<String> {
    let mut selects = Vec::new();
    for table in ["clients", "channels", "groups"] {
        for (order, value) in [("name", "'n'"), ("created_at", "1"), ("changed_at", "1")] {
            for status in ["", " AND status = 0"] {
                for (direction, onwards) in [("ASC", ">="), ("DESC", "<=")] {
                    for from in [String::new(), format!(" AND ({order}, id) {onwards} ({value}, 'i')")] {
                        selects.push(format!(
                            "SELECT id, {order} AS at FROM {table} WHERE domain_id = 'd'{status}{from} \
                             ORDER BY {order} {direction}, id {direction} LIMIT 10 OFFSET 20"
                        ));
                    }
                }
            }
        }
    }
    selects
}

both_databases! {
    async fn a_page_of_a_domain_is_read_from_an_index_alone_and_in_its_order(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.write(|tx| Box::pin(fill(tx))).await;
        for select in selects() {
            let asked = select.clone();
            let plan = plant.write(move |tx| Box::pin(async move { plan(tx, &asked).await })).await;
            let covered = plan.contains("COVERING INDEX") || plan.contains("Index Only Scan");
            assert!(covered, "{select}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("Sort"), "{select}\n{plan}");
            if select.contains("=") && select.contains("(") {
                // The remembered row is where the walk begins, not a condition on what is walked over.
                assert!(!plan.contains("Filter") && !plan.contains("domain_id=?)\n"), "{select}\n{plan}");
            }
        }
    }
}
