#!/bin/sh
# Keys, passwords and the broker's accounts for a laboratory, made once and kept. Run it again after the roll has changed.
# In earnest the authority's key belongs on another machine: docs/deploy.md.
set -eu

province=${PROVINCE:-/province}
config=${CONFIG:-/etc/axis}
trust=$province/trust

[ -f "$trust/ca.pem" ] || axis pki init "$trust" --name "CA tỉnh (ví dụ)"
cp "$config/offices.toml" "$trust/offices.toml"
for office in H56.TRUC H56.VP H56.112; do
    [ -f "$trust/certs/$office.pem" ] || axis pki issue "$trust" "$office" --name "$office (ví dụ)"
done
axis pki crl "$trust" --days 30
axis offices check "$trust/offices.toml"

# An account for each office, and `axis` for the axis itself, which the database uses as well.
axis broker definitions --offices "$trust/offices.toml" --secrets "$province/secrets" --own axis \
    > "$province/definitions.new"
mv "$province/definitions.new" "$province/definitions.json"
echo "setup: done"
