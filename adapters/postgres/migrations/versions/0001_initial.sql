create table connections (
    id text collate "C" primary key,
    settings json not null, -- ConnectionSettings without id and active
    api_key bytea, -- Fernet token
    active boolean not null,
    version bigint not null default 1,
    added_at timestamptz not null,
    suspended_at timestamptz,
    suspended_reason text,
    suspended_message text
);
create index connections_pushing on connections ((settings ->> 'catalog'))
    where settings ->> 'push_stock' = 'true';

create table looks (
    connection text collate "C" not null references connections (id),
    look text not null check (look in ('fresh', 'open', 'deep', 'backfill')),
    due_at timestamptz, -- null when nothing is to be done
    cursor timestamptz,
    since timestamptz, -- where a requested backfill starts
    holder text,
    held_until timestamptz,
    epoch bigint not null default 0,
    started_at timestamptz,
    finished_at timestamptz,
    succeeded_at timestamptz,
    error text,
    failures int not null default 0,
    summary text,
    primary key (connection, look)
) with (fillfactor = 70);
create index looks_held on looks (holder) where holder is not null;
create index looks_due on looks (due_at) where due_at is not null;

create table orders (
    order_id text collate "C" not null,
    connection text collate "C" not null,
    state text not null,
    spartoo_status int not null,
    purchased_at timestamptz not null,
    fingerprint bytea,
    facts json not null, -- MarketplaceOrder
    decision json,
    products json not null, -- line number to product
    touched_by text,
    store_order_id text,
    first_seen_at timestamptz not null,
    changed_at timestamptz not null,
    acknowledged_at timestamptz,
    published_at timestamptz,
    known_at timestamptz,
    shipments json not null,
    problem json,
    identifiers text[] not null, -- references that may name a product
    erased_at timestamptz, -- since then it tells of no person, whatever the marketplace says
    primary key (order_id, connection)
) with (fillfactor = 80);
create index orders_paged on orders (connection, purchased_at desc, order_id) include (state);
create index orders_open on orders (connection, purchased_at)
    where state in ('new', 'pending_manual', 'accepted', 'synced');
create index orders_undecided on orders using gin (identifiers) with (fastupdate = off)
    where state = 'pending_manual' and touched_by is null;
create index orders_newest on orders (purchased_at desc, order_id, connection);
create index orders_state on orders (state, purchased_at desc, order_id, connection)
    include (first_seen_at);
create index orders_ended on orders (changed_at)
    where erased_at is null and state in ('shipped', 'cancelled', 'lost', 'undelivered');
create index orders_problem on orders (purchased_at desc, order_id, connection)
    where problem is not null;

create table order_search ( -- customers' names among the words: goes with its order
    order_id text collate "C" not null,
    connection text collate "C" not null,
    purchased_at timestamptz not null,
    words tsvector not null, -- folded; the connection among them
    primary key (order_id, connection)
) with (fillfactor = 95);
create index order_search_words on order_search using gin (words)
    with (gin_pending_list_limit = 2048);

create index order_search_purchased on order_search using brin (purchased_at)
    with (pages_per_range = 16, autosummarize = on);

create function forget_words() returns trigger language plpgsql as $$
begin
    delete from order_search as s using gone
    where s.order_id = gone.order_id and s.connection = gone.connection;
    return null;
end $$;
create trigger orders_gone after delete on orders referencing old table as gone
    for each statement execute function forget_words();

create table order_history (
    id bigint generated always as identity primary key,
    connection text collate "C" not null,
    order_id text collate "C" not null,
    from_state text,
    to_state text not null,
    trigger text not null,
    requested_by text not null,
    reason text,
    at timestamptz not null
);
create index order_history_order on order_history (order_id, connection, id);

create table returns (
    return_id text collate "C" not null,
    connection text collate "C" not null,
    order_id text collate "C" not null, -- empty where the marketplace names none
    state text not null,
    spartoo_status int not null,
    requested_at timestamptz not null,
    fingerprint bytea,
    facts json not null, -- MarketplaceReturn
    label_link text,
    has_label boolean not null,
    label_digest text,
    touched_by text,
    problem json,
    first_seen_at timestamptz not null,
    changed_at timestamptz not null,
    primary key (return_id, connection)
) with (fillfactor = 80);
create index returns_paged on returns (connection, requested_at desc, return_id) include (state);
create index returns_order on returns (order_id, connection);
create index returns_newest on returns (requested_at desc, return_id, connection);
create index returns_state on returns (state, requested_at desc, return_id, connection);
create index returns_problem on returns (requested_at desc, return_id, connection)
    where problem is not null;

create table return_history (
    id bigint generated always as identity primary key,
    connection text collate "C" not null,
    return_id text collate "C" not null,
    from_state text,
    to_state text not null,
    trigger text not null,
    requested_by text not null,
    at timestamptz not null
);
create index return_history_return on return_history (return_id, connection, id);

