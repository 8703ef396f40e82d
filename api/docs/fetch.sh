#!/bin/sh
# Fetches Redoc's bundle anew: `make docs-bundle`. It is in the repository, so
# that nothing is fetched when Portico is built, and nothing when it is read.
#
# To take another version, change both lines, run this, and see with
# `make test-browser` that the policy of policy.go still lets it work.
set -eu
version=2.5.4
integrity=sha512-M6jWhG1qoBnH6TFmzJnstyCZ87HmOY/UzDm78mHiYihEdlV/YcS9ogOo1NlElnJMeLsyxHFe2yFc4sNjHTrABQ==

cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm pack --silent --pack-destination "$folder" "redoc@$version" >/dev/null
tarball=$folder/redoc-$version.tgz
got=sha512-$(openssl dgst -sha512 -binary "$tarball" | base64 -w 0)
[ "$got" = "$integrity" ] || { echo "redoc@$version is $got, and not $integrity" >&2; exit 1; }
tar -xzf "$tarball" -C "$folder"
bundle=$folder/package/bundles/redoc.standalone.js

# The one change: the bundle would fetch its maker's logo from their servers.
logo='https://cdn.redoc.ly/redoc/logo-mini.svg'
[ "$(grep -o "$logo" "$bundle" | wc -l)" = 1 ] || { echo "redoc@$version has no $logo, or another one too" >&2; exit 1; }
sed -i "s#$logo#data:,#" "$bundle"

gzip -9 -n -c "$bundle" >redoc.standalone.js.gz
{
	echo "Redoc $version, https://github.com/Redocly/redoc"
	echo
	cat "$folder/package/LICENSE"
	echo
	echo "The bundle holds these libraries besides:"
	echo
	cat "$bundle.LICENSE.txt"
} >redoc.LICENSE.txt
sha256sum "$bundle" | cut -d ' ' -f 1 >redoc.standalone.js.sha256
