//! A page of a domain is read from an index alone and in its order, on both databases, whatever is asked for.

use db::{Engine, Tx, both_databases, testing::TestDb};
use kernel::Result;

use crate::plant::Plant;

/// How the database would find the page. The tables are empty: what it may do instead is made dear, so that it does so
/// only where there is no index for it.
async fn plan(tx: &mut Tx, select: &str) -> Result<String> {
    let lines = match tx.engine() {
        Engine::Sqlite => {
            let rows = tx.all(&format!("EXPLAIN QUERY PLAN {select}"), &[]).await?;
            rows.iter().map(|row| row.get::<String>("detail")).collect::<Result<Vec<_>>>()?
        }
        Engine::Postgres => {
            for dear in ["seqscan", "bitmapscan", "sort", "incremental_sort"] {
                tx.execute(&format!("SET LOCAL enable_{dear} = off"), &[]).await?;
            }
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
