# Kills what a test process leaves behind: reads "add <pid>" and "drop <pid>" lines from standard input, and
# when that ends, as it does at the latest with the process that writes to it, kills all that are left.
trap '' INT TERM HUP
left=
while read -r verb pid; do
    others=
    for one in $left; do
        [ "$one" = "$pid" ] || others="$others $one"
    done
    left=$others
    [ "$verb" = drop ] || left="$left $pid"
done
for one in $left; do
    kill -KILL "$one" 2>/dev/null
done
