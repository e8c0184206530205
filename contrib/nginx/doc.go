// Package nginx tests the reverse-proxy example beside it with the real program and a real bridge.
package nginx
