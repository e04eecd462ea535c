#!/usr/bin/env bash
# Usage: rabbitmq.sh VARIABLE
# Sees to a RabbitMQ that can be started privately; not needed where VARIABLE (or VARIABLE_FILE)
# names a broker. The package's system-wide broker is neither started nor enabled.
set -euo pipefail
cd "$(dirname "$0")/../.."

variable=$1
file=${variable}_FILE
if [[ -n ${!variable:-}${!file:-} || -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] ||
    PATH="$PATH:/usr/local/sbin:/usr/sbin" command -v rabbitmq-server >/dev/null; then
    exit
fi

deploy/dev/apt-install.sh "A private RabbitMQ (or set $variable to use a broker of yours)" rabbitmq-server
