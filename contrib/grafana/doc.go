// Package grafana tests the dashboard beside it: every query is well-formed, and of metrics that a real bridge exports.
package grafana
