-- name: now
-- The one clock that all replicas share.
select clock_timestamp()

-- name: leases_back
update leases set expires_at = clock_timestamp() + $1::interval
where expires_at > clock_timestamp() + $1::interval

-- name: processes_back
update processes set expires_at = clock_timestamp() + $1::interval
where expires_at > clock_timestamp() + $1::interval

-- name: actions_back
update actions set
    due_at = least(due_at, clock_timestamp()),
    held_until = least(held_until, clock_timestamp() + $1::interval)
where status = 'pending' and (due_at > clock_timestamp() or held_until > clock_timestamp())

-- name: pushes_back
update stock_pushes set due_at = clock_timestamp() where due_at > clock_timestamp()

-- name: rests_back
update rests set until = clock_timestamp() + interval '1 hour'
where until > clock_timestamp() + interval '1 hour'

-- name: calls_back
delete from calls where minute > clock_timestamp()

-- name: orders_back
-- Readings are compared with it.
update orders set changed_at = clock_timestamp() where changed_at > clock_timestamp()

-- name: returns_back
update returns set changed_at = clock_timestamp() where changed_at > clock_timestamp()
