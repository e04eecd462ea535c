#!/usr/bin/env bash
# Writes prometheusrule.yaml anew from the alerts in deploy/prometheus/rules.yaml.
set -euo pipefail
cd "$(dirname "$0")"
{
    cat <<'HEAD'
# Written by prometheusrule.sh from deploy/prometheus/rules.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: spartoo-sync
  labels:
    app.kubernetes.io/name: spartoo-sync
spec:
HEAD
    sed --regexp-extended '/^#/d; s/^(.)/  \1/' ../../../prometheus/rules.yaml
} >"${1:-prometheusrule.yaml}"
