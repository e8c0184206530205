// Package caddy tests the reverse-proxy example beside it with the real program and a real bridge.
package caddy