create table return_labels ( -- on their way to the marketplace
    return_id text collate "C" not null,
    connection text collate "C" not null,
    link text,
    pdf bytea,
    primary key (return_id, connection),
    check ((link is null) <> (pdf is null))
);

create table subjects (
    source text collate "C" not null,
    subject text collate "C" not null,
    sequence bigint not null,
    primary key (source, subject)
) with (fillfactor = 80);

create table events (
    position bigint generated always as identity primary key,
    id uuid not null,
    type text not null,
    source text collate "C" not null,
    subject text collate "C" not null,
    sequence bigint not null,
    time timestamptz not null,
    data json not null,
    connection text collate "C",
    order_id text collate "C",
    catalog text collate "C",
    traceparent text, -- of the step that told it, where traces are kept
    unique (source, subject, sequence)
);
create index events_connection on events (connection, position) where connection is not null;
create index events_type on events (type, position);
create index events_order on events (order_id, connection, position) where order_id is not null;

create table relay (
    "only" boolean primary key default true check ("only"),
    position bigint not null -- every event up to here is published
);
insert into relay (position) values (0);

create table leases (
    role text primary key,
    holder text, -- null when released
    epoch bigint not null,
    expires_at timestamptz not null
) with (fillfactor = 50);

create table processes (
    holder text primary key,
    expires_at timestamptz not null
) with (fillfactor = 50);

create table actions (
    id bigint generated always as identity primary key,
    connection text collate "C" not null,
    order_id text collate "C" not null, -- with the kinds return_…: the return's id
    kind text not null,
    reason text,
    requested_by text not null,
    status text not null default 'pending'
        check (status in ('pending', 'done', 'failed', 'superseded')),
    attempts int not null default 0,
    unsure boolean not null default false, -- an earlier try may have reached the marketplace
    due_at timestamptz not null,
    holder text,
    held_until timestamptz,
    result json, -- code and message
    created_at timestamptz not null,
    settled_at timestamptz,
    traceparent text, -- of the step that queued it, where traces are kept
    check ((status = 'pending') = (settled_at is null)),
    unique (order_id, connection, kind)
) with (fillfactor = 70);
create index actions_held on actions (holder) where holder is not null;
create index actions_pending on actions (connection, kind, due_at) where status = 'pending';

create table reservations (
    connection text collate "C" not null,
    order_id text collate "C" not null,
    catalog text collate "C" not null,
    product_id text collate "C" not null,
    quantity int not null check (quantity > 0),
    known_at timestamptz, -- since then the store's stock numbers include it
    primary key (order_id, connection, product_id)
);
create index reservations_product on reservations (catalog, product_id);

create table products (
    catalog text collate "C" not null,
    id text collate "C" not null,
    sku text,
    ean text,
    name text,
    stock int not null,
    as_of timestamptz,
    reserved int not null, -- the sum of its reservations
    price_final_incl_tax numeric,
    price_original_incl_tax numeric,
    currency text,
    attributes jsonb not null,
    updated_at timestamptz not null,
    primary key (catalog, id)
) with (fillfactor = 80);
create index products_sku on products (catalog, sku) where sku is not null;
create index products_ean on products (catalog, ean) where ean is not null;
create index products_name on products using gin (to_tsvector('simple', name));
create index products_attributes on products using gin (attributes jsonb_path_ops);

create table imports ( -- catalogue files that were uploaded
    id uuid primary key,
    catalog text collate "C" not null,
    file text not null,
    bytes bigint not null,
    bytes_read bigint not null default 0,
    products int not null default 0,
    changed int not null default 0,
    bad_lines int not null default 0,
    asked_by text not null,
    started_at timestamptz not null,
    touched_at timestamptz not null, -- by the process that reads the file
    finished_at timestamptz,
    error text -- why it ended before the file did
);

create table import_errors (
    id bigint generated always as identity primary key,
    import uuid not null references imports (id) on delete cascade,
    line int not null,
    message text not null,
    text text not null
);
create index import_errors_import on import_errors (import, id);

-- Products whose waiting orders are to be decided again. Only ever added to and taken off: a step
-- that notes a change never waits for one that takes changes off.
create table product_changes (
    id bigint generated always as identity primary key,
    catalog text collate "C" not null,
    product_id text collate "C" not null,
    changed_at timestamptz not null
);

