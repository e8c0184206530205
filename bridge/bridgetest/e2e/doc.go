// Package e2e tests the built daemon against the real counterparts: what comes in over TLS, what the receivers
// understood of it, and that nothing acknowledged is lost whatever is killed. It has tests only.
package e2e
