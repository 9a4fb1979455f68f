//! One kind of entity: made, found, changed, removed, listed. Written once for all kinds and both databases.

use std::marker::PhantomData;

use crate::{
    StoreError,
    changes::note,
    driver::{Driver, Undone},
    entity::{Entity, MAX_DOCUMENT, Stored, shown},
    now,
    sql::{Row, Statement, Value},
};

/// Most entities on a page.
const MAX_PAGE: u32 = 100;

/// Entities that are read at once where all are.
const AT_ONCE: i64 = 2_000;

/// Columns that every table of entities has, before those of [`Entity::BESIDE`].
const COLUMNS: &str = "id, document, created, updated";

/// The entities of one kind in a database.
pub struct Collection<'s, E> {
    driver: &'s dyn Driver,
    kind: PhantomData<fn() -> E>,
}

/// Which entities are wanted; all of what is said must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    equal: Vec<(&'static str, Value)>,
    namespace: Option<String>,
    search: Option<String>,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    number: u32,
    size: u32,
}

/// A page of entities, in the order in which they were made.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing<E> {
    /// Those of the page.
    pub items: Vec<Stored<E>>,
    /// How many there are on all pages.
    pub total: u64,
}

impl Default for Page {
    /// The first 20.
    fn default() -> Self {
        Self { number: 1, size: 20 }
    }
}

impl Page {
    /// Page `number`, from 1, of pages of `size` entities, 1 to 100. What is out of range is brought into it.
    #[must_use]
    pub fn new(number: u32, size: u32) -> Self {
        Self { number: number.max(1), size: size.clamp(1, MAX_PAGE) }
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many it holds at most.
    #[must_use]
    pub fn size(self) -> u32 {
        self.size
    }
}

impl Filter {
    /// All.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that are active, or (`false`) that are not.
    #[must_use]
    pub fn active(mut self, active: bool) -> Self {
        self.equal.push(("active", active.into()));
        self
    }

    /// Only tokens of this app.
    #[must_use]
    pub fn app(mut self, app: i64) -> Self {
        self.equal.push(("app", app.into()));
        self
    }

    /// Only what has this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.equal.push(("name", name.into()));
        self
    }

    /// Only LLMs and prices of this vendor.
    #[must_use]
    pub fn vendor(mut self, vendor: &str) -> Self {
        self.equal.push(("vendor", vendor.into()));
        self
    }

    /// Only plugins whose first hook is this one.
    #[must_use]
    pub fn hook_type(mut self, hook: &str) -> Self {
        self.equal.push(("hook_type", hook.into()));
        self
    }

    /// Only what is global, and of this namespace; an empty one leaves what is global.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Only what has this in its name or another text that is shown, in whatever case.
    #[must_use]
    pub fn search(mut self, text: &str) -> Self {
        self.search = Some(text.to_lowercase());
        self
    }

    /// `WHERE …`, and its values.
    fn clause(&self) -> (String, Vec<Value>) {
        let (mut parts, mut values) = (Vec::new(), Vec::new());
        let mut given = |value: Value| {
            values.push(value);
            values.len()
        };
        for (column, value) in &self.equal {
            parts.push(format!("{column} = ${}", given(value.clone())));
        }
        if let Some(namespace) = &self.namespace {
            parts.push(format!("(namespace = '' OR namespace = ${})", given(namespace.as_str().into())));
        }
        if let Some(search) = &self.search {
            parts.push(format!("words LIKE ${} ESCAPE '!'", given(pattern(search).into())));
        }
        match parts.is_empty() {
            true => (String::new(), values),
            false => (format!(" WHERE {}", parts.join(" AND ")), values),
        }
    }
}

