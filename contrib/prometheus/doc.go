// Package prometheus tests the alert rules beside it: with promtool, and against what a real bridge exports.
package prometheus
