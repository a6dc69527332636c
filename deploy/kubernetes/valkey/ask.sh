# shellcheck shell=sh
# Sends a command as the probes do: over TLS, as a user who may do nothing else. A port that is open says little.
exec valkey-cli -e --no-auth-warning --tls --cacert /etc/valkey/secret/ca.crt --user probe --pass none "$1"
