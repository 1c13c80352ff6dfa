#!/bin/sh
# Keys, passwords and the broker's accounts for a laboratory, made once and kept. After the roll has changed: run it
# again, restart the broker, then `docker compose exec router axis offices load /province/trust/offices.toml`.
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

# People look at the broker's pages as `watcher`: it sees every queue, and reads and writes no message.
python - "$province" <<'END'
import json
import sys
from pathlib import Path

from axis.app import office_passwords
from axis.broker.definitions import definitions

province = Path(sys.argv[1])
file = province / "definitions.new"
made = json.loads(file.read_text(encoding="utf-8"))
password = office_passwords(province / "secrets", ["watcher"])["watcher"]
(account,) = definitions({}, own=("watcher", password))["users"]
made["users"].append(account | {"tags": "monitoring"})
file.write_text(json.dumps(made, indent=2), encoding="utf-8")
END
mv "$province/definitions.new" "$province/definitions.json"
echo "setup: done"
