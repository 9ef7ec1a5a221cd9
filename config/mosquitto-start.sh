#!/bin/sh
# Writes the broker's accounts from the environment into a folder in memory, then becomes the broker.
#   VEDETTE_BROKER_PASSWORD    account "vedette", the service
#   VEDETTE_OPERATOR_PASSWORD  account "operator", people
#   VEDETTE_SENSOR_PASSWORD    one account for every id in VEDETTE_SENSORS (separated by blanks)
#   VEDETTE_OUTLET_PASSWORD    if set: account "outlet", which hears the picture and says nothing, for `vedette out`
#   VEDETTE_REPLAY_PASSWORD    if set: account "replay", which may speak for every sensor; not on a broker in operation
set -eu
umask 077
accounts=${MOSQUITTO_ACCOUNTS:-/run/mosquitto/passwd}
: > "$accounts"
mosquitto_passwd -b "$accounts" vedette "$VEDETTE_BROKER_PASSWORD"
mosquitto_passwd -b "$accounts" operator "$VEDETTE_OPERATOR_PASSWORD"
for sensor in $VEDETTE_SENSORS; do
    mosquitto_passwd -b "$accounts" "$sensor" "$VEDETTE_SENSOR_PASSWORD"
done
if [ -n "${VEDETTE_OUTLET_PASSWORD:-}" ]; then
    mosquitto_passwd -b "$accounts" outlet "$VEDETTE_OUTLET_PASSWORD"
fi
if [ -n "${VEDETTE_REPLAY_PASSWORD:-}" ]; then
    mosquitto_passwd -b "$accounts" replay "$VEDETTE_REPLAY_PASSWORD"
fi
exec mosquitto -c "${MOSQUITTO_CONF:-/mosquitto/config/mosquitto.conf}"
