-- Only additions: a daemon of the version before reads and writes beside them.
select 1;
