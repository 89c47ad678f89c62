#!/bin/sh
# A whole job, written from the pages of docs/ alone: sh job.sh NAME. It prints the same wherever the databases are.
set -eu
export CI=true
name=$1
trap 'torso db destroy "$name" "$name-pr" --if-exists --yes --output name --quiet' EXIT
torso gc --yes --output name --quiet

echo 'create table member (id text primary key, name text not null, changed_by text);' > schema.sql
mkdir -p migrations
echo 'alter table member add column email text;' > migrations/0001_email.sql
echo 'create index member_email on member (email);' > migrations/0002_index.sql
create() {
  torso db create "$name" --if-not-exists --expires-in 6h --from-dump schema.sql --json --quiet | grep '"created"'
}
create
create
torso wait db "$name" --for ready --timeout 60s --output name
torso db migrate "$name" --dry-run
torso db migrate "$name" --output name
torso db exec "$name" 'insert into member (id, name, email) values (:id, :name, :mail)' \
  --param id=1 --param "name=Zoë O'Hara" --param mail=z@example.com --output jsonl | grep -o '"changes":[0-9]*'

torso db branch "$name" "$name-pr" --expires-in 3d --if-not-exists --output name --quiet
torso db exec --match "$name*" "update member set name = 'changed' where :db = 1" --param db=0 --output name | sort
torso db exec "$name-pr" "update member set name = 'changed'" --output name
code=0
torso db diff "$name" "$name-pr" --rows member --output csv 2> /dev/null || code=$?
echo "diff: $code"
torso db branch "$name" "$name-pr" --reset --yes --output name --quiet
torso db diff "$name" "$name-pr" --quiet --output name

# A warning says that a file has no token to limit.
variables=$(torso db env "$name" --format export --expires 30m --read-only 2> /dev/null)
eval "$variables"
TORSO_DATABASE_TOKEN=$DATABASE_TOKEN torso db shell "$DATABASE_URL" 'select name, email from member' --output json
torso env pull .env.ci --db "$name" --output name
stat -c %a .env.ci
torso run --from-db "$name" -- sh -c \
  'TORSO_DATABASE_TOKEN=${DATABASE_TOKEN-} torso db shell "$DATABASE_URL" "select count(*) from member"'
code=0
torso run -- sh -c 'exit 9' || code=$?
echo "run: $code"

code=0
torso db show nosuch --json 2> error.json || code=$?
echo "show: $code"
grep -o '"code":"[a-z_]*"' error.json
code=0
torso db destroy "$name" 2> /dev/null || code=$?
echo "destroy: $code"
torso db config set "$name" delete-protection on --output name
code=0
torso db destroy "$name" --yes 2> /dev/null || code=$?
echo "protected: $code"
torso db config set "$name" delete-protection off --output name
torso db dump "$name" | grep '^CREATE'
torso db export "$name" --output-file out.db --overwrite --output name
sqlite3 out.db 'select count(*) from member'
torso db list "$name*" --output name