create table stock_pushes ( -- what each marketplace account is told of a product's availability
    connection text collate "C" not null,
    catalog text collate "C" not null,
    product_id text collate "C" not null,
    reference text, -- products_reference, as the account's orders show it
    version bigint not null default 1, -- counts what is to be told; an answer settles its own
    due_at timestamptz, -- null when nothing is to be told
    attempts int not null default 0,
    sent int, -- units the marketplace last took; null where it did not
    error text, -- why not
    pushed_at timestamptz, -- the last answer
    primary key (connection, catalog, product_id)
) with (fillfactor = 70);
create index stock_pushes_due on stock_pushes (connection, catalog, due_at)
    where due_at is not null;

create table commands ( -- answered before, by id
    id text collate "C" primary key,
    command text not null,
    body json not null,
    reply json not null,
    received_at timestamptz not null default now()
);
create index commands_order on commands ((body ->> 'order_id'), (body ->> 'connection'))
    where command like 'order.%';
create index commands_return on commands ((body ->> 'return_id'), (body ->> 'connection'))
    where command like 'return.%';
create index commands_received on commands (received_at);

create table communications ( -- calls about one order; its events and commands stand elsewhere
    id bigint generated always as identity primary key,
    connection text collate "C" not null,
    order_id text collate "C" not null,
    service text not null,
    result text not null,
    summary text not null, -- no personal data
    at timestamptz not null
);
create index communications_order on communications (order_id, connection, id);

create table slips ( -- delivery slips, asked for once
    connection text collate "C" not null,
    order_id text collate "C" not null,
    pdf bytea not null,
    fetched_at timestamptz not null,
    primary key (order_id, connection)
);

create table comments ( -- notes by people, sent nowhere
    id bigint generated always as identity primary key,
    connection text collate "C" not null,
    order_id text collate "C" not null,
    text text not null,
    written_by text not null,
    at timestamptz not null
);
create index comments_order on comments (order_id, connection, id);

create table ended_sessions ( -- of the console, logged out before their time
    id text collate "C" primary key,
    until timestamptz not null
);

create table quarantine (
    connection text collate "C" not null,
    order_id text collate "C" not null, -- or unreadable-HASH, or return-ID, return-unreadable-HASH
    fingerprint bytea, -- null: to be read again
    xml bytea not null,
    error text not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    read_from timestamptz, -- the look that found it read everything from then on
    primary key (connection, order_id)
);

create table calls (
    connection text collate "C" not null,
    service text not null,
    minute timestamptz not null,
    calls int not null,
    primary key (connection, service, minute)
);

create table rests (
    connection text collate "C" not null,
    service text not null,
    until timestamptz not null,
    step_seconds double precision not null,
    primary key (connection, service)
);

-- How many orders and returns stand where. Every statement that moves some notes by how many; the
-- notes are only ever added to and taken off, so that no writer waits for another.
create table state_counts (
    kind text not null, -- the table
    connection text collate "C" not null,
    state text not null,
    records bigint not null,
    primary key (kind, connection, state)
) with (fillfactor = 50);
create table state_count_changes (
    id bigint generated always as identity primary key,
    kind text not null,
    connection text collate "C" not null,
    state text not null,
    change int not null
);

create function note_new() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select tg_table_name, connection, state, count(*) from now_there group by connection, state;
    return null;
end $$;
create function note_gone() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select tg_table_name, connection, state, -count(*) from gone group by connection, state;
    return null;
end $$;
create function note_moved() returns trigger language plpgsql as $$
begin
    insert into state_count_changes (kind, connection, state, change)
    select tg_table_name, connection, state, sum(change) from (
        select connection, state, 1 as change from now_there
        union all
        select connection, state, -1 from gone
    ) as moves
    group by connection, state having sum(change) <> 0;
    return null;
end $$;
create trigger orders_counted_new after insert on orders referencing new table as now_there
    for each statement execute function note_new();
create trigger orders_counted_gone after delete on orders referencing old table as gone
    for each statement execute function note_gone();
create trigger orders_counted_moved after update on orders
    referencing new table as now_there old table as gone
    for each statement execute function note_moved();
create trigger returns_counted_new after insert on returns referencing new table as now_there
    for each statement execute function note_new();
create trigger returns_counted_gone after delete on returns referencing old table as gone
    for each statement execute function note_gone();
create trigger returns_counted_moved after update on returns
    referencing new table as now_there old table as gone
    for each statement execute function note_moved();

create view order_records as
select
    o.*,
    (
        select json_object_agg(r.product_id, r.quantity) from reservations as r
        where r.order_id = o.order_id and r.connection = o.connection
    ) as reserved,
    (
        select json_object_agg(a.kind, a.status) from actions as a
        where
            a.order_id = o.order_id and a.connection = o.connection
            and not starts_with(a.kind, 'return_')
    ) as actions
from orders as o;

create view return_records as
select
    r.*,
    (
        select json_object_agg(a.kind, a.status) from actions as a
        where
            a.order_id = r.return_id and a.connection = r.connection
            and starts_with(a.kind, 'return_')
    ) as actions
from returns as r;
