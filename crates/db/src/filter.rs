//! Conditions of a list query, as many as the caller gave.

use kernel::{DomainId, Listing, PageRequest, Tags, metadata::TagFilter};

use crate::Val;

/// The first condition of a filter for the rows of one domain, as an index answers it.
const OF_DOMAIN: &str = " WHERE domain_id = ";
/// The same, as no index of SQLite's answers it; for PostgreSQL there is no difference.
const OF_DOMAIN_UNINDEXED: &str = " WHERE CAST(domain_id AS text) = ";

/// A WHERE clause that grows, with the values for its placeholders.
///
/// Conditions are fixed texts of the store, with a `?` for each value; what callers send is only ever bound.
///
/// ```
/// let name: Option<&str> = Some("boiler");
/// let mut filter = db::Filter::new().and("domain_id = ?", "d1").and_opt("name_contains(name, ?)", name);
/// let sql = format!("SELECT id FROM channels{}{}", filter.sql(), " ORDER BY id");
/// assert_eq!(sql, "SELECT id FROM channels WHERE domain_id = $1 AND name_contains(name, $2) ORDER BY id");
/// assert_eq!(filter.bind(10_i64), "$3");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    sql: String,
    params: Vec<Val>,
}

impl Filter {
    /// No condition: every row.
    pub fn new() -> Self {
        Self::default()
    }

    /// The rows of one domain.
    ///
    /// Tables are indexed by domain and order, which is the way to a page of a whole domain. Where [`Filter::and_in`] or
    /// [`Filter::and_among`] names rows by their `id`, that is the way to them.
    ///
    /// ```
    /// # let domain = "0d3c1ff1-5b2c-4a9c-8f3f-0a1b2c3d4e5f".parse().unwrap();
    /// let whole = db::Filter::of_domain(domain);
    /// assert_eq!(whole.sql(), " WHERE domain_id = $1");
    /// let some = whole.and_in("id", ["a".into()]);
    /// assert_eq!(some.sql(), " WHERE CAST(domain_id AS text) = $1 AND id IN ($2)");
    /// ```
    pub fn of_domain(domain: DomainId) -> Self {
        Self { sql: format!("{OF_DOMAIN}$1"), params: vec![domain.into()] }
    }

    /// And this condition with its one value.
    #[must_use]
    pub fn and(self, condition: &str, value: impl Into<Val>) -> Self {
        self.and_all(condition, [value.into()])
    }

    /// And this condition, if there is a value for it.
    #[must_use]
    pub fn and_opt(self, condition: &str, value: Option<impl Into<Val>>) -> Self {
        match value {
            Some(value) => self.and(condition, value),
            None => self,
        }
    }

    /// And this condition with several values, or with none.
    #[must_use]
    pub fn and_all(mut self, condition: &str, values: impl IntoIterator<Item = Val>) -> Self {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        let mut values = values.into_iter();
        let mut rest = condition;
        while let Some((before, after)) = rest.split_once('?') {
            self.sql.push_str(before);
            let placeholder = values.next().map_or_else(|| "NULL".to_owned(), |value| self.bind(value));
            self.sql.push_str(&placeholder);
            rest = after;
        }
        self.sql.push_str(rest);
        self
    }

    /// And this condition, in which `{}` stands for the conditions of `inner`, each with an AND before it.
    ///
    /// ```
    /// let inner = db::Filter::new().and("owner = ?", "u1");
    /// let filter = db::Filter::new()
    ///     .and("status = ?", 0)
    ///     .and_nested("id IN (SELECT id FROM things WHERE old{})", inner);
    /// assert_eq!(filter.sql(), " WHERE status = $1 AND id IN (SELECT id FROM things WHERE old AND owner = $2)");
    /// ```
    #[must_use]
    pub fn and_nested(self, condition: &str, inner: Self) -> Self {
        let Self { sql, params } = inner;
        let mut marked = String::with_capacity(sql.len());
        let mut rest = sql.strip_prefix(" WHERE").map_or_else(String::new, |sql| format!(" AND{sql}"));
        while let Some((before, after)) = rest.split_once('$') {
            marked.push_str(before);
            marked.push('?');
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
        }
        marked.push_str(&rest);
        self.and_all(&condition.replace("{}", &marked), params)
    }

    /// And `column` is one of these; no row where there is none.
    ///
    /// The number of placeholders is rounded up to a power of two with the last value, so that lists of many lengths
    /// share few prepared statements.
    #[must_use]
    pub fn and_in(self, column: &str, values: impl IntoIterator<Item = Val>) -> Self {
        let mut values: Vec<Val> = values.into_iter().collect();
        let Some(last) = values.last().cloned() else { return self.and_all("FALSE", []) };
        values.resize(values.len().next_power_of_two(), last);
        let marks = vec!["?"; values.len()].join(", ");
        self.and_among(column, &marks, values)
    }

