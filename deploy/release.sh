#!/bin/sh
# Makes a release of what is committed: deploy/release.sh VERSION OUT
#
# It builds in a temporary folder, from the commit alone, so that nothing of this
# folder or this machine gets into it: the same commit and the same Go make the
# same bytes. COLD=1 takes nothing from Go's build cache either, ARCHS says for
# which processors.
set -eu

version=${1:?deploy/release.sh VERSION OUT}
mkdir -p "${2:?deploy/release.sh VERSION OUT}"
out=$(cd "$2" && pwd)
root=$(git rev-parse --show-toplevel)
cd "$root"

commit=$(git rev-parse HEAD)
if tagged=$(git rev-parse -q --verify "refs/tags/$version^{commit}") && [ "$tagged" != "$commit" ]; then
	echo "release: $version is another commit: git checkout $version" >&2
	exit 1
fi
if ! git diff --quiet HEAD; then
	echo 'release: what is not committed is not in it' >&2
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/portico-release.XXXXXX")
# Go makes what it downloads read-only.
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
mkdir "$work/source"
git archive --format=tar "$commit" | tar -x -C "$work/source"

export GOFLAGS= GOTOOLCHAIN=local CGO_ENABLED=0
if [ -n "${COLD:-}" ]; then
	export GOCACHE="$work/cache"
fi
for arch in ${ARCHS:-amd64 arm64}; do
	# -buildvcs=false: the version is given, and an archive has no history.
	(cd "$work/source" && GOOS=linux GOARCH=$arch GOAMD64=v1 GOARM64=v8.0 \
		"${GO:-go}" build -trimpath -buildvcs=false \
		-ldflags "-s -w -X github.com/portico-id/portico/cmd/internal/program.Version=$version" \
		-o "$work/binaries/linux_$arch/portico" ./cmd/portico)
done
(cd "$work/source/deploy/tools" && "${GO:-go}" run ./release -version "$version" \
	-time "$(git -C "$root" show -s --format=%ct "$commit")" \
	-binaries "$work/binaries" -source "$work/source" -out "$out")
cat "$out/SHA256SUMS"
