//go:build !failpoints

package queue

// failpoint is nothing in the product; see failpoint_on.go.
func failpoint() func(step string) { return nil }