/// A text anywhere, its own `%` and `_` taken as they are.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl<'s, E: Entity> Collection<'s, E> {
    pub(crate) fn new(driver: &'s dyn Driver) -> Self {
        Self { driver, kind: PhantomData }
    }

    /// Keeps a new one.
    ///
    /// # Errors
    /// When something in it is wrong, its name is taken, or the database fails.
    pub async fn create(&self, entity: E) -> Result<Stored<E>, StoreError> {
        let mut made = self.create_all(vec![entity]).await?;
        made.pop().ok_or(StoreError::Missing { what: E::WORD, id: 0 })
    }

    /// Keeps new ones: all or none.
    ///
    /// # Errors
    /// As [`Collection::create`].
    pub async fn create_all(&self, entities: Vec<E>) -> Result<Vec<Stored<E>>, StoreError> {
        let at = now();
        let mut statements = Vec::with_capacity(2 * entities.len());
        for entity in &entities {
            let document = document(entity)?;
            let columns = entity.columns();
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            let places: Vec<String> = (4..).take(columns.len()).map(|at| format!("${at}")).collect();
            let text = format!(
                "INSERT INTO {} (document, created, updated, {}) VALUES ($1, $2, $3, {}) RETURNING id",
                E::TABLE,
                names.join(", "),
                places.join(", ")
            );
            let insert = Statement::new("keeping what is new", text).with(document).with(at).with(at);
            statements.push(insert.with_all(columns.into_iter().map(|(_, value)| value)));
            if let Some(change) = E::CHANGE {
                // Writers come one after another and numbers only grow, so this is the one just made.
                let text = format!("INSERT INTO changes (kind, entity) SELECT $1, MAX(id) FROM {}", E::TABLE);
                statements.push(Statement::new("noting a change", text).with(change.word()));
            }
        }
        let done = self.driver.write(statements).await.map_err(|undone| undone.into_error(E::WORD))?;
        let ids = done.iter().filter_map(|done| done.rows.first()).map(|row| row.int(0));
        let made = ids
            .zip(entities)
            .map(|(id, fields)| Ok(Stored { id: id?, fields, created: shown(at), updated: shown(at) }));
        made.collect()
    }

    /// The one with this number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn get(&self, id: i64) -> Result<Option<Stored<E>>, StoreError> {
        let text = format!("SELECT {} FROM {} WHERE id = $1", columns::<E>(), E::TABLE);
        let rows = self.driver.read(Statement::new("reading one", text).with(id)).await?;
        rows.first().map(read).transpose()
    }

    /// Puts other fields in the place of those of the one with this number.
    ///
    /// # Errors
    /// When there is none, something in it is wrong, its name is taken, or the database fails.
    pub async fn replace(&self, id: i64, entity: E) -> Result<Stored<E>, StoreError> {
        let columns = entity.columns();
        let set: Vec<String> = (4..).zip(&columns).map(|(at, (name, _))| format!("{name} = ${at}")).collect();
        let text = format!(
            "UPDATE {} SET document = $1, updated = $2, {} WHERE id = $3 RETURNING created",
            E::TABLE,
            set.join(", ")
        );
        let at = now();
        let update = Statement::new("changing one", text).with(document(&entity)?).with(at).with(id);
        let update = update.with_all(columns.into_iter().map(|(_, value)| value)).must_touch();
        let mut statements = vec![update];
        statements.extend(E::CHANGE.map(|change| note(change, id)));
        let done = self.driver.write(statements).await.map_err(|undone| self.told(undone, id))?;
        let created = done.first().and_then(|done| done.rows.first()).map_or(Ok(at), |row| row.int(0))?;
        Ok(Stored { id, fields: entity, created: shown(created), updated: shown(at) })
    }

    /// Removes the one with this number, and what belongs to it alone.
    ///
    /// # Errors
    /// When there is none, or the database fails.
    pub async fn delete(&self, id: i64) -> Result<(), StoreError> {
        let text = format!("DELETE FROM {} WHERE id = $1", E::TABLE);
        let mut statements = vec![Statement::new("removing one", text).with(id).must_touch()];
        statements.extend(E::CHANGE.map(|change| note(change, id)));
        self.driver.write(statements).await.map(drop).map_err(|undone| self.told(undone, id))
    }

    /// A page of those that are wanted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, filter: &Filter, page: Page) -> Result<Listing<E>, StoreError> {
        let (clause, values) = filter.clause();
        let count = format!("SELECT COUNT(*) FROM {}{clause}", E::TABLE);
        let count = Statement::new("counting", count).with_all(values.clone());
        let total = self.driver.read(count).await?.first().map_or(Ok(0), |row| row.int(0))?;
        let (size, skipped) = (i64::from(page.size), i64::from(page.number - 1) * i64::from(page.size));
        // Numbers of this program's own, not of whoever asks.
        let text = format!(
            "SELECT {} FROM {}{clause} ORDER BY id LIMIT {size} OFFSET {skipped}",
            columns::<E>(),
            E::TABLE
        );
        let rows = self.driver.read(Statement::new("listing", text).with_all(values)).await?;
        let items = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Listing { items, total: u64::try_from(total).unwrap_or(0) })
    }

    /// All that are wanted, in the order in which they were made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all(&self, filter: &Filter) -> Result<Vec<Stored<E>>, StoreError> {
        let (clause, values) = filter.clause();
        let joined = if clause.is_empty() { " WHERE" } else { " AND" };
        let mut found: Vec<Stored<E>> = Vec::new();
        loop {
            let last = found.last().map_or(0, |last| last.id);
            let text = format!(
                "SELECT {} FROM {}{clause}{joined} id > {last} ORDER BY id LIMIT {AT_ONCE}",
                columns::<E>(),
                E::TABLE
            );
            let rows = self.driver.read(Statement::new("reading all", text).with_all(values.clone())).await?;
            let more = rows.len() as i64 == AT_ONCE;
            for row in &rows {
                found.push(read(row)?);
            }
            if !more {
                return Ok(found);
            }
        }
    }

    fn told(&self, undone: Undone, id: i64) -> StoreError {
        match undone {
            Undone::Untouched => StoreError::Missing { what: E::WORD, id },
            other => other.into_error(E::WORD),
        }
    }
}

