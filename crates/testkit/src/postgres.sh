# Keeps one throw-away PostgreSQL server: sh -c <this> name <binaries> <port> <superuser>
# Prints "ready" when the server answers, or what went wrong. Ends, and cleans up, when standard input ends.
set -eu
umask 077
exec 2>&1
# Not below TMPDIR: that may belong to another user, and a socket's path is limited to 107 bytes.
directory=$(mktemp -d /tmp/trunkline-test-postgres.XXXXXX)
server=
clean_up() {
    if [ -n "$server" ]; then
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap clean_up EXIT
trap '' HUP PIPE
trap 'exit 1' INT TERM

if ! "$1/initdb" --pgdata="$directory/data" --username="$3" --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    --no-sync >"$directory/initdb.log" 2>&1; then
    cat "$directory/initdb.log"
    exit 1
fi
# Nothing has to survive a crash here, so nothing is flushed.
"$1/postgres" -D "$directory/data" -p "$2" -k "$directory" \
    -c listen_addresses=127.0.0.1 -c max_connections=300 -c shared_buffers=64MB \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c autovacuum=off \
    </dev/null >"$directory/server.log" 2>&1 &
server=$!
until "$1/pg_isready" --quiet --host=127.0.0.1 --port="$2" --dbname=postgres --username="$3"; do
    if ! kill -0 "$server" 2>/dev/null; then
        cat "$directory/server.log"
        exit 1
    fi
    sleep 0.05
done
# Another server may have answered on that port.
kill -0 "$server"
echo ready
read -r _ || true