    /// And `column` is one of `these`: a subquery of one column, or placeholders.
    ///
    /// Where the column is the table's `id`, whatever it is that names the rows is the way to them; SQLite, which takes it
    /// for granted that a domain has ten rows, would walk through all that there are. So from then on it is not told that
    /// the domain is indexed.
    #[must_use]
    pub fn and_among(mut self, column: &str, these: &str, values: impl IntoIterator<Item = Val>) -> Self {
        if column == "id"
            && let Some(rest) = self.sql.strip_prefix(OF_DOMAIN)
        {
            self.sql = format!("{OF_DOMAIN_UNINDEXED}{rest}");
        }
        self.and_all(&format!("{column} IN ({these})"), values)
    }

    /// And what every list can be asked for holds: part of the name, JSON in the metadata, tags.
    #[must_use]
    pub fn and_listing(self, listing: &Listing) -> Self {
        self.and_opt("name_contains(name, ?)", listing.name.as_deref())
            .and_opt("json_contains(metadata, ?)", listing.metadata.as_ref())
            .and_tags("tags", listing.tags.as_ref())
    }

    /// And the list of tags in `column` has one of these, or all of them, as the caller asks.
    #[must_use]
    pub fn and_tags(self, column: &str, tags: Option<&TagFilter>) -> Self {
        let (question, tags) = match tags {
            None => return self,
            Some(TagFilter::Any(tags)) => ("tags_any", tags),
            Some(TagFilter::All(tags)) => ("tags_all", tags),
        };
        self.and(&format!("{question}({column}, ?)"), tags.iter().collect::<Tags>())
    }

    /// Adds a value for a later part of the statement; returns its placeholder.
    pub fn bind(&mut self, value: impl Into<Val>) -> String {
        self.params.push(value.into());
        format!("${}", self.params.len())
    }

    /// Binds the limits of a page; returns ` LIMIT $n OFFSET $m`.
    pub fn page(&mut self, page: &PageRequest) -> String {
        let limit = self.bind(page.limit);
        let offset = self.bind(page.offset);
        format!(" LIMIT {limit} OFFSET {offset}")
    }

    /// ` WHERE a AND b`, or nothing.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The values, for `$1` onward.
    pub fn params(&self) -> &[Val] {
        &self.params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_condition_is_no_where() {
        assert_eq!(Filter::new().and_opt("a = ?", None::<i64>).sql(), "");
    }

    #[test]
    fn values_are_numbered_in_order() {
        let filter = Filter::new()
            .and("a = ?", 1_i64)
            .and_all("(b = ? OR c = ?)", [Val::Int(2), Val::Int(3)])
            .and_all("d IS NOT NULL", []);
        assert_eq!(filter.sql(), " WHERE a = $1 AND (b = $2 OR c = $3) AND d IS NOT NULL");
        assert_eq!(filter.params(), [Val::Int(1), Val::Int(2), Val::Int(3)]);
    }

    #[test]
    fn a_list_of_values_is_padded_and_an_empty_one_matches_nothing() {
        let filter = Filter::new().and_in("id", [Val::from("x"), Val::from("y"), Val::from("z")]);
        assert_eq!(filter.sql(), " WHERE id IN ($1, $2, $3, $4)");
        assert_eq!(filter.params().last(), Some(&Val::from("z")));
        assert_eq!(Filter::new().and_in("id", []).sql(), " WHERE FALSE");
    }

    #[test]
    fn tags_are_asked_for_as_the_caller_says() {
        let tags = |text| TagFilter::parse(text);
        for (asked, sql) in [("a,b", " WHERE tags_any(tags, $1)"), ("a+b", " WHERE tags_all(tags, $1)")] {
            let filter = Filter::new().and_tags("tags", tags(asked).as_ref());
            assert_eq!(filter.sql(), sql);
            assert_eq!(filter.params(), [Val::Json(r#"["a","b"]"#.to_owned())]);
        }
        assert_eq!(Filter::new().and_tags("tags", None), Filter::new());
    }

    #[test]
    fn a_page_comes_after_the_conditions() {
        let mut filter = Filter::new().and("a = ?", 1_i64);
        let page = PageRequest::new(Some(20), Some(5), false).unwrap();
        assert_eq!(filter.page(&page), " LIMIT $2 OFFSET $3");
        assert_eq!(filter.params().len(), 3);
    }
}