impl Collection<'_, crate::Token> {
    /// Notes when tokens were last used: their numbers, and moments in milliseconds since 1970. No change that
    /// gateways have to know of.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn used(&self, tokens: &[(i64, i64)]) -> Result<(), StoreError> {
        let text = "UPDATE tokens SET last_used = $1 WHERE id = $2 AND (last_used IS NULL OR last_used < $1)";
        let note =
            |(id, at): &(i64, i64)| Statement::new("noting that tokens were used", text).with(*at).with(*id);
        let noted = self.driver.write(tokens.iter().map(note).collect()).await;
        noted.map(drop).map_err(|undone| undone.into_error("token"))
    }
}

impl<E> std::fmt::Debug for Collection<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collection").finish_non_exhaustive()
    }
}

fn columns<E: Entity>() -> String {
    E::BESIDE.iter().fold(COLUMNS.to_owned(), |all, column| all + ", " + column)
}

/// An entity as it is kept, once it was checked.
fn document<E: Entity>(entity: &E) -> Result<String, StoreError> {
    entity.check()?;
    let garbled = |source: serde_json::Error| StoreError::Garbled { what: E::WORD, source: source.into() };
    let text = serde_json::to_string(entity).map_err(garbled)?;
    if text.len() > MAX_DOCUMENT {
        let why = format!("is too large: all fields together have at most {MAX_DOCUMENT} bytes");
        return Err(StoreError::Unfit { what: E::WORD, field: "size", why });
    }
    Ok(text)
}

fn read<E: Entity>(row: &Row) -> Result<Stored<E>, StoreError> {
    let garbled = |source: serde_json::Error| StoreError::Garbled { what: E::WORD, source: source.into() };
    let mut fields: E = serde_json::from_str(row.text(1)?).map_err(garbled)?;
    fields.beside(row.0.get(4..).unwrap_or_default());
    Ok(Stored { id: row.int(0)?, fields, created: shown(row.int(2)?), updated: shown(row.int(3)?) })
}
