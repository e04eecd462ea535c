#!/usr/bin/env bash
# Makes the secrets of compose.yaml, once: those that are there stay.
set -euo pipefail
cd "$(dirname "$0")"

random() { # so many bytes, URL-safe base64
    head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_'
}

keep() { # the containers' users read them through a mount; the folder lets nobody else in
    if [[ ! -e secrets/$1 ]]; then
        printf '%s\n' "$2" >"secrets/$1"
        chmod 0644 "secrets/$1"
    fi
}

mkdir -p -m 0700 secrets
keep postgres_password "$(random 24)"
keep rabbitmq_password "$(random 24)"
keep grafana_password "$(random 24)"
keep http_token "$(random 24)"
keep secret_key "$(random 32)"
keep database_url "postgresql://spartoo:$(<secrets/postgres_password)@postgres/spartoo"
keep amqp_url "amqp://spartoo:$(<secrets/rabbitmq_password)@rabbitmq/"
keep rabbitmq.conf "$(printf 'default_user = spartoo\ndefault_pass = %s' "$(<secrets/rabbitmq_password)")"
